"""The compressed data of permessage-deflate: raw DEFLATE streams, and the zlib module behind them.

:class:`Inflater` and :class:`Deflater` belong to one direction of one connection each, and make their
zlib objects when the first compressed message comes. The zlib module is the standard library's unless
:func:`set_zlib_backend` names another with the same functions: ``isal.isal_zlib`` or ``zlib_ng.zlib_ng``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from .errors import ProtocolError
from .rules import failed_before, failure_of

__all__ = ["Deflater", "Inflater", "ZlibModule", "set_zlib_backend", "zlib_backend"]

#: What every message ends with, and is sent without: an empty stored block but for its first bits.
TAIL = b"\x00\x00\xff\xff"
#: An empty block with BFINAL set, to see whether a stream is where a block may begin.
_FINAL_BLOCK = b"\x03\x00"

#: How much input zlib is given at a time. It copies what it does not come to because of the limit on
#: the output, or because of a block with BFINAL, so that the copies would add up for a whole piece.
_SLICE = 16 << 10
_SMALLEST_SLICE = 512
#: The first slice behind a block with BFINAL, for another one may follow at once, and a third.
_SLICE_BEHIND_FINAL = 64

#: Stands for the last byte of a message before it has any.
_NO_BYTE = 0x100

#: What :func:`set_zlib_backend` asks of a module.
_FUNCTIONS = ("compressobj", "decompressobj")
_PROBE = b"wsfast " * 40


class Compressor(Protocol):
    """What ``compressobj()`` returns, as far as it is used."""

    def compress(self, data: Any, /) -> bytes:
        """Compress ``data``."""
        ...

    def flush(self, mode: int, /) -> bytes:
        """Return all the output there is."""
        ...


class Decompressor(Protocol):
    """What ``decompressobj()`` returns, as far as it is used."""

    @property
    def eof(self) -> bool:
        """Whether a block with BFINAL has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The input behind that block."""
        ...

    @property
    def unconsumed_tail(self) -> bytes:
        """The input that was not looked at because of ``max_length``."""
        ...

    def decompress(self, data: Any, max_length: int, /) -> bytes:
        """Return at most ``max_length`` bytes of output."""
        ...


class ZlibModule(Protocol):
    """A module with the functions of the standard library's :mod:`zlib` that compression needs.

    ``compressobj()`` takes the keywords ``level``, ``wbits``, ``memLevel``; ``decompressobj()`` takes
    ``wbits`` and ``zdict``. Both understand negative ``wbits``: raw DEFLATE streams.
    """

    @property
    def Z_SYNC_FLUSH(self) -> int:
        """The mode of ``flush()`` that ends at a byte, without an end of the stream."""
        ...

    @property
    def error(self) -> type[Exception]:
        """What is raised for data that is not DEFLATE."""
        ...

    @property
    def compressobj(self) -> Any:
        """Make a compressor."""
        ...

    @property
    def decompressobj(self) -> Any:
        """Make a decompressor."""
        ...


class Backend:
    """A zlib module that has proved to work, and the highest compression level that it takes."""

    __slots__ = ("max_level", "module")

    def __init__(self, module: ZlibModule) -> None:
        self.module = module
        self.max_level = 9
        self._check()

    @property
    def name(self) -> str:
        return str(getattr(self.module, "__name__", None) or type(self.module).__name__)

    def _check(self) -> None:
        """Compress and decompress a little as connections do; see what the module can do."""
        module = self.module
        missing = [name for name in _FUNCTIONS if not callable(getattr(module, name, None))]
        if not isinstance(getattr(module, "Z_SYNC_FLUSH", None), int):
            missing.append("Z_SYNC_FLUSH")
        error = getattr(module, "error", None)
        if not (isinstance(error, type) and issubclass(error, Exception)):
            missing.append("error")
        if missing:
            raise TypeError(
                f"zlib backend must be a module like zlib, but {self.name} lacks {', '.join(missing)}"
            )
        try:
            sound = self._round_trip()
        except Exception as exc:
            raise ValueError(f"zlib backend {self.name} cannot do what zlib does: {exc!r}") from exc
        if not sound:
            raise ValueError(f"zlib backend {self.name} cannot do what zlib does: wrong data came back")
        while self.max_level > 1:
            try:
                module.compressobj(level=self.max_level, wbits=-15, memLevel=8)
            except Exception:  # a ValueError, but for modules that use their own exception
                self.max_level -= 1
            else:
                return

    def _round_trip(self) -> bool:
        module = self.module
        compressor: Compressor = module.compressobj(wbits=-9, memLevel=1)
        packed = compressor.compress(_PROBE) + compressor.flush(module.Z_SYNC_FLUSH)
        again = compressor.compress(_PROBE) + compressor.flush(module.Z_SYNC_FLUSH)
        # The second message refers to the first: it is decoded with that as a dictionary.
        decompressor: Decompressor = module.decompressobj(wbits=-9)
        dictionary = bytearray(_PROBE)
        other: Decompressor = module.decompressobj(wbits=-9, zdict=dictionary)
        # It grows later on, which a buffer that is still in use would not let it do.
        dictionary += _PROBE * 100
        some = decompressor.decompress(packed, 10)
        rest = decompressor.decompress(decompressor.unconsumed_tail + _FINAL_BLOCK + b"+", 1000)
        return (
            packed.endswith(TAIL)
            and some + rest == _PROBE
            and other.decompress(again, 1000) == _PROBE
            and bool(decompressor.eof)
            and not other.eof
            and decompressor.unused_data == b"+"
        )


_standard = Backend(zlib)
_current = _standard


def set_zlib_backend(module: ZlibModule) -> None:
    """Use another zlib module for the connections that are made from now on, in the whole process.

    Args:
        module: :mod:`zlib` (the default), ``isal.isal_zlib``, ``zlib_ng.zlib_ng``, or another module
            with the same interface. It is tried out before it is taken.

    Raises:
        TypeError: ``module`` lacks something that is needed; the message says what.
        ValueError: it has everything, but does not work on a small example.

    """
    global _current
    _current = _standard if module is zlib else Backend(module)


def current_backend() -> Backend:
    """Return what new connections use, to be kept by those that are still in their handshake."""
    return _current


def check_level(level: int | None, backend: Backend) -> None:
    """Raise ``ValueError`` if the zlib module has no such compression level."""
    if level is not None and not 0 <= level <= backend.max_level:
        raise ValueError(f"level must be 0 to {backend.max_level} with {backend.name}, not {level}")


def zlib_backend() -> ZlibModule:
    """Return the zlib module that new connections use: what :func:`set_zlib_backend` was given last."""
    return _current.module


class Deflater:
    """Compresses the messages of one direction of a connection (RFC 7692 §7.2.1).

    Args:
        window_bits: greatest size of the window, as a power of 2: 8 to 15 (32 KiB).
        no_context_takeover: whether every message starts anew. The zlib object is then made for each
            message and freed with it. One shared by all connections and emptied with ``Z_FULL_FLUSH``
            would save 3 to 14 % of the time with zlib, a quarter with isal, and keep the messages of one
            connection in the memory from which those of another are compressed: it is not done.
        level: the compression level; ``None`` for the default of the zlib module.
        mem_level: 1 to 9, the memory zlib uses beyond the window; see :class:`wsfast.Deflate`.
        threshold: what to leave uncompressed; this class only keeps it.
        backend: the zlib module, ``None`` for the one that new connections use.

    Attributes:
        parameters: compares equal between deflaters that have the same threshold, and for which
            :meth:`compress_alone` gives the same.
        threshold: messages of fewer bytes are to be sent uncompressed.

    Raises:
        ValueError: the zlib module has no such level.

    """

    __slots__ = ("_context", "_keeps_context", "_make", "_sync", "parameters", "threshold")

    def __init__(
        self,
        window_bits: int,
        no_context_takeover: bool,
        level: int | None = None,
        mem_level: int = 8,
        threshold: int = 0,
        backend: Backend | None = None,
    ) -> None:
        backend = backend or _current
        check_level(level, backend)
        if window_bits < 9:
            # No zlib makes raw streams with a window of 256 bytes. But zlib's matches end 262 bytes, its
            # longest match and then some, before the window does: with 512 bytes none is further back
            # than 250, and such a stream can be read with 256. That is so in zlib, not in all others.
            backend, window_bits = _standard, 9
        options = {"wbits": -window_bits, "memLevel": mem_level}
        if level is not None:
            options["level"] = level
        self.parameters: tuple[object, ...] = (backend.name, window_bits, level, mem_level, threshold)
        self._make: Callable[[], Compressor] = partial(backend.module.compressobj, **options)
        self._sync = backend.module.Z_SYNC_FLUSH
        self._keeps_context = not no_context_takeover
        self._context: Compressor | None = None
        self.threshold = threshold

    def __call__(self, data: bytes | bytearray | memoryview, final: bool = True) -> bytes:
        """Compress a message, or the next part of one.

        Args:
            data: the part, of any length. It is not kept.
            final: whether the message ends with it.

        Returns:
            The payload of the frame to send for it, at once: nothing of the part is held back. It is
            empty only for an empty part that is not the last.

        Raises:
            MemoryError: as zlib does. The message under way is lost, later ones are not affected.
            TypeError: ``data`` is not bytes-like.

        """
        context = self._context
        if not data:
            if not final:
                return b""
            # zlib returns nothing when there is nothing new to flush. The stream is at a byte boundary,
            # where this is the beginning of an empty stored block (RFC 7692 §7.2.3.6).
            if not self._keeps_context:
                self._context = None
            return b"\x00"
        if context is None:
            context = self._context = self._make()
        try:
            packed = context.compress(data)
            flushed = context.flush(self._sync)
            if not final:
                return packed + flushed
            if flushed[-4:] != TAIL:
                raise RuntimeError(f"zlib's output ends with {flushed[-4:]!r} instead of {TAIL!r}")
        except BaseException:
            # What the context refers to from now on may never have been sent. A new one is always right.
            self._context = None
            raise
        if not self._keeps_context:
            self._context = None
        return packed + flushed[:-4] if packed else flushed[:-4]

    def compress_alone(self, data: bytes | bytearray | memoryview) -> bytes:
        """Compress a message by itself, for any connection that has the same :attr:`parameters`.

        The context is not used. Once the result is sent, :meth:`forget` it.

        Args:
            data: the whole message.

        Returns:
            The payload of the frame to send.

        """
        context, keeps_context = self._context, self._keeps_context
        self._context, self._keeps_context = None, False
        try:
            return self(data)
        finally:
            self._context, self._keeps_context = context, keeps_context

    def forget(self) -> None:
        """Start anew: the next message refers to no earlier one.

        It has to be called after a message went out that was compressed otherwise, for it moved the
        peer's window. Not within a message.
        """
        self._context = None


class Inflater:
    """Decompresses the messages of one direction of a connection (RFC 7692 §7.2.2).

    Blocks of every type are read, with BFINAL set or not, wherever they stand: a block with BFINAL ends
    what zlib takes for a stream, so another zlib object goes on behind it, with the same window.

    With context takeover, the latest output is kept for that: as many bytes as the window has, and at
    most a quarter more.

    What ends inside a block is an error. It is found when the block has BFINAL, and without context
    takeover, where only a stored block without its last four bytes may pass, one in eight. With takeover,
    of messages cut short anywhere about 85 in 100 are found at once, most by the last byte, whose upper
    three bits must be 0. The others leave the stream inside a block, so that the next messages make no
    sense, which is found then as a rule. To be sure would take a second zlib object.

    Args:
        window_bits: the size of the window that the peer may use, as a power of 2: 8 to 15 (32 KiB).
        no_context_takeover: whether every message starts anew; the memory is then freed between
            messages, and what refers to an earlier one is an error.
        history: the latest output of whoever has decompressed the stream so far, if that was somebody
            else: as many bytes as the window has, or more.
        backend: the zlib module, ``None`` for the one that new connections use.

    """

    __slots__ = (
        "_at",
        "_closing",
        "_context",
        "_end",
        "_error",
        "_history",
        "_keep",
        "_keeps_context",
        "_last",
        "_module",
        "_rest",
        "_window",
    )

    def __init__(
        self,
        window_bits: int,
        no_context_takeover: bool,
        history: bytes | bytearray = b"",
        backend: Backend | None = None,
    ) -> None:
        self._module = (backend or _current).module
        # A larger window than agreed does no harm; not every zlib has one of 256 bytes.
        self._window = 1 << max(window_bits, 9)
        self._keep = self._window + self._window // 4
        self._keeps_context = not no_context_takeover
        # A stream that goes on cannot be asked where it is. One that ends here can.
        self._end = TAIL + _FINAL_BLOCK if no_context_takeover else TAIL
        self._context: Decompressor | None = None
        self._history = bytearray(history)
        self._rest: bytes = b""
        self._at = 0
        self._last = _NO_BYTE
        self._closing = False
        self._error: ProtocolError | None = None

    def __call__(self, data: bytes, final: bool, max_length: int) -> bytes:
        """Decompress a piece of a message.

        Args:
            data: the piece; the whole of it is used, now or in the following calls.
            final: whether the message ends with it.
            max_length: the most bytes to return, at least 1.

        Returns:
            Up to ``max_length`` bytes. As many mean that there may be more: call again with empty
            ``data`` and the same ``final`` until fewer come. With ``final``, fewer end the message.

        Raises:
            ProtocolError: ``data`` is not DEFLATE, or the message ends inside a block (close code
                1002). Every later call raises it too.
            ValueError: ``max_length`` is less than 1.

        """
        if max_length < 1:
            raise ValueError(f"max_length must be 1 or more, not {max_length}")
        if self._error is not None:
            raise failed_before(self._error)
        if data:
            self._last = data[-1]
        if final and not self._closing:
            self._closing = True
            data = data + self._end
        context = self._context
        if self._rest or len(data) <= len(self._end):
            return self._go_on(data, max_length)
        # The rest is for speed: the usual cases, without a loop. All of the data is tried at once, once: zlib
        # copies what it leaves, which is not to happen again and again.
        try:
            if context is None:
                context = self._context = self._new_context()
            out = context.decompress(data, max_length)
        except BaseException as exc:
            raise self._failed(exc) from None
        if len(out) == max_length:
            return self._go_on(data, max_length, out)
        if not self._keeps_context:
            # A whole message ends with _FINAL_BLOCK.
            if not (final and context.eof) or context.unused_data or self._history or self._last > 0x1F:
                return self._go_on(data, max_length, out)
            self._context = None
            self._closing = False
            self._last = _NO_BYTE
            return out
        if context.eof:
            return self._go_on(data, max_length, out)
        history = self._history
        if len(out) < self._window:
            history += out
            if len(history) > self._keep:
                del history[: -self._window]
        else:
            history[:] = out[-self._window :]
        if final:
            if self._last > 0x1F:
                raise self._failed(_truncated())
            self._closing = False
            self._last = _NO_BYTE
        return out

    def _go_on(self, data: bytes, max_length: int, first: bytes | None = None) -> bytes:
        """Decompress in all cases; ``first`` is what the context has made of ``data`` already."""
        try:
            outputs = self._decompress(data, max_length, first)
            return outputs[0] if len(outputs) == 1 else b"".join(outputs)
        except BaseException as exc:
            raise self._failed(exc) from None

    def _decompress(self, data: bytes, max_length: int, first: bytes | None) -> list[bytes]:
        if self._rest:
            data = self._rest + data if data else self._rest
        at = self._at
        size = len(data)
        view = memoryview(data)
        room = max_length
        largest = max(_SMALLEST_SLICE, min(_SLICE, max_length))
        step = largest
        outputs = []
        while True:
            context = self._context
            if context is None:
                if self._closing and self._last != _NO_BYTE and size - at == len(self._end):
                    # The message has ended with a block with BFINAL. It should have had a zero byte
                    # behind it (RFC 7692 §7.2.1), but there is no doubt what it means.
                    at = size
                if at == size:
                    break
                context = self._context = self._new_context()
            if first is not None:
                taken, out, first = size, first, None
            else:
                taken = min(step, size - at)
                out = context.decompress(view[at : at + taken], room)
            # At the end of a stream, unconsumed_tail may or may not have what unused_data has.
            at += taken - len(context.unused_data if context.eof else context.unconsumed_tail)
            step = min(2 * step, largest)
            if out:
                outputs.append(out)
                room -= len(out)
                self._remember(out)
            if context.eof:
                self._context = None
                step = _SLICE_BEHIND_FINAL
                behind = size - at
                # In what is appended, only _FINAL_BLOCK may end, behind what ends a message.
                wrong = behind or self._keeps_context or self._last > 0x1F
                if self._closing and behind < len(self._end) and wrong:
                    raise _truncated()
            elif at == size and room:
                break
            if not room:
                # Whatever is left, if only inside the context, is for the next call.
                self._rest, self._at = (data, at) if at < size else (b"", 0)
                return outputs
        self._rest, self._at = b"", 0
        if self._closing:
            self._end_message()
        return outputs

    def _new_context(self) -> Decompressor:
        """Make a zlib object that goes on where the message, or the stream, is."""
        history = self._history
        if not history:
            context: Decompressor = self._module.decompressobj(wbits=-self._window.bit_length() + 1)
        else:
            del history[: -self._window]
            # The object keeps a reference to its dictionary, but takes what is in it now.
            context = self._module.decompressobj(wbits=-self._window.bit_length() + 1, zdict=history)
        return context

    def _remember(self, out: bytes) -> None:
        history = self._history
        if len(out) >= self._window:
            history[:] = memoryview(out)[-self._window :]
            return
        history += out
        if len(history) > self._keep:
            del history[: -self._window]

    def _end_message(self) -> None:
        # Without a context the last block had BFINAL, or was _FINAL_BLOCK: it is complete.
        if self._context is not None and (self._last > 0x1F or not self._keeps_context):
            raise _truncated()
        self._closing = False
        self._last = _NO_BYTE
        if not self._keeps_context:
            self._history.clear()

    def _failed(self, exc: BaseException) -> BaseException:
        """Remember that the stream is lost, free its memory, and return what to raise."""
        if isinstance(exc, self._module.error):
            words = str(exc)
            words = words.partition(" data: ")[2] or words
            exc = ProtocolError(f"compressed message is not DEFLATE: {words} (RFC 7692 §7.2.2)")
        self._error = failure_of(exc)
        self._context = None
        self._rest = b""
        self._history = bytearray()
        return exc


def _truncated() -> ProtocolError:
    return ProtocolError("compressed message is not DEFLATE: it ends inside a block (RFC 7692 §7.2.2)")
