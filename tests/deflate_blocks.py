"""DEFLATE by the letter (RFC 1951), to write and to read what zlib does not show; messages to compress."""

from __future__ import annotations

import random

from wsfast.compression import Inflater

MIB = 1 << 20
TAIL = b"\x00\x00\xff\xff"
BACKENDS = ["zlib", "isal.isal_zlib", "zlib_ng.zlib_ng"]

LENGTHS = [*range(3, 11), *range(11, 19, 2), *range(19, 35, 4), *range(35, 67, 8), *range(67, 131, 16)]
LENGTHS += [*range(131, 258, 32), 258]
LENGTH_BITS = [0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0]
DISTANCES = [1, 2, 3, 4]
DISTANCE_BITS = [0] * 4
for _n in range(1, 14):
    DISTANCES += [DISTANCES[-1] + (1 << (_n - 1)), DISTANCES[-1] + (1 << (_n - 1)) + (1 << _n)]
    DISTANCE_BITS += [_n, _n]
FIXED = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]


def codes(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Canonical Huffman codes: (length, code) -> symbol."""
    table = {}
    code = 0
    for length in range(1, max(lengths, default=0) + 1):
        for symbol, its in enumerate(lengths):
            if its == length:
                table[length, code] = symbol
                code += 1
        code <<= 1
    return table


class Bits:
    def __init__(self, data: bytes) -> None:
        self.bits = int.from_bytes(data, "little")
        self.at = 0
        self.size = 8 * len(data)
        self.text = bin(self.bits | 1 << self.size)[3:][::-1]

    def take(self, n: int) -> int:
        if self.at + n > self.size:
            raise EOFError
        chunk = self.text[self.at : self.at + n]
        self.at += n
        return int(chunk[::-1] or "0", 2)

    def symbol(self, table: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, 16):
            code = code << 1 | self.take(1)
            if (length, code) in table:
                return table[length, code]
        raise ValueError("no such code")


def inflate(data: bytes, window: bytes = b"") -> tuple[bytes, int]:
    """Decode raw DEFLATE blocks to the end of ``data``; return the output and the greatest distance."""
    bits = Bits(data)
    out = bytearray(window)
    farthest = 0
    while bits.size - bits.at >= 8 or (bits.at & 7 and bits.size - bits.at >= 3):
        final = bits.take(1)
        kind = bits.take(2)
        if kind == 0:
            bits.at += -bits.at & 7
            n, complement = bits.take(16), bits.take(16)
            assert n ^ complement == 0xFFFF
            out += bytes(bits.take(8) for _ in range(n))
        else:
            assert kind != 3
            if kind == 1:
                literals, distances = codes(FIXED), codes([5] * 32)
            else:
                counts = bits.take(5) + 257, bits.take(5) + 1
                lengths = [0] * 19
                for place in ORDER[: bits.take(4) + 4]:
                    lengths[place] = bits.take(3)
                table = codes(lengths)
                lengths = []
                while len(lengths) < sum(counts):
                    symbol = bits.symbol(table)
                    if symbol < 16:
                        lengths.append(symbol)
                    elif symbol == 16:
                        lengths += [lengths[-1]] * (3 + bits.take(2))
                    else:
                        lengths += [0] * (3 + bits.take(3) if symbol == 17 else 11 + bits.take(7))
                literals, distances = codes(lengths[: counts[0]]), codes(lengths[counts[0] :])
            while (symbol := bits.symbol(literals)) != 256:
                if symbol < 256:
                    out.append(symbol)
                    continue
                length = LENGTHS[symbol - 257] + bits.take(LENGTH_BITS[symbol - 257])
                symbol = bits.symbol(distances)
                distance = DISTANCES[symbol] + bits.take(DISTANCE_BITS[symbol])
                assert distance <= len(out)
                farthest = max(farthest, distance)
                for _ in range(length):
                    out.append(out[-distance])
        if final:
            bits.at += -bits.at & 7
    return bytes(out[len(window) :]), farthest


class Blocks:
    """Writes a message block by block. ``payload()`` gives it as it is sent."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, n: int) -> Blocks:
        self.text += f"{value:0{n}b}"[::-1] if n else ""
        return self

    def align(self) -> Blocks:
        self.text += "0" * (-len(self.text) & 7)
        return self

    def stored(self, data: bytes = b"", final: bool = False) -> Blocks:
        self.put(final, 3).align().put(len(data), 16).put(len(data) ^ 0xFFFF, 16)
        for byte in data:
            self.put(byte, 8)
        return self

    def fixed(self, *items: bytes | tuple[int, int], final: bool = False) -> Blocks:
        """Literals, and matches as pairs of length and distance."""
        self.put(final | 2, 3)
        codes_of = {symbol: code for code, symbol in codes(FIXED).items()}

        def huffman(length: int, code: int) -> None:
            self.text += f"{code:0{length}b}"

        for item in items:
            if isinstance(item, bytes):
                for byte in item:
                    huffman(*codes_of[byte])
                continue
            length, distance = item
            at = max(i for i, least in enumerate(LENGTHS) if least <= length)
            huffman(*codes_of[257 + at])
            self.put(length - LENGTHS[at], LENGTH_BITS[at])
            at = max(i for i, least in enumerate(DISTANCES) if least <= distance)
            huffman(5, at)
            self.put(distance - DISTANCES[at], DISTANCE_BITS[at])
        huffman(*codes_of[256])
        return self.align() if final else self

    def raw(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) & 7)
        return bytes(int(padded[i : i + 8][::-1], 2) for i in range(0, len(padded), 8))

    def payload(self) -> bytes:
        """End with the first bits of an empty stored block, whose other four bytes are not sent."""
        ended = Blocks()
        ended.text = self.text
        return ended.put(0, 3).raw()


def whole(inflater: Inflater, *pieces: bytes, at_once: int = MIB) -> bytes:
    """Decompress a message as decoders do."""
    out = []
    for i, piece in enumerate(pieces, 1):
        data = piece
        while True:
            got = inflater(data, i == len(pieces), at_once)
            assert len(got) <= at_once
            out.append(got)
            if len(got) < at_once:
                break
            data = b""
    return b"".join(out)


def texts(rng: random.Random, n: int, longest: int = 300) -> list[bytes]:
    """Messages that repeat parts of each other, near and far, with some that repeat nothing."""
    words = [
        bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz0123456789", k=rng.randrange(2, 9))) for _ in range(80)
    ]
    made = []
    for i in range(n):
        if i % 23 == 0:
            made.append(rng.randbytes(rng.randrange(longest)))
        elif i % 29 == 0:
            made.append(b"")
        else:
            text = b'{"n":%d,"v":"%s"}' % (i, b" ".join(rng.choices(words, k=rng.randrange(longest // 6))))
            made.append(text[: rng.randrange(1, longest)] if i % 5 else text)
    return made
