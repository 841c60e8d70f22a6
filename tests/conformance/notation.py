"""The notation of the corpus: frames, payloads and DEFLATE blocks as text, and back.

Everything here is written from RFC 6455, RFC 7692 and RFC 1951, and nothing of it uses wsfast. The
grammar is in README.md beside this file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

#: The masking key of frames from a client: that of RFC 6455 §5.7.
KEY = bytes.fromhex("37fa213d")

OPCODES = {"cont": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}
NAMES = {number: name for name, number in OPCODES.items()}


class NotationError(ValueError):
    """A case that cannot be read."""


# ---- Tokens ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | <(?P<hex>[0-9A-Fa-f\s]*)>
      | (?P<open>z\[) | (?P<close>\])
      | (?P<slice>\[(?P<low>\d*):(?P<high>\d*)\])
      | \*(?P<times>\d+)
      | (?P<number>\d+(?![\w=^]))
      | (?P<word>[A-Za-z][\w=^+-]*)
    )""",
    re.VERBOSE,
)


class _Tokens:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, re.Match[str]]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise NotationError(f"cannot read {text[at:]!r} in {text!r}")
            self.tokens.append((found.lastgroup or "", found))
            at = found.end()
        self.tokens.reverse()

    @property
    def kind(self) -> str:
        return self.tokens[-1][0] if self.tokens else ""

    @property
    def word(self) -> str:
        return self.tokens[-1][1]["word"] if self.kind == "word" else ""

    def take(self) -> re.Match[str]:
        if not self.tokens:
            raise NotationError(f"{self.text!r} ends too early")
        return self.tokens.pop()[1]

    def number(self) -> int:
        if self.kind != "number":
            raise NotationError(f"a number is missing in {self.text!r}")
        return int(self.take()["number"])


def _bytes(tokens: _Tokens) -> bytes:
    """Terms up to something else: strings, <hex>, 16-bit numbers, z[...], each with [a:b] and *n."""
    parts: list[bytes] = []
    while tokens.kind in ("string", "hex", "number", "open"):
        kind = tokens.kind
        if kind == "number":
            part = tokens.number().to_bytes(2, "big")
        elif kind == "string":
            part = json.loads(tokens.take()["string"]).encode()
        elif kind == "hex":
            part = bytes.fromhex(tokens.take()["hex"])
        else:
            tokens.take()
            part = _deflated(tokens)
        while tokens.kind in ("slice", "times"):
            if tokens.kind == "times":
                part *= int(tokens.take()["times"])
            else:
                found = tokens.take()
                part = part[int(found["low"] or 0) : int(found["high"] or len(part))]
        parts.append(part)
    return b"".join(parts)


def payload(text: str) -> bytes:
    """The bytes of terms alone: `"a" <0d 0a>`."""
    tokens = _Tokens(text)
    return _end(tokens, _bytes(tokens))


# ---- DEFLATE (RFC 1951), by hand -------------------------------------------------------------------

_LENGTHS: list[tuple[int, int]] = []  # (first length, extra bits) of codes 257 to 285: RFC 1951 §3.2.5
_DISTANCES: list[tuple[int, int]] = []


def _fill_tables() -> None:
    length, distance = 3, 1
    for code in range(28):
        extra = max(0, code // 4 - 1)
        _LENGTHS.append((length, extra))
        length += 1 << extra
    _LENGTHS.append((258, 0))
    for code in range(30):
        extra = max(0, code // 2 - 1)
        _DISTANCES.append((distance, extra))
        distance += 1 << extra


_fill_tables()


class _Bits:
    """Bits in the order of RFC 1951 §3.1.1: the first is the lowest of its byte."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def number(self, value: int, width: int) -> None:
        self.text.append(format(value, f"0{width}b")[::-1] if width else "")

    def code(self, value: int, width: int) -> None:
        """A Huffman code: its highest bit comes first."""
        self.text.append(format(value, f"0{width}b"))

    def align(self) -> None:
        self.text = ["".join(self.text)]
        self.text.append("0" * (-len(self.text[0]) % 8))

    def octets(self, data: bytes) -> None:
        for byte in data:
            self.number(byte, 8)

    def bytes(self) -> bytes:
        self.align()
        text = "".join(self.text)
        return int(text[::-1] or "0", 2).to_bytes(len(text) // 8, "little")

    def symbol(self, value: int) -> None:
        """A literal or length with the fixed Huffman codes (RFC 1951 §3.2.6)."""
        if value < 144:
            self.code(0x30 + value, 8)
        elif value < 256:
            self.code(0x190 + value - 144, 9)
        elif value < 280:
            self.code(value - 256, 7)
        else:
            self.code(0xC0 + value - 280, 8)

    def copy(self, length: int, distance: int) -> None:
        code = max(i for i, (first, _) in enumerate(_LENGTHS) if first <= length)
        self.symbol(257 + code)
        self.number(length - _LENGTHS[code][0], _LENGTHS[code][1])
        code = max(i for i, (first, _) in enumerate(_DISTANCES) if first <= distance)
        self.code(code, 5)
        self.number(distance - _DISTANCES[code][0], _DISTANCES[code][1])


def _deflated(tokens: _Tokens) -> bytes:
    """Blocks up to `]`: the payload of a compressed message (RFC 7692 §7.2.1)."""
    bits = _Bits()
    while tokens.kind != "close":
        final = tokens.word == "final"
        if final:
            tokens.take()
        word = tokens.take()["word"]
        if word == "stored":
            data = _bytes(tokens)
            bits.number(final, 1)
            bits.number(0, 2)
            bits.align()
            bits.octets(len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data)
        elif word == "fixed":
            bits.number(final, 1)
            bits.number(1, 2)
            while tokens.kind in ("string", "hex") or tokens.word == "copy":
                if tokens.word != "copy":
                    for byte in _bytes(tokens):
                        bits.symbol(byte)
                    continue
                tokens.take()
                length, distance = tokens.number(), tokens.number()
                for _ in range(int(tokens.take()["times"]) if tokens.kind == "times" else 1):
                    bits.copy(length, distance)
            bits.symbol(256)
            if final:
                bits.align()
        else:
            raise NotationError(f"{word!r} is no block, in {tokens.text!r}")
    tokens.take()
    # What remains of the empty stored block that ends the message, without its 00 00 FF FF.
    bits.number(0, 3)
    return bits.bytes()


# ---- Frames ----------------------------------------------------------------------------------------


def _power(text: str) -> int:
    found = re.fullmatch(r"(?:2\^(\d+)|(\d+))([+-]\d+)?", text)
    if found is None:
        raise NotationError(f"{text!r} is no number")
    return (1 << int(found[1]) if found[1] else int(found[2])) + int(found[3] or 0)


def mask(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask (RFC 6455 §5.3)."""
    n = len(payload)
    whole = int.from_bytes((key * (n // 4 + 1))[:n], "big") ^ int.from_bytes(payload, "big")
    return whole.to_bytes(n, "big")


def frame(
    opcode: int,
    payload: bytes,
    *,
    key: bytes | None,
    fin: bool = True,
    rsv: int = 0,
    form: int = 0,
    length: int | None = None,
) -> bytes:
    """One frame (RFC 6455 §5.2).

    Args:
        opcode: 0 to 15.
        payload: unmasked.
        key: the masking key; None for an unmasked frame.
        fin: the FIN bit.
        rsv: 4 for RSV1, 2 for RSV2, 1 for RSV3.
        form: how many bits the length takes, 7, 16 or 64; 0 for the shortest.
        length: what to write as the length of the payload, when that is not the truth.

    """
    n = len(payload) if length is None else length
    form = form or (7 if n < 126 else 16 if n < 65536 else 64)
    masked = 0 if key is None else 128
    if form == 7:
        head = bytes([masked + n])
    else:
        head = bytes([masked + (126 if form == 16 else 127)]) + n.to_bytes(form // 8, "big")
    return (
        bytes([fin * 128 + rsv * 16 + opcode])
        + head
        + (key or b"")
        + (mask(payload, key) if key else payload)
    )


def frames(text: str, role: str) -> bytes:
    """The bytes of one line of the notation, as they go to an endpoint of that role."""
    repeat = re.match(r"(\d+) x ", text)
    if repeat:
        return int(repeat[1]) * frames(text[repeat.end() :], role)
    tokens = _Tokens(text)
    word = tokens.take()["word"] or ""
    if word == "raw":
        return _end(tokens, _bytes(tokens))
    reserved = re.fullmatch("op([0-9A-F])", word)
    if word not in OPCODES and not reserved:
        raise NotationError(f"{word!r} is no frame, in {text!r}")
    opcode = int(reserved[1], 16) if reserved else OPCODES[word]
    key = KEY if role == "server" else None
    fin, rsv, form = True, 0, 0
    length: int | None = None
    while tokens.word:
        option = tokens.take()["word"]
        if option == "part":
            fin = False
        elif option in ("rsv1", "rsv2", "rsv3"):
            rsv |= 8 >> int(option[3])
        elif option in ("len16", "len64"):
            form = int(option[3:])
        elif option == "mask":
            key = KEY
        elif option == "nomask":
            key = None
        elif option == "wrongmask":
            key = None if key else KEY
        elif option.startswith("key="):
            key = bytes.fromhex(option[4:])
        elif option.startswith("len="):
            length = _power(option[4:])
        else:
            raise NotationError(f"{option!r} is no option of a frame, in {text!r}")
    payload = _end(tokens, _bytes(tokens))
    return frame(opcode, payload, key=key, fin=fin, rsv=rsv, form=form, length=length)


def _end(tokens: _Tokens, value: bytes) -> bytes:
    if tokens.kind:
        raise NotationError(f"{tokens.take()[0]!r} is too much, in {tokens.text!r}")
    return value


# ---- Events ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """What an endpoint makes of its input, or what it sends.

    `kind`: text, binary, ping, pong, close; fail (it fails the connection); lost (the transport ends
    without a close frame). `code`: of close and fail; 1005 for a close without one.
    """

    kind: str
    payload: bytes = b""
    code: int = 0

    def __str__(self) -> str:
        what = self.payload if len(self.payload) <= 40 else self.payload[:40] + b"..."
        shown = [self.kind, *([str(self.code)] if self.code else []), *([repr(what)[1:]] if what else [])]
        return " ".join(shown)


def event(text: str) -> Event:
    """Read `text "x"`, `binary <ff>`, `ping`, `pong`, `close 1000 "why"`, `close`, `fail 1002`, `lost`."""
    tokens = _Tokens(text)
    kind = tokens.take()["word"] or ""
    if kind == "lost":
        return Event(kind, _end(tokens, b""), 1006)
    if kind in ("close", "fail"):
        code = tokens.number() if tokens.kind == "number" else 1005
        return Event(kind, _end(tokens, _bytes(tokens)), code)
    if kind not in ("text", "binary", "ping", "pong"):
        raise NotationError(f"{kind!r} is no event, in {text!r}")
    return Event(kind, _end(tokens, _bytes(tokens)))


@dataclass(frozen=True)
class Local:
    """A line that starts with `>`: what the program on this side does at that point."""

    kind: str
    payload: bytes
    fin: bool = True
    code: int | None = None


def local(text: str) -> Local:
    tokens = _Tokens(text)
    kind = tokens.take()["word"] or ""
    if kind not in ("text", "binary", "ping", "pong", "close"):
        raise NotationError(f"{kind!r} is nothing that a program does, in {text!r}")
    fin = tokens.word != "part"
    if not fin:
        tokens.take()
    code = tokens.number() if kind == "close" and tokens.kind == "number" else None
    return Local(kind, _end(tokens, _bytes(tokens)), fin, code)


# ---- Reading what an endpoint sends ----------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """One frame that was seen on the wire, unmasked."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    key: bytes | None
    shortest: bool

    def fault(self, *, role: str, rsv1: bool) -> str:
        """What is wrong with this frame by itself, if an endpoint of that role sent it; else "" ."""
        if self.rsv & 3 or (self.rsv and not rsv1):
            return "reserved bits are set"
        if self.opcode not in NAMES:
            return f"opcode {self.opcode:X}"
        if (self.key is not None) != (role == "client"):
            return "masked" if self.key is not None else "not masked"
        if not self.shortest:
            return "the length is not in its shortest form"
        if self.opcode >= 8 and (not self.fin or self.rsv or len(self.payload) > 125):
            return "a control frame is fragmented, compressed or too long"
        if self.opcode == 0 and self.rsv:
            return "RSV1 on a continuation"
        return ""


class FrameReader:
    """A minimal reader of frames: whole frames out of a growing buffer."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Sent]:
        buffer = self.buffer
        buffer += data
        while len(buffer) >= 2:
            n, at = buffer[1] & 127, 2
            if n == 126:
                n, at = int.from_bytes(buffer[2:4], "big"), 4
            elif n == 127:
                n, at = int.from_bytes(buffer[2:10], "big"), 10
            shortest = at == (2 if n < 126 else 4 if n < 65536 else 10)
            masked = bool(buffer[1] & 128)
            key = bytes(buffer[at : at + 4]) if masked else None
            at += 4 * masked
            if len(buffer) < at or len(buffer) < at + n:
                return
            payload = bytes(buffer[at : at + n])
            first = buffer[0]
            del buffer[: at + n]
            yield Sent(
                first & 15,
                mask(payload, key) if key else payload,
                bool(first & 128),
                first >> 4 & 7,
                key,
                shortest,
            )


class Assembler:
    """Events of the frames that an endpoint sends; inflates as permessage-deflate demands.

    Args:
        role: who sends.
        window: bits of the sender's LZ77 window, when permessage-deflate was negotiated; else None.
        takeover: whether the sender may refer to earlier messages.

    """

    def __init__(self, role: str, *, window: int | None = None, takeover: bool = True) -> None:
        self.role = role
        self.window = window
        self.takeover = takeover
        self.reader = FrameReader()
        self.inflater = None if window is None else zlib.decompressobj(-window)
        self.parts: list[bytes] = []
        self.first: Sent | None = None
        self.closed = False
        #: Every frame seen.
        self.frames: list[Sent] = []
        #: What the endpoint did wrong; empty for nothing.
        self.faults: list[str] = []

    def feed(self, data: bytes) -> Iterator[Event]:
        for sent in self.reader.feed(data):
            self.frames.append(sent)
            fault = sent.fault(role=self.role, rsv1=self.window is not None)
            if fault:
                self.faults.append(f"it sent a faulty frame: {fault}")
            if self.closed:
                self.faults.append(f"it sent a {NAMES.get(sent.opcode)} frame after its close frame")
            if sent.opcode >= 8:
                yield self._control(sent)
                continue
            if (sent.opcode == 0) == (self.first is None):
                self.faults.append("it sent fragments in a wrong order")
            self.first = self.first or sent
            self.parts.append(sent.payload)
            if sent.fin:
                first, data = self.first, b"".join(self.parts)
                self.first = None
                self.parts.clear()
                yield Event(NAMES[first.opcode or 2], self._inflate(data) if first.rsv & 4 else data)

    def _control(self, sent: Sent) -> Event:
        if sent.opcode != 8:
            return Event(NAMES.get(sent.opcode, "?"), sent.payload)
        self.closed = True
        code = int.from_bytes(sent.payload[:2], "big") if len(sent.payload) >= 2 else 1005
        if len(sent.payload) == 1 or (len(sent.payload) > 1 and not sendable(code)):
            self.faults.append(f"it sent a close frame with {sent.payload[:2].hex() or 'nothing'}")
        return Event("close", sent.payload[2:], code)

    def _inflate(self, data: bytes) -> bytes:
        if self.inflater is None:
            return data
        try:
            result = self.inflater.decompress(data + b"\x00\x00\xff\xff")
        except zlib.error:
            self.faults.append("it sent a compressed message that does not inflate")
            return b""
        if not self.takeover or self.inflater.eof:
            self.inflater = zlib.decompressobj(-(self.window or 15))
        return result


def sendable(code: int) -> bool:
    """Whether a close frame may carry it: RFC 6455 §7.4 and IANA's registry."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999


def accept_value(key: str) -> str:
    """Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2)."""
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
