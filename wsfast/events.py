"""What :meth:`wsfast.Connection.receive_data` returns beside messages, which are ``str`` and ``bytes``.

Small immutable objects. Two of the same class are equal when their fields are.
"""

from __future__ import annotations

from ._backend import set_fields

TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

    from .errors import HandshakeError, ProtocolError
    from .headers import Headers

    #: What a connection delivers.
    Event: TypeAlias = "str | bytes | Ping | Pong | Close | Request | Response | Rejected"

__all__ = ["Close", "Ping", "Pong", "Rejected", "Request", "Response"]


class _Fields:
    """What the events share: fields that are set once, equality, repr, and pattern matching."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot delete {name!r}")

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        fields = [
            f"{name}={value!r}" for name, value in zip(self.__match_args__, self._values(), strict=True)
        ]
        return f"{type(self).__name__}({', '.join(fields)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()


class Ping(_Fields):
    """The peer asks for a pong (RFC 6455 §5.5.2); the connection has answered by itself.

    Attributes:
        payload: 0 to 125 bytes.

    """

    __slots__ = __match_args__ = ("payload",)
    payload: bytes

    def __init__(self, payload: bytes = b"") -> None:
        set_fields(self, (payload,))


class Pong(_Fields):
    """The peer answers a ping, or shows that it is there (RFC 6455 §5.5.3).

    Attributes:
        payload: 0 to 125 bytes: that of the ping it answers.

    """

    __slots__ = __match_args__ = ("payload",)
    payload: bytes

    def __init__(self, payload: bytes = b"") -> None:
        set_fields(self, (payload,))


class Close(_Fields):
    """The end of an open connection: always the last event, and there is exactly one.

    Attributes:
        code: why. The code of the peer's close frame, 1005 when it had none (RFC 6455 §7.1.5); the
            code that was sent to the peer when it broke a rule (1002, 1007, 1009); 1006 when the
            transport ended without a close frame.
        reason: the reason in that frame; empty when there is none.
        error: what the peer did wrong; ``None`` when it did nothing wrong.

    """

    __slots__ = __match_args__ = ("code", "reason", "error")
    code: int
    reason: str
    error: ProtocolError | None

    def __init__(self, code: int, reason: str = "", error: ProtocolError | None = None) -> None:
        set_fields(self, (code, reason, error))


class Request(_Fields):
    """A client asks for a WebSocket connection (RFC 6455 §4.1): answer by ``accept()`` or ``reject()``.

    Every rule for the request has been checked. With ``plain_http=True`` it may also be a request for
    something else, a page say, which can only be answered by ``reject()``, of whatever status.

    Attributes:
        target: what stands in the request line: path and query, percent-encoded.
        headers: the fields of the head, in order.
        host: the Host field.
        origin: the Origin field, which browsers send; ``None`` without one (RFC 6455 §10.2).
        subprotocols: those that the client offers, best first.
        extensions: the values of the Sec-WebSocket-Extensions fields, as they stand.
        error: why it is not one for a WebSocket connection, with ``plain_http=True``; ``None`` for one
            that is.

    """

    __slots__ = __match_args__ = (
        "target",
        "headers",
        "host",
        "origin",
        "subprotocols",
        "extensions",
        "error",
    )
    target: str
    headers: Headers
    host: str
    origin: str | None
    subprotocols: tuple[str, ...]
    extensions: tuple[str, ...]
    error: HandshakeError | None

    def __init__(
        self,
        target: str,
        headers: Headers,
        host: str,
        origin: str | None = None,
        subprotocols: tuple[str, ...] = (),
        extensions: tuple[str, ...] = (),
        error: HandshakeError | None = None,
    ) -> None:
        set_fields(self, (target, headers, host, origin, subprotocols, extensions, error))


class Response(_Fields):
    """The server has opened the connection (RFC 6455 §4.2.2): from here on both sides send messages.

    Attributes:
        headers: the fields of the head, in order.
        subprotocol: the one agreed upon; ``None`` for none.
        extensions: the values of the Sec-WebSocket-Extensions fields, as they stand.

    """

    __slots__ = __match_args__ = ("headers", "subprotocol", "extensions")
    headers: Headers
    subprotocol: str | None
    extensions: tuple[str, ...]

    def __init__(
        self, headers: Headers, subprotocol: str | None = None, extensions: tuple[str, ...] = ()
    ) -> None:
        set_fields(self, (headers, subprotocol, extensions))


class Rejected(_Fields):
    """The opening handshake failed: always the last event then.

    For a client: the server answered with another status than 101, such as a redirect or 401, or broke
    a rule. For a server: the request broke a rule, and the answer is in ``data_to_send()``.

    Attributes:
        status: the status of the response, received or sent; ``None`` when there was none.
        reason: the words behind it in the status line.
        headers: the fields of that response, in order.
        body: what came with it, as far as it was kept.
        error: the rule that the peer broke; ``None`` for a server's ordinary answer.

    """

    __slots__ = __match_args__ = ("status", "reason", "headers", "body", "error")
    status: int | None
    reason: str
    headers: Headers
    body: bytes
    error: HandshakeError | None

    def __init__(
        self,
        status: int | None,
        reason: str,
        headers: Headers,
        body: bytes = b"",
        error: HandshakeError | None = None,
    ) -> None:
        set_fields(self, (status, reason, headers, body, error))
