"""Whole messages off the front of a buffer, made into what another library queues (RFC 6455 §5)."""

from __future__ import annotations

from _thread import RLock
from operator import index
from typing import TYPE_CHECKING, Any, NoReturn

from . import arguments
from ._fallback_bytes import as_bytes, xor

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

__all__ = ["MessageQueue", "MessageTaker"]


class MessageTaker:
    """Takes whole messages off the front of a buffer, for a library that has a parser of its own.

    It takes the frames that nearly all traffic consists of, and stops before anything else: a frame of
    which the end is missing, that breaks a rule, exceeds the limit, has a length not in its shortest form,
    or closes the connection. What that is, and what to do about it, the library's parser says; afterwards
    this goes on. It remembers nothing but the fragmented message under way.

    Args:
        text: a template for text messages: a tuple, or instance of a class made by ``namedtuple()``, of 2
            items or more. Each message is a copy of it with the payload as the second item.
        binary: the same for binary messages.
        ping: the same for pings, which are not taken if it is ``None``. The payload of a control frame is
            ``bytes``, but a ``bytearray`` if the frame was masked.
        pong: the same for pongs.
        masked: whether frames must be masked, or must not be; ``None`` to take either.
        max_size: the limit on the payload of a message in bytes, compressed ones before they are
            inflated; ``None`` for no limit.
        inflate: takes the payload of a message with RSV1 set and returns what it inflates to, both as
            ``bytes`` (RFC 7692 §7.2.2); what it raises passes through. ``None``: such frames are not taken.
        decode: whether the payload of text is a ``str``; otherwise it is ``bytes``, and not looked at.
        overhead: what a message counts for in addition to its payload.

    """

    #: Whether the fragmented message under way is compressed.
    compressed: bool
    #: How many data frames the last call took, and whether any call took one.
    frames: int
    begun: bool

    def __init__(
        self,
        text: tuple[Any, ...],
        binary: tuple[Any, ...],
        ping: tuple[Any, ...] | None = None,
        pong: tuple[Any, ...] | None = None,
        *,
        masked: bool | None = None,
        max_size: int | None = None,
        inflate: Callable[[bytes], bytes] | None = None,
        decode: bool = True,
        overhead: int = 0,
    ) -> None:
        self._limit = arguments.check_max_size(max_size)
        self._text = arguments.check_template("text", text)
        self._binary = arguments.check_template("binary", binary)
        self._ping = None if ping is None else arguments.check_template("ping", ping)
        self._pong = None if pong is None else arguments.check_template("pong", pong)
        self._masked = None if masked is None else bool(masked)
        self._overhead = index(overhead)
        self._inflate = inflate
        self._decode = bool(decode)
        self._opcode = -1
        self._partial = bytearray()
        self.compressed = self.begun = False
        self.frames = 0
        self._lock = RLock()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def opcode(self) -> int:
        """The opcode of the fragmented message under way, or -1."""
        return self._opcode

    @opcode.setter
    def opcode(self, value: int) -> None:
        self._opcode = max(index(value), -1)

    @property
    def partial(self) -> bytearray:
        """The payloads of the fragments so far; it is added to, and emptied when the message is whole."""
        return self._partial

    @partial.setter
    def partial(self, value: bytearray) -> None:
        self._partial = arguments.check_bytearray("partial", value)

    def need(self, data: Buffer, start: int = 0, /) -> int:
        """Say how many bytes must be there for :meth:`take` to get further.

        Args:
            data: any bytes-like object, of any length.
            start: where a frame begins in it.

        Returns:
            The size of the frame, which may be there already; while its header is incomplete, and nothing
            in it wrong, how much of it must be there to tell more; 0 if :meth:`take` would never take it.

        """
        with self._lock:
            return self._measure(as_bytes("data", data), _place(start))[0]

    def take(self, data: Buffer, start: int, room: int, entries: list[Any], /) -> tuple[int, int, int]:
        """Take messages.

        Args:
            data: any bytes-like object, of any length. It is not changed and not kept.
            start: where a frame begins in it.
            room: no frame is taken once the messages add up to more than this.
            entries: a pair for each message is appended: the message, and the size of its payload in bytes,
                after inflating and before decoding.

        Returns:
            Where the first frame begins that was not taken; what the messages add up to, with their
            ``overhead``; and how many data frames were taken.

        Raises:
            UnicodeDecodeError: a text message is not UTF-8. The messages before it are in ``entries``.

        """
        begin = _place(start)
        with self._lock:
            arguments.check_list("entries", entries)
            data = as_bytes("data", data)
            used, taken = self._run(data, min(begin, len(data)), index(room), entries)
            return used, taken, self.frames

    def _run(self, data: bytes, start: int, room: int, entries: list[Any]) -> tuple[int, int]:
        before = len(entries)
        end = len(data)
        taken = self.frames = 0
        while start < end and taken <= room:
            size, header = self._measure(data, start)
            if not size or start + size > end:
                break
            self._take_frame(data, start, start + header, start + size, entries)
            if len(entries) > before:
                before += 1
                taken += entries[-1][1] + self._overhead
            if not data[start] & 0x08:
                self.frames += 1
                self.begun = True
            start += size
        return start, taken

    def _fits(self, first: int, second: int) -> bool:
        """Tell whether a frame may begin like this here."""
        if first & 0x30 or (self._masked is not None and (second >= 0x80) != self._masked):
            return False
        opcode = first & 0x0F
        if opcode == 1 or opcode == 2:
            return self._opcode < 0 and (not first & 0x40 or self._inflate is not None)
        if first & 0x40:
            return False
        if opcode == 0:
            return self._opcode >= 0
        if opcode == 9 or opcode == 10:
            template = self._ping if opcode == 9 else self._pong
            return template is not None and first >= 0x80 and second & 0x7F <= 125
        return False

    def _measure(self, data: bytes, start: int) -> tuple[int, int]:
        """Return what need() returns, and the size of the header if it is whole."""
        head = data[start : start + 14]
        n = len(head)
        if n < 2:
            return 2, 0
        first, second = head[0], head[1]
        if not self._fits(first, second):
            return 0, 0
        length = second & 0x7F
        size = 2
        if length >= 126:
            size = 4 if length == 126 else 10
            if n < size:
                return size, 0
            length = int.from_bytes(head[2:size], "big")
            if length < (126 if size == 4 else 65536) or length >> 63:
                return 0, 0
        if not first & 0x08:
            limit = self._limit
            if not first & 0x0F:
                limit = max(limit - len(self._partial), 0)
            if length > limit:
                return 0, 0
        if second >= 0x80:
            size += 4
            if n < size:
                return size, 0
        return size + length, size

    def _take_frame(self, data: bytes, start: int, begin: int, stop: int, entries: list[Any]) -> None:
        first = data[start]
        opcode = first & 0x0F
        raw = data[begin:stop]
        payload: bytes | bytearray = raw
        if data[start + 1] & 0x80:
            payload = xor(raw, data[begin - 4 : begin])
            if opcode & 0x08:
                payload = bytearray(payload)
        if opcode & 0x08:
            self._add(self._ping if opcode == 9 else self._pong, payload, len(payload), entries)
            return
        payload = bytes(payload)
        compressed = first & 0x40 != 0
        if not opcode or first < 0x80:
            self._partial += payload
            if opcode:
                self._opcode = opcode
                self.compressed = compressed
            if first < 0x80:
                return
            opcode = self._opcode
            compressed = self.compressed
            self._opcode = -1
            payload = bytes(self._partial)
            self._partial.clear()
        if compressed:
            inflated: Any = self._inflate(payload)  # type: ignore[misc]
            if type(inflated) is not bytes:
                raise arguments.not_inflated_bytes(inflated)
            payload = inflated
        if opcode == 1:
            self._add(self._text, payload.decode() if self._decode else payload, len(payload), entries)
        else:
            self._add(self._binary, payload, len(payload), entries)

    def _add(self, template: Any, payload: str | bytes | bytearray, size: int, entries: list[Any]) -> None:
        items = (template[0], payload, *template[2:])
        entries.append((tuple.__new__(type(template), items), size))


class MessageQueue:
    """What has to be quick about a queue of messages that pauses its source: the ways in and out.

    It is a base for a class that has the rest, and sets the attributes.
    """

    #: A ``deque`` of pairs: a message, which is a tuple, and the size of its payload.
    _buffer: Any
    #: Its ``popleft`` and ``append``.
    _get_buffer: Any
    _put_buffer: Any
    #: A future that somebody awaits, or ``None``.
    _waiter: Any
    #: Has ``pause_reading()``, and tells by ``_reading_paused`` whether that was called.
    _protocol: Any
    #: Not ``None`` while somebody waits for half of the room.
    _stalled_reader: Any
    #: What the messages in the queue add up to, and from where on the source is paused.
    _size: int
    _limit: int

    def feed(self, taker: MessageTaker, data: bytes, /) -> int:
        """Put in what ``taker`` takes off the front of ``data``, as far as there is room.

        Returns:
            Where the first frame begins that was not taken.

        Raises:
            Exception: what :meth:`MessageTaker.take` raises. The messages before are in the queue.

        """
        entries: list[Any] = []
        try:
            used, size, _ = taker.take(data, 0, self._limit - self._size, entries)
        except BaseException:
            self.put(entries, sum(size + taker._overhead for _, size in entries))
            raise
        self.put(entries, size)
        return used

    def put(self, entries: list[Any], size: int, /) -> None:
        """Put in entries that add up to ``size``, wake who waits for them, pause the source if need be."""
        if not entries:
            return
        self._buffer.extend(entries)
        self._size += size
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._size > self._limit and not self._protocol._reading_paused:
            self._protocol.pause_reading()

    def pop_plain(self, kinds: tuple[Any, ...], overhead: int, /) -> Any:
        """Take the next message out, if that is all there is to do.

        Args:
            kinds: a tuple of objects, one of which must be the message's first item.
            overhead: what a message counts for in addition to its payload.

        Returns:
            The message; ``None`` if there is none, if it is of another kind, or if somebody waits for the
            room that it leaves.

        """
        if not self._buffer:
            return None
        entry = self._buffer[0]
        if not isinstance(entry, tuple) or len(entry) != 2:
            return None
        message, size = entry
        if not isinstance(message, tuple) or not message or all(message[0] is not kind for kind in kinds):
            return None
        left = self._size - size - overhead
        if self._stalled_reader is not None:
            if left <= self._limit // 2:
                return None
        elif left < self._limit and self._protocol._reading_paused:
            return None
        self._get_buffer()
        self._size = left
        return message


def _place(start: int) -> int:
    number = index(start)
    if number < 0:
        arguments.check_offset(number)  # raises
    return number
