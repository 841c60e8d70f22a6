"""The command line, in processes of its own."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from commands import call, command, environment

import wsfast
from wsfast.adapters import HOSTS, NOT_ADAPTED
from wsfast.cli.bench import _print_tables

pytestmark = pytest.mark.thread_unsafe(reason="each test has a process, and files, of its own")
# Without its compiled backend wsfast has to be told that it is wanted all the same.
FORCE = ["--force"] if wsfast.backend == "python" else []
PYPY = sys.implementation.name == "pypy"


# ---- The command as such -------------------------------------------------------------------------


def test_version() -> None:
    done = command("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wsfast {wsfast.__version__} ({wsfast.backend}, {wsfast.isa})\n"


@pytest.mark.parametrize("name", [[], ["info"], ["run"], ["bench"], ["connect"], ["serve"], ["load"]])
def test_help(name: list[str]) -> None:
    done = command(*name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {' '.join(['python -m wsfast', *name])} [")


@pytest.mark.parametrize(
    "arguments", [[], ["frobnicate"], ["info", "--frob"], ["run", "--hosts", "socketio", "x"]]
)
def test_wrong_arguments(arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m wsfast")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way")
@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["info", "--json"],
        ["--help"],
        ["run", "--help"],
        ["--version"],
        ["bench", "--quick", "--hosts="],
    ],
    ids=" ".join,
)
def test_nobody_reads(tmp_path: Path, arguments: list[str]) -> None:
    """A pipe whose reader has gone: neither a traceback nor a complaint at the interpreter's end."""
    for name in ("websockets", "aiohttp", "wsproto"):  # for a shorter bench
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('hidden', name={name!r})\n")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "wsfast", *arguments],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=""),  # argparse passes over what fails at once
            stdout=writer,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=120,
        )
    finally:
        os.close(writer)
    assert done.returncode == 1
    if arguments[0] == "bench":
        assert all(re.match("decoding|encoding", line) for line in done.stderr.splitlines())
    else:
        assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_nothing_can_be_written() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "wsfast", "info"],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("python -m wsfast: cannot write to standard output: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["info", "run", "bench"])
@pytest.mark.parametrize(("extension", "isa"), [("yes", ""), ("", "sse9"), ("0", "scalar")])
def test_wrong_environment(name: str, extension: str, isa: str) -> None:
    """The package cannot be imported, so that it is runpy who says so; in one line nevertheless."""
    done = command(name, WSFAST_EXTENSION=extension, WSFAST_ISA=isa)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert (f"WSFAST_ISA={isa} " if isa else f"not {extension!r}") in line


# ---- info ----------------------------------------------------------------------------------------


def test_info() -> None:
    found = json.loads(command("info", "--json").stdout)
    assert found["version"] == wsfast.__version__
    assert found["backend"] == wsfast.backend
    assert found["isa"] == wsfast.isa
    assert found["available_isas"] == list(wsfast.available_isas())
    assert [library["name"] for library in found["libraries"]] == list(HOSTS)
    assert found["not_adapted"] == NOT_ADAPTED
    [library] = [library for library in found["libraries"] if library["name"] == "websockets"]
    done = command("info")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"wsfast {wsfast.__version__}\n")
    if library["version"]:
        assert f"  websockets {library['version']} (supported: 13.0 to 17.4)\n" in done.stdout
        assert "      websockets.protocol.Protocol.receive_data\n" in done.stdout
    else:
        assert "  websockets not installed (supported: 13.0 to 17.4)\n" in done.stdout


def test_info_without_the_extension() -> None:
    found = json.loads(command("info", "--json", WSFAST_EXTENSION="0", WSFAST_ISA="").stdout)
    assert (found["backend"], found["isa"], found["available_isas"]) == ("python", "python", ["python"])
    assert found["no_extension"] == "WSFAST_EXTENSION=0 rules it out"
    assert found["rebuild"] is None
    assert (
        "no C here    WSFAST_ISA=python rules it out"
        in command("info", WSFAST_EXTENSION="", WSFAST_ISA="python").stdout
    )


def test_info_tells_how_to_get_the_extension(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'wsfast._speedups':\n"
        "            raise ModuleNotFoundError('not built', name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = command("info", PYTHONPATH=path, WSFAST_EXTENSION="", WSFAST_ISA="")
    assert "  no C here    this installation does not have it (not built)\n" in done.stdout
    rebuild = "WSFAST_EXTENSION=1 pip install --force-reinstall --no-cache-dir --no-binary wsfast wsfast"
    assert f"  to build it  {rebuild}\n" in done.stdout
    done = command("info", PYTHONPATH=path, WSFAST_EXTENSION="", WSFAST_ISA="sse9")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "WSFAST_ISA=sse9 needs the compiled backend" in done.stderr


# ---- run -----------------------------------------------------------------------------------------

PROGRAM = """\
import json, sys
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv,
    "path": sys.path[0],
    "name": __name__,
    "file": __file__,
    "package": __package__,
    "spec": __spec__ and __spec__.name,
    "cached": globals().get("__cached__", "") is None,
    "main": vars(main) is globals(),
    "names": sorted({*globals()} - {"__annotations__"}),
    "annotations": [*globals().get("__annotations__", [])],
}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PROGRAM)
    (tmp_path / "script").write_text(PROGRAM)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "__main__.py").write_text(PROGRAM)
    (tmp_path / "pkg" / "part.py").write_text(PROGRAM)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "app.py").write_text(PROGRAM)
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
    return tmp_path


@pytest.mark.parametrize(
    "program",
    [
        ["app.py"],
        ["app.py", "-v", "--hosts", "x", "-m", "--help", "a b"],
        ["./app.py", "--"],
        ["sub/app.py", "1"],
        ["-m", "app", "-x"],
        ["-mapp", "-x"],
        ["-m", "pkg", "-m", "x"],
        ["-m", "pkg.part"],
        ["-m", "sub.app"],
    ],
    ids=" ".join,
)
def test_run_is_like_python(folder: Path, program: list[str]) -> None:
    expected = call(*program, cwd=folder)
    done = command("run", *FORCE, *program, cwd=folder)
    assert done.stderr == expected.stderr == ""
    assert json.loads(done.stdout) == json.loads(expected.stdout)


@pytest.mark.parametrize(
    "program",
    [
        ["script", "-v"],
        ["pkg", "1"],
        ["app.pyz", "2"],
        pytest.param(["sub/../pkg"], marks=pytest.mark.skipif(PYPY, reason="PyPy normalizes that path")),
    ],
    ids=" ".join,
)
def test_run_folders_and_archives(folder: Path, program: list[str]) -> None:
    expected = json.loads(call(*program, cwd=folder).stdout)
    found = json.loads(command("run", *FORCE, *program, cwd=folder).stdout)
    assert found == expected


@pytest.mark.parametrize("program", [["-", "a", "-v"], ["-"]], ids=" ".join)
def test_run_standard_input(folder: Path, program: list[str]) -> None:
    source = PROGRAM + "print(repr(sys.stdin.read()))\n"
    expected = call(*program, cwd=folder, stdin=source)
    done = command("run", *FORCE, *program, cwd=folder, stdin=source)
    assert done.stderr == expected.stderr == ""
    assert done.stdout == expected.stdout


CODE = "import sys; print(sys.argv, sys.path[0], __name__, __spec__, __loader__, sorted(globals()))"


@pytest.mark.parametrize("program", [["-c", CODE, "a", "-v"], [f"-c{CODE}", "-m", "x"]], ids=["-c", "-cCODE"])
def test_run_code(folder: Path, program: list[str]) -> None:
    expected = call(*program, cwd=folder)
    done = command("run", *FORCE, *program, cwd=folder)
    assert done.stderr == expected.stderr == ""
    assert done.stdout == expected.stdout


def test_run_after_two_dashes(folder: Path) -> None:
    found = json.loads(command("run", *FORCE, "--", "app.py", "-v", cwd=folder).stdout)
    assert found["argv"] == ["app.py", "-v"]


ENDS = [
    "import sys; sys.exit(3)",
    "import sys; sys.exit('in words')",
    "raise SystemExit",
    "def f():\n    raise KeyError('x')\nf()",
    "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('y') from e",
    "def f(:\n    pass",
    "import nowhere",
    "import atexit\natexit.register(print, 'bye')\nclass C: pass\nimport pickle; pickle.dumps(C())",
    "import threading, time\nvalue = 5\n"
    "threading.Thread(target=lambda: (time.sleep(0.2), print(value, __import__('__main__').value))).start()",
    "import json\njson.loads('{')",
]


@pytest.mark.parametrize("source", ENDS, ids=range(len(ENDS)))
@pytest.mark.parametrize("how", [["app.py"], ["-m", "app"]], ids=["file", "module"])
def test_run_ends_like_python(tmp_path: Path, source: str, how: list[str]) -> None:
    (tmp_path / "app.py").write_text(source + "\n")
    expected = call(*how, cwd=tmp_path)
    done = command("run", *FORCE, *how, cwd=tmp_path)
    assert done.returncode == expected.returncode
    assert done.stdout == expected.stdout
    # 'python -m' shows runpy's frames, which are no help to anybody.
    assert done.stderr == re.sub(r'  File "[^"]*runpy.*\n(    .*\n)*', "", expected.stderr)


@pytest.mark.parametrize("source", ENDS[:7], ids=range(7))
@pytest.mark.parametrize("how", ["-c", "-"])
def test_run_text_ends_like_python(source: str, how: str) -> None:
    program, stdin = (["-c", source], "") if how == "-c" else (["-"], source + "\n")
    expected = call(*program, stdin=stdin)
    done = command("run", *FORCE, *program, stdin=stdin)
    assert done.returncode == expected.returncode
    assert done.stdout == expected.stdout
    # Without the lines of the source, which later versions show and earlier ones do not have.
    assert re.findall(r"^\S.*", done.stderr, re.M) == re.findall(r"^\S.*", expected.stderr, re.M)
    assert "wsfast" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_run_interrupted(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise KeyboardInterrupt\n")
    done = command("run", *FORCE, "app.py", cwd=tmp_path)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.count("File") == 1


@pytest.mark.parametrize(
    "program", [["none.py"], ["-m", "nowhere"], ["-m", "nowhere.at.all"], ["none"]], ids=" ".join
)
def test_run_cannot_start(tmp_path: Path, program: list[str]) -> None:
    expected = call(*program, cwd=tmp_path)
    done = command("run", *FORCE, *program, cwd=tmp_path)
    assert done.returncode == expected.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert ("none" in done.stderr) or ("No module named" in done.stderr)


def test_run_without_a_program() -> None:
    for arguments in (["run"], ["run", "-v"], ["run", "-m"], ["run", "-c"]):
        done = command(*arguments)
        assert done.returncode == 2
        assert done.stderr == (
            "python -m wsfast run: a program, '-m MODULE', '-c CODE' or '-' is missing; see --help\n"
        )


def test_run_installs(tmp_path: Path) -> None:
    version = pytest.importorskip("websockets.version").version
    (tmp_path / "app.py").write_text(
        "import wsfast; print('websockets' in wsfast.installed())\n"
        "import websockets.frames; print(websockets.frames.Frame.serialize.__module__)\n"
    )
    quiet = command("run", *FORCE, "app.py", cwd=tmp_path)
    assert (quiet.stdout, quiet.stderr) == ("True\nwsfast.adapters._websockets_frames\n", "")
    verbose = command("run", *FORCE, "-v", "--hosts", "websockets", "app.py", cwd=tmp_path)
    assert verbose.stdout == quiet.stdout
    assert verbose.stderr == (
        f"wsfast {wsfast.__version__} ({wsfast.backend}, {wsfast.isa}) in websockets {version}\n"
    )


def test_run_with_a_library_too_old(tmp_path: Path) -> None:
    """Named, it is an error; otherwise a warning, and the program runs with the library as it is."""
    (tmp_path / "websockets").mkdir()
    (tmp_path / "websockets" / "__init__.py").write_text("__version__ = '9.1'\n")
    (tmp_path / "app.py").write_text("print('started')\nimport websockets\nprint(websockets.__version__)\n")
    message = (
        "websockets 9.1 is too old, wsfast knows 13.0 to 17.4: pip install --upgrade 'websockets>=13.0'"
        " (force=True tries all the same)"
    )
    if not FORCE:
        done = command("run", "--hosts", "websockets", "app.py", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"python -m wsfast run: {message}\n"
        done = command("run", "app.py", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "started\n9.1\n")
        assert f"AdapterWarning: {message}\n" in done.stderr


def test_run_without_the_extension(tmp_path: Path) -> None:
    """It would not pay, and is not done unasked; the program runs."""
    (tmp_path / "app.py").write_text("import wsfast; print(wsfast.installed())\n")
    done = command("run", "app.py", cwd=tmp_path, WSFAST_EXTENSION="0", WSFAST_ISA="")
    assert (done.returncode, done.stdout) == (0, "()\n")
    assert done.stderr.startswith("python -m wsfast run: wsfast's compiled backend is not in use here")
    done = command(
        "run", "--hosts", "websockets", "app.py", cwd=tmp_path, WSFAST_EXTENSION="0", WSFAST_ISA=""
    )
    assert (done.returncode, done.stdout) == (1, "")


# ---- bench ---------------------------------------------------------------------------------------


def check_figures(figures: dict[str, Any]) -> None:
    assert figures["wsfast"] == wsfast.__version__
    names = set(figures["contenders"])
    assert "wsfast Python" in names
    for entry in figures["decoding"]:
        assert set(entry["seconds"]) == names
        assert all(0 < seconds < 1 for seconds in entry["seconds"].values())
    assert figures["encoding"]
    assert figures["host_failures"] == {}
    assert len(figures["hosts"]) == 6 * len(figures["host_versions"])
    for entry in figures["hosts"]:
        assert len(entry["stock"]) == len(entry["wsfast"]) == 5
        assert all(0 < seconds < 1 for seconds in entry["stock"] + entry["wsfast"])
        assert 0 < entry["least"] <= entry["ratio"] <= entry["most"]


def test_bench(tmp_path: Path) -> None:
    done = command("bench", "--quick", "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("decoding ticker\n")
    assert "\r" not in done.stderr
    assert "Decoding real traffic to messages, microseconds a message" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    check_figures(figures)
    assert ("websockets" in figures["host_versions"]) == ("websockets" in figures["contenders"])
    assert (figures["backend"], figures["isa"]) == (wsfast.backend, wsfast.isa)


def test_bench_cannot_write(tmp_path: Path) -> None:
    """It says so before it measures, and an interrupted run does not cost the figures of the last one."""
    for path in (tmp_path / "nowhere" / "x.json", tmp_path):
        done = command("bench", "--quick", "--json", str(path))
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"python -m wsfast bench: cannot write to {str(path)!r}: ")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="SIGINT is ignored here")
@pytest.mark.parametrize("stage", ["decoding ticker", "websockets, ping-pong 64 B"])
def test_bench_interrupted(tmp_path: Path, stage: str) -> None:
    """Ctrl-C, which a terminal sends to the servers too: one line."""
    if "websockets" in stage:
        pytest.importorskip("websockets")
    figures = tmp_path / "figures.json"
    figures.write_text("of the last time")
    process = subprocess.Popen(
        [sys.executable, "-m", "wsfast", "bench", "--quick", "--json", str(figures)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            if line.rstrip() == stage:
                break
        os.killpg(process.pid, signal.SIGINT)
        start = time.monotonic()
        rest = process.stderr.read().splitlines()
        assert process.stdout.read() == ""
    assert process.returncode == 130
    assert rest == ["python -m wsfast bench: interrupted"]
    assert time.monotonic() - start < 8  # less than a server waits for a peer that does not answer
    assert figures.read_text() == "of the last time"


def terminal_output(figures: dict[str, Any], columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with monkeypatch.context() as patch:
        terminal = Terminal()
        patch.setattr(sys, "stdout", terminal)
        patch.setenv("COLUMNS", str(columns))
        _print_tables(figures)
    return terminal.getvalue().splitlines()


def test_bench_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """They fit the terminal, and columns end below each other."""
    peers = {"websockets": "17.4", "aiohttp": "3.14.5", "wsproto": "1.3.2"}
    names = ["wsfast C (sse4.1)", "wsfast Python", *peers]
    seconds = dict(zip(names, [1.234e-4, 4.567e-2, 5e-3, 1e-4, 2e-2], strict=True))
    entry = {"content": "chat-cyrillic-16k", "bytes": 16384, "direction": "c2s", "seconds": seconds}
    figures: dict[str, Any] = {
        "wsfast": "1",
        "python": "CPython 3",
        "machine": "x",
        "missing": {},
        "busy": None,
        "backend": "c",
        "repeats": 3,
        "contenders": {**dict.fromkeys(names, ""), **peers},
        "decoding": [entry, entry],
        "encoding": [entry],
        "hosts": [
            {
                "program": "websockets",
                "traffic": traffic,
                "bytes": size,
                "compressed": compressed,
                "stock": [1.2345e-5],
                "wsfast": [1.2345e-2],
                "ratio": 1.234,
                "least": 0.1234,
                "most": 12.345,
            }
            for traffic in ("receive", "send", "ping-pong")
            for compressed in (False, True)
            for size in (64, 4096, 1 << 20)
        ],
        "host_versions": {"websockets": {"websockets": "17.4"}},
        "host_failures": {"tornado": "it did not start"},
    }
    wide = terminal_output(figures, 125, monkeypatch)
    assert wide == terminal_output(figures, 300, monkeypatch)
    narrow = terminal_output(figures, 80, monkeypatch)
    assert 80 < max(map(len, wide)) <= 120
    assert max(map(len, narrow)) <= 80
    assert len(narrow) == len(wide) + 2 + 3  # a second line for titles, and one for each row's name
    start = next(i for i, line in enumerate(narrow) if "wsfast C" in line)
    assert narrow[start + 1].split() == ["(sse4.1)", "Python", "17.4", "3.14.5", "1.3.2"]
    assert narrow[start + 2] == "chat-cyrillic-16k, 16 KiB, masked"
    assert len(narrow[start + 3]) >= len(narrow[start + 1].rstrip())


def test_bench_with_nothing_else(tmp_path: Path) -> None:
    """Neither a peer nor the C backend."""
    for name in ("websockets", "aiohttp", "wsproto"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('hidden', name={name!r})\n")
    done = command(
        "bench", "--quick", "--hosts", "", "--json", "-", cwd=tmp_path, WSFAST_EXTENSION="0", WSFAST_ISA=""
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    check_figures(figures)
    assert list(figures["contenders"]) == ["wsfast Python"]
    assert figures["missing"] == dict.fromkeys(["websockets", "aiohttp", "wsproto"], "not installed")


# ---- examples ------------------------------------------------------------------------------------

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not run from a checkout")
@pytest.mark.parametrize("flags", [[], ["--stock"]], ids=["wsfast", "stock"])
def test_example_ticker(flags: list[str]) -> None:
    pytest.importorskip("websockets")
    done = call(str(EXAMPLES / "ticker.py"), "--quotes", "300", "--subscribers", "3", *flags)
    assert done.stderr == ""
    assert done.stdout.startswith("900 quotes to 3 subscribers, ")


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not run from a checkout")
@pytest.mark.parametrize("name", ["echo_codec.py", "chat_server.py"])
def test_example_server(name: str) -> None:
    client = pytest.importorskip("websockets.sync.client")
    path = [str(Path(wsfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    server = subprocess.Popen(
        [sys.executable, "-m", "wsfast", "run", str(EXAMPLES / name), "--port", "0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert server.stdout is not None
        uri = server.stdout.readline().split()[2].rstrip(",")
        with client.connect(uri, open_timeout=20) as connection:
            if name == "chat_server.py":
                assert connection.recv(timeout=20) == "guest 1 came in; 1 here"
                connection.send("Grüße 🎉")
                assert connection.recv(timeout=20) == "guest 1: Grüße 🎉"
            else:
                for message in ["", "Grüße 🎉", b"\xff" * 70_000, "x" * 300_000]:
                    connection.send(message)
                    assert connection.recv(timeout=20) == message
                connection.send(["a", "b", "c"])
                assert connection.recv(timeout=20) == "abc"
                assert connection.ping().wait(20)
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=20)
    assert "Traceback" not in errors
