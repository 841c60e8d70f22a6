"""Run a server of wsfast.asyncio, in its own process, for a long time or through hard times.

  python tests/soak/soak.py idle             10,000 idle connections and 100 busy ones, 10 minutes
  python tests/soak/soak.py restarts         a server that is killed and started again under load

Each has --help. The exit status is 1 if anything went wrong: an error, a connection or a task lost, memory
that grew by more than the bound. It is 2 if this machine is too small for what is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from restarts import restarts
from soak_server import Lag, ServerProcess, raise_file_limit, server_process

import wsfast
from wsfast import State
from wsfast.asyncio import ClientConnection, ConnectionClosed, connect

#: One address has some 28,000 ports for connections to one server.
PER_ADDRESS = 20_000
#: How many handshakes, pings or ends are under way at a time.
AT_A_TIME = 200
#: Open files that are no connections.
OTHER_FILES = 100
SIZES = (10, 100, 1000, 10_000, 100_000)


class Progress:
    """One line, written over again and again on a terminal; elsewhere a line every 20 seconds."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = 0.0

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self.shown < (0.5 if sys.stdout.isatty() else 20):
            return
        self.shown = now
        line = f"{now - self.start:5.0f} s: {text}"
        if sys.stdout.isatty():
            print(f"\r\x1b[K{line}", end="", flush=True)
        else:
            print(line, flush=True)


def table(rows: list[tuple[str, Any]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


# ---- Idle and busy connections -------------------------------------------------------------------------


@dataclass
class Soak:
    """What is going on.

    Attributes:
        idle: connections that say nothing.
        errors: how often what went wrong.
        messages: how many came back.
        memory: the server's, in MiB, at some points in time.

    """

    uri: str
    idle: list[ClientConnection] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    size: int = 0
    memory: dict[str, float] = field(default_factory=dict)
    stopping: bool = False

    def failed(self, what: str, exc: BaseException | None = None) -> None:
        self.errors[what if exc is None else f"{what}: {type(exc).__name__}: {exc}"] += 1

    def connect(self, number: int) -> connect:
        return connect(
            self.uri,
            local_addr=(f"127.0.0.{1 + number // PER_ADDRESS}", 0),
            open_timeout=60,
            # The server sees to it that clients are there.
            ping_interval=None,
            proxy=None,
        )

    async def open_idle(self, number: int) -> None:
        try:
            self.idle.append(await self.connect(number))
        except Exception as exc:
            self.failed("connecting", exc)

    async def check_idle(self, ws: ClientConnection) -> None:
        """See whether the peer is still there, and end the connection."""
        try:
            await asyncio.wait_for(await ws.ping(), 60)
            await ws.close()
        except Exception as exc:
            self.failed("an idle connection", exc)
        if ws.close_code != 1000:
            self.failed(f"an idle connection ended with {ws.close_code}")

    async def talk(self, number: int) -> None:
        """Send messages, one after the other, and compare what comes back."""
        chance = random.Random(number)
        try:
            async with self.connect(number) as ws:
                while not self.stopping:
                    size = chance.choice(SIZES)
                    text = "".join(chance.choices("abcdefgh ", k=50)) * (size // 50 + 1)
                    message: str | bytes = text[:size] if chance.random() < 0.5 else text[:size].encode()
                    await ws.send(message)
                    if await ws.recv() != message:
                        self.failed("another message came back")
                    self.messages += 1
                    self.size += size
            if ws.close_code != 1000:
                self.failed(f"a busy connection ended with {ws.close_code}")
        except (ConnectionClosed, OSError, asyncio.TimeoutError, wsfast.WSFastError) as exc:
            self.failed("a busy connection", exc)


async def some_at_a_time(calls: list[Any], show: Any, text: str) -> None:
    gate = asyncio.Semaphore(AT_A_TIME)
    done = 0

    async def one(call: Any) -> None:
        nonlocal done
        async with gate:
            await call
        done += 1
        show(f"{text}: {done} of {len(calls)}")

    await asyncio.gather(*map(one, calls))


async def soak(options: argparse.Namespace, server: ServerProcess, show: Progress) -> int:
    run = Soak(f"ws://127.0.0.1:{server.port}/")
    run.memory["at the start"] = server.rss()
    await some_at_a_time(
        [run.open_idle(number) for number in range(options.connections)], show, "connections"
    )
    run.memory["all connected"] = server.rss()
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    first = options.connections
    busy = [asyncio.create_task(run.talk(number)) for number in range(first, first + options.busy)]

    begin = time.monotonic()
    after_a_minute = min(60.0, options.seconds / 3)
    while (passed := time.monotonic() - begin) < options.seconds:
        if passed >= after_a_minute and "after a minute" not in run.memory:
            run.memory["after a minute"] = server.rss()
        if ended := sum(ws.state is not State.OPEN for ws in run.idle):
            run.failed(f"{ended} idle connections ended by themselves")
            break
        if ended := sum(task.done() for task in busy):
            run.failed(f"{ended} busy connections ended by themselves")
            break
        show(f"{run.messages:,} messages, {server.rss():.0f} MiB, {sum(run.errors.values())} errors")
        await asyncio.sleep(1)
    run.memory["at the end"] = server.rss()
    seconds = time.monotonic() - begin
    counted = await server.ask()
    if counted["connections"] != options.connections + options.busy:
        run.failed(f"the server has {counted['connections']} connections")
    if counted["errors"]:
        run.failed(f"the server logged {counted['errors']} errors")
    run.stopping = True
    await asyncio.gather(*busy)
    watching.cancel()
    await some_at_a_time([run.check_idle(ws) for ws in run.idle], show, "ended")
    left = await server.end()
    if any(left.values()):
        run.failed(f"left behind at the server: {left}")

    growth = run.memory["at the end"] - run.memory.get("after a minute", run.memory["all connected"])
    if growth > options.growth:
        run.failed(f"the server grew by more than {options.growth:g} MiB")
    each = (run.memory["all connected"] - run.memory["at the start"]) * 1024 / max(1, options.connections)
    rows = [
        ("wsfast", f"{wsfast.__version__} ({wsfast.backend}), Python {sys.version.split()[0]}"),
        ("idle connections", f"{len(run.idle):,}"),
        ("busy connections", options.busy),
        ("seconds", f"{seconds:.0f}"),
        ("messages there and back", f"{run.messages:,}, {run.messages / seconds:,.0f} a second"),
        ("bytes of them, each way", f"{run.size / (1 << 20):,.0f} MiB"),
        *((f"server's memory {when}", f"{mib:.1f} MiB") for when, mib in run.memory.items()),
        ("memory of an idle connection", f"{each:.1f} KiB"),
        ("growth after the first minute", f"{growth:+.1f} MiB, {options.growth:g} allowed"),
        ("lateness of the server's loop", milliseconds(counted["lag"])),
        ("lateness of the clients' loop", milliseconds(lag.report())),
        ("errors", sum(run.errors.values())),
    ]
    print(f"\n{table(rows)}")
    for error, count in run.errors.most_common(20):
        print(f"  {count} x {error}")
    return int(bool(run.errors))


def milliseconds(lag: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g} ms" for name, value in lag.items())


async def idle(options: argparse.Namespace) -> int:
    files = raise_file_limit()
    wanted = options.connections + options.busy + OTHER_FILES
    if files < wanted:
        print(f"{wanted} open files are needed, and {files} allowed: ulimit -Hn", file=sys.stderr)
        return 2
    async with server_process() as server:
        return await soak(options, server, Progress())


# ---- Restarts ------------------------------------------------------------------------------------------


async def through_restarts(options: argparse.Namespace) -> int:
    raise_file_limit()
    counts = await restarts(options.clients, options.restarts, options.load, Progress())
    rows = [
        ("wsfast", f"{wsfast.__version__} ({wsfast.backend}), Python {sys.version.split()[0]}"),
        ("clients", counts.clients),
        ("times the server was killed", counts.restarts),
        ("connections made", f"{counts.connected}, {counts.clients * (counts.restarts + 1)} at least"),
        ("connections that were cut off", counts.interrupted),
        ("messages there and back", f"{counts.echoes:,}"),
        ("clients lost", counts.lost),
        ("errors", len(counts.errors)),
    ]
    print(f"\n{table(rows)}")
    for error in counts.errors[:20]:
        print(f"  {error}")
    return int(not counts.good)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    add = modes.add_parser("idle", help="many idle connections and some busy ones").add_argument
    add("--connections", type=int, default=10_000, metavar="N", help="idle ones; default: %(default)s")
    add("--busy", type=int, default=100, metavar="N", help="busy ones; default: %(default)s")
    add("--seconds", type=float, default=600, metavar="S", help="how long; default: %(default)s")
    add(
        "--growth",
        type=float,
        default=16,
        metavar="MIB",
        help="how much the server may grow after the first minute; default: %(default)s",
    )
    add = modes.add_parser("restarts", help="a server that is killed and started again").add_argument
    add("--clients", type=int, default=200, metavar="M", help="default: %(default)s")
    add("--restarts", type=int, default=3, metavar="K", help="default: %(default)s")
    add("--load", type=float, default=5, metavar="S", help="seconds before each; default: %(default)s")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(idle(options) if options.mode == "idle" else through_restarts(options))
    return 130


if __name__ == "__main__":
    sys.exit(main())
