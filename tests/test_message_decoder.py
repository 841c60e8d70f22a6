"""What MessageDecoder does beside the rules for frames: order, limits, errors, inflate."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from implementations import Implementation
from model import Fault, judge_close
from streams import KEY, Inflate, close, decode, frame

from wsfast.errors import ProtocolError
from wsfast.frames import Frame, Opcode


# RFC 6455 §5.7, in its order; the first of each pair is unmasked.
@pytest.mark.parametrize(
    ("role", "wire", "events"),
    [
        ("client", "810548656c6c6f", ["Hello"]),
        ("server", "818537fa213d7f9f4d5158", ["Hello"]),
        ("client", "010348656c80026c6f", ["Hello"]),
        ("client", "890548656c6c6f", [Frame(Opcode.PING, b"Hello")]),
        ("server", "8a8537fa213d7f9f4d5158", [Frame(Opcode.PONG, b"Hello")]),
        ("client", "827e0100" + "ab" * 256, [b"\xab" * 256]),
        ("client", "827f0000000000010000" + "cd" * 65536, [b"\xcd" * 65536]),
    ],
)
def test_rfc_examples(impl: Implementation, role: str, wire: str, events: list[Any]) -> None:
    result = impl.MessageDecoder(role).feed(bytes.fromhex(wire))
    assert result == events
    assert [type(event) for event in result] == [type(event) for event in events]


def test_what_was_decoded_before_the_fault_is_not_lost(impl: Implementation) -> None:
    decoder = impl.MessageDecoder("server")
    assert decoder.feed(frame(1, b"earlier")) == ["earlier"]
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(
            frame(1, b"one") + frame(9, b"two") + frame(2, b"three") + frame(1, b"\xff") + frame(1, b"no")
        )
    assert caught.value.events == ["one", Frame(Opcode.PING, b"two"), b"three"]
    assert caught.value.code == 1007


def test_close(impl: Implementation) -> None:
    (event,) = impl.MessageDecoder("client").feed(close(1001, "ciao ü".encode(), mask=False))
    assert (event.close_code, event.close_reason) == (1001, "ciao ü")
    (event,) = impl.MessageDecoder("server").feed(close())
    assert (event.close_code, event.close_reason, event.payload) == (1005, "", b"")


def test_every_close_code(backend: Implementation) -> None:
    for code in range(65536):
        payload = code.to_bytes(2, "big") + b"ok"
        expected: Any = [Frame(Opcode.CLOSE, payload)], None
        try:
            judge_close(payload)
        except Fault as fault:
            expected = [], (fault.code, fault.message)
        assert decode(backend.MessageDecoder("client"), [b"\x88\x04" + payload]) == expected


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b"\x03", 1002, "close frame with a payload of 1 byte (RFC 6455 §5.5.1)"),
        (b"\x03\xed", 1002, "close frame with code 1005 (RFC 6455 §7.4)"),
        (b"\x00\x00", 1002, "close frame with code 0 (RFC 6455 §7.4)"),
        (b"\x03\xe8\xff", 1007, "close reason is not UTF-8: invalid start byte at index 0 (RFC 6455 §5.5.1)"),
        (
            b"\x03\xe8ab\xe2\x82",
            1007,
            "close reason is not UTF-8: unexpected end of data at index 2 (RFC 6455 §5.5.1)",
        ),
    ],
)
def test_close_faults(impl: Implementation, payload: bytes, code: int, message: str) -> None:
    for role, mask in (("server", True), ("client", False)):
        assert decode(impl.MessageDecoder(role), [frame(8, payload, mask=mask)]) == ([], (code, message))
        # A FrameDecoder leaves it to others.
        assert decode(impl.FrameDecoder(role), [frame(8, payload, mask=mask)]) == (
            [(8, payload, True, False, False, False)],
            None,
        )


class TestLimit:
    def test_default(self, impl: Implementation) -> None:
        for decoder in (impl.MessageDecoder("client"), impl.FrameDecoder("client")):
            assert decoder.feed(b"\x82\x7f" + (1 << 20).to_bytes(8, "big")) == []
        for decoder in (impl.MessageDecoder("client"), impl.FrameDecoder("client")):
            assert decode(decoder, [b"\x82\x7f" + ((1 << 20) + 1).to_bytes(8, "big")]) == (
                [],
                (
                    1009,
                    "message too big: a frame of 1048577 bytes exceeds the limit of 1048576 bytes"
                    " (RFC 6455 §10.4)",
                ),
            )

    def test_judged_when_the_header_is_complete(self, impl: Implementation) -> None:
        decoder = impl.MessageDecoder("server", max_size=3)
        assert decoder.feed(b"\x82\x84\x01\x02\x03") == []
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(b"\x04")
        assert caught.value.code == 1009

    def test_a_message_counts_as_a_whole(self, impl: Implementation) -> None:
        stream = frame(1, b"123", fin=False) + frame(9, b"x" * 125) + frame(0, b"456", fin=False)
        decoder = impl.MessageDecoder("server", max_size=6)
        assert decoder.feed(stream + frame(0, b"") + stream) == [
            Frame(Opcode.PING, b"x" * 125),
            "123456",
            Frame(Opcode.PING, b"x" * 125),
        ]
        assert decode(decoder, [frame(0, b"7")]) == (
            [],
            (
                1009,
                "message too big: a frame of 1 bytes after 6 bytes of the same message exceeds the limit"
                " of 6 bytes (RFC 6455 §10.4)",
            ),
        )

    def test_a_frame_counts_alone_for_a_frame_decoder(self, impl: Implementation) -> None:
        decoder = impl.FrameDecoder("client", max_size=3)
        assert len(decoder.feed(b"\x02\x03abc" + b"\x00\x03abc" * 10)) == 11

    def test_control_frames_do_not_count(self, impl: Implementation) -> None:
        for decoder in (impl.MessageDecoder("client", max_size=0), impl.FrameDecoder("client", max_size=0)):
            assert len(decoder.feed(b"\x89\x7d" + bytes(125) + b"\x81\x00")) == 2

    @pytest.mark.parametrize("max_size", [None, 2**63 - 1, 2**64, 2**70])
    def test_none(self, impl: Implementation, max_size: int | None) -> None:
        for decoder in (
            impl.MessageDecoder("client", max_size=max_size),
            impl.FrameDecoder("client", max_size=max_size),
        ):
            assert decoder.feed(b"\x82\x7f" + (2**63 - 1).to_bytes(8, "big") + b"abc") == []

    def test_sums_beyond_63_bits(self, impl: Implementation) -> None:
        decoder = impl.MessageDecoder("client", max_size=None)
        decoder.feed(b"\x02\x03abc")
        assert decode(decoder, [b"\x80\x7f" + (2**63 - 1).to_bytes(8, "big")])[1] == (
            1009,
            "message too big: a frame of 9223372036854775807 bytes after 3 bytes of the same message exceeds"
            " the limit of 9223372036854775807 bytes (RFC 6455 §10.4)",
        )


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


class TestInflate:
    @staticmethod
    def deflated(data: bytes) -> tuple[bytes, Callable[[bytes, bool, int], bytes]]:
        """``data``, compressed, and what inflates it any number of times, in pieces."""
        stream = zlib.decompressobj(wbits=-15)

        def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
            nonlocal stream
            assert type(piece) is bytes
            out = stream.decompress(stream.unconsumed_tail + piece, max_length)
            if final and len(out) < max_length:
                stream = zlib.decompressobj(wbits=-15)
            return out

        return deflated(data), inflate

    def test_messages(self, impl: Implementation) -> None:
        text = "größer " * 30
        packed, inflate = self.deflated(text.encode())
        for cut in range(0, len(packed) + 1, 3):
            stream = (
                frame(1, packed[:cut], fin=False, rsv=4)
                + frame(9, b"between")
                + frame(0, packed[cut:])
                + frame(1, b"plain")
                + frame(2, packed, rsv=4)
                + frame(1, packed, rsv=4)
            )
            for size in (len(stream), 7, 1):
                decoder = impl.MessageDecoder("server", inflate=inflate)
                pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
                events, fault = decode(decoder, pieces)
                assert (events, fault) == (
                    [Frame(Opcode.PING, b"between"), text, "plain", text.encode(), text],
                    None,
                )

    @pytest.mark.parametrize("max_size", [None, 2**70, 65537, 65536, 65535, 100, 2])
    def test_arguments(self, impl: Implementation, max_size: int | None) -> None:
        inflate = Inflate()
        decoder = impl.MessageDecoder("client", max_size=max_size, inflate=inflate)
        stream = b"\xc1\x02ab\x42\x01c\x00\x00\x80\x01d\xc2\x00\x42\x00\x80\x00"
        assert decoder.feed(stream) == ["ab", b"cd", b"", b""]

        def most(used: int) -> int:
            return min(65536, 2**70 if max_size is None else max_size - used + 1)

        assert inflate.calls == [
            (b"ab", True, most(0)),
            (b"c", False, most(0)),
            (b"d", True, most(1)),
            (b"", True, most(0)),
            (b"", True, most(0)),
        ]

    def test_more_than_fits_at_once(self, impl: Implementation) -> None:
        """Results of just max_length bytes are asked to go on."""
        for kind, whole in ((1, "ab" * 100_000), (2, b"ab" * 100_000)):
            inflate = Inflate(lambda piece: piece * 100_000)
            decoder = impl.MessageDecoder("client", inflate=inflate)
            assert decoder.feed(bytes([0xC0 | kind, 2]) + b"ab" + b"\x81\x01x") == [whole, "x"]
            assert inflate.calls == [
                (b"ab", True, 65536),
                (b"", True, 65536),
                (b"", True, 65536),
                (b"", True, 65536),
            ]
        inflate = Inflate(lambda piece: piece * 32768)
        decoder = impl.MessageDecoder("client", inflate=inflate)
        assert decoder.feed(b"\xc2\x02ab") == [b"ab" * 32768]
        assert inflate.calls == [(b"ab", True, 65536), (b"", True, 65536)]

    def test_pieces(self, impl: Implementation, rng: random.Random) -> None:
        """Payloads are inflated as they arrive, by 16 KiB."""
        payload = rng.randbytes(40_000)
        for mask in (KEY, False):
            inflate = Inflate()
            decoder = impl.MessageDecoder("server" if mask else "client", inflate=inflate)
            stream = frame(2, payload, rsv=4, mask=mask)
            assert decoder.feed(stream) == [payload]
            assert [(len(piece), final) for piece, final, _ in inflate.calls] == [
                (16384, False),
                (16384, False),
                (40_000 - 32768, True),
            ]
            inflate.calls.clear()
            assert decode(decoder, [stream[:100], stream[100:]]) == ([payload], None)
            assert not inflate.calls[0][1]
            assert b"".join(piece for piece, *_ in inflate.calls) == payload

    def test_too_much_at_once(self, impl: Implementation) -> None:
        decoder = impl.MessageDecoder("client", max_size=2, inflate=lambda piece, *_: b"abcd")
        with pytest.raises(ValueError, match=r"^inflated message must be at most 3 bytes at a time, not 4$"):
            decoder.feed(b"\xc1\x00")
        with pytest.raises(ProtocolError, match="interrupted by ValueError"):
            decoder.feed(b"")

    def test_size_of_compressed_frames(self, impl: Implementation) -> None:
        """They may be a little longer than the limit, for what they inflate to may be shorter."""
        for size in (100, 101, 1149):
            stream = frame(2, bytes(size), rsv=4)
            for pieces in ([stream], [stream[:7], stream[7:20], stream[20:]]):
                decoder = impl.MessageDecoder(
                    "server",
                    max_size=100,
                    inflate=Inflate(lambda piece: piece[:1] if len(piece) > 60 else b""),
                )
                assert decode(decoder, pieces) == ([b"\0"], None)
        refusal = "message too big: a frame of 1150 bytes exceeds the limit of 100 bytes (RFC 6455 §10.4)"
        for wire in (b"\xc2\x7e\x04\x7e", b"\x42\x00\x80\x7e\x04\x7e"):
            decoder = impl.MessageDecoder("client", max_size=100, inflate=Inflate())
            assert decode(decoder, [wire]) == ([], (1009, refusal))
        decoder = impl.MessageDecoder("client", max_size=100, inflate=Inflate())
        assert decode(decoder, [b"\x82\x65"])[1] == (
            1009,
            "message too big: a frame of 101 bytes exceeds the limit of 100 bytes (RFC 6455 §10.4)",
        )

    def test_without_it_rsv1_is_a_fault(self, impl: Implementation) -> None:
        for options in ({}, {"inflate": None}):
            assert decode(impl.MessageDecoder("client", **options), [b"\xc1\x00"]) == (
                [],
                (1002, "RSV1 set, but no extension defines it (RFC 6455 §5.2)"),
            )

    @pytest.mark.parametrize(
        ("wire", "message"),
        [
            (b"\xc9\x00", "RSV1 set on a ping frame (RFC 7692 §6.1)"),
            (b"\xe1\x00", "RSV2 set, but no extension defines it (RFC 6455 §5.2)"),
            (b"\xc0\x00", "continuation frame without a message to continue (RFC 6455 §5.4)"),
            (b"\x41\x00\xc0\x00", "RSV1 set on a continuation frame (RFC 7692 §6.1)"),
            (b"\x01\x00\xc0\x00", "RSV1 set on a continuation frame (RFC 7692 §6.1)"),
        ],
    )
    def test_where_rsv1_may_not_be(self, impl: Implementation, wire: bytes, message: str) -> None:
        decoder = impl.MessageDecoder("client", inflate=Inflate())
        assert decode(decoder, [wire]) == ([], (1002, message))

    def test_compressed_bytes_are_not_text(self, impl: Implementation) -> None:
        """They are not judged, and what comes out is, as it does."""
        decoder = impl.MessageDecoder(
            "client", inflate=Inflate(lambda piece: bytes(byte ^ 0xFF for byte in piece))
        )
        assert decode(decoder, [b"\x41\x02\x9e\xff", b"\x80\x01\x9d"]) == (["a\0b"], None)
        assert decode(decoder, [b"\xc1\x03\x9e\x00\x9e"]) == (
            [],
            (1007, "text message is not UTF-8: byte 0xFF at index 1 (RFC 6455 §8.1)"),
        )
        decoder = impl.MessageDecoder("client", inflate=Inflate())
        assert decode(decoder, [b"\xc1\x7e\x01\x00ab\xe2", b"\x82"]) == ([], None)
        assert decode(decoder, [b"x"])[1] == (
            1007,
            "text message is not UTF-8: byte 0x78 at index 4 (RFC 6455 §8.1)",
        )

    def test_ends_inside_a_code_point(self, impl: Implementation) -> None:
        decoder = impl.MessageDecoder("client", inflate=lambda *_: b"ab\xe2\x82")
        assert decode(decoder, [b"\xc1\x00"]) == (
            [],
            (1007, "text message is not UTF-8: it ends inside a code point, after 4 bytes (RFC 6455 §8.1)"),
        )

    def test_a_text_after_a_compressed_one_is_checked(self, impl: Implementation) -> None:
        decoder = impl.MessageDecoder("client", inflate=lambda piece, final, _: b"x" if final else b"")
        assert decoder.feed(b"\x41\x01\xff\x80\x00\x01\x01\xe2") == ["x"]
        with pytest.raises(ProtocolError, match="byte 0x41 at index 1"):
            decoder.feed(b"\x80\x01A")

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_results(self, impl: Implementation, kind: Any) -> None:
        kept = kind(b"abc")
        decoder = impl.MessageDecoder("client", inflate=lambda *_: kept)
        events = decoder.feed(b"\xc1\x00\xc2\x00")
        assert events == ["abc", b"abc"]
        assert [type(event) for event in events] == [str, bytes]
        if kind is bytearray:
            kept[:] = b"xyz!"
            assert events == ["abc", b"abc"]

    def test_a_result_over_the_limit(self, impl: Implementation) -> None:
        decoder = impl.MessageDecoder("client", max_size=5, inflate=Inflate(lambda piece: piece * 3))
        assert decode(decoder, [b"\xc1\x01a", b"\xc1\x02ab"]) == (
            ["aaa"],
            (
                1009,
                "message too big: it inflates to more than the limit of 5 bytes (RFC 6455 §10.4)",
            ),
        )

    def test_an_exception(self, impl: Implementation) -> None:
        _, inflate = self.deflated(b"")
        decoder = impl.MessageDecoder("client", inflate=inflate)
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(b"\x81\x01x\xc1\x02\xff\xff")
        assert caught.value.code == 1002
        assert str(caught.value) == f"cannot inflate message: {caught.value.__cause__}"
        assert type(caught.value.__cause__) is zlib.error
        assert caught.value.events == ["x"]
        with pytest.raises(ProtocolError, match="takes no input after an error: cannot inflate message: "):
            decoder.feed(b"")

    def test_a_protocol_error(self, impl: Implementation) -> None:
        class Bomb(ProtocolError):
            pass

        raised = Bomb("too much of it", 1009)

        def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
            raise raised

        decoder = impl.MessageDecoder("client", inflate=inflate)
        with pytest.raises(Bomb) as caught:
            decoder.feed(b"\x81\x01x\xc1\x00\x81\x01y")
        assert caught.value is raised
        assert (raised.events, raised.code) == (["x"], 1009)
        with pytest.raises(ProtocolError) as again:
            decoder.feed(b"")
        assert str(again.value) == "the decoder takes no input after an error: too much of it"
        assert again.value.code == 1009

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_an_interruption(self, impl: Implementation, error: type[BaseException]) -> None:
        def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
            raise error

        decoder = impl.MessageDecoder("client", inflate=inflate)
        with pytest.raises(error):
            decoder.feed(b"\xc1\x00")
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(b"")
        assert (
            str(caught.value) == f"the decoder takes no input after an error: interrupted by {error.__name__}"
        )
        assert caught.value.code == 1011

    def test_running_out_of_memory(self, impl: Implementation) -> None:
        """It is not the peer's fault, and not called one."""

        def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
            raise MemoryError("no")

        decoder = impl.MessageDecoder("client", inflate=inflate)
        with pytest.raises(MemoryError, match=r"^no$"):
            decoder.feed(b"\xc1\x00")
        refused = r"^the decoder takes no input after an error: interrupted by MemoryError$"
        with pytest.raises(ProtocolError, match=refused) as caught:
            decoder.feed(b"")
        assert caught.value.code == 1011

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            ("text", "inflated message must be a bytes-like object, not str"),
            (None, "inflated message must be a bytes-like object, not NoneType"),
            (
                memoryview(bytes(8)).cast("I"),
                "inflated message must be a buffer of single bytes, not of 4-byte items"
                " (memoryview(...).cast('B') gives their bytes)",
            ),
        ],
        ids=["str", "None", "ints"],
    )
    def test_not_bytes(self, impl: Implementation, result: Any, message: str) -> None:
        decoder = impl.MessageDecoder("client", inflate=lambda *_: result)
        with pytest.raises(TypeError) as caught:
            decoder.feed(b"\xc1\x00")
        assert str(caught.value) == message
        with pytest.raises(ProtocolError, match="interrupted by TypeError"):
            decoder.feed(b"")

    def test_using_the_decoder_from_within(self, impl: Implementation) -> None:
        def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
            calls: list[Callable[[], object]] = [
                lambda: decoder.feed(b""),
                lambda: decoder.get_buffer(),
                lambda: decoder.buffer_updated(0),
            ]
            for call in calls:
                with pytest.raises(RuntimeError, match=r"^the decoder is in use by another call$"):
                    call()
            with pytest.raises(TypeError):
                decoder.feed("x")
            assert decoder.role == "client"
            return b"fine"

        decoder = impl.MessageDecoder("client", inflate=inflate)
        assert decoder.feed(b"\xc1\x00\x81\x01x") == ["fine", "x"]
        assert decoder.feed(b"\xc1\x00") == ["fine"]


def test_key_phase_across_pieces(impl: Implementation) -> None:
    payload = bytes(range(256))
    stream = frame(2, payload, mask=b"\x10\x20\x30\x40")
    for first in range(1, 9):
        for second in range(1, 9):
            decoder = impl.MessageDecoder("server")
            start = 8 + first
            pieces = [stream[:start], stream[start : start + second], stream[start + second :]]
            assert decode(decoder, pieces) == ([payload], None)


def test_nothing_that_was_returned_ever_changes(impl: Implementation) -> None:
    decoder = impl.MessageDecoder("server")
    events: list[Any] = []
    expected: list[Any] = []
    for n in range(2000):
        text = f"message {n} €"
        wire = frame(1, text.encode()[:-1], fin=False) + frame(0, b"\xac") + frame(2, text.encode(), mask=KEY)
        cut = n % len(wire)
        events += decoder.feed(wire[:cut])
        events += decoder.feed(bytearray(wire[cut:]))
        expected += [text, text.encode()]
    with pytest.raises(ProtocolError):
        decoder.feed(b"\xff\xff")
    del decoder
    assert events == expected
