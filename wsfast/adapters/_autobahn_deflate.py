"""What inflates the messages of ``autobahn``'s ``permessage-deflate``, in place of its own methods.

:mod:`wsfast.adapters.autobahn` puts it there. It does the same, but for one thing: a block with BFINAL
(RFC 7692 §7.2.3.4, §7.2.3.5) ends what zlib takes for a stream, and the library would lose all that comes
behind it, that is all later messages. Here another zlib object goes on, with the same window.
"""

from __future__ import annotations

import zlib
from typing import Any

from autobahn.exception import PayloadCorruptError, PayloadExceededError

__all__ = ["decompress_message_data", "end_decompress_message", "end_whole_message"]

TAIL = b"\x00\x00\xff\xff"

# How much of a message is given to zlib at once behind a block with BFINAL: of what it does not take it
# makes a copy. As long as none ends, each piece is twice as long as the one before it.
_STEP = 64

# The largest window that DEFLATE knows; that much of the output is kept, and at most a quarter more.
_WINDOW = 1 << 15
_KEPT = _WINDOW + (_WINDOW >> 2)


def decompress_message_data(self: Any, data: bytes, max_output_len: int | None = None) -> bytes:
    """Decompress a piece of a message.

    Raises:
        PayloadExceededError: it has more than the extension's own limit or ``max_output_len`` leaves room
            for.
        PayloadCorruptError: it is not DEFLATE.

    """
    limit = max_output_len
    if self.max_message_size is not None:
        rest = self.max_message_size - self._decompress_message_size
        limit = rest if limit is None else min(limit, rest)
    # To zlib, 0 is no limit; one byte, where there should be none, tells as much.
    most = 0 if limit is None else max(limit, 1)
    context = self._decompressor
    try:
        kept = self._wsfast
    except AttributeError:
        kept = self._wsfast = _Kept()
    if kept.context is not context:  # the library has begun anew
        kept.context = context
        kept.history.clear()
    if data:
        kept.last = data[-1]
    try:
        if context.eof:
            message, is_all = _go_on(self, kept, data, most)
        else:
            message = context.decompress(data, most)
            kept.remember(message)
            is_all = not context.unconsumed_tail
            if context.eof and context.unused_data:
                left = max(most - len(message), 1) if most else 0
                more, is_all = _go_on(self, kept, context.unused_data, left)
                message += more
    except zlib.error as exc:
        raise PayloadCorruptError(f"invalid permessage-deflate data: {exc}") from exc
    if limit is None:
        return message
    self._decompress_message_size += len(message)
    if not is_all or len(message) > limit:
        raise PayloadExceededError(
            "WebSocket message exceeds decompression limit "
            f"(max_message_size={self.max_message_size}, "
            f"max_output_len={max_output_len})"
        )
    return message


def end_decompress_message(self: Any) -> None:
    """Put behind a message what its sender has left out there (RFC 7692 §7.2.2).

    Raises:
        PayloadCorruptError: that shows that it was not DEFLATE.

    """
    context = self._decompressor
    if context.eof:
        # The message has ended with a block with BFINAL. It should have had a zero byte behind it
        # (RFC 7692 §7.2.1), but there is no doubt what it means.
        return
    try:
        context.decompress(TAIL)
    except zlib.error as exc:
        raise PayloadCorruptError(f"invalid permessage-deflate data: {exc}") from exc


def end_whole_message(self: Any) -> None:
    """Do the same, and refuse a message that can be seen to end inside a block.

    What a sender leaves out begins with three bits that are 0, and so are all behind them in their byte.
    """
    kept = getattr(self, "_wsfast", None)
    if kept is not None and kept.last > 0x1F and not self._decompressor.eof:
        raise PayloadCorruptError("invalid permessage-deflate data: the message ends inside a block")
    end_decompress_message(self)


class _Kept:
    """What is kept for an extension, as its attribute ``_wsfast``."""

    __slots__ = ("context", "history", "last")

    def __init__(self) -> None:
        self.context: Any = None  # what the history is the latest output of
        self.history = bytearray()
        self.last = 0  # the last byte of the message so far

    def remember(self, out: bytes) -> None:
        """Keep as much of the latest output as a window has, and up to a quarter more."""
        history = self.history
        if len(out) >= _WINDOW:
            history[:] = memoryview(out)[-_WINDOW:]
            return
        history += out
        if len(history) > _KEPT:
            del history[:-_WINDOW]


def _go_on(self: Any, kept: _Kept, data: bytes, most: int) -> tuple[bytes, bool]:
    """Decompress what stands behind a block with BFINAL; return it, and whether that was all."""
    bits = self.client_max_window_bits if self._is_server else self.server_max_window_bits
    context = self._decompressor
    outputs = []
    size = at = 0
    step = _STEP
    end = len(data)
    with memoryview(data) as view:
        while at < end:
            if context.eof:
                del kept.history[:-_WINDOW]
                context = zlib.decompressobj(-bits, zdict=kept.history)
                kept.context = self._decompressor = context
                step = _STEP
            piece = view[at : at + step]
            out = context.decompress(piece, max(most - size, 1) if most else 0)
            at += len(piece) - len(context.unused_data if context.eof else context.unconsumed_tail)
            piece.release()
            step *= 2
            if out:
                outputs.append(out)
                size += len(out)
                kept.remember(out)
            if most and (size > most or (context.unconsumed_tail and not context.eof)):
                break
    return b"".join(outputs), at == end
