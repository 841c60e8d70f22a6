"""Frames one at a time, in pure Python: headers, masking keys, frames out (RFC 6455 §5.2, §5.3)."""

from __future__ import annotations

import os
import struct
from operator import index
from typing import TYPE_CHECKING

from . import arguments, rules
from ._fallback_bytes import OPCODES, as_bytes, xor
from .frames import FrameHeader

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["encode_frame", "mask_key", "parse_header"]

_KEY_POOL_SIZE = 4096
_key_pool: list[bytes] = []


def mask_key() -> bytes:
    """Return a fresh masking key: 4 bytes that nobody can predict (RFC 6455 §5.3, §10.3).

    Keys come from a pool that is filled by the operating system's generator (``os.urandom``) or, in
    the compiled backend, by ChaCha20 with a seed from there. No key is given out twice, whether to
    several threads or to a forked child.
    """
    # list.pop() and list.extend() are each one step for other threads. Two that find the pool empty
    # at once both fill it: that wastes nothing, for the keys differ.
    while True:
        try:
            return _key_pool.pop()
        except IndexError:
            fresh = os.urandom(_KEY_POOL_SIZE)
            if type(fresh) is not bytes or len(fresh) != _KEY_POOL_SIZE:
                raise arguments.bad_entropy(_KEY_POOL_SIZE) from None
            _key_pool.extend(struct.unpack("4s" * (_KEY_POOL_SIZE // 4), fresh))


def _forget_keys() -> None:
    _key_pool.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    # The parent goes on to use these keys: the child must not.
    os.register_at_fork(after_in_child=_forget_keys)


def parse_header(data: Buffer, offset: int = 0) -> FrameHeader | None:
    """Parse the header of a frame (RFC 6455 §5.2).

    What the header alone tells is judged: unknown opcodes, fragmented or too long control frames, a
    length that is not in its shortest form or has its top bit set. Reserved bits and the mask bit
    are reported, not judged, for their meaning depends on the connection; so does the order of
    fragments.

    Args:
        data: bytes-like object that holds the header. It is not changed.
        offset: where in ``data`` the header starts, 0 or more.

    Returns:
        The header, or ``None`` while its end is missing.

    Raises:
        TypeError: ``data`` is not bytes-like, or is a buffer of items wider than a byte, or
            ``offset`` is not an ``int``.
        ValueError: ``offset`` is negative.
        ProtocolError: no frame can have this header; its ``code`` is 1002.

    """
    offset = index(offset)
    if offset < 0:
        arguments.check_offset(offset)
    if type(data) is not bytes:
        data = as_bytes("data", data)
    available = len(data) - offset
    if available < 2:
        return None
    first = data[offset]
    second = data[offset + 1]
    opcode = OPCODES[first & 0x0F]
    masked = second > 127
    if opcode is None or opcode > 7:
        fault = rules.first_bytes_fault(first & 0x8F, second, masked=masked, allowed_rsv=0, in_message=False)
        if fault is not None:
            try:
                raise fault
            finally:
                del fault  # or it would keep this frame, which keeps it
    length = second & 0x7F
    size = 2
    if length > 125:
        size = 4 if length == 126 else 10
        if available < size:
            return None
        length = int.from_bytes(data[offset + 2 : offset + size], "big")
        if length < (126 if size == 4 else 65536) or length >> 63:
            raise rules.length_fault(length)
    mask = b""
    if masked:
        size += 4
        if available < size:
            return None
        mask = data[offset + size - 4 : offset + size]
    # opcode is not None: no such first byte passes first_bytes_fault().
    return FrameHeader(
        first > 127,
        first & 0x40 != 0,
        first & 0x20 != 0,
        first & 0x10 != 0,
        opcode,  # type: ignore[arg-type]
        masked,
        length,
        mask,
        size,
    )


def encode_frame(
    opcode: int,
    payload: str | Buffer = b"",
    *,
    fin: bool = True,
    rsv1: bool = False,
    mask: bool | Buffer = False,
) -> bytes:
    """Build a frame, ready to be sent (RFC 6455 §5.2).

    Args:
        opcode: an :class:`~wsfast.Opcode` or its number.
        payload: a ``str``, which is sent as UTF-8, or any bytes-like object, which is sent as it is;
            in a text frame too, where the caller answers for its being UTF-8. Buffers that are not
            contiguous, or have several dimensions, are read in C order. At most 125 bytes in close,
            ping and pong frames.
        fin: whether this frame ends its message.
        rsv1: whether its message is compressed (RFC 7692 §6.1).
        mask: ``True`` masks with a fresh key, as a client must; ``False`` does not mask, as a server
            must not; a bytes-like object of 4 bytes is the key to mask with (RFC 6455 §5.1, §5.3).

    Returns:
        Header and payload in one new ``bytes`` object.

    Raises:
        TypeError: ``opcode`` is not an ``int``, ``payload`` neither ``str`` nor bytes-like, ``mask``
            neither ``bool`` nor bytes-like, or a buffer has items wider than a byte.
        ValueError: no such opcode; a control frame is fragmented, compressed or too long; ``mask``
            does not have 4 bytes.
        UnicodeEncodeError: ``payload`` is a ``str`` with a lone surrogate.

    """
    opcode = arguments.check_opcode(opcode, fin, rsv1)
    if isinstance(payload, str):
        payload = str.encode(payload)
    elif type(payload) is not bytes:
        payload = as_bytes("payload", payload, arguments.not_text_or_bytes_like)
    length = len(payload)
    if opcode > 7 and length > 125:
        raise arguments.control_frame_too_long(opcode, length)
    if mask is False:
        key = b""
        mask_bit = 0
    else:
        if mask is True:
            key = mask_key()
        else:
            key = mask if type(mask) is bytes else as_bytes("mask", mask, _bad_mask_type)
            if len(key) != 4:
                raise arguments.bad_mask_length(len(key))
        mask_bit = 0x80
    if fin:
        opcode |= 0x80
    if rsv1:
        opcode |= 0x40
    if length < 126:
        header = bytes((opcode, mask_bit | length))
    elif length < 65536:
        header = bytes((opcode, mask_bit | 126, length >> 8, length & 0xFF))
    else:
        header = bytes((opcode, mask_bit | 127)) + length.to_bytes(8, "big")
    if mask_bit:
        return header + key + xor(payload, key)
    return header + payload


def _bad_mask_type(_: str, mask: object) -> TypeError:
    return arguments.bad_mask_type(mask)
