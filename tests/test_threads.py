"""Threads: each decoder for itself, one decoder for all, and functions that let the GIL go."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from implementations import Implementation
from streams import CASES, decode, expected, frame

from wsfast.errors import ProtocolError


def run_all(work: Callable[[int], None], n: int = 4) -> None:
    """Run work(0), ..., work(n - 1) at the same time; raise what one of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(n)

    def guarded(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_decoders_of_their_own(impl: Implementation) -> None:
    def work(number: int) -> None:
        rng = random.Random(number)
        for case in rng.sample(list(CASES.values()), 60):
            outcome = expected(case, messages=True)
            decoder = impl.MessageDecoder(case.role, max_size=case.limit)
            pieces = [case.stream[i : i + 3] for i in range(0, len(case.stream), 3)]
            assert decode(decoder, pieces) == (outcome.results, outcome.fault)

    run_all(work)


def test_large_work(impl: Implementation) -> None:
    """Above some size the compiled module lets other threads run."""
    data = ("größer als alles andere, 天地玄黄 🚀 " * 20_000).encode()
    text = data.decode()
    masked = impl.apply_mask(data, b"abcd")

    def work(number: int) -> None:
        for _ in range(3):
            assert impl.apply_mask(data, b"abcd") == masked
            buffer = bytearray(masked)
            impl.apply_mask_into(buffer, b"abcd")
            assert buffer == data
            assert impl.is_utf8(data)
            assert impl.decode_utf8(data) == text
            frame = impl.encode_frame(1, text, mask=True)
            assert impl.MessageDecoder("server", max_size=None).feed(frame) == [text]

    run_all(work)


def test_a_second_thread_is_refused(backend: Implementation) -> None:
    inside = threading.Event()
    release = threading.Event()

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        inside.set()
        assert release.wait(60)
        return piece

    decoder = backend.MessageDecoder("client", inflate=inflate)
    events: list[Any] = []
    thread = threading.Thread(target=lambda: events.extend(decoder.feed(b"\xc1\x01x\x81\x01y")))
    thread.start()
    try:
        assert inside.wait(60)
        for call in (
            lambda: decoder.feed(b"\x81\x00"),
            decoder.get_buffer,
            lambda: decoder.buffer_updated(0),
        ):
            with pytest.raises(RuntimeError, match=r"^the decoder is in use by another call$"):
                call()
    finally:
        release.set()
        thread.join()
    assert events == ["x", "y"]
    assert decoder.feed(b"\x81\x01z") == ["z"]


def test_one_decoder_for_all(backend: Implementation) -> None:
    """Calls are refused or done, one after the other; nothing is lost, doubled or torn."""
    decoder = backend.MessageDecoder("server")
    wire = frame(1, b"one", fin=False) + frame(0, b" two") + frame(2, b"\xff" * 300)
    counts = [0] * 4

    def work(number: int) -> None:
        while counts[number] < 300:
            try:
                events = decoder.feed(wire)
            except RuntimeError as error:
                assert str(error) == "the decoder is in use by another call"
            else:
                assert events == ["one two", b"\xff" * 300]
                counts[number] += 1

    run_all(work)
    assert counts == [300] * 4


def test_a_decoder_begins_anew_while_others_decode(backend: Implementation) -> None:
    """What is decoded may be torn then, but nothing else is: no message is held twice, or freed twice."""
    decoder = backend.MessageDecoder("server", max_size=None)
    wire = frame(1, b"x" * 40_000)
    pieces = [wire[i : i + 4000] for i in range(0, len(wire), 4000)]

    def work(number: int) -> None:
        for _ in range(20 if number == 1 else 200):
            with suppress(RuntimeError, ProtocolError):
                if number == 0:
                    decoder.__init__("server", max_size=None)
                elif number == 1:
                    gc.collect()
                else:
                    for piece in pieces:
                        decoder.feed(piece)

    run_all(work)
    decoder.__init__("server")
    assert decoder.feed(frame(1, b"x")) == ["x"]


def test_one_validator_for_all(backend: Implementation) -> None:
    validator = backend.Utf8Validator()

    def work(number: int) -> None:
        for _ in range(2000):
            assert validator.feed(b"ascii only") is True
            assert validator.complete is True

    run_all(work)


def test_faults_at_once(impl: Implementation) -> None:
    def work(number: int) -> None:
        for _ in range(300):
            with pytest.raises(ProtocolError, match="byte 0xFF at index 3 "):
                impl.MessageDecoder("client").feed(b"\x81\x04abc\xff")

    run_all(work)
