"""Streams for the decoders' tests, and how to cut them.

Frames are put together here by hand, from the RFC, not with the package.
"""

from __future__ import annotations

import array
import random
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from model import Model, Outcome

from wsfast.errors import ProtocolError
from wsfast.frames import Frame, Opcode

KEY = bytes.fromhex("37fa213d")  # the one of RFC 6455 §5.7

# One text for each way in which UTF-8 and str storage differ.
TEXTS = {
    "ascii": "The quick brown fox jumps over the lazy dog. 0123456789 {}[]<>\t\r\n",
    "latin-1": "Où est-ce que c'est, où çà? Äpfel, Öl, Übel, ß, ñandú, £12, ±½°, ÿ",
    "cyrillic": "Съешь же ещё этих мягких французских булок, да выпей чаю. ",
    "cjk": "天地玄黄宇宙洪荒日月盈昃辰宿列張寒来暑往秋収冬蔵。",
    "emoji": "😀🚀👩‍👩‍👧‍👦🏳️‍🌈👍🏽🎉",
    "mixed": "ok 👍 naïve Привет 世界! €5 𝄞 done. ",
    "edges": "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffe\uffff\U00010000\U0010ffff",
}


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool | bytes = True
) -> bytes:
    """One frame. `rsv`: 4 for RSV1, 2 for RSV2, 1 for RSV3."""
    key = KEY if mask is True else mask or b""
    mask_bit = 128 if key else 0
    n = len(payload)
    if n <= 125:
        length = bytes([mask_bit + n])
    elif n <= 65535:
        length = bytes([mask_bit + 126]) + n.to_bytes(2, "big")
    else:
        length = bytes([mask_bit + 127]) + n.to_bytes(8, "big")
    if key:
        payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes([fin * 128 + rsv * 16 + opcode]) + length + key + payload


def close(code: int | None = None, reason: bytes = b"", **options: Any) -> bytes:
    return frame(8, b"" if code is None else code.to_bytes(2, "big") + reason, **options)


class Case(NamedTuple):
    """A stream, and the options of the decoder that reads it."""

    stream: bytes
    role: str = "server"
    limit: int | None = 2**20


def _cases() -> dict[str, Case]:
    euro = "€".encode()
    mixed = TEXTS["mixed"].encode()
    both: dict[str, tuple[bytes, ...] | bytes] = {}  # the same for a server and for a client
    found: dict[str, Case] = {}

    for role, mask in (("server", True), ("client", False)):

        def f(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, *, m: bool = mask) -> bytes:
            return frame(opcode, payload, fin=fin, rsv=rsv, mask=m)

        both = {
            "empty": b"",
            "text": f(1, b"Hello"),
            "empty messages": f(1) + f(2) + f(9) + f(10),
            "many small": b"".join(f(1 + i % 2, b"x" * i) for i in range(12)),
            "125, 126, 127": b"".join(f(2, b"y" * n) for n in (125, 126, 127)),
            "scripts": b"".join(f(1, text.encode()) for text in TEXTS.values()),
            "fragments": f(1, b"He", False) + f(0, b"l", False) + f(0, b"lo"),
            "empty fragments": f(1, b"", False) + f(0, b"", False) + f(0, b"", False) + f(0),
            "empty first, empty last": f(2, b"", False) + f(0, b"abc", False) + f(0, b"") + f(2, b"d"),
            "code points cut": f(1, mixed[:5], False) + f(0, mixed[5:6], False) + f(0, mixed[6:]),
            "code points bytewise": f(1, b"", False)
            + b"".join(f(0, bytes([byte]), False) for byte in TEXTS["edges"].encode())
            + f(0),
            "binary is not text": f(2, b"\xff\xfe", False) + f(0, b"\x80\xed\xa0") + f(2, b"\xc0"),
            "controls between": f(1, b"a\xe2", False)
            + f(9, b"ping")
            + f(0, b"\x82", False)
            + f(10, b"")
            + f(0, b"\xacb")
            + f(9, b"p" * 125),
            "close": f(1, b"x") + close(1000, b"bye", mask=mask),
            "close, empty": close(mask=mask),
            "close between": f(2, b"ab", False) + close(1001, mask=mask) + f(0, b"cd"),
            "after close": close(1000, mask=mask) + f(1, b"late") + close(4999, "ü".encode(), mask=mask),
            "close codes": b"".join(
                close(code, mask=mask) for code in (*range(1000, 1004), *range(1007, 1015), 3000, 4999)
            ),
            "ping with every byte": f(9, bytes(range(125))) + f(10, bytes(range(131, 256))),
            # Faults, each after something valid.
            "rsv1": f(1, b"ok") + f(1, b"x", rsv=4),
            "rsv2 and rsv3": f(1, b"ok") + f(2, b"x", rsv=3),
            "all rsv": f(1, b"ok") + f(2, b"x", rsv=7),
            "rsv1 on a ping": f(9, b"ok") + f(9, b"x", rsv=4),
            "rsv1 on a continuation": f(1, b"ok", False) + f(0, b"x", rsv=4),
            "opcode 3": f(1, b"ok") + f(3, b"x"),
            "opcode F": f(1, b"ok") + f(15, b"x"),
            "fragmented ping": f(1, b"ok") + f(9, b"x", False),
            "long pong": f(1, b"ok") + f(10, b"x" * 126),
            "long close": f(1, b"ok") + f(8, b"\x03\xe8" + b"x" * 124),
            "wrong masking": f(1, b"ok") + f(1, b"x", m=not mask),
            "wrong masking of a ping": f(1, b"ok", False) + f(9, b"x", m=not mask),
            "stray continuation": f(1, b"ok") + f(0, b"x"),
            "stray continuation after fragments": f(1, b"o", False) + f(0, b"k") + f(0, b"x", False),
            "text in text": f(1, b"o", False) + f(1, b"x"),
            "binary in empty text": f(1, b"", False) + f(2, b"x"),
            "close of 1 byte": f(1, b"ok") + f(8, b"\x03"),
            "close 1005": f(1, b"ok") + close(1005, mask=mask),
            "close 999": close(999, mask=mask),
            "close 5000": close(5000, mask=mask),
            "close 2999": close(2999, b"why", mask=mask),
            "close reason": close(1000, b"\xc3", mask=mask),
            "close reason, surrogate": close(1000, b"ab\xed\xa0\x80", mask=mask),
            "length 5 in 16 bits": f(1, b"ok") + bytes([0x81, mask * 128 + 126, 0, 5]) + KEY,
            "length 125 in 64 bits": f(1, b"ok") + bytes([0x82, mask * 128 + 127]) + bytes(7) + b"\x7d",
            "length 65535 in 64 bits": bytes([0x82, mask * 128 + 127]) + bytes(6) + b"\xff\xff" + KEY,
            "length with top bit": bytes([0x82, mask * 128 + 127]) + b"\x80" + bytes(7) + KEY,
            "length of all ones": f(2) + bytes([0x82, mask * 128 + 127]) + b"\xff" * 8 + KEY,
            "bad lead": f(1, b"ok") + f(1, b"abc\xffdef"),
            "bad in fragment": f(1, b"ok") + f(1, b"abc", False) + f(0, b"d\xc0ef", False) + f(9),
            "surrogate across fragments": f(1, b"x\xed", False) + f(0, b"\xa0\x80"),
            "overlong": f(1, b"\xe0\x80\x80"),
            "overlong of 4": f(1, b"12345678\xf0\x8f\xbf\xbf"),
            "too high": f(1, b"\xf4\x90\x80\x80"),
            "ends inside a code point": f(1, b"ok") + f(1, euro[:2]),
            "ends inside a code point, fragments": f(1, b"", False)
            + f(0, b"ab" + euro[:1], False)
            + f(0, b""),
            "code point broken off": f(1, euro[:2], False) + f(0, b"A"),
        }
        for name, stream in both.items():
            found[f"{role}: {name}"] = Case(stream if isinstance(stream, bytes) else b"".join(stream), role)
        found[f"{role}: at the limit"] = Case(
            f(1, b"12345") + f(2, b"1", False) + f(9, b"x" * 20) + f(0, b"2345"), role, 5
        )
        found[f"{role}: over the limit"] = Case(f(1, b"12345") + f(2, b"123456"), role, 5)
        found[f"{role}: over the limit in fragments"] = Case(
            f(2, b"123", False) + f(0, b"", False) + f(0, b"45", False) + f(9) + f(0, b"6"), role, 5
        )
        found[f"{role}: no room"] = Case(f(1) + f(9, b"x") + f(2, b"1"), role, 0)
        found[f"{role}: length 2**62"] = Case(
            f(1, b"ok") + bytes([0x82, mask * 128 + 127]) + (2**62).to_bytes(8, "big") + KEY + b"abc", role
        )
        found[f"{role}: sum over 2**63"] = Case(
            f(2, b"ab", False) + bytes([0x80, mask * 128 + 127]) + (2**63 - 1).to_bytes(8, "big") + KEY,
            role,
            None,
        )
    return found


CASES = _cases()


def two_way(stream: bytes) -> Iterator[list[bytes]]:
    """Every cut in two, the whole and an empty piece included."""
    for at in range(len(stream) + 1):
        yield [stream[:at], stream[at:]]


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def random_cuts(stream: bytes, rng: random.Random) -> list[bytes]:
    """Some pieces, of very different sizes."""
    cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice([1, 2, 3, 5, 10, 40])))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def random_stream(rng: random.Random, *, mask: bool) -> bytes:
    """Valid frames, of which about half the time some bytes are then changed, lost, doubled or added."""
    stream = bytearray()
    open_text: bytes | None = None  # what is left of the text message under way
    fragmented = False
    for _ in range(rng.randrange(1, 9)):
        key: bool | bytes = rng.randbytes(4) if mask else False
        kind = rng.random()
        if kind < 0.25:
            opcode = rng.choice([8, 9, 10])
            if opcode == 8:
                payload = rng.choice([b"", b"\x03\xe8", b"\x0b\xb8" + "größer".encode()])
            else:
                payload = rng.randbytes(rng.choice([0, 1, 4, 17, 125]))
            stream += frame(opcode, payload, mask=key)
            continue
        if fragmented:
            opcode = 0
        else:
            opcode = rng.choice([1, 1, 2])
            text = rng.choice(list(TEXTS.values())).encode() * rng.choice([0, 1, 1, 4])
            open_text = text if opcode == 1 else None
        fin = rng.random() < 0.6
        if open_text is None:
            payload = rng.randbytes(rng.choice([0, 1, 3, 16, 63, 126, 300]))
        else:
            n = len(open_text) if fin else rng.randrange(len(open_text) + 1)
            payload, open_text = open_text[:n], open_text[n:]
        stream += frame(opcode, payload, fin=fin, mask=key)
        fragmented = not fin
    while stream and rng.random() < 0.4:
        at = rng.randrange(len(stream))
        change = rng.randrange(5)
        if change == 0:
            stream[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            stream[at] = rng.randrange(256)
        elif change == 2:
            del stream[at : at + rng.randrange(1, 4)]
        elif change == 3:
            stream[at:at] = rng.randbytes(rng.randrange(1, 4))
        else:
            stream[at:at] = stream[at : at + rng.randrange(1, 20)]
    return bytes(stream)


# ---- What a decoder makes of them ------------------------------------------------------------------


@cache
def expected(case: Case, *, messages: bool) -> Outcome:
    return Model(case.role, limit=case.limit, messages=messages).run(case.stream)


def decode(decoder: Any, pieces: Iterable[Any]) -> tuple[list[Any], tuple[int, str] | None]:
    """All events, and (code, message) of the error that ended the input."""
    events: list[Any] = []
    for piece in pieces:
        try:
            events += decoder.feed(piece)
        except ProtocolError as error:
            return events + error.events, (error.code, str(error))
    return events, None


def check_types(events: Iterable[Any]) -> None:
    """A namedtuple equals any tuple, and an enum its number; neither is what was promised."""
    for event in events:
        assert type(event) in (str, bytes, Frame)
        if isinstance(event, Frame):
            assert type(event.opcode) is Opcode
            assert type(event.payload) is bytes
            assert [type(flag) for flag in event[2:]] == [bool] * 4


# ---- Objects that hold bytes -----------------------------------------------------------------------


def every_second(data: bytes) -> memoryview:
    """`data` as a buffer that is not contiguous."""
    twice = bytearray(2 * len(data))
    twice[::2] = data
    return memoryview(twice)[::2]


#: Makes an object of each kind out of bytes whose number is a multiple of 4.
BUFFERS: dict[str, Any] = {
    "bytes": lambda data: data,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "read-only view": lambda data: memoryview(bytearray(data)).toreadonly(),
    "array of bytes": lambda data: array.array("B", data),
    "array of signed bytes": lambda data: array.array("b", data),
    "chars": lambda data: memoryview(data).cast("c"),
    "two dimensions": lambda data: memoryview(data).cast("B", (2, len(data) // 2)),
    "three dimensions": lambda data: memoryview(bytearray(data)).cast("B", (2, len(data) // 4, 2)),
    "every other byte": every_second,
    "backwards": lambda data: memoryview(data[::-1])[::-1],
    "bytes subclass": type("Bytes", (bytes,), {}),
    "bytearray subclass": type("Bytearray", (bytearray,), {}),
}


# ---- Broken text -----------------------------------------------------------------------------------

# The first and last byte of each class of bytes that some rule of UTF-8 tells apart.
CLASSES = bytes.fromhex("00 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
LEADS_OF_4 = bytes.fromhex("e0 ed ef f0 f1 f3 f4 f5")


def class_strings() -> Iterator[bytes]:
    yield from (bytes(triple) for triple in product(CLASSES, repeat=3))
    yield from (bytes(four) for four in product(LEADS_OF_4, CLASSES, CLASSES, CLASSES))


class Inflate:
    """An ``inflate`` for decoders that translates each piece, and returns no more than it may."""

    def __init__(self, translate: Callable[[bytes], bytes] = bytes) -> None:
        self.translate = translate
        self.calls: list[tuple[bytes, bool, int]] = []
        self._left = b""

    def __call__(self, piece: bytes, final: bool, max_length: int) -> bytes:
        self.calls.append((piece, final, max_length))
        out = self._left + self.translate(piece)
        self._left = out[max_length:]
        return out[:max_length]
