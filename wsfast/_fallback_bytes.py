"""The byte work of the pure-Python codec: reading arguments, masking, checking UTF-8."""

from __future__ import annotations

from codecs import utf_8_decode
from typing import TYPE_CHECKING

from . import arguments
from .frames import Opcode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPCODES", "TRANSLATE_FROM", "as_bytes", "decode_piece", "export", "flatten", "offending", "xor"]

_known_opcodes = {int(opcode): opcode for opcode in Opcode}

#: The opcode for each value that the four bits can have; ``None`` for the reserved ones.
OPCODES: tuple[Opcode | None, ...] = tuple(_known_opcodes.get(value) for value in range(16))

#: Payloads of this many bytes and more are masked by translation, shorter ones as one big number: both
#: cost about as much a byte as long as the cache holds them, but the number has less of a fixed cost.
TRANSLATE_FROM = 2048

# _XOR_TABLES[k] translates a byte into that byte XOR k. Each is made when it is first needed.
_XOR_TABLES: list[bytes | None] = [None] * 256

# Second bytes that a lead byte of UTF-8 restricts further than to 80-BF: no overlong forms (E0, F0),
# no surrogates (ED), nothing above U+10FFFF (F4). RFC 3629 §4.
_SECOND_BYTES = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
_ANY_SECOND_BYTE = (0x80, 0xBF)


def export(
    name: str, value: object, refusal: Callable[[str, object], TypeError] = arguments.not_bytes_like
) -> memoryview:
    """Return a view of a bytes-like object; the caller releases it.

    Args:
        name: the argument's name, for the message.
        value: the object to read.
        refusal: makes the error for an object that is not a buffer.

    Raises:
        TypeError: ``value`` is not a buffer, or one of items wider than a byte.

    """
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        if hasattr(type(value), "__buffer__"):
            raise  # a buffer, then: the error is its own
        raise refusal(name, value) from None
    if view.itemsize != 1:
        itemsize = view.itemsize
        view.release()
        raise arguments.not_single_bytes(name, itemsize)
    return view


def as_bytes(
    name: str, value: object, refusal: Callable[[str, object], TypeError] = arguments.not_bytes_like
) -> bytes:
    """Return the bytes of any bytes-like object, in C order; a copy unless they are ``bytes``.

    Arguments and errors are those of :func:`export`.
    """
    if type(value) is bytes:
        return value
    with export(name, value, refusal) as view:
        return view.tobytes()


def flatten(name: str, value: object) -> memoryview:
    """Return a view of the bytes of any bytes-like object, in C order; the caller releases it.

    It leads to the object itself where that is possible, otherwise to a copy.

    Raises:
        TypeError: ``value`` is not a buffer, or one of items wider than a byte.

    """
    with export(name, value) as view:
        if view.ndim == 1 and view.c_contiguous and view.format in ("B", "b", "c"):
            return view.cast("B")
        return memoryview(view.tobytes())


def xor(data: bytes, key: bytes) -> bytes | bytearray:
    """Mask ``data`` with the 4 bytes of ``key``; long results are a ``bytearray``."""
    size = len(data)
    if size < TRANSLATE_FROM:
        repeated = (key * (size // 4 + 1))[:size]
        number = int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")
        return number.to_bytes(size, "little")
    result = bytearray(data)
    for phase, byte in enumerate(key):
        table = _XOR_TABLES[byte]
        if table is None:
            table = _XOR_TABLES[byte] = bytes(value ^ byte for value in range(256))
        result[phase::4] = result[phase::4].translate(table)
    return result


def offending(text: bytes | bytearray, start: int) -> int:
    """Find the byte that spoils a text whose code points are valid up to ``start``.

    Returns:
        The index of the first byte that no valid text could have at its place; ``len(text)`` when
        the code point at ``start`` is only incomplete.

    """
    end = len(text)
    if start == end:
        return end
    lead = text[start]
    if 0xC2 <= lead <= 0xDF:
        size = 2
    elif 0xE0 <= lead <= 0xEF:
        size = 3
    elif 0xF0 <= lead <= 0xF4:
        size = 4
    else:
        return start
    low, high = _SECOND_BYTES.get(lead, _ANY_SECOND_BYTE)
    for place in range(start + 1, start + size):
        if place == end or not low <= text[place] <= high:
            return place
        low, high = _ANY_SECOND_BYTE
    raise ValueError("the code point is valid")  # the caller's index is wrong


def decode_piece(held: bytes, piece: bytes | bytearray) -> tuple[str, bytes, int]:
    """Decode a piece of UTF-8 text, cut anywhere.

    Args:
        held: the 0 to 3 bytes of the code point that the pieces before ended in.
        piece: what follows.

    Returns:
        The text of ``held + piece`` without the code point that it ends in; the 0 to 3 bytes of that,
        to hold for the next piece; and -1. When there is a byte that no valid text could have at its
        place, its index in ``piece`` instead of -1.

    """
    if held:
        piece = held + piece
    try:
        text, valid = utf_8_decode(piece, "strict", False)
    except UnicodeDecodeError as error:
        return "", b"", offending(piece, error.start) - len(held)
    if valid == len(piece):
        return text, b"", -1
    rest = bytes(piece[valid:])
    # The decoder takes ED A0 for the beginning of a code point. It is that of a surrogate.
    fault = offending(rest, 0)
    if fault < len(rest):
        return "", b"", valid + fault - len(held)
    return text, rest, -1
