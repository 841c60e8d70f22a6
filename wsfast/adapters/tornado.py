"""Make ``tornado``'s WebSockets, of its server and its client, read and write frames with wsfast.

What is replaced, in ``tornado.websocket.WebSocketProtocol13``:

* ``_receive_frame_loop``: what a read from the socket brings goes to ``MessageTaker`` (in
  :mod:`wsfast._fallback`) as a whole, and the messages in it to ``on_message``, one after the other as
  before; of a frame that is larger than that, the rest is read into the place where it is decoded;
* ``_write_frame``: :func:`wsfast.encode_frame`; what the socket takes at once does not go through the
  stream's buffer;
* ``write_message``: what it returns is done in the next turn of the event loop, without a task to do that.

The library's own ``_receive_frame`` has the frames that are not plain: a close frame, a broken rule, a
limit exceeded. So close codes and their order are tornado's, and so is flow control: nothing is read while
a handler runs, and the event loop has its turn as often as before. A subclass that overrides
``_receive_frame`` or what it is made of keeps tornado's loop. From Python 3.12 on, an ``on_message`` that
is a coroutine begins at once, in a task of its own as before, and not in the next turn of the event loop.

Fixed by it: messages behind a block with BFINAL arrive (RFC 7692 §7.2.3.4); a ping inside a compressed
message does not spoil it, and none counts towards ``max_message_size``; a close reason that is not UTF-8,
and compressed data that cannot be decompressed, end the connection instead of leaving it open without a
reader.
"""

from __future__ import annotations

from ._seams import AdapterError, Counts, Host, Seam

__all__ = ["HOST"]


def _seams(strict: bool) -> list[Seam]:
    from importlib import reload

    from tornado import websocket
    from tornado.iostream import BaseIOStream

    from . import _tornado_frames as ours

    # What is needed to leave the end of a connection unseen for a while.
    BaseIOStream._maybe_add_error_listener  # noqa: B018
    for name in ("_read_buffer_size", "_state"):
        if name not in BaseIOStream.__init__.__code__.co_names:
            raise AttributeError(f"IOStream has no attribute {name}")
    if ours.Protocol is not websocket.WebSocketProtocol13:  # tornado was loaded anew
        reload(ours)
    ours.bind(strict)
    return [
        Seam(ours.Protocol, "_receive_frame_loop", ours.receive_frame_loop),
        Seam(ours.Protocol, "_write_frame", ours.write_frame),
        Seam(ours.Protocol, "write_message", ours.write_message),
    ]


def _try_out() -> None:
    """Pass frames through connections that are none: a hook that does nothing must not stay unseen."""
    from . import _tornado_frames as ours

    if not ours.works():
        raise AdapterError(
            f"tornado {HOST.version()} does not behave as wsfast knows it ({HOST.supported}); nothing was"
            " changed: install such a version, or a newer wsfast"
        )


HOST = Host(
    name="tornado",
    package="tornado",
    distribution="tornado",
    oldest="6.5",
    newest="6.6.1",
    seams=_seams,
    counts=Counts(),
    try_out=_try_out,
    strict="unmasked frames from clients and masked ones from servers, payload lengths that are not in their"
    " shortest form, RSV1 on control frames and close codes that RFC 6455 forbids fail the connection; a"
    " close frame tells the peer which rule it has broken",
)
