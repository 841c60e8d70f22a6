"""Every header: all first two bytes, with every boundary length in every form (RFC 6455 §5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from implementations import Implementation
from model import Fault, Model, judge_length, judge_size, judge_two_bytes
from streams import BUFFERS, KEY

from wsfast.errors import ProtocolError
from wsfast.frames import FrameHeader, Opcode

LENGTHS_OF_16_BITS = [0, 1, 125, 126, 127, 128, 65535]
LENGTHS_OF_64_BITS = [
    *(0, 125, 126, 127, 65535, 65536, 65537),
    *(2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 1),
    *(2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1),
]


def forms() -> Iterator[tuple[int, bytes]]:
    """Every second byte, with the length bytes that may follow it."""
    for second in range(256):
        if second & 127 == 126:
            yield from ((second, length.to_bytes(2, "big")) for length in LENGTHS_OF_16_BITS)
        elif second & 127 == 127:
            yield from ((second, length.to_bytes(8, "big")) for length in LENGTHS_OF_64_BITS)
        else:
            yield second, b""


def headers() -> Iterator[bytes]:
    """All of them, as far as a key; about 76,000."""
    for second, extended in forms():
        for first in range(256):
            yield bytes([first, second]) + extended


def verdict(header: bytes, must_mask: bool, rsv: int, in_message: bool, limit: int) -> tuple[Any, int]:
    """What the model says: the fault or None, and after how many bytes."""
    try:
        judge_two_bytes(header[0], header[1], must_mask=must_mask, rsv=rsv, in_message=in_message)
    except Fault as fault:
        return (fault.code, fault.message), 2
    length7 = header[1] & 127
    length = int.from_bytes(header[2:], "big") if length7 > 125 else length7
    try:
        if length7 > 125:
            judge_length(length7, length)
    except Fault as fault:
        return (fault.code, fault.message), len(header)
    size = len(header) + (4 if must_mask else 0)
    try:
        if not header[0] & 8:
            judge_size(length, 0, limit)
    except Fault as fault:
        return (fault.code, fault.message), size
    return None, size


@cache
def verdicts(must_mask: bool, rsv: int, in_message: bool, limit: int) -> list[tuple[bytes, Any, int]]:
    return [(header, *verdict(header, must_mask, rsv, in_message, limit)) for header in headers()]


def error_of(decoder: Any, data: bytes) -> tuple[int, str] | None:
    try:
        decoder.feed(data)
    except ProtocolError as error:
        return error.code, str(error)
    return None


@pytest.mark.parametrize("in_message", [False, True], ids=["outside", "inside"])
@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
def test_every_header(backend: Implementation, messages: bool, role: str, in_message: bool) -> None:
    must_mask = role == "server"
    # Frames with the default limit, messages without one; RSV1 is an extension's in one of both.
    rsv = 0 if messages else 4
    options: dict[str, Any] = {"max_size": None} if messages else {"rsv1": True}
    limit = 2**63 - 1 if messages else 2**20
    # An empty first fragment opens a message.
    before = b"\x02\x80" + KEY if must_mask else b"\x02\x00"
    key = KEY if must_mask else b""
    Decoder = backend.MessageDecoder if messages else backend.FrameDecoder
    wrong: list[tuple[Any, ...]] = []
    for header, fault, at in verdicts(must_mask, rsv, in_message, limit):
        decoder = Decoder(role, **options)
        if in_message:
            decoder.feed(before)
        if (got := error_of(decoder, header + key)) != fault:
            # The payload may be empty: then a whole frame was there, and was judged.
            wrong.append((header.hex(), got, fault))
        elif fault and header[0] % 8 == 0:
            # A share of them once more, to see that the fault comes as soon as it can.
            decoder = Decoder(role, **options)
            if in_message:
                decoder.feed(before)
            before_it, with_it = (header + key)[: at - 1], (header + key)[at - 1 :]
            if error_of(decoder, before_it) or error_of(decoder, with_it) != fault:
                wrong.append((header.hex(), "not at once", at))
    assert not wrong, wrong[:5]


@pytest.mark.parametrize("rsv", range(8))
def test_reserved_bits(impl: Implementation, rsv: int) -> None:
    """Every first byte with every set of reserved bits allowed."""
    options = {"rsv1": bool(rsv & 4), "rsv2": bool(rsv & 2), "rsv3": bool(rsv & 1)}
    for in_message in (False, True):
        before = b"\x02\x00" if in_message else b""
        for first in range(256):
            model = Model("client", rsv=rsv, messages=False)
            outcome = model.run(before + bytes([first, 0]))
            decoder = impl.FrameDecoder("client", **options)
            decoder.feed(before)
            try:
                events = decoder.feed(bytes([first, 0]))
            except ProtocolError as error:
                assert (error.code, str(error)) == outcome.fault
            else:
                assert outcome.fault is None
                assert events == outcome.results[in_message:]


def test_parse_header_of_every_header(backend: Implementation) -> None:
    wrong = []
    for header in headers():
        first, second = header[:2]
        masked = second > 127
        key = KEY if masked else b""
        # What only the connection knows is not judged: the bits are cleared, the order is right.
        fault, at = verdict(bytes([first & 0x8F]) + header[1:], masked, 0, first & 15 == 0, 2**63 - 1)
        expected: Any = fault
        if fault is None:
            length = int.from_bytes(header[2:], "big") if second & 127 > 125 else second & 127
            flags = [bool(first & bit) for bit in (0x80, 0x40, 0x20, 0x10)]
            expected = (*flags, first & 15, masked, length, key, len(header + key))
        try:
            got = backend.parse_header(header + key)
            short = backend.parse_header((header + key)[: at - 1])
        except ProtocolError as error:
            got = (error.code, str(error))
            short = backend.parse_header((header + key)[: at - 1])
        if got != expected or short is not None:
            wrong.append((header.hex(), got, expected, short))
    assert not wrong, wrong[:5]


class TestParseHeader:
    # RFC 6455 §5.7.
    @pytest.mark.parametrize(
        ("data", "opcode", "fin", "length", "mask", "size"),
        [
            ("810548656c6c6f", 1, True, 5, "", 2),
            ("818537fa213d7f9f4d5158", 1, True, 5, "37fa213d", 6),
            ("010348656c", 1, False, 3, "", 2),
            ("80026c6f", 0, True, 2, "", 2),
            ("890548656c6c6f", 9, True, 5, "", 2),
            ("8a8537fa213d7f9f4d5158", 10, True, 5, "37fa213d", 6),
            ("827e0100", 2, True, 256, "", 4),
            ("827f0000000000010000", 2, True, 65536, "", 10),
            ("82ff7fffffffffffffff01020304", 2, True, 2**63 - 1, "01020304", 14),
        ],
    )
    def test_rfc_examples(
        self, impl: Implementation, data: str, opcode: int, fin: bool, length: int, mask: str, size: int
    ) -> None:
        header = impl.parse_header(bytes.fromhex(data))
        key = bytes.fromhex(mask)
        assert header == FrameHeader(fin, False, False, False, Opcode(opcode), bool(key), length, key, size)
        assert type(header) is FrameHeader
        assert [type(value) for value in header] == [bool, bool, bool, bool, Opcode, bool, int, bytes, int]

    def test_reserved_bits_are_reported(self, impl: Implementation) -> None:
        header = impl.parse_header(b"\xf1\x00")
        assert (header.fin, header.rsv1, header.rsv2, header.rsv3) == (True, True, True, True)
        assert impl.parse_header(b"\xa9\x00").rsv2 is True
        assert impl.parse_header(b"\x50\x00").rsv1 is True

    def test_offset(self, impl: Implementation) -> None:
        data = b"xyz\x81\x85\x37\xfa\x21\x3d\x7f"
        assert impl.parse_header(data, 3).size == 6
        assert impl.parse_header(data=data, offset=3).mask == KEY
        for offset in (9, 10, 11, 2**31, 2**63, 10**30):
            assert impl.parse_header(data, offset) is None
        assert impl.parse_header(b"") is None
        assert impl.parse_header(b"", 5) is None

    def test_offset_is_an_index(self, impl: Implementation) -> None:
        class Three:
            def __index__(self) -> int:
                return 3

        assert impl.parse_header(b"xyz\x81\x00", Three()).opcode is Opcode.TEXT
        assert impl.parse_header(b"\x81\x81\x00\x00\x00\x00", True) is not None

    @pytest.mark.parametrize("kind", BUFFERS)
    def test_buffers(self, impl: Implementation, kind: str) -> None:
        assert impl.parse_header(BUFFERS[kind](b"\x81\x85\x37\xfa\x21\x3d\0\0")).mask == KEY

    def test_nothing_is_kept(self, impl: Implementation) -> None:
        buffer = bytearray(b"\x81\x85\x37\xfa\x21\x3d")
        header = impl.parse_header(buffer)
        buffer.clear()  # not exported, and not where the key is
        assert header.mask == KEY

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ("8300", "reserved opcode 0x3 (RFC 6455 §5.2)"),
            ("8f80", "reserved opcode 0xF (RFC 6455 §5.2)"),
            ("0900", "fragmented ping frame (RFC 6455 §5.5)"),
            ("887e", "close frame with a payload over 125 bytes (RFC 6455 §5.5)"),
            ("817e007d", "payload length 125 is not in its shortest form (RFC 6455 §5.2)"),
            ("81ff000000000000ffff", "payload length 65535 is not in its shortest form (RFC 6455 §5.2)"),
            (
                "827f8000000000000000",
                "payload length 9223372036854775808 has its top bit set (RFC 6455 §5.2)",
            ),
            (
                "827fffffffffffffffff",
                "payload length 18446744073709551615 has its top bit set (RFC 6455 §5.2)",
            ),
        ],
    )
    def test_faults(self, impl: Implementation, data: str, message: str) -> None:
        with pytest.raises(ProtocolError) as caught:
            impl.parse_header(b"??" + bytes.fromhex(data), 2)
        assert str(caught.value) == message
        assert caught.value.code == 1002
        assert caught.value.events == []
