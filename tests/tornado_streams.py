"""tornado's WebSocket protocol on a pair of sockets, written down: what came, what went out, how it ended."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tornado import websocket
from tornado.iostream import IOStream

import wsfast

#: The turns of the event loop in which a piece has arrived and been dealt with.
TURNS = 8


class Handler:
    """What a connection calls; ``act`` is called with the connection and each message."""

    def __init__(self, log: list[Any], act: Callable[[Any, Any], Any]) -> None:
        self.log = log
        self.act = act
        self.connection: Any = None

    def on_message(self, message: Any) -> Any:
        self.log.append(message)
        return self.act(self.connection, message)

    def on_ping(self, data: bytes) -> None:
        self.log.append(("ping", type(data), data))

    def on_pong(self, data: bytes) -> None:
        self.log.append(("pong", type(data), data))

    def on_ws_connection_close(self, close_code: int | None = None, close_reason: str | None = None) -> None:
        self.log.append(("end", close_code, close_reason))

    def log_exception(self, *info: Any) -> None:
        self.log.append(("raised", info[0]))


def nothing(connection: Any, message: Any) -> None:
    pass


def sent(role: str, data: bytes) -> list[Any]:
    """What a side has sent, without its masking keys."""
    decoder = wsfast.FrameDecoder("client" if role == "server" else "server", max_size=None, rsv1=True)
    try:
        return [tuple(frame)[:3] for frame in decoder.feed(data)]
    except wsfast.ProtocolError as exc:
        return [*exc.events, str(exc)]  # close codes that must not be sent


async def converse(
    role: str,
    pieces: Iterable[bytes],
    *,
    limit: int = 2**20,
    deflate: dict[str, Any] | None = None,
    act: Callable[[Any, Any], Any] = nothing,
    cls: Any = None,
) -> list[Any]:
    """Send ``pieces`` to a connection, each when the one before has been dealt with, and the end."""
    near, far = socket.socketpair()
    far.settimeout(10)
    log: list[Any] = []
    handler = Handler(log, act)
    params = websocket._WebSocketParams(max_message_size=limit, compression_options={})
    connection = (cls or websocket.WebSocketProtocol13)(handler, role == "client", params)
    handler.connection = connection
    connection.stream = stream = IOStream(near)
    if deflate is not None:
        connection._create_compressors(role, deflate, {})
    with far:
        loop = asyncio.ensure_future(connection._receive_frame_loop())
        for piece in pieces:
            try:
                far.sendall(piece)
            except OSError:
                break
            for _ in range(TURNS):
                await asyncio.sleep(0)
        with suppress(OSError):
            far.shutdown(socket.SHUT_WR)
        try:
            await asyncio.wait_for(loop, 10)
        except Exception as exc:
            log.append(("loop raised", type(exc)))
        log.append(("closed", stream.closed()))
        stream.close()
        if connection._waiting is not None:
            stream.io_loop.remove_timeout(connection._waiting)
        output = b""
        with suppress(ConnectionError):
            while more := far.recv(1 << 16):
                output += more
    log.append(("sent", sent(role, output)))
    log.append(("counted", connection._message_bytes_in, connection._message_bytes_out))
    return log


def run(role: str, all_pieces: Iterable[Iterable[bytes]], **options: Any) -> list[list[Any]]:
    """Have a conversation for each of ``all_pieces``."""

    async def converse_all() -> list[list[Any]]:
        return [await converse(role, pieces, **options) for pieces in all_pieces]

    return asyncio.run(converse_all())


class Packer:
    """Compresses messages as a peer does, with context takeover."""

    def __init__(self) -> None:
        self.context = zlib.compressobj(wbits=-15)

    def __call__(self, data: bytes) -> bytes:
        return (self.context.compress(data) + self.context.flush(zlib.Z_SYNC_FLUSH))[:-4]
