"""The loopback part of ``python -m wsfast bench``: libraries as they are, against the same with wsfast.

Two processes run the same program of :mod:`wsfast.cli.hosts`, one of them after ``wsfast.install()``.
This process is the peer of both, on plain sockets and with wsfast, so that its own work is small and the
same for both. What counts is the CPU time of theirs. Blocks of messages go to the one and the other in
turn, in pairs, each pair in the other order than the one before; a ratio is that of a pair. The programs are
started anew now and then, so that the chances of one process do not make the figures.

Where the system lets it, the programs have a processor to themselves while messages stream. For a
ping-pong this process shares it with them: to wake another processor up can cost more than the message
does, on a virtual machine ten times as much, and would be all that is seen. glibc is told to keep the
memory that the programs free: by default it gives it back to the system and asks for it again with every
read or not at all, as chance arranged the heap, which doubles the time of a short message.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import Close, Connection, Deflate, Request
from .hosts import BUFFER, PROGRAMS, Program, text

__all__ = ["SIZES", "TRAFFIC", "available", "measure", "measure_all"]

_TIMEOUT = 60.0
# How often the programs are started.
_LAUNCHES = 3
# The largest that it takes.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
SIZES = (64, 4096, 1 << 20)
TRAFFIC = ("receive", "send", "ping-pong")


class HostError(Exception):
    """A program did not do what it should."""


class _Peer:
    """The other end of a connection to a program."""

    def __init__(self, connected: socket.socket, role: str, compress: bool) -> None:
        self.socket = connected
        self.socket.settimeout(_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        options = Deflate() if compress else None
        if role == "client":
            self.connection = Connection(role, "ws://127.0.0.1/", compression=options)
        else:
            self.connection = Connection(role, origins=None, compression=options)
        self.waiting: list[Any] = []
        self._write(self.connection.data_to_send())
        while self.connection.state.value != "open":
            for event in self._read():
                if isinstance(event, Request):
                    self._write(self.connection.accept())
        if compress and self.connection.deflate is None:
            raise HostError("it does not agree to compress")
        # What is sent again and again: each message by itself, small ones compressed too, as others do.
        alone = Deflate(threshold=0, client_no_context_takeover=True, server_no_context_takeover=True)
        extensions = str(self.connection.deflate or "")
        self.encoder = Connection.established(role, extensions=extensions, compression=alone)

    def _write(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _read(self) -> list[Any]:
        data = self.socket.recv(1 << 18)
        if not data:
            raise HostError(f"it closed the connection: {self.connection.receive_eof()}")
        events = self.connection.receive_data(data)
        if events and isinstance(events[-1], Close):
            raise HostError(f"it closed the connection: {events[-1]}")
        if answer := self.connection.data_to_send():
            self._write(answer)
        return events

    def next(self) -> Any:
        """Return the next message."""
        while not self.waiting:
            self.waiting = [event for event in self._read() if isinstance(event, (str, bytes))][::-1]
        return self.waiting.pop()

    def command(self, command: str) -> None:
        self._write(self.connection.send_text(command, compress=False))

    def cpu(self) -> float:
        """The CPU time of the program, in seconds, once it has dealt with all that was sent."""
        self.command("!cpu")
        return float(self.next())

    def receive(self, message: str, count: int) -> None:
        """The program receives messages one behind the other."""
        frame = self.encoder.send_text(message)
        at_once = max(1, min(count, (1 << 18) // len(frame)))
        block = frame * at_once
        for _ in range(count // at_once):
            self._write(block)
        self._write(frame * (count % at_once))

    def send(self, message: str, count: int) -> None:
        """The program sends messages one behind the other."""
        self.command(f"!send {count} {len(message)}")
        for _ in range(count):
            if self.next() != message:
                raise HostError("it sent something else")

    def ping_pong(self, message: str, count: int) -> None:
        """One message at a time, there and back."""
        frame = self.encoder.send_text(message)
        for _ in range(count):
            self._write(frame)
            if self.next() != message:
                raise HostError("it sent back something else")

    def timed(self, traffic: str, message: str, count: int) -> float:
        """The program's CPU time for a message, in seconds."""
        start = self.cpu()
        getattr(self, traffic.replace("-", "_"))(message, count)
        return (self.cpu() - start) / count

    def close(self) -> None:
        with self.socket, contextlib.suppress(OSError):
            self._write(self.connection.close())
            while self.socket.recv(1 << 16):
                pass


def available() -> list[str]:
    """The programs whose libraries are installed and adapted."""
    return [name for name, program in PROGRAMS.items() if program.versions is not None and program.adapted]


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def _processors() -> Iterator[list[int]]:
    """The processors of this process, where it can choose among several; it has them again in the end."""
    mine = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    try:
        yield mine if len(mine) > 1 else []
    finally:
        if mine:
            os.sched_setaffinity(0, mine)


@contextlib.contextmanager
def _running(name: str, install: bool, processors: Sequence[int] = ()) -> Iterator[Callable[[bool], _Peer]]:
    """Run a program, on the first of some processors; what makes a connection to it, compressed or not.

    A server has one process for all connections, a client one for each.
    """
    environ = {**_MALLOC, **os.environ}
    # This wsfast, also when it is run from its checkout.
    environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parents[2]), *filter(None, [environ.get("PYTHONPATH")])]
    )
    arguments = [sys.executable, "-m", "wsfast.cli.hosts", name, *["--install"][: int(install)]]
    program = PROGRAMS[name]
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))

        def start(*more: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*arguments, *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environ,
                text=True,
                # Ctrl-C is for this process, which ends the programs by closing their input.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            stack.callback(_end, process)
            if processors:
                os.sched_setaffinity(process.pid, processors[:1])
            return process

        def connect_server(compress: bool) -> _Peer:
            return _Peer(_connect(port), "client", compress)

        def await_client(compress: bool) -> _Peer:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                listening.settimeout(_TIMEOUT)
                start("--connect", str(listening.getsockname()[1]))
                return _Peer(listening.accept()[0], "server", compress)

        try:
            if program.client:
                yield await_client
            else:
                output = start().stdout
                line = output.readline() if output is not None else ""
                if not line:
                    raise HostError("it did not start")
                port = int(line)
                yield connect_server
        except (HostError, OSError) as exc:
            errors.seek(0)
            last = errors.read().strip().rpartition("\n")[2]
            raise HostError(f"{exc}{last and ': '}{last}") from None


def _end(process: subprocess.Popen[str]) -> None:
    """Close a program's input, so that it ends."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def measure(
    name: str, quick: bool, progress: Callable[[str], object], pairs: int = 5
) -> list[dict[str, Any]]:
    """Measure one program, with the library as it is and with wsfast.

    Args:
        name: the program, one of :data:`wsfast.cli.hosts.PROGRAMS`.
        quick: only messages of 64 B and 4 KiB, uncompressed, in small blocks.
        progress: is told what is being measured.
        pairs: how often each is measured.

    Returns:
        Entries with ``program``, ``traffic``, ``bytes`` and ``compressed``; the CPU times of each block
        in seconds a message, ``stock`` and ``wsfast``; ``ratio``, the median of the pairs' ``stock`` /
        ``wsfast``, ``least`` and ``most``, their range.

    Raises:
        HostError: the program does not start, or does something else than it should.

    """
    # Of a process that is started anew some things are different: where its memory is, to begin with.
    launches = min(_LAUNCHES, pairs)
    times: dict[tuple[bool, str, int], list[list[float]]] = {}
    for launch in range(launches):
        some = range(launch * pairs // launches, (launch + 1) * pairs // launches)
        _measure_launch(name, quick, progress, some, pairs, times)
    return [_result(name, traffic, size, compress, both) for (compress, traffic, size), both in times.items()]


def _measure_launch(
    name: str,
    quick: bool,
    progress: Callable[[str], object],
    some: range,
    pairs: int,
    times: dict[tuple[bool, str, int], list[list[float]]],
) -> None:
    """Start the programs, and measure some of the pairs."""
    budget = 0.03 if quick else 0.1
    program: Program = PROGRAMS[name]
    with (
        _processors() as processors,
        _running(name, False, processors) as stock,
        _running(name, True, processors) as ours,
    ):
        for compress in [False] if quick or not program.compresses else [False, True]:
            with contextlib.ExitStack() as sockets:
                both = [sockets.enter_context(contextlib.closing(c(compress))) for c in (stock, ours)]
                for traffic in TRAFFIC:
                    if processors:
                        shared = traffic == "ping-pong"
                        os.sched_setaffinity(0, processors[:1] if shared else processors[1:])
                    for peer in both:
                        peer.command("!echo" if traffic == "ping-pong" else "!sink")
                    for size in SIZES[:2] if quick else SIZES:
                        what = f"{program.title}, {traffic} {size} B{', compressed' if compress else ''}"
                        progress(f"{what}: warming up")
                        message = text(size)
                        small = max(30, 20_000 // size)
                        each = max(peer.timed(traffic, message, small) for peer in both)
                        count = max(3, min(20_000, int(budget / max(each, 1e-6))))
                        sides = times.setdefault((compress, traffic, size), [[], []])
                        for pair in some:
                            progress(f"{what}: pair {pair + 1} of {pairs}")
                            for side in (0, 1) if pair % 2 else (1, 0):
                                sides[side].append(both[side].timed(traffic, message, count))


def _result(name: str, traffic: str, size: int, compress: bool, times: list[list[float]]) -> dict[str, Any]:
    ratios = [before / max(after, 1e-9) for before, after in zip(*times, strict=True)]
    return {
        "program": name,
        "traffic": traffic,
        "bytes": size,
        "compressed": compress,
        "stock": times[0],
        "wsfast": times[1],
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def measure_all(
    names: list[str], quick: bool, progress: Callable[[str], object], pairs: int = 5
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Measure several programs; the entries of all, and what went wrong with which."""
    entries: list[dict[str, Any]] = []
    failures = {}
    for name in names:
        try:
            entries += measure(name, quick, progress, pairs)
        except HostError as exc:
            failures[name] = str(exc)
    return entries, failures
