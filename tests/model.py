"""A decoder written from RFC 6455 alone: slow, obvious, and independent of the package.

It imports nothing from wsfast. It reads a whole stream, and tells for each event and for the fault
*at which byte of the stream* it must appear, so that a decoder that is fed byte by byte can be held
to it. Texts of the messages stand here as they were agreed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OPCODE_NAMES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
UNLIMITED = 2**63 - 1


class Fault(Exception):
    """The peer is wrong: close code, message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Outcome:
    """What a stream must decode to."""

    #: Each event, with the number of bytes of the stream after which it must have come.
    events: list[tuple[int, Any]] = field(default_factory=list)
    #: (close code, message) of the fault, if there is one.
    fault: tuple[int, str] | None = None
    #: The number of bytes after which it must have been raised.
    fault_at: int = 0

    @property
    def results(self) -> list[Any]:
        return [event for _, event in self.events]


# ---- UTF-8 (RFC 3629 §4) ---------------------------------------------------------------------------

CONT = range(0x80, 0xC0)

# The ABNF of RFC 3629: ranges of the lead byte, and of each byte that follows it.
UTF8_FORMS: list[tuple[range, list[range]]] = [
    (range(0x80), []),
    (range(0xC2, 0xE0), [CONT]),
    (range(0xE0, 0xE1), [range(0xA0, 0xC0), CONT]),
    (range(0xE1, 0xED), [CONT, CONT]),
    (range(0xED, 0xEE), [range(0x80, 0xA0), CONT]),
    (range(0xEE, 0xF0), [CONT, CONT]),
    (range(0xF0, 0xF1), [range(0x90, 0xC0), CONT, CONT]),
    (range(0xF1, 0xF4), [CONT, CONT, CONT]),
    (range(0xF4, 0xF5), [range(0x80, 0x90), CONT, CONT]),
]


def utf8_offence(data: bytes | bytearray) -> int | None:
    """Index of the first byte that no valid text has at its place; len(data) if it is incomplete."""
    at = 0
    while at < len(data):
        following = [follow for leads, follow in UTF8_FORMS if data[at] in leads]
        if not following:
            return at
        at += 1
        for allowed in following[0]:
            if at == len(data) or data[at] not in allowed:
                return at
            at += 1
    return None


def utf8_text(data: bytes | bytearray) -> str:
    """The text of valid UTF-8."""
    text = ""
    at = 0
    while at < len(data):
        lead = data[at]
        size = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        value = lead if size == 1 else lead & (0xFF >> (size + 1))
        for byte in data[at + 1 : at + size]:
            value = value << 6 | byte & 0x3F
        text += chr(value)
        at += size
    return text


def not_utf8(at: int, byte: int | None) -> Fault:
    if byte is None:
        what = f"it ends inside a code point, after {at} bytes"
    else:
        what = f"byte 0x{byte:02X} at index {at}"
    return Fault(1007, f"text message is not UTF-8: {what} (RFC 6455 §8.1)")


# ---- Frames (RFC 6455 §5) --------------------------------------------------------------------------


def judge_two_bytes(first: int, second: int, *, must_mask: bool, rsv: int, in_message: bool) -> None:
    """Raise the first rule that the first two bytes of a frame break. `rsv`: bits 4, 2, 1 allowed."""
    fin, opcode = first >> 7, first & 15
    set_bits = [n for n in (1, 2, 3) if (first >> (7 - n)) & 1]
    unexpected = [f"RSV{n}" for n in set_bits if not (rsv >> (3 - n)) & 1]
    if unexpected:
        raise Fault(1002, f"{' and '.join(unexpected)} set, but no extension defines it (RFC 6455 §5.2)")
    if opcode not in OPCODE_NAMES:
        raise Fault(1002, f"reserved opcode 0x{opcode:X} (RFC 6455 §5.2)")
    name = OPCODE_NAMES[opcode]
    if opcode >= 8:
        if not fin:
            raise Fault(1002, f"fragmented {name} frame (RFC 6455 §5.5)")
        if second % 128 > 125:
            raise Fault(1002, f"{name} frame with a payload over 125 bytes (RFC 6455 §5.5)")
        if 1 in set_bits:
            raise Fault(1002, f"RSV1 set on a {name} frame (RFC 7692 §6.1)")
    if must_mask and second < 128:
        raise Fault(1002, "unmasked frame from a client (RFC 6455 §5.1)")
    if not must_mask and second >= 128:
        raise Fault(1002, "masked frame from a server (RFC 6455 §5.1)")
    if opcode == 0 and not in_message:
        raise Fault(1002, "continuation frame without a message to continue (RFC 6455 §5.4)")
    if opcode == 0 and 1 in set_bits:
        raise Fault(1002, "RSV1 set on a continuation frame (RFC 7692 §6.1)")
    if opcode in (1, 2) and in_message:
        raise Fault(1002, f"{name} frame inside a fragmented message (RFC 6455 §5.4)")


def judge_length(length7: int, length: int) -> None:
    """Raise if an extended length is written in a way that it must not be."""
    if length >= 2**63:
        raise Fault(1002, f"payload length {length} has its top bit set (RFC 6455 §5.2)")
    if (length7 == 126 and length < 126) or (length7 == 127 and length < 65536):
        raise Fault(1002, f"payload length {length} is not in its shortest form (RFC 6455 §5.2)")


def judge_size(length: int, received: int, limit: int) -> None:
    if received + length > limit:
        after = f" after {received} bytes of the same message" if received else ""
        what = f"a frame of {length} bytes{after}"
        raise Fault(1009, f"message too big: {what} exceeds the limit of {limit} bytes (RFC 6455 §10.4)")


def judge_close(payload: bytes) -> None:
    if len(payload) == 1:
        raise Fault(1002, "close frame with a payload of 1 byte (RFC 6455 §5.5.1)")
    if payload:
        code = payload[0] * 256 + payload[1]
        registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
        if code not in registered and code not in range(3000, 5000):
            raise Fault(1002, f"close frame with code {code} (RFC 6455 §7.4)")
        if utf8_offence(payload[2:]) is not None:
            try:
                payload[2:].decode()
            except UnicodeDecodeError as error:  # the words are CPython's
                raise Fault(
                    1007,
                    f"close reason is not UTF-8: {error.reason} at index {error.start} (RFC 6455 §5.5.1)",
                ) from None


class Model:
    """Decodes a stream of one side's frames.

    Args:
        role: who reads: "server" (frames must be masked) or "client".
        limit: bytes in a frame, or in a message when `messages`.
        rsv: reserved bits allowed: 4 for RSV1, 2 for RSV2, 1 for RSV3.
        messages: messages, not frames.
        in_message: start inside a fragmented binary message of which nothing has come yet.

    """

    def __init__(
        self, role: str, *, limit: int | None = 2**20, rsv: int = 0, messages: bool, in_message: bool = False
    ) -> None:
        self.must_mask = role == "server"
        self.limit = UNLIMITED if limit is None else limit
        self.rsv = rsv
        self.messages = messages
        self.in_message = in_message
        self.message = bytearray()
        self.is_text = False

    def run(self, stream: bytes) -> Outcome:
        self.stream = stream
        self.at = 0
        self.outcome = Outcome()
        try:
            while self.frame():
                pass
        except Fault as fault:
            self.outcome.fault = (fault.code, fault.message)
            self.outcome.fault_at = self.at
        return self.outcome

    def take(self, n: int) -> bytes | None:
        """The next n bytes of the stream, or None."""
        if self.at + n > len(self.stream):
            return None
        self.at += n
        return self.stream[self.at - n : self.at]

    def frame(self) -> bool:
        """Read one frame; False at the end of the stream."""
        head = self.take(2)
        if head is None:
            return False
        first, second = head
        judge_two_bytes(first, second, must_mask=self.must_mask, rsv=self.rsv, in_message=self.in_message)
        fin, opcode, length = first >> 7, first & 15, second & 127
        if length >= 126:
            extended = self.take(2 if length == 126 else 8)
            if extended is None:
                return False
            judge_length(length, int.from_bytes(extended, "big"))
            length = int.from_bytes(extended, "big")
        key = bytes(4)
        if second >= 128:
            taken = self.take(4)
            if taken is None:
                return False
            key = taken
        if opcode < 8:
            judge_size(length, len(self.message) if self.messages else 0, self.limit)
            if opcode:
                self.message = bytearray()
                self.is_text = opcode == 1
            self.in_message = not fin
        payload = bytearray()
        while len(payload) < length:
            byte = self.take(1)
            if byte is None:
                return False
            payload.append(byte[0] ^ key[len(payload) % 4])
            if self.messages and opcode < 8 and self.is_text:
                self.message.append(payload[-1])
                # The last four bytes are quick to look at; only when they look bad, look at it all.
                if utf8_offence(self.message[-4:]) is not None:
                    offence = utf8_offence(self.message)
                    if offence is not None and offence < len(self.message):
                        raise not_utf8(offence, self.message[offence])
        if not self.messages or opcode >= 8:
            if self.messages and opcode == 8:
                judge_close(bytes(payload))
            rsv = [bool(first & bit) for bit in (0x40, 0x20, 0x10)]
            self.event((opcode, bytes(payload), bool(fin), *rsv))
            return True
        if not self.is_text:
            self.message += payload
        if fin:
            if self.is_text:
                if utf8_offence(self.message) is not None:
                    raise not_utf8(len(self.message), None)
                self.event(utf8_text(self.message))
            else:
                self.event(bytes(self.message))
            self.message = bytearray()
        return True

    def event(self, event: Any) -> None:
        self.outcome.events.append((self.at, event))
