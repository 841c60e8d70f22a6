"""The data phase of a connection, in pure Python (RFC 6455 §5, §6)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import arguments, rules
from ._fallback_bytes import as_bytes
from ._fallback_decoder import Messages, in_use, not_initialised
from ._fallback_frames import encode_frame
from .errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Self

    from .events import Event

__all__ = ["Channel"]


class Channel(Messages[Any]):
    """What :class:`wsfast.Connection` is built on: the paths that nearly all traffic takes.

    Whole messages go in and out here. What is rare is left to methods of the subclass:

    - ``_receive_otherwise(data)`` returns the events of input while ``_receiving`` is false;
    - ``_take_due()`` returns the bytes that this side has to say by itself, while ``_due`` is true;
    - ``_on_control(opcode, payload)`` returns the event of a control frame, whose payload is valid;
    - ``_on_interrupt(events, error)`` is told of any other exception, in words, and of the events before it;
    - ``_on_fault(error)`` returns the event of a :class:`~wsfast.ProtocolError`, which ends the input;
    - ``_send(opcode, payload, fin, compress)`` returns the bytes of what is not a whole message to be sent
      as it is: while ``_sending`` is false, fragments, what may have to be compressed, wrong arguments.
    """

    __slots__ = ("_due", "_gather", "_masking", "_reads", "_receiving", "_sending", "_threshold")

    #: Whether frames are decoded; otherwise input goes to ``_receive_otherwise()``.
    _receiving: bool
    #: Whether a whole message goes out as it is; otherwise output goes to ``_send()``.
    _sending: bool
    #: Whether this side has something to say by itself.
    _due: bool
    #: While the head of a handshake is gathered: takes a piece of it and returns true, or leaves it and
    #: returns false. Otherwise ``None``.
    _gather: Callable[[bytes], bool] | None
    #: Counts the calls that decode frames.
    _reads: int

    if TYPE_CHECKING:

        def _take_due(self) -> bytes: ...
        def _receive_otherwise(self, data: bytes) -> list[Event]: ...
        def _on_control(self, opcode: int, payload: bytes) -> Event: ...
        def _on_fault(self, error: ProtocolError) -> Event: ...
        def _on_interrupt(self, events: list[Event], error: ProtocolError) -> None: ...
        def _send(self, opcode: int, payload: str | bytes, fin: bool, compress: bool | None) -> bytes: ...

    def __new__(cls, *args: Any, **options: Any) -> Self:
        # Without __init__() it is closed in both directions.
        self = super().__new__(cls)
        self._receiving = self._sending = self._due = False
        self._gather = None
        return self

    def __init__(self, role: str, max_size: int | None) -> None:
        super().__init__(role, max_size, 0)
        self._masking = not self._masked
        # Messages of this many bytes and more go to _send(), which compresses them.
        self._threshold = sys.maxsize
        self._reads = 0
        self._gather = None
        self._receiving = self._sending = self._due = False

    def _open(
        self, inflate: Callable[[bytes, bool, int], Buffer] | None = None, threshold: int | None = None
    ) -> None:
        """Begin the data phase."""
        self._inflate = inflate
        self._allow(0 if inflate is None else 0x40)
        self._threshold = sys.maxsize if threshold is None else threshold
        self._receiving = self._sending = True

    # ---- In ----------------------------------------------------------------------------------------

    def receive_data(self, data: Buffer, /) -> list[Event]:
        """Take bytes from the peer.

        The chunks may be cut anywhere; what they end in is kept for the next call.

        Args:
            data: any bytes-like object, of any length. It is not changed and not kept: what is
                returned shares no memory with it.

        Returns:
            What these bytes complete, in wire order. What the peer does wrong is an event too, the last
            one: see :class:`~wsfast.events.Close` and :class:`~wsfast.events.Rejected`.

        Raises:
            TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte. The
                connection goes on.
            RuntimeError: another call to this connection has not returned. It goes on.
            BaseException: what broke the decoding off, ``KeyboardInterrupt`` or ``MemoryError`` say. The
                connection has failed then, with the close code 1011: the next call, with any data, or
                :meth:`receive_eof` returns the events before it, and the Close that says so.

        """
        gather = self._gather
        if gather is not None and type(data) is bytes and self._lent is None and self._in_use.acquire(False):
            try:
                if gather(data):
                    return []
            finally:
                self._in_use.release()
        return self._take(data)

    def _run(self, data: bytes | memoryview) -> list[Event]:
        if not self._receiving:
            # What comes behind a handshake is decoded by a call from there.
            self._in_use.release()
            try:
                return self._receive_otherwise(bytes(data))
            finally:
                self._in_use.acquire(False)
        self._reads += 1
        events: list[Event] = []
        try:
            self._run_into(events, data)
        except BaseException as error:
            self._receiving = False
            self._inflate = None
            self._error = None
            if not isinstance(error, ProtocolError):
                self._on_interrupt(events, rules.failure_of(error))
                raise
            events.append(self._on_fault(error))
        return events

    def _check_free(self) -> None:
        """Raise if another call decodes."""
        try:
            is_free = not self._in_use.locked()
        except AttributeError:
            raise not_initialised() from None
        if not is_free:
            raise in_use()

    def _control(self, first: int, payload: bytes) -> Event:
        opcode = first & 0x0F
        if opcode == 8:
            # RFC 6455 §1.4: what follows a close frame is discarded, and so is a message under way.
            self._halted = True
            self._receiving = False
            self._inflate = None
            self._payload = None
        return self._on_control(opcode, payload)

    # ---- Out ---------------------------------------------------------------------------------------

    def send_text(self, text: str, fin: bool = True, compress: bool | None = None) -> bytes:
        """Return the frame of a text message, or of a fragment of one (RFC 6455 §5.4, §5.6).

        Args:
            text: what to send, of any length.
            fin: whether the message ends here. After a call with ``False`` the next one goes on with
                the same message.
            compress: ``True`` or ``False`` to compress this message or not, if permessage-deflate was
                agreed upon; ``None`` to decide by its size. What the first fragment says counts.

        Returns:
            New ``bytes`` to write.

        Raises:
            TypeError: ``text`` is not a ``str``.
            UnicodeEncodeError: ``text`` has a lone surrogate.
            InvalidState: the connection is not open, or a binary message is under way.

        """
        if not isinstance(text, str):
            raise arguments.not_text("text", text)
        if self._sending and fin is True and compress is None:
            payload = str.encode(text)
            if len(payload) < self._threshold:
                return encode_frame(1, payload, mask=self._masking)
        return self._send(1, text, fin, compress)

    def send_binary(self, data: Buffer, fin: bool = True, compress: bool | None = None) -> bytes:
        """Return the frame of a binary message, or of a fragment of one (RFC 6455 §5.4, §5.6).

        Args:
            data: any bytes-like object of single bytes, of any length. It is copied.
            fin: as for :meth:`send_text`.
            compress: as for :meth:`send_text`.

        Returns:
            New ``bytes`` to write.

        Raises:
            TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte.
            InvalidState: the connection is not open, or a text message is under way.

        """
        payload = data if type(data) is bytes else as_bytes("data", data)
        if self._sending and fin is True and compress is None and len(payload) < self._threshold:
            return encode_frame(2, payload, mask=self._masking)
        return self._send(2, payload, fin, compress)

    def send_message(self, data: str | Buffer, fin: bool = True, compress: bool | None = None) -> bytes:
        """Return the frame of a message: text for a ``str``, binary for anything bytes-like.

        As :meth:`send_text` and :meth:`send_binary`.
        """
        if isinstance(data, str):
            return self.send_text(data, fin, compress)
        return self.send_binary(as_bytes("data", data, arguments.not_text_or_bytes_like), fin, compress)

    def data_to_send(self) -> bytes:
        """Return what this side has to say by itself, to be written; empty when there is nothing.

        To be called when the events of :meth:`receive_data` have been handled. It is a client's request
        and a server's refusal of a wrong one; the pongs that did not go with a message; the answer to a
        close frame, or the close frame for a peer that broke a rule, after which no message can be sent.
        """
        return self._take_due() if self._due else b""

    def _frame(self, opcode: int, payload: str | Buffer = b"", fin: bool = True, rsv1: bool = False) -> bytes:
        """Return a frame, masked if this side has to."""
        return encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=self._masking)
