"""Errors for wrong arguments, worded once for both backends.

What the caller did wrong is a ``TypeError`` or a ``ValueError`` that names the argument, the rule and
the offending value. The backends check on their own, as fast as they can, and come here to fail.
"""

from __future__ import annotations

from .frames import CloseCode, Opcode

__all__ = [
    "bad_entropy",
    "bad_mask_length",
    "bad_mask_type",
    "bad_nbytes",
    "check_bytearray",
    "check_list",
    "check_max_size",
    "check_offset",
    "check_opcode",
    "check_role",
    "check_template",
    "close_payload",
    "control_frame_too_long",
    "inflated_too_much",
    "no_buffer_lent",
    "not_bytes_like",
    "not_inflated_bytes",
    "not_single_bytes",
    "not_text",
    "not_text_or_bytes_like",
]

_OPCODES = ", ".join(f"{opcode:d} ({opcode.name})" for opcode in Opcode)
_KNOWN_OPCODES = frozenset(map(int, Opcode))


def not_bytes(name: str, value: object) -> TypeError:
    """``value`` is not ``bytes``, and nothing like it will do."""
    return TypeError(f"{name} must be bytes, not {type(value).__name__}")


def not_bytes_like(name: str, value: object) -> TypeError:
    """``value`` does not support the buffer protocol."""
    return TypeError(f"{name} must be a bytes-like object, not {type(value).__name__}")


def not_text(name: str, value: object) -> TypeError:
    """``value`` is not a ``str``."""
    return TypeError(f"{name} must be a str, not {type(value).__name__}")


def not_text_or_bytes_like(name: str, value: object) -> TypeError:
    """``value`` is neither a ``str`` nor a buffer."""
    return TypeError(f"{name} must be a str or a bytes-like object, not {type(value).__name__}")


def not_single_bytes(name: str, itemsize: int) -> TypeError:
    """``value`` is a buffer of wider items, such as floats, whose bytes nobody meant to send."""
    return TypeError(
        f"{name} must be a buffer of single bytes, not of {itemsize}-byte items"
        " (memoryview(...).cast('B') gives their bytes)"
    )


def bad_mask_length(length: int) -> ValueError:
    """A masking key has 4 bytes (RFC 6455 §5.3)."""
    return ValueError(f"mask must contain 4 bytes, not {length}")


def bad_mask_type(value: object) -> TypeError:
    """The ``mask`` of :func:`encode_frame` is a flag or a key."""
    return TypeError(f"mask must be True, False or 4 bytes, not {type(value).__name__}")


def control_frame_too_long(opcode: int, length: int) -> ValueError:
    """A control frame has at most 125 bytes of payload (RFC 6455 §5.5)."""
    name = Opcode(opcode).name.lower()
    return ValueError(f"payload of a {name} frame must be at most 125 bytes, not {length} (RFC 6455 §5.5)")


def no_buffer_lent() -> ValueError:
    """``buffer_updated()`` speaks of the buffer that ``get_buffer()`` gave last."""
    return ValueError("buffer_updated() without get_buffer() before it")


def bad_nbytes(nbytes: int, size: int) -> ValueError:
    """``buffer_updated()`` was told of more bytes than there is room for, or of less than none."""
    return ValueError(f"nbytes must be between 0 and {size}, the size of the buffer, not {nbytes}")


def inflated_too_much(size: int, max_length: int) -> ValueError:
    """``inflate`` has to keep to the ``max_length`` that it is given."""
    return ValueError(f"inflated message must be at most {max_length} bytes at a time, not {size}")


def not_inflated_bytes(value: object) -> TypeError:
    """What inflates whole messages has to return ``bytes``."""
    return TypeError(f"inflated message must be bytes, not {type(value).__name__}")


def bad_entropy(n: int) -> RuntimeError:
    """``os.urandom()`` has been replaced, by a test-suite say, with what is no source of keys."""
    return RuntimeError(f"os.urandom({n}) did not return {n} bytes")


# The value of an instance of a subclass of int is what int itself says it is: int.__index__() gives
# that, as the C API does, whatever methods the subclass overrides.


def check_opcode(opcode: object, fin: bool, rsv1: bool) -> int:
    """Return ``opcode`` as an ``int``; raise if such a frame cannot be sent."""
    if not isinstance(opcode, int):
        raise TypeError(f"opcode must be an int, not {type(opcode).__name__}")
    number = int.__index__(opcode)
    if number not in _KNOWN_OPCODES:
        raise ValueError(f"opcode must be one of {_OPCODES}, not {number}")
    if (rsv1 or not fin) and number >= Opcode.CLOSE:
        name = Opcode(number).name.lower()
        if not fin:
            raise ValueError(f"{name} frame cannot be fragmented: fin must be true (RFC 6455 §5.5)")
        raise ValueError(f"{name} frame cannot be compressed: rsv1 must be false (RFC 7692 §6.1)")
    return number


def close_payload(code: int | None, reason: str) -> bytes:
    """Return the payload of a close frame to send (RFC 6455 §5.5.1)."""
    if not isinstance(reason, str):
        raise not_text("reason", reason)
    if code is None:
        if str.__len__(reason):
            raise ValueError(f"a reason needs a code before it, not {reason!r} alone (RFC 6455 §5.5.1)")
        return b""
    if not isinstance(code, int):
        raise TypeError(f"code must be an int or None, not {type(code).__name__}")
    code = int.__index__(code)
    if not CloseCode.is_sendable(code):
        raise ValueError(
            f"code must be one of 1000-1003, 1007-1014 and 3000-4999, not {code} (RFC 6455 §7.4)"
        )
    text = str.encode(reason)
    if len(text) > 123:
        raise ValueError(f"reason must be at most 123 bytes of UTF-8, not {len(text)} (RFC 6455 §5.5)")
    return code.to_bytes(2, "big") + text


def check_offset(offset: object) -> int:
    """Return the key phase, 0 to 3, for an ``offset`` of bytes that are masked already."""
    if not isinstance(offset, int):
        raise TypeError(f"offset must be an int, not {type(offset).__name__}")
    number = int.__index__(offset)
    if number < 0:
        raise ValueError(f"offset must be 0 or more, not {number}")
    return number & 3


def check_role(role: object) -> bool:
    """Tell whether this side is the server, so that the peer's frames must be masked."""
    if not isinstance(role, str):
        raise TypeError(f"role must be a str, not {type(role).__name__}")
    if role not in ("client", "server"):
        raise ValueError(f"role must be 'client' or 'server', the side that this process plays, not {role!r}")
    return role == "server"


def check_max_size(max_size: object) -> int:
    """Return ``max_size`` as an ``int``, with 2**63 - 1, the longest possible frame, for ``None``."""
    if max_size is None:
        return (1 << 63) - 1
    if not isinstance(max_size, int):
        raise TypeError(f"max_size must be an int or None, not {type(max_size).__name__}")
    number = int.__index__(max_size)
    if number < 0:
        raise ValueError(f"max_size must be 0 or more, or None for no limit, not {number}")
    return min(number, (1 << 63) - 1)


def check_template(name: str, value: object) -> tuple[object, ...]:
    """Return a tuple of which copies can be made, with a payload as the second item."""
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a tuple, not {type(value).__name__}")
    if len(value) < 2:
        raise ValueError(f"{name} must have 2 items or more, not {len(value)}")
    return value


def check_list(name: str, value: object) -> list[object]:
    """Return a list to add to."""
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, not {type(value).__name__}")
    return value


def check_bytearray(name: str, value: object) -> bytearray:
    """Return a ``bytearray`` to work in."""
    if not isinstance(value, bytearray):
        raise TypeError(f"{name} must be a bytearray, not {type(value).__name__}")
    return value
