"""A server on tornado."""

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
    from tornado.httpserver import HTTPServer
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    class Handler(WebSocketHandler):
        def get_compression_options(self) -> dict[str, Any]:
            return {}

        # As in tornado's documentation: a plain method, whose writes nobody waits for.
        def on_message(self, message: Any) -> Any:
            if message[0] == "!":
                return self.send_all(script.obey(message))
            if script.echo:
                self.write_message(message)
            return None

        async def send_all(self, answers: list[str]) -> None:
            for answer in answers:
                await self.write_message(answer)

    server = HTTPServer(Application([("/", Handler)]))
    listening = listen()
    server.add_socket(listening)
    announce(listening)
    await asyncio.get_running_loop().create_future()
