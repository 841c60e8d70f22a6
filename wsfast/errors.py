"""The exceptions of wsfast.

Two kinds of mistake are kept apart. What the *peer* did wrong raises :class:`ProtocolError`, which
carries the close code to send back. What the *caller* did wrong raises the built-in ``TypeError``,
``ValueError`` or ``BufferError``, with the same text whichever backend is in use.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["HandshakeError", "InvalidState", "ProtocolError", "WSFastError"]


class WSFastError(Exception):
    """Base class of the exceptions that wsfast defines."""


class ProtocolError(WSFastError):
    """The peer broke a rule of RFC 6455 or RFC 7692, or exceeded a limit.

    Attributes:
        code: the close code that the rule asks for (RFC 6455 §7.4.1): 1002 for a protocol error,
            1007 for text that is not UTF-8, 1009 for a message over the size limit.
        events: what the same call had decoded before the fault, in wire order: the frames or
            messages that it would have returned. They are valid, and are not delivered again.

    """

    code: int
    events: list[Any]

    def __init__(self, message: str, code: int = 1002, events: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.events = list(events)

    def __reduce__(self) -> tuple[type[ProtocolError], tuple[str, int, list[Any]]]:
        return type(self), (self.args[0], self.code, self.events)


class HandshakeError(WSFastError):
    """The peer broke a rule of the opening handshake (RFC 6455 §4), or exceeded a limit.

    Attributes:
        status: the HTTP status that a server answers it with; 400 when nothing else fits.

    """

    status: int

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[HandshakeError], tuple[str, int]]:
        return type(self), (self.args[0], self.status)


class InvalidState(WSFastError):
    """The caller asked for what the state of the connection does not allow, such as to send after a close."""
