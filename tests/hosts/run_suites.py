"""Run other libraries' own tests, with each library as it is and with wsfast in it; compare test by test.

examples:
  python tests/hosts/run_suites.py                      all of them, each in its own environment: 10 minutes
  python tests/hosts/run_suites.py wsproto tornado      these; --list tells all names
  python tests/hosts/run_suites.py --cache ~/suites     keep the environments, for the next time
  python tests/hosts/run_suites.py websockets --source websockets==15.0.1=~/websockets-15.0.1
                                                        from a folder, and of another version

The exit status is 1 if a test passes without wsfast and fails with it, twice; 2 if a suite could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from suites import SUITES, Suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "hosts" / "suites.md"
#: Seconds for one run of a suite.
PATIENCE = 900
PAGE_TEXT = """\
<!-- Made by `python tests/hosts/run_suites.py --write`. Do not edit by hand. -->

# The libraries' own tests

Each library's own tests, with the library as it is and after `wsfast.install()`: how many passed, failed
(where any did) and were skipped. "Frames" are the data frames, for hypercorn's buffer the messages, that
wsfast decoded or built in that run, of all that it saw; the others were left to the library's own code.

{table}

{notes}
"""


class CannotRun(Exception):
    """A suite could not be run; says why."""


class Run(NamedTuple):
    """What a run of a suite came to."""

    #: Each test's "passed", "failed" or "skipped".
    outcomes: dict[str, str]
    #: Of each host: data frames through wsfast, and data frames that were not.
    frames: dict[str, tuple[int, int]]

    def __str__(self) -> str:
        counts = Counter(self.outcomes.values())
        return ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "failed", "skipped") if counts[kind])


class Result(NamedTuple):
    """A suite without wsfast and with it."""

    name: str
    library: str
    stock: Run
    ours: Run
    #: Failed with wsfast, not without.
    worse: list[str]
    #: Failed with wsfast, and passed when the suite was run once more.
    unsteady: list[str]

    @property
    def frames(self) -> str:
        return ", ".join(f"{fast} of {fast + slow}" for fast, slow in self.ours.frames.values())


# ---- An environment, and the tests in it --------------------------------------------------------


def call(
    *command: str | Path, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> int:
    """Run a program; what it prints goes behind what a log has."""
    with log.open("ab") as file:
        file.write(f"$ {' '.join(map(str, command))}\n".encode())
        file.flush()
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=PATIENCE,
                env=env,
                cwd=cwd,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise CannotRun(f"not done after {PATIENCE} s; see {log}") from None


def prepare(suite: Suite, wheel: Path, folder: Path, log: Path) -> Path:
    """Make the environment, unless it is there from before; return its Python."""
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = "\n".join([suite.library, *suite.needs])
    done = folder / "needs.txt"
    if not (done.exists() and done.read_text() == wanted):
        venv.create(folder / "venv", with_pip=True, clear=True)
        if call(python, "-m", "pip", "install", "-q", "pytest", suite.library, *suite.needs, log=log):
            raise CannotRun(f"its packages cannot be installed; see {log}")
        done.write_text(wanted)
    if call(python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel, log=log):
        raise CannotRun(f"wsfast cannot be installed; see {log}")
    return python


def fetch(suite: Suite, folder: Path, log: Path) -> None:
    """Get the source distribution or the repository, and copy the tests out of it."""
    unpacked = folder / "source"
    if not unpacked.exists():
        if suite.repository:
            options = ("--depth", "1", "--branch", suite.version)
            if call("git", "clone", "-q", *options, suite.repository, unpacked, log=log):
                raise CannotRun(f"{suite.repository} cannot be cloned; --source takes a folder")
        else:
            download(suite, folder, unpacked, log)
    for name in suite.files:
        copy(unpacked / name, folder / "work" / name)


def download(suite: Suite, folder: Path, unpacked: Path, log: Path) -> None:
    target = folder / "sdist"
    options = ("--no-deps", "--no-binary", suite.project, suite.library)
    if call(sys.executable, "-m", "pip", "download", "-q", "-d", target, *options, log=log):
        raise CannotRun(f"its source distribution cannot be downloaded; see {log}")
    (archive,) = target.glob("*.tar.gz")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        (top,) = Path(temporary).iterdir()
        top.rename(unpacked)


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def run_tests(suite: Suite, hosts: str, python: Path, folder: Path, log: Path) -> Run:
    report, counts = folder / "report.xml", folder / "counts.json"
    for file in (report, counts):
        file.unlink(missing_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WSFAST_", "PYTEST_"))}
    env |= {**suite.environ, "SUITE_HOSTS": hosts, "SUITE_COUNTS": str(counts)}
    env |= {"PYTHONPATH": str(HERE / "plugin"), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-q", "-p", "no:cacheprovider", "-p", "wsfast_suite", f"--junitxml={report}"]
    call(python, "-m", "pytest", *options, *suite.arguments, log=log, env=env, cwd=folder / "work")
    if not (report.exists() and counts.exists()):
        raise CannotRun(f"its tests did not come to an end; see {log}")
    frames = {name: (fast, slow) for name, (fast, slow) in json.loads(counts.read_text()).items()}
    outcomes = dict(read_report(report))
    if "passed" not in outcomes.values():
        raise CannotRun(f"no test passed; see {log}")
    return Run(outcomes, frames)


def read_report(report: Path) -> Iterator[tuple[str, str]]:
    names: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        # Two tests of one name: a test is told by which of them it is.
        names[name] += 1
        if names[name] > 1:
            name += f" ({names[name]})"
        kinds = {child.tag for child in case}
        yield (
            name,
            "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed",
        )


def worse_than(stock: Run, ours: Run) -> list[str]:
    """Tell which tests passed and do no more; a test that is not there any more is one of them."""
    return [
        name
        for name, outcome in stock.outcomes.items()
        if outcome == "passed" and ours.outcomes.get(name, "missing") not in ("passed",)
    ]


def compare(name: str, suite: Suite, wheel: Path, folder: Path) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work").mkdir(exist_ok=True)
    log = folder / "log.txt"
    log.unlink(missing_ok=True)
    say(f"{name}: environment for {suite.library}")
    python = prepare(suite, wheel, folder, log)
    if suite.files:
        fetch(suite, folder, log)
    say(f"{name}: as it is")
    stock = run_tests(suite, "", python, folder, log)
    say(f"{name}: {stock}; now with wsfast")
    ours = run_tests(suite, suite.hosts, python, folder, log)
    worse, unsteady = worse_than(stock, ours), []
    if worse:
        say(f"{name}: {len(worse)} worse, once more")
        again = worse_than(stock, run_tests(suite, suite.hosts, python, folder, log))
        unsteady = [test for test in worse if test not in again]
        worse = [test for test in worse if test in again]
    say(f"{name}: {ours}")
    return Result(name, suite.library, stock, ours, worse, unsteady)


# ---- What is told -----------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def table(results: Sequence[Result]) -> str:
    lines = ["| tests of | version | as it is | with wsfast | frames |", "|---|---|---|---|---|"]
    for result in results:
        version = result.library.partition("==")[2]
        lines.append(f"| {result.name} | {version} | {result.stock} | {result.ours} | {result.frames} |")
    return "\n".join(lines)


def notes(results: Sequence[Result]) -> list[str]:
    lines = [f"{result.name}: worse with wsfast: {test}" for result in results for test in result.worse]
    for result in results:
        lines += [
            f"{result.name}: {test} failed with wsfast and passed when run again." for test in result.unsteady
        ]
    return lines


def build_wheel(folder: Path) -> Path:
    say("wheel of wsfast")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    log = folder / "log.txt"
    env = {**os.environ, "WSFAST_EXTENSION": "1"}
    if call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, log=log, env=env):
        raise CannotRun(f"wsfast cannot be built; see {log}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def with_source(name: str, sources: Sequence[str], cache: Path) -> Suite:
    """Put a folder given by ``--source`` where a suite's source would be downloaded to."""
    suite = SUITES[name]
    for source in sources:
        library, _, path = source.rpartition("=")
        if library.partition("==")[0] == suite.project and suite.files:
            suite = replace(suite, library=library)
            unpacked = folder_of(name, cache) / "source"
            shutil.rmtree(unpacked, ignore_errors=True)
            shutil.copytree(Path(path).expanduser(), unpacked)
    return suite


def folder_of(name: str, cache: Path) -> Path:
    return cache / name.replace(" ", "-")


def run_all(names: Sequence[str], sources: Sequence[str], cache: Path) -> tuple[list[Result], list[str]]:
    wheel = build_wheel(cache / "wheel")
    results, failures = [], []
    for name in names:
        try:
            suite = with_source(name, sources, cache)
            results.append(compare(name, suite, wheel, folder_of(name, cache)))
        except CannotRun as exc:
            failures.append(f"{name}: not run: {exc}")
            say(failures[-1])
    return results, failures


def main() -> int:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="whose tests to run (default: all)")
    parser.add_argument("--list", action="store_true", help="print the suites and end")
    parser.add_argument(
        "--cache", type=Path, help="where environments are kept (default: a temporary folder)"
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="LIBRARY==VERSION=FOLDER",
        help="take a library's tests from a folder",
    )
    parser.add_argument("--write", action="store_true", help="write docs/hosts/suites.md")
    arguments = parser.parse_args()
    if arguments.list:
        for name, suite in SUITES.items():
            print(f"{name:40}{suite.library:30}{suite.hosts}")
        return 0
    unknown = [name for name in arguments.suites if name not in SUITES]
    if unknown:
        parser.error(f"there is no suite {unknown[0]!r}; --list tells which there are")
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache.expanduser().resolve() if arguments.cache else Path(temporary)
        try:
            results, failures = run_all(arguments.suites or list(SUITES), arguments.source, cache)
        except CannotRun as exc:
            print(exc, file=sys.stderr)
            return 2
        if failures and not arguments.cache:
            print("to see the logs, give --cache", file=sys.stderr)
    remarks = [*notes(results), *failures]
    print(table(results), *remarks, sep="\n")
    if arguments.write:
        text = PAGE_TEXT.format(table=table(results), notes="\n".join(f"- {line}" for line in remarks))
        PAGE.write_text(text.rstrip() + "\n", encoding="utf-8")
    return 2 if failures else 1 if any(result.worse for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
