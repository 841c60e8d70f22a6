"""Masking keys: unpredictable, never used twice, whoever asks (RFC 6455 §5.3, §10.3)."""

from __future__ import annotations

import os
import struct
import threading
from types import ModuleType

import pytest
from conftest import RunPython
from implementations import Implementation


def test_type(backend: Implementation) -> None:
    key = backend.mask_key()
    assert type(key) is bytes
    assert len(key) == 4


def source(
    backend: Implementation | ModuleType, monkeypatch: pytest.MonkeyPatch, takes: int
) -> tuple[list[bytes], list[bytes]]:
    """What os.urandom gave, from an empty pool on, and the keys that were taken meanwhile."""
    given: list[bytes] = []

    def urandom(n: int) -> bytes:
        given.append(bytes((i + i // 251 + len(given)) % 256 for i in range(n)))
        return given[-1]

    backend._forget_keys()
    monkeypatch.setattr(os, "urandom", urandom)
    keys = [backend.mask_key() for _ in range(takes)]
    monkeypatch.undo()
    backend._forget_keys()  # leave no predictable key behind
    return given, keys


def chacha20(key: bytes, blocks: int) -> bytes:
    """The stream of RFC 8439 §2.4, with a nonce of zeros and a counter from 0."""
    constants = struct.unpack("<4I", b"expand 32-byte k")
    stream = b""
    for counter in range(blocks):
        start = [*constants, *struct.unpack("<8I", key), counter, 0, 0, 0]
        x = start[:]
        for quarters in ([(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)],
                         [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]) * 10:  # fmt: skip
            for a, b, c, d in quarters:
                for this, that, target, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    x[this] = (x[this] + x[that]) & 0xFFFFFFFF
                    mixed = x[target] ^ x[this]
                    x[target] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF
        stream += struct.pack("<16I", *((i + j) & 0xFFFFFFFF for i, j in zip(x, start, strict=True)))
    return stream


def test_the_reference() -> None:
    """RFC 8439 §A.1, test vectors 1 and 2."""
    stream = chacha20(bytes(32), 2)
    assert stream[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert stream[64:80].hex() == "9f07e7be5551387a98ba977c732d080d"


def test_the_source_of_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are the bytes of os.urandom, each byte in one key, 4 KiB at a time."""
    given, keys = source(Implementation("python"), monkeypatch, 1024 + 1)
    assert [len(block) for block in given] == [4096, 4096]
    assert sorted(keys[:1024]) == sorted(given[0][i : i + 4] for i in range(0, 4096, 4))


def test_the_source_of_the_extension(compiled: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are a ChaCha20 stream seeded by os.urandom, for one MiB; the end of the stream is its next key."""
    refills = 256
    given, keys = source(compiled, monkeypatch, refills * 1016 + 1)
    assert [len(seed) for seed in given] == [32, 32]
    seed = given[0]
    for refill in (0, 1):
        stream = chacha20(seed, 64)
        mine = keys[refill * 1016 : (refill + 1) * 1016]
        assert sorted(mine) == sorted(stream[i : i + 4] for i in range(0, 4064, 4))
        seed = stream[4064:]
    stream = chacha20(given[1], 64)
    assert keys[-1] in {stream[i : i + 4] for i in range(0, 4064, 4)}


def test_balance(backend: Implementation) -> None:
    """Each of the 32 bits is set in half of 200,000 keys, and each byte value comes as often."""
    n = 200_000
    keys = [backend.mask_key() for _ in range(n)]
    joined = int.from_bytes(b"".join(keys), "big")
    for bit in range(32):
        pattern = int.from_bytes((1 << bit).to_bytes(4, "big") * n, "big")
        ones = bin(joined & pattern).count("1")
        # 8 standard deviations: happens once in 10**15 runs.
        assert abs(ones - n / 2) < 8 * (n / 4) ** 0.5
    data = b"".join(keys)
    for place in range(4):
        counts = [data[place::4].count(value) for value in range(256)]
        chi_square = sum((count - n / 256) ** 2 / (n / 256) for count in counts)
        # 255 degrees of freedom: mean 255, standard deviation 22.6. Once in about 10**12 runs.
        assert 120 < chi_square < 480


def test_repetitions(backend: Implementation) -> None:
    """Random keys repeat as the birthday paradox has it, no more: a pool used twice would show."""
    n = 100_000
    keys = [backend.mask_key() for _ in range(n)]
    # n**2 / 2**33 = 1.2 expected; more than 20 never.
    assert n - len(set(keys)) <= 20
    encoded = [backend.encode_frame(2, b"", mask=True)[2:] for _ in range(n)]
    assert n - len(set(encoded)) <= 20
    assert len(set(keys) & set(encoded)) <= 25  # 2.3 expected


def test_threads(backend: Implementation) -> None:
    keys: list[list[bytes]] = [[] for _ in range(8)]
    barrier = threading.Barrier(len(keys))

    def work(mine: list[bytes]) -> None:
        barrier.wait()
        mine += [backend.mask_key() for _ in range(12_000)]

    threads = [threading.Thread(target=work, args=(mine,)) for mine in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n = sum(map(len, keys))
    assert n == 96_000
    assert n - len({key for mine in keys for key in mine}) <= 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork(backend: Implementation, run_python: RunPython) -> None:
    """A child and its parent do not go on with the same pool."""
    program = """
import os, sys
import wsfast
wsfast.mask_key()
readers = []
for _ in range(3):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"".join(wsfast.mask_key() for _ in range(1500)))
        os._exit(0)
    os.close(writer)
    readers.append(reader)
keys = [b"".join(wsfast.mask_key() for _ in range(1500))]
for reader in readers:
    data = b""
    while part := os.read(reader, 65536):
        data += part
    keys.append(data)
for _ in range(3):
    os.wait()
distinct = {data[i:i + 4] for data in keys for i in range(0, 6000, 4)}
print(wsfast.isa, [len(data) for data in keys], len(distinct))
"""
    isa, *lengths, distinct = run_python(program, WSFAST_ISA=backend.isa).stdout.replace(",", "").split()
    assert isa == backend.isa
    assert lengths == ["[6000", "6000", "6000", "6000]"]
    assert int(distinct) > 6000 - 10


def test_processes(backend: Implementation, run_python: RunPython) -> None:
    """Two processes that start alike have other keys."""
    program = "import wsfast; print(*(wsfast.mask_key().hex() for _ in range(1000)))"
    runs = [run_python(program, WSFAST_ISA=backend.isa, PYTHONHASHSEED="0").stdout.split() for _ in range(2)]
    assert len({*runs[0], *runs[1]}) > 2000 - 10


@pytest.mark.parametrize(
    "value", [b"", b"short", bytes(5000), bytearray(4096), bytearray(32), None, "x" * 32]
)
def test_no_entropy(backend: Implementation, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    """os.urandom is a favourite of test-suites that replace what is random."""
    asked: list[int] = []

    def urandom(n: int) -> object:
        asked.append(n)
        return value

    backend._forget_keys()
    monkeypatch.setattr(os, "urandom", urandom)
    for call in (backend.mask_key, lambda: backend.encode_frame(1, "x", mask=True)):
        with pytest.raises(RuntimeError) as caught:
            call()
        assert str(caught.value) == f"os.urandom({asked[-1]}) did not return {asked[-1]} bytes"
    monkeypatch.undo()
    assert len(backend.mask_key()) == 4
