"""What takes the place of the sending parts of ``aiohttp``; it must be installed.

:mod:`wsfast.adapters.aiohttp` puts it there, and tells what it keeps to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from aiohttp import client_ws, web_ws
from aiohttp._websocket import models, writer
from aiohttp.client_exceptions import ClientConnectionResetError

from .._backend import encode_frame, mask_key
from .aiohttp import HOST

__all__ = ["bind", "is_current"]

_writer: Any = writer
Writer: Any = writer.WebSocketWriter
TEXT, BINARY, CLOSE = models.WSMsgType.TEXT, models.WSMsgType.BINARY, models.WSMsgType.CLOSE
MOST_AT_ONCE: int = _writer.MSG_SIZE
MOST_COMPRESSED_AT_ONCE: int = _writer.WEBSOCKET_MAX_SYNC_CHUNK_SIZE

# The generator of mask keys that writers have which nobody has given one.
_default: Any = (Writer.__init__.__kwdefaults__ or {}).get("random")

counts = HOST.counts


class _Made(NamedTuple):
    write: Any
    send_frame: Any
    send_str: Any
    client_send_str: Any


def is_current() -> bool:
    """Tell whether the library has not been loaded anew since."""
    return writer.WebSocketWriter is Writer


def bind() -> _Made:
    """Make what takes the place of the library's, which it falls back on."""
    write = _make_write(Writer.__dict__["_write_websocket_frame"])
    send_frame = _make_send_frame(Writer.__dict__["send_frame"])
    return _Made(
        write,
        send_frame,
        _make_send_str(web_ws.WebSocketResponse.__dict__["send_str"], write, send_frame),
        _make_send_str(client_ws.ClientWebSocketResponse.__dict__["send_str"], write, send_frame),
    )


def _key_bits() -> int:
    return int.from_bytes(mask_key(), "big")


def _has_own_keys(self: Any) -> bool:
    """Tell whether somebody gave a writer a generator of mask keys."""
    bits = self.get_random_bits
    if bits is _key_bits:
        return False
    return getattr(getattr(bits, "func", None), "__self__", None) is not _default


def _make_write(stock: Any) -> Any:
    def _write_websocket_frame(self: Any, message: Any, opcode: int, rsv: int) -> None:
        """Write a websocket frame to the transport.

        This method handles frame header construction, masking, and writing to transport.
        It does not handle compression or flow control - those are the responsibility
        of the caller.
        """
        kind = type(message)
        if (
            (opcode is TEXT or opcode is BINARY)
            and (kind is bytes or kind is bytearray)
            and (not rsv or rsv == 0x40)
            # A longer frame that is not masked is written without a copy.
            and (not _has_own_keys(self) if self.use_mask else len(message) <= MOST_AT_ONCE)
        ):
            transport = self.transport
            if transport.is_closing():
                raise ClientConnectionResetError("Cannot write to closing transport")
            if self.use_mask:
                frame = encode_frame(opcode, message, rsv1=rsv != 0, mask=True)
            else:
                frame = encode_frame(opcode, message, rsv1=True) if rsv else encode_frame(opcode, message)
            transport.write(frame)
            self._output_size += len(frame)
            counts.fast += 1
            return
        if opcode < 3:
            counts.slow += 1
        if self.use_mask and not _has_own_keys(self):
            # Nor are the keys of what is left to the library to be predicted (RFC 6455 §5.3).
            self.get_random_bits = _key_bits
        stock(self, message, opcode, rsv)

    return _write_websocket_frame


def _make_send_frame(stock: Any) -> Any:
    async def send_frame(self: Any, message: Any, opcode: int, compress: int | None = None) -> None:
        """Send a frame over the websocket with message as its payload."""
        if self._closing and not opcode & CLOSE:
            raise ClientConnectionResetError("Cannot write to closing transport")
        if not (compress or self.compress) or opcode >= CLOSE:
            self._write_websocket_frame(message, opcode, 0)
        elif len(message) <= MOST_COMPRESSED_AT_ONCE and not (
            self._send_lock.locked() or self._send_lock._waiters
        ):
            # The library takes the lock for this, so as not to come between what others compress in an
            # executor. Nothing does while nobody has it: there is no waiting in between.
            self._send_compressed_frame_sync(message, opcode, compress)
        else:
            await stock(self, message, opcode, compress)
            return
        if self._output_size > self._limit:
            self._output_size = 0
            if self.protocol._paused:
                await self.protocol._drain_helper()

    return send_frame


def _make_send_str(stock: Any, write: Any, send_frame: Any) -> Any:
    async def send_str(self: Any, data: str, compress: int | None = None) -> None:
        to = self._writer
        if (
            type(to) is Writer
            and type(data) is str
            and not (compress or to.compress or to._closing)
            # Nobody looks at what the library would call.
            and Writer._write_websocket_frame is write
            and Writer.send_frame is send_frame
            and "send_frame" not in to.__dict__
            and "_write_websocket_frame" not in to.__dict__
            and not (to.use_mask and _has_own_keys(to))
        ):
            # As they do, from the text to its frame in one step.
            transport = to.transport
            if transport.is_closing():
                raise ClientConnectionResetError("Cannot write to closing transport")
            frame = encode_frame(1, data, mask=True) if to.use_mask else encode_frame(1, data)
            transport.write(frame)
            counts.fast += 1
            size = to._output_size = to._output_size + len(frame)
            if size > to._limit:
                to._output_size = 0
                if to.protocol._paused:
                    await to.protocol._drain_helper()
            return
        await stock(self, data, compress)

    return send_str
