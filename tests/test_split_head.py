"""The head of an HTTP/1.1 message, taken apart: what is well-formed, and nothing else (RFC 9112 §2.1, §5)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from handshakes import GOOD, TEXT_CHARS, TOKEN_CHARS
from hypothesis import example, given
from hypothesis import strategies as st
from implementations import Implementation, compiled_module

from wsfast import _fallback

Split = tuple[str, dict[str, list[str]], int]

_FIELD = re.compile(r"([-!#$%&'*+.^_`|~0-9A-Za-z]+):([\t -~\x80-\xff]*)\r\n")
_FIRST = re.compile(r"([\t -~\x80-\xff]*)\r\n")


def expected(head: bytes) -> Split | None:
    """Do the same by the grammar."""
    text = head.decode("latin-1")
    found = _FIRST.match(text)
    if found is None:
        return None
    first, at = found[1], found.end()
    fields: dict[str, list[str]] = {}
    count = 0
    while text[at:] != "\r\n":
        found = _FIELD.match(text, at)
        if found is None:
            return None
        fields.setdefault(found[1].lower(), []).append(found[2].strip(" \t"))
        count += 1
        at = found.end()
    return first, fields, count


EXAMPLES: list[tuple[bytes, Split | None]] = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ("GET / HTTP/1.1", {"host": ["a"]}, 1)),
    (b"a\r\n\r\n", ("a", {}, 0)),
    (b"\r\n\r\n", ("", {}, 0)),
    (b"a\r\nB: 1\r\nc:2\r\nb:\t 3 \t\r\n\r\n", ("a", {"b": ["1", "3"], "c": ["2"]}, 3)),
    (b"a\r\nb:\r\nc: \t \r\n\r\n", ("a", {"b": [""], "c": [""]}, 2)),
    (b"\xe4\r\nb: \xff:\xe4\x80\r\n\r\n", ("ä", {"b": ["ÿ:ä\x80"]}, 1)),
    (b"", None),
    (b"\r\n", None),
    (b"a\r\n", None),
    (b"a\r\nb: c\r\n", None),
    (b"a\r\nb: c\r\n\r\n\r\n", None),
    (b"a\r\nb: c\r\n\r\nd: e\r\n\r\n", None),
    (b"a\r\n\r\nb", None),
    (b"a\n\r\n", None),
    (b"a\r\r\n\r\n", None),
    (b"a\r\nb: c\n\r\n", None),
    (b"a\r\nb: c\r\n d\r\n\r\n", None),
    (b"a\r\nb : c\r\n\r\n", None),
    (b"a\r\n: c\r\n\r\n", None),
    (b"a\r\nb\r\n\r\n", None),
    (b"a\r\n\xe4: c\r\n\r\n", None),
]


@pytest.mark.parametrize(("head", "split"), EXAMPLES)
def test_examples(backend: Implementation, head: bytes, split: Split | None) -> None:
    assert backend.module.split_head(head) == split == expected(head)


@pytest.mark.parametrize("where", ["first", "name", "value"])
def test_every_byte(backend: Implementation, where: str) -> None:
    for byte in range(256):
        parts = {"first": b"", "name": b"", "value": b"", where: bytes([byte])}
        head = b"a%(first)sa\r\nn%(name)sn: v%(value)sv\r\n\r\n" % {k.encode(): v for k, v in parts.items()}
        split = backend.module.split_head(head)
        assert split == expected(head)
        allowed = TOKEN_CHARS | {":"} if where == "name" else TEXT_CHARS
        assert (split is not None) is (chr(byte) in allowed)


def test_names_in_small_letters(backend: Implementation) -> None:
    name = "".join(sorted(TOKEN_CHARS))
    assert backend.module.split_head(f"a\r\n{name}: X\r\n\r\n".encode()) == ("a", {name.lower(): ["X"]}, 1)


PIECES = [b"a", b":", b" ", b"\t", b"\r", b"\n", b"\r\n", b"b: c\r\n", b"\x80", b"\x7f"]


@given(st.lists(st.sampled_from(PIECES), max_size=20))
@example([b"a", b"\r\n", b"b: c\r\n", b"b: c\r\n", b"\r\n"])
def test_anything(pieces: list[bytes]) -> None:
    for head in (b"".join(pieces), b"".join([b"a\r\n", *pieces, b"\r\n"])):
        assert _fallback.split_head(head) == expected(head)
        if compiled_module is not None:
            assert compiled_module.split_head(head) == expected(head)


@given(st.binary(max_size=9).map(lambda data: bytes([b"\r\n\na"[byte % 4] for byte in data])))
def test_ends(data: bytes) -> None:
    ends = [end for end in range(1, len(data) + 1) if re.search(rb"\n\r?\n\Z", data[:end])]
    for start in range(len(data) + 1):
        end = min([end for end in ends if end > start], default=0)
        for kind in (bytes, bytearray):
            assert _fallback.find_head_end(kind(data), start) == end
            if compiled_module is not None:
                assert compiled_module.find_head_end(kind(data), start) == end


@pytest.mark.parametrize("wrong", [bytearray(GOOD), memoryview(GOOD), GOOD.decode(), None])
def test_not_bytes(backend: Implementation, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"^head must be bytes, not {type(wrong).__name__}$"):
        backend.module.split_head(wrong)
