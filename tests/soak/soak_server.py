"""The server of the soak tests, in a process of its own: ``python soak_server.py [--port PORT]``.

Prints its port. Then, whenever it is sent a line, what it has counted, as a line of JSON; it closes its
connections and ends when its standard input does. :class:`ServerProcess` is how that is used.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from wsfast.asyncio import ServerConnection, serve

#: Seconds between two looks at how late the event loop is.
LAG_INTERVAL = 0.1
#: Seconds for the server to start, to answer and to end.
TIMEOUT = 120.0


class Lag:
    """How late an event loop is with what it has to do."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self.seen.append(loop.time() - due)

    def report(self) -> dict[str, float]:
        """Return the median, one of a hundred, and the longest, in milliseconds."""
        lags = sorted(self.seen) or [0.0]
        at = {"median": len(lags) // 2, "p99": len(lags) * 99 // 100, "max": len(lags) - 1}
        return {name: round(lags[index] * 1000, 1) for name, index in at.items()}


def raise_file_limit() -> int:
    """Let this process have as many open files as it may; how many that is."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 1 << 20
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


class _Errors(logging.Handler):
    """Counts what is logged, and shows it."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        print(self.format(record), file=sys.stderr)


async def run(port: int, name: str) -> None:
    errors, lag = _Errors(logging.WARNING), Lag()
    logging.getLogger().addHandler(errors)
    messages = 0

    async def echo(ws: ServerConnection) -> None:
        nonlocal messages
        if name:
            await ws.send(name)
        async for message in ws:
            messages += 1
            await ws.send(message)

    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(lag.watch())
    async with serve(echo, "127.0.0.1", port, backlog=1024) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            counted = {
                "connections": len(server.connections),
                "messages": messages,
                "errors": errors.count,
                "lag": lag.report(),
            }
            print(json.dumps(counted), flush=True)
    watching.cancel()
    left = asyncio.all_tasks() - {asyncio.current_task(), watching}
    print(json.dumps({"connections": len(server._connections), "tasks": len(left)}), flush=True)


class ServerProcess:
    """That program, from outside."""

    def __init__(self, port: int = 0, name: str = "") -> None:
        self.command = [sys.executable, __file__, "--port", str(port), "--name", name]
        self.port = port

    async def start(self) -> None:
        # It has to find the same wsfast.
        import wsfast

        path = [str(Path(wsfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )
        self.port = int(await self._line())

    async def _line(self) -> bytes:
        if self.process.stdout is None:
            raise TypeError("no pipe")
        return await asyncio.wait_for(self.process.stdout.readline(), TIMEOUT)

    async def ask(self) -> dict[str, Any]:
        """Return what it has counted."""
        if self.process.stdin is None:
            raise TypeError("no pipe")
        self.process.stdin.write(b"\n")
        counted: dict[str, Any] = json.loads(await self._line())
        return counted

    async def end(self) -> dict[str, Any]:
        """Have it close its connections and end; what is left of them."""
        if self.process.stdin is None:
            raise TypeError("no pipe")
        self.process.stdin.close()
        left: dict[str, Any] = json.loads(await self._line())
        await asyncio.wait_for(self.process.wait(), TIMEOUT)
        return left

    async def kill(self) -> None:
        """End it as if the power had failed."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()

    def rss(self) -> float:
        """Return how much memory it has, in MiB."""
        command = ["ps", "-o", "rss=", "-p", str(self.process.pid)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1024


@contextlib.asynccontextmanager
async def server_process(port: int = 0, name: str = "") -> AsyncIterator[ServerProcess]:
    """Start a server, and see to it that it is gone behind the block."""
    server = ServerProcess(port, name)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The server of the soak tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="", help="what it tells every client first")
    options = parser.parse_args()
    raise_file_limit()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(options.port, options.name))
