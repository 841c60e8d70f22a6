"""Text messages fail at the first byte that no valid text could have there (RFC 6455 §8.1)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from implementations import Implementation
from model import utf8_offence
from streams import TEXTS, bytewise, class_strings, decode, frame, two_way


def message_of(data: bytes, at: int | None) -> tuple[int, str]:
    """The error for text whose byte at `at` is the offending one."""
    if at == len(data):
        what = f"it ends inside a code point, after {at} bytes"
    else:
        assert at is not None
        what = f"byte 0x{data[at]:02X} at index {at}"
    return 1007, f"text message is not UTF-8: {what} (RFC 6455 §8.1)"


def test_exact_words(impl: Implementation) -> None:
    assert decode(impl.MessageDecoder("server"), [frame(1, b"ab\xc0")]) == (
        [],
        (1007, "text message is not UTF-8: byte 0xC0 at index 2 (RFC 6455 §8.1)"),
    )
    assert decode(impl.MessageDecoder("client"), [frame(1, b"ab\xe2\x82", mask=False)]) == (
        [],
        (1007, "text message is not UTF-8: it ends inside a code point, after 4 bytes (RFC 6455 §8.1)"),
    )


@pytest.mark.parametrize("role", ["server", "client"])
def test_strings_of_3_and_4_bytes(impl: Implementation, role: str, exhaustive: bool) -> None:
    """In one piece. The offending byte is named wherever it is."""
    mask = role == "server"
    for data in list(class_strings())[:: 1 if exhaustive else 7]:
        for text in (data, b"0123456789abcdefgh" + data):
            offence = utf8_offence(text)
            result = decode(impl.MessageDecoder(role), [impl.encode_frame(1, text, mask=mask)])
            if offence is None:
                assert result == ([text.decode()], None)
            else:
                assert result == ([], message_of(text, offence))


def test_cut_in_two(impl: Implementation, rng: random.Random) -> None:
    for data in rng.sample(list(class_strings()), 800):
        offence = utf8_offence(data)
        stream = frame(1, data)
        expected: Any = ([data.decode()], None) if offence is None else ([], message_of(data, offence))
        for pieces in two_way(stream):
            assert decode(impl.MessageDecoder("server"), pieces) == expected
        # In fragments of every length; the frame that ends inside a code point is no fault yet.
        for at in range(len(data) + 1):
            fragments = frame(1, data[:at], fin=False) + frame(0, data[at:])
            assert decode(impl.MessageDecoder("server"), [fragments]) == expected


def test_fails_as_soon_as_the_byte_is_there(impl: Implementation, rng: random.Random) -> None:
    for data in rng.sample(list(class_strings()), 400):
        text = b"abc" + data + b"defgh"
        offence = utf8_offence(text)
        decoder = impl.MessageDecoder("server")
        header, payload = frame(1, text)[:6], frame(1, text)[6:]
        assert decoder.feed(header) == []
        for at, byte in enumerate(bytewise(payload)):
            events, fault = decode(decoder, [byte])
            if offence is not None and at == offence:
                assert (events, fault) == ([], message_of(text, offence))
                break
            assert fault is None


@pytest.mark.parametrize("size", [13, 16, 19, 29, 32, 35, 61, 64, 67, 125, 128, 131, 253, 256])
def test_a_bad_byte_at_every_place(impl: Implementation, size: int) -> None:
    for filling in (b"x", "é".encode(), "天".encode()):
        base = (filling * size)[: size - size % len(filling)]
        for at in range(len(base)):
            text = base[:at] + b"\xff" + base[at + 1 :]
            offence = utf8_offence(text)
            expected: Any = ([], message_of(text, offence))
            stream = impl.encode_frame(1, text, mask=b"\x9a\xbc\xde\xf1")
            assert decode(impl.MessageDecoder("server"), [stream]) == expected
            # Without the last byte the frame is not whole; the fault is the same.
            middle = 6 + at // 2
            last = offence == len(text) - 1
            pieces = [stream[:middle], stream[middle:]] if last else [stream[:-1]]
            assert decode(impl.MessageDecoder("server"), pieces) == expected


@pytest.mark.parametrize("script", TEXTS)
def test_texts_of_every_length(impl: Implementation, script: str) -> None:
    text = TEXTS[script] * (300 // len(TEXTS[script]) + 2)
    for n in range(301):
        part = text[n % 5 : n % 5 + n]
        for mask in (True, False):
            stream = impl.encode_frame(1, part, mask=mask)
            role = "server" if mask else "client"
            assert impl.MessageDecoder(role).feed(stream) == [part]
            cut = 2 + n // 3
            decoder = impl.MessageDecoder(role)
            assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == [part]


def test_long_text_in_small_and_large_pieces(impl: Implementation, rng: random.Random) -> None:
    text = "".join(rng.choice(list(TEXTS.values())) for _ in range(8000))
    stream = impl.encode_frame(1, text, mask=True)
    for _ in range(8):
        decoder = impl.MessageDecoder("server", max_size=None)
        events = []
        at = 0
        while at < len(stream):
            n = rng.choice([1, 2, 3, 500, 1023, 1024, 5000, 20_000, 70_000])
            events += decoder.feed(stream[at : at + n])
            at += n
        assert events == [text]


@pytest.mark.parametrize("size", [1, 7, 100, 1000, 1022])
def test_long_text_in_pieces_of_one_size(impl: Implementation, size: int) -> None:
    """Small pieces are put together somewhere: no cut of a code point may get lost there."""
    text = "é天🚀x" * 5000
    stream = impl.encode_frame(1, text, mask=True)
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert decode(impl.MessageDecoder("server"), pieces) == ([text], None)


@pytest.mark.parametrize("at", [0, 1, 70_000, 100_001])
def test_far_into_a_long_text(impl: Implementation, at: int) -> None:
    text = bytearray("п".encode() * 60_000)
    text[at] = 0xC1
    offence = utf8_offence(bytes(text))
    stream = impl.encode_frame(1, text, mask=True)
    for size in (len(stream), 65536, 1000):
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        assert decode(impl.MessageDecoder("server"), pieces) == ([], message_of(bytes(text), offence))


def test_surrogates_cannot_hide_in_a_held_code_point(impl: Implementation) -> None:
    # CPython's incremental decoder waits for the third byte of ED A0.
    decoder = impl.MessageDecoder("server")
    stream = frame(1, b"\xed\xa0\x80")
    assert decode(decoder, [stream[:7]]) == ([], None)
    assert decode(decoder, [stream[7:8]]) == (
        [],
        (1007, "text message is not UTF-8: byte 0xA0 at index 1 (RFC 6455 §8.1)"),
    )
