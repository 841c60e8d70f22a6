"""The Autobahn TestSuite itself: a Python 2.7 environment for it, its list of cases, and what it reports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

#: The last virtualenv that makes environments of Python 2.7.
VIRTUALENV = "virtualenv==20.21.1"

#: How many cases the suite has.
CASES = 517

#: Grades that are a pass. All others, and their absence, are not.
PASSED = frozenset({"OK", "INFORMATIONAL"})

# The suite would listen on every interface.
WSTEST = """
import functools
from autobahn.twisted import websocket
websocket.listenWS = functools.partial(websocket.listenWS, interface="127.0.0.1")
from autobahntestsuite import wstest
wstest.run()
"""

LIST_CASES = """
import json
from autobahntestsuite import case
print(json.dumps([".".join(c.__name__[len(case.CaseBasename):].split("_")) for c in case.Cases]))
"""


def run_name(layer: str, role: str, backend: str) -> str:
    """Return the name of a run's folder, and, with ``wsfast-`` before it, of what is tested in reports."""
    return f"{role}-{backend}" if layer == "connection" else f"{layer}-{role}-{backend}"


class SuiteError(Exception):
    """The suite cannot be run, or did not run as it should."""


def find_python2(asked: str | None = None) -> str:
    """Find a CPython 2.7 that starts: on PATH, or among pyenv's versions.

    Args:
        asked: the path of one, which is then the only candidate.

    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [path for name in ("python2.7", "python2") if (path := shutil.which(name))]
    of_pyenv = [str(path) for path in sorted(pyenv.glob("versions/2.7.*/bin/python2.7"), reverse=True)]
    for candidate in [asked] if asked else on_path + of_pyenv:
        # pyenv puts a python2.7 on PATH that fails unless that version has been switched on.
        version = subprocess.run(
            [candidate, "-c", "import sys; print(sys.version_info[:2] == (2, 7))"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        if version.stdout.strip() == "True":
            return candidate
    if asked:
        raise SuiteError(f"{asked} is not a Python 2.7")
    raise SuiteError(
        "the suite needs a CPython 2.7 and its headers: `pyenv install 2.7.18`, or a distribution's"
    )


def environment(folder: Path, python2: str | None = None) -> str:
    """Make the suite's environment, or find the one made before.

    Args:
        folder: where it is kept; replaced when it is not complete or not of today's requirements.
        python2: see :func:`find_python2`.

    Returns:
        The path of its interpreter.

    """
    python, stamp = str(folder / "bin" / "python"), folder / "requirements.txt"
    if stamp.is_file() and stamp.read_bytes() == REQUIREMENTS.read_bytes():
        return python
    python2 = find_python2(python2)
    print(f"installing the suite for {python2} in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    # virtualenv may still write into its folder when it has ended.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        tool = Path(temporary, "tool")
        _run(sys.executable, "-m", "venv", tool)
        _run(tool / "bin" / "python", "-m", "pip", "install", "-q", VIRTUALENV)
        _run(tool / "bin" / "virtualenv", "-q", "--app-data", Path(temporary, "data"), "-p", python2, folder)
    _run(python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS)
    shutil.copyfile(REQUIREMENTS, stamp)
    return python


def _run(*command: str | Path) -> str:
    result = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, timeout=900)
    if result.returncode:
        raise SuiteError(f"{' '.join(map(str, command))}:\n{result.stdout}{result.stderr}")
    return result.stdout


def clean_environ() -> dict[str, str]:
    """Copy the environment, without what would lead one Python to the packages of another."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}


def all_cases(python: str) -> list[str]:
    """List the suite's cases, such as ``1.1.1``, in order."""
    cases: list[str] = json.loads(_run(python, "-c", LIST_CASES))
    if len(cases) != CASES:
        raise SuiteError(f"the suite has {len(cases)} cases, not {CASES}")
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


@dataclass(frozen=True)
class Result:
    """The suite's verdict on one case.

    Attributes:
        case: such as ``1.1.1``.
        behavior: the grade of what was sent and received.
        close: the grade of how the connection ended.
        detail: everything else that the suite noted, as in its JSON.
        page: its page of the report.

    """

    case: str
    behavior: str
    close: str
    detail: dict[str, Any]
    page: Path

    @property
    def passed(self) -> bool:
        return self.behavior in PASSED and self.close in PASSED

    def __str__(self) -> str:
        """Say what went wrong, with the end of what was on the wire."""
        detail = self.detail
        lines = [
            f"case {self.case}: {self.behavior}, close: {self.close}, code {detail['remoteCloseCode']}",
            f"{detail['result']} {detail['resultClose']} {detail['wasNotCleanReason'] or ''}",
            *(f"{kind} {json.dumps(values)[:160]}" for kind, *values in detail["wirelog"][-12:]),
            str(self.page),
        ]
        return "\n    ".join(lines)


def read_results(folder: Path, agent: str) -> dict[str, Result]:
    """Read the suite's report: a result for each case that was run; none when there is no report."""
    index = folder / "index.json"
    if not index.is_file():
        return {}
    return {
        case: Result(
            case,
            entry["behavior"],
            entry["behaviorClose"],
            json.loads((folder / entry["reportfile"]).read_bytes()),
            (folder / entry["reportfile"]).with_suffix(".html"),
        )
        for case, entry in json.loads(index.read_bytes()).get(agent, {}).items()
    }
