"""encode_frame (RFC 6455 §5.2), also through the decoders and back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from implementations import Implementation
from streams import BUFFERS, TEXTS, frame

from wsfast.frames import Frame, Opcode

KEY = b"\x37\xfa\x21\x3d"


# RFC 6455 §5.7, in its order.
@pytest.mark.parametrize(
    ("arguments", "options", "wire"),
    [
        ((1, "Hello"), {}, "810548656c6c6f"),
        ((1, "Hello"), {"mask": KEY}, "818537fa213d7f9f4d5158"),
        ((1, "Hel"), {"fin": False}, "010348656c"),
        ((0, b"lo"), {}, "80026c6f"),
        ((9, b"Hello"), {}, "890548656c6c6f"),
        ((10, b"Hello"), {"mask": KEY}, "8a8537fa213d7f9f4d5158"),
        ((2, bytes(256)), {}, "827e0100" + "00" * 256),
        ((2, bytes(65536)), {}, "827f0000000000010000" + "00" * 65536),
        # And what is not there.
        ((1,), {}, "8100"),
        ((8,), {"mask": KEY}, "888037fa213d"),
        ((8, b"\x03\xe8bye"), {"mask": False}, "880503e8627965"),
        ((2, b"\0"), {"rsv1": True}, "c20100"),
        ((1, b"\0"), {"rsv1": True, "fin": False}, "410100"),
        ((0, b"\0"), {"rsv1": True, "fin": False}, "400100"),
        ((1, "é€🚀"), {}, "8109c3a9e282acf09f9a80"),
        ((1, b"\xff"), {}, "8101ff"),
        ((2, "é"), {}, "8202c3a9"),
        ((9, "é"), {}, "8902c3a9"),
        ((Opcode.PONG, b""), {"fin": 1, "rsv1": 0}, "8a00"),
        ((True, b""), {"fin": "yes"}, "8100"),
    ],
)
def test_exact_bytes(impl: Implementation, arguments: Any, options: Any, wire: str) -> None:
    result = impl.encode_frame(*arguments, **options)
    assert type(result) is bytes
    assert result.hex() == wire


def test_keywords(impl: Implementation) -> None:
    wire = impl.encode_frame(opcode=2, payload=b"ab", fin=False, rsv1=True, mask=bytes(4))
    assert wire.hex() == "4282000000006162"
    with pytest.raises(TypeError):
        impl.encode_frame(1, b"", True)


LENGTHS = [*range(300), *range(65530, 65545), 100_000, (1 << 18) - 1, 1 << 18, 1 << 20]


@pytest.mark.parametrize("mask", [False, KEY], ids=["plain", "masked"])
def test_every_length(impl: Implementation, mask: Any, rng: random.Random) -> None:
    data = rng.randbytes(1 << 20)
    for n in LENGTHS:
        assert impl.encode_frame(2, data[:n], mask=mask) == (
            frame(2, data[:n], mask=mask)
            if n < 70_000
            else bytes([0x82, 127 + 128 * bool(mask)])
            + n.to_bytes(8, "big")
            + (mask or b"")
            + impl.apply_mask(data[:n], mask or bytes(4))
        )


@pytest.mark.parametrize("script", TEXTS)
def test_texts_of_every_length(impl: Implementation, script: str) -> None:
    text = TEXTS[script] * (300 // len(TEXTS[script]) + 2)
    for n in range(301):
        part = text[n % 11 : n % 11 + n]
        assert impl.encode_frame(1, part) == frame(1, part.encode(), mask=False)
        assert impl.encode_frame(1, part, mask=KEY) == frame(1, part.encode(), mask=KEY)


def test_every_code_point(impl: Implementation) -> None:
    for start in range(0, 0x110000, 4096):
        text = "".join(chr(p) for p in range(start, start + 4096) if not 0xD800 <= p < 0xE000)
        data = text.encode()
        wire = impl.encode_frame(1, text)
        assert wire[-len(data) :] == data or not data
        assert impl.apply_mask(impl.encode_frame(1, text, mask=KEY)[-len(data) :], KEY) == data or not data


@pytest.mark.parametrize("n", [0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 5000, 100_000])
def test_one_wide_code_point_anywhere(impl: Implementation, n: int) -> None:
    for wide in "\xff\u0100\uffff\U0001f680":
        for text in ("a" * n + wide, wide + "a" * n, "é" * n + wide, "天" * n + wide):
            data = text.encode()
            wire = impl.encode_frame(1, text, mask=KEY)
            assert impl.apply_mask(wire[-len(data) :], KEY) == data
            assert impl.MessageDecoder("server").feed(wire) == [text]


@pytest.mark.parametrize("surrogate", ["\ud800", "\udbff", "\udc00", "\udfff"])
def test_lone_surrogates(impl: Implementation, surrogate: str) -> None:
    for before in ["", "a", "é" * 15, "天" * 33, "🚀" * 17, "x" * 200]:
        for after in ["", "b" * 40, "🚀"]:
            text = before + surrogate + after
            with pytest.raises(UnicodeEncodeError) as expected:
                text.encode()
            for opcode in (1, 2, 9):
                with pytest.raises(UnicodeEncodeError) as caught:
                    impl.encode_frame(opcode, text, mask=True)
                assert caught.value.args == expected.value.args


@pytest.mark.parametrize("kind", BUFFERS)
@pytest.mark.parametrize("size", [0, 4, 124, 128, 65536])
def test_buffers(impl: Implementation, kind: str, size: int, rng: random.Random) -> None:
    if size == 0 and "dimensions" in kind:
        return  # memoryview makes none
    data = rng.randbytes(size)
    for mask in (False, KEY):
        assert impl.encode_frame(2, BUFFERS[kind](data), mask=mask) == impl.encode_frame(2, data, mask=mask)
        if size < 126:
            assert impl.encode_frame(10, BUFFERS[kind](data), mask=mask) == frame(10, data, mask=mask)


@pytest.mark.parametrize("kind", BUFFERS)
def test_keys(impl: Implementation, kind: str) -> None:
    key = BUFFERS[kind](b"\x01\x02\x03\x04")
    assert impl.encode_frame(2, b"\0\0\0\0\0", mask=key).hex() == "8285010203040102030401"


def test_a_key_of_zeros_is_a_key(impl: Implementation) -> None:
    assert impl.encode_frame(1, "é", mask=bytes(4)).hex() == "818200000000c3a9"


def test_fresh_keys(impl: Implementation) -> None:
    wires = [impl.encode_frame(1, "Hello", mask=True) for _ in range(500)]
    keys = {wire[2:6] for wire in wires}
    assert len(keys) >= 499  # of 2**32; two alike once in 30,000 runs, three never
    for wire in wires:
        assert wire[:2] == b"\x81\x85"
        assert impl.apply_mask(wire[6:], wire[2:6]) == b"Hello"


def test_round_trip(impl: Implementation, rng: random.Random) -> None:
    for _ in range(300):
        opcode = rng.choice(list(Opcode))
        payload = rng.randbytes(rng.choice([0, 1, 5, 125] + [126, 1000, 70_000] * (opcode < 8)))
        rsv1 = opcode in (1, 2) and rng.random() < 0.5
        fin = opcode > 7 or rng.random() < 0.5
        masked = rng.random() < 0.5
        wire = impl.encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=masked)
        header = impl.parse_header(wire)
        assert header[:5] == (fin, rsv1, False, False, opcode)
        assert (header.masked, header.length) == (masked, len(payload))
        assert header.size + header.length == len(wire)
        assert impl.apply_mask(wire[header.size :], header.mask or bytes(4)) == payload
        decoder = impl.FrameDecoder("server" if masked else "client", rsv1=True)
        if opcode == 0:
            decoder.feed(impl.encode_frame(1, b"", fin=False, mask=masked))
            assert decoder.feed(wire)[-1] == Frame(opcode, payload, fin)
        else:
            assert decoder.feed(wire) == [Frame(opcode, payload, fin, rsv1)]


def test_the_payload_is_copied(impl: Implementation) -> None:
    payload = bytearray(b"abc" * 1000)
    wire = impl.encode_frame(2, payload)
    payload[:] = bytes(3000)
    payload.clear()  # nothing is exported any more
    assert wire[4:] == b"abc" * 1000
