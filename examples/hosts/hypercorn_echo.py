"""An ASGI application that sends back what it gets, on hypercorn with wsfast; and a client of it.

python examples/hosts/hypercorn_echo.py       (needs hypercorn and websockets)
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import websockets.asyncio.client
from hypercorn.asyncio import serve
from hypercorn.config import Config

import wsfast
from wsfast.adapters import counts

wsfast.install("hypercorn")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    uri = f"ws://127.0.0.1:{listening.getsockname()[1]}/"
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.loglevel = "ERROR"
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    async with websockets.asyncio.client.connect(uri) as client:
        for message in ("Grüße", b"\x00\xff", "x" * 100_000):
            await client.send(message)
            answer = await client.recv()
            print(f"sent {len(message)}: {'the same' if answer == message else 'another'} came back")
    stop.set()
    await serving
    print(f"frames through wsfast: {counts('wsproto').fast}, messages: {counts('hypercorn').fast}")


if __name__ == "__main__":
    asyncio.run(main())
