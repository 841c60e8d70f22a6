"""Inflater and Deflater against the letter of RFC 7692 §7.2, plain zlib, and websockets."""

from __future__ import annotations

import itertools
import random
import types
import zlib
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from deflate_blocks import BACKENDS, MIB, TAIL, Blocks, inflate, texts, whole

from wsfast import ProtocolError, compression
from wsfast.compression import Deflater, Inflater, set_zlib_backend, zlib_backend
from wsfast.deflate import Deflate, DeflateParameters


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    module = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    set_zlib_backend(module)
    yield module
    set_zlib_backend(zlib)


def test_the_test_itself() -> None:
    data = bytes(range(256)) * 3 + b"abcabcabc" * 99
    for level in (0, 1, 9):
        packer = zlib.compressobj(level, wbits=-15)
        packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert inflate(packed)[0] == data
    made = Blocks().fixed(b"Hello", (258, 5), (3, 1)).stored(b"xyz").fixed((4, 265), final=True)
    assert zlib.decompress(made.raw(), -15) == inflate(made.raw())[0]
    assert Blocks().fixed(b"Hello").payload().hex() == "f248cdc9c90700"
    assert Blocks().fixed(b"Hello", final=True).payload().hex() == "f348cdc9c9070000"


# ---- What comes in (RFC 7692 §7.2.2) --------------------------------------------------------------------

HELLO = "f248cdc9c90700"
FINAL_HELLO = "f348cdc9c9070000"

#: Messages of one connection with context takeover: payloads in hex, or blocks, and what they say.
MESSAGES: dict[str, list[tuple[bytes, bytes]]] = {
    "7.2.3.1: one block": [(bytes.fromhex(HELLO), b"Hello")],
    "7.2.3.2: sharing the window": [
        (bytes.fromhex(HELLO), b"Hello"),
        (bytes.fromhex("f200110000"), b"Hello"),
        (bytes.fromhex("f200110000"), b"Hello"),
    ],
    "7.2.3.3: a stored block": [(bytes.fromhex("000500faff48656c6c6f00"), b"Hello")] * 2,
    "7.2.3.4: BFINAL": [(bytes.fromhex("f348cdc9c9070000"), b"Hello")] * 3,
    "7.2.3.5: two blocks": [(bytes.fromhex("f24805000000ffffcac9c90700"), b"Hello")] * 2,
    "7.2.3.6: empty": [(b"\x00", b"")] * 3,
    "BFINAL, then none": [
        (bytes.fromhex(FINAL_HELLO), b"Hello"),
        (bytes.fromhex(HELLO), b"Hello"),
        (bytes.fromhex("f200110000"), b"Hello"),
    ],
    "the window outlives BFINAL": [
        (Blocks().fixed(b"Hello", final=True).payload(), b"Hello"),
        (Blocks().fixed((5, 5)).payload(), b"Hello"),
        (Blocks().fixed((5, 10), final=True).payload(), b"Hello"),
        (Blocks().stored(b"+").fixed((15, 16)).payload(), b"+HelloHelloHello"),
    ],
    "BFINAL in the second block, a match before the message": [
        (Blocks().fixed(b"Hello").payload(), b"Hello"),
        (Blocks().stored(b"1").fixed(b"2", final=True).fixed((5, 7), b"!").payload(), b"12Hello!"),
    ],
    "three blocks with BFINAL": [
        (
            Blocks().fixed(b"abc", final=True).stored(b"d", final=True).fixed((4, 4), final=True).payload(),
            b"abcdabcd",
        )
    ]
    * 3,
    "empty blocks with BFINAL": [
        (Blocks().fixed(final=True).stored(final=True).fixed(b"x").fixed(final=True).payload(), b"x")
    ]
    * 2,
    "a message that ends with its block with BFINAL": [
        (Blocks().fixed(b"Hello", final=True).raw(), b"Hello"),
        (Blocks().stored(b"Hello", final=True).raw(), b"Hello"),
        (Blocks().fixed((5, 10)).payload(), b"Hello"),
    ],
    "blocks of all types": [
        (
            Blocks().stored(b"ab").fixed(b"c").stored().fixed().stored(b"d").fixed((4, 4)).payload(),
            b"abcdabcd",
        )
    ]
    * 2,
    "stored blocks of the largest size": [
        (Blocks().stored(bytes(65535)).stored(b"!").payload(), bytes(65535) + b"!")
    ],
    "a window full": [
        (Blocks().stored(b"<" + bytes(32766) + b">").payload(), b"<" + bytes(32766) + b">"),
        (Blocks().fixed((3, 32768), final=True).payload(), b"<\x00\x00"),
        (Blocks().fixed((3, 32768)).payload(), b"\x00\x00\x00"),
    ],
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(backend: Any, name: str) -> None:
    for at_once in (MIB, 7, 5, 1):
        inflater = Inflater(15, False)
        for payload, message in MESSAGES[name]:
            if len(message) > 1000 > 100 * at_once:
                break
            assert whole(inflater, payload, at_once=at_once) == message


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_in_fragments(backend: Any, name: str) -> None:
    for payload, _ in MESSAGES[name]:
        for at in range(min(len(payload), 40) + 1):
            inflater = Inflater(15, False)
            for other, message in MESSAGES[name]:
                pieces = [other[:at], b"", other[at:]]
                assert whole(inflater, *pieces) == message
    inflater = Inflater(15, False)
    for payload, message in MESSAGES[name]:
        pieces = [payload[i : i + 1] for i in range(len(payload))]
        assert whole(inflater, *pieces, b"", at_once=3) == message


@pytest.mark.parametrize(
    "name",
    [n for n in MESSAGES if n.startswith("7.2.3") and "sharing" not in n] + ["three blocks with BFINAL"],
)
def test_messages_without_takeover(backend: Any, name: str) -> None:
    for at_once in (MIB, 5, 1):
        inflater = Inflater(15, True)
        for payload, message in MESSAGES[name] * 2:
            assert whole(inflater, payload, at_once=at_once) == message
            assert inflater._context is None
            assert not inflater._history


NOT_DEFLATE = {
    "reserved type of block": b"\x06\x00",
    "lengths of a stored block": bytes.fromhex("000500050048656c6c6f00"),
    "a match before the start": Blocks().fixed((3, 1)).payload(),
    "a match one byte too far": Blocks().fixed(b"ab", (3, 3)).payload(),
    "plain text": b"Hello",
    "ones": b"\xff" * 8,
    "not compressed": b"not compressed at all",
}


@pytest.mark.parametrize("no_takeover", [False, True])
@pytest.mark.parametrize("name", NOT_DEFLATE)
def test_not_deflate(backend: Any, name: str, no_takeover: bool) -> None:
    inflater = Inflater(15, no_takeover)
    with pytest.raises(
        ProtocolError, match=r"^compressed message is not DEFLATE: .* \(RFC 7692 §7\.2\.2\)$"
    ) as e:
        whole(inflater, NOT_DEFLATE[name])
    assert e.value.code == 1002
    assert e.value.__cause__ is None
    for _ in range(2):
        with pytest.raises(
            ProtocolError, match=r"takes no input after an error: compressed message is not"
        ) as e:
            inflater(bytes.fromhex(HELLO), True, 100)
        assert e.value.code == 1002
    assert inflater._context is None


def test_going_on_behind_somebody_else(backend: Any, rng: random.Random) -> None:
    """A stream that somebody else has begun to decompress goes on with what came out of it last."""
    for size in (10, 1000, 32_768, 50_000):
        history = bytearray(rng.randbytes(size))
        # The second message refers to the first one of this stream, and both to what was before.
        packer = zlib.compressobj(wbits=-15, zdict=history[-32_768:])
        inflater = Inflater(15, False, history)
        kept = bytes(history)
        for data in (kept[-9000:] + b"new", kept[-5000:] + b"newer"):
            packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
            assert whole(inflater, packed[:-4]) == data
        assert history == kept


def test_no_takeover_means_none(backend: Any) -> None:
    """Who agreed to start anew must not refer to an earlier message."""
    inflater = Inflater(15, True)
    assert whole(inflater, bytes.fromhex(HELLO)) == b"Hello"
    with pytest.raises(ProtocolError, match="not DEFLATE"):
        whole(inflater, bytes.fromhex("f200110000"))
    inflater = Inflater(15, True)
    assert whole(inflater, bytes.fromhex(FINAL_HELLO)) == b"Hello"
    with pytest.raises(ProtocolError, match="not DEFLATE"):
        whole(inflater, Blocks().fixed((5, 5)).payload())


def packed_json(n: int) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    text = b"".join(b'{"id": %d, "price": %d.%d, "name": "wsfast"}' % (i, i * 7, i % 97) for i in range(n))
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("payload", [packed_json(40), Blocks().stored(bytes(range(200))).payload()])
def test_cut_short(backend: Any, payload: bytes) -> None:
    """Always found without context takeover, and most often with it: at once, or in the next message."""
    whole(Inflater(15, True), payload)
    # A lone zero byte is a message, the empty one.
    sizes = [size for size in range(len(payload)) if payload[:size] != b"\x00"]
    for size in sizes:
        with pytest.raises(ProtocolError, match="not DEFLATE"):
            whole(Inflater(15, True), payload[:size])
    found = later = 0
    for size in sizes:
        inflater = Inflater(15, False)
        try:
            whole(inflater, payload[:size])
        except ProtocolError:
            found += 1
            continue
        with suppress(ProtocolError):
            for _ in range(3):
                whole(inflater, payload)
            continue
        later += 1
    assert found >= 0.75 * len(sizes)
    assert found + later >= 0.9 * len(sizes)


def test_cut_short_in_a_final_block(backend: Any) -> None:
    payload = Blocks().fixed(b"x").fixed(b"Hello, world", (12, 12), final=True).raw()
    for no_takeover in (False, True):
        assert whole(Inflater(15, no_takeover), payload) == b"xHello, worldHello, world"
        for size in range(len(payload)):
            inflater = Inflater(15, no_takeover)
            with pytest.raises(ProtocolError, match="not DEFLATE"):
                # With takeover, one cut may look like a message that goes on in the next.
                for _ in range(2):
                    whole(inflater, payload[:size])


def test_arguments() -> None:
    inflater = Inflater(15, False)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_length must be 1 or more"):
            inflater(bytes.fromhex(HELLO), True, wrong)
    # Nothing was taken.
    assert whole(inflater, bytes.fromhex(HELLO)) == b"Hello"


def test_other_failures_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        eof = False

        def decompress(self, data: bytes, max_length: int) -> bytes:
            raise MemoryError

    inflater = Inflater(15, False)
    monkeypatch.setattr(Inflater, "_new_context", lambda self: Broken())
    for _ in range(2):
        with pytest.raises((MemoryError, ProtocolError)) as caught:
            inflater(b"abc", True, 100)
    assert str(caught.value) == "the decoder takes no input after an error: interrupted by MemoryError"
    assert isinstance(caught.value, ProtocolError)
    assert caught.value.code == 1011


# ---- Limits -----------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return (packer.compress(bytes(size)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.thread_unsafe(reason="what is traced is all that the process allocates")
@pytest.mark.parametrize("no_takeover", [False, True])
def test_bomb(backend: Any, no_takeover: bool) -> None:
    """No more memory than what is asked for, whatever a piece would give."""
    tracemalloc: Any = pytest.importorskip(
        "tracemalloc", reason="this interpreter does not trace allocations"
    )
    payload = bomb(40 * MIB)
    assert len(payload) < 1 << 16
    inflater = Inflater(15, no_takeover)
    inflater(b"", False, 1)
    step = 1 << 16
    tracemalloc.start()
    try:
        total = 0
        data = payload
        while total < MIB:
            total += len(inflater(data, True, step))
            data = b""
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The piece with the end of a message appended, the output twice while zlib joins it, the window.
    assert peak <= len(payload) + 2 * step + 300_000
    while got := inflater(b"", True, MIB):
        total += len(got)
    assert total == 40 * MIB


def test_limit_is_exact(backend: Any) -> None:
    payload = packed_json(3000)
    assert len(payload) > 16 << 10
    text = zlib.decompressobj(-15).decompress(payload + TAIL)
    for no_takeover in (False, True):
        for most in (len(text) - 1, len(text), len(text) + 1, 1000, 16 << 10, 16385):
            inflater = Inflater(15, no_takeover)
            assert inflater(payload, True, most) == text[:most]
            assert whole(inflater, b"", at_once=MIB) == text[most:] if most <= len(text) else True
            assert whole(inflater, payload) == text


class Counting:
    """zlib, counting the bytes that it is given, and those that it copies of them."""

    def __init__(self) -> None:
        self.bytes = 0

    def decompressobj(self, wbits: int, zdict: bytearray = bytearray()) -> Any:  # noqa: B008 - never changed
        self.bytes += len(zdict) + 50
        return CountingDecompressor(self, zlib.decompressobj(wbits, zdict))


class CountingDecompressor:
    def __init__(self, counting: Counting, decompressor: Any) -> None:
        self.counting = counting
        self.decompressor = decompressor

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out: bytes = self.decompressor.decompress(data, max_length)
        copied = len(self.decompressor.unused_data) + len(self.decompressor.unconsumed_tail)
        self.counting.bytes += len(data) + len(out) + copied + 50
        return out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.decompressor, name)


@pytest.mark.parametrize(
    ("unit", "at_once", "each"),
    [
        (Blocks().fixed(final=True).raw(), MIB, 400),
        (Blocks().fixed(b"x", final=True).raw(), MIB, 33000),
        (Blocks().stored(b"", final=True).raw(), MIB, 400),
        (Blocks().stored(b"").raw(), MIB, 20),
        (Blocks().stored(bytes(100)).raw(), 1, 100 * 1100),
        (Blocks().stored(bytes(100)).raw(), 50, 3 * 1200),
    ],
    ids=["empty final", "final", "final stored", "empty stored", "byte by byte", "50 bytes at once"],
)
def test_linear_work(monkeypatch: pytest.MonkeyPatch, unit: bytes, at_once: int, each: int) -> None:
    """What zlib is given, and copies, is in proportion to the input, whatever ends in it or interrupts it."""
    for size in (10_000, 40_000):
        inflater = Inflater(15, False)
        counting = Counting()
        monkeypatch.setattr(inflater, "_module", counting)
        n = size // len(unit)
        whole(inflater, unit * n + b"\x00", at_once=at_once)
        # Beyond what each unit takes: the first slice of a piece, copied once as it does not end there.
        assert counting.bytes <= n * each + 100_000


# ---- What goes out (RFC 7692 §7.2.1) ----------------------------------------------------------------


def test_known_output() -> None:
    for no_takeover in (False, True):
        deflater = Deflater(15, no_takeover)
        assert deflater(b"") == b"\x00"
        assert deflater(b"Hello").hex() == HELLO
        assert deflater(b"Hello").hex() == (HELLO if no_takeover else "f200110000")
        assert deflater(b"") == b"\x00"
        assert deflater(b"Hel", False).endswith(TAIL)
        assert deflater(b"", False) == b""
        assert deflater(bytearray(b"lo"), False).endswith(TAIL)
        assert deflater(b"", True) == b"\x00"
        assert Deflater(15, no_takeover)(memoryview(b"Hello")).hex() == HELLO


@pytest.mark.parametrize("no_takeover", [False, True])
@pytest.mark.parametrize("bits", range(8, 16))
def test_farthest_match(backend: Any, bits: int, no_takeover: bool, rng: random.Random) -> None:
    """No match is farther back than the window that was agreed upon, at any level: even 256 bytes."""
    highest = compression._current.max_level
    messages = texts(rng, 30, min(1200, 40 << (bits - 8)))
    for level in {None, 0, 1, highest // 2, highest}:
        deflater = Deflater(bits, no_takeover, level, 9 if level else 5)
        window = b""
        farthest = 0
        for message in messages:
            payload = deflater(message)
            out, distance = inflate(payload + TAIL, b"" if no_takeover else window)
            assert out == message
            farthest = max(farthest, distance)
            window = (window + out)[-32768:]
        assert farthest <= (250 if bits == 8 else 1 << bits)
        if level and bits <= 9 and not no_takeover:
            assert farthest > 100, "the test is to come near the limit"


def test_window_of_8_bits_at_its_limit() -> None:
    """Matches as far back as zlib finds them with a window of 512 bytes, for every distance there is."""
    found = set()
    for distance in range(200, 300):
        deflater = Deflater(8, False, 9, 9)
        seed = random.Random(distance).randbytes(distance)
        out, farthest = inflate(deflater(seed + seed[:100]) + TAIL)
        assert out == seed + seed[:100]
        found.add(farthest)
    assert max(found) == 250
    assert 250 <= 256 - 6


def test_fragments(backend: Any, rng: random.Random) -> None:
    """Each part can be read as soon as it is sent."""
    for no_takeover in (False, True):
        for bits in (8, 15):
            deflater, inflater = Deflater(bits, no_takeover), Inflater(bits, no_takeover)
            plain = zlib.decompressobj(-15)
            for _ in range(50):
                parts = texts(rng, rng.randrange(1, 5))
                for i, part in enumerate(parts, 1):
                    payload = deflater(part, i == len(parts))
                    if i < len(parts) and part:
                        assert payload.endswith(TAIL)
                    assert inflater(payload, i == len(parts), MIB) == part
                    assert plain.decompress(payload + (TAIL if i == len(parts) else b"")) == part
                if no_takeover:
                    plain = zlib.decompressobj(-15)
                    assert deflater._context is None


def test_compress_alone(backend: Any, rng: random.Random) -> None:
    deflater, inflater = Deflater(12, False), Inflater(12, False)
    other = Deflater(12, True)
    assert deflater.parameters == other.parameters
    assert hash(deflater.parameters) == hash(other.parameters)
    assert deflater.parameters != Deflater(11, False).parameters
    for message in texts(rng, 60):
        assert whole(inflater, deflater(message)) == message
        alone = deflater.compress_alone(message)
        assert alone == other.compress_alone(message) == other(message)
        # Not sent: nothing has happened.
        assert whole(inflater, deflater(message)) == message
        deflater.forget()
        assert whole(inflater, alone) == message


def test_failure_to_compress_is_forgotten(backend: Any) -> None:
    deflater, inflater = Deflater(15, False), Inflater(15, False)
    assert whole(inflater, deflater(b"Hello" * 10)) == b"Hello" * 10
    with pytest.raises(TypeError):
        deflater("Hello")  # type: ignore[arg-type]
    assert whole(inflater, deflater(b"Hello" * 10)) == b"Hello" * 10


def test_memory_comes_with_the_first_message() -> None:
    agreed = DeflateParameters()
    inflater, deflater = agreed.inflater("server"), agreed.deflater("server", Deflate())
    contexts = [inflater._context, deflater._context]
    deflater(b"")
    contexts.append(deflater._context)
    assert contexts == [None] * 3
    whole(inflater, deflater(b"x"))
    assert None not in (inflater._context, deflater._context)
    # The latest output is kept for a block with BFINAL, no more than a quarter over the window.
    inflater = Inflater(9, False)
    for _ in range(100):
        whole(inflater, Blocks().stored(bytes(100)).payload())
        assert len(inflater._history) <= 640


# ---- Backends -----------------------------------------------------------------------------------------


@pytest.mark.thread_unsafe(reason="set_zlib_backend() is for the whole process")
def test_backends_work_together(rng: random.Random) -> None:
    modules = [import_module(name) for name in BACKENDS if pytest.importorskip(name, reason=f"needs {name}")]
    messages = texts(rng, 150, 3000)
    for ours, theirs in itertools.product(modules, modules):
        for bits, no_takeover in itertools.product((8, 9, 12, 15), (False, True)):
            try:
                set_zlib_backend(ours)
                deflater = Deflater(bits, no_takeover)
                set_zlib_backend(theirs)
                inflater = Inflater(bits, no_takeover)
            finally:
                set_zlib_backend(zlib)
            for message in messages:
                assert whole(inflater, deflater(message)) == message


@pytest.mark.thread_unsafe(reason="set_zlib_backend() is for the whole process")
def test_set_zlib_backend() -> None:
    assert zlib_backend() is zlib
    deflater = Deflater(15, False)
    ours = types.ModuleType("ours")
    ours.__dict__.update(vars(zlib))
    made: list[str] = []

    def compressobj(*args: Any, **kwargs: Any) -> Any:
        made.append("c")
        return zlib.compressobj(*args, **kwargs)

    def decompressobj(*args: Any, **kwargs: Any) -> Any:
        made.append("d")
        return zlib.decompressobj(*args, **kwargs)

    ours.__dict__.update(compressobj=compressobj, decompressobj=decompressobj)
    try:
        set_zlib_backend(ours)
        assert zlib_backend() is ours
        made.clear()
        inflater = Inflater(15, False)
        # Existing objects keep the module that they were made with.
        whole(inflater, deflater(b"Hello"))
        assert made == ["d"]
        Deflater(15, False)(b"Hello")
        assert made == ["d", "c"]
        # Only zlib is known to keep within 256 bytes.
        assert whole(Inflater(8, False), Deflater(8, False)(b"Hello")) == b"Hello"
        assert made == ["d", "c", "d"]
    finally:
        set_zlib_backend(zlib)
    assert zlib_backend() is zlib


def test_unusable_backends() -> None:
    def lame(**replaced: Any) -> types.ModuleType:
        module = types.ModuleType("lame")
        module.__dict__.update({**vars(zlib), "__name__": "lame", **replaced})
        return module

    def no_dictionary(wbits: int) -> Any:
        return zlib.decompressobj(wbits)

    for module, error, match in [
        (
            None,
            TypeError,
            "must be a module like zlib, but NoneType lacks compressobj, decompressobj, Z_SYNC",
        ),
        (random, TypeError, "but random lacks compressobj, decompressobj, Z_SYNC_FLUSH, error"),
        (lame(error=None), TypeError, "but lame lacks error"),
        (lame(error=KeyboardInterrupt), TypeError, "but lame lacks error"),
        (lame(Z_SYNC_FLUSH="2"), TypeError, "but lame lacks Z_SYNC_FLUSH"),
        (lame(Z_SYNC_FLUSH=zlib.Z_FINISH), ValueError, "lame cannot do what zlib does"),
        (lame(decompressobj=no_dictionary), ValueError, "lame cannot do what zlib does: TypeError"),
    ]:
        with pytest.raises(error, match=match):
            set_zlib_backend(module)  # type: ignore[arg-type]
    assert zlib_backend() is zlib


@pytest.mark.thread_unsafe(reason="set_zlib_backend() is for the whole process")
@pytest.mark.parametrize(("name", "highest"), [*zip(BACKENDS, (9, 3, 9), strict=True)])
def test_levels(name: str, highest: int) -> None:
    set_zlib_backend(pytest.importorskip(name, reason=f"{name} is not installed"))
    try:
        for level in range(highest + 1):
            deflater = DeflateParameters().deflater("client", Deflate(level=level))
            assert whole(Inflater(15, False), deflater(b"Hello" * 9)) == b"Hello" * 9
        for level in range(highest + 1, 10):
            with pytest.raises(ValueError, match=rf"^level must be 0 to {highest} with {name}, not {level}$"):
                DeflateParameters().deflater("client", Deflate(level=level))
    finally:
        set_zlib_backend(zlib)
