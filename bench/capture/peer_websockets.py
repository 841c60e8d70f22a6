"""The `websockets` library as a recorded peer: ``python peer_websockets.py PLAN.json``.

The plan and the report are described in capture.py. The report goes to standard output.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.connection import Connection

Plan = dict[str, Any]


class Peer:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sent: list[list[Any]] = []
        self.pongs: list[Any] = []

    def log(self, kind: str, *payload: bytes) -> None:
        data = b"".join(payload)
        self.sent.append([kind, len(data), hashlib.sha256(data).hexdigest()])

    async def ping(self, connection: Connection, payload: str) -> None:
        self.log("ping", payload.encode())
        self.pongs.append(await connection.ping(payload))

    async def send(self, connection: Connection) -> None:
        for step in self.plan["steps"]:
            if step["kind"] == "ping":
                await self.ping(connection, step["data"])
            elif step["kind"] == "binary":
                data = base64.b64decode(step["data"])
                self.log("binary", data)
                await connection.send(data)
            elif "fragments" in step:
                await connection.send(self.fragments(connection, step))
            else:
                self.log("text", step["data"].encode())
                await connection.send(step["data"])

    async def fragments(self, connection: Connection, step: Plan) -> AsyncIterator[str]:
        parts = step["fragments"]
        for index, part in enumerate(parts):
            if index == 1 and "ping_inside" in step:
                await self.ping(connection, step["ping_inside"])
            yield part
        self.log("text", "".join(parts).encode())

    async def run(self, connection: Connection) -> None:
        """Send everything, receive everything, then close as the client or be closed."""
        receiving = asyncio.create_task(self.receive(connection))
        await self.send(connection)
        await receiving
        await asyncio.gather(*self.pongs)
        if self.plan["role"] == "client":
            self.log("close", self.plan["close_code"].to_bytes(2, "big"), self.plan["close_reason"].encode())
            await connection.close(self.plan["close_code"], self.plan["close_reason"])
        else:
            await connection.wait_closed()

    async def receive(self, connection: Connection) -> None:
        for _ in range(self.plan["expect"]):
            await connection.recv()


async def main(plan: Plan) -> None:
    peer = Peer(plan)
    options: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": None}
    if plan["role"] == "client":
        async with websockets.connect(plan["url"], proxy=None, **options) as connection:
            await peer.run(connection)
    else:
        done = asyncio.Event()

        async def handler(connection: Connection) -> None:
            await peer.run(connection)
            done.set()

        async with websockets.serve(handler, "127.0.0.1", 0, **options) as server:
            [port] = [socket.getsockname()[1] for socket in server.sockets]
            print(port, flush=True)
            await done.wait()
    print(json.dumps({"version": version("websockets"), "sent": peer.sent}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
