"""Memory that runs out at any moment: an error, and never a wrong message after it."""

from __future__ import annotations

import sys

import pytest
from conftest import RunPython
from implementations import Implementation

PROGRAM = """
import sys
import _testcapi
import wsfast

payload = {payload}
wire = wsfast.encode_frame({opcode}, payload, mask=False)
refused = delivered = 0
for fails_at in range(1, 60):
    decoder = wsfast.MessageDecoder("client")
    decoder.feed(wire[:100_000])
    view = decoder.get_buffer()
    n = min(len(view), 50_000)
    view[:n] = wire[100_000:100_000 + n]
    held = view[:1] if fails_at % 2 else None  # a slice makes the message move out of its storage
    events = None  # until buffer_updated() has taken the bytes; nothing here may need memory itself
    _testcapi.set_nomemory(fails_at, fails_at + 1)
    try:
        events = decoder.buffer_updated(n)
        decoder.get_buffer()
    except MemoryError:
        pass
    finally:
        _testcapi.remove_mem_hooks()
    taken = 100_000 + (0 if events is None else n)
    try:
        events = [*(events or ()), *decoder.feed(wire[taken:])]
    except wsfast.ProtocolError as exc:
        assert str(exc) == "the decoder takes no input after an error: interrupted by MemoryError", exc
        assert exc.code == 1011
        refused += 1
    else:
        assert events == [payload], (fails_at, len(events))
        delivered += 1
print(refused > 0, delivered > 0)
"""


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [(1, "'x' * 300_000"), (1, "'щ' * 150_000"), (2, "bytes(range(250)) * 1200")],
    ids=["ascii", "cyrillic", "binary"],
)
def test_any_allocation_may_fail(
    backend: Implementation, run_python: RunPython, opcode: int, payload: str
) -> None:
    if sys.implementation.name != "cpython":
        pytest.skip("only CPython can make allocations fail")
    pytest.importorskip("_testcapi", reason="this Python has no _testcapi to make allocations fail with")
    program = PROGRAM.format(opcode=opcode, payload=payload)
    refused, delivered = run_python(program, WSFAST_ISA=backend.isa).stdout.split()
    assert delivered == "True"
    if backend.name != "python":  # the twin's storage survives all of these
        assert refused == "True"
