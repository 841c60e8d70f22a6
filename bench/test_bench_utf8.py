"""UTF-8: decoding and validating, against ``bytes.decode`` and wsaccel."""

from __future__ import annotations

from typing import Any

import pytest
import texts
from measure import Timed, call_side, size_name
from peers import validators

SIZES = [64, 1024, 16 * 1024, 1024 * 1024]
VALIDATORS = validators()

cases = pytest.mark.parametrize(
    ("kind", "size"),
    [("ascii", size) for size in SIZES] + [(kind, 16 * 1024) for kind in texts.NATURAL if kind != "ascii"],
    ids=lambda value: size_name(value) if isinstance(value, int) else value,
)


def content(kind: str, size: int) -> bytes:
    return texts.natural_text(kind, size).encode()


@cases
def test_wsfast_decode(timed: Timed, backend: Any, kind: str, size: int) -> None:
    data = content(kind, size)
    assert backend.decode_utf8(data) == data.decode()
    side = call_side(f"wsfast {backend.isa}", "decode(data)", {"decode": backend.decode_utf8, "data": data})
    timed(f"decode_utf8, {size_name(size)} {kind}", side, payload_bytes=size)


@cases
def test_wsfast_validate(timed: Timed, backend: Any, kind: str, size: int) -> None:
    data = content(kind, size)
    assert backend.is_utf8(data)
    side = call_side(f"wsfast {backend.isa}", "is_utf8(data)", {"is_utf8": backend.is_utf8, "data": data})
    timed(f"is_utf8, {size_name(size)} {kind}", side, payload_bytes=size)


@cases
@pytest.mark.parametrize("operation", ["decode_utf8", "is_utf8"])
def test_python(timed: Timed, operation: str, kind: str, size: int) -> None:
    """Python's own way to validate is to decode, too."""
    side = call_side("bytes.decode", "data.decode()", {"data": content(kind, size)})
    timed(f"{operation}, {size_name(size)} {kind}", side, payload_bytes=size)


@cases
@pytest.mark.parametrize("peer", VALIDATORS)
def test_peer_validate(timed: Timed, peer: str, kind: str, size: int) -> None:
    version, validate = VALIDATORS[peer]
    data = content(kind, size)
    assert validate(data)[0]
    side = call_side(f"{peer} {version}", "validate(data)", {"validate": validate, "data": data})
    timed(f"is_utf8, {size_name(size)} {kind}", side, payload_bytes=size)
