"""The opening handshake (RFC 6455 §4), without I/O: bytes in, bytes out, one side each.

What the peer does wrong never raises here: it ends the handshake with a :class:`~wsfast.events.Rejected`
whose ``error`` says which rule was broken. What the caller does wrong raises ``TypeError``,
``ValueError`` or :class:`~wsfast.InvalidState`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from . import arguments
from .errors import HandshakeError, InvalidState
from .events import Rejected, Request, Response
from .headers import Headers, HeadersLike, check_text, check_token, parse_extensions, parse_tokens, shown
from .heads import (
    Body,
    HeadBuffer,
    ResponseHead,
    ResponseReader,
    bytes_of,
    check_limit,
    headers_of,
    parse_request,
)
from .origins import AllowedOrigin, check_origins, origin_allowed
from .uri import WebSocketURI, check_authority, parse_uri

__all__ = ["ClientHandshake", "ServerHandshake", "accept_value"]

#: Default limits on a head: bytes, and fields.
MAX_HEADER_SIZE: Final = 16384
MAX_HEADER_COUNT: Final = 128

_VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3

#: Fields that the handshake writes itself, or that would give a message without a body one. Beside
#: these, every name that begins with Sec-WebSocket-.
_OWN_IN_BOTH: Final = frozenset(["connection", "content-length", "trailer", "transfer-encoding", "upgrade"])
_OWN_IN_REQUEST: Final = _OWN_IN_BOTH | {"expect", "host", "origin"}


class _Unset:
    """The type of an argument that was not given, where ``None`` has a meaning."""

    def __repr__(self) -> str:
        return "<the first one that both sides support>"


_UNSET: Final = _Unset()


def accept_value(key: str) -> str:
    """Return the Sec-WebSocket-Accept value for a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    # No secret depends on the hash: some systems refuse SHA-1 unless told so.
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def _check_headers(fields: HeadersLike, own: frozenset[str]) -> Headers:
    """Return the caller's header fields; raise ``ValueError`` for those that are not the caller's."""
    headers = fields if type(fields) is Headers else Headers(fields)
    for name, _ in headers:
        if name.lower() in own or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"header field {name} is written by the handshake itself (RFC 6455 §4)")
    return headers


def _check_subprotocols(subprotocols: Iterable[str]) -> tuple[str, ...]:
    if isinstance(subprotocols, (str, bytes)):
        raise TypeError(f"subprotocols must be a list of str, not {type(subprotocols).__name__}")
    names = tuple([check_token("a subprotocol", name) for name in subprotocols])
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"subprotocols must not have {name!r} twice (RFC 6455 §4.1)")
    return names


def _check_own_extensions(value: object) -> str:
    """Return an extension list that is to be sent."""
    text = check_text("extensions", value)
    try:
        found = parse_extensions([text], "extensions")
    except HandshakeError as exc:
        raise ValueError(str(exc)) from None
    if not found:
        raise ValueError("extensions must not be empty: None stands for no extension (RFC 6455 §9.1)")
    return text


def _lines(fields: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields])


def _head(first: str, fields: Iterable[tuple[str, str]]) -> bytes:
    return f"{first}\r\n{_lines(fields)}\r\n".encode("latin-1")


class ClientHandshake:
    """The client's side: a request to write, and the response to it (RFC 6455 §4.1).

    Args:
        uri: where to, as a ws:// or wss:// URI or what :func:`~wsfast.uri.parse_uri` made of it. Its
            user info becomes an Authorization field (Basic, UTF-8, RFC 7617).
        origin: the Origin field; ``None`` for none, as usual outside browsers.
        subprotocols: those to offer, best first.
        headers: more fields for the request. Host, Origin, Connection, Upgrade, Expect, Sec-WebSocket-*
            and those that announce a body are refused: the handshake writes them, or must not have
            them. Host is that of ``uri``; connecting elsewhere does not change it.
        extensions: the Sec-WebSocket-Extensions value to offer; ``None`` for none.
        check_extensions: is called with the values of the Sec-WebSocket-Extensions fields in the
            response, none or one, once they are known to be well-formed and offered. It raises
            :class:`~wsfast.HandshakeError` if they are wrong; what it returns is
            :attr:`extensions_agreed`. Without it every extension in a response is refused.
        max_header_size: bytes that the head of the response may have, together with those of 1xx
            responses before it; ``None`` for no limit.
        max_header_count: fields that a head may have; ``None`` for no limit.
        key: 16 bytes for Sec-WebSocket-Key, for tests; ``None`` takes them from ``os.urandom()``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument has a value that could not be sent, such as one with a line end.

    Attributes:
        uri: the parsed URI.
        request: the request, as an event.
        data: the request, as the bytes to write first.
        extensions_agreed: what ``check_extensions`` returned; ``None`` before.

    """

    def __init__(
        self,
        uri: str | WebSocketURI,
        *,
        origin: str | None = None,
        subprotocols: Iterable[str] = (),
        headers: HeadersLike = (),
        extensions: str | None = None,
        check_extensions: Callable[[list[str]], object] | None = None,
        max_header_size: int | None = MAX_HEADER_SIZE,
        max_header_count: int | None = MAX_HEADER_COUNT,
        key: bytes | None = None,
    ) -> None:
        self.uri = uri if isinstance(uri, WebSocketURI) else parse_uri(uri)
        self.extensions_agreed: object = None
        self._key = base64.b64encode(_check_nonce(key)).decode("ascii")
        self._check_extensions = check_extensions
        self._offered: frozenset[str] = frozenset()
        self._max_count = check_limit("max_header_count", max_header_count)
        self._buffer = HeadBuffer(check_limit("max_header_size", max_header_size), response=True)
        #: Takes a piece from the middle of a head and returns true, or leaves it to :meth:`receive`.
        self.hold = self._buffer.hold
        self._reader: ResponseReader | None = None
        self._final: ResponseHead | None = None
        self._body: Body | None = None
        self._result: Response | Rejected | None = None
        self._trailing = bytearray()

        fields = [
            ("Host", check_text("the host of uri", self.uri.host_header)),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key),
            ("Sec-WebSocket-Version", _VERSION),
        ]
        if origin is not None:
            fields.append(("Origin", _check_visible("origin", origin)))
        names = _check_subprotocols(subprotocols)
        if names:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(names)))
        if extensions is not None:
            fields.append(("Sec-WebSocket-Extensions", _check_own_extensions(extensions)))
            self._offered = frozenset([name for name, _ in parse_extensions([extensions])])
        more = _check_headers(headers, _OWN_IN_REQUEST)
        if self.uri.user is not None:
            if "Authorization" in more:
                raise ValueError("header field Authorization comes from the user info of uri (RFC 7617)")
            fields.append(("Authorization", _basic(self.uri.user, self.uri.password or "")))
        target = _check_visible("the resource name of uri", self.uri.resource_name)
        self.request = Request(
            target,
            Headers.from_checked([*fields, *more]),
            self.uri.host_header,
            origin,
            names,
            () if extensions is None else (extensions,),
        )
        self.data = _head(f"GET {target} HTTP/1.1", self.request.headers)

    @property
    def trailing(self) -> bytes:
        """What came behind the head of a 101 response: frames."""
        return bytes(self._trailing)

    def receive(self, data: bytes | bytearray | memoryview) -> Response | Rejected | None:
        """Take bytes from the server; return the outcome once, ``None`` before and after.

        A response other than 101 is an outcome when its body is complete, or 64 KiB of it are there;
        only so much is kept. Responses with 1xx before the last one are skipped (RFC 9110 §15.2).

        Args:
            data: any number of bytes, cut anywhere. They are copied. After a 101 they go to
                :attr:`trailing`, which the caller bounds; after a rejection they are dropped.

        Raises:
            TypeError: ``data`` is not bytes-like, or has wider items than bytes.

        """
        piece = data if type(data) is bytes else bytes_of(data)
        if self._result is not None:
            if isinstance(self._result, Response):
                self._trailing += piece
            return None
        try:
            self._result = self._receive(piece)
        except HandshakeError as exc:
            self._result = self._rejected(exc)
        return self._result

    def receive_eof(self) -> Response | Rejected:
        """Take the end of the connection; return the outcome, be it that there is none."""
        if self._result is None:
            error = None
            try:
                if self._body is None:
                    error = HandshakeError(
                        "connection closed before the handshake was complete (RFC 6455 §4.1)"
                    )
                else:
                    self._body.feed_eof()
            except HandshakeError as exc:
                error = exc
            self._result = self._rejected(error)
        return self._result

    def _rejected(self, error: HandshakeError | None) -> Rejected:
        if self._final is None:
            return Rejected(None, "", Headers(), b"", error)
        body = b"" if self._body is None else self._body.kept
        return Rejected(self._final.status, self._final.reason, self._final.headers, body, error)

    def _receive(self, data: bytes) -> Response | Rejected | None:
        while self._body is None:
            gathered = self._buffer.feed(data)
            if gathered is None:
                return None
            head, data = gathered
            if self._reader is None:
                self._reader = ResponseReader()
            response = self._reader.parse(head, self._max_count)
            if response.status == 101:
                self._final = response
                agreed = self._switch(response)
                self._trailing += data
                return agreed
            if response.status >= 200:
                self._final = response
                self._body = self._reader.body()
        return self._rejected(None) if self._body.feed(data) else None

    def _switch(self, response: ResponseHead) -> Response:
        """Judge a 101 response (RFC 6455 §4.1)."""
        headers = response.headers
        if response.version[0] != "1" or response.version == "1.0":
            raise HandshakeError(f"HTTP version {response.version}, not 1.1 (RFC 6455 §4.2.2)")
        upgrade = headers.get_all("Upgrade")
        if [value.lower() for value in upgrade] != ["websocket"]:
            raise HandshakeError(f"Upgrade is {_found(upgrade)}, not 'websocket' (RFC 6455 §4.1)")
        connection = headers.get_all("Connection")
        if not _has_token("upgrade", connection, "Connection"):
            raise HandshakeError(f"Connection is {_found(connection)}, without 'upgrade' (RFC 6455 §4.1)")
        accept = headers.get("Sec-WebSocket-Accept")
        if accept is None:
            raise HandshakeError("no Sec-WebSocket-Accept field (RFC 6455 §4.1)")
        # In constant time out of habit: the value is no secret.
        if not hmac.compare_digest(accept.encode("latin-1"), accept_value(self._key).encode("ascii")):
            raise HandshakeError(f"Sec-WebSocket-Accept {shown(accept)} does not fit the key (RFC 6455 §4.1)")
        # What follows is frames. A field that says otherwise is meant for somebody else on the way.
        length = headers.get("Content-Length", "0")
        if "Transfer-Encoding" in headers or length.strip("0"):
            raise HandshakeError("a 101 response with a body (RFC 9110 §8.6, RFC 9112 §6.1)")
        subprotocol = headers.get("Sec-WebSocket-Protocol")
        if subprotocol is not None and subprotocol not in self.request.subprotocols:
            raise HandshakeError(f"subprotocol {shown(subprotocol)} was not offered (RFC 6455 §4.1)")
        values = headers.get_all("Sec-WebSocket-Extensions")
        for name, _ in parse_extensions(values):
            if name not in self._offered or self._check_extensions is None:
                raise HandshakeError(f"extension {shown(name)} was not offered (RFC 6455 §4.1)")
        if self._check_extensions is not None:
            self.extensions_agreed = self._check_extensions(values)
        return Response(headers, subprotocol, tuple(values))


class _Common(NamedTuple):
    """What the handshakes of a server have in common."""

    plain_http: bool
    subprotocols: tuple[str, ...]
    origins: tuple[AllowedOrigin, ...] | None
    headers: Headers
    #: The same as they stand in a head.
    header_lines: str
    max_count: int
    max_size: int


class ServerHandshake:
    """The server's side: a request, and the response to write (RFC 6455 §4.2).

    Args:
        subprotocols: those that the server supports, in any order: the client's order decides.
        origins: what :func:`~wsfast.origins.origin_allowed` checks the request against; another origin
            gets 403. ``None`` checks nothing: any web page can then connect in its user's name, unless
            the caller looks at the request's ``origin`` itself (RFC 6455 §10.2).
        headers: fields for every response, errors included. Connection, Upgrade, Sec-WebSocket-* and
            those that announce a body are refused. No Date is added: there is no clock here.
        max_header_size: bytes that the head may have; more is answered with 431. ``None`` for no limit.
        max_header_count: fields that it may have; more is answered with 431. ``None`` for no limit.
        plain_http: whether a GET or HEAD that does not ask for a WebSocket connection is an outcome too,
            a ``Request`` with an ``error``; otherwise it is answered with 426.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument has a value that could not be sent, or an origin that matches nothing.

    """

    _key = ""
    _request: Request | None = None
    _rejected: Rejected | None = None
    _rejection = b""
    _answered = False
    # Whether the response to what came has no body, whatever it says of one.
    _no_body = False
    _trailing: bytes | bytearray = b""

    def __init__(
        self,
        *,
        subprotocols: Iterable[str] = (),
        origins: Iterable[AllowedOrigin] | None = None,
        headers: HeadersLike = (),
        max_header_size: int | None = MAX_HEADER_SIZE,
        max_header_count: int | None = MAX_HEADER_COUNT,
        plain_http: bool = False,
    ) -> None:
        names = _check_subprotocols(subprotocols)
        allowed = None if origins is None else check_origins(origins)
        fields = _check_headers(headers, _OWN_IN_BOTH)
        self._common = _Common(
            plain_http,
            names,
            allowed,
            fields,
            _lines(fields),
            check_limit("max_header_count", max_header_count),
            check_limit("max_header_size", max_header_size),
        )
        self._buffer = HeadBuffer(self._common.max_size, response=False)

    def another(self) -> ServerHandshake:
        """Return a new handshake with the arguments of this one, which are not checked again."""
        made = ServerHandshake.__new__(ServerHandshake)
        made._common = self._common
        made._buffer = HeadBuffer(self._common.max_size, response=False)
        return made

    @property
    def hold(self) -> Callable[[bytes], bool]:
        """Takes a piece from the middle of a head and returns true, or leaves it to :meth:`receive`."""
        return self._buffer.hold

    @property
    def trailing(self) -> bytes:
        """What came behind the head of the request, before the answer or after it."""
        return bytes(self._trailing)

    @property
    def rejection(self) -> bytes:
        """The response to write after :meth:`receive` gave a ``Rejected``; empty otherwise."""
        return self._rejection

    def receive(self, data: bytes | bytearray | memoryview) -> Request | Rejected | None:
        """Take bytes from the client; return the outcome once, ``None`` before and after.

        After a ``Request`` the caller is to answer, by :meth:`accept` or :meth:`reject`. After a
        ``Rejected``, :attr:`rejection` is to be written and the connection to be closed.

        Args:
            data: any number of bytes, cut anywhere. They are copied. Behind the head of a request
                they go to :attr:`trailing`, which the caller bounds; after a rejection they are dropped.

        Raises:
            TypeError: ``data`` is not bytes-like, or has wider items than bytes.

        """
        piece = data if type(data) is bytes else bytes_of(data)
        if self._rejected is not None:
            return None
        if self._request is not None:
            # Longer and longer by small pieces, perhaps.
            self._trailing = self._trailing or bytearray()
            self._trailing += piece
            return None
        try:
            gathered = self._buffer.feed(piece)
            if gathered is None:
                return None
            head, rest = gathered
            self._no_body = head.startswith(b"HEAD ")
            self._request = self._judge(head)
        except HandshakeError as exc:
            return self._refuse(exc)
        if rest:
            self._trailing = bytearray(rest)
        return self._request

    def receive_eof(self) -> Rejected:
        """Take the end of the connection before the answer; nothing is to be written."""
        if self._rejected is None:
            error = HandshakeError("connection closed before the handshake was complete (RFC 6455 §4.2.1)")
            self._rejected = Rejected(None, "", Headers(), b"", error)
            self._answered = True
        return self._rejected

    def _judge(self, head: bytes) -> Request:
        """Judge a request (RFC 6455 §4.2.1)."""
        plain_http = self._common.plain_http
        method, target, http_version, fields = parse_request(head, self._common.max_count, plain_http)
        headers = headers_of(head)
        origin = _first(fields, "origin")
        not_get = None
        if method != "GET":
            not_get = HandshakeError(f"method {shown(method)}, not 'GET' (RFC 6455 §4.2.1)", 405)
            if not plain_http or method != "HEAD":
                raise not_get
        old = http_version == "1.0"  # where it came so far
        host = _first(fields, "host") or ""
        if not check_authority(host) and not (old and "host" not in fields):
            raise HandshakeError(f"Host {shown(host)} is not a host with or without a port (RFC 9112 §3.2)")
        if "#" in target or target[0] != "/":
            target = _resource_name(target, host)
        # 426 also tells what would be right, to those who came here by mistake (RFC 9110 §15.5.22).
        upgrade = fields.get("upgrade", [])
        if old:
            # Its Upgrade field does not count (RFC 9110 §7.8).
            other = HandshakeError("HTTP version 1.0, not 1.1 or higher (RFC 6455 §4.2.1)")
            return Request(target, headers, host, origin, error=other)
        if not _has_token("websocket", upgrade, "Upgrade", slash=True):
            other = HandshakeError(
                f"Upgrade is {_found(upgrade)}, without 'websocket' (RFC 6455 §4.2.1)", 426
            )
            if plain_http:
                return Request(target, headers, host, origin, error=other)
            raise other
        if not_get is not None:
            raise not_get
        connection = fields.get("connection", [])
        if not _has_token("upgrade", connection, "Connection"):
            raise HandshakeError(
                f"Connection is {_found(connection)}, without 'upgrade' (RFC 6455 §4.2.1)", 426
            )
        version = _first(fields, "sec-websocket-version")
        if version is None:
            raise HandshakeError("no Sec-WebSocket-Version field (RFC 6455 §4.2.1)")
        if version != _VERSION:
            raise HandshakeError(f"Sec-WebSocket-Version {shown(version)}, not '13' (RFC 6455 §4.4)", 426)
        key = _first(fields, "sec-websocket-key")
        if key is None:
            raise HandshakeError("no Sec-WebSocket-Key field (RFC 6455 §4.2.1)")
        # Exactly what 16 bytes look like in Base64. The 4 bits that the last digit has to spare may be
        # anything: such a key decodes to 16 bytes too, and clients exist that draw the digits.
        if len(key) != 24 or not key.endswith("==") or not _is_base64(key[:22]):
            raise HandshakeError(
                f"Sec-WebSocket-Key {shown(key)} is not 16 bytes in Base64 (RFC 6455 §4.2.1)"
            )
        self._key = key
        values = fields.get("sec-websocket-protocol")
        subprotocols = () if values is None else _subprotocols(values)
        extensions = fields.get("sec-websocket-extensions", ())
        if extensions and not parse_extensions(extensions):
            raise HandshakeError("Sec-WebSocket-Extensions is empty (RFC 6455 §9.1)")
        if self._common.origins is not None and not origin_allowed(origin, self._common.origins):
            what = "a request without Origin" if origin is None else f"origin {shown(origin)}"
            raise HandshakeError(f"{what} is not allowed (RFC 6455 §10.2)", 403)
        return Request(target, headers, host, origin, subprotocols, tuple(extensions))

    def _refuse(self, error: HandshakeError) -> Rejected:
        body = (str(error) + "\n").encode()
        fields = [("Allow", "GET")] if error.status == 405 else []
        self._rejection, self._rejected = self._response(
            error.status, _phrase(error.status), Headers(fields), body, error
        )
        self._answered = True
        return self._rejected

    def _response(
        self, status: int, reason: str, more: Headers, body: bytes, error: HandshakeError | None
    ) -> tuple[bytes, Rejected]:
        """Return a response that ends the connection, as bytes and as event."""
        fields = [("Connection", "close")]
        if status == 426:
            # RFC 9110 §15.5.22 and RFC 6455 §4.4 want these, and §7.8 the option in Connection.
            fields = [
                ("Connection", "Upgrade, close"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", _VERSION),
            ]
        if status not in (204, 304):  # which have no body, and say nothing of one (RFC 9110 §8.6)
            fields.append(("Content-Length", str(len(body))))
        if body and "Content-Type" not in more and "Content-Type" not in self._common.headers:
            fields.append(("Content-Type", "text/plain; charset=utf-8"))
        headers = Headers.from_checked([*fields, *self._common.headers, *more])
        data = _head(f"HTTP/1.1 {status} {reason}", headers)
        if not self._no_body:  # a response to HEAD has the length but not the body
            data += body
        return data, Rejected(status, reason, headers, body, error)

    def _answer(self) -> Request:
        if self._request is None or self._answered:
            what = "answered already" if self._answered else "not complete"
            raise InvalidState(f"the request is {what}")
        return self._request

    def accept(
        self,
        subprotocol: str | _Unset | None = _UNSET,
        headers: HeadersLike = (),
        extensions: str | None = None,
    ) -> tuple[bytes, Response]:
        """Open the connection: return the 101 response to write, and what it says (RFC 6455 §4.2.2).

        Args:
            subprotocol: one that the client offers, ``None`` for none. Without the argument, the first
                one in the client's list that the server supports.
            headers: more fields, after those of every response.
            extensions: the Sec-WebSocket-Extensions value; ``None`` for none. Its extensions must be
                among those that the client offers.

        Raises:
            InvalidState: there is no request, or it has been answered, or it is for something else.
            TypeError: an argument has the wrong type.
            ValueError: the client does not offer that, or a value cannot be sent. The request can
                still be answered.

        """
        request = self._answer()
        if request.error is not None:
            raise InvalidState(f"the request cannot be accepted: {request.error}")
        if isinstance(subprotocol, _Unset):
            subprotocol = None
            if request.subprotocols:
                supported = self._common.subprotocols
                subprotocol = next((name for name in request.subprotocols if name in supported), None)
        elif subprotocol is not None:
            subprotocol = check_token("subprotocol", subprotocol)
            if subprotocol not in request.subprotocols:
                raise ValueError(
                    f"subprotocol {subprotocol!r} is not offered by the client (RFC 6455 §4.2.2)"
                )
        lines = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_value(self._key)}\r\n"
        )
        if subprotocol is not None:
            lines += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        if extensions is not None:
            offered = [name for name, _ in parse_extensions(request.extensions)]
            extensions = _check_own_extensions(extensions)
            for name, _ in parse_extensions([extensions]):
                if name not in offered:
                    raise ValueError(f"extension {name!r} is not offered by the client (RFC 6455 §9.1)")
            lines += f"Sec-WebSocket-Extensions: {extensions}\r\n"
        lines += self._common.header_lines
        if headers != ():
            lines += _lines(_check_headers(headers, _OWN_IN_BOTH))
        self._answered = True
        fields = lines.encode("latin-1")
        data = b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n"
        sent = Headers.from_lines(fields[:-2])
        return data, Response(sent, subprotocol, () if extensions is None else (extensions,))

    def reject(
        self,
        status: int = 403,
        headers: HeadersLike = (),
        body: str | bytes | bytearray | memoryview = b"",
        reason: str | None = None,
    ) -> tuple[bytes, Rejected]:
        """Refuse the connection: return the response to write, and what it says (RFC 6455 §4.2.2).

        The connection is to be closed then. The response says so, and has a Content-Length; a body
        has the type ``text/plain; charset=utf-8`` unless ``headers`` have another Content-Type.

        Args:
            status: 200 to 599. With 426 come Upgrade and Sec-WebSocket-Version by themselves.
            headers: more fields, after those of every response.
            body: a ``str`` is sent as UTF-8. It is copied.
            reason: the words in the status line; ``None`` for the usual ones.

        Raises:
            InvalidState: there is no request, or it has been answered.
            TypeError: an argument has the wrong type.
            ValueError: ``status`` is out of range or has no body, or a value cannot be sent. The
                request can still be answered.

        """
        self._answer()
        if not isinstance(status, int):
            raise TypeError(f"status must be an int, not {type(status).__name__}")
        status = int.__index__(status)
        if not 200 <= status <= 599:
            raise ValueError(f"status must be between 200 and 599, not {status} (RFC 9110 §15)")
        content = str.encode(body) if isinstance(body, str) else bytes_of(body, "body")
        if content and status in (204, 205, 304):
            raise ValueError(f"body must be empty with status {status} (RFC 9110 §6.4.1)")
        words = _phrase(status) if reason is None else check_text("reason", reason)
        more = _check_headers(headers, _OWN_IN_BOTH)
        data, rejected = self._response(status, words, more, content, None)
        self._answered = True
        self._rejected = rejected
        return data, rejected


def _check_nonce(key: object) -> bytes:
    """Return the 16 bytes of a Sec-WebSocket-Key, fresh ones for ``None`` (RFC 6455 §4.1)."""
    if key is None:
        nonce: object = os.urandom(16)
        if not isinstance(nonce, bytes) or len(nonce) != 16:
            raise arguments.bad_entropy(16)
        return nonce
    if not isinstance(key, bytes):
        raise TypeError(f"key must be bytes, not {type(key).__name__}")
    if len(key) != 16:
        raise ValueError(f"key must contain 16 bytes, not {len(key)} (RFC 6455 §4.1)")
    return key


def _check_visible(what: str, value: object) -> str:
    """Return ``value`` if it is ASCII without spaces, and not empty: an origin or a request target."""
    text = check_text(what, value)
    if not text:
        raise ValueError(f"{what} must not be empty")
    for index, char in enumerate(text):
        if not "!" <= char <= "~":
            raise ValueError(f"{what} must be ASCII without spaces, not {char!r} at index {index}")
    return text


def _basic(user: str, password: str) -> str:
    """Return the Authorization value for Basic authentication (RFC 7617)."""
    for what, text, colon in (("user", user, ":"), ("password", password, "")):
        for char in text:
            if char < " " or "\x7f" <= char <= "\x9f" or char == colon:
                raise ValueError(f"{what} in uri must not have {char!r} (RFC 7617 §2)")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _resource_name(target: str, host: str) -> str:
    """Return path and query of a request target (RFC 6455 §4.2.1, RFC 9112 §3.2)."""
    if "#" in target:
        raise HandshakeError(f"request target {shown(target)} has a fragment (RFC 9112 §3.2)")
    if target.startswith("/"):
        return target
    scheme, divider, rest = target.partition("://")
    if not divider or scheme.lower() not in ("http", "https"):
        raise HandshakeError(f"request target {shown(target)} is no path (RFC 6455 §4.2.1)")
    end = min([at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0])
    # They must be the same (RFC 9112 §3.2.2), and the reader before this one may have taken the other.
    if rest[:end].lower() != host.lower():
        raise HandshakeError(f"request target {shown(target)} is not on Host {shown(host)} (RFC 9112 §3.2.2)")
    name = rest[end:]
    return name if name.startswith("/") else "/" + name


def _is_base64(digits: str) -> bool:
    return digits.isascii() and digits.replace("+", "a").replace("/", "a").isalnum()


def _first(fields: dict[str, list[str]], name: str) -> str | None:
    """Return the value of a field that a head has once; ``None`` when it has none."""
    values = fields.get(name)
    return None if values is None else values[0]


def _subprotocols(values: list[str]) -> tuple[str, ...]:
    """Return what a client offers in its Sec-WebSocket-Protocol fields, which it has."""
    offered = tuple(parse_tokens(values, "Sec-WebSocket-Protocol"))
    if len(set(offered)) != len(offered) or not offered:
        what = f"{_found(values)} repeats a subprotocol" if offered else "is empty"
        raise HandshakeError(f"Sec-WebSocket-Protocol {what} (RFC 6455 §4.1)")
    return offered


def _has_token(token: str, values: Sequence[str], field: str, *, slash: bool = False) -> bool:
    """Tell whether a list has a token, given in small letters, in any case; the list must be well-formed."""
    # What nearly all send is the token alone, which need not be taken apart.
    if len(values) == 1 and values[0].lower() == token:
        return True
    return token in [found.lower() for found in parse_tokens(values, field, slash=slash)]


def _found(values: Sequence[str]) -> str:
    """Show the values of fields of one name, of which there may be none."""
    return shown(", ".join(values)) if values else "missing"


def _phrase(status: int) -> str:
    """Return the usual words for a status; none for one that has none."""
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
