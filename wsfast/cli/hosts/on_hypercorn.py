"""A server on hypercorn, which uses wsproto."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from . import Script
from ._asgi import application
from ._listening import announce, listen

__all__ = ["run"]


def run(script: Script, port: int) -> None:
    """Serve."""
    library: Any = import_module("hypercorn.asyncio")
    listening = listen()
    config = import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.loglevel = "ERROR"
    announce(listening)
    asyncio.run(library.serve(application(script), config))
