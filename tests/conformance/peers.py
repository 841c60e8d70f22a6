"""Put the conformance corpus to WebSocket libraries over loopback sockets, and make docs/conformance.md.

examples:
  python tests/conformance/peers.py                           all that are installed, server and client
  python tests/conformance/peers.py wsfast websockets         these two
  python tests/conformance/peers.py tornado --only masking    some cases: text that is in their ids
  python tests/conformance/peers.py aiohttp --only close/code-1006 --verbose
  python tests/conformance/peers.py --write                   every library, and write docs/conformance.md
  python tests/conformance/peers.py --port 9000                any echo server, in any language

how it works:
  Each library runs as an echo program in a process of its own (echo_programs.py). Every case of
  cases/*.toml that is about the wire is put to it over a socket of its own, and judged by what comes
  back: the messages that are echoed, pongs, close frames, the end of the connection, and the answer to
  the opening handshake. Where the RFC leaves a choice, each choice passes. What a library does not
  negotiate is not counted. A case counts as failed when it has failed twice. The exit status is 1 when
  wsfast fails a case.

needs:
  pip install websockets picows aiohttp tornado uvicorn httptools autobahn wsproto
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from corpus import Case, load
from echo_programs import LIBRARIES, NO_CLIENT
from wire import ClientCases, Failed, NotApplicable, try_server

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
TABLE = ROOT / "docs" / "conformance.md"
MARKER = "<!-- Made by `python tests/conformance/peers.py --write`. Do not edit by hand. -->"

#: Of one endpoint in one role: for each case its fault, "" for none; cases that do not apply are left out.
Results = dict[str, str]


# ---- The programs ----------------------------------------------------------------------------------


def program(library: str, what: str) -> list[str]:
    return [sys.executable, str(FOLDER / "echo_programs.py"), library, what]


def environment() -> dict[str, str]:
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore"}


def versions_of(library: str) -> str:
    """Its packages and their versions; "" when it cannot be imported."""
    done = subprocess.run(program(library, "version"), env=environment(), capture_output=True, text=True)
    if done.returncode:
        return ""
    words = done.stdout.split()
    return ", ".join(" ".join(words[i : i + 2]) for i in range(0, len(words), 2))


@contextlib.contextmanager
def running(library: str, what: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        program(library, what),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("PEERS_STDERR") else subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# ---- Running the cases -----------------------------------------------------------------------------


class Progress:
    """One line on a terminal; nothing when output goes elsewhere."""

    def __init__(self, label: str, total: int) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.started = time.monotonic()

    def step(self) -> None:
        self.done += 1
        if sys.stderr.isatty():
            print(f"\r{self.label}: {self.done}/{self.total}", end="", file=sys.stderr, flush=True)

    def end(self, results: Results) -> None:
        passed = sum(not fault for fault in results.values())
        start = "\r" if sys.stderr.isatty() else ""
        seconds = time.monotonic() - self.started
        print(f"{start}{self.label}: {passed} of {len(results)} passed, {seconds:.0f} s", file=sys.stderr)


Judge = Callable[[Case, float], Awaitable[None]]


async def run_all(
    label: str, cases: list[Case], judge: Judge, options: argparse.Namespace, alive: Callable[[], bool]
) -> Results:
    """Run the cases, some at a time; and again those that failed: a busy machine is no fault."""
    results: Results = {}
    progress = Progress(label, len(cases))

    async def round_of(waiting: list[Case], patience: float) -> None:
        waiting = waiting[::-1]

        async def worker() -> None:
            while waiting:
                case = waiting.pop()
                try:
                    await asyncio.wait_for(judge(case, patience), 30)
                    results[case.id] = ""
                except NotApplicable:
                    pass
                except Failed as fault:
                    results[case.id] = str(fault)
                except (OSError, asyncio.TimeoutError):
                    results[case.id] = "no connection" if alive() else "the program has crashed"
                progress.step()

        await asyncio.gather(*(worker() for _ in range(options.jobs)))

    await round_of(cases, options.patience)
    failed = [case for case in cases if results.get(case.id)]
    progress.done -= len(failed)
    await round_of(failed, 2 * options.patience)
    progress.end(results)
    return results


async def run_server(
    label: str, cases: list[Case], port: int, options: argparse.Namespace, alive: Callable[[], bool]
) -> Results:
    chosen = [case for case in cases if case.role == "server"]
    return await run_all(
        f"{label} server", chosen, lambda case, patience: try_server(case, port, patience), options, alive
    )


async def run_client(
    label: str, cases: list[Case], process: subprocess.Popen[str], options: argparse.Namespace
) -> Results:
    chosen = [case for case in cases if case.role == "client"]
    side = ClientCases()
    server = await side.start()

    def connect(url: str) -> None:
        process.stdin.write(url + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]

    try:
        return await run_all(
            f"{label} client",
            chosen,
            lambda case, patience: side.run(case, connect, patience),
            options,
            lambda: process.poll() is None,
        )
    finally:
        server.close()


def run_library(library: str, cases: list[Case], options: argparse.Namespace) -> dict[str, Results]:
    found: dict[str, Results] = {}
    if options.role in ("server", "both"):
        with running(library, "server") as process:
            port = int(process.stdout.readline() or 0)  # type: ignore[union-attr]
            time.sleep(0.5)
            found["server"] = asyncio.run(
                run_server(library, cases, port, options, lambda: process.poll() is None)
            )
    if options.role in ("client", "both") and library not in NO_CLIENT:
        with running(library, "client") as process:
            found["client"] = asyncio.run(run_client(library, cases, process, options))
    return found


# ---- The report ------------------------------------------------------------------------------------


def rows(found: dict[str, dict[str, Results]], cases: list[Case], role: str) -> Iterator[str]:
    names = [name for name, results in found.items() if role in results]
    if not names:
        return
    yield "| area | " + " | ".join(name.replace("-", "<br>") for name in names) + " |"
    yield "|---|" + "--:|" * len(names)
    areas = sorted({case.area for case in cases if case.role == role and case.on_wire})
    for area in [*areas, ""]:
        cells = []
        for name in names:
            about = [f for case, f in found[name][role].items() if not area or case.startswith(area + "/")]
            cells.append(f"{sum(not fault for fault in about)}/{len(about)}" if about else "–")
        if not area:
            cells = [f"**{cell}**" for cell in cells]
        yield f"| {area or '**all**'} | " + " | ".join(cells) + " |"


def failures(results: dict[str, Results]) -> Iterator[str]:
    """The failed cases of one library: by area and by what it did."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for role, faults in results.items():
        for case, fault in faults.items():
            if fault:
                area, name, *in_role = case.split("/")
                groups[area, fault][name] += [role] if in_role else list(results)
    for (area, fault), names in sorted(groups.items()):
        shown = []
        for name, roles in sorted(names.items()):
            shown.append(f"`{name}`" + ("" if len(roles) == len(results) else f" ({roles[0]})"))
        yield f"- {area}: {fault}: {', '.join(shown)}"


def report(found: dict[str, dict[str, Results]], versions: dict[str, str], cases: list[Case]) -> str:
    entries = len({(case.area, case.fields["id"]) for case in cases})
    lines = [
        MARKER,
        "",
        "# Conformance",
        "",
        f"wsfast has a corpus of {entries} cases for RFC 6455 and RFC 7692, each tied to a section:",
        "[tests/conformance](../tests/conformance/README.md). wsfast itself is tested with all of them, on",
        "both backends: with the input whole, in single bytes, and cut in two at every place of a short",
        "stream and at many of a long one.",
        "",
        "Those that any endpoint can be judged by over a socket are put to other libraries too, as echo",
        "programs with default strictness, compression on, and a limit of 1 MiB. Where an RFC leaves a",
        "choice, each choice passes: an endpoint may drop the connection instead of sending a close frame",
        "to a peer that broke a rule, and a server may decline compression. What an endpoint does not",
        "negotiate is not counted, so totals can differ.",
        "",
        "uvicorn has no client. picows is its layer `picows.websockets`.",
        "",
        "Versions: " + "; ".join(text for text in dict.fromkeys(versions.values())) + ".",
    ]
    for role, title in (("server", "Servers"), ("client", "Clients")):
        table = list(rows(found, cases, role))
        if table:
            lines += ["", f"## {title}", "", *table]
    lines += [
        "",
        "## What failed",
        "",
        "By area and by what the library did; the ids are those of the corpus.",
    ]
    for name, results in found.items():
        listed = list(failures(results))
        lines += ["", f"### {name}", "", *(listed or ["Nothing."])]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "libraries", nargs="*", metavar="LIBRARY", help=f"default: all of {', '.join(LIBRARIES)}"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="only cases with this text in their ids")
    parser.add_argument("--role", choices=["server", "client", "both"], default="both", help="default: both")
    parser.add_argument("--port", type=int, help="judge the echo server at this port of 127.0.0.1 instead")
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="cases at a time; default: 8")
    parser.add_argument(
        "--patience", type=float, default=0.8, metavar="S", help="seconds to wait for an answer; default: 0.8"
    )
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md")
    parser.add_argument(
        "--verbose", action="store_true", help="print each failed case with its title and section"
    )
    options = parser.parse_args()
    unknown = [name for name in options.libraries if name not in LIBRARIES]
    if unknown:
        parser.error(f"no adapter for {unknown[0]!r}; there are {', '.join(LIBRARIES)}")

    if options.write and (options.libraries or options.only or options.port or options.role != "both"):
        parser.error("--write is for all libraries and all cases: the table has to be whole")

    cases = load()
    chosen = [case for case in cases if case.on_wire and options.only in case.id]
    if not chosen:
        parser.error(f"no case on the wire has {options.only!r} in its id")
    found: dict[str, dict[str, Results]] = {}
    versions: dict[str, str] = {}
    if options.port:
        label = f"port {options.port}"
        server = run_server(label, chosen, options.port, options, lambda: True)
        found[label] = {"server": asyncio.run(server)}
        versions[label] = label
    for library in [] if options.port else options.libraries or LIBRARIES:
        versions[library] = versions_of(library)
        if not versions[library]:
            if options.write:
                parser.error(f"--write is for all libraries, and {library} is not installed")
            print(f"{library}: not installed, left out", file=sys.stderr)
            del versions[library]
            continue
        print(f"{library}: {versions[library]}", file=sys.stderr)
        found[library] = run_library(library, chosen, options)
    text = report(found, versions, cases)
    if options.verbose:
        titles = {case.id: f"{case.title} ({case.section})" for case in chosen}
        for library, results in found.items():
            for role, faults in results.items():
                for name, fault in sorted(faults.items()):
                    if fault:
                        print(f"{library} {role}: {name}: {fault}: {titles[name]}")
    if options.write:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(text, "utf-8")
        print(f"wrote {TABLE.relative_to(ROOT)}", file=sys.stderr)
    elif not options.verbose:
        print(text[text.index("Versions:") :], end="")
    failed = Counter(
        fault != "" for results in found.values() for faults in results.values() for fault in faults.values()
    )
    print(f"{failed[False]} passed, {failed[True]} failed", file=sys.stderr)
    return int(any(any(faults.values()) for faults in found.get("wsfast", {}).values()))


if __name__ == "__main__":
    sys.exit(main())
