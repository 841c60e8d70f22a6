"""Memory: what decoding takes is in proportion to what has arrived, whatever a header declares."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from implementations import Implementation
from streams import CASES, KEY, TEXTS, decode, frame

from wsfast.errors import ProtocolError

tracemalloc: Any = pytest.importorskip("tracemalloc", reason="this interpreter does not trace allocations")

pytestmark = pytest.mark.thread_unsafe(reason="what is traced is all that the process allocates")
KIB = 1024
MIB = 1024 * KIB


class Measure:
    peak = 0


@contextmanager
def measured() -> Iterator[Measure]:
    """The most memory that Python's allocators gave out inside, above what they had before."""
    result = Measure()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield result
        result.peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_the_measure() -> None:
    with measured() as memory:
        kept = bytearray(3 * MIB)
        del kept
    assert 3 * MIB <= memory.peak < 3 * MIB + KIB


@pytest.mark.parametrize("opcode", [1, 2], ids=["text", "binary"])
@pytest.mark.parametrize("payload", [b"x", b""], ids=["one byte", "empty"])
def test_many_fragments(impl: Implementation, opcode: int, payload: bytes, exhaustive: bool) -> None:
    """10**6 of one byte: + 4 MB at most. Fewer by default, and less in proportion."""
    n = 1_000_000 if exhaustive else 30_000
    first = frame(opcode, payload, fin=False)
    piece = frame(0, payload, fin=False) * 1000
    last = frame(0, payload)
    decoder = impl.MessageDecoder("server")
    with measured() as memory:
        decoder.feed(first)
        for _ in range(n // 1000):
            decoder.feed(piece)
        (message,) = decoder.feed(last)
    assert len(message) == (n + 2) * len(payload)
    assert memory.peak <= 4 * n * len(payload) + 64 * KIB


def test_cut_code_points(impl: Implementation) -> None:
    """Every fragment ends inside a code point."""
    data = "€".encode() * 20_000
    decoder = impl.MessageDecoder("server")
    with measured() as memory:
        decoder.feed(frame(1, data[:1], fin=False))
        for i in range(1, len(data), 3):
            decoder.feed(frame(0, data[i : i + 3], fin=False))
        decoder.feed(frame(0, b""))
    assert memory.peak <= 2 * len(data) + 64 * KIB


@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("length", [1 << 20, 1 << 40, 2**62, 2**63 - 1])
def test_a_declared_length_takes_no_memory(
    impl: Implementation, messages: bool, opcode: int, length: int
) -> None:
    header = bytes([0x80 + opcode, 0xFF]) + length.to_bytes(8, "big") + bytes(4)
    limit = length if length == 1 << 20 else None
    for sent in (0, 1, 100, 3000):
        decoder = impl.decoder(messages, "server", max_size=limit)
        with measured() as memory:
            decoder.feed(header)
            for _ in range(sent):
                decoder.feed(b"\x37")
        assert memory.peak <= 64 * KIB + 2 * sent + 2 * KIB


@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
def test_a_declared_length_takes_no_memory_in_a_lent_buffer(impl: Implementation, messages: bool) -> None:
    decoder = impl.decoder(messages, "server", max_size=None)
    with measured() as memory:
        decoder.feed(b"\x82\xff" + (2**62).to_bytes(8, "big") + KEY)
        for _ in range(10):
            decoder.get_buffer(-1)[:10] = b"0123456789"
            decoder.buffer_updated(10)
    # The message and the buffer, one of which the other may be.
    assert memory.peak <= 128 * KIB + 4 * KIB


MESSAGES: dict[str, str | bytes] = {
    "ascii": "x" * MIB,
    "cyrillic": "п" * (MIB // 2),
    "cjk": "天" * (MIB // 3),
    "emoji": "🚀" * (MIB // 4),
    "binary": bytes(range(256)) * (MIB // 256),
}


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("read", [1000, 65536, 1 << 18, 2 * MIB])
def test_large_messages(impl: Implementation, kind: str, read: int) -> None:
    message = MESSAGES[kind]
    size = len(message.encode() if isinstance(message, str) else message)
    stream = impl.encode_frame(1 if isinstance(message, str) else 2, message, mask=KEY)
    pieces = [stream[i : i + read] for i in range(0, len(stream), read)]
    decoder = impl.MessageDecoder("server")
    with measured() as memory:
        for piece in pieces:
            events = decoder.feed(piece)
    assert events == [message]
    assert memory.peak <= 2 * size + 64 * KIB + 8 * KIB


def test_a_large_message_through_lent_buffers(impl: Implementation) -> None:
    payload = bytes(range(256)) * (MIB // 256)
    stream = impl.encode_frame(2, payload, mask=KEY)
    decoder = impl.MessageDecoder("server")
    at = 0
    with measured() as memory:
        while at < len(stream):
            with decoder.get_buffer(-1)[:] as view:
                n = min(len(view), len(stream) - at, 65536)
                view[:n] = memoryview(stream)[at : at + n]
            at += n
            events = decoder.buffer_updated(n)
    assert events == [payload]
    assert memory.peak <= 2 * MIB + 64 * KIB + 8 * KIB


def test_an_idle_decoder_is_small(impl: Implementation) -> None:
    wire = frame(1, b"hello") + frame(9)
    with measured() as memory:
        decoders = [impl.MessageDecoder("server") for _ in range(100)]
        for decoder in decoders:
            decoder.feed(wire)
            decoder.get_buffer()[: len(wire)] = wire
            decoder.buffer_updated(len(wire))
        # All at once, too: what comes back is not kept for ever.
        views = [decoder.get_buffer() for decoder in decoders]
        for decoder in decoders:
            decoder.buffer_updated(0)
        del views
        gc.collect()
        idle = tracemalloc.get_traced_memory()[0]
    assert idle <= 100 * 2 * KIB + 64 * KIB * 4 + 8 * KIB  # a few lent buffers are kept for all
    assert memory.peak > 6 * MIB


def test_a_failed_decoder_lets_go(impl: Implementation) -> None:
    with measured() as memory:
        decoder = impl.MessageDecoder("server")
        decoder.feed(frame(2, bytes(100_000), fin=False)[:70_000])
        with pytest.raises(ProtocolError):
            decoder.feed(bytes(70_000))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    assert memory.peak > 70_000
    assert held < 16 * KIB


# ---- Nothing leaks -----------------------------------------------------------------------------------


def attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    with suppress(Exception):  # which one is not what is looked at here
        call(*arguments, **options)


def everything(impl: Implementation) -> None:
    """Every function and both decoders, with good and with bad input."""
    for case in list(CASES.values())[::5]:
        for messages in (False, True):
            decode(impl.decoder(messages, case.role, max_size=case.limit), [case.stream])
            decode(impl.decoder(messages, case.role, max_size=case.limit), [case.stream[:9], case.stream[9:]])
            decoder = impl.decoder(messages, case.role, max_size=case.limit)
            n = min(len(case.stream), 60_000)
            decoder.get_buffer()[:n] = case.stream[:n]
            attempt(decoder.buffer_updated, n)
            attempt(decoder.get_buffer, 5)
            attempt(decoder.get_buffer)
    decoder = impl.MessageDecoder("server")
    decoder.feed(bytearray(b"\x82\xff" + (200_000).to_bytes(8, "big") + KEY + bytes(100_000)))
    decoder.get_buffer()
    held = decoder.get_buffer()[5:]
    decoder.buffer_updated(9)
    del decoder, held
    for inflate in (lambda piece, *_: piece, lambda piece, *_: 1 / 0, lambda piece, *_: None):
        decoder = impl.MessageDecoder("client", inflate=inflate)
        attempt(decoder.feed, b"\xc1\x02ab" * 3)
    validator = impl.Utf8Validator()
    odd = [memoryview(b"abc")[::2], memoryview(bytes(8)).cast("d")]
    for data in (b"ab\xe2", b"\x82\xac", b"\xff", b"", None, *odd):
        attempt(impl.is_utf8, data)
        attempt(impl.decode_utf8, data)
        attempt(validator.feed, data)
        attempt(impl.apply_mask, data, b"1234")
        attempt(impl.apply_mask, b"data", data)
        attempt(impl.apply_mask_into, bytearray(b"abc"), data)
        attempt(impl.apply_mask_into, data, b"1234")
        attempt(impl.parse_header, data)
        attempt(impl.parse_header, b"\x81\x85\x00\x00\x00\x00", data)
        attempt(impl.encode_frame, 1, data, mask=KEY)
        attempt(impl.encode_frame, 1, "x", mask=data)
        attempt(impl.encode_frame, data)
        attempt(impl.FrameDecoder, data)
        attempt(impl.MessageDecoder, "server", max_size=data)
    for text in (*TEXTS.values(), "\ud800", "é\udc00"):
        attempt(impl.encode_frame, 1, text, mask=KEY)
        attempt(impl.decode_utf8, text.encode("utf-8", "surrogatepass"))
    attempt(impl.parse_header, b"\x81\x85\x00\x00\x00\x00")
    attempt(impl.parse_header, b"\x81\x7e\x00\x00\x00\x00")


def test_no_leaks(impl: Implementation) -> None:
    for _ in range(3):
        everything(impl)
    gc.collect()
    tracemalloc.start()
    try:
        everything(impl)
        gc.collect()
        for _ in range(3):  # a leak grows each time; what CPython 3.13t allocates for itself does not
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(10):
                everything(impl)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
            if grown < 2000:
                break
    finally:
        tracemalloc.stop()
    assert grown < 2000  # one object of 50 bytes that is lost in each of several places shows


def test_keys_do_not_leak(impl: Implementation) -> None:
    with measured():
        for _ in range(20_000):
            impl.mask_key()
            impl.encode_frame(2, b"", mask=True)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    assert held < 128 * KIB  # the pool, at most


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is in a reference cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


counts_references = pytest.mark.skipif(
    not hasattr(sys, "getrefcount"), reason="this interpreter does not count references"
)


@counts_references
@pytest.mark.usefixtures("no_collector")
def test_references_of_streams(impl: Implementation) -> None:
    """Errors lead to no cycle that keeps the caller's data."""
    for case in CASES.values():
        for messages in (False, True):
            stream = bytearray(case.stream)
            before = sys.getrefcount(stream)
            decode(impl.decoder(messages, case.role, max_size=case.limit), [stream])
            attempt(impl.parse_header, stream)
            attempt(impl.decode_utf8, stream)
            assert sys.getrefcount(stream) == before, case
            stream.clear()


@counts_references
@pytest.mark.usefixtures("no_collector")
def test_references(impl: Implementation) -> None:
    """Arguments are released, whatever became of the call."""
    data, key, wrong, text = bytearray(b"some data"), bytearray(b"1234"), bytearray(b"123"), "größer" * 3
    kept = [data, key, wrong, text]
    before = [sys.getrefcount(value) for value in kept]
    for _ in range(50):
        impl.apply_mask(data, key)
        impl.apply_mask_into(data, key, 1)
        for mask in (True, False, key, wrong):
            for payload in (data, text):
                attempt(impl.encode_frame, 1, payload, mask=mask)
        attempt(impl.apply_mask, data, wrong)
        attempt(impl.apply_mask_into, data, wrong)
        attempt(impl.apply_mask_into, data, key, -1)
        attempt(impl.apply_mask_into, memoryview(data)[::2], key)
        attempt(impl.apply_mask, memoryview(data)[::2], memoryview(key)[::2])
        attempt(impl.parse_header, data)
        attempt(impl.FrameDecoder("client").feed, data)
        attempt(impl.MessageDecoder("client").feed, data)
        attempt(impl.is_utf8, data)
        attempt(impl.decode_utf8, data)
        attempt(impl.FrameDecoder, text)
    del mask, payload
    assert [sys.getrefcount(value) for value in kept] == before
    data.append(1)
    key.append(1)
    wrong.append(1)
