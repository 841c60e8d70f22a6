"""Whole messages out of a buffer, without a decoder, in pure Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import arguments
from ._fallback_bytes import flatten, xor

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

__all__ = ["take_messages"]


def take_messages(
    data: Buffer,
    offset: int,
    messages: list[Any],
    masked: bool,
    max_size: int | None = None,
    packed: Callable[[int, bytes], object] | None = None,
) -> int:
    """Take the messages that ``data`` has from ``offset`` on, as long as each is one whole, legal frame.

    For adapters of libraries whose own parser has the rest: control frames, fragments, frames that are
    not whole yet, and everything that breaks a rule. Nothing is kept between calls.

    Args:
        data: bytes-like object; it is not changed, and not kept.
        offset: where in ``data`` a frame begins, 0 or more.
        messages: to which they are appended: ``str`` for text, ``bytes`` for binary messages; new
            objects, complete before the next one is looked at.
        masked: whether the peer masks.
        max_size: greatest payload to take, in bytes; ``None`` for no limit.
        packed: called with the opcode, 1 or 2, and the payload of each frame that has RSV1 set, and what
            it returns is appended; ``None`` if there is no extension that uses RSV1. Its exceptions
            pass; messages taken before are then in ``messages``.

    Returns:
        The offset of the first byte that was not taken: that of a frame that is no whole message, is
        illegal, or is text and not UTF-8 (RFC 6455 §5.2, §8.1), or the end of ``data``.

    Raises:
        TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte; ``max_size`` is
            not a whole number.
        ValueError: ``offset`` or ``max_size`` is negative.

    """
    limit = arguments.check_max_size(max_size)
    if offset < 0:
        arguments.check_offset(offset)
    with flatten("data", data) as view:
        size = len(view)
        while size - offset >= 2:
            first, second = view[offset], view[offset + 1]
            length = second & 0x7F
            start = offset + 2
            if length > 125:
                start += 2 if length == 126 else 8
                if start > size:
                    break
                shortest = 126 if length == 126 else 65536
                length = int.from_bytes(view[offset + 2 : start], "big")
                if length < shortest or length >> 63:
                    break
            if (second > 127) != bool(masked) or length > limit:
                break
            if masked:
                start += 4
            end = start + length
            if end > size or first not in (0x81, 0x82, 0xC1, 0xC2):
                break
            if first > 0xBF and packed is None:
                break
            payload = view[start:end].tobytes()
            if masked:
                payload = bytes(xor(payload, view[start - 4 : start].tobytes()))
            message: object = payload
            if first == 0x81:
                try:
                    message = payload.decode()
                except UnicodeDecodeError:
                    break
            elif first > 0xBF and packed is not None:
                message = packed(first & 0x0F, payload)
            messages.append(message)
            offset = end
    return offset
