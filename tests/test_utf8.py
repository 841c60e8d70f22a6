"""UTF-8: is_utf8, decode_utf8 and Utf8Validator against bytes.decode and the model (RFC 3629)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from implementations import Implementation
from model import utf8_offence
from streams import TEXTS, class_strings


def short_strings() -> Iterator[bytes]:
    yield b""
    yield from (bytes([a]) for a in range(256))
    yield from (bytes(pair) for pair in product(range(256), repeat=2))


def decoded(data: bytes) -> str | tuple[Any, ...]:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return error.args


def check(impl: Implementation, data: bytes) -> None:
    expected = decoded(data)
    try:
        result = impl.decode_utf8(data)
    except UnicodeDecodeError as error:
        result = error.args
    assert result == expected, data
    assert impl.is_utf8(data) is (type(expected) is str), data


def test_the_model() -> None:
    """The model must be right before anything is held to it."""
    for data in class_strings():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            offence = utf8_offence(data)
            assert offence is not None
            # CPython tells where the code point starts; what precedes the offending byte is fine.
            assert error.start <= offence <= error.end
        else:
            assert utf8_offence(data) is None


def test_all_strings_of_up_to_2_bytes(impl: Implementation) -> None:
    for data in short_strings():
        check(impl, data)


def test_strings_of_3_and_4_bytes(impl: Implementation) -> None:
    for data in class_strings():
        check(impl, data)


def test_inside_blocks(impl: Implementation) -> None:
    """Broken and whole code points at every place of a text of up to 150 bytes."""
    pieces = [
        "é".encode(),
        "€".encode(),
        "🚀".encode(),
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x9a",
        b"\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xc1\xbf",
        b"\xff",
    ]
    for piece in pieces:
        for before in range(140):
            check(impl, b"a" * before + piece + b"z" * 9)
            check(impl, b"a" * before + piece)
        for before in range(70):
            check(impl, "п".encode() * before + piece + "é".encode() * 3)
            check(impl, "天".encode() * before + piece)


@pytest.mark.parametrize("text", ["ae" * 400, "a\xe9b" * 200, "\xe9" * 400, "a\u20ac" * 200])
def test_a_wrong_byte_around_the_end_of_a_block(impl: Implementation, text: str) -> None:
    """Long texts are judged several blocks at a time, in another way for each script."""
    data = text.encode()
    for end in range(64, len(data), 64):
        for at in range(end - 3, min(end + 3, len(data) - 1)):
            for wrong in (0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xE0, 0xED, 0xF4, 0xF5, 0xFF):
                for behind in (data[at + 1], 0x2E, 0x80):
                    bad = data[:at] + bytes([wrong, behind]) + data[at + 2 :]
                    valid = bad.decode(errors="replace").count("\ufffd") == 0
                    assert impl.is_utf8(bad) is valid, (at, wrong, behind)


@pytest.mark.parametrize("script", TEXTS)
def test_texts_of_every_length(impl: Implementation, script: str) -> None:
    text = TEXTS[script] * (300 // len(TEXTS[script]) + 2)
    for n in range(301):
        part = text[n % 7 : n % 7 + n]
        data = part.encode()
        result = impl.decode_utf8(data)
        assert result == part
        assert result.isascii() is part.isascii()  # of the same kind, not only equal
        assert hash(result) == hash(part)
        assert impl.is_utf8(data)


@pytest.mark.parametrize("script", TEXTS)
@pytest.mark.parametrize("size", [5_000, 65_530, 70_000, 300_000])
def test_long_texts(impl: Implementation, script: str, size: int) -> None:
    text = TEXTS[script] * (size // len(TEXTS[script].encode()) + 1)
    data = text.encode()
    assert impl.decode_utf8(data) == text
    assert impl.is_utf8(data)
    assert not impl.is_utf8(data + b"\xe2\x82")
    for at in (len(data), len(data) - 70, len(data) // 2):
        while at < len(data) and data[at] & 0xC0 == 0x80:
            at += 1
        check(impl, data[:at] + b"\xed\xb0\x80" + data[at:])


def test_the_widest_code_point_last(impl: Implementation) -> None:
    """The storage of the str is chosen by what comes late."""
    for n in (*range(140), 1000, 65536):
        for last in "\x7f\x80\xff\u0100\u07ff\u0800\uffff\U00010000\U0010ffff":
            text = "a" * n + last
            assert impl.decode_utf8(text.encode()) == text
            assert impl.decode_utf8(("é" * n + last).encode()) == "é" * n + last


def test_null_characters(impl: Implementation) -> None:
    for n in (1, 15, 16, 64, 1000):
        assert impl.decode_utf8(bytes(n)) == "\0" * n
        assert impl.decode_utf8(bytes(n) + "é".encode()) == "\0" * n + "é"
    assert not impl.is_utf8(b"\xc0\x80")


def test_every_code_point(impl: Implementation) -> None:
    """All 1,112,064 of them, in runs of 4096."""
    for start in range(0, 0x110000, 4096):
        if start in range(0xD000, 0xE000):
            points = [p for p in range(start, start + 4096) if p not in range(0xD800, 0xE000)]
        else:
            points = list(range(start, start + 4096))
        text = "".join(map(chr, points))
        assert impl.decode_utf8(text.encode()) == text


def test_the_error_is_that_of_bytes_decode(impl: Implementation) -> None:
    for data in (b"ab\xc3(", bytearray(b"ab\xc3("), memoryview(b"xab\xc3(")[1:]):
        with pytest.raises(UnicodeDecodeError) as caught:
            impl.decode_utf8(data)
        assert caught.value.args == ("utf-8", b"ab\xc3(", 2, 3, "invalid continuation byte")
        assert type(caught.value.object) is bytes


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_buffers(impl: Implementation, kind: Any) -> None:
    data = "größer".encode()
    assert impl.decode_utf8(kind(data)) == "größer"
    assert impl.is_utf8(kind(data)) is True
    assert impl.is_utf8(kind(data[:3])) is False
    validator = impl.Utf8Validator()
    assert validator.feed(kind(data)) is True
    spread = memoryview(bytes(b for byte in data for b in (byte, 0xFF)))[::2]
    assert impl.decode_utf8(spread) == "größer"
    assert impl.is_utf8(spread) is True
    assert validator.feed(spread) is True


class TestValidator:
    def test_starts_complete(self, impl: Implementation) -> None:
        validator = impl.Utf8Validator()
        assert validator.complete is True
        assert validator.feed(b"") is True
        assert validator.complete is True

    def test_holds_a_code_point(self, impl: Implementation) -> None:
        validator = impl.Utf8Validator()
        for byte in "a€🚀".encode():
            assert validator.feed(bytes([byte])) is True
            assert validator.complete is (byte in b"a\xac\x80")
        assert validator.feed(b"") is True

    def test_stays_false(self, impl: Implementation) -> None:
        validator = impl.Utf8Validator()
        assert validator.feed(b"ok\xe2") is True
        assert validator.feed(b"A") is False
        assert validator.feed(b"fine") is False
        assert validator.feed(b"") is False
        assert validator.complete is False
        assert validator.reset() is None
        again: Any = validator.complete
        assert again is True
        assert validator.feed(b"fine") is True

    def test_reset_inside_a_code_point(self, impl: Implementation) -> None:
        validator = impl.Utf8Validator()
        validator.feed(b"\xf0\x9f")
        assert validator.complete is False
        validator.reset()
        again: Any = validator.complete
        assert again is True
        assert validator.feed(b"\x9a") is False

    def test_complete_is_read_only(self, impl: Implementation) -> None:
        with pytest.raises(AttributeError):
            impl.Utf8Validator().complete = True

    def test_a_wrong_argument_changes_nothing(self, impl: Implementation) -> None:
        validator = impl.Utf8Validator()
        validator.feed(b"\xe2\x82")
        with pytest.raises(TypeError, match=r"^data must be a bytes-like object, not str$"):
            validator.feed("a")
        assert validator.complete is False
        assert validator.feed(b"\xac") is True
        assert validator.complete is True

    def test_bytewise(self, impl: Implementation) -> None:
        """Each byte of each string gets the answer that the model gives for the prefix."""
        validator = impl.Utf8Validator()
        for data in class_strings() if impl.name != "python" else list(class_strings())[::7]:
            validator.reset()
            offence = utf8_offence(data)
            for n in range(1, len(data) + 1):
                fine = offence is None or offence >= n
                assert validator.feed(data[n - 1 : n]) is fine, data
                if not fine:
                    break

    def test_every_cut_in_two(self, impl: Implementation, rng: random.Random) -> None:
        for data in rng.sample(list(class_strings()), 4000):
            for text in (data, b"x" * 13 + data + b"y" * 5):
                offence = utf8_offence(text)
                for at in range(len(text) + 1):
                    validator = impl.Utf8Validator()
                    assert validator.feed(text[:at]) is (offence is None or offence >= at)
                    valid = validator.feed(text[at:])
                    assert valid is (offence is None or offence == len(text))
                    assert validator.complete is (offence is None)

    @pytest.mark.parametrize("script", TEXTS)
    def test_random_pieces(self, impl: Implementation, script: str, rng: random.Random) -> None:
        data = TEXTS[script].encode() * 2000
        for _ in range(10):
            broken = bytearray(data)
            position = rng.randrange(len(data))
            broken[position] = 0xFF
            for text, valid in ((data, True), (bytes(broken), False)):
                validator = impl.Utf8Validator()
                at = 0
                while at < len(text):
                    n = rng.choice([1, 3, 16, 64, 1000, 20_000])
                    at += n
                    if validator.feed(text[at - n : at]) is False:
                        assert at > position
                        break
                assert validator.complete is valid
