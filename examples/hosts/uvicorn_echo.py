"""An ASGI application that sends back what it gets, on uvicorn with wsfast; and a client of it.

python examples/hosts/uvicorn_echo.py       (needs uvicorn and websockets)
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
import websockets.asyncio.client

from wsfast.adapters.uvicorn import WebSocketProtocol


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws=WebSocketProtocol, lifespan="off", log_level="warning")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    uri = f"ws://127.0.0.1:{listening.getsockname()[1]}/"
    async with websockets.asyncio.client.connect(uri) as client:
        for message in ("Grüße", b"\x00\xff", "x" * 100_000):
            await client.send(message)
            answer = await client.recv()
            print(f"sent {len(message)}: {'the same' if answer == message else 'another'} came back")
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
