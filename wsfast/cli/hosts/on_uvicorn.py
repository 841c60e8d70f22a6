"""A server on uvicorn, with the WebSocket protocol that it chooses by itself."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from . import Script
from ._asgi import application
from ._listening import announce, listen

__all__ = ["run"]


def run(script: Script, port: int, ws: str = "auto") -> None:
    """Serve."""
    asyncio.run(_serve(script, ws))


async def _serve(script: Script, ws: str) -> None:
    uvicorn: Any = import_module("uvicorn")
    config = uvicorn.Config(
        application(script),
        ws=ws,
        lifespan="off",
        loop="asyncio",
        log_level="error",
    )
    listening = listen()
    announce(listening)
    await uvicorn.Server(config).serve([listening])
