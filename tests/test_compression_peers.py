"""Every agreement on permessage-deflate, in both roles, with zlib and websockets on the other side."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from deflate_blocks import BACKENDS, TAIL, texts, whole

from wsfast.compression import set_zlib_backend
from wsfast.deflate import Deflate, DeflateParameters


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    module = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    set_zlib_backend(module)
    yield module
    set_zlib_backend(zlib)


class ZlibPeer:
    """The other side of a connection, of nothing but zlib. It sets BFINAL at times."""

    def __init__(self, agreed: DeflateParameters, role: str, rng: random.Random) -> None:
        sending, receiving = ("server", "client") if role == "server" else ("client", "server")
        # zlib cannot make raw streams with 8 bits. What it makes with 9 stays within 256 bytes.
        self.bits = max(9, getattr(agreed, f"{sending}_max_window_bits"))
        self.alone = getattr(agreed, f"{sending}_no_context_takeover")
        self.their_bits = getattr(agreed, f"{receiving}_max_window_bits")
        self.they_alone = getattr(agreed, f"{receiving}_no_context_takeover")
        self.rng = rng
        self.window = b""
        self.renew(b"")
        self.decoder = zlib.decompressobj(-self.their_bits)

    def renew(self, window: bytes) -> None:
        self.packer = zlib.compressobj(wbits=-self.bits, memLevel=5, zdict=window[-(1 << self.bits) :])

    def send(self, parts: list[bytes]) -> list[bytes]:
        if self.alone:
            self.window = b""
            self.renew(b"")
        payloads = []
        for i, part in enumerate(parts, 1):
            self.window += part
            packed = self.packer.compress(part)
            if self.rng.randrange(8):
                packed += self.packer.flush(zlib.Z_SYNC_FLUSH)
            else:
                packed += self.packer.flush(zlib.Z_FINISH)
                self.renew(self.window)
                packed += b"\x00" + TAIL
            if i == len(parts):
                packed = packed[:-4] if packed.endswith(TAIL) else packed + b"\x00"
            payloads.append(packed)
        self.window = self.window[-32768:]
        return payloads

    def receive(self, payloads: list[bytes]) -> bytes:
        if self.they_alone:
            self.decoder = zlib.decompressobj(-self.their_bits)
        out = b"".join(map(self.decoder.decompress, [*payloads, TAIL]))
        assert not self.decoder.eof
        return out


class WebsocketsPeer:
    """The other side of a connection: what the websockets library does with frames."""

    def __init__(self, agreed: DeflateParameters, role: str, rng: random.Random) -> None:
        deflate = import_module("websockets.extensions.permessage_deflate")
        self.frames = import_module("websockets.frames")
        sending, receiving = ("server", "client") if role == "server" else ("client", "server")
        bits = getattr(agreed, f"{sending}_max_window_bits")
        #: It cannot send with 8 bits: it refuses to agree on that, and then only reads here.
        self.sends = bits > 8
        self.extension = deflate.PerMessageDeflate(
            getattr(agreed, f"{receiving}_no_context_takeover"),
            getattr(agreed, f"{sending}_no_context_takeover"),
            getattr(agreed, f"{receiving}_max_window_bits"),
            max(9, bits),
        )

    def frame(self, i: int, of: int, data: bytes) -> Any:
        opcode = self.frames.Opcode.CONT if i else self.frames.Opcode.BINARY
        return self.frames.Frame(opcode, data, fin=i == of - 1)

    def send(self, parts: list[bytes]) -> list[bytes]:
        frames = [self.extension.encode(self.frame(i, len(parts), part)) for i, part in enumerate(parts)]
        return [bytes(frame.data) for frame in frames]

    def receive(self, payloads: list[bytes]) -> bytes:
        frames = [self.frame(i, len(payloads), payload) for i, payload in enumerate(payloads)]
        frames[0].rsv1 = True
        return b"".join(bytes(self.extension.decode(frame).data) for frame in frames)


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("peer", ["zlib", "websockets"])
def test_peers(backend: Any, peer: str, role: str, rng: random.Random, exhaustive: bool) -> None:
    """All agreements: takeover of both sides x windows of both sides; every message comes through."""
    if peer == "websockets":
        pytest.importorskip("websockets.extensions.permessage_deflate", reason="needs websockets")
    agreements = list(itertools.product((False, True), (False, True), range(8, 16), range(8, 16)))
    assert len(agreements) == 256
    count = 1000 if exhaustive else 10
    messages = texts(rng, count)
    options = Deflate(server_max_window_bits=15, client_max_window_bits=15, mem_level=5)
    sent = received = 0
    for agreement in agreements:
        agreed = DeflateParameters(*agreement)
        inflater, deflater = agreed.inflater(role), agreed.deflater(role, options)
        kind: Any = ZlibPeer if peer == "zlib" else WebsocketsPeer
        other = kind(agreed, "server" if role == "client" else "client", rng)
        for i, message in enumerate(messages):
            cut = len(message) // 3
            parts = [message[:cut], message[cut:]] if i % 7 == 3 else [message]
            payloads = [deflater(part, k == len(parts)) for k, part in enumerate(parts, 1)]
            assert other.receive(payloads) == message
            sent += 1
            if getattr(other, "sends", True):
                assert whole(inflater, *other.send(parts)) == message
                received += 1
    assert sent == 256 * count
    # websockets does not send with 8 bits.
    assert received == (224 if peer == "websockets" else 256) * count
