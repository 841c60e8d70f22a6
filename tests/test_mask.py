"""Masking (RFC 6455 §5.3)."""

from __future__ import annotations

import random

import pytest
from implementations import Implementation
from streams import BUFFERS

KEY = b"\x37\xfa\x21\x3d"


def masked(data: bytes, key: bytes, phase: int = 0) -> bytes:
    return bytes(byte ^ key[(phase + i) % 4] for i, byte in enumerate(data))


def test_rfc_example(impl: Implementation) -> None:
    # RFC 6455 §5.7: a single-frame masked text message.
    assert impl.apply_mask(b"Hello", KEY) == b"\x7f\x9f\x4d\x51\x58"
    assert impl.apply_mask(b"\x7f\x9f\x4d\x51\x58", KEY) == b"Hello"


@pytest.mark.parametrize("key", [KEY, bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\x80\0\0\0"])
def test_every_length(impl: Implementation, key: bytes, rng: random.Random) -> None:
    data = rng.randbytes(1100)
    full = masked(data, key)
    for n in range(1100):
        result = impl.apply_mask(data[:n], key)
        assert type(result) is bytes
        assert result == full[:n]


@pytest.mark.parametrize(
    "size", [2047, 2048, 2049, 4095, 4097, 16383, 16385, 65535, 65537, 262143, 262144, 262147, 1 << 20]
)
def test_large(impl: Implementation, size: int, rng: random.Random) -> None:
    data = rng.randbytes(size)
    # Masking is XOR, byte by byte: the key of zeros changes nothing, and masking twice undoes it.
    once = impl.apply_mask(data, KEY)
    assert once[-9:] == masked(data[-9:], KEY, size - 9)
    for phase in range(4):
        assert once[phase::4] == data[phase::4].translate(bytes(b ^ KEY[phase] for b in range(256)))
    assert impl.apply_mask(data, bytes(4)) == data
    assert impl.apply_mask(once, KEY) == data


def test_every_alignment_of_the_source(impl: Implementation, rng: random.Random) -> None:
    data = rng.randbytes(400)
    view = memoryview(data)
    for start in range(65):
        for n in (0, 1, 5, 31, 64, 100, 300):
            assert impl.apply_mask(view[start : start + n], KEY) == masked(data[start : start + n], KEY)


def test_into_every_length_and_phase(impl: Implementation, rng: random.Random) -> None:
    data = rng.randbytes(300)
    for offset in (0, 1, 2, 3):
        full = masked(data, KEY, offset)
        for n in range(300):
            buffer = bytearray(data)
            with memoryview(buffer)[:n] as part:
                assert impl.apply_mask_into(part, KEY, offset) is None
            assert buffer == full[:n] + data[n:]


def test_into_every_alignment(impl: Implementation, rng: random.Random) -> None:
    data = rng.randbytes(300)
    for start in range(65):
        for end in (start, start + 1, start + 7, start + 64, start + 129, 299):
            buffer = bytearray(data)
            with memoryview(buffer) as view:
                impl.apply_mask_into(view[start:end], KEY, start)
            assert buffer == data[:start] + masked(data[start:end], KEY, start) + data[end:]


@pytest.mark.parametrize("offset", [4, 7, 2**31, 2**31 + 1, 2**62 + 2, 2**63 + 3, 2**64 + 1, 10**30 + 1])
def test_into_large_offsets(impl: Implementation, offset: int) -> None:
    buffer = bytearray(b"abcdefgh")
    impl.apply_mask_into(buffer, KEY, offset)
    assert buffer == masked(b"abcdefgh", KEY, offset % 4)


def test_into_in_pieces(impl: Implementation, rng: random.Random) -> None:
    data = rng.randbytes(5000)
    for _ in range(50):
        buffer = bytearray(data)
        at = 0
        with memoryview(buffer) as view:
            while at < len(data):
                n = rng.choice([1, 2, 3, 5, 16, 100, 1000])
                impl.apply_mask_into(view[at : at + n], KEY, at)
                at += n
        assert buffer == impl.apply_mask(data, KEY)


@pytest.mark.parametrize("size", [1 << 18, (1 << 18) + 3, 1 << 20])
def test_into_large(impl: Implementation, size: int, rng: random.Random) -> None:
    data = rng.randbytes(size)
    buffer = bytearray(data)
    impl.apply_mask_into(buffer, KEY)
    assert buffer == impl.apply_mask(data, KEY)


@pytest.mark.parametrize("kind", BUFFERS)
def test_buffers(impl: Implementation, kind: str) -> None:
    data = b"Hello, world"
    assert impl.apply_mask(BUFFERS[kind](data), KEY) == masked(data, KEY)
    assert impl.apply_mask(data=BUFFERS[kind](data), mask=KEY) == masked(data, KEY)


@pytest.mark.parametrize("kind", [kind for kind in BUFFERS if "dimensions" not in kind])
def test_buffers_as_key(impl: Implementation, kind: str) -> None:
    assert impl.apply_mask(b"Hello", BUFFERS[kind](KEY)) == b"\x7f\x9f\x4d\x51\x58"
    buffer = bytearray(b"Hello")
    impl.apply_mask_into(buffer, BUFFERS[kind](KEY))
    assert buffer == b"\x7f\x9f\x4d\x51\x58"


@pytest.mark.parametrize("kind", ["bytearray", "array of bytes", "array of signed bytes", "three dimensions"])
def test_into_buffers(impl: Implementation, kind: str) -> None:
    data = b"Hello, world"
    buffer = BUFFERS[kind](data)
    impl.apply_mask_into(buffer=buffer, mask=KEY, offset=1)
    assert memoryview(buffer).tobytes() == masked(data, KEY, 1)


def test_the_argument_is_not_changed(impl: Implementation) -> None:
    data = bytearray(b"Hello" * 1000)
    key = bytearray(KEY)
    result = impl.apply_mask(data, key)
    assert data == b"Hello" * 1000
    assert key == KEY
    data[:] = bytes(5000)
    assert result == masked(b"Hello" * 1000, KEY)
    data.clear()  # nothing is exported any more
    key.clear()


def test_large_bytes_are_new(impl: Implementation) -> None:
    data = bytes(range(256)) * 4096
    copy = bytes(bytearray(data))
    impl.apply_mask(data, KEY)
    assert data == copy
