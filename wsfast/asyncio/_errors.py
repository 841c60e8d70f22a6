"""What the endpoints raise besides wsfast's other exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import HandshakeError, WSFastError

if TYPE_CHECKING:
    from ..events import Close, Rejected

__all__ = [
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "InvalidStatus",
    "ProxyError",
]

#: The codes of an end that somebody wanted (RFC 6455 §7.4.1); 1005 stands for none.
_WANTED = (1000, 1001, 1005)


class ConnectionClosed(WSFastError):
    """The connection has ended, or is ending: nothing can be received or sent any more.

    Attributes:
        received: the close frame that came from the peer; ``None`` if none did.
        sent: the close frame that was sent; ``None`` if none was.
        received_first: whether it was the peer that began; ``None`` unless there are both.

    """

    received: Close | None
    sent: Close | None
    received_first: bool | None

    def __init__(
        self, received: Close | None, sent: Close | None, received_first: bool | None = None
    ) -> None:
        super().__init__(received, sent, received_first)
        self.received = received
        self.sent = sent
        self.received_first = received_first

    def __str__(self) -> str:
        received = self.received and f"received {_words(self.received)}"
        sent = self.sent and f"sent {_words(self.sent)}"
        if received and sent:
            first, then = (received, sent) if self.received_first else (sent, received)
            return f"{first}; then {then}"
        if received:
            return f"{received}; no close frame sent"
        return f"{sent}; no close frame received" if sent else "no close frame received or sent"


class ConnectionClosedOK(ConnectionClosed):
    """It ended as somebody wanted: both close frames have the code 1000 or 1001, or none."""


class ConnectionClosedError(ConnectionClosed):
    """It ended otherwise: without a closing handshake, or with a code that tells of a mistake."""


class ConcurrencyError(WSFastError):
    """Two calls of one kind at a time, of which the second cannot wait: ``recv()`` during ``recv()``."""


class InvalidStatus(HandshakeError):
    """The server answered with another status than 101.

    Attributes:
        response: its answer.

    """

    response: Rejected

    def __init__(self, response: Rejected) -> None:
        super().__init__(f"the server rejected the connection: {response.status} {response.reason}")
        self.response = response

    def __reduce__(self) -> Any:
        return type(self), (self.response,)


class ProxyError(WSFastError):
    """The proxy does not connect to the server."""


def closed(received: Close | None, sent: Close | None, received_first: bool | None) -> ConnectionClosed:
    """Make the exception that tells how a connection ended."""
    kind = ConnectionClosedOK if is_wanted(received, sent) else ConnectionClosedError
    return kind(received, sent, received_first)


def is_wanted(received: Close | None, sent: Close | None) -> bool:
    """Tell whether a connection ended as somebody wanted, by the close frames that there were."""
    return received is not None and sent is not None and received.code in _WANTED and sent.code in _WANTED


def _words(close: Close) -> str:
    return f"{close.code} {close.reason}".rstrip()
