"""Connections of autobahn on a transport that is none, and what there is to see of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import autobahn.asyncio.websocket as theirs
import autobahn.websocket.protocol as protocol
from autobahn.websocket.compress_deflate import PerMessageDeflate
from installing import install
from streams import frame

import wsfast


class Transport:
    """What a connection writes to; nothing goes anywhere."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.ended: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")


class Recorder:
    """Callbacks that say what they were called with."""

    calls: list[Any]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        stats: Any = self.trafficStats  # type: ignore[attr-defined]
        self.calls.append(("message", type(payload), payload, isBinary, dict(vars(stats))))

    def onPing(self, payload: bytes) -> None:
        self.calls.append(("ping", payload))
        super().onPing(payload)  # type: ignore[misc]

    def onPong(self, payload: bytes) -> None:
        self.calls.append(("pong", payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.calls.append(("closed", wasClean, code, reason))


class Streaming(Recorder):
    """Takes messages by the piece, as the library's streaming API has it."""

    def onMessageBegin(self, isBinary: bool) -> None:
        self.calls.append(("begin", isBinary))
        super().onMessageBegin(isBinary)  # type: ignore[misc]

    def onMessageFrameBegin(self, length: int) -> None:
        self.calls.append(("frame", length))
        super().onMessageFrameBegin(length)  # type: ignore[misc]

    def onMessageFrameData(self, payload: bytes) -> None:
        self.calls.append(("data", payload))

    def onMessageFrameEnd(self) -> None:
        self.calls.append(("frame ends",))

    def onMessageEnd(self) -> None:
        self.calls.append(("end",))


class ByFrame(Recorder):
    """Takes messages by the frame."""

    def onMessageFrame(self, payload: Any) -> None:
        self.calls.append(("frame", list(payload)))
        super().onMessageFrame(payload)  # type: ignore[misc]


STYLES: dict[str, type[Recorder]] = {"messages": Recorder, "frames": ByFrame, "streaming": Streaming}


def connect(
    server: bool = True,
    style: type[Any] = Recorder,
    deflate: bool = False,
    takeover: bool = True,
    **options: Any,
) -> Any:
    """A connection behind its opening handshake, on a transport that goes nowhere."""
    if server:
        factory: Any = theirs.WebSocketServerFactory()
        base: Any = theirs.WebSocketServerProtocol
    else:
        factory = theirs.WebSocketClientFactory("ws://127.0.0.1/")
        base = theirs.WebSocketClientProtocol
    for name in ("logFrames", "trackTimings"):
        setattr(factory, name, options.pop(name, False))
    factory.setProtocolOptions(**{"openHandshakeTimeout": 0, "closeHandshakeTimeout": 0, **options})
    connection = type("Connection", (style, base), {})()
    connection.calls = []
    connection.factory = factory
    connection.transport = Transport()
    protocol.WebSocketProtocol._connectionMade(connection)
    if not server:
        connection.serverConnectionDropTimeout = 0
    connection.state = protocol.WebSocketProtocol.STATE_OPEN
    connection.inside_message = False
    connection.current_frame = None
    connection.websocket_version = 13
    if deflate:
        connection._perMessageCompress = PerMessageDeflate(server, not takeover, not takeover, 0, 0, 0)
    return connection


def opened(wire: bytes) -> list[Any]:
    """What was written, masks taken off, since keys differ."""
    return list(wsfast.FrameDecoder("server", max_size=None, rsv1=True).feed(wire))


STATE = [
    "closedByMe",
    "data",
    "droppedByMe",
    "failedByMe",
    "inside_message",
    "localCloseCode",
    "localCloseReason",
    "remoteCloseCode",
    "remoteCloseReason",
    "state",
    "wasClean",
    "wasMaxFramePayloadSizeExceeded",
    "wasMaxMessagePayloadSizeExceeded",
    "wasNotCleanReason",
]


def live(connection: Any, pieces: Iterable[bytes]) -> list[Any]:
    """All that can be seen of a connection, after each piece that it gets."""
    history: list[Any] = []
    for piece in pieces:
        error = None
        try:
            connection._dataReceived(piece)
        except Exception as exc:
            error = (type(exc), str(exc))
        transport = connection.transport
        wrote = transport.written if connection.factory.isServer else opened(b"".join(transport.written))
        frame = connection.current_frame
        if connection.state == protocol.WebSocketProtocol.STATE_CLOSED:
            # Where exactly it stopped to read makes no difference.
            frame = None
            connection.data = b""
        history.append(
            [
                error,
                connection.calls[:],
                wrote[:],
                transport.ended[:],
                vars(connection.trafficStats).copy(),
                {name: getattr(connection, name) for name in STATE},
                frame and {**vars(frame), "at": connection.current_frame_masker.pointer()},
                b"".join(getattr(connection, "message_data", None) or []),
            ]
        )
        connection.calls.clear()
        transport.written.clear()
    connection._connectionLost(None)
    return [*history, connection.calls, connection.is_closed.done()]


def same(*streams: list[bytes], **options: Any) -> list[Any]:
    """Live through streams, each in pieces, without and with wsfast; return what happened in the first."""
    wsfast.uninstall()
    expected = [live(connect(**options), pieces) for pieces in streams]
    install("autobahn")
    found = [live(connect(**options), pieces) for pieces in streams]
    for pieces, ours, stock in zip(streams, found, expected, strict=True):
        for step, (one, other) in enumerate(zip(ours, stock, strict=True)):
            assert one == other, f"after piece {step} of {pieces!r}"
    return found[0]


def wire(server: bool, opcode: int, payload: bytes = b"", **options: Any) -> bytes:
    return frame(opcode, payload, mask=server, **options)


def deflated(messages: Iterable[bytes], takeover: bool = True) -> Iterator[bytes]:
    context = zlib.compressobj(wbits=-15)
    for message in messages:
        if not takeover:
            context = zlib.compressobj(wbits=-15)
        yield (context.compress(message) + context.flush(zlib.Z_SYNC_FLUSH))[:-4]


def conversation(server: bool, deflate: bool = False) -> bytes:
    """A bit of everything that is legal, the close frame and what comes too late."""
    text = "Grüße".encode()
    frames = [
        wire(server, 1, b"Hello"),
        wire(server, 2),
        wire(server, 1, text[:3], fin=False),
        wire(server, 9, b"are you there?"),
        wire(server, 0, b"", fin=False),
        wire(server, 0, text[3:]),
        wire(server, 10, b"yes"),
        wire(server, 2, bytes(range(126))),
        wire(server, 1),
    ]
    if deflate:
        first, second, third = deflated([b"Hello, hello", text * 3, b""])
        frames += [
            wire(server, 1, first, rsv=4),
            wire(server, 1, second[:2], rsv=4, fin=False),
            wire(server, 9, b"inside"),
            wire(server, 0, second[2:]),
            wire(server, 2, third, rsv=4),
        ]
    return b"".join([*frames, wire(server, 8, b"\x03\xe8bye"), wire(server, 1, b"too late")])
