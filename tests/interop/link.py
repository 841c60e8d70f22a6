"""What the peers have in common: one end of a connection, and who makes such ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

__all__ = ["LIMIT", "Accept", "Link", "Mailbox", "Peer", "Unavailable"]

#: How large a message may be at either end, in bytes. Compressed, a message can be larger than it is.
LIMIT = 4 << 20


class Unavailable(Exception):
    """The peer is not on this machine; says what is missing."""


class Link:
    """The peer's end of a connection: the same calls for every library.

    Attributes:
        deflate: whether the peer says that permessage-deflate was agreed upon.

    """

    deflate: bool

    async def send(self, message: str | bytes) -> None:
        raise NotImplementedError

    async def send_fragments(self, pieces: list[bytes], text: bool) -> None:
        """Send a message in these fragments; pieces of a text may be cut inside of characters."""
        raise NotImplementedError

    async def recv(self) -> str | bytes:
        raise NotImplementedError

    async def ping(self, payload: bytes) -> None:
        """Send a ping, and wait for its pong."""
        raise NotImplementedError

    async def close(self, code: int | None, reason: str) -> None:
        """Begin to close, with a code or with none."""
        raise NotImplementedError

    async def ended(self) -> tuple[int | None, str]:
        """Wait for the end; the code and the reason that the peer says it got."""
        raise NotImplementedError


class Mailbox(Link):
    """For libraries that call back: what they said waits here."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.pongs: dict[bytes, asyncio.Future[None]] = {}
        self.end: asyncio.Future[tuple[int | None, str]] = loop.create_future()
        self.pieces: list[bytes] = []

    async def recv(self) -> str | bytes:
        return await self.messages.get()

    def ponged(self, payload: bytes) -> None:
        if payload in self.pongs:
            self.pongs.pop(payload).set_result(None)

    async def ping(self, payload: bytes) -> None:
        waiter = self.pongs[payload] = asyncio.get_running_loop().create_future()
        await self.send_ping(payload)
        await waiter

    async def send_ping(self, payload: bytes) -> None:
        raise NotImplementedError

    def has_ended(self, code: int | None, reason: str) -> None:
        if not self.end.done():
            self.end.set_result((code, reason))

    async def ended(self) -> tuple[int | None, str]:
        return await self.end


Accept = Callable[[], Awaitable[Link]]


class Peer:
    """A library that speaks WebSocket.

    Attributes:
        name: the library's.
        lacks: what its API does not have: ``client``, ``server``, ``deflate``, ``fragments`` (to send
            them), ``ping`` (to send one), ``close 1001``, ``close without a code``.

    """

    name: str
    lacks: frozenset[str] = frozenset()

    def start(self) -> None:
        """Make it ready; also called when it is.

        Raises:
            Unavailable: it is not here.

        """

    def stop(self) -> None:
        """End what was started."""

    def version(self) -> str:
        """Return what was started, for people."""
        raise NotImplementedError

    def client(self, uri: str, deflate: bool) -> contextlib.AbstractAsyncContextManager[Link]:
        """Connect to a server."""
        raise NotImplementedError

    def server(self, deflate: bool) -> contextlib.AbstractAsyncContextManager[tuple[str, Accept]]:
        """Listen on the loopback interface; the URI, and what waits for the next connection."""
        raise NotImplementedError


@contextlib.asynccontextmanager
async def listening(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], Any]
) -> AsyncIterator[tuple[asyncio.Server, str]]:
    """Serve connections of a protocol of asyncio."""
    server = await loop.create_server(factory, "127.0.0.1", 0)
    try:
        yield server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await server.wait_closed()
