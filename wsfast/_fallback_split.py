"""Whole frames out of a buffer that is somebody else's, in pure Python (RFC 6455 §5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import arguments, rules
from ._fallback_bytes import OPCODES, flatten, xor
from .frames import Frame

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["split_frames"]


def split_frames(
    data: Buffer, offset: int, masked: bool, rsv1: bool, in_message: bool, most: int, /
) -> tuple[list[str | bytes | Frame], int]:
    """Take whole and legal frames from a buffer, for a host library that has a parser of its own.

    That parser has the rest: nothing is kept here, and nothing raised for what the peer does. Frames are
    taken until one is not there as a whole, breaks a rule for frames, or is a text message that is not
    UTF-8; or up to and with a close frame, whose payload is not judged.

    Args:
        data: any bytes-like object, of any length. It is not changed.
        offset: where in ``data`` a frame begins, 0 or more.
        masked: whether frames must be masked (the peer is a client) or must not be.
        rsv1: whether the first frame of a message may have RSV1 set (RFC 7692 §6.1).
        in_message: whether a fragmented message is under way.
        most: how many frames to take at most.

    Returns:
        The frames, in order, and where in ``data`` the next one begins. A message in one frame without
        RSV1 is a ``str`` or ``bytes``, every other frame a :class:`~wsfast.Frame`. Nothing of it shares
        memory with ``data``.

    Raises:
        TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte.
        ValueError: ``offset`` is negative.

    """
    if offset < 0:
        arguments.check_offset(offset)
    items: list[str | bytes | Frame] = []
    with flatten("data", data) as view:
        end = len(view)
        position = min(offset, end)
        while most > 0 and end - position >= 2:
            first, second = view[position], view[position + 1]
            fault = rules.first_bytes_fault(
                first, second, masked=masked, allowed_rsv=0x40 if rsv1 else 0, in_message=in_message
            )
            if fault is not None:
                break
            length = second & 0x7F
            start = position + (2 if length < 126 else 4 if length == 126 else 10)
            if start > end:
                break
            if length > 125:
                length = int.from_bytes(view[position + 2 : start], "big")
                if length < (126 if start - position == 4 else 65536):
                    break
            if masked:
                start += 4
            stop = start + length
            if stop > end:
                break
            payload = bytes(view[start:stop])
            if masked:
                payload = bytes(xor(payload, bytes(view[start - 4 : start])))
            if first == 0x81:
                try:
                    items.append(payload.decode())
                except UnicodeDecodeError:
                    break
            elif first == 0x82:
                items.append(payload)
            else:
                opcode = OPCODES[first & 0x0F]
                items.append(Frame(opcode, payload, first > 127, first & 0x40 != 0))  # type: ignore[arg-type]
                if not first & 0x08:
                    in_message = first < 128
            position = stop
            most -= 1
            if first == 0x88:
                break
    return items, position
