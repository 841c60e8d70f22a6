"""A server on uvicorn, with wsproto."""

from __future__ import annotations

from . import Script, on_uvicorn

__all__ = ["run"]


def run(script: Script, port: int) -> None:
    """Serve."""
    on_uvicorn.run(script, port, ws="wsproto")
