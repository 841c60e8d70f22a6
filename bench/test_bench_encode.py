"""From a message to bytes on the wire, masked with a fresh key each, as a client does, and unmasked."""

from __future__ import annotations

from typing import Any

import pytest
import texts
from measure import Side, Timed, call_side, size_name
from peers import encoders

import wsfast

SIZES = [64, 4 * 1024, 64 * 1024]
ENCODERS = encoders()

sizes = pytest.mark.parametrize("size", SIZES, ids=size_name)
masked = pytest.mark.parametrize("mask", [True, False], ids=["masked", "unmasked"])
kinds = pytest.mark.parametrize("kind", ["ascii", "mixed"])


def group(kind: str, size: int, mask: bool) -> str:
    return f"encode {'masked' if mask else 'unmasked'} text, {size_name(size)} {kind}"


def check(side: Side, statement: str, text: str, mask: bool) -> None:
    wire = eval(statement, dict(side.names))
    assert wsfast.MessageDecoder("server" if mask else "client").feed(wire) == [text]


@sizes
@kinds
@masked
def test_wsfast(timed: Timed, backend: Any, kind: str, size: int, mask: bool) -> None:
    text = texts.natural_text(kind, size)
    statement = "encode(1, text, mask=mask)"
    side = call_side(
        f"wsfast {backend.isa}", statement, {"encode": backend.encode_frame, "text": text, "mask": mask}
    )
    check(side, statement, text, mask)
    timed(group(kind, size, mask), side, payload_bytes=size)


@sizes
@kinds
@masked
@pytest.mark.parametrize("peer", ENCODERS)
def test_peer(timed: Timed, peer: str, kind: str, size: int, mask: bool) -> None:
    version, statement, names = ENCODERS[peer]
    text = texts.natural_text(kind, size)
    side = call_side(f"{peer} {version}", statement, {**names, "text": text, "mask": mask})
    check(side, statement, text, mask)
    timed(group(kind, size, mask), side, payload_bytes=size)


def test_wsfast_mask_key(timed: Timed, backend: Any) -> None:
    timed("mask_key", call_side(f"wsfast {backend.isa}", "key()", {"key": backend.mask_key}), payload_bytes=4)


@pytest.mark.parametrize(
    ("name", "statement"),
    [("secrets.token_bytes", "secrets.token_bytes(4)"), ("os.urandom", "os.urandom(4)")],
)
def test_python_mask_key(timed: Timed, name: str, statement: str) -> None:
    """Websockets uses the former, wsproto, tornado and websocket-client the latter."""
    import os
    import secrets

    timed("mask_key", call_side(name, statement, {"secrets": secrets, "os": os}), payload_bytes=4)
