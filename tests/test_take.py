"""take_messages(): runs of whole messages out of a buffer, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest
from implementations import Implementation
from streams import KEY

from wsfast import encode_frame

MASKS = [pytest.param(True, id="masked"), pytest.param(False, id="unmasked")]
MESSAGES: list[Any] = [
    "",
    "Hello",
    b"",
    "Grüße 🎉",
    bytes(range(126)),
    "x" * 65_535,
    b"\xff" * 65_536,
    "é" * 300,
]


def frame(masked: bool, message: Any, **options: Any) -> bytes:
    return encode_frame(1 if type(message) is str else 2, message, mask=KEY if masked else False, **options)


def stops(masked: bool) -> dict[str, bytes]:
    """What it leaves alone."""
    key: Any = KEY if masked else False
    mask_bit = 0x80 if masked else 0
    text = frame(masked, "text")
    return {
        "nothing": b"",
        "one_byte": text[:1],
        "incomplete_header": frame(masked, "x" * 200)[:3],
        "incomplete_payload": text[:-1],
        "other_mask_bit": frame(not masked, "text"),
        "ping": encode_frame(9, b"text", mask=key),
        "close": encode_frame(8, b"", mask=key),
        "fragment": encode_frame(1, b"text", fin=False, mask=key),
        "continuation": encode_frame(0, b"text", mask=key),
        "rsv1": frame(masked, "text", rsv1=True),
        "rsv2": bytes([0xA1]) + text[1:],
        "rsv3": bytes([0x91]) + text[1:],
        "reserved_opcode": bytes([0x83]) + text[1:],
        "not_utf8": encode_frame(1, b"caf\xe9", mask=key),
        "cut_utf8": encode_frame(1, "é".encode()[:1], mask=key),
        "longer_than_needed": bytes([0x81, mask_bit | 126, 0, 5]) + (KEY if masked else b"") + b"12345",
        "much_longer_than_needed": bytes([0x81, mask_bit | 127])
        + (65_535).to_bytes(8, "big")
        + bytes(70_000),
        "top_bit": bytes([0x82, mask_bit | 127]) + (1 << 63).to_bytes(8, "big") + bytes(20),
        "too_long": frame(masked, b"y" * 70_000),
    }


@pytest.mark.parametrize("masked", MASKS)
def test_whole_messages(impl: Implementation, masked: bool) -> None:
    data = b"".join(frame(masked, message) for message in MESSAGES)
    for source in (data, bytearray(data), memoryview(data)):
        messages: list[Any] = ["before"]
        assert impl.module.take_messages(source, 0, messages, masked) == len(data)
        assert messages == ["before", *MESSAGES]
        assert [type(message) for message in messages[1:]] == [type(message) for message in MESSAGES]


@pytest.mark.parametrize("masked", MASKS)
@pytest.mark.parametrize("name", stops(True))
def test_where_it_stops(impl: Implementation, name: str, masked: bool) -> None:
    before = frame(masked, "one") + frame(masked, b"two")
    for behind in (b"", frame(masked, "behind")):
        stop = stops(masked)[name]
        if behind and (not stop or name.startswith(("one", "incomplete"))):
            continue
        messages: list[Any] = []
        assert impl.module.take_messages(before + stop + behind, 0, messages, masked, 65_536) == len(before)
        assert messages == ["one", b"two"]


@pytest.mark.parametrize("masked", MASKS)
def test_every_beginning(impl: Implementation, masked: bool) -> None:
    frames = [frame(masked, message) for message in ("Hello", b"x" * 126, "é")]
    data = b"".join(frames)
    ends = [0]
    for one in frames:
        ends.append(ends[-1] + len(one))
    for size in range(len(data) + 1):
        whole = max(end for end in ends if end <= size)
        messages: list[Any] = []
        assert impl.module.take_messages(data[:size], 0, messages, masked) == whole
        assert len(messages) == ends.index(whole)


def test_offset(impl: Implementation) -> None:
    data = b"junk" + frame(True, "one")
    messages: list[Any] = []
    assert impl.module.take_messages(data, 4, messages, True) == len(data)
    assert messages == ["one"]
    for beyond in (len(data), len(data) + 5):
        assert impl.module.take_messages(data, beyond, messages, True) == beyond
    with pytest.raises(ValueError, match="offset"):
        impl.module.take_messages(data, -1, messages, True)


def test_packed(impl: Implementation) -> None:
    data = frame(True, "one") + frame(True, "two", rsv1=True) + frame(True, b"three", rsv1=True)
    data += encode_frame(0, b"x", mask=KEY)
    messages: list[Any] = []
    end = impl.module.take_messages(data, 0, messages, True, None, lambda *args: args)
    assert end == len(data) - 7
    assert messages == ["one", (1, b"two"), (2, b"three")]


def test_error_in_packed(impl: Implementation) -> None:
    def packed(opcode: int, payload: bytes) -> Any:
        raise LookupError(opcode)

    source = bytearray(frame(True, "one") + frame(True, "two", rsv1=True))
    messages: list[Any] = []
    with pytest.raises(LookupError):
        impl.module.take_messages(source, 0, messages, True, None, packed)
    assert messages == ["one"]
    source.clear()  # nothing holds it


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((5, 0, [], True), TypeError),
        (("text", 0, [], True), TypeError),
        ((b"", 0, [], True, "5"), TypeError),
        ((b"", 0, [], True, -1), ValueError),
    ],
)
def test_wrong_arguments(impl: Implementation, arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        impl.module.take_messages(*arguments)


def test_random_bytes(impl: Implementation, rng: random.Random) -> None:
    """What it takes, a decoder of messages takes too; and it stops where that finds fault."""
    for _ in range(2000):
        data = bytearray(b"".join(frame(True, rng.choice(MESSAGES[:5])) for _ in range(3)))
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        messages: list[Any] = []
        end = impl.module.take_messages(data, 0, messages, True)
        assert impl.module.MessageDecoder("server").feed(data[:end]) == messages
