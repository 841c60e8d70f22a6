"""A server on aiohttp."""

from __future__ import annotations

import asyncio
from typing import Any

from . import Script
from ._listening import announce, listen

__all__ = ["run"]


def run(script: Script, port: int) -> None:
    """Serve."""
    asyncio.run(_serve(script))


async def _serve(script: Script) -> None:
    from aiohttp import web

    async def handler(request: Any) -> Any:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for received in websocket:
            message = received.data
            if message[0] == "!":
                for answer in script.obey(message):
                    await websocket.send_str(answer)
            elif script.echo:
                await websocket.send_str(message)
        return websocket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = listen()
    await web.SockSite(runner, listening).start()
    announce(listening)
    await asyncio.get_running_loop().create_future()
