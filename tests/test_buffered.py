"""get_buffer() and buffer_updated(): input without a copy (asyncio.BufferedProtocol)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from implementations import Implementation
from streams import CASES, KEY, TEXTS, Case, expected, frame

from wsfast.errors import ProtocolError


def put(decoder: Any, data: bytes, sizehint: int = -1) -> list[Any]:
    """Hand over all of `data`, as a transport does."""
    events = []
    at = 0
    while True:
        view = decoder.get_buffer(sizehint)
        assert type(view) is memoryview
        assert (view.readonly, view.c_contiguous) == (False, True)
        assert (view.ndim, view.format, view.itemsize) == (1, "B", 1)
        assert len(view) > 0
        n = min(len(view), len(data) - at)
        view[:n] = data[at : at + n]
        at += n
        events += decoder.buffer_updated(n)
        if at == len(data):
            return events


def decode(decoder: Any, pieces: list[bytes]) -> tuple[list[Any], Any]:
    events: list[Any] = []
    for piece in pieces:
        try:
            events += put(decoder, piece)
        except ProtocolError as error:
            return events + error.events, (error.code, str(error))
    return events, None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_streams(impl: Implementation, case: Case) -> None:
    for messages in (False, True):
        outcome = expected(case, messages=messages)
        for size in (1, 2, 5, 13, len(case.stream) or 1):
            pieces = [case.stream[i : i + size] for i in range(0, len(case.stream), size)]
            decoder = impl.decoder(messages, case.role, max_size=case.limit)
            assert decode(decoder, pieces) == (outcome.results, outcome.fault)


PAYLOADS: dict[str, str | bytes] = {
    "ascii": ("x" * 99 + "\n") * 3000,
    "late": "x" * 150_000 + "é" + "x" * 30_000 + "🚀" * 20_000,
    "mixed": TEXTS["mixed"] * 5000,
    "cyrillic": TEXTS["cyrillic"] * 2000,
    "binary": random.Random(1).randbytes(300_000),
}


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("role", ["server", "client"])
def test_large_messages(impl: Implementation, kind: str, role: str, rng: random.Random) -> None:
    message = PAYLOADS[kind]
    opcode = 1 if isinstance(message, str) else 2
    data = message.encode() if isinstance(message, str) else message
    mask = KEY if role == "server" else False
    one = impl.encode_frame(opcode, data, mask=mask)
    middle = len(data) // 2 + 1
    two = (
        impl.encode_frame(opcode, data[:middle], fin=False, mask=mask)
        + impl.encode_frame(10, b"pong", mask=mask)
        + impl.encode_frame(0, data[middle:], mask=mask)
    )
    stream = one + two + one
    for sizes in ([65536], [1 << 20], [10_000], [1 << 18, 1, 100], [1, 17, 5000, 70_000]):
        decoder = impl.MessageDecoder(role)
        events = []
        at = 0
        while at < len(stream):
            view = decoder.get_buffer(rng.choice([-1, 0, 100, 1 << 18]))
            n = min(len(view), rng.choice(sizes), len(stream) - at)
            view[:n] = stream[at : at + n]
            at += n
            events += decoder.buffer_updated(n)
        pong = (10, b"pong", True, False, False, False)
        assert [event for event in events if event != pong] == [message] * 3
        assert len(events) == 4
        frames = impl.FrameDecoder(role)
        assert b"".join(frame.payload for frame in put(frames, stream) if frame.opcode < 3) == data * 3


@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
class TestLoans:
    def test_sizes(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        for sizehint in (-1, 0, 1, 65536, 1 << 17, True):
            assert len(decoder.get_buffer(sizehint)) >= max(65536, sizehint)
        assert len(decoder.get_buffer()) >= 65536
        assert len(decoder.get_buffer(sizehint=100)) >= 65536
        assert len(decoder.get_buffer(2**62)) >= 65536  # a hint is no order

    def test_released_when_it_comes_back(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        calls: list[Callable[[], object]] = [
            lambda: decoder.buffer_updated(0),
            lambda: decoder.feed(b""),
            lambda: decoder.feed(bytearray()),
            lambda: decoder.get_buffer(),
        ]
        for end in calls:
            view = decoder.get_buffer()
            end()
            with pytest.raises(ValueError, match="released"):
                view[0] = 1
        decoder.buffer_updated(0)

    def test_no_loan(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        for _ in range(2):
            with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\) before it$"):
                decoder.buffer_updated(0)
            decoder.get_buffer()
            decoder.buffer_updated(0)
        decoder.get_buffer()
        decoder.feed(b"")
        with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\) before it$"):
            decoder.buffer_updated(5)
        assert len(decoder.feed(b"\x82\x01x")) == 1

    @pytest.mark.parametrize("nbytes", [-1, -(2**40), 1, 2**40])
    def test_nbytes(self, impl: Implementation, messages: bool, nbytes: int) -> None:
        decoder = impl.decoder(messages, "client")
        view = decoder.get_buffer()
        view[:3] = b"\x82\x01x"
        size = len(view)
        wrong = nbytes if nbytes != 1 else size + 1
        with pytest.raises(ValueError) as caught:
            decoder.buffer_updated(wrong)
        assert (
            str(caught.value) == f"nbytes must be between 0 and {size}, the size of the buffer, not {wrong}"
        )
        # Nothing happened: the buffer is still lent.
        assert len(decoder.buffer_updated(3)) == 1

    @pytest.mark.parametrize("nbytes", [2**63, 2**70, -(2**70)])
    def test_nbytes_beyond_all_sizes(self, impl: Implementation, messages: bool, nbytes: int) -> None:
        decoder = impl.decoder(messages, "client")
        size = len(decoder.get_buffer())
        with pytest.raises(ValueError) as caught:
            decoder.buffer_updated(nbytes)
        assert (
            str(caught.value) == f"nbytes must be between 0 and {size}, the size of the buffer, not {nbytes}"
        )

    def test_the_whole_buffer(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client", max_size=None)
        view = decoder.get_buffer()
        size = len(view)
        view[:] = (b"\x82\x01x" * size)[:size]
        assert len(decoder.buffer_updated(size)) == size // 3

    def test_held_views_change_nothing(
        self, impl: Implementation, messages: bool, rng: random.Random
    ) -> None:
        """A borrower may keep a part of the buffer, and write to it: no event may change by that."""
        payload = rng.randbytes(200_000)
        stream = b"\x82\x7f" + len(payload).to_bytes(8, "big") + payload + b"\x82\x03abc"
        for keep_at in range(5):
            decoder = impl.decoder(messages, "client")
            kept = []
            events = []
            at = 0
            loan = 0
            while at < len(stream):
                view = decoder.get_buffer(-1)
                n = min(len(view), len(stream) - at, 50_000)
                view[:n] = stream[at : at + n]
                at += n
                if loan >= keep_at:
                    kept.append(view[1 : len(view)])
                    kept.append(memoryview(view))
                loan += 1
                events += decoder.buffer_updated(n)
            for part in kept:
                part[:] = bytes(len(part))  # alive, and nobody else's
            contents = events if messages else [event.payload for event in events]
            assert contents == [payload, b"abc"]
            for part in kept:
                part[:] = b"\xff" * len(part)
            assert contents == [payload, b"abc"]

    def test_a_held_view_does_not_lead_into_the_next_buffer(
        self, impl: Implementation, messages: bool
    ) -> None:
        decoders = [impl.decoder(messages, "client") for _ in range(3)]
        kept = []
        for decoder in decoders * 3:
            view = decoder.get_buffer()
            view[:3] = b"\x82\x01x"
            kept.append(view[:])
            decoder.buffer_updated(3)
        others = [impl.decoder(messages, "client").get_buffer() for _ in range(12)]
        for view in others:
            view[:4] = b"new!"
        for part in kept:
            part[:4] = b"old?"
        assert all(bytes(view[:4]) == b"new!" for view in others)

    def test_what_was_written_to_a_discarded_buffer_is_not_read(
        self, impl: Implementation, messages: bool
    ) -> None:
        decoder = impl.decoder(messages, "client")
        decoder.get_buffer()[:3] = b"\x83\x00x"
        assert len(decoder.feed(b"\x82\x01a")) == 1
        decoder.get_buffer()[:3] = b"\x83\x00x"
        view = decoder.get_buffer()
        view[:3] = b"\x82\x01b"
        assert len(decoder.buffer_updated(3)) == 1

    def test_feed_between_in_a_large_message(self, impl: Implementation, messages: bool) -> None:
        payload = b"0123456789" * 20_000
        decoder = impl.decoder(messages, "client")
        assert decoder.feed(b"\x82\x7f" + len(payload).to_bytes(8, "big") + payload[:70_000]) == []
        view = decoder.get_buffer()
        view[:100] = b"?" * 100  # lost
        assert decoder.feed(payload[70_000:100_000]) == []
        view = decoder.get_buffer()
        view[:1000] = payload[100_000:101_000]
        assert decoder.buffer_updated(1000) == []
        (event,) = decoder.feed(payload[101_000:])
        assert (event if messages else event.payload) == payload

    def test_the_decoder_may_go_first(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        decoder.feed(b"\x82\x7f" + (100_000).to_bytes(8, "big") + bytes(30_000))
        view = decoder.get_buffer()
        del decoder
        view[:] = b"z" * len(view)
        assert bytes(view[-5:]) == b"zzzzz"

    def test_after_an_error(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        view = decoder.get_buffer()
        view[:5] = b"\x82\x01x\x83\x00"
        with pytest.raises(ProtocolError) as caught:
            decoder.buffer_updated(5)
        assert len(caught.value.events) == 1
        with pytest.raises(ValueError, match="released"):
            view[0] = 1
        with pytest.raises(
            ProtocolError, match=r"^the decoder takes no input after an error: reserved opcode 0x3"
        ):
            decoder.get_buffer()
        with pytest.raises(
            ProtocolError, match=r"^the decoder takes no input after an error: reserved opcode 0x3"
        ):
            decoder.buffer_updated(0)

    def test_nothing_read(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "server")
        for byte in frame(2, b"abc"):
            view = decoder.get_buffer()
            assert decoder.buffer_updated(0) == []
            view = decoder.get_buffer()
            view[0] = byte
            events = decoder.buffer_updated(1)
        assert len(events) == 1


def test_text_fails_fast(impl: Implementation) -> None:
    decoder = impl.MessageDecoder("client")
    view = decoder.get_buffer()
    text = b"x" * 40_000 + b"\xc3(" + b"x" * 100
    wire = b"\x81\x7f" + (1 << 20).to_bytes(8, "big") + text
    view[: len(wire)] = wire
    with pytest.raises(ProtocolError, match=r"byte 0x28 at index 40001 "):
        decoder.buffer_updated(len(wire))
