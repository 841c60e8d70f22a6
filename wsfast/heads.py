"""Heads of HTTP/1.1 messages: gathered from pieces, judged strictly; responses are read by h11 (RFC 9112).

HTTP parsers tolerate what old peers send: lines that end in a bare LF, folded lines, control characters
in values. Each of them has been the way past a proxy that read the same bytes otherwise, and no WebSocket
peer needs them. So they are refused here. Of a request that has passed there is nothing left to parse, for
it has no body; a response, which may have one, goes to h11 then. A head is judged once, when all of it is
there; what comes before its end is only searched for that end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ._backend import find_head_end, split_head
from .characters import TEXT, TOKEN
from .errors import HandshakeError
from .headers import Headers, shown

if TYPE_CHECKING:
    import h11

__all__ = [
    "BODY_KEPT",
    "Body",
    "HeadBuffer",
    "ResponseHead",
    "ResponseReader",
    "bytes_of",
    "check_limit",
    "headers_of",
    "parse_request",
]

#: How much of the body of a response that is not 101 is kept, in bytes: 64 KiB.
BODY_KEPT = 65536

#: h11 is given a body in pieces of this size, and may hold back as much: the size line of a chunk, or
#: the trailers. Its patterns for those take time in the square of their length.
_BODY_PIECE = 1024

_DIGITS = frozenset("0123456789")
#: What has no meaning, or two, when a head has it twice. The list fields are not among them.
_ONCE_IN_REQUEST = (
    "host",
    "origin",
    "content-length",
    "transfer-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
)
_ONCE_IN_RESPONSE = (
    "content-length",
    "transfer-encoding",
    "sec-websocket-accept",
    # Lists, but in a response each has one element or one line (RFC 6455 §11.3.2, §11.3.4).
    "sec-websocket-extensions",
    "sec-websocket-protocol",
)


def bytes_of(data: object, name: str = "data") -> bytes:
    """Return the bytes of a bytes-like object; ``TypeError`` for anything else, which has ``name`` there."""
    if type(data) is bytes:
        return data
    from . import arguments

    try:
        view = memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        raise arguments.not_bytes_like(name, data) from None
    if view.itemsize != 1:
        raise arguments.not_single_bytes(name, view.itemsize)
    return view.tobytes()


def check_limit(name: str, value: object) -> int:
    """Return a limit as an ``int``, for ``None`` one that is never reached.

    Raises:
        TypeError: ``value`` is neither an ``int`` nor ``None``.
        ValueError: it is less than 1.

    """
    if value is None:
        return (1 << 63) - 1
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int or None, not {type(value).__name__}")
    number = int.__index__(value)
    if number < 1:
        raise ValueError(f"{name} must be 1 or more, or None for no limit, not {number}")
    return number


class HeadBuffer:
    """Gathers one head after the other; each byte is looked at once, however small the pieces.

    Args:
        max_size: bytes that all heads may have together, the empty lines at their ends included. No
            more than that is ever held.
        response: whether a response is expected, or a request.

    """

    __slots__ = ("_before", "_data", "_max_size", "_response", "_room")

    def __init__(self, max_size: int, *, response: bool) -> None:
        # Of one head, what has come so far: bytes that can be added to, once there are any.
        self._data: bytes | bytearray = b""
        self._max_size = self._room = max_size
        self._response = response
        # What has come of an empty line before a request; None when its time is over.
        self._before: bytes | None = None if response else b""

    def hold(self, data: bytes) -> bool:
        """Take a piece from the middle of a head, and return true; leave any other, and return false.

        That is what heads that come byte by byte consist of, and all that :meth:`feed` does with it.
        """
        held = self._data
        if b"\n" in data or not 5 <= len(held) < self._room - len(data):
            return False
        held += data
        return True

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take a piece; return the head and what follows it in ``data`` once the head is complete.

        Raises:
            HandshakeError: the head exceeds the limit (status 431), or what came cannot become one.

        """
        if self._before is not None:
            data = self._skip_empty_line(self._before, data)
        held = self._data
        start = len(held)
        piece = data if len(data) <= self._room - start else data[: self._room - start]
        if start:
            held += piece
        else:
            held = piece  # nearly always all of the head, which is not copied then
        if start < 5 and held:
            self._check_first(held)
        end = find_head_end(held, start)
        if end:
            self._room -= end
            self._data = b""
            return bytes(held[:end]), data[end - start :]
        if len(held) >= self._room:
            what = "response" if self._response else "request"
            raise HandshakeError(
                f"the head of the {what} exceeds the limit of {self._max_size} bytes (RFC 6585 §5)", 431
            )
        if not start:
            self._data = bytearray(held)
        return None

    def _skip_empty_line(self, before: bytes, data: bytes) -> bytes:
        """Return ``data`` without one empty line at its start, of which ``before`` came earlier.

        RFC 9112 §2.2: some clients send one behind a request, or before the next.
        """
        data = before + data
        self._before = data if data in (b"", b"\r") else None
        if self._before is not None:
            return b""
        return data.removeprefix(b"\r\n")

    def _check_first(self, held: bytes | bytearray) -> None:
        """Refuse at once what is no HTTP, such as TLS, and may never have an empty line."""
        if self._response:
            for end in range(1, min(len(held), 5) + 1):
                # No more is shown than it takes: the same however the bytes were cut.
                if held[:end] != b"HTTP/"[:end]:
                    raise HandshakeError(
                        f"the response begins with {bytes(held[:end])!r}, not 'HTTP/' (RFC 9112 §4)"
                    )
        elif chr(held[0]) not in TOKEN:
            raise HandshakeError(f"the request begins with byte 0x{held[0]:02X}, not a method (RFC 9112 §3)")


class ResponseHead(NamedTuple):
    """The head of a response, checked but for what WebSocket asks of it."""

    status: int
    reason: str
    version: str
    headers: Headers


def _take_apart(head: bytes, max_count: int) -> tuple[str, dict[str, list[str]], int]:
    """Return the first line of a head; all values under each name, in small letters; and their number.

    Raises:
        HandshakeError: a control character, CR or LF alone, more than ``max_count`` fields, a folded
            line, a name that is no token.

    """
    taken = split_head(head)
    if taken is None or taken[2] > max_count:
        raise _fault(head, max_count)
    return taken


def _fault(head: bytes, max_count: int) -> HandshakeError:
    """Find out what is wrong with a head."""
    lines = head.split(b"\r\n")
    if head.translate(None, TEXT) != b"\r\n" * (len(lines) - 1):
        number, bad = next((n, bad) for n, line in enumerate(lines, 1) if (bad := line.translate(None, TEXT)))
        what = {0x0D: "a CR without LF", 0x0A: "an LF without CR"}.get(
            bad[0], f"control character 0x{bad[0]:02X}"
        )
        return HandshakeError(f"{what} in line {number} of the head (RFC 9112 §2.2)")
    count = len(lines) - 3  # there is an empty line, and a line end before and behind it
    if count > max_count:
        return HandshakeError(f"{count} header fields exceed the limit of {max_count} (RFC 6585 §5)", 431)
    return next(fault for line in lines[1:-2] if (fault := _fault_of_field(line.decode("latin-1"))))


def _fault_of_field(line: str) -> HandshakeError | None:
    if line[0] in " \t":
        return HandshakeError(f"folded line {shown(line)} in the head (RFC 9112 §5.2)")
    name, colon, _ = line.partition(":")
    if not colon:
        return HandshakeError(f"line {shown(line)} in the head has no colon (RFC 9112 §5)")
    if name and TOKEN.issuperset(name):
        return None
    if TOKEN.issuperset(name.rstrip(" \t")) and name.strip(" \t"):
        return HandshakeError(f"whitespace between {shown(name)} and its colon (RFC 9112 §5.1)")
    return HandshakeError(f"{shown(name)} is not the name of a header field (RFC 9110 §5.1)")


def _check_once(fields: dict[str, list[str]], count: int, once: tuple[str, ...]) -> None:
    """Refuse the ``count`` fields of a head that has one of ``once`` twice."""
    if len(fields) == count:
        return
    for name in once:
        if len(fields.get(name, ())) > 1:
            title = name.title().replace("Websocket", "WebSocket")
            raise HandshakeError(f"{title} occurs {len(fields[name])} times (RFC 9110 §5.3)")


def _is_version(text: str) -> bool:
    return (
        len(text) == 8
        and text.startswith("HTTP/")
        and text[5] in _DIGITS
        and text[6] == "."
        and text[7] in _DIGITS
    )


def headers_of(head: bytes) -> Headers:
    """Return the fields of a head that is well-formed, with the empty line at its end."""
    return Headers.from_lines(head[head.index(b"\r\n") + 2 : -4])


def parse_request(
    head: bytes, max_count: int, old: bool = False
) -> tuple[str, str, str, dict[str, list[str]]]:
    """Parse the head of a request, with the empty line at its end.

    Args:
        head: all of it.
        max_count: how many fields it may have.
        old: whether HTTP/1.0 is as good as 1.1. It needs no Host field.

    Returns:
        Method, target, version such as ``"1.1"``; and the fields: all values under each name, in small
        letters. They are not checked for what WebSocket asks of them.

    Raises:
        HandshakeError: it is malformed (400), has more than ``max_count`` fields (431), a version that
            has no Upgrade field (400) or another syntax (505), or announces a body (400).

    """
    line, fields, count = _take_apart(head, max_count)
    parts = line.split(" ")
    if len(parts) != 3 or not TOKEN.issuperset(parts[0]) or not all(parts):
        raise HandshakeError(f"{shown(line)} is not a request line (RFC 9112 §3)")
    method, target, version = parts
    if not (target.isascii() and target.isprintable()):
        raise HandshakeError(f"{shown(target)} is not a request target (RFC 9112 §3.2)")
    if version != "HTTP/1.1":
        _check_version(version, old)
    _check_once(fields, count, _ONCE_IN_REQUEST)
    if "host" not in fields and version != "HTTP/1.0":
        raise HandshakeError("no Host field (RFC 6455 §4.2.1)")
    # What followed the head would be the body for one reader and frames for another.
    if "transfer-encoding" in fields:
        raise HandshakeError("a request with Transfer-Encoding: it must have no body (RFC 9110 §9.3.1)")
    if "content-length" in fields:
        length = fields["content-length"][0]
        if not length or length.strip("0"):
            raise HandshakeError(
                f"a request with Content-Length {shown(length)}: it must have no body (RFC 9110 §9.3.1)"
            )
    return method, target, version[5:], fields


def _check_version(version: str, old: bool) -> None:
    """Refuse a version of a request, unless it is HTTP/1.1 or a later 1.x, or 1.0 and ``old`` is true."""
    if not _is_version(version):
        raise HandshakeError(f"{shown(version)} is not an HTTP version (RFC 9112 §2.3)")
    # 505 speaks of the major version only (RFC 9110 §15.6.6). HTTP/1.0 is understood, but its Upgrade
    # field does not count (RFC 9110 §7.8), so this is a request that should not have been made: 400.
    if version[5] != "1":
        raise HandshakeError(f"HTTP version {version[5:]}, not 1.1 (RFC 6455 §4.2.1)", 505)
    if version == "HTTP/1.0" and not old:
        raise HandshakeError("HTTP version 1.0, not 1.1 or higher (RFC 6455 §4.2.1)")


class Body:
    """The body of a response, as far as it is kept: up to :data:`BODY_KEPT` bytes."""

    __slots__ = ("_connection", "_kept")

    def __init__(self, connection: h11.Connection) -> None:
        self._connection = connection
        self._kept = bytearray()

    @property
    def kept(self) -> bytes:
        """What there is of it."""
        return bytes(self._kept)

    def feed(self, data: bytes) -> bool:
        """Take a piece, perhaps empty; tell whether the body is complete, or as much as is kept.

        Raises:
            HandshakeError: its chunks are malformed.

        """
        for at in range(0, len(data), _BODY_PIECE):
            if self._events():
                return True
            self._connection.receive_data(data[at : at + _BODY_PIECE])
        return self._events()

    def feed_eof(self) -> None:
        """Take the end of the connection.

        Raises:
            HandshakeError: the body should have been longer.

        """
        self._connection.receive_data(b"")
        self._events()

    def _events(self) -> bool:
        import h11

        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as exc:
                raise HandshakeError(f"malformed body of the response: {str(exc)[:80]}") from None
            if isinstance(event, h11.Data):
                self._kept += event.data[: BODY_KEPT - len(self._kept)]
                if len(self._kept) >= BODY_KEPT:
                    return True
            else:
                return event is not h11.NEED_DATA


class ResponseReader:
    """Parses heads of responses to one request: any 1xx first, then the one that counts."""

    __slots__ = ("_connection",)

    def __init__(self) -> None:
        import h11

        # h11 reads no response without a request before it. Which fields that one had is all the same
        # to it, but for Upgrade: without that it takes no 101.
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_BODY_PIECE)
        fields = [("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
        self._connection.send(h11.Request(method="GET", target="/", headers=fields))
        self._connection.send(h11.EndOfMessage())

    def parse(self, head: bytes, max_count: int) -> ResponseHead:
        """Parse a head, with the empty line at its end.

        Raises:
            HandshakeError: it is malformed, or has more than ``max_count`` fields.

        """
        line, fields, count = _take_apart(head, max_count)
        version, _, rest = line.partition(" ")
        status = rest[:3]
        if (
            not _is_version(version)
            or len(status) != 3
            or not _DIGITS.issuperset(status)
            or status < "100"
            or rest[3:4] not in ("", " ")
        ):
            raise HandshakeError(f"{shown(line)} is not a status line (RFC 9112 §4)")
        _check_once(fields, count, _ONCE_IN_RESPONSE)
        import h11

        self._connection.receive_data(head)
        try:
            # A head that is complete always has an event.
            event: Any = self._connection.next_event()
        except h11.RemoteProtocolError as exc:
            # The checks before are stricter than h11's, but for lengths and codings of bodies.
            raise HandshakeError(f"malformed response: {str(exc)[:80]}") from None
        return ResponseHead(
            event.status_code,
            bytes(event.reason).decode("latin-1"),
            bytes(event.http_version).decode("ascii"),
            headers_of(head),
        )

    def body(self) -> Body:
        """Return the reader of the body of the response that was parsed last."""
        return Body(self._connection)
