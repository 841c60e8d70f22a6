"""Make ``websocket-client`` (imported as ``websocket``) read, check, mask and build frames with wsfast.

What is replaced, for ``WebSocket``, ``create_connection()`` and ``WebSocketApp`` alike, and for whatever
else is built on them:

* ``WebSocket.recv`` and ``recv_data_frame``, ``frame_buffer.recv_frame``: a data frame is read from the
  socket without the layers of calls for each of its parts, a long payload into one buffer, and text is
  checked and decoded in one pass;
* ``continuous_frame.add``: a fragmented message is put together in linear time;
* ``WebSocket.send``, ``ABNF.format`` and ``ABNF.mask``: :func:`wsfast.encode_frame`, whose masking keys
  need no call of the operating system for each frame, and :func:`wsfast.apply_mask`;
* ``_validate_utf8``: :func:`wsfast.is_utf8`.

Not one byte is read that the library would not have read: programs that wait for the socket by
``select()`` and then receive one message see no difference, and no message waits where they cannot see it.

Whatever is no plain data frame - a control frame, a broken rule, a frame that is cut off by a timeout or
an error - is in the library's own buffer, and its own code goes on with it; the next frame is wsfast's
again. So are a frame's masking key that the application chooses, methods of subclasses, a tracing log.
"""

from __future__ import annotations

from typing import Any

from .._backend import apply_mask
from ._seams import AdapterError, Counts, Host, Seam

__all__ = ["COUNTS", "HOST"]

COUNTS = Counts()


def _seams(strict: bool) -> list[Seam]:
    import websocket._core
    import websocket._utils

    from . import _websocket_client_frames as ours

    # The classes that connections use, whichever module has been loaded anew since.
    _core: Any = websocket._core
    connection, frame = _core.WebSocket, _core.ABNF
    buffer, fragments = _core.frame_buffer, _core.continuous_frame
    for owner, name in (
        (connection, "_recv"),
        (connection, "_send"),
        (connection, "recv_frame"),
        (connection, "recv_data"),
        (connection, "send_frame"),
        (_core, "recv"),
        (_core, "send"),
        (_core, "isEnabledForTrace"),
        (buffer, "recv_header"),
        (buffer, "recv_length"),
    ):
        if not callable(getattr(owner, name)):
            raise AttributeError(f"{owner.__name__}.{name} is no function")
    seams = [
        # To notice that the library has been loaded anew.
        Seam(_core, "WebSocket", connection),
        Seam(connection, "recv", ours.receive),
        Seam(connection, "recv_data_frame", ours.receive_data_frame),
        Seam(connection, "send", ours.send),
        Seam(buffer, "recv_frame", ours.receive_frame),
        Seam(fragments, "add", ours.add),
        Seam(frame, "format", ours.format_frame),
        Seam(frame, "mask", staticmethod(ours.mask)),
        Seam(websocket._utils, "_validate_utf8", ours.validate_whole_text if strict else ours.validate_text),
    ]
    if strict:
        seams += [
            Seam(buffer, "recv_header", ours.receive_header),
            Seam(buffer, "recv_length", ours.receive_length),
        ]
    ours.bind(strict)
    return seams


class _Wire:
    """As much of a socket as a connection needs."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = b""

    def gettimeout(self) -> None:
        return None

    def recv(self, size: int) -> bytes:
        data, self.data = self.data[:size], self.data[size:]
        return data

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)


def _try_out() -> None:
    """Send frames through a connection that is none: a hook that does nothing must not stay unseen."""
    import websocket._core

    connection: Any = websocket._core.WebSocket()
    connection.sock = wire = _Wire(
        b"\x81\x05first\x82\x7e\x00\x80" + bytes(128) + b"\x89\x00\x01\x02fi\x80\x03rst"
    )
    before = COUNTS.fast
    received = [connection.recv() for _ in range(3)]
    connection.send("sent")
    done = COUNTS.fast - before
    COUNTS.fast = before
    # The pong, then the message.
    sent = wire.sent[:2], wire.sent[6:8], apply_mask(wire.sent[12:], wire.sent[8:12])
    if received != ["first", bytes(128), "first"] or sent != (b"\x8a\x80", b"\x81\x84", b"sent") or done != 5:
        raise AdapterError(
            f"websocket-client {HOST.version()} does not behave as wsfast knows it ({HOST.supported});"
            " nothing was changed: install such a version, or a newer wsfast"
        )


HOST = Host(
    name="websocket-client",
    package="websocket",
    distribution="websocket-client",
    oldest="1.7.0",
    newest="1.9.2",
    seams=_seams,
    counts=COUNTS,
    try_out=_try_out,
    strict="refuses masked frames, lengths that are not in their shortest form, control frames that are"
    " fragmented or longer than 125 bytes, and text that ends inside a code point",
)
