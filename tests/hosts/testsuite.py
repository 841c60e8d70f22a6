"""Run the Autobahn TestSuite on libraries as they are, with wsfast, and with it and strict; compare them.

examples:
  python tests/hosts/testsuite.py --quick              every library that is installed and has an adapter
  python tests/hosts/testsuite.py tornado --cases '1.*'
  python tests/hosts/testsuite.py --write              all 517 cases, hours; and write docs/hosts/testsuite.md

Each library runs as the echo program of tests/conformance/echo_programs.py, as a server and, where it has
one, as a client. tests/autobahn/README.md tells what the suite needs. The exit status is 1 if a case is
worse with wsfast than without, or was not run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "autobahn"), str(ROOT / "tests" / "conformance")]

from echo_programs import NO_CLIENT, NO_SERVER
from faults import LIBRARIES as SERVERS
from faults import PROGRAMS, VARIANTS, command, installed, versions_of
from run import QUICK, START_TIMEOUT, Run, process, read_line, run_all
from suite import Result, SuiteError, all_cases, environment

PAGE = ROOT / "docs" / "hosts" / "testsuite.md"

LIBRARIES = {**SERVERS, "websocket-client": ("websocket-client", ["websocket-client"])}
#: From good to bad. What is not here is worse.
RANKS = {"OK": 0, "INFORMATIONAL": 0, "NON-STRICT": 1, "UNIMPLEMENTED": 2}
#: Seconds for a case, and messages of the largest ones.
PATIENCE = 120.0
LIMIT = 1 << 25


class HostRun(Run):
    """One library in one role and one variant."""

    def __init__(
        self, library: str, role: str, variant: str, python2: str, cases: Sequence[str], report: Path
    ) -> None:
        super().__init__("connection", role, "c", python2, cases, report)
        self.library, self.variant = library, variant
        self.agent = f"{library}-{role}-{variant}"
        self.folder = report / self.agent
        self.our_log, self.suite_log = self.folder / "host.log", self.folder / "wstest.log"
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.our_env = {
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONWARNINGS": "ignore",
            "ECHO_LIMIT": str(LIMIT),
        }

    def program(self, what: str) -> list[str]:
        return command(self.library, self.variant, [str(PROGRAMS), self.library, what])

    @contextlib.asynccontextmanager
    async def serving(self, log: IO[bytes]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        async with process(
            *self.program("server"), env=self.our_env, err=log, stdin=subprocess.PIPE
        ) as server:
            port = (await read_line(server, START_TIMEOUT)).strip()
            if not port.isdecimal():
                raise SuiteError("the server did not start")
            yield server, f"ws://127.0.0.1:{port}"

    async def connect(self, port: int, log: IO[bytes]) -> None:
        targets = [f"/runCase?casetuple={case}&agent={self.agent}" for case in self.cases]
        async with process(
            *self.program("visitor"), env=self.our_env, err=log, stdin=subprocess.PIPE
        ) as client:
            if client.stdin is None:
                raise TypeError("no pipe")
            for target in [*targets, f"/updateReports?agent={self.agent}"]:
                client.stdin.write(f"ws://127.0.0.1:{port}{target}\n".encode())
                await client.stdin.drain()
                if not await read_line(client, PATIENCE):
                    raise SuiteError(f"the client ended at {target}")
            client.stdin.close()


def rank(result: Result) -> int:
    return max(RANKS.get(grade, 3) for grade in (result.behavior, result.close))


def is_worse(result: Result, before: Result) -> bool:
    return rank(result) > rank(before)


def worse_cases(runs: Sequence[HostRun]) -> Iterator[tuple[HostRun, str, Result]]:
    """Yield the runs and cases that are worse than before, and how they were before."""
    before = {(run.library, run.role): run.results for run in runs if run.variant == "before"}
    for run in runs:
        stock = before[run.library, run.role]
        for case, result in run.results.items():
            if case in stock and is_worse(result, stock[case]):
                yield run, case, stock[case]


def try_again(runs: Sequence[HostRun], timeout: float) -> None:
    """Run the cases that were worse again, twice at most: what happens in some is also a matter of time.

    Whether an answer arrives before the fault behind it does, say: libraries as they are have such cases now
    OK and now NON-STRICT.
    """
    for _ in range(2):
        run_worse(runs, timeout)


def run_worse(runs: Sequence[HostRun], timeout: float) -> None:
    cases: dict[HostRun, list[str]] = {}
    for run, case, _ in worse_cases(runs):
        cases.setdefault(run, []).append(case)
    for run, worse in cases.items():
        report = run.folder.parent / "again"
        again = HostRun(run.library, run.role, run.variant, run.python2, worse, report)
        asyncio.run(run_all([again], timeout))
        run.results.update(again.results)


def problems(runs: Sequence[HostRun]) -> Iterator[str]:
    for run in runs:
        yield from (f"{run.agent}: {fault}" for fault in run.faults)
    for run, case, old in worse_cases(runs):
        yield f"{run.agent}: worse than before ({old.behavior}, {old.close}): {run.results[case]}"


def page(runs: Sequence[HostRun], cases: int) -> str:
    lines = ["| | | passed | non-strict | unimplemented | failed | better than before | worse |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|")
    before = {(run.library, run.role): run.results for run in runs if run.variant == "before"}
    for run in runs:
        ranks = Counter(map(rank, run.results.values()))
        stock = before[run.library, run.role]
        pairs = [(result, stock[case]) for case, result in run.results.items() if case in stock]
        better = sum(rank(result) < rank(old) for result, old in pairs)
        worse = sum(is_worse(result, old) for result, old in pairs)
        name = f"{run.library}, {run.role}" if run.variant == "before" else ""
        counted = " | ".join(str(ranks[n]) for n in range(4))
        change = "- | -" if run.variant == "before" else f"{better} | {worse}"
        lines.append(f"| {name} | {run.variant} | {counted} | {change} |")
    libraries = dict.fromkeys(run.library for run in runs)
    return TEXT.format(
        table="\n".join(lines),
        cases=cases,
        versions=versions_of({name: LIBRARIES[name][1] for name in libraries}),
    )


TEXT = """\
<!-- Made by `python tests/hosts/testsuite.py --write`. Do not edit by hand. -->

# The Autobahn TestSuite through each library

Of {cases} cases, how many each library passes as it is, with `wsfast.install(library)`, and with
`strict=True`. A case has the worse of its two grades, for what happened and for how the connection ended;
informational is passed. "Unimplemented" is compression that the library does not have.

{versions}.

{table}
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="\n".join((__doc__ or "").splitlines()[2:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wsfast-autobahn")
    add = parser.add_argument
    add("library", nargs="*", help=f"of {', '.join(LIBRARIES)} (default: all installed)")
    add("--quick", action="store_true", help="without 9.*, and with a sample of 12.* and 13.*")
    add("--cases", nargs="+", metavar="PATTERN", help="such as 1.1.1 '9.*'; default: all")
    add("--role", choices=("server", "client"), help="default: both")
    add("--report", type=Path, default=Path("autobahn-hosts"), metavar="DIR", help="default: %(default)s")
    add("--timeout", type=float, default=3600, metavar="SECONDS", help="for each run; default: %(default)s")
    add("--python2", metavar="PATH", help="a CPython 2.7; default: one on PATH, or one of pyenv's")
    add("--cache", type=Path, default=cache, metavar="DIR", help="the suite's home; default: %(default)s")
    add("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.library if name not in LIBRARIES]:
        parser.error(f"no library {unknown[0]!r}: {', '.join(LIBRARIES)}")
    return arguments


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
    runs = [
        HostRun(library, role, variant, python2, cases, report)
        for library in arguments.library or installed(LIBRARIES)
        for role in ("server", "client")
        if library not in (NO_SERVER if role == "server" else NO_CLIENT) and arguments.role in (None, role)
        for variant in VARIANTS
    ]
    try:
        asyncio.run(run_all(runs, arguments.timeout))
        try_again(runs, arguments.timeout)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    text = page(runs, len(cases))
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")
    print(f"\n{text}")
    wrong = list(problems(runs))
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
