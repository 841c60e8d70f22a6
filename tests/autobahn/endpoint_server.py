"""The same echo server as echo_server.py, by :func:`wsfast.asyncio.serve`: ``python endpoint_server.py``.

Prints its address, then serves until it is ended. Faults of its own go to standard error, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from echo_protocol import DEFLATE, MAX_SIZE

from wsfast.asyncio import ServerConnection, serve


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def run(port: int) -> None:
    # Without pings of its own: the suite compares all that it gets with what it expects.
    async with serve(
        echo, "127.0.0.1", port, compression=DEFLATE, max_size=MAX_SIZE, ping_interval=None
    ) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"ws://127.0.0.1:{port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo server.")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(parser.parse_args().port))
