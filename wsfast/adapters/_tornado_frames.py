"""The functions that take the place of those of ``tornado``; it must be installed.

:mod:`wsfast.adapters.tornado` puts them there, and tells what they keep to. A connection that begins while
wsfast is installed has a :class:`_Reader` until it ends; others keep the loop that they have.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from types import CoroutineType
from typing import Any

from tornado import escape, websocket
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError

from .. import rules
from .._backend import MessageTaker, apply_mask, encode_frame, parse_header
from ..compression import Inflater
from ..errors import ProtocolError
from . import tornado as adapter

__all__ = ["Protocol", "bind", "receive_frame_loop", "works", "write_frame", "write_message"]

Protocol = websocket.WebSocketProtocol13
WebSocketClosedError = websocket.WebSocketClosedError
TooLarge = websocket._DecompressTooLargeError

# How much is read at once. It is what the stream reads from its socket at once.
_CHUNK = 65536
# The first size of what a larger frame is read into. It grows with what has come of the frame, so that a
# peer has to send what it wants to occupy.
_FIRST = 1 << 20
# After so many bytes the event loop has its turn, each message counting as so many more. The library has
# these numbers since 6.6.
_TURN: int = getattr(websocket, "_YIELD_THRESHOLD", 256 * 1024)
_MESSAGE: int = getattr(websocket, "_FRAME_YIELD_COST", 1024)
_RSV1 = 0x40
# A frame of this size is worth two pieces for the operating system, and has a length of 8 bytes.
_LARGE = 65536
# What a subclass may have overridden: it is called, then, as before.
_READERS = ("_receive_frame", "_read_bytes", "_handle_message")

_counts = adapter.HOST.counts
_strict = False


def bind(strict: bool) -> None:
    """Say how strict the connections are that begin from now on."""
    global _strict
    _strict = strict


# ---- In --------------------------------------------------------------------------------------------


async def receive_frame_loop(self: Any) -> None:
    """Receive messages until the connection ends."""
    kind = type(self)
    reader = None
    if not any(getattr(kind, name) is not getattr(Protocol, name) for name in _READERS):
        reader = _Reader(self, _strict)
    try:
        await (_receive_as_before(self) if reader is None else reader.run())
    except StreamClosedError:
        self._abort()
    finally:
        vars(self).pop("_read_bytes", None)
        if reader is not None:
            reader.watch(True)
        self.handler.on_ws_connection_close(self.close_code, self.close_reason)


async def _receive_as_before(self: Any) -> None:
    work = 0
    while not self.client_terminated:
        start = self._wire_bytes_in
        await self._receive_frame()
        work += _MESSAGE + self._wire_bytes_in - start
        if work >= _TURN:
            work = 0
            await asyncio.sleep(0)


def _begin_at_once(callback: Callable[[Any], Any], message: Any) -> Any:
    """Call what may be a coroutine function; let a coroutine run as far as it gets without waiting.

    It has a task of its own all the same.
    """
    result = callback(message)
    if type(result) is CoroutineType:
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            task: Any = asyncio.Task(result, loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
            return task.result() if task.done() else task
    return result


# What calls a handler's method, before the method itself. Older tasks cannot begin at once.
_begin = (_begin_at_once,) if sys.version_info >= (3, 12) else ()


class _Inflation:
    """What decompresses the messages of a connection, in place of the library's object."""

    __slots__ = ("_inflater", "_limit", "_strict")

    def __init__(self, theirs: Any, strict: bool) -> None:
        self._strict = strict
        self._inflater = Inflater(theirs._max_wbits, theirs._decompressor is None)
        self._limit = max(theirs._max_message_size, 0)

    def decompress(self, data: bytes) -> bytes:
        """Return the message that ``data`` is the payload of, as the library's method does."""
        if not data and not self._strict:
            return b""  # it is no DEFLATE block; the library does not mind
        message = self._inflater(data, True, self._limit + 1)
        if len(message) > self._limit:
            raise TooLarge
        return message


class _Reader:
    """Reads the frames of a connection.

    What was read from the stream and not used yet is in ``_chunk``, from ``_at`` on. The library's
    ``_receive_frame()`` has it by ``read_bytes()``.
    """

    def __init__(self, proto: Any, strict: bool) -> None:
        self._proto = proto
        self._stream = proto.stream
        self._strict = strict
        self._chunk: bytes | bytearray = b""
        self._at = 0
        inflate = None
        if proto._decompressor is not None:
            proto._decompressor = _Inflation(proto._decompressor, strict)
            inflate = proto._decompressor.decompress
        # None: the library takes frames from either side masked or not.
        masked = not proto.mask_outgoing if strict else None
        self._taker = MessageTaker(
            (1, ""),
            (2, b""),
            (9, b""),
            (10, b""),
            masked=masked,
            max_size=max(proto.params.max_message_size, 0),
            inflate=inflate,
            overhead=_MESSAGE,
        )
        self._watching = True
        proto._frame_compressed = False
        proto._read_bytes = self.read_bytes

    async def run(self) -> None:
        """Receive messages until the connection ends, or raise what ended it."""
        proto = self._proto
        taker = self._taker
        work = 0
        while not proto.client_terminated:
            entries: list[Any] = []
            start = self._at
            fault: Exception | None = None
            try:
                used, taken, frames = taker.take(self._chunk, start, _TURN - work, entries)
            except (UnicodeDecodeError, ProtocolError, TooLarge) as exc:
                used, taken, frames = len(self._chunk), 0, taker.frames
                fault = exc
                if isinstance(exc, UnicodeDecodeError):
                    proto._message_bytes_in += len(exc.object)
            _counts.fast += frames
            self._at = used
            proto._wire_bytes_in += used - start
            left = len(entries)
            for (opcode, payload), size in entries:
                left -= 1
                if opcode < 8:
                    proto._message_bytes_in += size
                    handled = proto._run_callback(*_begin, proto.handler.on_message, payload)
                else:
                    handled = proto._handle_message(opcode, bytes(payload))
                if handled is not None:
                    if left or self._at != len(self._chunk):
                        self.watch(False)
                    await handled
                if proto.client_terminated:
                    return
            self.watch(True)
            if fault is not None:
                self._fail(fault)
                return
            work += taken
            if work >= _TURN:
                work = 0
                await asyncio.sleep(0)
            elif used == start and not await self._fill():
                work += _MESSAGE + await self._receive_otherwise()

    def watch(self, whether: bool) -> None:
        """Let the stream watch for the end of the connection, or not while there are frames before that.

        It does so when nothing waits in its buffer, and closes both directions then. With the library, which
        takes one frame at a time from there, the end comes behind all frames.
        """
        if self._watching is whether:
            return
        self._watching = whether
        stream = self._stream
        stream._read_buffer_size += -1 if whether else 1
        if stream.closed():
            return
        if whether:
            stream._maybe_add_error_listener()
        elif stream._state is not None and stream._state & IOLoop.READ and not stream.reading():
            stream._state &= ~IOLoop.READ
            stream.io_loop.update_handler(stream.fileno(), stream._state)

    async def _fill(self) -> bool:
        """Wait until the next frame is there, or more of its header; tell whether it is worth waiting."""
        have = len(self._chunk) - self._at
        if not have:
            self._at = 0
            self._chunk = b""
            self._chunk = await self._stream.read_bytes(_CHUNK, partial=True)
            return True
        need = self._taker.need(self._chunk, self._at)
        if need <= have:
            return False
        if need - have > _CHUNK:
            await self._read_large(need)
        else:
            # Not whatever comes: of a frame that comes in small pieces, what there is would be copied with
            # each. The stream keeps them until there are so many.
            more = await self._stream.read_bytes(need - have)
            self._chunk = self._chunk[self._at :] + more
            self._at = 0
        return True

    async def _read_large(self, size: int) -> None:
        """Read the rest of a frame into its place behind what there is of it."""
        filled = len(self._chunk) - self._at
        buffer = bytearray(min(size, max(_FIRST, 2 * filled)))
        buffer[:filled] = self._chunk[self._at :]
        self._chunk = b""
        self._at = 0
        while True:
            with memoryview(buffer) as whole:
                rest = whole[filled:]
            await self._stream.read_into(rest)
            rest.release()
            filled = len(buffer)
            if filled == size:
                break
            buffer += bytes(min(filled, size - filled))
        self._chunk = buffer

    async def read_bytes(self, n: int) -> bytes:
        """Read so many bytes; what ``WebSocketProtocol13._read_bytes`` does."""
        start = self._at
        stop = start + n
        data = bytes(self._chunk[start:stop])
        if len(data) == n:
            self._at = stop
        else:
            self._chunk = b""
            self._at = 0
            data += await self._stream.read_bytes(n - len(data))
        self._proto._wire_bytes_in += n
        return data

    async def _receive_otherwise(self) -> int:
        """Have the library receive one frame; return its size."""
        proto = self._proto
        taker = self._taker
        before = proto._wire_bytes_in
        if not self._chunk[self._at] & 0x08:
            _counts.slow += 1
        if self._strict and await self._is_refused():
            return 0
        # Both have the same idea of the fragmented message under way.
        partial = None
        proto._fragmented_message_buffer = None
        if taker.opcode >= 0:
            partial = proto._fragmented_message_buffer = taker.partial
            proto._fragmented_message_opcode = taker.opcode
            proto._frame_compressed = taker.compressed
        while True:
            try:
                await proto._receive_frame()
            except (UnicodeDecodeError, ProtocolError) as exc:
                # In the reason of a close frame, or in compressed data.
                self._fail(exc)
                break
            if proto.client_terminated:
                break
            now = proto._fragmented_message_buffer
            # A message with a reserved opcode is refused when it is whole.
            if now is None or proto._fragmented_message_opcode in (1, 2):
                if now is None:
                    taker.opcode = -1
                    taker.partial = bytearray()
                elif now is not partial:
                    taker.opcode = proto._fragmented_message_opcode
                    taker.partial = now
                    taker.compressed = bool(proto._frame_compressed)
                break
        proto._frame_compressed = False
        read: int = proto._wire_bytes_in - before
        return read

    # ---- Strictness --------------------------------------------------------------------------------

    async def _is_refused(self) -> bool:
        """Judge the next frame by RFC 6455; tell whether it ends the connection."""
        proto = self._proto
        try:
            while len(self._chunk) - self._at < 2:
                await self._read_more()
            fault = rules.first_bytes_fault(
                self._chunk[self._at],
                self._chunk[self._at + 1],
                masked=not proto.mask_outgoing,
                allowed_rsv=0 if proto._decompressor is None else _RSV1,
                in_message=self._taker.opcode >= 0,
            )
            if fault is not None:
                raise fault
            while (header := parse_header(self._chunk, self._at)) is None:
                await self._read_more()
            if header.opcode != 8:
                return False
            await self.read_bytes(header.size)
            payload = await self.read_bytes(header.length)
            if header.masked:
                payload = apply_mask(payload, header.mask)
            fault = rules.close_payload_fault(payload)
            if fault is not None:
                raise fault
            proto._handle_message(8, payload)
        except ProtocolError as exc:
            self._fail(exc)
        return True

    async def _read_more(self) -> None:
        self._chunk = self._chunk[self._at :] + await self._stream.read_bytes(_CHUNK, partial=True)
        self._at = 0

    def _fail(self, fault: Exception) -> None:
        """End the connection because of what the peer has sent."""
        proto = self._proto
        if isinstance(fault, TooLarge):
            proto.close(1009, "message too big after decompression")
        elif self._strict:
            if isinstance(fault, UnicodeDecodeError):
                fault = rules.utf8_fault(fault.start, fault.object[fault.start])
            proto.close(getattr(fault, "code", 1002), rules.cut_reason(str(fault)))
        proto._abort()


# ---- Out -------------------------------------------------------------------------------------------


def write_frame(self: Any, fin: bool, opcode: int, data: bytes, flags: int = 0) -> asyncio.Future[None]:
    """Write a frame; return what is done when the operating system has it."""
    waits = _write(self, fin, opcode, data, flags)
    if waits is None:
        waits = asyncio.Future()
        waits.set_result(None)
    return waits


def write_message(
    self: Any, message: str | bytes | dict[str, Any], binary: bool = False
) -> asyncio.Future[None]:
    """Write a message; return what is done when the operating system has it."""
    if isinstance(message, dict):
        message = escape.json_encode(message)
    data = escape.utf8(message)
    if data is None:
        raise TypeError("a message must be str, bytes or dict, not None")
    self._message_bytes_out += len(data)
    flags = 0
    if self._compressor:
        data = self._compressor.compress(data)
        flags = _RSV1
    write = _write if type(self)._write_frame is write_frame else type(self)._write_frame
    try:
        waits = write(self, True, 2 if binary else 1, data, flags)
    except StreamClosedError as exc:
        raise WebSocketClosedError() from exc
    if waits is not None:
        return asyncio.ensure_future(_wait(waits))
    # Not done at once: who awaits it lets others have their turn.
    done: asyncio.Future[None] = asyncio.Future()
    done.get_loop().call_soon(_finish, done)
    return done


def _write(self: Any, fin: bool, opcode: int, data: bytes, flags: int) -> asyncio.Future[None] | None:
    """Write a frame; return what is to be waited for, if there is something."""
    size = len(data)
    if opcode & 0x8:
        if not fin:
            raise ValueError("control frames may not be fragmented")
        if size > 125:
            raise ValueError("control frame payloads may not exceed 125 bytes")
    else:
        _counts.fast += 1
    stream = self.stream
    if size >= _LARGE and not self.mask_outgoing and type(data) is bytes and hasattr(socket, "sendmsg"):
        # Written from where it is.
        header = struct.pack("!BBQ", 0x80 * bool(fin) | flags | opcode, 127, size)
        self._wire_bytes_out += len(header) + size
        return _send(stream, header, data)
    frame = encode_frame(opcode, data, fin=bool(fin), rsv1=flags == _RSV1, mask=self.mask_outgoing)
    self._wire_bytes_out += len(frame)
    return _send(stream, frame)


def _send(stream: Any, head: bytes, payload: bytes = b"") -> asyncio.Future[None] | None:
    """Write one or two pieces to a stream, in the way that is the shortest if nothing has to wait."""
    first = len(head)
    size = first + len(payload)
    sent = 0
    if (
        type(stream) is IOStream
        and not stream._write_futures
        and not stream._connecting
        and stream._state is not None  # it listens to the socket already
        and (stream.max_write_buffer_size is None or size <= stream.max_write_buffer_size)
        and not stream.closed()
    ):
        try:
            sent = stream.socket.sendmsg((head, payload)) if payload else stream.socket.send(head)
        except OSError:
            sent = 0  # would block; whatever else it is will come again
        stream._total_write_index += sent
        stream._total_write_done_index += sent
        if sent == size:
            return None
    waits: asyncio.Future[None]
    if sent < first:
        waits = stream.write(memoryview(head)[sent:] if sent else head)
        sent = first
    if payload:
        waits = stream.write(memoryview(payload)[sent - first :])
    return waits


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


async def _wait(written: asyncio.Future[None]) -> None:
    try:
        await written
    except StreamClosedError as exc:
        raise WebSocketClosedError() from exc


# ---- At installation -------------------------------------------------------------------------------


class _Stream:
    """A stream without a socket."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent: list[bytes] = []

    async def read_bytes(self, n: int, partial: bool = False) -> bytes:
        if len(self.data) < (1 if partial else n):
            raise StreamClosedError
        data, self.data = self.data[:n], self.data[n:]
        return data

    def write(self, data: bytes) -> Any:
        self.sent.append(data)
        return self

    def close(self) -> None:
        pass

    def closed(self) -> bool:
        return True


class _Handler:
    def __init__(self) -> None:
        self.got: list[Any] = []
        self.on_message = self.on_ping = self.on_pong = self.got.append

    def on_ws_connection_close(self, code: int | None, reason: str | None) -> None:
        self.got.append(code)


def works() -> bool:
    """Tell whether messages pass through two of the library's connections."""
    params = websocket._WebSocketParams()
    before = _counts.fast, _counts.slow
    wire = b""
    frames = (True, 1, b"first"), (True, 2, bytes(300)), (False, 1, b"a"), (True, 10, b"?"), (True, 0, b"b")
    expected: list[Any] = ["first", bytes(300), b"?", "ab", None]
    for mask_outgoing in (True, False):
        handler = _Handler()
        connection: Any = Protocol(handler, mask_outgoing, params)  # type: ignore[arg-type]
        connection.stream = stream = _Stream(wire)
        if wire:
            with suppress(StopIteration):
                connection._receive_frame_loop().send(None)
            if handler.got != expected:
                return False
            break
        for fin, opcode, payload in frames:
            connection._write_frame(fin, opcode, payload)
        wire = b"".join(stream.sent)
    _counts.fast, _counts.slow = before
    return True
