"""Make the ``websockets`` library parse, mask, build and assemble messages with wsfast.

What is replaced, for its asyncio, threading and trio APIs alike, and for whatever else is built on its
Sans-I/O layer (uvicorn, sanic ...):

* ``Protocol.receive_data``: whole buffers go to wsfast, not single frames to a chain of generators;
* ``Frame.serialize``: :func:`wsfast.encode_frame`;
* ``apply_mask``, which the legacy API calls itself: :func:`wsfast.apply_mask`;
* ``permessage_deflate.zlib``: decompressors that go on behind a block with BFINAL.

From 16.0 on, connections too: messages that came in one frame are ``str`` or ``bytes`` from the buffer
to whoever calls ``recv()``, without frames and events in between; ``send()`` of a whole message does
not enter a context manager; asyncio's selector transports read into one buffer of the event loop.

The library's own parser stays in charge. The fast path takes only what is whole, legal and known to
it; at anything else - a broken rule, the end of the stream, a limit exceeded, a handshake - the bytes
are in the library's own buffer, and its own generator takes over, between two frames. So errors, close
codes and their order are the library's. An exception that the fast path does meet, in an extension or
in ``recv_frame``, is thrown into that generator, whose handlers do what they always do. Methods that a
subclass overrides, or that somebody has replaced, are called as ever.

Without its C backend wsfast masks slower than the library does if that has its own. Then what is masked
stays with the library: only what clients read and servers send goes through wsfast.

One thing is stricter than in the library: sending a ``memoryview`` of items wider than a byte is a
``TypeError``, instead of a frame with a wrong length. One is more lenient: a server can send a
``memoryview`` that is not contiguous, as a client can in the library too; there it is a ``BufferError``.

The names ``ClientConnection`` ... here are classes for the library's parameter ``create_connection``:
connections that use wsfast although nothing is installed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .._backend import apply_mask
from ._seams import AdapterError, Counts, Host, Seam

__all__ = [
    "COUNTS",
    "HOST",
    "ClientConnection",
    "ServerConnection",
    "SyncClientConnection",
    "SyncServerConnection",
    "TrioClientConnection",
    "TrioServerConnection",
]

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import ServerConnection
    from websockets.sync.client import ClientConnection as SyncClientConnection
    from websockets.sync.server import ServerConnection as SyncServerConnection
    from websockets.trio.client import ClientConnection as TrioClientConnection
    from websockets.trio.server import ServerConnection as TrioServerConnection
else:

    def __getattr__(name: str) -> Any:
        """Make the connection classes when they are asked for: they need the library."""
        api, _, side = _CLASSES.get(name, "").partition(" ")
        if not api:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ._websockets_classes import connection_class

        return connection_class(api, side)


_CLASSES = {
    "ClientConnection": "asyncio client",
    "ServerConnection": "asyncio server",
    "SyncClientConnection": "sync client",
    "SyncServerConnection": "sync server",
    "TrioClientConnection": "trio client",
    "TrioServerConnection": "trio server",
}

#: Of all connections, as ``HOST.counts``.
COUNTS = Counts()


def _seams(strict: bool) -> list[Seam]:
    from websockets import frames, protocol, streams, utils  # noqa: F401

    _drop_stale()
    from . import _websockets_frames as ours

    # What the fast path recognises the library's parser by.
    for function in (protocol.Protocol.parse, streams.StreamReader.at_eof, streams.StreamReader.read_exact):
        if not hasattr(function, "__code__"):
            raise AttributeError(f"{function!r} is not a function in Python")
    seams = [
        Seam(protocol.Protocol, "receive_data", ours.receive_data),
        Seam(frames.Frame, "serialize", ours.serialize),
    ]
    if not ours.their_masks:
        # The legacy API is not imported, as that would warn. If somebody does so later, it takes the
        # function from where this puts it.
        source = "websockets.speedups" if "websockets.speedups" in sys.modules else "websockets.utils"
        followers = ("websockets.frames", "websockets.legacy.framing")
        seams.append(Seam(sys.modules[source], "apply_mask", apply_mask, followers, place=source))
    ours.bind(strict)
    return seams + _connection_seams()


def _connection_seams() -> list[Seam]:
    """What carries messages between the protocol and those who read and write them."""
    from websockets.asyncio import connection
    from websockets.extensions import permessage_deflate
    from websockets.sync import connection as sync_connection

    from . import _websockets_deflate as deflate

    made, sync_made = connection.Connection, sync_connection.Connection
    seams = [Seam(permessage_deflate, "zlib", deflate.ZLIB)]
    if "send_in_progress" not in made.__init__.__code__.co_names:  # before 16.0
        return seams
    from . import _websockets_asyncio as ours
    from . import _websockets_sync as sync_ours

    seams += [
        Seam(made, "connection_made", ours.connection_made),
        Seam(made, "resume_writing", ours.resume_writing),
        Seam(made, "recv", ours.recv),
        Seam(made, "__aiter__", ours.iterate),
        Seam(made, "send", ours.send),
        Seam(sync_made, "recv_events", sync_ours.recv_events),
        Seam(sync_made, "send", sync_ours.send),
    ]
    if "trio" in sys.modules:
        try:
            from websockets.trio import connection as trio_connection
        except ModuleNotFoundError:  # before 17.0
            return seams
        from . import _websockets_trio as trio_ours

        seams.append(Seam(trio_connection.Connection, "recv_events", trio_ours.recv_events))
    return seams


def _drop_stale() -> None:
    """Forget the modules that know the library's classes, if it has been loaded anew since."""
    known = {
        "frames": ("protocol", "Protocol"),
        "deflate": ("frames", "Frame"),
        "asyncio": ("asyncio.connection", "Connection"),
        "sync": ("sync.connection", "Connection"),
        "trio": ("trio.connection", "Connection"),
    }
    for name, (module, attribute) in known.items():
        ours = sys.modules.get(f"{__package__}._websockets_{name}")
        theirs = sys.modules.get(f"websockets.{module}")
        if ours is None or theirs is None or getattr(ours, attribute) is getattr(theirs, attribute):
            continue
        for loaded in [loaded for loaded in sys.modules if loaded.startswith(f"{__package__}._websockets_")]:
            del sys.modules[loaded]
            vars(sys.modules[__package__]).pop(loaded.rpartition(".")[2], None)
        return


def _try_out() -> None:
    """Send frames through connections that are none: a hook that does nothing must not stay unseen."""
    from websockets.protocol import Protocol, Side

    from ._websockets_frames import their_masks

    for side in Side:
        sender, reader = Protocol(Side.CLIENT if side is Side.SERVER else Side.SERVER), Protocol(side)
        sender.send_text(b"first")
        sender.send_binary(bytes(300))
        sender.send_ping(b"ping")
        sender.send_text(b"fir", fin=False)
        sender.send_continuation(b"st", fin=True)
        sent = [
            (1, b"first", True),
            (2, bytes(300), True),
            (9, b"ping", True),
            (1, b"fir", False),
            (0, b"st", True),
        ]
        wire = b"".join(sender.data_to_send())
        for piece in (wire[:1], wire[1:200], wire[200:]):
            reader.receive_data(piece)
        frames: list[Any] = reader.events_received()
        received = [(int(frame.opcode), bytes(frame.data), frame.fin) for frame in frames]
        reached = hasattr(reader, "_wsfast") or (their_masks and side is Side.SERVER)
        if received != sent or not reached:
            raise AdapterError(
                f"websockets {HOST.version()} does not behave as wsfast knows it ({HOST.supported}); nothing"
                " was changed: install such a version, or a newer wsfast"
            )


HOST = Host(
    name="websockets",
    package="websockets",
    distribution="websockets",
    oldest="13.0",
    newest="17.4",
    seams=_seams,
    counts=COUNTS,
    try_out=_try_out,
    strict="a payload length that is not in its shortest form fails the connection with 1002 (RFC 6455 §5.2),"
    " a close frame between the fragments of a message does not (§5.4)",
)
