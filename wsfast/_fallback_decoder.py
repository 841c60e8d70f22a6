"""The decoders of the pure-Python codec: bytes in, frames or messages out (RFC 6455 §5)."""

from __future__ import annotations

from _thread import allocate_lock
from functools import cache
from io import BytesIO
from operator import index
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from . import arguments, rules
from ._fallback_bytes import OPCODES, as_bytes, decode_piece, flatten, offending, xor
from .errors import ProtocolError
from .frames import Frame
from .rules import DEFAULT_MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

__all__ = ["FrameDecoder", "MessageDecoder", "Messages"]

Event = TypeVar("Event")

# Input is decoded in blocks of at most this many bytes, and a frame that lies in one block whole is
# unmasked at once; so what decoding takes beside its results stays below two blocks.
_BLOCK = 1 << 16

# Larger payloads, and those cut by the end of a block, go into their message by pieces of this many
# bytes: few enough to stay in the cache. A multiple of 4, so that the key's phase stays.
_PIECE = 1 << 14

# Pieces of text that have less bytes than this are put together.
_SMALL_PIECE = 1 << 10

# A compressed message is inflated to results of at most this size: what zlib holds beside them stays in
# proportion (RFC 6455 §10.4).
_INFLATE_MOST = 1 << 16

# Size of the buffers that get_buffer() lends, and what may be asked for.
_LENT_SIZE = 1 << 16
_LENT_SIZE_MAX = 1 << 20


@cache
def _legal_first_bytes(masked: bool, allowed_rsv: int, in_message: bool) -> bytes:
    """Return a table of 256 flags: may a frame start with this byte, its length being 0?"""
    mask_bit = 0x80 if masked else 0
    return bytes(
        rules.first_bytes_fault(
            first, mask_bit, masked=masked, allowed_rsv=allowed_rsv, in_message=in_message
        )
        is None
        for first in range(256)
    )


class _Text:
    """A text that grows by pieces of UTF-8; like BytesIO, for what a decoder needs of it.

    Each piece is decoded, and thereby checked, when it arrives. Of small ones the bytes are kept, and
    decoded again when there is a block of them: a ``str`` for each would be larger than its text.
    """

    __slots__ = ("_blocks", "_held", "_size", "_small")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        # The bytes that are not in a block yet.
        self._small = BytesIO()
        # The last of them, when they begin a code point that the next piece must finish.
        self._held = b""
        # Bytes written.
        self._size = 0

    def write(self, piece: bytes | bytearray) -> None:
        """Add a piece, cut anywhere; raise if it has a byte that no valid text could have there."""
        held = self._held
        text, self._held, fault = decode_piece(held, piece)
        if fault >= 0:
            raise rules.utf8_fault(self._size + fault, piece[fault])
        self._size += len(piece)
        if len(piece) >= _SMALL_PIECE:
            self._end_block(held)
            self._blocks.append(text)
            self._small.write(self._held)
        else:
            self._small.write(piece)
            if self._small.tell() >= _PIECE:
                self._end_block(self._held)
                self._small.write(self._held)

    def _end_block(self, held: bytes) -> None:
        """Make a block of the small pieces, without the code point that they end in."""
        size = self._small.tell() - len(held)
        if size:
            self._blocks.append(self._small.getvalue()[:size].decode())
        self._small = BytesIO()

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._size

    def getvalue(self) -> str:
        """Return the text; raise if it ends inside a code point."""
        if self._held:
            raise rules.utf8_fault(self._size, None)
        self._end_block(b"")
        return "".join(self._blocks)


class _Decoder(Generic[Event]):
    """What all decoders share: input, its buffers, and the end of input after an error."""

    __slots__ = (
        "_allowed_rsv",
        "_compressed",
        "_error",
        "_first",
        "_fragmented",
        "_halted",
        "_in_use",
        "_inflate",
        "_key",
        "_legal_inside",
        "_legal_outside",
        "_lent",
        "_lent_storage",
        "_limit",
        "_masked",
        "_max_size",
        "_missing",
        "_packed",
        "_payload",
        "_pending",
        "_role",
        "_text",
    )

    def __init__(
        self,
        role: str,
        max_size: int | None,
        allowed_rsv: int,
        inflate: Callable[[bytes, bool, int], Buffer] | None = None,
    ) -> None:
        lock = getattr(self, "_in_use", None) or allocate_lock()
        if not lock.acquire(False):
            raise in_use()
        try:
            # Before anything is assigned: a call that fails changes nothing.
            masked = arguments.check_role(role)
            limit = arguments.check_max_size(max_size)
            self._masked = masked
            self._limit = limit
            self._role = role
            self._max_size = max_size
            self._allow(allowed_rsv)
            # A header, or a control frame, whose end has not arrived: at most 130 bytes.
            self._pending = b""
            # The frame of data that is under way: its first byte, the number of bytes that have not
            # arrived, the key for the next of them (empty: not masked).
            self._first = 0
            self._missing = 0
            self._key = b""
            # Where its payload goes. getvalue() gives this storage itself, not a copy.
            self._payload: BytesIO | _Text | None = None
            # In a FrameDecoder, whether a message is under way whose last frame has not begun.
            self._fragmented = False
            # In a MessageDecoder, what the message under way is, and what inflates compressed ones.
            self._text = False
            self._compressed = False
            self._inflate = inflate
            # How many bytes the frames of the message under way have declared, if it is compressed.
            self._packed = 0
            # Whether a close frame came, after which nothing counts (in a Channel only).
            self._halted = False
            # The buffer that get_buffer() lent last.
            self._lent: memoryview | None = None
            self._lent_storage: bytearray | None = None
            # The error that ended the input.
            self._error: ProtocolError | None = None
            # Held during every call. Where there is none, __init__() was not called.
            self._in_use = lock
        finally:
            lock.release()

    def __reduce__(self) -> NoReturn:
        # A copy would share what the original writes to.
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def role(self) -> str:
        """The side that this process plays, ``"client"`` or ``"server"``."""
        return getattr(self, "_role", None)  # type: ignore[return-value]  # None before __init__()

    @property
    def max_size(self) -> int | None:
        """The size limit in bytes, ``None`` for no limit."""
        return getattr(self, "_max_size", None)

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Lend a buffer to read bytes from the peer into (``asyncio.BufferedProtocol``).

        The buffer is valid until the next call of :meth:`buffer_updated`, :meth:`feed` or this
        method, which releases it.

        Args:
            sizehint: how many bytes the caller would like to read; -1 when it does not know.

        Returns:
            A writable view that is not empty. Its size is the decoder's choice: mostly 64 KiB, or
            ``sizehint`` bytes when that is more, up to 1 MiB.

        Raises:
            ProtocolError: an error ended the input before.
            TypeError: ``sizehint`` is not an ``int``.
            RuntimeError: another call to this decoder has not returned.

        """
        size = min(max(index(sizehint), _LENT_SIZE), _LENT_SIZE_MAX)
        self._enter()
        try:
            self._take_back()
            # A new one each time: whoever has had a view can reach its bytearray for ever.
            self._lent_storage = storage = bytearray(size)
            self._lent = memoryview(storage)
            return self._lent
        finally:
            self._in_use.release()

    def buffer_updated(self, nbytes: int, /) -> list[Event]:
        """Decode the bytes that were written at the start of the lent buffer.

        Args:
            nbytes: how many bytes were written, 0 to the size of the buffer.

        Returns:
            What these bytes complete, in wire order, as :meth:`feed` does.

        Raises:
            ProtocolError: as :meth:`feed`.
            ValueError: no buffer is lent, or it has less than ``nbytes`` bytes. The decoder goes on.
            TypeError: ``nbytes`` is not an ``int``. The decoder goes on.
            RuntimeError: another call to this decoder has not returned.

        """
        self._enter()
        try:
            nbytes = index(nbytes)
            storage = self._lent_storage
            if storage is None:
                raise arguments.no_buffer_lent()
            if not 0 <= nbytes <= len(storage):
                raise arguments.bad_nbytes(nbytes, len(storage))
            try:
                with memoryview(storage) as view, view[:nbytes] as written:
                    return self._run(written)
            finally:
                self._take_back()
        finally:
            self._in_use.release()

    def _allow(self, rsv: int) -> None:
        """Allow reserved bits, in place (RSV1 is 0x40)."""
        self._allowed_rsv = rsv
        # The first bytes that are legal before a message, and after the first frame of one.
        self._legal_outside = _legal_first_bytes(self._masked, rsv, False)
        self._legal_inside = _legal_first_bytes(self._masked, rsv, True)

    def _take(self, data: Buffer) -> list[Event]:
        """Do what feed() does."""
        if type(data) is not bytes:
            with flatten("data", data) as view:
                return self._feed(view)
        return self._feed(data)

    def _feed(self, data: bytes | memoryview) -> list[Event]:
        self._enter()
        try:
            if self._lent is not None:
                self._take_back()
            return self._run(data)
        finally:
            self._in_use.release()

    def _enter(self) -> None:
        """Begin a call that decodes or lends; the caller releases ``_in_use``."""
        try:
            entered = self._in_use.acquire(False)
        except AttributeError:
            raise not_initialised() from None
        if not entered:
            raise in_use()
        if self._error is not None:
            self._in_use.release()
            raise rules.failed_before(self._error)

    def _take_back(self) -> None:
        """End the loan of the buffer."""
        lent, self._lent = self._lent, None
        self._lent_storage = None
        if lent is None:
            return
        try:
            lent.release()
        except BufferError:
            return  # something was made of the view that it cannot take back

    def _run(self, data: bytes | memoryview) -> list[Event]:
        events: list[Event] = []
        try:
            self._run_into(events, data)
        except ProtocolError as error:
            error.events = events
            raise
        return events

    def _run_into(self, events: list[Event], data: bytes | memoryview) -> None:
        """Decode ``data``, and remember how it ended when it did not end well."""
        try:
            size = len(data)
            if size <= _BLOCK:
                self._decode(bytes(data), events)
            else:
                # Not data[...]: where nothing counts references, a view lasts until it is released.
                with memoryview(data) as view:
                    for start in range(0, size, _BLOCK):
                        with view[start : start + _BLOCK] as block:
                            piece = bytes(block)
                        self._decode(piece, events)
                        if self._halted:
                            break
        except BaseException as error:
            # At once, and only then what may run somebody else's methods.
            self._fail(ProtocolError(""))
            self._error = rules.failure_of(error)
            raise

    def _fail(self, error: ProtocolError) -> None:
        """Take no more input, and let go of what was decoded so far."""
        self._error = error
        self._payload = None
        self._pending = b""
        self._take_back()

    def _decode(self, data: bytes, events: list[Event]) -> None:
        raise NotImplementedError

    def _fault(self, first: int, second: int, *, in_message: bool) -> ProtocolError:
        """Return what is wrong with the first two bytes of a frame."""
        fault = rules.first_bytes_fault(
            first, second, masked=self._masked, allowed_rsv=self._allowed_rsv, in_message=in_message
        )
        if fault is None:
            raise RuntimeError(f"frame refused for no reason: {first:#04x} {second:#04x}")
        return fault

    def _store(self, payload: BytesIO | _Text, data: bytes, position: int) -> int:
        """Put what has arrived of the frame under way into its storage.

        Returns:
            Where in ``data`` the next frame starts; its end, when ``_missing`` is not 0.

        """
        key = self._key
        stop = min(position + self._missing, len(data))
        self._missing -= stop - position
        while True:
            piece = data[position : min(position + _PIECE, stop)]
            position += len(piece)
            if key:
                phase = len(piece) & 3
                self._put(payload, xor(piece, key), position == stop and not self._missing)
                if phase:
                    self._key = key = key[phase:] + key[:phase]
            else:
                self._put(payload, piece, position == stop and not self._missing)
            if position == stop:
                return position

    def _put(self, payload: BytesIO | _Text, piece: bytes | bytearray, ends_frame: bool) -> None:
        """Put a piece of the frame under way into its storage."""
        payload.write(piece)


class _Feeder(_Decoder[Event]):
    """A decoder that is used by itself, not as a part of a connection."""

    __slots__ = ()

    def feed(self, data: Buffer, /) -> list[Event]:
        """Decode bytes from the peer.

        The chunks may be cut anywhere; what they end in is kept for the next call.

        Args:
            data: any bytes-like object, of any length. It is not changed and not kept: what is
                returned shares no memory with it.

        Returns:
            What these bytes complete, in wire order.

        Raises:
            ProtocolError: the peer broke a rule or exceeded the limit. ``code`` is the close code to
                send; ``events`` is what this call had decoded before. Every later call fails too.
            TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte. The
                decoder goes on.
            RuntimeError: another call to this decoder has not returned. The decoder goes on.

        """
        return self._take(data)


class FrameDecoder(_Feeder[Frame]):
    """Decode a stream of frames (RFC 6455 §5).

    Every rule for frames is enforced: reserved bits and opcodes, shortest length form, control frames
    (judged from their first two bytes), direction of masking, order of fragments, and the size limit
    (judged from the header). Text is not checked for UTF-8, and close frames not for their payload:
    that is :class:`MessageDecoder`'s work.

    Args:
        role: the side that this process plays, ``"client"`` or ``"server"``: a server's peer must
            mask its frames, a client's must not (RFC 6455 §5.1).
        max_size: limit on the payload of a data frame, in bytes; ``None`` for no limit. 1 MiB unless
            given.
        rsv1: whether an extension uses RSV1 as RFC 7692 §6.1 does, on the first frame of a message.
        rsv2: whether an extension uses RSV2.
        rsv3: whether an extension uses RSV3.

    Raises:
        TypeError: ``role`` is not a ``str``, or ``max_size`` not an ``int`` or ``None``.
        ValueError: no such role, or ``max_size`` is negative.

    A frame is delivered when its last byte has arrived. What is held until then is never larger than
    what has arrived, whatever length the header declares.
    """

    __slots__ = ()

    def __init__(
        self,
        role: str,
        *,
        max_size: int | None = DEFAULT_MAX_SIZE,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
    ) -> None:
        super().__init__(
            role, max_size, (0x40 if rsv1 else 0) | (0x20 if rsv2 else 0) | (0x10 if rsv3 else 0)
        )

    def _decode(self, data: bytes, events: list[Frame]) -> None:
        position = 0
        payload = self._payload
        if payload is not None:
            position = self._store(payload, data, 0)
            if self._missing:
                return
            self._payload = None
            events.append(_frame(self._first, cast("BytesIO", payload).getvalue()))
        elif self._pending:
            data = self._pending + data
            self._pending = b""
        end = len(data)
        masked = self._masked
        mask_bit = 0x80 if masked else 0
        limit = self._limit
        legal = self._legal_inside if self._fragmented else self._legal_outside
        key = b""
        while end - position >= 2:
            first = data[position]
            length = data[position + 1] ^ mask_bit
            start = position + 2
            if length > 125 or not legal[first]:
                if length > 127 or first & 8 or not legal[first]:
                    raise self._fault(first, data[position + 1], in_message=self._fragmented)
                start = position + (4 if length == 126 else 10)
                if start > end:
                    break
                length = int.from_bytes(data[position + 2 : start], "big")
                if length < (126 if start - position == 4 else 65536) or length >> 63:
                    raise rules.length_fault(length)
            if masked:
                start += 4
                if start > end:
                    break
                key = data[start - 4 : start]
            stop = start + length
            if not first & 8:
                if length > limit:
                    raise rules.size_fault(length, 0, limit)
                self._fragmented = first < 128
                legal = self._legal_outside if first > 127 else self._legal_inside
                if stop > end:
                    self._first = first
                    self._key = key
                    self._missing = length
                    self._payload = payload = BytesIO()
                    self._store(payload, data, start)
                    return
            elif stop > end:
                break
            content = data[start:stop]
            events.append(_frame(first, bytes(xor(content, key)) if masked else content))
            position = stop
        self._pending = data[position:]


class Messages(_Decoder[Event]):
    """What decodes to messages; what its control frames become is up to the subclass."""

    __slots__ = ()

    def _decode(self, data: bytes, events: list[Any]) -> None:
        position = 0
        payload = self._payload
        if self._missing and payload is not None:
            position = self._store(payload, data, 0)
            if self._missing:
                return
            if self._first > 127:
                self._deliver(payload, events)
                payload = None
        elif self._pending:
            data = self._pending + data
            self._pending = b""
        end = len(data)
        masked = self._masked
        mask_bit = 0x80 if masked else 0
        limit = self._limit
        legal = self._legal_outside if payload is None else self._legal_inside
        key = b""
        content: bytes | bytearray
        while end - position >= 2:
            first = data[position]
            length = data[position + 1] ^ mask_bit
            start = position + 2
            if length > 125 or not legal[first]:
                if length > 127 or first & 8 or not legal[first]:
                    raise self._fault(first, data[position + 1], in_message=payload is not None)
                start = position + (4 if length == 126 else 10)
                if start > end:
                    break
                length = int.from_bytes(data[position + 2 : start], "big")
                if length < (126 if start - position == 4 else 65536) or length >> 63:
                    raise rules.length_fault(length)
            if masked:
                start += 4
                if start > end:
                    break
                key = data[start - 4 : start]
            stop = start + length

            if stop <= end and (first == 0x81 or first == 0x82):  # a message in one frame
                if length > limit:
                    raise rules.size_fault(length, 0, limit)
                content = data[start:stop]
                if masked:
                    content = xor(content, key)
                if first == 0x82:
                    events.append(bytes(content))
                else:
                    try:
                        events.append(content.decode())
                    except UnicodeDecodeError as error:
                        raise _utf8_fault(content, error.start) from None
                position = stop

            elif first & 8:  # a control frame
                if stop > end:
                    break
                content = data[start:stop]
                if masked:
                    content = bytes(xor(content, key))
                if first == 0x88:
                    fault = rules.close_payload_fault(content)
                    if fault is not None:
                        try:
                            raise fault
                        finally:
                            del fault  # or it would keep this frame, which keeps it
                events.append(self._control(first, content))
                if self._halted:
                    return
                position = stop

            else:  # a frame of a fragmented message, or one whose end has not arrived
                if payload is None:
                    self._text = first & 0x0F == 1
                    self._compressed = first & 0x40 != 0
                    self._packed = 0
                    if length > limit or self._compressed:
                        self._judge_size(length, 0)
                    payload = _Text() if self._text else BytesIO()
                    self._payload = payload
                    legal = self._legal_inside
                else:
                    received = payload.tell()
                    if length > limit - received or self._compressed:
                        self._judge_size(length, received)
                self._first = first
                self._missing = length
                self._key = key
                position = self._store(payload, data, start)
                if self._missing:
                    return
                if first > 127:
                    self._deliver(payload, events)
                    payload = None
                    legal = self._legal_outside
        self._pending = data[position:]

    def _control(self, first: int, payload: bytes) -> Event:
        """Return the event of a control frame."""
        raise NotImplementedError

    def _deliver(self, payload: BytesIO | _Text, events: list[Event]) -> None:
        """Append the message in ``payload``, which is whole."""
        self._payload = None
        events.append(cast("Event", payload.getvalue()))

    def _judge_size(self, length: int, received: int) -> None:
        """Refuse a frame that exceeds the limit on its message, or what a compressed one may need for it."""
        if not self._compressed:
            raise rules.size_fault(length, received, self._limit)
        if length > rules.compressed_limit(self._limit) - self._packed:
            raise rules.size_fault(length, self._packed, self._limit)
        self._packed += length

    def _put(self, payload: BytesIO | _Text, piece: bytes | bytearray, ends_frame: bool) -> None:
        if not self._compressed:
            payload.write(piece)
            return
        final = ends_frame and self._first > 127
        if piece or final:
            self._inflate_onto(payload, bytes(piece), final)

    def _inflate_onto(self, payload: BytesIO | _Text, piece: bytes, final: bool) -> None:
        """Inflate a piece of the message under way onto its storage."""
        while True:
            room = self._limit - payload.tell()
            most = min(room, _INFLATE_MOST - 1) + 1
            inflated = self._inflated(piece, final, most)
            if len(inflated) > most:
                raise arguments.inflated_too_much(len(inflated), most)
            if len(inflated) > room:
                raise rules.inflated_size_fault(self._limit)
            if inflated:
                payload.write(inflated)
            if len(inflated) < most:
                return
            piece = b""

    def _inflated(self, piece: bytes, final: bool, most: int) -> bytes:
        if self._inflate is None:
            raise RuntimeError("compressed message without inflate")
        try:
            result = self._inflate(piece, final, most)
        except (ProtocolError, MemoryError):
            raise
        except Exception as error:
            raise ProtocolError(f"cannot inflate message: {error}") from error
        return as_bytes("inflated message", result)


class MessageDecoder(Messages["str | bytes | Frame"], _Feeder["str | bytes | Frame"]):
    """Decode a stream of messages (RFC 6455 §5, §8.1).

    Text messages come out as ``str``, binary ones as ``bytes``, close, ping and pong as
    :class:`~wsfast.Frame`, in the order in which they end on the wire: a control frame between the
    fragments of a message comes before it. Bytes after a close frame are decoded like any others; a
    connection discards them (RFC 6455 §1.4).

    Beside the rules for frames (see :class:`FrameDecoder`), text must be UTF-8, which fails at the
    first byte that no valid text could have at its place, also inside a frame whose end has not
    arrived; and close payloads must be valid (RFC 6455 §5.5.1, §7.4).

    Args:
        role: the side that this process plays, ``"client"`` or ``"server"``: a server's peer must
            mask its frames, a client's must not (RFC 6455 §5.1).
        max_size: limit on a message, in bytes of its payload, before and after decompression;
            ``None`` for no limit. 1 MiB unless given. Control frames do not count.
        inflate: ``None``, or what decompresses messages whose first frame has RSV1 set (RFC 7692
            §6.1), which is then allowed. It is called as ``inflate(piece, final, max_length)`` with
            the compressed messages one after the other, each in pieces of at most 16 KiB as they
            arrive; ``final`` tells the last piece of a message, which may be empty. It returns a
            bytes-like object of at most ``max_length`` bytes, which is 1 or more; when it returns just
            as many, it is called again, with an empty piece, for what it could not return yet. A
            :class:`~wsfast.ProtocolError` that it raises is the decoder's; any other ``Exception``
            becomes one with the code 1002.

    Raises:
        TypeError: ``role`` is not a ``str``, or ``max_size`` not an ``int`` or ``None``.
        ValueError: no such role, or ``max_size`` is negative.

    A message is gathered in one buffer that grows with what arrives, never larger than that, whatever
    length a header declares and however small the fragments are.
    """

    __slots__ = ()

    def __init__(
        self,
        role: str,
        *,
        max_size: int | None = DEFAULT_MAX_SIZE,
        inflate: Callable[[bytes, bool, int], Buffer] | None = None,
    ) -> None:
        super().__init__(role, max_size, 0 if inflate is None else 0x40, inflate)

    def _control(self, first: int, payload: bytes) -> Frame:
        return _frame(first, payload)


def _frame(first: int, payload: bytes) -> Frame:
    opcode: Any = OPCODES[first & 0x0F]
    if first & 0x70:
        return Frame(opcode, payload, first > 127, first & 0x40 != 0, first & 0x20 != 0, first & 0x10 != 0)
    return Frame(opcode, payload, first > 127)


def _utf8_fault(text: bytes | bytearray, start: int) -> ProtocolError:
    """Say which byte spoils a whole text that is valid up to ``start``."""
    at = offending(text, start)
    return rules.utf8_fault(at, text[at] if at < len(text) else None)


def not_initialised() -> RuntimeError:
    return RuntimeError("__init__() was not called")


def in_use() -> RuntimeError:
    return RuntimeError("the decoder is in use by another call")
