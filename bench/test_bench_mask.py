"""Masking: wsfast's backends and kernel sets, and the other libraries' functions."""

from __future__ import annotations

import random
from typing import Any

import pytest
from measure import Timed, call_side, size_name
from peers import maskers

SIZES = [16, 64, 128, 1024, 16 * 1024, 1024 * 1024]
MASKERS = maskers()


def content(size: int) -> tuple[bytes, bytes]:
    rng = random.Random(f"mask {size}")
    return rng.randbytes(size), rng.randbytes(4)


@pytest.mark.parametrize("size", SIZES, ids=size_name)
def test_wsfast(timed: Timed, backend: Any, size: int) -> None:
    data, key = content(size)
    side = call_side(
        f"wsfast {backend.isa}",
        "mask(data, key)",
        {"mask": backend.apply_mask, "data": data, "key": key},
    )
    timed(f"apply_mask, {size_name(size)}", side, payload_bytes=size)


@pytest.mark.parametrize("size", SIZES, ids=size_name)
def test_wsfast_in_place(timed: Timed, backend: Any, size: int) -> None:
    data, key = content(size)
    side = call_side(
        f"wsfast {backend.isa}",
        "mask(data, key)",
        {"mask": backend.apply_mask_into, "data": bytearray(data), "key": key},
    )
    timed(f"apply_mask_into, {size_name(size)}", side, payload_bytes=size)


@pytest.mark.parametrize("size", SIZES, ids=size_name)
@pytest.mark.parametrize("peer", MASKERS)
def test_peer(timed: Timed, peer: str, size: int) -> None:
    masker = MASKERS[peer]
    data, key = content(size)
    side = call_side(
        f"{masker.name} {masker.version}",
        masker.call,
        {"mask": masker.mask, "data": masker.data(data), "key": key},
    )
    name = "apply_mask_into" if masker.data is bytearray else "apply_mask"
    timed(f"{name}, {size_name(size)}", side, payload_bytes=size)


@pytest.mark.parametrize("peer", MASKERS)
def test_peers_mask_the_same(peer: str) -> None:
    masker = MASKERS[peer]
    data, key = content(1000)
    target = masker.data(data)
    result = eval(masker.call, {"mask": masker.mask, "data": target, "key": key})
    expected = bytes(byte ^ key[index % 4] for index, byte in enumerate(data))
    assert bytes(target if result is None else result) == expected
