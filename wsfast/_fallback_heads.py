"""Heads of HTTP/1.1 messages, in pure Python (RFC 9112 §2.1, §5)."""

from __future__ import annotations

from . import arguments
from .characters import TEXT, TOKEN

__all__ = ["find_head_end", "split_head"]


def find_head_end(data: bytes | bytearray, start: int, /) -> int:
    """Find the empty line that ends the head of a message.

    Linear in the length of ``data`` behind ``start``. A bare LF counts as a line end: such a head is to be
    refused for it, and not waited for.

    Args:
        data: what there is of the message.
        start: where it was searched already.

    Returns:
        The index behind the first empty line, of those that end behind ``start``; 0 without one.

    """
    crlf = data.find(b"\n\r\n", max(0, start - 2)) + 3
    lf = data.find(b"\n\n", max(0, start - 1)) + 2
    if lf < 2:
        return crlf if crlf >= 3 else 0
    return min(crlf, lf) if crlf >= 3 else lf


def split_head(head: bytes, /) -> tuple[str, dict[str, list[str]], int] | None:
    """Take the head of a message apart: lines that end in CR LF, and an empty one at its end.

    Linear in its length. It is judged strictly: no folded line, no line end but CR LF, no control
    character but the tab, no space around the name of a field.

    Args:
        head: all of it. ISO-8859-1 where it is not ASCII.

    Returns:
        The first line, whatever it has; all values under each name, in small letters, without white
        space around them; and how many fields there are. ``None`` when the head is not well-formed.

    Raises:
        TypeError: ``head`` is not ``bytes``.

    """
    if type(head) is not bytes:
        raise arguments.not_bytes("head", head)
    lines = head.decode("latin-1").split("\r\n")
    if len(lines) < 3 or lines[-2:] != ["", ""] or head.translate(None, TEXT) != b"\r\n" * (len(lines) - 1):
        return None
    fields: dict[str, list[str]] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon or not name or not TOKEN.issuperset(name):
            return None
        name = name.lower()
        if name in fields:
            fields[name].append(value.strip(" \t"))
        else:
            fields[name] = [value.strip(" \t")]
    return lines[0], fields, len(lines) - 3
