"""Several interpreters in one process, each with a wsfast of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from implementations import compiled_module

import wsfast

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(wsfast.__file__).parents[1])!r})
import wsfast
wire = wsfast.encode_frame(1, "größer €", mask=True) + wsfast.encode_frame(9, b"ping", mask=True)
events = wsfast.MessageDecoder("server").feed(wire)
if events != ["größer €", wsfast.Frame(wsfast.Opcode.PING, b"ping")]:
    raise SystemExit(repr(events))
try:
    wsfast.FrameDecoder("client").feed(b"\\x83\\x00")
except wsfast.ProtocolError as error:
    if error.code != 1002:
        raise
if wsfast.backend != {"c" if compiled_module is not None else "python"!r}:
    raise SystemExit(wsfast.backend)
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters came with Python 3.14")
def test_interpreters() -> None:
    from concurrent import interpreters  # type: ignore[attr-defined,unused-ignore]

    for _ in range(3):
        first, second = interpreters.create(), interpreters.create()
        first.exec(PROGRAM)
        second.exec(PROGRAM)
        first.close()
        second.exec(PROGRAM)  # what the other one left does not matter
        second.close()
    exec(PROGRAM, {})


@pytest.mark.skipif(
    not (3, 12) <= sys.version_info < (3, 14), reason="the private module is that of Python 3.12 and 3.13"
)
def test_private_interpreters() -> None:
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters  # type: ignore[import-not-found,unused-ignore]
    else:
        import _xxsubinterpreters as interpreters  # type: ignore[import-not-found,unused-ignore]

    for _ in range(3):
        interpreter = interpreters.create()
        failure = interpreters.run_string(interpreter, PROGRAM)
        assert failure is None, failure
        interpreters.destroy(interpreter)
    exec(PROGRAM, {})
