"""The twin and the compiled module do the same with whatever they get: events, errors, words."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from streams import TEXTS, Inflate, frame

from wsfast import _fallback
from wsfast.errors import ProtocolError


def outcome(call: Any, *arguments: Any, **options: Any) -> Any:
    """What a call returns or raises, with types, in a form that can be compared."""
    try:
        result = call(*arguments, **options)
    except ProtocolError as error:
        return ProtocolError, str(error), error.code, [(type(event), event) for event in error.events]
    except UnicodeError as error:
        return type(error), error.args
    except Exception as error:
        return type(error), str(error)
    if isinstance(result, list):
        return [(type(event), event) for event in result]
    return type(result), result


# Little variety in each part, so that every combination comes up.
payloads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([text.encode() for text in TEXTS.values()]),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(120, 300).map(bytes),
    st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xe8ok", b"\x03\xed", b"\x0f\xa0\xff"]),
)
frames = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3]),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 4, 1]),
    mask=st.sampled_from([True, True, True, False, b"\x01\xff\x80\x00"]),
)
pieces_of_streams = st.lists(st.one_of(frames, frames, frames, st.binary(max_size=6)), max_size=8)
cuts = st.lists(st.integers(0, 400), max_size=8)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def doubled(piece: bytes) -> bytes:
    """As an inflater of some sort; of what is cut at random, what comes out must not depend on the cuts."""
    if b"\0" in piece:
        raise ValueError("there is a zero")
    return b"".join(bytes([byte, byte]) for byte in piece)


class TestDecoders:
    @given(
        parts=pieces_of_streams,
        places=cuts,
        role=st.sampled_from(["server", "server", "client"]),
        max_size=st.sampled_from([None, 1 << 20, 0, 10, 200]),
        extension=st.booleans(),
        messages=st.booleans(),
        lend=st.lists(st.booleans(), min_size=10, max_size=10),
    )
    def test_streams(
        self,
        compiled: ModuleType,
        parts: list[bytes],
        places: list[int],
        role: str,
        max_size: int | None,
        extension: bool,
        messages: bool,
        lend: list[bool],
    ) -> None:
        decoders = []
        for module in (_fallback, compiled):
            if messages:
                inflate = Inflate(doubled) if extension else None
                decoders.append(module.MessageDecoder(role, max_size=max_size, inflate=inflate))
            else:
                decoders.append(module.FrameDecoder(role, max_size=max_size, rsv1=extension, rsv3=extension))
        for piece, lent in zip(cut(b"".join(parts), places), lend, strict=False):
            results = []
            for decoder in decoders:
                if lent:
                    try:
                        view = decoder.get_buffer()
                    except ProtocolError as error:
                        results.append((str(error), error.code))
                        continue
                    n = min(len(piece), len(view))
                    view[:n] = piece[:n]
                    del view
                    results.append(outcome(decoder.buffer_updated, n))
                else:
                    results.append(outcome(decoder.feed, piece))
            assert results[0] == results[1]


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-20, 20),
    st.floats(),
    st.text(max_size=40),
    st.text(st.characters(), max_size=200),
    st.text(st.characters(categories=["Cs", "Ll"]), max_size=40),
    st.binary(max_size=200),
    st.binary(min_size=4, max_size=4),
    st.binary(max_size=40).map(bytearray),
    st.binary(max_size=40).map(lambda data: memoryview(data)[::2]),
    st.integers(0, 5).map(lambda n: memoryview(bytes(4 * n)).cast("f")),
    st.lists(st.integers(), max_size=2),
)
opcodes = st.one_of(st.sampled_from([0, 1, 2, 8, 9, 10]), st.integers(-1, 17), anything)


class TestFunctions:
    @given(opcode=opcodes, payload=anything, fin=anything, rsv1=anything, mask=anything)
    def test_encode_frame(self, compiled: ModuleType, opcode: Any, payload: Any, **options: Any) -> None:
        if options["mask"] is True:
            options["mask"] = b"\x01\x02\x03\x04"
        results = [
            outcome(module.encode_frame, opcode, payload, **options) for module in (_fallback, compiled)
        ]
        assert results[0] == results[1]

    @given(data=anything, mask=anything, offset=anything)
    def test_masking(self, compiled: ModuleType, data: Any, mask: Any, offset: Any) -> None:
        results = []
        for module in (_fallback, compiled):
            buffer = bytearray(data) if isinstance(data, bytes) else data
            results.append(
                [
                    outcome(module.apply_mask, data, mask),
                    outcome(module.apply_mask_into, buffer, mask, offset),
                    outcome(bytes, buffer) if isinstance(buffer, bytearray) else None,
                ]
            )
        assert results[0] == results[1]

    @given(data=anything, offset=st.one_of(st.integers(0, 5), anything))
    def test_reading(self, compiled: ModuleType, data: Any, offset: Any) -> None:
        for name in ("is_utf8", "decode_utf8", "parse_header"):
            results = [outcome(getattr(module, name), data) for module in (_fallback, compiled)]
            assert results[0] == results[1]
        results = [outcome(module.parse_header, data, offset) for module in (_fallback, compiled)]
        assert results[0] == results[1]

    @given(header=st.tuples(st.integers(0, 255), st.integers(0, 255)), rest=st.binary(max_size=12))
    def test_headers(self, compiled: ModuleType, header: tuple[int, int], rest: bytes) -> None:
        results = [outcome(module.parse_header, bytes(header) + rest) for module in (_fallback, compiled)]
        assert results[0] == results[1]

    @given(parts=st.lists(st.one_of(payloads, st.binary(max_size=4)), max_size=6))
    def test_validators(self, compiled: ModuleType, parts: list[bytes]) -> None:
        results = []
        for module in (_fallback, compiled):
            validator = module.Utf8Validator()
            results.append([(validator.feed(part), validator.complete) for part in parts])
        assert results[0] == results[1]

    @given(arguments=st.lists(anything, max_size=2), max_size=anything)
    def test_constructors(self, compiled: ModuleType, arguments: list[Any], max_size: Any) -> None:
        for name in ("FrameDecoder", "MessageDecoder"):
            results = []
            for module in (_fallback, compiled):
                result = outcome(getattr(module, name), *arguments, max_size=max_size)
                # Words about the number of arguments are the interpreter's and Cython's own.
                results.append(result[0] if len(arguments) != 1 else result)
            assert results[0] == results[1] or len(arguments) != 1
            assert results[0] == results[1]
