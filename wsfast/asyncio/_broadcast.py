"""One message to many connections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..prepared import PreparedMessage

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._connection import Connection

__all__ = ["Counts", "broadcast"]


class Counts(NamedTuple):
    """What became of a broadcast."""

    #: Connections that it was sent to.
    sent: int
    #: Those that it was not sent to, since they read too slowly.
    skipped: int
    #: Those that were closed for it.
    closed: int


def broadcast(
    connections: Iterable[Connection], message: str | Buffer | PreparedMessage, *, slow: str = "skip"
) -> Counts:
    """Send a message to many connections, without waiting for any.

    It is encoded once, and compressed once for each set of parameters that connections agreed on.
    Connections that have ended are passed over. A connection is slow while more waits to be sent to it than
    its ``write_limit``. One to which a message is being sent in fragments is skipped, whatever the policy.

    Args:
        connections: to send to.
        message: ``str``, bytes-like, or prepared already.
        slow: what to do about slow connections: ``"skip"`` them, ``"send"`` all the same, which takes
            memory without limit, or ``"close"`` them with 1013 ("try again later").

    Returns:
        How many it was sent to, how many it was not, and how many were closed.

    Raises:
        TypeError: ``message`` is nothing of that kind.
        ValueError: no such policy.

    """
    if slow not in ("skip", "send", "close"):
        raise ValueError(f"slow must be 'skip', 'send' or 'close', not {slow!r}")
    prepared = message if isinstance(message, PreparedMessage) else PreparedMessage(message)
    frame, always = prepared.frame(None), slow == "send"
    sent = skipped = closed = 0
    for connection in connections:
        outcome = connection._broadcast(prepared, frame, always)
        if outcome == 1:
            sent += 1
        elif outcome == 2:
            if slow == "close" and connection._fragments is None:
                connection._begin_closing(1013, "too slow")
                closed += 1
            else:
                skipped += 1
    return Counts(sent, skipped, closed)
