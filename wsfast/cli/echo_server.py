"""The server of ``python -m wsfast bench``: ``websockets``, with the drop-in or without.

``python -m wsfast.cli.echo_server [--install]`` prints its port and serves until its standard input
ends. At ``/echo`` it sends each message back; at ``/sink`` it only takes them. To the message ``cpu?``
it answers with the CPU time in seconds that its process has used.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Any

__all__: list[str] = []


async def _serve() -> None:
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    async def handler(connection: Any) -> None:
        echo = connection.request.path == "/echo"
        # A client that was interrupted is nothing to report.
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                if message == "cpu?":
                    await connection.send(repr(time.process_time()))
                elif echo:
                    await connection.send(message)

    async with serve(handler, "127.0.0.1", 0) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if "--install" in sys.argv[1:]:
        import wsfast

        wsfast.install("websockets")
    asyncio.run(_serve())
