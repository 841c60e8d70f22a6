"""The application of the ASGI servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from . import Script

__all__ = ["application"]


def application(script: Script) -> Callable[..., Awaitable[None]]:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            message = event["text"]
            if message[0] == "!":
                for answer in script.obey(message):
                    await send({"type": "websocket.send", "text": answer})
            elif script.echo:
                await send({"type": "websocket.send", "text": message})

    return app
