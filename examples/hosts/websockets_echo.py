"""An echo server and its client on ``websockets``, with wsfast inside; both in this program.

By ``install()``, which changes the library for the whole process, and by the library's own parameter
``create_connection``, which changes only the connections that are made with it::

    python examples/hosts/websockets_echo.py
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import wsfast
from wsfast.adapters import websockets as fast

MESSAGES: list[str | bytes] = ["Hello", "Grüße 🎉", b"\x00\xff" * 500, "x" * 100_000] * 250


async def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    async for message in connection:
        await connection.send(message)


async def talk(server_options: dict[str, Any], client_options: dict[str, Any]) -> None:
    """Send all messages, and see that the same ones come back."""
    async with serve(echo, "127.0.0.1", 0, **server_options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", **client_options) as connection:
            start = time.process_time()
            for message in MESSAGES:
                await connection.send(message)
                if await connection.recv() != message:
                    raise RuntimeError("another message came back")
            seconds = time.process_time() - start
    print(f"all messages came back, in {seconds / len(MESSAGES) * 1e6:.0f} microseconds of CPU time each")


def main() -> None:
    """Do it three times."""
    print("websockets alone: ", end="")
    asyncio.run(talk({}, {}))

    print("create_connection: ", end="")
    asyncio.run(
        talk({"create_connection": fast.ServerConnection}, {"create_connection": fast.ClientConnection})
    )

    print("wsfast.install(): ", end="")
    with wsfast.install("websockets"):
        asyncio.run(talk({}, {}))
    print(f"frames that wsfast decoded: {wsfast.adapters.counts('websockets').fast}")


if __name__ == "__main__":
    main()
