"""Put the same loads on servers of wsfast.asyncio and of other libraries, and print what each took."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HELP = """\
Put the same loads on servers of wsfast.asyncio and of other libraries, and print what each of them took.

examples:
  python bench/endpoints/compare.py                      every load: some ten minutes
  python bench/endpoints/compare.py --only 64,broadcast  loads whose names have one of these in them
  python bench/endpoints/compare.py --write              write docs/asyncio-figures.md, too

how it works:
  load.c, compiled here (cc; with libssl-dev for TLS), puts the load on; servers.py has the servers. The
  server has one core for itself, the load another, on which it polls and never sleeps: a virtual core
  that sleeps takes longer to wake than a fast server to answer. The servers of a load run all the time
  and take turns, --rounds times; what counts is the least processor time for a message (the kernel's
  account, of the server's process, reading and writing of sockets included) and the most messages a second.

needs: Linux, two cores, a C compiler; pip install --group bench uvloop
"""

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(ROOT / "bench"))

from measure import machine

import wsfast

FIGURES = FOLDER / "figures.json"
PAGE = ROOT / "docs" / "asyncio-figures.md"
MARKER = "<!-- Made by `python bench/endpoints/compare.py --write`. Do not edit by hand. -->"
LIBRARIES = ("websockets", "aiohttp", "picows", "uvloop", "aiofastnet")
START_TIMEOUT = 60


@dataclass
class Load:
    """What is put on the servers, on which of them, and what wsfast is to gain."""

    name: str
    mode: str
    connections: int
    in_flight: int
    size: int
    #: The kind of server of wsfast to compare with the peers, and other kinds to measure, too.
    ours: str
    others: tuple[str, ...]
    #: The least ratio to be shown against a peer, and of what.
    targets: dict[str, float]
    of: str = "rate"
    uvloop: bool = False
    more: str = ""
    #: A server for each round: what it keeps in memory after a load would help the next.
    fresh: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.ours, *self.others, *self.targets)


def _both(load: Load) -> list[Load]:
    """The load on asyncio's event loop and on uvloop's."""
    return [
        replace(load, name=f"{load.name}, {loop}", uvloop=loop == "uvloop") for loop in ("asyncio", "uvloop")
    ]


CALLBACK = ("wsfast-callback",)
LOADS = [
    *_both(
        Load(
            "64 B, 128 in flight", "echo", 1, 128, 64, "wsfast", CALLBACK,
            {"picows": 6, "websockets": 14, "aiohttp": 8},
        )
    ),
    Load("64 B, 32 in flight", "echo", 1, 32, 64, "wsfast", CALLBACK, {"picows": 2.5}),
    Load("64 B, 50 connections", "echo", 50, 1, 64, "wsfast", CALLBACK, {"picows": 1, "websockets": 2.5}),
    Load(
        "64 B, request and response", "echo", 1, 1, 64, "wsfast-recv", (*CALLBACK, "websockets"),
        {"picows": 1}, of="cpu",
    ),
    Load("4 KiB, 16 in flight", "echo", 1, 16, 4096, "wsfast", ("websockets",), {"picows": 1.1}),
    Load("1 MiB, 2 in flight", "echo", 1, 2, 1 << 20, "wsfast", ("websockets",), {"picows": 1.5}),
    *[
        Load(
            f"TLS, {name}", "echo", 1, many, size, "wsfast", (), {"picows": 1, "websockets": 1.5}, more="tls"
        )
        for name, size, many in (("256 B, 16 in flight", 256, 16), ("100 kB, 2 in flight", 100_000, 2))
    ],
    *[
        Load(
            f"broadcast of 256 B to 2,000{', deflate' * bool(more)}", "broadcast", 2000, 1, 256, "wsfast", (),
            {"websockets": least}, more=more,
        )
        for more, least in (("", 4), ("deflate", 20))
    ],
    *[
        Load(
            f"idle connection, {name}", "idle", 2000, 1, 0, "wsfast", (*CALLBACK, "picows"),
            {"websockets": 4}, of="memory", fresh=True, more=more,
        )
        for name, more in (("asyncio's transports", "own-transports"), ("aiofastnet's", ""))
    ],
    Load(
        "connections opened and closed", "open", 16, 1, 64, "wsfast", CALLBACK,
        {"websockets": 1.5, "picows": 1},
    ),
]  # fmt: skip


# ---- Measuring -------------------------------------------------------------------------------------


def compile_load(folder: str) -> tuple[str, bool]:
    """Compile load.c; the program, and whether it can do TLS."""
    program = os.path.join(folder, "load")
    command = [
        os.environ.get("CC", "cc"),
        "-O2",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-o",
        program,
        str(FOLDER / "load.c"),
    ]
    if subprocess.run([*command, "-DWITH_TLS", "-lssl", "-lcrypto"], capture_output=True).returncode == 0:
        return program, True
    subprocess.run(command, check=True)
    return program, False


@contextlib.contextmanager
def server(kind: str, load: Load, core: int) -> Iterator[tuple[int, int]]:
    """Run a server on a core; its port and its process."""
    options = [f"--{load.more}"] if load.more else []
    options += ["--uvloop"] * load.uvloop + ["--broadcast"] * (load.mode == "broadcast")
    process = subprocess.Popen(
        [sys.executable, str(FOLDER / "servers.py"), kind, *options],
        stdout=subprocess.PIPE,
        encoding="ascii",
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server of {kind} does not start")
        yield int(line), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_TIMEOUT)


def put(program: str, load: Load, port: int, pid: int, seconds: float, core: int) -> dict[str, float]:
    """Put a load on a server once."""
    counts = map(str, (load.connections, load.in_flight, load.size, seconds))
    done = subprocess.run(
        [program, str(port), str(pid), load.mode, *counts, load.more],
        capture_output=True,
        encoding="utf-8",
        timeout=60 + 10 * seconds,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    found = json.loads(done.stdout)
    if load.of == "memory":
        return {"memory": (found["kilobytes"] - found["kilobytes_before"]) * 1024 / load.connections}
    if not found["count"]:
        raise RuntimeError(f"{load.name}: nothing came back in {seconds} s")
    return {"rate": found["count"] / found["seconds"], "cpu": found["server_ns"] / found["count"]}


def measure(program: str, load: Load, rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Put a load on all its servers in turn; every figure of each."""
    server_core, load_core = sorted(os.sched_getaffinity(0))[:2]
    found: dict[str, dict[str, list[float]]] = {kind: {} for kind in load.kinds}

    def add(kind: str, port: int, pid: int) -> None:
        for name, value in put(program, load, port, pid, seconds, load_core).items():
            found[kind].setdefault(name, []).append(value)

    with contextlib.ExitStack() as running:
        if not load.fresh:
            kept = {kind: running.enter_context(server(kind, load, server_core)) for kind in load.kinds}
        for _ in range(rounds):
            for kind in load.kinds:
                if load.fresh:
                    with server(kind, load, server_core) as (port, pid):
                        add(kind, port, pid)
                else:
                    add(kind, *kept[kind])
    return found


# ---- The table -------------------------------------------------------------------------------------


def best(figures: dict[str, list[float]], what: str) -> float:
    return max(figures[what]) if what == "rate" else min(figures[what])


def ratio(found: dict[str, dict[str, list[float]]], ours: str, peer: str, what: str) -> float:
    """How many times better: more of a rate, less of anything else."""
    mine, theirs = best(found[ours], what), best(found[peer], what)
    return mine / theirs if what == "rate" else theirs / mine


def rows(load: Load, found: dict[str, dict[str, list[float]]]) -> list[str]:
    lines = []
    for kind in dict.fromkeys(load.kinds):
        target = load.targets.get(kind)
        ratios = []
        for what in ("memory",) if load.of == "memory" else ("rate", "cpu"):
            value = ratio(found, load.ours, kind, what)
            shown = f"{value:.2f}" if value < 10 else f"{value:.1f}"
            if target is not None and what == load.of:
                shown = f"**{shown}** ({'at least' if value >= target else '**missed**:'} {target:g})"
            ratios.append("1" if kind == load.ours else shown)
        if load.of == "memory":
            lines.append(
                f"| {load.name} | {kind} | {best(found[kind], 'memory') / 1024:.1f} KiB | {ratios[0]} | | |"
            )
        else:
            rate, cpu = best(found[kind], "rate"), best(found[kind], "cpu") / 1000
            time = f"{cpu:,.{2 if cpu < 100 else 0}f} µs"
            lines.append(f"| {load.name} | {kind} | {rate:,.0f} / s | {ratios[0]} | {time} | {ratios[1]} |")
    return lines


HEADER = [
    "| load | server | messages, or memory | ratio | processor time of a message | ratio |",
    "|---|---|--:|--:|--:|--:|",
]


PAGE_TEXT = """\
{marker}

# Client and server on asyncio: figures

Servers that echo text as `str`, under a load from a [program in C](../bench/endpoints/load.c): for each, the
most messages a second and the least processor time of its process for a message, system calls included,
of {rounds} rounds in which the servers took turns. Server and load have a core each; the load polls on its
own and never sleeps, so that no server waits for it to wake. The ratio is how many times better the first
server of each load does than the others. In brackets, what is aimed at.

`wsfast` iterates, `wsfast-recv` awaits `recv()`, `wsfast-callback` has an `on_message`; `picows` is its core,
with callbacks, and makes and sends a `str`, too. Nothing is compressed unless a load says so; all else is
each library's default, such as pings every 20 seconds where there are any. In a broadcast, messages are
counted at their receivers. An idle connection's memory is what the process grows by. aiofastnet is installed,
since picows needs it, and so wsfast uses its transports, but where a load says otherwise.

{machine} {versions}.

{table}
"""


def write(measured: dict[str, Any], rounds: int) -> None:
    """Write the page, with what was measured before of loads that were not measured now."""
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    loads = {**known, **measured}
    versions = [f"wsfast {wsfast.__version__} ({wsfast.backend}, {wsfast.isa})"]
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    lines = [line for load in LOADS if load.name in loads for line in rows(load, loads[load.name])]
    page = PAGE_TEXT.format(
        marker=MARKER,
        rounds=rounds,
        machine=", ".join(machine().values()) + ".",
        versions=", ".join(versions),
        table="\n".join([*HEADER, *lines]),
    )
    FIGURES.write_text(json.dumps(loads, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)


def misses(load: Load, found: dict[str, dict[str, list[float]]]) -> list[str]:
    return [
        f"missed: {load.name}, {ratio(found, load.ours, peer, load.of):.2f} times {peer}, not {least:g}"
        for peer, least in load.targets.items()
        if ratio(found, load.ours, peer, load.of) < least
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="A,B", help="loads whose names have one of these in them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a load; by default %(default)g")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    wanted = (options.only or "").split(",")
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        program, has_tls = compile_load(folder)
        print("\n".join(HEADER), flush=True)
        for load in LOADS:
            if not any(part in load.name for part in wanted):
                continue
            if (load.more == "tls" and not has_tls) or (
                load.uvloop and not importlib.util.find_spec("uvloop")
            ):
                needed = "libssl-dev" if load.more else "uvloop"
                print(f"{load.name}: left out, needs {needed}", file=sys.stderr)
                continue
            print(f"{load.name} ...", file=sys.stderr, flush=True)
            measured[load.name] = measure(program, load, options.rounds, options.seconds)
            print("\n".join(rows(load, measured[load.name])), flush=True)
    for load in LOADS:
        if load.name in measured:
            for text in misses(load, measured[load.name]):
                print(text, file=sys.stderr)
    if options.write:
        write(measured, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
