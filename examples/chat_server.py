"""A chat room on the ``websockets`` library, which knows nothing of wsfast.

Run it as it is, or with wsfast inside; nothing else changes::

    python examples/chat_server.py
    python -m wsfast run -v examples/chat_server.py

Whatever one client says, all hear. Connect with ``python -m websockets ws://127.0.0.1:8765/``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools

from websockets.asyncio.server import ServerConnection, broadcast, serve

guests: dict[ServerConnection, str] = {}
numbers = itertools.count(1)


async def chat(connection: ServerConnection) -> None:
    name = f"guest {next(numbers)}"
    guests[connection] = name
    broadcast(guests, f"{name} came in; {len(guests)} here")
    try:
        async for message in connection:
            broadcast(guests, f"{name}: {message!s}")
    finally:
        del guests[connection]
        broadcast(guests, f"{name} left; {len(guests)} here")


async def main(port: int) -> None:
    async with serve(chat, "127.0.0.1", port) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"chat on ws://127.0.0.1:{port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat room.")
    parser.add_argument("--port", type=int, default=8765, help="0 takes any free one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args().port))
