"""What takes the place of parts of ``aiohttp``; it must be installed.

:mod:`wsfast.adapters.aiohttp` puts it there, and tells what it keeps to.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, NamedTuple

from aiohttp import client_proto, client_ws, web_protocol, web_ws
from aiohttp._websocket import models, reader, reader_py, writer
from aiohttp.compression_utils import TooManyMembersError, ZLibDecompressor
from aiohttp.helpers import set_exception

from .. import rules
from .._backend import MessageDecoder, MessageQueue, MessageTaker, apply_mask, parse_header
from ..errors import ProtocolError
from .aiohttp import HOST

__all__ = ["PyQueue", "PyReader", "Queue", "Reader", "bind", "is_current", "works"]

_reader_py: Any = reader_py
_reader: Any = reader
PyReader: Any = reader_py.WebSocketReader
PyQueue: Any = reader_py.WebSocketDataQueue
WSMessage, WSMsgType = models.WSMessage, models.WSMsgType
WebSocketError, WSCloseCode = models.WebSocketError, models.WSCloseCode
TEXT, BINARY = PLAIN = (WSMsgType.TEXT, WSMsgType.BINARY)
ENDS = frozenset((WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED))
OVERHEAD: int = reader_py.MSG_SIZE_OVERHEAD
READ_HEADER: int = reader_py.READ_HEADER
READ_PAYLOAD: int = reader_py.READ_PAYLOAD
NOTHING_FAILED: tuple[bool, bytes] = reader_py.EMPTY_FRAME
FAILED: tuple[bool, bytes] = reader_py.EMPTY_FRAME_ERROR
TRAILING: bytes = models.WS_DEFLATE_TRAILING

counts = HOST.counts

# Of a plain frame of which this much is missing, what arrives is decoded into its message at once;
# shorter ones are put together first.
_LONG = 1 << 14

# More than a queue ever has room for.
_NO_END = sys.maxsize

# Whether readers made from now on hold the peer to the RFC; bind() sets it.
_strict = False

# What stood where the functions stand that bind() made.
_stock_reader: Any = reader.WebSocketReader


def is_current() -> bool:
    """Tell whether the classes that are known here are still aiohttp's."""
    return (
        reader_py.WebSocketReader is PyReader
        and reader_py.WebSocketDataQueue is PyQueue
        and models.WSMessage is WSMessage
        and _reader_py.WSMessage is WSMessage
        and sys.modules.get("aiohttp._websocket.reader_py") is reader_py
    )


# ---- In ----------------------------------------------------------------------------------------------


class Queue(MessageQueue, PyQueue):  # type: ignore[misc]
    """The queue, as aiohttp has it in Python, with a shorter way for the usual case."""

    async def read(self) -> Any:
        """Return the next message, when there is one."""
        if not self._buffer and not self._eof:
            if self._waiter:
                raise AssertionError
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except (asyncio.CancelledError, asyncio.TimeoutError):
                self._waiter = None
                raise
        message = self.pop_plain(PLAIN, OVERHEAD)
        return PyQueue._read_from_buffer(self) if message is None else message

    def _read_from_buffer(self) -> Any:
        message = self.pop_plain(PLAIN, OVERHEAD)
        return PyQueue._read_from_buffer(self) if message is None else message


class _Inflater:
    """Inflates the messages of a connection, as ``WebSocketReader._handle_frame`` does."""

    __slots__ = ("decompressor", "limit")

    def __init__(self, limit: int) -> None:
        self.decompressor: Any = None
        self.limit = limit

    def inflate(self, payload: bytes) -> Any:
        decompressor = self.decompressor
        if decompressor is None:
            decompressor = self.decompressor = ZLibDecompressor(suppress_deflate_header=True)
        limit = self.limit
        most = limit + 1 if limit else limit
        context = decompressor._decompressor
        try:
            if decompressor._pending_unused_data is None and not context.unconsumed_tail:
                # As decompress_sync() does, without what it does for streams that are not these.
                if len(payload) < _LONG:
                    data = context.decompress(payload + TRAILING, most)
                else:  # without a copy
                    data = context.decompress(payload, most)
                    if not (context.unconsumed_tail or context.eof):
                        data += context.decompress(TRAILING, most)
                if context.unused_data:
                    data = decompressor._decompress_members(data, most)
                decompressor._last_empty = not data
            else:
                data = decompressor.decompress_sync(payload + TRAILING, most)
        except TooManyMembersError as exc:
            raise WebSocketError(
                WSCloseCode.MESSAGE_TOO_BIG, "Compressed message has too many deflate members"
            ) from exc
        if limit and len(data) > limit:
            raise WebSocketError(
                WSCloseCode.MESSAGE_TOO_BIG, f"Decompressed message exceeds size limit {limit}"
            )
        return data


class Reader(PyReader):  # type: ignore[misc]
    """The reader, as aiohttp has it in Python, which takes most of a stream's frames by another way.

    Which of the two has a frame is decided where it begins. What both need to know - the fragments so far,
    and of what message - goes along when a frame is handed over.
    """

    _tail: bytes

    def __new__(cls, queue: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a reader; for a queue of aiohttp's compiled reader, only that one will do."""
        if not isinstance(queue, PyQueue):
            return _stock_reader(queue, *args, **kwargs)
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._inflater = _Inflater(0)
        super().__init__(*args, **kwargs)
        limit: int = self._max_msg_size
        self._inflater.limit = limit
        # Which way frames from this peer are masked; None if that is not to be looked at.
        self._masked: bool | None = None
        self._strict = _strict
        if _strict:
            protocol = self.queue._protocol
            if isinstance(protocol, web_protocol.RequestHandler):
                self._masked = True
            elif isinstance(protocol, client_proto.ResponseHandler):
                self._masked = False
        decodes = self._decode_text
        text = WSMessage if decodes else models.WSMessageTextBytes
        self._taker = MessageTaker(
            text(TEXT, None, ""),
            WSMessage(BINARY, None, ""),
            WSMessage(WSMsgType.PING, None, ""),
            WSMessage(WSMsgType.PONG, None, ""),
            masked=self._masked,
            max_size=limit - 1 if limit else None,
            inflate=self._inflater.inflate if self._compress else None,
            decode=bool(decodes),
            overhead=OVERHEAD,
        )
        # Whether a frame has begun and not ended, wherever its beginning is.
        self._began = False
        # The beginning of a frame, and how much must be there before looking at it is worthwhile.
        self._held = bytearray()
        self._need = 0
        # A long frame: what decodes it, its message without the payload, its size, what of that is missing.
        self._decoder: MessageDecoder | None = None
        self._form: Any = None
        self._length = self._missing = 0
        # Whether nobody has made a subclass of this or of the queue, and nothing is special.
        self._plain = type(self) is Reader and type(self.queue) is Queue
        # Whether the message under way is in a state that only the inherited reader knows.
        self._inherited = False

    @property
    def _decompressobj(self) -> Any:
        return self._inflater.decompressor

    @_decompressobj.setter
    def _decompressobj(self, value: Any) -> None:
        self._inflater.decompressor = value

    def feed_data(self, data: Any) -> tuple[bool, bytes]:
        """Take what was read from the socket, or go on with what was left over if there is room again.

        Returns:
            Whether the connection has failed, and then what the failure left.

        """
        if self._plain and type(data) is bytes and not self._began and not self._tail and data:
            # The usual case, without what _feed_data() has to look at.
            queue = self.queue
            queue._stalled_reader = None
            try:
                used = queue.feed(self._taker, data)
                counts.fast += self._taker.frames
                if used != len(data):
                    self._go_on_from(data, used)
                return NOTHING_FAILED
            except Exception as exc:
                error: Exception = exc
                if isinstance(exc, UnicodeDecodeError):
                    error = _not_text()
                    error.__cause__ = exc
                self._exc = error
                self._plain = False
                set_exception(queue, error)
                return FAILED
        failed: tuple[bool, bytes] = PyReader.feed_data(self, data)
        self._plain = (
            type(self) is Reader and type(self.queue) is Queue and not self._inherited and self._exc is None
        )
        return failed

    def _feed_data(self, data: bytes) -> None:
        queue = self.queue
        if (
            type(self)._handle_frame is not _handle_frame
            or "_handle_frame" in self.__dict__
            or type(queue).feed_data is not _queue_feed_data
            or "feed_data" in queue.__dict__
        ):
            self._feed_inherited(data)
            return
        queue._stalled_reader = None
        if self._tail:
            data = self._tail + data
            self._tail = b""
        start = 0
        if self._began:
            if data and queue._size > queue._limit:
                self._stall(data)
                return
            start = self._go_on(data)
        self._go_on_from(data, start)

    def _go_on_from(self, data: bytes, start: int) -> None:
        """Take what begins with a frame, at ``start``."""
        queue = self.queue
        end = len(data)
        take = self._taker.take
        while start != end:
            if not self._inherited:
                entries: list[Any] = []
                try:
                    start, size, frames = take(data, start, queue._limit - queue._size, entries)
                except Exception as exc:
                    self._put(entries, sum(size + OVERHEAD for _, size in entries))
                    if isinstance(exc, UnicodeDecodeError):
                        raise _not_text() from exc
                    raise
                counts.fast += frames
                if entries:
                    self._put(entries, size)
                if start == end:
                    return
            if queue._size > queue._limit:
                self._stall(data[start:])
                return
            start = self._begin_other(data, start)

    def _stall(self, rest: bytes) -> None:
        """Keep what is not parsed until the queue, which is full, asks for more."""
        self._tail = rest
        self.queue._stalled_reader = self._weak_self

    def _put(self, entries: list[Any], size: int) -> None:
        """Do for several messages what the queue's feed_data() does for each."""
        queue = self.queue
        if isinstance(queue, MessageQueue):
            queue.put(entries, size)
            return
        queue._buffer.extend(entries)
        queue._size += size
        if queue._waiter is not None:
            queue._release_waiter()
        if queue._size > queue._limit and not queue._protocol._reading_paused:
            queue._protocol.pause_reading()

    # ---- Frames that are not there as a whole ----------------------------------------------------

    def _begin_other(self, data: bytes, start: int) -> int:
        """Begin with the frame at ``start``, which was not taken; return where to go on."""
        if not self._inherited:
            need = self._taker.need(data, start)
            if need:
                end = len(data)
                if not self._begin_long(data, start, need):
                    self._held += data[start:]
                    self._need = need
                self._began = True
                return end
        return self._inherit(data, start)

    def _go_on(self, data: bytes) -> int:
        """Go on with the frame that has begun; return where it ends, or the data if that comes first."""
        if self._decoder is not None:
            return self._go_on_long(data)
        if self._held:
            return self._go_on_held(data)
        return self._go_on_inherited(data)

    def _go_on_held(self, data: bytes) -> int:
        held = self._held
        used, end = 0, len(data)
        while True:
            more = self._need - len(held)
            held += data[used : used + more]
            used += min(more, end - used)
            if len(held) < self._need:
                return end
            need = self._taker.need(held)
            if need <= len(held):
                break
            if need - len(held) >= _LONG and self._begin_long(bytes(held), 0, need):
                held.clear()
                return used + self._go_on_long(data[used:] if used else data)
            self._need = need
        self._began = False
        if not need:
            frame = bytes(held)
            held.clear()
            self._inherit(frame, 0)
            # It may be longer than what was held of it.
            return used + self._go_on(data[used:]) if self._began else used
        entries: list[Any] = []
        try:
            _, size, frames = self._taker.take(held, 0, _NO_END, entries)
        except UnicodeDecodeError as exc:
            raise _not_text() from exc
        finally:
            held.clear()
        counts.fast += frames
        if entries:
            self._put(entries, size)
        return used

    def _begin_long(self, data: bytes, start: int, need: int) -> bool:
        """Begin to decode a frame as it arrives, if it is a plain message and much of it is missing."""
        first = data[start]
        if need - (len(data) - start) < _LONG or not (first == 0x81 or first == 0x82):
            return False
        header = parse_header(data, start)
        if header is None:
            return False
        self._length = self._missing = header.length
        decodes = self._decode_text
        if first == 0x82:
            self._form = WSMessage, BINARY
        else:
            self._form = WSMessage if decodes else models.WSMessageTextBytes, TEXT
            if not decodes:
                first = 0x82
        decoder = MessageDecoder("server" if header.masked else "client", max_size=None)
        decoder.feed(bytes((first,)) + data[start + 1 : start + header.size])
        self._decoder = decoder
        self._began = self._frame_fin = True
        counts.fast += 1
        if start + header.size < len(data):
            with memoryview(data) as view, view[start + header.size :] as rest:
                self._go_on_long(rest)
        return True

    def _go_on_long(self, data: Any) -> int:
        decoder = self._decoder
        missing = self._missing
        size = len(data)
        try:
            if size <= missing:
                events: list[Any] = decoder.feed(data)  # type: ignore[union-attr]
            else:
                size = missing
                with memoryview(data) as view, view[:size] as piece:
                    events = decoder.feed(piece)  # type: ignore[union-attr]
        except ProtocolError as exc:
            # Its text is not UTF-8: that is all that can be wrong.
            self._decoder = None
            self._began = False
            raise _not_text() from exc
        self._missing = missing - size
        if events:
            self._decoder = None
            self._began = False
            cls, kind = self._form
            self._put([(cls(kind, events[0], ""), self._length)], self._length + OVERHEAD)
        return size

    # ---- Frames for the inherited reader -----------------------------------------------------------

    def _feed_inherited(self, data: bytes) -> None:
        """Let the inherited reader have everything, now that somebody looks at what it does."""
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
            self._began = False
        if self._decoder is not None:
            data = data[self._go_on_long(data) :]
        self._hand_over()
        PyReader._feed_data(self, data)
        self._take_over()

    def _inherit(self, data: bytes, start: int) -> int:
        """Give the inherited reader what is there of the frame at ``start``; return what comes behind."""
        if self._strict:
            held = self._judge(data, start)
            if held:
                return held
        self._hand_over()
        stop = min(start + _frame_size(data, start), len(data))
        if data[start] & 0x0F < 3:
            counts.slow += 1
        PyReader._feed_data(self, data[start:stop])
        self._take_over()
        return stop

    def _go_on_inherited(self, data: bytes) -> int:
        used, end = 0, len(data)
        while used != end and self._state != READ_HEADER:
            # In its header, byte for byte: so it ends where its frame does.
            stop = used + (self._payload_bytes_to_read if self._state == READ_PAYLOAD else 1)
            PyReader._feed_data(self, data[used:stop])
            used = min(stop, end)
        self._take_over()
        return used

    def _hand_over(self) -> None:
        """Tell the inherited reader where the stream is."""
        if self._inherited or self._began:
            return
        taker = self._taker
        opcode = taker.opcode
        self._opcode = opcode
        if opcode >= 0:
            self._frame_fin = False
            self._compressed = int(taker.compressed)
        elif taker.begun:
            self._frame_fin = True
        self._partial = taker.partial

    def _take_over(self) -> None:
        """Learn from the inherited reader where the stream is."""
        self._began = self._state != READ_HEADER
        if self._began:
            return
        taker = self._taker
        opcode = self._opcode
        taker.opcode = opcode
        taker.partial = self._partial
        if opcode < 0:
            # Or somebody has taken the place of its _handle_frame(), which keeps the opcode.
            self._inherited = bool(self._partial) or not (self._frame_fin or self._compressed < 0)
        else:
            # After an empty first fragment it takes a whole message, and then the message goes on.
            self._inherited = bool(self._frame_fin)
            taker.compressed = self._compressed == 1

    def _judge(self, data: bytes, start: int) -> int:
        """Raise if the frame at ``start`` breaks a rule that only `strict` upholds.

        Returns:
            0, or the end of the data, when the rest of the frame is needed to tell.

        """
        first, second = data[start : start + 2]
        fault = rules.first_bytes_fault(
            first,
            second,
            masked=second >= 0x80 if self._masked is None else self._masked,
            allowed_rsv=0x40 if self._compress else 0,
            in_message=self._taker.opcode >= 0,
        )
        try:
            if fault is None:
                header = parse_header(data, start)
                if first & 0x0F == 8:
                    if header is None or len(data) < start + header.size + header.length:
                        return self._hold_close(data, start, header)
                    fault = rules.close_payload_fault(_unmasked(data, start, header))
        except ProtocolError as exc:
            fault = exc
        if fault is not None:
            raise WebSocketError(fault.code, str(fault))
        return 0

    def _hold_close(self, data: bytes, start: int, header: Any) -> int:
        self._held += data[start:]
        self._need = header.size + header.length if header else len(self._held) + 1
        self._began = True
        return len(data)


_handle_frame = PyReader._handle_frame
_queue_feed_data = PyQueue.feed_data


def _not_text() -> Exception:
    return WebSocketError(WSCloseCode.INVALID_TEXT, "Invalid UTF-8 text message")


def _frame_size(data: bytes, start: int) -> int:
    """Return the size of the frame at ``start``; more than there is if its header is not whole."""
    head = data[start : start + 10]
    if len(head) < 2:
        return 14
    length = head[1] & 0x7F
    size = 2
    if length >= 126:
        size = 4 if length == 126 else 10
        if len(head) < size:
            return 14
        length = int.from_bytes(head[2:size], "big")
    return size + (4 if head[1] & 0x80 else 0) + length


def _unmasked(data: bytes, start: int, header: Any) -> bytes:
    begin = start + header.size
    payload = data[begin : begin + header.length]
    return apply_mask(payload, header.mask) if header.masked else payload


# ---- What applications call --------------------------------------------------------------------------


def _make_receive(stock: Any) -> Any:
    async def receive(self: Any, timeout: float | None = None) -> Any:
        queue = self._reader
        if type(queue) is Queue and not (self._waiting or self._closed or self._closing):
            message = queue.pop_plain(PLAIN, OVERHEAD)
            if message is not None:
                return message
        return await stock(self, timeout)

    return receive


def _make_anext(stock_class: Any, receive: Any) -> Any:
    stock = stock_class.__dict__["__anext__"]
    stock_receive = stock_class.__dict__["receive"]

    async def __anext__(self: Any) -> Any:
        queue = self._reader
        if (
            type(queue) is Queue
            and not (self._waiting or self._closed or self._closing)
            and type(self).receive is receive
            and "receive" not in self.__dict__
        ):
            message = queue.pop_plain(PLAIN, OVERHEAD)
            if message is None:
                # As theirs does, without a way through receive() once more.
                message = await stock_receive(self)
                if message[0] in ENDS:
                    raise StopAsyncIteration
            return message
        return await stock(self)

    return __anext__


class _Made(NamedTuple):
    receive: Any
    anext: Any
    client_receive: Any
    client_anext: Any


def bind(strict: bool) -> _Made:
    """Remember what is about to be replaced, to fall back on, and make what takes its place."""
    global _stock_reader, _strict
    _stock_reader = reader.WebSocketReader
    _strict = strict
    receive = _make_receive(web_ws.WebSocketResponse.__dict__["receive"])
    client_receive = _make_receive(client_ws.ClientWebSocketResponse.__dict__["receive"])
    return _Made(
        receive=receive,
        anext=_make_anext(web_ws.WebSocketResponse, receive),
        client_receive=client_receive,
        client_anext=_make_anext(client_ws.ClientWebSocketResponse, client_receive),
    )


# ---- Trying it out -----------------------------------------------------------------------------------


class _Sink:
    """A protocol and a transport at once, that does nothing but keep what is written."""

    _reading_paused = False

    def __init__(self) -> None:
        self.wire = b""

    def pause_reading(self) -> None:
        self._reading_paused = True

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.wire += data


def works() -> bool:
    """Send frames through a writer and a reader without a connection; tell whether they arrive."""
    before = counts.fast, counts.slow
    sink = _Sink()
    sender: Any = object.__new__(writer.WebSocketWriter)
    sender.use_mask = False
    sender.transport = sink
    sender._output_size = 0
    sent = [
        (TEXT, "first", 5),
        (BINARY, bytes(300), 300),
        (TEXT, "\xe4" * 40000, 80000),
        (BINARY, b"last", 4),
    ]
    for kind, data, _ in sent:
        sender._write_websocket_frame(data.encode() if isinstance(data, str) else data, kind, 0)
    written = counts.fast
    queue = _reader.WebSocketDataQueue(sink, 1 << 20, loop=None)
    taker = _reader.WebSocketReader(queue, 1 << 20, compress=False, decode_text=True)
    wire = sink.wire
    for piece in (wire[:1], wire[1:200], wire[200:1000], wire[1000:]):
        taker.feed_data(piece)
    received = [(*message[:2], size) for message, size in queue._buffer]
    arrived = counts.fast - written
    counts.fast, counts.slow = before
    return (
        received == sent
        and arrived == len(sent)
        and sender._output_size == len(wire)
        and queue._size == sum(size + OVERHEAD for _, _, size in sent)
    )
