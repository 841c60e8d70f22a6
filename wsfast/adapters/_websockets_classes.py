"""Connections of the ``websockets`` library that use wsfast, for its parameter ``create_connection``.

The classes of one API are made when the first of them is asked for, and import what they need then.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from . import _websockets_frames as frames

__all__ = ["connection_class"]

Protocol: Any = frames.Protocol


@cache
def _fast_protocol(kind: Any) -> Any:
    """Derive from a protocol's class one that parses and builds frames with wsfast."""
    names = ("__module__", "__qualname__", "__doc__")
    made: dict[str, Any] = {name: getattr(kind, name) for name in names}
    return type(
        kind.__name__,
        (kind,),
        {**made, "receive_data": frames.receive_data, "send_frame": frames.send_frame},
    )


def _use(protocol: Any) -> None:
    """Make a protocol use wsfast, if it is the library's in all that this is about."""
    kind: Any = type(protocol)
    if kind.receive_data is Protocol.receive_data and kind.send_frame is Protocol.send_frame:
        protocol.__class__ = _fast_protocol(kind)


@cache
def connection_class(api: str, side: str) -> Any:
    """Make the class of connections for an API and a side of the library.

    Args:
        api: ``"asyncio"``, ``"sync"`` or ``"trio"``.
        side: ``"client"`` or ``"server"``.

    """
    name = f"{side.capitalize()}Connection"
    base: Any = getattr(import_module(f"websockets.{api}.{side}"), name)
    ours: Any = import_module(f"{__package__}._websockets_{api}")

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        # The protocol is wherever this API has it among its arguments.
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, Protocol):
                _use(argument)
        base.__init__(self, *args, **kwargs)

    def connection_made(self: Any, transport: Any) -> None:
        base.connection_made(self, transport)
        ours.adopt(self)
        ours.share_buffer(self, transport)

    def resume_writing(self: Any) -> None:
        base.resume_writing(self)
        ours.send_held_pong(self)

    def recv_events(self: Any) -> None:
        ours.adopt(self)
        base.recv_events(self)

    async def recv_events_in_task(self: Any) -> None:
        ours.adopt(self)
        await base.recv_events(self)

    methods: dict[str, dict[str, Any]] = {
        "asyncio": {
            "connection_made": connection_made,
            "resume_writing": resume_writing,
            "recv": getattr(ours, "recv", None),
            "__aiter__": getattr(ours, "iterate", None),
            "send": getattr(ours, "send", None),
        },
        "sync": {"recv_events": recv_events, "send": getattr(ours, "send", None)},
        "trio": {"recv_events": recv_events_in_task},
    }
    return type(
        name,
        (base,),
        {
            "__init__": __init__,
            "__module__": "wsfast.adapters.websockets",
            "__qualname__": name,
            "__doc__": (
                f"A {side}'s connection of ``websockets.{api}`` that uses wsfast, installed or not.\n\n"
                "To be passed as ``create_connection`` to the library's functions; otherwise as its base."
            ),
            **methods[api],
        },
    )
