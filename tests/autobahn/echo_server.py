"""An echo server for the Autobahn TestSuite's fuzzing client: ``python echo_server.py [--port PORT]``.

Prints its address, then serves until it is ended. Faults of its own go to standard error, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from echo_protocol import DEFLATE, MAX_SIZE, Echo

import wsfast


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Echo(wsfast.Connection("server", compression=DEFLATE, max_size=MAX_SIZE)), "127.0.0.1", port
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        print(f"ws://127.0.0.1:{port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo server.")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
