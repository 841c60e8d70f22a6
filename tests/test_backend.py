"""Which implementation is chosen, and that all of them do the same in a process of their own."""

from __future__ import annotations

import pytest
from conftest import RunPython
from implementations import Implementation, compiled_module, implementation_names

ISAS = [name.removeprefix("c-") for name in implementation_names()]
COMPILED = [isa for isa in ISAS if isa != "python"]
needs_compiled = pytest.mark.skipif(compiled_module is None, reason="the compiled module is not here")

SHOW = "import wsfast; print(wsfast.backend, wsfast.isa, *wsfast.available_isas())"


def test_never(run_python: RunPython) -> None:
    assert run_python(SHOW, WSFAST_EXTENSION="0").stdout.split() == ["python", "python", "python"]
    assert run_python(SHOW, WSFAST_EXTENSION="0", WSFAST_ISA="python").stdout.split()[0] == "python"
    program = "import sys, wsfast; print('wsfast._speedups' in sys.modules)"
    assert run_python(program, WSFAST_EXTENSION="0").stdout == "False\n"


@needs_compiled
@pytest.mark.parametrize("value", [None, "", "1"])
def test_used_if_there(run_python: RunPython, value: str | None) -> None:
    environ = {} if value is None else {"WSFAST_EXTENSION": value}
    assert run_python(SHOW, **environ).stdout.split() == ["c", COMPILED[0], *COMPILED]
    program = "import sys, wsfast; print('wsfast._fallback' in sys.modules)"
    assert run_python(program, **environ).stdout == "False\n"


@pytest.mark.parametrize("isa", ISAS)
def test_forced_isa(run_python: RunPython, isa: str) -> None:
    backend, active, *available = run_python(SHOW, WSFAST_ISA=isa).stdout.split()
    assert (backend, active) == ("python" if isa == "python" else "c", isa)
    assert isa in available


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"WSFAST_EXTENSION": "yes"}, "ImportError: WSFAST_EXTENSION must be 0, 1 or unset, not 'yes'"),
        (
            {"WSFAST_EXTENSION": "1", "WSFAST_ISA": "python"},
            "ImportError: WSFAST_ISA=python contradicts WSFAST_EXTENSION=1",
        ),
        (
            {"WSFAST_EXTENSION": "0", "WSFAST_ISA": "scalar"},
            "ImportError: WSFAST_ISA=scalar needs the compiled backend, which WSFAST_EXTENSION=0 rules out;"
            " available: python",
        ),
        (
            {"WSFAST_EXTENSION": "0", "WSFAST_ISA": "\udcff"},
            "ImportError: WSFAST_ISA=\\udcff needs the compiled backend, which WSFAST_EXTENSION=0 rules out;"
            " available: python",
        ),
    ],
    ids=ascii,
)
def test_refused(run_python: RunPython, environ: dict[str, str], message: str) -> None:
    done = run_python("import wsfast", check=False, **environ)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == message


@needs_compiled
@pytest.mark.parametrize("isa", ["sse9", "AVX2", "scalar,avx2", "é"])
def test_unknown_isa(run_python: RunPython, isa: str) -> None:
    done = run_python("import wsfast", check=False, WSFAST_ISA=isa)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: WSFAST_ISA={isa} is unknown or not supported by this CPU; available:"
        f" {', '.join([*COMPILED, 'python'])}"
    )


# A compiled module that is not there, and one that is broken.
ABSENT = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "wsfast._speedups":
            raise {error}
sys.meta_path.insert(0, Finder())
import wsfast
print(wsfast.backend)
"""


def test_absent(run_python: RunPython) -> None:
    program = ABSENT.format(error="ModuleNotFoundError('not built', name=name)")
    assert run_python(program).stdout == "python\n"
    for variable, value, shown in [
        ("WSFAST_EXTENSION", "1", "1"),
        ("WSFAST_ISA", "scalar", "scalar"),
        ("WSFAST_ISA", "garbage", "garbage"),
        ("WSFAST_ISA", "\udcff", "\\udcff"),
    ]:
        done = run_python(program, check=False, **{variable: value})
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(
            f"ImportError: {variable}={shown} needs the compiled backend, which this installation of wsfast"
            " does not have; available: python. "
        )


@pytest.mark.parametrize("environ", [{"WSFAST_EXTENSION": "yes"}, {"WSFAST_ISA": "sse9"}], ids=str)
def test_errors_name_the_package(run_python: RunPython, environ: dict[str, str]) -> None:
    """As `python -m wsfast` needs it; a module that is missing is another matter."""
    program = """
try:
    import wsfast
except ImportError as exc:
    print(type(exc).__name__, exc.name)
"""
    assert run_python(program, **environ).stdout == "ImportError wsfast\n"


def test_broken(run_python: RunPython) -> None:
    """Present and broken is not absent: that is no time to become slow without a word."""
    for error in ("ImportError('wrong ELF class')", "ModuleNotFoundError('no such thing', name='other')"):
        done = run_python(ABSENT.format(error=error), check=False)
        assert done.returncode == 1
        assert "wrong ELF class" in done.stderr or "no such thing" in done.stderr


# All that a check could be lost in when assertions are off.
CHECKS = """
import wsfast
def message(call, *args, **options):
    try:
        return repr(call(*args, **options))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
def decode(decoder, *pieces):
    def run():
        for piece in pieces:
            events = decoder.feed(piece)
        return events
    return message(run)
print(message(wsfast.apply_mask, b"abc", b"123"))
print(message(wsfast.apply_mask_into, bytearray(5), b"12345"))
print(message(wsfast.apply_mask_into, b"12345", b"1234"))
print(message(wsfast.encode_frame, 9, bytes(126)))
print(message(wsfast.encode_frame, 3))
print(message(wsfast.encode_frame, 1, "\\ud800"))
print(message(wsfast.encode_frame, 1, b"", mask=b"abc"))
print(message(wsfast.parse_header, b"\\x81\\x7e\\0\\1"))
print(message(wsfast.MessageDecoder, "x"))
print(message(wsfast.MessageDecoder, "client", max_size=-1))
for name in "MessageDecoder", "FrameDecoder":
    new = getattr(wsfast, name)
    print(decode(new("server"), b"\\x81\\x00"))
    print(decode(new("client"), b"\\x81\\x80"))
    print(decode(new("client"), b"\\xf1\\x00"))
    print(decode(new("client"), b"\\x80\\x00"))
    print(decode(new("client"), b"\\x09\\x00"))
    print(decode(new("client"), b"\\x89\\x7e"))
    print(decode(new("client"), b"\\x81\\x7f" + b"\\xff" * 8))
    print(decode(new("client", max_size=3), b"\\x81\\x04"))
    print(message(new("client").buffer_updated, 1))
    print(decode(new("client"), None))
print(decode(wsfast.MessageDecoder("client"), b"\\x81\\x01\\xff"))
print(decode(wsfast.MessageDecoder("client"), b"\\x88\\x02\\x03\\xed"))
print(wsfast.is_utf8(b"\\xed\\xa0\\x80"), message(wsfast.decode_utf8, b"\\xff"))
"""


def test_optimized(run_python: RunPython) -> None:
    """`python -O`, in every implementation: not one check less, and the same words."""
    outputs = {
        (isa, flags): run_python(CHECKS, *flags, WSFAST_ISA=isa).stdout
        for isa in ISAS
        for flags in ((), ("-O",), ("-OO",))
    }
    assert len(outputs) == 3 * len(ISAS)
    (output,) = set(outputs.values())
    lines = output.splitlines()
    assert len(lines) == 33
    assert lines[0] == "ValueError: mask must contain 4 bytes, not 3"
    assert lines[-1].startswith("False UnicodeDecodeError: ")
    assert all("Error: " in line for line in lines)


@needs_compiled
def test_select(impl: Implementation) -> None:
    """The tests' own switch: it takes effect, and refuses what is not there."""
    if impl.name == "python":
        return
    assert impl.module.isa == impl.isa
    with pytest.raises(ImportError, match=r"^WSFAST_ISA=sse9 is unknown or not supported by this CPU"):
        impl.module._select("sse9")
    assert impl.module.isa == impl.isa


@pytest.mark.parametrize("isa", ISAS)
def test_import_is_quiet(run_python: RunPython, isa: str) -> None:
    """No warning (they are errors here), no output, and nothing that is slow to import."""
    program = """
import sys
before = set(sys.modules)
import wsfast
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    done = run_python(program, WSFAST_ISA=isa)
    assert done.stderr == ""
    imported = set(done.stdout.split())
    assert not imported & {"asyncio", "ssl", "socket", "logging", "inspect", "dataclasses", "ctypes"}
