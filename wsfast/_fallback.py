"""The codec in plain Python: what wsfast runs on where its compiled module is not built.

The same names, results and errors as ``_speedups``, to the letter of each message; only slower. It is
written to be fast for what it is: no object is made for a data frame but its message, payloads are
masked by whole-number XOR or table translation, text is checked by the interpreter's own decoder.

The parts: ``_fallback_bytes`` (what the others need), ``_fallback_frames`` (headers, keys, frames out),
``_fallback_decoder`` (frames and messages in), ``_fallback_channel`` (the data phase of a connection),
``_fallback_take`` and ``_fallback_split`` (whole messages, and frames, out of another library's buffer),
``_fallback_taker`` (whole messages, made into what another library queues), ``_fallback_endpoint`` (between a
protocol of an event loop and the tasks that use it), ``_fallback_timer`` (a timer that a loop can watch),
``_fallback_heads`` (heads of HTTP messages), ``_fallback_events`` (what connections tell).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NoReturn

from . import arguments
from ._fallback_bytes import TRANSLATE_FROM, as_bytes, decode_piece, export, xor
from ._fallback_channel import Channel
from ._fallback_decoder import FrameDecoder, MessageDecoder
from ._fallback_endpoint import Endpoint
from ._fallback_events import set_fields
from ._fallback_frames import _forget_keys as _forget_keys  # as the compiled module has it, for tests
from ._fallback_frames import encode_frame, mask_key, parse_header
from ._fallback_heads import find_head_end, split_head
from ._fallback_split import split_frames
from ._fallback_take import take_messages
from ._fallback_taker import MessageQueue, MessageTaker
from ._fallback_timer import new_timer, set_timer

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Channel",
    "Endpoint",
    "FrameDecoder",
    "MessageDecoder",
    "MessageQueue",
    "MessageTaker",
    "Utf8Validator",
    "apply_mask",
    "apply_mask_into",
    "available_isas",
    "decode_utf8",
    "encode_frame",
    "find_head_end",
    "is_utf8",
    "isa",
    "mask_key",
    "new_timer",
    "parse_header",
    "set_fields",
    "set_timer",
    "split_frames",
    "split_head",
    "take_messages",
]

#: Name of the kernel set in use.
isa: str = "python"

# Bytes of text that are checked at once, so that what the check decodes stays small.
_TEXT_BLOCK = 1 << 16


def available_isas() -> tuple[str, ...]:
    """Return the names of the kernel sets that can run here, best first.

    ``"avx512"``, ``"avx2"``, ``"sse4.1"``, ``"neon"`` and ``"scalar"`` are sets of the compiled
    module; without it there is one, ``"python"``.
    """
    return ("python",)


# ---- Masking ---------------------------------------------------------------------------------------


def apply_mask(data: Buffer, mask: Buffer) -> bytes:
    """Mask or unmask a payload: XOR it with the repeated key (RFC 6455 §5.3).

    Args:
        data: the payload, any bytes-like object of any length. It is not changed. Buffers that are
            not contiguous, or have several dimensions, are read in C order.
        mask: the masking key, a bytes-like object of 4 bytes.

    Returns:
        A new ``bytes`` object of the length of ``data``.

    Raises:
        TypeError: ``data`` or ``mask`` is not bytes-like, or is a buffer of items wider than a byte.
        ValueError: ``mask`` does not have 4 bytes.

    """
    if type(data) is not bytes:
        data = as_bytes("data", data)
    if type(mask) is not bytes:
        mask = as_bytes("mask", mask)
    if len(mask) != 4:
        raise arguments.bad_mask_length(len(mask))
    size = len(data)
    if size >= TRANSLATE_FROM:
        return bytes(xor(data, mask))
    # As xor() does it: for short payloads the call would be a tenth of the work.
    number = int.from_bytes(data, "little") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return number.to_bytes(size, "little")


def apply_mask_into(buffer: Buffer, mask: Buffer, offset: int = 0) -> None:
    """Mask or unmask a payload where it is (RFC 6455 §5.3).

    Args:
        buffer: the payload, a writable and C-contiguous bytes-like object of any length. Either all
            of it is masked, or none when an argument is refused.
        mask: the masking key, a bytes-like object of 4 bytes.
        offset: how many bytes of the same payload were masked before, 0 or more: byte ``i`` is
            masked with ``mask[(offset + i) % 4]``.

    Raises:
        TypeError: ``buffer`` or ``mask`` is not bytes-like, or is a buffer of items wider than a
            byte, or ``offset`` is not an ``int``.
        BufferError: ``buffer`` is read-only or not contiguous.
        ValueError: ``mask`` does not have 4 bytes, or ``offset`` is negative.

    """
    with export("buffer", buffer) as view:
        if view.readonly:
            raise BufferError("buffer must be writable")
        if not view.c_contiguous:
            raise BufferError("buffer must be contiguous")
        key = as_bytes("mask", mask)
        if len(key) != 4:
            raise arguments.bad_mask_length(len(key))
        phase = arguments.check_offset(offset)
        # A memoryview cannot be assigned to when it has several dimensions or an unusual format;
        # readinto() writes to every buffer.
        BytesIO(xor(view.tobytes(), key[phase:] + key[:phase])).readinto(view)


# ---- UTF-8 -----------------------------------------------------------------------------------------


def is_utf8(data: Buffer, /) -> bool:
    """Tell whether bytes are UTF-8 text, whole and valid (RFC 3629).

    Surrogates, overlong forms, values above U+10FFFF and text that ends inside a code point are not.

    Args:
        data: any bytes-like object, of any length. It is not changed.

    Raises:
        TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte.

    """
    validator = Utf8Validator()
    validator.feed(data)
    return validator.complete


def decode_utf8(data: Buffer, /) -> str:
    """Decode UTF-8 text: what ``bytes(data).decode()`` gives.

    Args:
        data: any bytes-like object, of any length. It is not changed.

    Raises:
        TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte.
        UnicodeDecodeError: the same one that ``bytes.decode`` raises.

    """
    return as_bytes("data", data).decode()


class Utf8Validator:
    """Check UTF-8 text that arrives in pieces, cut anywhere (RFC 3629, RFC 6455 §8.1).

    Nothing is kept of the text but the code point that a piece ends in.
    """

    __slots__ = ("_held", "_valid")

    _held: bytes
    _valid: bool

    def __init__(self) -> None:
        self.reset()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def feed(self, data: Buffer, /) -> bool:
        """Check the next piece of the text.

        Args:
            data: any bytes-like object, of any length, also of none. It is not changed.

        Returns:
            Whether the text so far is the beginning of some valid text. Once it is not, the answer
            stays ``False`` until :meth:`reset`.

        Raises:
            TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte. The
                state is unchanged.

        """
        if type(data) is not bytes:
            data = as_bytes("data", data)
        try:
            valid = self._valid
        except AttributeError:  # a subclass whose __init__() does not call this one's
            self.reset()
            valid = True
        if valid:
            held = self._held
            for start in range(0, len(data), _TEXT_BLOCK):
                _, held, fault = decode_piece(held, data[start : start + _TEXT_BLOCK])
                if fault >= 0:
                    self._valid = valid = False
                    break
            self._held = held
        return valid

    @property
    def complete(self) -> bool:
        """Whether the text so far is valid and does not end inside a code point."""
        try:
            return self._valid and not self._held
        except AttributeError:  # see feed()
            return True

    def reset(self) -> None:
        """Start a new text."""
        self._held = b""
        self._valid = True
