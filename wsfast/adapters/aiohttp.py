"""Make ``aiohttp``'s WebSockets, of its client and its server, read and write frames with wsfast.

What is replaced:

* ``WebSocketReader`` and ``WebSocketDataQueue``, together: a read from the socket goes to
  ``MessageTaker`` (in :mod:`wsfast._fallback`) as a whole, and what it completes into the queue at once;
* ``receive()`` and ``__anext__()`` of ``WebSocketResponse`` and ``ClientWebSocketResponse``: a message
  that is in the queue already is handed out without a second coroutine;
* ``WebSocketWriter._write_websocket_frame``: :func:`wsfast.encode_frame`;
* ``send_str()`` of both, for text that is not compressed: from the text to its frame in one step; and
  ``WebSocketWriter.send_frame()``: no lock is taken for small compressed frames while nobody has it.

aiohttp's own reader stays in charge. It comes compiled, where nothing can be reached from Python, and in
Python, from the same source; the reader here is a subclass of the latter. The fast path takes whole,
plain messages, fragments, pings and pongs; at anything else - a broken rule, a close frame, a limit
exceeded - the frame goes to the methods that it inherits. So errors, close codes and their order are
aiohttp's, and so is flow control: parsing stops where it would have stopped.

Compressed messages are inflated by aiohttp's own ``ZLibDecompressor``, with the backend that
``aiohttp.set_zlib_backend()`` chose.

Masking keys come from wsfast's generator, which nobody can predict, and not from a Mersenne Twister
(RFC 6455 §10.3); a ``WebSocketWriter`` that is given a ``random`` of its own uses that.
"""

from __future__ import annotations

from ._seams import AdapterError, Counts, Host, Seam

__all__ = ["HOST"]

# Who imports the names of the reader and the queue. All of them take them from where they are defined.
_READERS = ("aiohttp.http_websocket", "aiohttp.http", "aiohttp.client", "aiohttp.client_ws", "aiohttp.web_ws")


def _seams(strict: bool) -> list[Seam]:
    from importlib import import_module, reload
    from types import FunctionType

    from aiohttp import client_ws, web_ws
    from aiohttp._websocket import reader, writer

    ours, out = (import_module(f"{__package__}.{name}") for name in ("_aiohttp_frames", "_aiohttp_writer"))
    if not (ours.is_current() and out.is_current()):  # aiohttp was loaded anew
        reload(ours)
        reload(out)
    for owner, name in (
        (ours.PyReader, "_feed_data"),
        (ours.PyReader, "_handle_frame"),
        (ours.PyQueue, "_read_from_buffer"),
        (ours.PyQueue, "_release_waiter"),
    ):
        if not isinstance(getattr(owner, name), FunctionType):
            raise AttributeError(f"{owner.__name__}.{name} is not a function in Python")
    made = ours.bind(strict)
    sending = out.bind()
    return [
        # The reader before the queue: it knows what to do with the queue that it replaces.
        Seam(reader, "WebSocketReader", ours.Reader, _READERS),
        Seam(reader, "WebSocketDataQueue", ours.Queue, _READERS),
        Seam(writer.WebSocketWriter, "_write_websocket_frame", sending.write),
        Seam(writer.WebSocketWriter, "send_frame", sending.send_frame),
        Seam(web_ws.WebSocketResponse, "send_str", sending.send_str),
        Seam(client_ws.ClientWebSocketResponse, "send_str", sending.client_send_str),
        Seam(web_ws.WebSocketResponse, "receive", made.receive),
        Seam(web_ws.WebSocketResponse, "__anext__", made.anext),
        Seam(client_ws.ClientWebSocketResponse, "receive", made.client_receive),
        Seam(client_ws.ClientWebSocketResponse, "__anext__", made.client_anext),
    ]


def _try_out() -> None:
    """Send frames through a reader without a connection: a hook that does nothing must not stay unseen."""
    from . import _aiohttp_frames as ours

    if not ours.works():
        raise AdapterError(
            f"aiohttp {HOST.version()} does not behave as wsfast knows it ({HOST.supported}); nothing was"
            " changed: install such a version, or a newer wsfast"
        )


HOST = Host(
    name="aiohttp",
    package="aiohttp",
    distribution="aiohttp",
    oldest="3.14.4",
    newest="3.14.5",
    seams=_seams,
    counts=Counts(),
    try_out=_try_out,
    strict="unmasked frames from clients and masked ones from servers, payload lengths that are not in their"
    " shortest form, RSV1 on control frames, empty fragments that are not followed up, and close codes that"
    " RFC 6455 forbids fail the connection",
)
