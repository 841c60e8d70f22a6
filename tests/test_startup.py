"""WSFAST_INSTALL: what is done when the interpreter starts, and that it is in every kind of installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import wsfast

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[1]
NAME = "wsfast-install.pth"
# In a checkout, or beside an installed package.
PTH = next(
    (
        path
        for path in (Path(wsfast.__file__).with_name(NAME), Path(wsfast.__file__).parents[1] / NAME)
        if path.exists()
    ),
    None,
)
FORCE = "" if wsfast.backend == "c" else ":force"


@pytest.fixture
def start(tmp_path: Path) -> Run:
    """Run a program in an interpreter that reads the file as it would have at its start."""
    assert PTH is not None
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(PTH, site)

    def run(
        program: str, *, path: list[str] | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WSFAST_INSTALL")}
        path = [str(Path(wsfast.__file__).parents[1]), *filter(None, sys.path)] if path is None else path
        # -S: not the file that may be installed already. Twice, as in virtual environments.
        begin = f"import site, sys\nsite.addsitedir({str(site)!r})\nsite.addsitedir({str(site)!r})\n"
        return subprocess.run(
            [sys.executable, "-S", "-W", "error", "-c", begin + program],
            env={**inherited, "PYTHONPATH": os.pathsep.join(path), **environ},
            cwd=tmp_path,  # where no wsfast is
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=True,
        )

    return run


SHOW = """
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("wsfast", "websockets")))
"""


@pytest.mark.parametrize("environ", [{}, {"WSFAST_INSTALL": ""}], ids=["unset", "empty"])
def test_off_by_default(environ: dict[str, str], start: Run) -> None:
    done = start(SHOW, **environ)
    assert (done.stdout, done.stderr) == ("[]\n", "")


PROGRAM = """
print("websockets" in sys.modules, "websocket" in sys.modules)
import wsfast
print(*wsfast.installed())
import websockets.protocol
print(websockets.protocol.Protocol.receive_data.__module__)
print(*wsfast.installed())
wsfast.uninstall()
print(websockets.protocol.Protocol.receive_data.__module__, sys.meta_path)
"""


def test_adapted_when_imported(start: Run) -> None:
    pytest.importorskip("websockets")
    done = start(PROGRAM, WSFAST_INSTALL=f"websockets{FORCE}")
    lines = done.stdout.splitlines()
    assert lines[:4] == ["False False", "websockets", "wsfast.adapters._websockets_frames", "websockets"]
    assert lines[4].startswith("websockets.protocol ")
    assert "wsfast" not in lines[4]
    assert done.stderr == ""


def test_all(start: Run) -> None:
    pytest.importorskip("websockets")
    done = start(PROGRAM, WSFAST_INSTALL=f"all{FORCE}")
    lines = done.stdout.splitlines()
    assert lines[0] == "False False"
    assert set(lines[1].split()) == set(lines[3].split()) == set(wsfast.adapters.HOSTS)
    assert lines[2] == "wsfast.adapters._websockets_frames"
    assert done.stderr == ""


def test_several_and_options(start: Run) -> None:
    value = f" websockets:strict{FORCE} ,, websocket-client{FORCE},wsaccel{FORCE}"
    program = """
import wsfast
print(*sorted(wsfast.installed()))
import wsaccel.xormask
print(wsaccel.xormask.__name__)
try:
    import websockets
except ImportError:
    print(True)
else:
    print(wsfast.adapters._installed["websockets"].strict)
"""
    done = start(program, WSFAST_INSTALL=value)
    assert done.stdout.splitlines() == [
        "websocket-client websockets wsaccel",
        "wsfast.compat.wsaccel.xormask",
        "True",
    ]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (f"socketio,websockets{FORCE}", "there is no adapter for 'socketio'; there is one for: "),
        (f"granian,websockets{FORCE}", "there is no adapter for 'granian': its WebSocket codec is compiled"),
        (f"websockets:fast,websockets{FORCE}", "there is no option 'fast'; there are: strict, force"),
        (f":,websockets{FORCE}", "there is no option ''"),
    ],
)
def test_mistakes_are_one_line_each(value: str, complaint: str, start: Run) -> None:
    done = start("import wsfast; print(*wsfast.installed())", WSFAST_INSTALL=value)
    assert done.stdout == "websockets\n"
    [line] = done.stderr.splitlines()
    assert line.startswith(f"wsfast: WSFAST_INSTALL={value}: {complaint}")


def test_broken_environment(start: Run) -> None:
    done = start("print('goes on')", WSFAST_INSTALL="all", WSFAST_EXTENSION="x")
    assert done.stdout == "goes on\n"
    [line] = done.stderr.splitlines()
    assert line == "wsfast: WSFAST_INSTALL has no effect: WSFAST_EXTENSION must be 0, 1 or unset, not 'x'"


def test_package_is_gone(start: Run, tmp_path: Path) -> None:
    done = start("print('goes on')", path=[str(tmp_path)], WSFAST_INSTALL="all")
    assert done.stdout == "goes on\n"
    assert done.stderr == "wsfast: WSFAST_INSTALL has no effect: No module named 'wsfast'\n"


def test_without_the_compiled_backend(start: Run) -> None:
    done = start(SHOW, WSFAST_INSTALL="websockets", WSFAST_EXTENSION="0", WSFAST_ISA="")
    assert "websockets" not in done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("wsfast: WSFAST_INSTALL=websockets: wsfast's compiled backend is not in use here")


def test_library_that_cannot_be_adapted(start: Run, tmp_path: Path) -> None:
    """It is imported as if wsfast were not there, and also where warnings are errors."""
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "websockets.py").write_text("__version__ = '9.1'\n")
    path = [str(folder), str(Path(wsfast.__file__).parents[1]), *filter(None, sys.path)]
    program = "import websockets; print(websockets.__version__)"
    if wsfast.backend == "c":
        done = start(program, path=path, WSFAST_INSTALL="websockets")
        assert done.stdout == "9.1\n"
        [line] = done.stderr.splitlines()
        assert line.startswith("wsfast: WSFAST_INSTALL=websockets: websockets 9.1 is too old")
    done = start(program, path=path, WSFAST_INSTALL="websockets:force")
    assert done.stdout == "9.1\n"
    [line] = done.stderr.splitlines()
    assert "is not built as wsfast knows it" in line


# ---- Packaging -----------------------------------------------------------------------------------


@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="not in a checkout")
@pytest.mark.parametrize("command", ["bdist_wheel", "editable_wheel"])
def test_in_the_wheel(command: str, tmp_path: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip("setuptools is too old")
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "_speedups.c")
    shutil.copytree(ROOT / "wsfast", source / "wsfast", ignore=ignore)
    shutil.copytree(ROOT / "bench" / "data", source / "bench" / "data")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "setup.py", "-q", command, "--dist-dir", str(tmp_path)],
        cwd=source,
        env={**os.environ, "WSFAST_EXTENSION": "0"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert file.read(NAME) == (ROOT / "wsfast" / NAME).read_bytes()
        [record] = [name for name in file.namelist() if name.endswith("/RECORD")]
        assert any(line.startswith(f"{NAME},") for line in file.read(record).decode().splitlines())
        assert f"wsfast/{NAME}" not in file.namelist()
