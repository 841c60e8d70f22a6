"""Two connections that talk over a socketpair: echo of small texts, and of JSON with permessage-deflate."""

from __future__ import annotations

from typing import Any

import pytest
import texts
from connections import Compression, connection_class, echo_side, ends, wsfast_ends, zlib_modules
from measure import Timed
from peers import installed

PEERS = [name for name in ("websockets", "wsproto") if installed(name)]

in_flight = pytest.mark.parametrize("pipelined", [True, False], ids=["128 in flight", "1 in flight"])
compressions = pytest.mark.parametrize("compression", [Compression(12, 5), Compression(15, 8)], ids=str)


def group(pipelined: bool) -> str:
    return f"echo of 64 B text, {128 if pipelined else 1} in flight"


@in_flight
def test_wsfast(timed: Timed, backend: Any, pipelined: bool) -> None:
    library = wsfast_ends(f"wsfast {backend.isa}", connection_class(backend))
    side = echo_side(library, texts.messages("ascii", 64, 128), pipelined=pipelined)
    timed(group(pipelined), side, payload_bytes=64)


@in_flight
@pytest.mark.parametrize("peer", PEERS)
def test_peer(timed: Timed, peer: str, pipelined: bool) -> None:
    side = echo_side(ends(peer), texts.messages("ascii", 64, 128), pipelined=pipelined)
    timed(group(pipelined), side, payload_bytes=64)


@compressions
@pytest.mark.parametrize("zlib", ["zlib", *zlib_modules()])
def test_wsfast_deflate(timed: Timed, backend: Any, zlib: str, compression: Compression) -> None:
    library = wsfast_ends(
        f"wsfast {backend.isa}, {zlib}", connection_class(backend), zlib_modules().get(zlib)
    )
    side = echo_side(library, texts.documents(16), pipelined=True, compression=compression)
    timed(f"echo of 4 KiB JSON, {compression}", side, payload_bytes=4096)


@compressions
@pytest.mark.parametrize("peer", PEERS)
def test_peer_deflate(timed: Timed, peer: str, compression: Compression) -> None:
    if peer == "wsproto" and compression.mem_level != 8:
        pytest.skip("wsproto's memLevel is that of zlib")
    side = echo_side(ends(peer), texts.documents(16), pipelined=True, compression=compression)
    timed(f"echo of 4 KiB JSON, {compression}", side, payload_bytes=4096)
