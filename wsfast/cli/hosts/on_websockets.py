"""A server on websockets' asyncio API."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from . import Script
from ._listening import announce, listen

__all__ = ["run"]


def run(script: Script, port: int) -> None:
    """Serve."""
    asyncio.run(_serve(script))


async def _serve(script: Script) -> None:
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    async def handler(connection: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                if message[0] == "!":
                    for answer in script.obey(message):
                        await connection.send(answer)
                elif script.echo:
                    await connection.send(message)

    listening = listen()
    async with serve(handler, sock=listening):
        announce(listening)
        await asyncio.get_running_loop().create_future()
