"""split_frames(): whole frames out of a buffer that is somebody else's, held to the FrameDecoder."""

from __future__ import annotations

import random
from typing import Any

import pytest
from implementations import Implementation
from streams import CASES, Case

from wsfast.errors import ProtocolError
from wsfast.frames import Frame, Opcode

KEY = b"\x01\x02\x03\x04"
TEXT, BINARY, CONT, PING, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION, Opcode.PING, Opcode.CLOSE


def frame(impl: Implementation, first: int, payload: bytes = b"") -> bytes:
    """A frame as a client sends it, with whatever first byte."""
    built: bytes = impl.encode_frame(2, payload, mask=KEY)
    return bytes([first]) + built[1:]


def whole(impl: Implementation, stream: bytes, masked: bool, rsv1: bool = False) -> tuple[list[Any], int]:
    """What split_frames() should find, by feeding a FrameDecoder byte by byte."""
    decoder = impl.FrameDecoder("server" if masked else "client", max_size=None, rsv1=rsv1)
    found: list[Any] = []
    used = 0
    for at in range(len(stream)):
        try:
            frames = decoder.feed(stream[at : at + 1])
        except ProtocolError:
            break
        if not frames:
            continue
        (one,) = frames
        if one.opcode is TEXT and one.fin and not one.rsv1:
            try:
                found.append(one.payload.decode())
            except UnicodeDecodeError:
                break
        elif one.opcode is BINARY and one.fin and not one.rsv1:
            found.append(one.payload)
        else:
            found.append(one)
        used = at + 1
        if one.opcode is CLOSE:
            break
    return found, used


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_streams(impl: Implementation, case: Case, rng: random.Random) -> None:
    masked = case.role == "server"
    stream = case.stream[:3000]
    for end in {len(stream), *rng.choices(range(len(stream) + 1), k=20)}:
        expected = whole(impl, stream[:end], masked)
        for kind in (bytes, bytearray, memoryview):
            items, used = impl.split_frames(kind(stream[:end]), 0, masked, False, False, 10_000)
            assert (items, used) == expected
            assert [type(item) for item in items] == [type(item) for item in expected[0]]


def test_mutated(impl: Implementation, rng: random.Random) -> None:
    stream = b"".join(
        [
            *(
                frame(impl, 0x81, "Grüße".encode()),
                frame(impl, 0x82, bytes(200)),
                frame(impl, 0xC1, b"packed"),
            ),
            *(
                frame(impl, 0x01, b"a"),
                frame(impl, 0x89),
                frame(impl, 0x00),
                frame(impl, 0x80, b"b" * 50),
            ),
            *(frame(impl, 0x88, b"\x03\xe8"), frame(impl, 0x81)),
        ]
    )
    for _ in range(300):
        mutated = bytearray(stream)
        for _ in range(rng.choice((0, 1, 2, 3))):
            mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        for rsv1 in (False, True):
            expected = whole(impl, bytes(mutated), True, rsv1)
            assert impl.split_frames(bytes(mutated), 0, True, rsv1, False, 99) == expected


def test_what_comes_out(impl: Implementation) -> None:
    stream = b"".join(
        [
            *(frame(impl, 0x81, b"text"), frame(impl, 0x82, b"data"), frame(impl, 0xC2, b"packed")),
            *(frame(impl, 0x01, b"a"), frame(impl, 0x89, b"ping"), frame(impl, 0x80, b"b")),
            *(frame(impl, 0x88, b"x"), frame(impl, 0x81, b"behind")),
        ]
    )
    items, used = impl.split_frames(stream, 0, True, True, False, 100)
    assert items == [
        "text",
        b"data",
        Frame(BINARY, b"packed", True, True),
        Frame(TEXT, b"a", False),
        Frame(PING, b"ping"),
        Frame(CONT, b"b"),
        Frame(CLOSE, b"x"),
    ]
    assert [type(item) for item in items] == [str, bytes, *[Frame] * 5]
    assert all(type(item.payload) is bytes and type(item.fin) is bool for item in items[2:])
    assert used == len(stream) - len(frame(impl, 0x81, b"behind"))
    assert impl.split_frames(stream, used, True, True, False, 100) == (["behind"], len(stream))


def test_most_and_offset(impl: Implementation) -> None:
    one = frame(impl, 0x81, b"one")
    assert impl.split_frames(one * 5, 0, True, False, False, 2) == (["one"] * 2, 2 * len(one))
    assert impl.split_frames(one * 5, len(one), True, False, False, 100) == (["one"] * 4, 5 * len(one))
    assert impl.split_frames(one, 0, True, False, False, 0) == ([], 0)
    assert impl.split_frames(one, len(one), True, False, False, 1) == ([], len(one))
    assert impl.split_frames(one, len(one) + 7, True, False, False, 1) == ([], len(one))
    assert impl.split_frames(b"", 0, True, False, False, 1) == ([], 0)


def test_in_message(impl: Implementation) -> None:
    last = frame(impl, 0x80, b"x")
    assert impl.split_frames(last, 0, True, False, True, 1) == ([Frame(CONT, b"x")], len(last))
    assert impl.split_frames(last, 0, True, False, False, 1) == ([], 0)
    assert impl.split_frames(frame(impl, 0x81), 0, True, False, True, 1) == ([], 0)
    assert impl.split_frames(last + frame(impl, 0x81), 0, True, False, True, 9)[0] == [Frame(CONT, b"x"), ""]
    assert impl.split_frames(frame(impl, 0xC0), 0, True, True, True, 1) == ([], 0)


@pytest.mark.parametrize(
    "extended", [(126, 2, 125), (127, 8, 65535), (127, 8, 1 << 63), (127, 8, (1 << 63) - 1)]
)
def test_lengths(impl: Implementation, extended: tuple[int, int, int]) -> None:
    code, size, length = extended
    head = bytes([0x82, code]) + length.to_bytes(size, "big")
    assert impl.split_frames(head + bytes(min(length, 70_000)), 0, False, False, False, 1) == ([], 0)


def test_nothing_is_shared(impl: Implementation) -> None:
    source = bytearray(b"\x82\x03abc\x81\x03abc\x89\x03abc")
    items, _ = impl.split_frames(source, 0, False, False, False, 9)
    source[:] = bytes(len(source))
    assert items == [b"abc", "abc", Frame(PING, b"abc")]
    source += b"x"  # nothing holds it


def test_arguments(impl: Implementation) -> None:
    with pytest.raises(ValueError, match=r"^offset must be 0 or more, not -1$"):
        impl.split_frames(b"", -1, True, False, False, 1)
    with pytest.raises(TypeError, match=r"^data must be a bytes-like object"):
        impl.split_frames("text", 0, True, False, False, 1)
