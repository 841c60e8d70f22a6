"""Whole streams through both decoders, cut in many ways, held to the model (RFC 6455 §5)."""

from __future__ import annotations

import random

import pytest
from implementations import Implementation
from model import Model
from streams import (
    BUFFERS,
    CASES,
    Case,
    bytewise,
    check_types,
    decode,
    expected,
    random_cuts,
    random_stream,
    two_way,
)

from wsfast.errors import ProtocolError
from wsfast.frames import Frame, Opcode


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestStreams:
    def test_cut_anywhere(self, impl: Implementation, case: Case, rng: random.Random) -> None:
        for messages in (False, True):
            outcome = expected(case, messages=messages)
            result = (outcome.results, outcome.fault)
            pieces = [case.stream]
            decoder = impl.decoder(messages, case.role, max_size=case.limit)
            events, fault = decode(decoder, pieces)
            check_types(events)
            assert (events, fault) == result
            for pieces in two_way(case.stream):
                decoder = impl.decoder(messages, case.role, max_size=case.limit)
                assert decode(decoder, pieces) == result, pieces
            for _ in range(20):
                pieces = random_cuts(case.stream, rng)
                decoder = impl.decoder(messages, case.role, max_size=case.limit)
                assert decode(decoder, pieces) == result, pieces

    def test_bytewise(self, impl: Implementation, case: Case) -> None:
        """Each event comes with its last byte, and the fault with the byte that breaks the rule."""
        for messages in (False, True):
            outcome = expected(case, messages=messages)
            decoder = impl.decoder(messages, case.role, max_size=case.limit)
            events = []
            for at, byte in enumerate(bytewise(case.stream), 1):
                try:
                    events += [(at, event) for event in decoder.feed(byte)]
                except ProtocolError as error:
                    assert error.events == []
                    assert ((error.code, str(error)), at) == (outcome.fault, outcome.fault_at)
                    break
            else:
                assert outcome.fault is None
            assert events == outcome.events


@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
@pytest.mark.parametrize("role", ["server", "client"])
def test_random_streams(impl: Implementation, messages: bool, role: str, exhaustive: bool) -> None:
    for seed in range(20_000 if exhaustive else 400):
        rng = random.Random(seed)
        stream = random_stream(rng, mask=role == "server")
        limit = rng.choice([2**20, None, 100, 300])
        outcome = expected(Case(stream, role, limit), messages=messages)
        for pieces in [stream], bytewise(stream), random_cuts(stream, rng):
            decoder = impl.decoder(messages, role, max_size=limit)
            assert decode(decoder, pieces) == (outcome.results, outcome.fault), (seed, pieces)


def test_random_streams_are_of_both_kinds() -> None:
    """The generator would be useless if nearly all its streams failed, or none."""
    outcomes = [
        Model("server", messages=True).run(random_stream(random.Random(seed), mask=True))
        for seed in range(400)
    ]
    faults = [outcome.fault[1].split()[0] for outcome in outcomes if outcome.fault]
    assert 60 < len(faults) < 240
    assert len(set(faults)) >= 6


# Sizes at which a length takes another form, a buffer another size, or a kernel another path.
SIZES = [125, 126, 16383, 16384, 16385, 65535, 65536, 65537, 131072, 200_001]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", ["ascii", "cyrillic", "late emoji", "binary"])
@pytest.mark.parametrize("role", ["server", "client"])
def test_large_messages(impl: Implementation, size: int, text: str, role: str, rng: random.Random) -> None:
    payload = {
        "ascii": b"0123456789abcde\n" * (size // 16 + 1),
        "cyrillic": b"\xd0\xbf" * (size // 2) + b"." * (size % 2),
        "late emoji": b"x" * (size - 4) + "🚀".encode(),
        "binary": rng.randbytes(size),
    }[text][:size]
    opcode = 2 if text == "binary" else 1
    message = payload if text == "binary" else payload.decode()
    key = b"\x12\x34\x56\x78" if role == "server" else False
    frame = impl.encode_frame(opcode, payload, mask=key)
    half = size // 2 + 1
    fragments = (
        impl.encode_frame(opcode, payload[:half], fin=False, mask=key)
        + impl.encode_frame(9, b"now", mask=key)
        + impl.encode_frame(0, payload[half:], mask=key)
    )
    stream = frame + fragments + frame
    result = [message, Frame(Opcode.PING, b"now"), message, message]
    cuts = [len(stream), 65536, 4096, 7777, *(rng.randrange(1, 100_000) for _ in range(3))]
    for cut in cuts:
        decoder = impl.MessageDecoder(role)
        pieces = [stream[i : i + cut] for i in range(0, len(stream), cut)]
        assert decode(decoder, pieces) == (result, None), cut
    for at in {1, 2, 3, 4, 9, 10, 13, 14, 15, 16, len(frame) - 1, len(frame), len(frame) + 3}:
        decoder = impl.MessageDecoder(role)
        assert decode(decoder, [stream[:at], stream[at:]]) == (result, None), at


@pytest.mark.parametrize("kind", [kind for kind in BUFFERS if "dimensions" not in kind])
def test_results_do_not_depend_on_the_type_of_input(impl: Implementation, kind: str) -> None:
    for case in CASES.values():
        outcome = expected(case, messages=True)
        decoder = impl.MessageDecoder(case.role, max_size=case.limit)
        events, fault = decode(decoder, [BUFFERS[kind](case.stream)])
        check_types(events)
        assert (events, fault) == (outcome.results, outcome.fault)


def test_input_of_several_dimensions(impl: Implementation) -> None:
    stream = b"".join(bytes([0x82, 6]) + bytes([n] * 6) for n in range(200))
    for kind in ("two dimensions", "three dimensions"):
        assert impl.MessageDecoder("client").feed(BUFFERS[kind](stream)) == [
            bytes([n] * 6) for n in range(200)
        ]
