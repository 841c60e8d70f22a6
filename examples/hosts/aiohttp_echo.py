"""An aiohttp server and client that know nothing of wsfast, over loopback, and what wsfast did for them.

Run it: ``python aiohttp_echo.py``; it ends by itself.
"""

from __future__ import annotations

import asyncio
import socket

import aiohttp
from aiohttp import web

import wsfast


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back."""
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


async def main() -> None:
    """Serve, talk, and stop."""
    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, compress=15) as ws:
        for number in range(50):
            await ws.send_str(f"Grüße {number}")
            await ws.send_bytes(bytes(number))
        back = [await ws.receive() for _ in range(100)]
    await runner.cleanup()
    texts = [message.data for message in back if message.type is aiohttp.WSMsgType.TEXT]
    print(f"{len(back)} messages came back, the last text: {texts[-1]}")


if __name__ == "__main__":
    wsfast.install("aiohttp")
    asyncio.run(main())
    counts = wsfast.adapters.counts("aiohttp")
    print(f"{counts.fast} frames went through wsfast, {counts.slow} frames were left to aiohttp")
