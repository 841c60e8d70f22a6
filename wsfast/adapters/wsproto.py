"""Make ``wsproto`` parse, mask and build frames with wsfast.

It has no sockets of its own; hypercorn, uvicorn (``--ws wsproto``), trio-websocket, simple-websocket,
httpx-ws and others are built on it, and all of them use wsfast then. What is replaced:

* how a ``FrameProtocol`` reads: whole frames are taken from what was received many at a time;
* ``Connection.events``, which makes events of them without a detour, and ``Connection.send``;
* ``FrameProtocol._serialize_frame`` and ``XorMaskerSimple.process``;
* of ``PerMessageDeflate``, what knows where compressed messages begin and end.

Events, their order and when they come, exceptions, close codes and the bytes that are sent are the
library's: a part of a frame is an event as soon as it arrives, and what is illegal is left to the library's
own parser, which finds the same bytes in its own buffer. Connections that are open when wsfast is installed
keep the library's parser; those that are open when it is uninstalled keep wsfast's.

Fixed, whether ``strict`` or not:

* a ping or pong between the fragments of a compressed message made the rest of it come out as raw DEFLATE;
* after a message that ended in a DEFLATE block with BFINAL, the next compressed one failed the connection.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ._seams import AdapterError, Counts, Host, Seam

__all__ = ["HOST"]


def _seams(strict: bool) -> list[Seam]:
    from wsproto import connection, extensions, frame_protocol

    name = f"{__package__}._wsproto_frames"
    ours: Any = import_module(name)
    classes = (frame_protocol.FrameProtocol, connection.Connection, extensions.PerMessageDeflate)
    if classes != ours.SOURCES:
        # The library was loaded anew. Connections from before go on with the module from before.
        del sys.modules[name]
        ours = import_module(name)
    if vars(connection)["FrameProtocol"] is not frame_protocol.FrameProtocol:
        raise AttributeError("wsproto.connection and wsproto.frame_protocol differ in FrameProtocol")
    # These stay what they are, and are others when the library is loaded anew: so that is noticed.
    modules = (frame_protocol, connection, extensions)
    marks = [Seam(module, cls.__name__, cls) for module, cls in zip(modules, classes, strict=True)]
    return [*marks, *(Seam(owner, attribute, new) for owner, attribute, new in ours.replacements(strict))]


def _try_out() -> None:
    """Send messages through connections that are none: a hook that does nothing must not stay unseen."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage, Ping, TextMessage

    sent: list[Any] = [
        TextMessage("first"),
        BytesMessage(bytes(300)),
        Ping(b"ping"),
        TextMessage("fir", True, False),
    ]
    counted = HOST.counts.fast, HOST.counts.slow
    for kind in ConnectionType:
        other = ConnectionType.CLIENT if kind is ConnectionType.SERVER else ConnectionType.SERVER
        sender, reader = Connection(other), Connection(kind)
        wire = b"".join([sender.send(event) for event in sent])
        received: list[Any] = []
        for piece in (wire[:1], wire[1:200], wire[200:]):
            reader.receive_data(piece)
            received += reader.events()
        data = [event.data for event in received if isinstance(event, BytesMessage)]
        rest = [event for event in received if not isinstance(event, BytesMessage)]
        reached = hasattr(reader._proto, "_wsfast")
        if rest != [sent[0], *sent[2:]] or b"".join(data) != bytes(300) or not reached:
            raise AdapterError(
                f"wsproto {HOST.version()} does not behave as wsfast knows it ({HOST.supported}); nothing"
                " was changed: install such a version, or a newer wsfast"
            )
    HOST.counts.fast, HOST.counts.slow = counted


HOST = Host(
    name="wsproto",
    package="wsproto",
    distribution="wsproto",
    oldest="1.2.0",
    newest="1.3.2",
    seams=_seams,
    counts=Counts(),
    try_out=_try_out,
    strict="the close code 1014 is accepted, as it is registered; a compressed message that ends inside a"
    " DEFLATE block, or is empty before decompression, is refused with 1007, as far as that can be seen",
)
