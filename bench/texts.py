"""The texts that the benchmarks work on, each of an exact size in bytes of UTF-8."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "capture"))

from messages import json_documents, long_chat

__all__ = [
    "DENSE",
    "NATURAL",
    "ascii_text",
    "dense_text",
    "documents",
    "masked_frame",
    "messages",
    "natural_text",
    "wire_of",
]

NATURAL = {
    "ascii": ["english"],
    "latin1": ["german", "french"],
    "cyrillic": ["russian", "greek"],
    "cjk": ["chinese", "japanese", "korean"],
    "emoji": ["emoji"],
    "mixed": [
        *("english", "german", "french", "russian", "greek", "chinese", "japanese"),
        *("korean", "arabic", "hindi", "emoji"),
    ],
}
"""What people write: sentences in these languages, with spaces, digits and punctuation (ASCII)."""

DENSE = {
    "latin1": (0xC0, 0xFF),
    "cyrillic": (0x410, 0x44F),
    "cjk": (0x4E00, 0x9FA5),
    "emoji": (0x1F600, 0x1F64F),
}
"""First and last code point of texts without any ASCII, the other extreme."""


def natural_text(kind: str, size: int) -> str:
    """Return ``size`` bytes of chat in the languages of ``kind``."""
    [text] = long_chat(NATURAL[kind], size)(1)
    return text


def dense_text(kind: str, size: int) -> str:
    """Return ``size`` bytes of random letters of ``kind``, filled up with full stops."""
    rng = random.Random(f"dense {kind}")
    first, last = DENSE[kind]
    width = len(chr(first).encode())
    letters = "".join(chr(rng.randint(first, last)) for _ in range(size // width))
    return letters + "." * (size % width)


def ascii_text(size: int) -> str:
    """Return ``size`` characters of English."""
    return natural_text("ascii", size)


def messages(kind: str, size: int, count: int) -> list[str]:
    """Return ``count`` different messages of ``size`` bytes each."""
    if kind == "ascii":
        text = ascii_text(size * count)
        return [text[start : start + size] for start in range(0, len(text), size)]
    return long_chat(NATURAL[kind], size)(count)


def documents(count: int) -> list[str]:
    """Return JSON documents of 4 KiB each; the first six are those of the captured traffic."""
    return json_documents(4 * 1024)(count)


def wire_of(texts: Sequence[str]) -> bytes:
    """Return the texts as a client sends them: a masked frame each, with a key of its own."""
    return b"".join(masked_frame(text.encode(), seed=index) for index, text in enumerate(texts))


def masked_frame(payload: bytes, opcode: int = 1, seed: int = 0) -> bytes:
    """Build one final, masked frame in plain Python, so that no measured library has a hand in it."""
    rng = random.Random(f"key {seed}")
    key = rng.randbytes(4)
    length = len(payload)
    if length < 126:
        header = bytes((0x80 | opcode, 0x80 | length))
    elif length < 65536:
        header = bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((0x80 | opcode, 0x80 | 127)) + length.to_bytes(8, "big")
    repeated = int.from_bytes((key * (length // 4 + 1))[:length], "big")
    masked = (int.from_bytes(payload, "big") ^ repeated).to_bytes(length, "big")
    return header + key + masked
