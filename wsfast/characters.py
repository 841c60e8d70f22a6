"""What heads of HTTP messages consist of (RFC 9110 §5.5, §5.6.2)."""

from __future__ import annotations

__all__ = ["TEXT", "TOKEN"]

#: The characters of a token.
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
#: The bytes of a field's value and of a reason phrase (RFC 9112 §4): ISO-8859-1, where it is not ASCII.
TEXT = b"\t" + bytes([*range(0x20, 0x7F), *range(0x80, 0x100)])
