"""permessage-deflate for ``wsproto``: what its extension keeps as its decompressor."""

from __future__ import annotations

import sys
import zlib

from ..compression import TAIL, Inflater
from ..errors import ProtocolError

__all__ = ["Inflation"]

_NO_END = sys.maxsize

# How much zlib is given, and returns, at once. Larger results it would put together from blocks, beside which
# they need as much memory again: that costs more, in page faults, than the additional calls.
_SLICE = 1 << 14
_MOST = 1 << 16


class Inflation:
    """What ``zlib.decompressobj()`` makes, as far as the library uses it, for a whole connection.

    zlib takes a block with BFINAL for the end of its stream, which in permessage-deflate it is not (RFC 7692
    §7.2.3.4). Behind the first such block, :class:`wsfast.compression.Inflater` goes on. Until then, what
    comes out, and what is an error, is what zlib makes of it; with ``strict``, it is that class's affair
    from the start.

    Args:
        window_bits: the size of the window that the peer may use, as a power of 2.
        strict: whether a message that ends inside a block is an error, as far as that can be seen.

    """

    __slots__ = ("_at", "_bits", "_context", "_ended", "_history", "_inflater", "_keep")

    def __init__(self, window_bits: int, strict: bool) -> None:
        self._bits = window_bits
        self._keep = 1 << window_bits
        self._inflater: Inflater | None = None
        self._context = zlib.decompressobj(-window_bits)
        self._at = 0
        # The last output, as many bytes as the window has and perhaps some more.
        self._history = bytearray()
        # Whether all there is of the message under way has ended with a block with BFINAL.
        self._ended = False
        if strict:
            self._inflater = Inflater(window_bits, False)

    def decompress(self, data: bytes) -> bytes:
        """Decompress a piece of a message.

        Raises:
            zlib.error: it is not DEFLATE.

        """
        if self._inflater is not None:
            # The library's own code ends a message by this piece.
            return self.finish() if data == TAIL else self._inflate(data, False)
        out = self._decompress(data)
        if self._context.eof:
            out += self._go_on(self._context.unused_data + data[self._at :], False)
        return out

    def finish(self) -> bytes:
        """End the message; return what is left of it."""
        if self._ended:
            self._ended = False
            return b""
        return self.message(b"")

    def message(self, data: bytes) -> bytes:
        """Decompress a whole message, or the rest of one."""
        if self._inflater is not None:
            return self._inflate(data, True)
        data = data + TAIL
        out = self._decompress(data)
        if self._context.eof:
            # That the block ended inside what was appended means that the message was cut short.
            out += self._go_on((self._context.unused_data + data[self._at :])[: -len(TAIL)], True)
        return out

    def _decompress(self, data: bytes) -> bytes:
        """Decompress as far as the first block with BFINAL; ``_at`` tells how much zlib was given."""
        context = self._context
        size = len(data)
        at = self._at = min(size, _SLICE)
        out = context.decompress(data if size == at else data[:at], _MOST)
        if len(out) < _MOST and at == size:
            self._remember(out)
            return out
        parts = [out]
        while True:
            piece = context.unconsumed_tail
            if context.eof:
                break
            if not piece and len(out) < _MOST:
                if at == size:
                    break
                piece = data[at : at + _SLICE]
                at += len(piece)
            out = context.decompress(piece, _MOST)
            parts.append(out)
        self._at = at
        out = b"".join(parts)
        self._remember(out)
        return out

    def flush(self) -> bytes:
        """Return what is left over: nothing, as everything has been returned before."""
        return b""

    def _go_on(self, data: bytes, final: bool) -> bytes:
        """Decompress what follows the first block with BFINAL."""
        self._inflater = Inflater(self._bits, False, self._history)
        self._history = bytearray()
        if not data:
            # An end that had a zero byte behind it would make for a tidier one (RFC 7692 §7.2.3.4).
            self._ended = not final
            return b""
        return self._inflate(data, final)

    def _inflate(self, data: bytes, final: bool) -> bytes:
        if self._inflater is None:
            raise RuntimeError("no inflater")
        if data:
            self._ended = False
        try:
            return self._inflater(data, final, _NO_END)
        except ProtocolError as exc:
            raise zlib.error(str(exc)) from exc

    def _remember(self, out: bytes) -> None:
        history = self._history
        keep = self._keep
        if len(out) >= keep:
            history[:] = memoryview(out)[-keep:]
            return
        history += out
        if len(history) > 2 * keep:
            del history[:-keep]
