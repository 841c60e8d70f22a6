"""Where tests of endpoints run that are about both ends' behaviour: each backend, on each event loop.

A setting has the names of ``wsfast.asyncio`` for its backend: the twin's are those of a second one, imported
beside the first, over the twin's protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from implementations import Implementation, implementation_names

import wsfast.asyncio
import wsfast.connection

__all__ = ["DEADLINE", "SETTINGS", "Setting", "until"]

#: Seconds for a test, of which none needs more than two: what takes longer hangs.
DEADLINE = 60.0


def sockets() -> int:
    """Return how many sockets this process has open, where that is easy to tell, else 0."""
    count = 0
    with contextlib.suppress(OSError):
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                count += os.readlink(path).startswith("socket:")
    return count


@functools.cache
def endpoints(backend: str) -> ModuleType:
    """Return wsfast.asyncio on a backend, ``c`` or ``python``."""
    if wsfast.backend == backend:
        return wsfast.asyncio
    twin = Implementation("python")
    names = [name for name in sys.modules if name.startswith("wsfast.asyncio")]
    kept = {name: sys.modules.pop(name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wsfast, "asyncio", wsfast.asyncio)  # which the import replaces
        patch.setattr(wsfast._backend, "Endpoint", twin.Endpoint)
        patch.setattr(wsfast.connection, "Connection", twin.Connection)
        try:
            return importlib.import_module("wsfast.asyncio")
        finally:
            for name in [name for name in sys.modules if name.startswith("wsfast.asyncio")]:
                del sys.modules[name]
            sys.modules.update(kept)


class Setting:
    """A backend, an event loop, and whose transports.

    Args:
        backend: ``c`` or ``python``.
        loop: ``asyncio`` or ``uvloop``.
        transports: ``own`` for those of the loop, or ``aiofastnet``.

    Attributes:
        asyncio: wsfast.asyncio on that backend.

    """

    def __init__(self, backend: str, loop: str, transports: str) -> None:
        self.backend, self.loop, self.transports = backend, loop, transports
        self.asyncio: Any = None

    def __str__(self) -> str:
        parts = [self.backend, self.loop] + [self.transports] * (self.transports != "own")
        return "-".join(parts)

    @contextlib.contextmanager
    def ready(self) -> Iterator[Setting]:
        """Make it ready, or skip the test if what it needs is not here."""
        if self.backend == "c" and len(implementation_names()) == 1:
            pytest.skip("there is no compiled backend")
        if self.loop == "uvloop":
            pytest.importorskip("uvloop")
        compiled = pytest.importorskip("aiofastnet") if self.transports == "aiofastnet" else None
        self.asyncio = endpoints(self.backend)
        transports = self.asyncio._transports
        before, transports._compiled = transports._compiled, compiled
        try:
            yield self
        finally:
            transports._compiled = before

    def new_loop(self) -> asyncio.AbstractEventLoop:
        made: asyncio.AbstractEventLoop
        if self.loop == "uvloop":
            made = importlib.import_module("uvloop").new_event_loop()
        else:
            made = asyncio.new_event_loop()
        made.set_debug(True)
        made.slow_callback_duration = DEADLINE  # a busy machine is no fault of what is tested
        return made

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine; it may leave neither a task, nor a socket, nor an exception that nobody saw."""
        unseen: list[dict[str, Any]] = []
        loop = self.new_loop()

        async def checked() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
            others, before = asyncio.all_tasks(), sockets()
            result = await main
            assert not asyncio.all_tasks() - others
            gc.collect()
            # What closes a socket is a matter of some turns of the loop.
            await until(lambda: sockets() <= before)
            return result

        try:
            result = loop.run_until_complete(asyncio.wait_for(checked(), DEADLINE))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
        assert not unseen
        return result

    # ---- What most tests begin with ------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serving(self, handler: Any = None, **options: Any) -> AsyncIterator[tuple[str, Any]]:
        if handler is None and "on_message" not in options:
            handler = echo
        async with self.asyncio.serve(handler, "127.0.0.1", 0, **options) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", server

    def connect(self, uri: str, **options: Any) -> Any:
        return self.asyncio.connect(uri, proxy=None, **options)


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


async def until(condition: Any) -> None:
    """Wait for a condition; the deadline is the test's."""
    while not condition():
        await asyncio.sleep(0.005)


SETTINGS = [
    Setting("c", "asyncio", "own"),
    Setting("c", "asyncio", "aiofastnet"),
    Setting("c", "uvloop", "own"),
    Setting("c", "uvloop", "aiofastnet"),
    Setting("python", "asyncio", "own"),
    Setting("python", "uvloop", "own"),
]
