"""What the tests of examples/programs share: programs as processes, and clients that wait for something."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pytest
from talking import unused_port

import wsfast
from wsfast.asyncio import ClientConnection, connect

PROGRAMS = Path(__file__).parents[1] / "examples" / "programs"
#: Seconds to wait for what comes sooner or later. No test asks how soon.
DEADLINE = 60.0

MARKS = [
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason="not run from a checkout"),
    pytest.mark.thread_unsafe(reason="each test has processes of its own"),
]


class Lines:
    """The lines that a process writes, read by a thread so that none blocks it."""

    def __init__(self, stream: IO[str]) -> None:
        self.all: list[str] = []
        self._new: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.all.append(line)
                self._new.put(line)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of the next line that has one."""
        while True:
            try:
                line = self._new.get(timeout=DEADLINE)
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in {self.all}") from None
            match = re.search(pattern, line)
            if match:
                return match

    def rest(self) -> str:
        """Return all that was written, after the process's end."""
        self._thread.join(DEADLINE)
        return "".join(self.all)


class Program:
    """A program of examples/programs, listening at a free port; at the end it has to end cleanly."""

    def __init__(self, name: str, *arguments: str, processes: int = 1, quiet: bool = True) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WSFAST_")}
        # With the backend that the tests run with.
        chosen = {k: v for k, v in os.environ.items() if k == "WSFAST_EXTENSION"}
        path = [str(Path(wsfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._quiet = quiet
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(PROGRAMS / f"{name}.py"), "--port", "0", *arguments],
            env={**inherited, **chosen, "PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.output, self.errors = Lines(self.process.stdout), Lines(self.process.stderr)
        try:
            for _ in range(processes):
                match = self.output.wait_for(rf"^{name} on (http://(127\.0\.0\.1:\d+)/)$")
        except BaseException:
            self.process.kill()
            self.process.wait()
            print(self.errors.rest(), file=sys.stderr)
            raise
        self.page = match[1]
        self.websocket = f"ws://{match[2]}/ws"

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        errors = self.errors.rest()
        if error is not None:
            print(errors, file=sys.stderr)
        elif os.name == "posix":
            assert code == 0, errors
            assert not (errors and self._quiet), errors

    def interrupt(self) -> None:
        """End it as ^C does."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(DEADLINE) == 0

    def get(self, target: str) -> tuple[str, dict[str, str]]:
        """Return a page and its header fields."""
        with urllib.request.urlopen(self.page.rstrip("/") + target, timeout=DEADLINE) as answer:
            return answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}


class Client:
    """A client of a program that speaks JSON."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, uri: str, **options: Any) -> AsyncIterator[Client]:
        ws = await connect(uri, proxy=None, open_timeout=DEADLINE, **options)
        try:
            yield cls(ws)
        finally:
            await ws.close()

    async def tell(self, **message: object) -> None:
        await self.ws.send(json.dumps(message))

    async def hear(self, type: str | None, wanted: Callable[[Any], bool] = lambda event: True) -> Any:
        """Return the next message of a type, as JSON, for which a condition holds."""
        async for message in self.ws:
            if isinstance(message, str):
                event = json.loads(message)
                if event.get("type") == type and wanted(event):
                    return event
        raise AssertionError("the connection was closed")

    async def frame(self) -> bytes:
        """Return the next binary message."""
        async for message in self.ws:
            if isinstance(message, bytes):
                return message
        raise AssertionError("the connection was closed")


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 2 * DEADLINE))


def needs_redis() -> None:
    """Skip a test where there is no Redis to start."""
    pytest.importorskip("redis")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")


@contextlib.contextmanager
def redis_server(folder: Path, port: int | None = None) -> Iterator[tuple[int, str]]:
    """Run a Redis of our own, which writes nothing; its port and URL."""
    for _ in range(5):
        chosen = port or unused_port()
        process = subprocess.Popen(
            [
                "redis-server",
                "--bind",
                "127.0.0.1",
                "--port",
                str(chosen),
                "--save",
                "",
                "--appendonly",
                "no",
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert process.stdout is not None
        output = Lines(process.stdout)
        try:
            match = output.wait_for("Ready to accept connections|Failed listening|bind: ")
            if match[0].startswith("Ready"):
                yield chosen, f"redis://127.0.0.1:{chosen}"
                return
        finally:
            process.kill()
            process.wait()
            output.rest()
        # Somebody else took the port meanwhile.
    raise AssertionError("no Redis could be started")
