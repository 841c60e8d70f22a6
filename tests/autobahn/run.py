"""Run the Autobahn TestSuite on wsfast, as a server and as a client, with both layers and both backends.

``python tests/autobahn/run.py --quick`` takes about four minutes; README.md beside this file tells the rest.
The exit status is 0 when every case was run and passed, 1 when not, 2 when the suite could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from suite import (
    WSTEST,
    Result,
    SuiteError,
    all_cases,
    clean_environ,
    environment,
    read_results,
    run_name,
)

HERE = Path(__file__).resolve().parent
ROLES = ("server", "client")

#: What is tested, and what the names of its two programs begin with: ``echo_server.py`` and so on.
LAYERS = {"connection": "echo", "asyncio": "endpoint"}

#: The backends, and the WSFAST_EXTENSION that asks for each.
BACKENDS = {"c": "1", "python": "0"}

#: Without the large messages of 9.*, and of 12.* and 13.*, which check compression, some with little to send.
QUICK = ("[1-7].*", "10.*", "1[23].*.[13]", "12.1.11", "13.[37].11")

#: The columns of the two tables; grades that are not known here get columns of their own.
BEHAVIOR = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED")
CLOSE = ("OK", "INFORMATIONAL", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT", "FAILED")

#: Seconds for a process to be ready, and to end when asked to.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


class Progress:
    """One line, written over again and again on a terminal; elsewhere a line every 20 seconds."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done = label, total, 0
        self.start = self.shown = time.monotonic()

    def step(self, case: str) -> None:
        now = time.monotonic()
        self.done += 1
        line = f"{self.label}: case {case}, {self.done} of {self.total}, {now - self.start:.0f} s"
        if sys.stdout.isatty():
            print(f"\r\x1b[K{line}", end="\n" if self.done == self.total else "", flush=True)
        elif now - self.shown >= 20 or self.done == self.total:
            self.shown = now
            print(line, flush=True)


@contextlib.asynccontextmanager
async def process(
    *command: str | Path,
    env: Mapping[str, str],
    err: IO[bytes] | int = asyncio.subprocess.STDOUT,
    stdin: int = asyncio.subprocess.DEVNULL,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process whose output is read here, and see to it that it ends with the block."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, env=env, stdin=stdin, stdout=pipe, stderr=err)
    try:
        yield child
    finally:
        for end in (child.terminate, child.kill):
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError, asyncio.TimeoutError):
                    end()
                    await asyncio.wait_for(child.wait(), STOP_TIMEOUT)


async def read_line(child: asyncio.subprocess.Process, timeout: float | None = None) -> str:
    """Read a line of what `child` prints; nothing when it ended."""
    if child.stdout is None:
        raise TypeError("no pipe")
    return (await asyncio.wait_for(child.stdout.readline(), timeout)).decode(errors="replace")


class Run:
    """One role with one layer and backend: an echo program of ours, and the suite.

    Args:
        layer: of ours: ``connection`` or ``asyncio``.
        role: of ours: ``server`` or ``client``.
        backend: of ours: ``c`` or ``python``.
        python2: the suite's interpreter.
        cases: the cases to run.
        report: the folder for the reports of all runs.

    Attributes:
        agent: the name in the report.
        results: of each case that was run.
        faults: what went wrong beside the cases.

    """

    def __init__(
        self, layer: str, role: str, backend: str, python2: str, cases: Sequence[str], report: Path
    ) -> None:
        self.layer, self.role, self.backend, self.python2, self.cases = layer, role, backend, python2, cases
        name = run_name(layer, role, backend)
        self.agent, self.folder = f"wsfast-{name}", report / name
        self.script = HERE / f"{LAYERS[layer]}_{role}.py"
        self.our_log, self.suite_log = self.folder / f"{role}.log", self.folder / "wstest.log"
        self.our_env = {**os.environ, "WSFAST_EXTENSION": BACKENDS[backend], "WSFAST_ISA": ""}
        self.results: dict[str, Result] = {}
        self.faults: list[str] = []
        self.seconds = 0.0

    async def run(self, timeout: float) -> None:
        """Run it all, within `timeout` seconds, and gather the results."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        start = time.monotonic()
        try:
            await asyncio.wait_for(self.run_server() if self.role == "server" else self.run_client(), timeout)
        except asyncio.TimeoutError:
            self.faults.append(f"not done after {timeout:.0f} s")
        except SuiteError as error:
            self.faults.append(str(error))
        self.seconds = time.monotonic() - start
        self.results = read_results(self.folder, self.agent)
        if missing := [case for case in self.cases if case not in self.results]:
            self.faults.append(
                f"{len(missing)} of {len(self.cases)} cases not run, the first is {missing[0]}"
            )
        if self.our_log.is_file() and (log := self.our_log.read_text(errors="replace")):
            self.faults.append(f"the {self.role} complained, see {self.our_log}:\n{log[-2000:]}")

    async def run_server(self) -> None:
        """Our server, the suite's fuzzing client."""
        with self.our_log.open("wb") as log:
            async with self.serving(log) as (server, url):
                spec = {"servers": [{"agent": self.agent, "url": url}]}
                async with self.wstest("fuzzingclient", spec) as suite:
                    await self.watch(suite)
                    if await suite.wait() != 0:
                        raise SuiteError(f"the suite failed, see {self.suite_log}")
                if server.returncode is not None:
                    raise SuiteError(f"the server ended by itself, with {server.returncode}")

    async def run_client(self) -> None:
        """Our client, the suite's fuzzing server."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        async with self.wstest("fuzzingserver", {"url": f"ws://127.0.0.1:{port}"}) as suite:
            watcher = asyncio.ensure_future(self.watch(suite))
            await self.listening(port)
            with self.our_log.open("wb") as log:
                await self.connect(port, log)
            if suite.returncode is not None:
                raise SuiteError(f"the suite ended by itself, see {self.suite_log}")
        await watcher

    @contextlib.asynccontextmanager
    async def serving(self, log: IO[bytes]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        """Start our server, and learn its URL."""
        async with process(sys.executable, self.script, env=self.our_env, err=log) as server:
            url = (await read_line(server, START_TIMEOUT)).strip()
            if not url:
                raise SuiteError("the server did not start")
            yield server, url

    async def connect(self, port: int, log: IO[bytes]) -> None:
        """Run our client until it has been through all cases."""
        program = (sys.executable, str(self.script), str(port), self.agent, *self.cases)
        async with process(*program, env=self.our_env, err=log) as client:
            if await client.wait() != 0:
                raise SuiteError(f"the client failed with {client.returncode}")

    @contextlib.asynccontextmanager
    async def wstest(
        self, mode: str, spec: Mapping[str, object]
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start the suite, without its own web server."""
        path = self.folder / "spec.json"
        path.write_text(json.dumps({**spec, "outdir": str(self.folder), "cases": self.cases}, indent=1))
        options = ("--mode", mode, "--spec", path, "--webport", "0")
        async with process(self.python2, "-c", WSTEST, *options, env=clean_environ()) as suite:
            yield suite

    async def watch(self, suite: asyncio.subprocess.Process) -> None:
        """Copy what the suite prints to its log until it ends, and show how far it is."""
        progress = Progress(self.agent, len(self.cases))
        with self.suite_log.open("w") as log:
            while line := await read_line(suite):
                print(line, end="", file=log, flush=True)
                if line.startswith("Running test case ID "):
                    progress.step(line.split()[4])

    async def listening(self, port: int) -> None:
        """Wait until the suite accepts connections."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)
        raise SuiteError(f"the suite does not listen, see {self.suite_log}")

    def failures(self) -> Iterator[str]:
        """Tell about each fault, and each case that was not passed."""
        for fault in self.faults:
            yield f"{self.agent}: {fault}"
        for result in self.results.values():
            if not result.passed:
                yield f"{self.agent}: {result}"


def table(title: str, grades: Sequence[str], runs: Mapping[Run, Sequence[str]]) -> str:
    """Write how many cases of each run got each grade, as Markdown."""
    others = {grade for results in runs.values() for grade in results}.difference(grades)
    head = [title, *grades, *sorted(others), "cases", "seconds"]
    rows = [head, ["-" * 28, *("-" * (len(name) - 1) + ":" for name in head[1:])]]
    for run, results in runs.items():
        count = Counter(results)
        numbers = [count[grade] for grade in head[1:-2]] + [len(results), round(run.seconds)]
        rows.append([run.agent, *map(str, numbers)])
    # The first column to the left, numbers to the right.
    return "\n".join(
        f"| {first:28} | "
        + " | ".join(f"{cell:>{len(name)}}" for cell, name in zip(cells, head[1:], strict=True))
        + " |"
        for first, *cells in rows
    )


def summary(runs: Sequence[Run]) -> str:
    behavior = table("behavior", BEHAVIOR, {run: [r.behavior for r in run.results.values()] for run in runs})
    close = table("behaviorClose", CLOSE, {run: [r.close for r in run.results.values()] for run in runs})
    return f"{behavior}\n\n{close}\n"


async def run_all(runs: Sequence[Run], timeout: float) -> None:
    """Run one after the other: they would take each other's time."""
    if task := asyncio.current_task():
        # As for Ctrl-C: end what was started, then oneself.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    for run in runs:
        await run.run(timeout)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the Autobahn TestSuite on wsfast.")
    add = parser.add_argument
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wsfast-autobahn")
    add("--quick", action="store_true", help="without 9.*, and with a sample of 12.* and 13.*")
    add("--layer", choices=list(LAYERS), help="of wsfast; default: both, one after the other")
    add("--role", choices=ROLES, help="what wsfast is; default: both, one after the other")
    add("--backend", choices=list(BACKENDS), help="default: both, one after the other")
    add("--cases", nargs="+", metavar="PATTERN", help="such as 1.1.1 '9.*' '12.[1-3].?'; default: all")
    add("--report", type=Path, default=Path("autobahn-report"), metavar="DIR", help="default: %(default)s")
    add("--timeout", type=float, metavar="SECONDS", help="for each run; default: 600 if quick, else 5400")
    add("--python2", metavar="PATH", help="a CPython 2.7; default: one on PATH, or one of pyenv's")
    add("--cache", type=Path, default=cache, metavar="DIR", help="the suite's home; default: %(default)s")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    try:
        python2 = environment(arguments.cache.absolute(), arguments.python2)
        patterns = arguments.cases or (QUICK if arguments.quick else ["*"])
        cases = [case for case in all_cases(python2) if any(fnmatchcase(case, p) for p in patterns)]
        if not cases:
            raise SuiteError(f"no case matches {' '.join(patterns)}")
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2

    report = arguments.report.absolute()
    roles = [arguments.role] if arguments.role else ROLES
    backends = [arguments.backend] if arguments.backend else BACKENDS
    layers = [arguments.layer] if arguments.layer else LAYERS
    runs = [
        Run(layer, role, backend, python2, cases, report)
        for layer in layers
        for role in roles
        for backend in backends
    ]
    try:
        asyncio.run(run_all(runs, arguments.timeout or (600 if arguments.quick else 5400)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130

    failures = [failure for run in runs for failure in run.failures()]
    text = summary(runs)
    if failures:
        text += "\n".join(["", "```text", *failures, "```", ""])
    (report / "summary.md").write_text(text)
    print(f"\n{text}\n{len(failures)} failures; {len(cases)} cases a run; the report is in {report}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
