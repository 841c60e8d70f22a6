"""Where transports come from: aiofastnet, which is compiled, if it is installed; else the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["maker"]

_compiled: Any
try:
    import aiofastnet as _compiled
except ImportError:
    _compiled = None


def maker(loop: asyncio.AbstractEventLoop, name: str) -> Callable[..., Any]:
    """Return ``loop.create_server`` or another of its methods, or what takes its place.

    Args:
        loop: the event loop.
        name: of the method.

    """
    if _compiled is None:
        method: Callable[..., Any] = getattr(loop, name)
        return method
    return partial(getattr(_compiled, name), loop)
