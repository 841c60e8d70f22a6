"""The rules that a frame can break, and the words for each (RFC 6455 §5, RFC 7692 §6.1).

Both backends find out *that* something is wrong in their own way, as fast as they can, and then ask
this module *what* is wrong. So the order in which rules are judged, the messages and the close codes
are the same in both.

Functions named ``*_fault`` return the error to raise, or ``None`` when no rule is broken.
"""

from __future__ import annotations

from .errors import ProtocolError
from .frames import CloseCode, Opcode

__all__ = [
    "DEFAULT_MAX_SIZE",
    "close_payload_fault",
    "compressed_limit",
    "cut_reason",
    "drop_frames",
    "failed_before",
    "failure_of",
    "first_bytes_fault",
    "inflated_size_fault",
    "length_fault",
    "size_fault",
    "utf8_fault",
]

#: Default limit on a message, in bytes: 1 MiB.
DEFAULT_MAX_SIZE = 1 << 20

_KNOWN_OPCODES = frozenset(map(int, Opcode))


def first_bytes_fault(
    first: int, second: int, *, masked: bool, allowed_rsv: int, in_message: bool
) -> ProtocolError | None:
    """Judge the first two bytes of a frame.

    Args:
        first: the byte with FIN, RSV1-3 and the opcode.
        second: the byte with MASK and the 7-bit length.
        masked: whether frames from this peer must be masked (it is a client) or must not be.
        allowed_rsv: the reserved bits that were negotiated, in place (RSV1 is 0x40).
        in_message: whether a fragmented message is under way.

    """
    opcode = first & 0x0F
    unexpected = first & 0x70 & ~allowed_rsv
    if unexpected:
        names = " and ".join(f"RSV{n}" for n in (1, 2, 3) if unexpected & 0x80 >> n)
        return ProtocolError(f"{names} set, but no extension defines it (RFC 6455 §5.2)")
    if opcode not in _KNOWN_OPCODES:
        return ProtocolError(f"reserved opcode 0x{opcode:X} (RFC 6455 §5.2)")
    if opcode >= Opcode.CLOSE:
        name = Opcode(opcode).name.lower()
        if not first & 0x80:
            return ProtocolError(f"fragmented {name} frame (RFC 6455 §5.5)")
        if second & 0x7F > 125:
            return ProtocolError(f"{name} frame with a payload over 125 bytes (RFC 6455 §5.5)")
        if first & 0x40:
            return ProtocolError(f"RSV1 set on a {name} frame (RFC 7692 §6.1)")
    if bool(second & 0x80) != masked:
        if masked:
            return ProtocolError("unmasked frame from a client (RFC 6455 §5.1)")
        return ProtocolError("masked frame from a server (RFC 6455 §5.1)")
    if opcode == Opcode.CONTINUATION:
        if not in_message:
            return ProtocolError("continuation frame without a message to continue (RFC 6455 §5.4)")
        if first & 0x40:
            return ProtocolError("RSV1 set on a continuation frame (RFC 7692 §6.1)")
    elif opcode < Opcode.CLOSE and in_message:
        name = Opcode(opcode).name.lower()
        return ProtocolError(f"{name} frame inside a fragmented message (RFC 6455 §5.4)")
    return None


def length_fault(length: int) -> ProtocolError:
    """Say what is wrong with an extended payload length that is not written as it must be."""
    if length >> 63:
        return ProtocolError(f"payload length {length} has its top bit set (RFC 6455 §5.2)")
    return ProtocolError(f"payload length {length} is not in its shortest form (RFC 6455 §5.2)")


def size_fault(length: int, received: int, max_size: int) -> ProtocolError:
    """Refuse a frame of ``length`` bytes after ``received`` bytes of the same message."""
    if received:
        what = f"a frame of {length} bytes after {received} bytes of the same message"
    else:
        what = f"a frame of {length} bytes"
    return ProtocolError(
        f"message too big: {what} exceeds the limit of {max_size} bytes (RFC 6455 §10.4)",
        CloseCode.MESSAGE_TOO_BIG,
    )


def compressed_limit(max_size: int) -> int:
    """Return how long the frames of a compressed message may be, so that it can be within its limit.

    No compressor needs more: zlib's own bound is 9/64 above what it is given.
    """
    return max_size + (max_size >> 2) + 1024


def inflated_size_fault(max_size: int) -> ProtocolError:
    """Refuse a compressed message, as soon as it has inflated to more than the limit."""
    return ProtocolError(
        f"message too big: it inflates to more than the limit of {max_size} bytes (RFC 6455 §10.4)",
        CloseCode.MESSAGE_TOO_BIG,
    )


def utf8_fault(index: int, byte: int | None) -> ProtocolError:
    """Refuse text. ``index`` is the offending byte's place in the message, ``byte`` its value.

    ``byte`` is ``None`` when the message ends inside a code point; ``index`` is then its length.
    """
    if byte is None:
        what = f"it ends inside a code point, after {index} bytes"
    else:
        what = f"byte 0x{byte:02X} at index {index}"
    return ProtocolError(f"text message is not UTF-8: {what} (RFC 6455 §8.1)", CloseCode.INVALID_DATA)


def close_payload_fault(payload: bytes) -> ProtocolError | None:
    """Judge the payload of a close frame: empty, or a code and a UTF-8 reason (RFC 6455 §5.5.1)."""
    if not payload:
        return None
    if len(payload) == 1:
        return ProtocolError("close frame with a payload of 1 byte (RFC 6455 §5.5.1)")
    code = int.from_bytes(payload[:2], "big")
    if not CloseCode.is_sendable(code):
        return ProtocolError(f"close frame with code {code} (RFC 6455 §7.4)")
    if len(payload) == 2:
        return None
    try:
        payload[2:].decode()
    except UnicodeDecodeError as exc:
        return ProtocolError(
            f"close reason is not UTF-8: {exc.reason} at index {exc.start} (RFC 6455 §5.5.1)",
            CloseCode.INVALID_DATA,
        )
    return None


def cut_reason(reason: str) -> str:
    """Cut ``reason`` to the 123 bytes that a close frame has room for, between two code points."""
    return reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")


def drop_frames(error: BaseException | None) -> None:
    """Let go of what the tracebacks of ``error`` hold: it outlives the call that raised it by far."""
    while error is not None:
        error.__traceback__ = None
        cause = error.__cause__
        error.__context__ = cause
        error = cause


def failed_before(error: ProtocolError) -> ProtocolError:
    """Refuse input to a decoder that has raised ``error``: the stream cannot be resumed."""
    return ProtocolError(f"the decoder takes no input after an error: {error}", error.code)


def failure_of(error: BaseException) -> ProtocolError:
    """Return what is to be remembered of ``error``, which ended the input of a decoder.

    It is a new object, for ``error`` itself leads to the frames of its traceback. A subclass of
    :class:`ProtocolError` that somebody else raised may lack a usable ``code`` or text: that counts
    as 1002, or as no text.
    """
    if not isinstance(error, ProtocolError):
        return ProtocolError(f"interrupted by {type(error).__name__}", 1011)
    try:
        text = str(error)
    except Exception:
        text = ""
    try:
        code: object = error.code
    except Exception:
        code = None
    if not isinstance(code, int) or not 1000 <= int.__index__(code) <= 4999:
        code = 1002
    return ProtocolError(text, code)
