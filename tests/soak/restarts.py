"""A server that is killed and started again under load, and clients that come back by ``async for``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soak_server import ServerProcess

from wsfast.asyncio import ConnectionClosed, connect

#: Seconds for all clients to have come back; it takes one or two.
PATIENCE = 120.0


@dataclass
class Counts:
    """What became of the clients.

    Attributes:
        clients: how many there are.
        restarts: how often the server was killed.
        connected: how many connections were made.
        interrupted: how many of them ended because the server was killed.
        echoes: how many messages came back.
        lost: clients whose task ended early, or did not end when it was told to.
        errors: what went wrong.

    """

    clients: int
    restarts: int
    connected: int = 0
    interrupted: int = 0
    echoes: int = 0
    lost: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        enough = self.connected >= self.clients * (self.restarts + 1)
        return enough and self.lost == 0 and not self.errors


class Client:
    """One client: it talks until it is told to stop, to whatever server there is.

    Attributes:
        met: the servers that have answered it, by name.

    """

    def __init__(self, uri: str, counts: Counts) -> None:
        self.uri, self.counts = uri, counts
        self.met: set[str] = set()
        self.stopping = False

    async def run(self) -> None:
        # Soon, and not all at once.
        delays = lambda: (random.uniform(0.02, 0.2) for _ in itertools.count())  # noqa: E731
        connecting = connect(self.uri, reconnect_delays=delays, proxy=None)
        async with contextlib.aclosing(aiter_of(connecting)) as connections:
            async for ws in connections:
                self.counts.connected += 1
                try:
                    await self.talk(ws)
                except ConnectionClosed:
                    self.counts.interrupted += 1
                if self.stopping:
                    return

    async def talk(self, ws: Any) -> None:
        name = await ws.recv()
        while not self.stopping:
            message = f"{random.random()} to {name} " * random.choice([1, 10, 1000])
            await ws.send(message)
            if await ws.recv() != message:
                self.counts.errors.append("another message came back")
            self.counts.echoes += 1
            self.met.add(name)
            await asyncio.sleep(random.uniform(0, 0.02))


def aiter_of(connecting: connect) -> Any:
    return connecting.__aiter__()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def all_have(
    clients: list[Client], tasks: list[asyncio.Task[None]], name: str, show: Callable[[str], None]
) -> None:
    """Wait until every client has talked to a server."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while missing := sum(name not in client.met for client in clients):
        show(f"{name}: {len(clients) - missing} of {len(clients)} clients")
        if any(task.done() for task in tasks):
            raise RuntimeError("a client has ended")
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"{missing} clients have not come to {name}")
        await asyncio.sleep(0.05)


async def restarts(
    clients: int, times: int, load: float = 0.3, show: Callable[[str], None] = lambda line: None
) -> Counts:
    """Kill a server and start it again.

    Args:
        clients: how many there are.
        times: how often.
        load: seconds of talking before each time.
        show: takes a line about what is going on, again and again.

    """
    counts = Counts(clients, times)
    port = unused_port()
    made = [Client(f"ws://127.0.0.1:{port}/", counts) for _ in range(clients)]
    tasks = [asyncio.create_task(client.run()) for client in made]
    server = ServerProcess(port)
    try:
        for number in range(times + 1):
            server = ServerProcess(port, f"server {number}")
            await server.start()
            await all_have(made, tasks, f"server {number}", show)
            await asyncio.sleep(load)
            if number < times:
                await server.kill()
        for client in made:
            client.stopping = True
        await asyncio.wait(tasks, timeout=PATIENCE)
        left = await server.end()
        if any(left.values()):
            counts.errors.append(f"left behind at the server: {left}")
    except (RuntimeError, TimeoutError, asyncio.TimeoutError) as exc:
        counts.errors.append(str(exc))
    finally:
        if hasattr(server, "process"):
            await server.kill()
        counts.lost = sum(not task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                counts.errors.append(repr(result))
                counts.lost += 1
    return counts
