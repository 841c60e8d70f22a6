"""permessage-deflate as connections of the ``websockets`` library use it; the library must be installed.

What the library does wrong is that it takes a DEFLATE block with BFINAL set, which a peer may send, for
the end of the stream: every later compressed message arrives empty, without an error (RFC 7692 §7.2.1,
§7.2.3.4). :class:`Stream` takes the place of its zlib objects and goes on behind such blocks.
"""

from __future__ import annotations

import zlib
from typing import Any

from websockets import exceptions, frames

from .._backend import decode_utf8

__all__ = ["ZLIB", "Inflate", "Stream", "Zlib", "keep_memory"]

_TAIL = b"\x00\x00\xff\xff"
# How much is given to a stream that has just begun behind another's end, and at most.
_BEHIND_FINAL = 64
_SLICE = 1 << 14

Frame = frames.Frame
TEXT, BINARY = frames.Opcode.TEXT, frames.Opcode.BINARY
PayloadTooBig = exceptions.PayloadTooBig
ProtocolError = exceptions.ProtocolError
# Before 14.0 it took a message, which names the limit.
_SAYS_SIZES = hasattr(PayloadTooBig.__init__, "__code__")


# The longest message that memory has been kept for.
_kept = 1 << 17


def keep_memory(length: int) -> None:
    """Have the C library keep the memory that a message of this length takes, once it is free again.

    glibc gives long blocks back to the operating system as soon as they are freed, and page faults then
    take longer than all the rest of a long message, until the program has freed a block that was longer
    still: it keeps up to twice as much from then on. This frees one, of which no page was ever touched.
    """
    global _kept
    if _kept < length <= 1 << 22:
        _kept = 2 * length
        bytes(4 * length)


class Stream:
    """What ``zlib.decompressobj()`` returns, but that a block with BFINAL is not its end.

    Only what a WebSocket library uses of one. The output is kept as far back as a window goes, for the
    stream that may have to begin behind such a block.
    """

    __slots__ = ("_bits", "_fresh", "_history", "_keep", "_stream", "_window", "unconsumed_tail")

    def __init__(self, stream: Any, wbits: int) -> None:
        self._stream = stream
        self._bits = wbits
        self._window = 1 << abs(wbits)
        self._keep = self._window + self._window // 4
        self._history = bytearray()
        self._fresh = False  # whether the stream is as good as new, behind a block with BFINAL
        self.unconsumed_tail = b""

    def decompress(self, data: Any, max_length: int = 0) -> bytes:
        """Return at most ``max_length`` bytes of output, or all for 0; ``unconsumed_tail`` has the rest."""
        if self._fresh:
            if data == _TAIL:
                # The message has ended with the block. It should have had a zero byte behind it (RFC 7692
                # §7.2.1), but there is no doubt what it means.
                return b""
            self._fresh = False
        stream = self._stream
        out: bytes = stream.decompress(data, max_length)
        if stream.eof:
            return self._go_on(out, max_length)
        self._remember(out)
        self.unconsumed_tail = stream.unconsumed_tail
        return out

    def _go_on(self, out: bytes, max_length: int) -> bytes:
        """Begin a new stream behind a block with BFINAL, as often as there is one."""
        rest = memoryview(self._stream.unused_data)
        self._remember(out)
        self.unconsumed_tail = b""
        outputs = [out]
        room = max_length - len(out)
        at, size = 0, len(rest)
        while True:
            # It keeps a reference to its dictionary, but takes what is in it now.
            window = bytes(self._history[-self._window :])
            options: dict[str, Any] = {"zdict": window} if window else {}
            stream: Any = zlib.decompressobj(wbits=self._bits, **options)
            self._stream = stream
            if at == size or rest[at:] == _TAIL:
                self._fresh = True
                break
            # Behind its end a stream copies all it was given, and another end may follow at once.
            step = _BEHIND_FINAL
            while at < size and not stream.eof:
                step = min(step, size - at)
                # With no room left, one byte more is enough to see that it is too much.
                out = stream.decompress(rest[at : at + step], max(room, 1) if max_length else 0)
                at += step - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
                step = min(2 * step, _SLICE)
                if max_length and len(out) > room:
                    self.unconsumed_tail = out
                    return b"".join(outputs)
                outputs.append(out)
                room -= len(out)
                self._remember(out)
            if not stream.eof:
                break
        return b"".join(outputs)

    def _remember(self, out: bytes) -> None:
        history = self._history
        if len(out) >= self._window:
            history[:] = memoryview(out)[-self._window :]
            return
        history += out
        if len(history) > self._keep:
            del history[: -self._window]


class Zlib:
    """The module :mod:`zlib`, but that its decompressors are :class:`Stream`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(zlib, name)

    @staticmethod
    def decompressobj(wbits: int = zlib.MAX_WBITS) -> Stream:
        """Make a decompressor."""
        return Stream(zlib.decompressobj(wbits=wbits), wbits)


ZLIB = Zlib()


class Inflate:
    """Makes messages of the payloads of compressed frames that are whole messages.

    As ``PerMessageDeflate.decode()`` does, with its objects and errors, and without frames around them.
    """

    __slots__ = ("_bits", "_decode", "_extension", "_keeps_context", "limit")

    def __init__(self, extension: Any) -> None:
        self._extension = extension
        self._bits = -extension.remote_max_window_bits
        self._keeps_context = not extension.remote_no_context_takeover
        #: The limit on a message, in bytes.
        self.limit: int | None = None
        if self._keeps_context and type(extension.decoder) is not Stream:
            extension.decoder = Stream(extension.decoder, self._bits)

    def __call__(self, opcode: int, payload: bytes) -> Any:
        """Return the message: ``str``, ``bytes``, or the frame of a text that is not UTF-8."""
        limit = self.limit
        if not _SAYS_SIZES or "decode" in self._extension.__dict__:
            frame = Frame(TEXT if opcode == 1 else BINARY, payload, rsv1=True)
            data = bytes(self._extension.decode(frame, max_size=limit).data)
        else:
            data = self._inflate(payload, limit)
        if len(data) > _kept:
            keep_memory(len(data))
        if opcode != 1:
            return data
        try:
            return decode_utf8(data)
        except UnicodeDecodeError:
            return Frame(TEXT, data)

    def _inflate(self, payload: bytes, limit: int | None) -> bytes:
        stream = (
            self._extension.decoder
            if self._keeps_context
            else Stream(zlib.decompressobj(wbits=self._bits), self._bits)
        )
        is_short = len(payload) < 2044  # the library's measure
        try:
            data: bytes = stream.decompress(payload + _TAIL if is_short else payload, limit or 0)
            if stream.unconsumed_tail:
                raise PayloadTooBig(None, limit)
            # In edge cases, this may yield what was held back by the limit.
            if not is_short and stream.decompress(_TAIL, 1):
                raise PayloadTooBig(None, limit)
        except zlib.error as exc:
            raise ProtocolError("decompression failed") from exc
        return data
