"""``python -m wsfast load``: how much a WebSocket server that echoes can take."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from ._arguments import (
    SHARED_HELP,
    add_options,
    client_options,
    complain,
    explain,
    natural,
    positive,
    seconds,
)
from ._output import Progress, output, say

if TYPE_CHECKING:
    from ..asyncio import ClientConnection

__all__ = ["Latencies", "configure", "execute"]

#: How many handshakes are under way at a time.
_AT_ONCE = 64
#: Different messages that a connection sends in turn, so that one that is lost or doubled shows.
_VARIANTS = 61
#: With --rate, how many may be unanswered on a connection before it waits.
_MOST_UNANSWERED = 1000
#: Seconds to wait for the answers to what was sent last.
_LAST_ANSWERS = 5.0
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = f"""\
Open connections to a WebSocket server that echoes, send messages, compare what comes back, and print
messages per second and latencies. {SHARED_HELP}
Without --rate, each connection keeps --in-flight messages under way: what the server can take. With
--rate, messages go out at fixed times, and a latency counts from the time at which its message was due,
whether or not it could be sent then: what users of a busy server see.

This client needs about as much of a processor as the server does; keep it on another core or machine. When
a load from one process is not enough, run several.
"""
    parser.epilog = """\
examples:
  %(prog)s ws://localhost:8765/
  %(prog)s --connections 1000 --rate 10 --size 256 ws://localhost:8765/
  %(prog)s --in-flight 32 --duration 30 --json - ws://localhost:8765/

exit status: 0 when every message came back, 1 when not, 2 for a wrong argument.
"""
    add_options(parser)
    add = parser.add_argument
    add("-c", "--connections", metavar="N", type=positive, default=10, help="by default %(default)s")
    add("-r", "--rate", metavar="R", type=seconds, default=0.0, help="messages a second on each connection")
    add(
        "-f",
        "--in-flight",
        metavar="N",
        type=positive,
        default=1,
        help="without --rate; by default %(default)s",
    )
    add("--size", metavar="BYTES", type=natural, default=64, help="of a message, by default %(default)s")
    add("--binary", action="store_true", help="binary messages; by default text")
    add("-d", "--duration", metavar="S", type=seconds, default=10.0, help="by default %(default)g s")
    add("--json", metavar="FILE", help="write the figures as JSON; '-' for standard output")


def execute(options: argparse.Namespace) -> int:
    """Put the load on the server, and print the figures."""
    if not 0 < options.duration < math.inf:
        say("python -m wsfast load: --duration must be more than 0, and have an end")
        return 2
    load = _Load(options)
    progress = Progress()
    try:
        asyncio.run(load.run(progress))
    finally:
        progress.end()
    if not load.lanes:
        error = load.first_error or ConnectionError("no connection could be opened")
        return complain("load", error)
    figures = load.figures()
    try:
        with output():
            if options.json == "-":
                print(json.dumps(figures, indent=2))
            else:
                _print_table(figures)
        if options.json not in (None, "-"):
            with open(options.json, "w", encoding="utf-8") as file:
                print(json.dumps(figures, indent=2), file=file)
    except OSError as exc:
        return complain("load", exc)
    return 1 if figures["errors"] or figures["unanswered"] else 0


class Latencies:
    """Durations, counted in steps that are 1 % wide, however many there are."""

    _STEP = math.log(1.01)
    _SMALLEST = 1e-7

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count one, in seconds."""
        self.counts[int(math.log(max(value, self._SMALLEST) / self._SMALLEST) / self._STEP)] += 1
        self.largest = max(self.largest, value)

    def quantile(self, share: float) -> float:
        """Return what this share of all does not exceed, within 1 %; 0 of none."""
        due = share * self.counts.total()
        seen = 0
        for step in sorted(self.counts):
            seen += self.counts[step]
            if seen >= due:
                return min(self._SMALLEST * math.exp((step + 1) * self._STEP), self.largest)
        return 0.0


class _Load:
    def __init__(self, options: argparse.Namespace) -> None:
        from ..asyncio import ConnectionClosed

        self.options = options
        #: What sending raises after the end: not imported for each message.
        self.closed: type[Exception] = ConnectionClosed
        self.lanes: list[_Lane] = []
        self.errors: Counter[str] = Counter()
        self.first_error: BaseException | None = None
        self.latencies = Latencies()
        self.answered = 0
        self.opening = 0.0
        self.took = 0.0
        self.in_time = 0
        self.sending = False
        self.messages = _messages(options.size, options.binary)

    async def run(self, progress: Progress) -> None:
        start = time.perf_counter()
        await self._open(progress)
        self.opening = time.perf_counter() - start
        if not self.lanes:
            return
        self.sending = True
        start = time.perf_counter()
        for number, lane in enumerate(self.lanes):
            # With a rate, not all at the same time.
            lane.start(number / len(self.lanes))
        before, duration = 0, self.options.duration
        while self.sending:
            await asyncio.sleep(min(1.0, max(0.0, duration - (time.perf_counter() - start))))
            now = time.perf_counter() - start
            self.sending = now < duration and any(not lane.over for lane in self.lanes)
            progress(
                f"load: {now:.0f} of {duration:g} s, {self.answered - before:,} messages a second"
                f", p99 {1000 * self.latencies.quantile(0.99):.2f} ms, errors: {self.errors.total()}"
            )
            before = self.answered
        self.took = time.perf_counter() - start
        # Those that came back in time; the others must come, too.
        self.in_time = self.answered
        deadline = time.perf_counter() + _LAST_ANSWERS
        while any(lane.sent and not lane.over for lane in self.lanes) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        for lane in self.lanes:
            lane.stop()
        await asyncio.gather(*[lane.ws.close() for lane in self.lanes])

    async def _open(self, progress: Progress) -> None:
        free = asyncio.Semaphore(_AT_ONCE)
        options = client_options(self.options)

        async def open_one() -> None:
            from ..asyncio import ProxyError, connect
            from ..errors import HandshakeError

            async with free:
                lane = _Lane(self)
                try:
                    lane.ws = await connect(
                        self.options.uri, on_message=lane.on_message, on_close=lane.on_close, **options
                    )
                except (HandshakeError, ProxyError, OSError, TimeoutError, ValueError) as exc:
                    self.error(exc)
                    return
                self.lanes.append(lane)
                progress(f"connecting: {len(self.lanes)} of {self.options.connections}")

        await asyncio.gather(*[open_one() for _ in range(self.options.connections)])

    def error(self, error: BaseException) -> None:
        self.first_error = self.first_error or error
        self.errors[explain(error)] += 1

    def figures(self) -> dict[str, Any]:
        milliseconds = {name: 1000 * self.latencies.quantile(share) for name, share in _QUANTILES.items()}
        return {
            "connections": len(self.lanes),
            "opening_seconds": self.opening,
            "seconds": self.took,
            "messages": self.answered,
            "messages_per_second": self.in_time / self.took,
            "bytes_per_second": self.in_time / self.took * self.options.size,
            "latency_ms": {**milliseconds, "max": 1000 * self.latencies.largest},
            "unanswered": sum(len(lane.sent) for lane in self.lanes),
            "errors": dict(self.errors),
        }


class _Lane:
    """One connection, and what is under way on it."""

    ws: ClientConnection

    def __init__(self, load: _Load) -> None:
        self.load = load
        # When the messages that are unanswered were sent, or due.
        self.sent: deque[float] = deque()
        self.next_out = self.next_in = 0
        self.over = False
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def start(self, offset: float) -> None:
        if self.over:
            return
        rate = self.load.options.rate
        if rate:
            self.due = time.perf_counter() + offset / rate
            self.tick()
        else:
            for _ in range(self.load.options.in_flight):
                self.send(time.perf_counter())

    def tick(self) -> None:
        """Send what is due, and come again for the next."""
        now = time.perf_counter()
        while self.due <= now and len(self.sent) < _MOST_UNANSWERED and self.load.sending and not self.over:
            self.send(self.due)
            self.due += 1 / self.load.options.rate
        if self.load.sending and not self.over:
            self.timer = self.ws.loop.call_later(max(self.due - now, 0.001), self.tick)

    def send(self, when: float) -> None:
        messages = self.load.messages
        self.sent.append(when)
        try:
            self.ws.send_nowait(messages[self.next_out])
        except self.load.closed as exc:
            self.ended(exc)
            return
        self.next_out = (self.next_out + 1) % len(messages)

    def on_message(self, ws: ClientConnection, message: str | bytes) -> None:
        load = self.load
        if not self.sent or message != load.messages[self.next_in]:
            self.ended(ValueError("what came back is not what was sent: the server does not echo"))
            return
        now = time.perf_counter()
        load.latencies.add(now - self.sent.popleft())
        load.answered += 1
        self.next_in = (self.next_in + 1) % len(load.messages)
        if load.sending and not load.options.rate:
            self.send(now)

    def on_close(self, ws: ClientConnection) -> None:
        self.ended(ConnectionError(f"connection closed: {ws._closed()}"))

    def ended(self, error: BaseException) -> None:
        """Take note that nothing more comes of this connection."""
        if not self.over:
            self.over = True
            self.load.error(error)

    def stop(self) -> None:
        self.over = True
        if self.timer is not None:
            self.timer.cancel()


def _messages(size: int, binary: bool) -> list[str] | list[bytes]:
    """Make the messages that a connection sends in turn."""
    # Fewer of long ones: together they take 16 MiB, or what two of them take.
    count = max(2, min(_VARIANTS, (1 << 24) // max(size, 1)))
    texts = [f"{number:02d} {'wsfast load ' * (size // 12 + 1)}"[:size] for number in range(count)]
    return [text.encode() for text in texts] if binary else texts


def _print_table(figures: dict[str, Any]) -> None:
    latency = figures["latency_ms"]
    rows = [
        ("connections", f"{figures['connections']:,}, opened in {figures['opening_seconds']:.2f} s"),
        (
            "messages",
            f"{figures['messages']:,} there and back, {figures['messages_per_second']:,.0f} a second,"
            f" {figures['bytes_per_second'] / 1e6:,.2f} MB/s each way",
        ),
        ("latency", "   ".join(f"{name} {value:.3g} ms" for name, value in latency.items())),
        ("unanswered", f"{figures['unanswered']:,}"),
    ]
    for name, value in rows:
        print(f"{name:<12} {value}")
    for what, count in figures["errors"].items():
        print(f"{'error':<12} {count:,} x {what}")
