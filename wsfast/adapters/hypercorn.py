"""Make ``hypercorn`` put messages together without copying them.

Its frames are wsproto's work: the adapter of that comes along with this one, and is most of the gain. What
is replaced here is ``WebsocketBuffer``, through which hypercorn passes every message: a message that comes in
one event is handed on as it is, one that comes in several is joined once.

Sizes, limits and what an application gets are the library's. Connections that are open when this is
installed or uninstalled keep the buffer that they have. It makes no difference to ``strict``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ._seams import AdapterError, Counts, Host, Seam

__all__ = ["HOST"]


def _seams(strict: bool) -> list[Seam]:
    from hypercorn.protocol import ws_stream

    name = f"{__package__}._hypercorn_buffer"
    ours: Any = import_module(name)
    if ws_stream.WebsocketBuffer not in (ours.STOCK, ours.WebsocketBuffer):
        # The library was loaded anew.
        del sys.modules[name]
        ours = import_module(name)
    return [Seam(ws_stream, "WebsocketBuffer", ours.WebsocketBuffer)]


def _try_out() -> None:
    """Put messages through the buffer of a connection that is none."""
    from hypercorn.protocol import ws_stream
    from wsproto.events import BytesMessage, TextMessage

    messages: list[Any] = [[TextMessage("first")], [BytesMessage(b"by"), BytesMessage(b"tes")]]
    before = HOST.counts.fast, HOST.counts.slow
    for events in messages:
        buffer: Any = ws_stream.WebsocketBuffer(5)
        for event in events:
            buffer.extend(event)
        whole = type(events[0].data)().join(event.data for event in events)
        texts = isinstance(whole, str)
        expected = {
            "type": "websocket.receive",
            "bytes": None if texts else whole,
            "text": whole if texts else None,
        }
        if buffer.to_message() != expected or buffer.length != len(whole):
            raise AdapterError(
                f"hypercorn {HOST.version()} does not behave as wsfast knows it ({HOST.supported}); nothing"
                " was changed: install such a version, or a newer wsfast"
            )
    HOST.counts.fast, HOST.counts.slow = before


HOST = Host(
    name="hypercorn",
    package="hypercorn",
    distribution="hypercorn",
    oldest="0.14.4",
    newest="0.18.0",
    seams=_seams,
    counts=Counts(),
    try_out=_try_out,
)
