"""Other libraries' way from bytes to messages and back, behind one interface, in this process.

Each does what an application on that library gets done for it, on the library's fastest path, and no
more. Where there was a choice it was made in the peer's favour; a comment says so. Only libraries that
are installed are imported, and only by :func:`contenders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .. import __version__, _backend

__all__ = ["PEERS", "Contender", "contenders"]

#: Takes one read and returns a sequence with what was decoded.
Feed = Callable[[bytes], Any]

#: Takes a message and returns the frame to send.
Encode = Callable[[str], Any]


@dataclass(frozen=True)
class Contender:
    """A library, or a backend of wsfast.

    Attributes:
        name: how to call it in a table.
        version: of the library.
        feed: makes a fresh connection that plays the given role, ``"server"`` or ``"client"``, and
            returns what decodes its input. All it returned is dropped after each read.
        messages: makes ``str`` and ``bytes`` of what ``feed`` returned, to compare.
        encode: makes a function from a text message to a frame, for a masked frame or another.
            ``None`` where the library has no such function apart from its transport.

    """

    name: str
    version: str
    feed: Callable[[str], Feed]
    messages: Callable[[Iterable[Any]], list[str | bytes]]
    encode: Callable[[bool], Encode] | None

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


def plain(result: Iterable[Any]) -> list[str | bytes]:
    """Keep the messages, and not the control frames, of what was decoded."""
    return [
        item if isinstance(item, str) else bytes(item)
        for item in result
        if isinstance(item, (str, bytes, bytearray))
    ]


def ours(module: Any, name: str) -> Contender:
    """A backend of wsfast."""

    def encode(mask: bool) -> Encode:
        encode_frame = module.encode_frame
        return lambda text: encode_frame(1, text, mask=mask)

    return Contender(name, __version__, lambda role: module.MessageDecoder(role).feed, plain, encode)


def websockets() -> Contender:
    """The Sans-I/O layer of websockets, and what its Assembler does with whole frames."""
    from websockets.frames import Frame, Opcode
    from websockets.protocol import Protocol, Side
    from websockets.version import version

    TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT

    def feed_of(role: str) -> Feed:
        protocol = Protocol(Side.SERVER if role == "server" else Side.CLIENT)
        receive_data, events_received = protocol.receive_data, protocol.events_received
        parts: list[Any] = []

        def feed(data: bytes) -> list[Any]:
            receive_data(data)
            messages: list[Any] = []
            for frame in events_received():
                if not isinstance(frame, Frame):
                    continue
                if frame.fin and frame.opcode is TEXT:
                    messages.append(bytes(frame.data).decode())
                elif frame.fin and frame.opcode is BINARY:
                    messages.append(frame.data)
                elif frame.opcode in (TEXT, BINARY, CONT):
                    parts.append(frame)
                    if frame.fin:
                        payload = b"".join([part.data for part in parts])
                        messages.append(payload.decode() if parts[0].opcode is TEXT else payload)
                        parts.clear()
            if protocol.writes:  # the answers to pings
                protocol.data_to_send()
            return messages

        return feed

    def encode(mask: bool) -> Encode:
        return lambda text: Frame(TEXT, text.encode()).serialize(mask=mask)

    return Contender("websockets", version, feed_of, plain, encode)


def aiohttp() -> Contender:
    """The reader that aiohttp's web and client connections use, compiled where it is."""
    from aiohttp import __version__ as version  # type: ignore[import-not-found, unused-ignore]

    # By name: it is another module, with the same names, where aiohttp is not compiled.
    reader: Any = import_module("aiohttp._websocket.reader")
    base: Any = import_module("aiohttp.base_protocol")
    text_and_binary = (1, 2)

    loop = asyncio.new_event_loop()
    loop.close()

    def feed_of(role: str) -> Feed:
        # In the peer's favour: the queue is never full, so that parsing does not stop half-way through
        # a read, and messages are taken from its deque at once instead of by `await queue.read()` each.
        queue = reader.WebSocketDataQueue(base.BaseProtocol(loop), 2**31 - 1, loop=loop)
        feed_data = reader.WebSocketReader(queue, 4 << 20, compress=False, decode_text=True).feed_data
        buffer = queue._buffer

        def feed(data: bytes) -> list[Any]:
            failed, _ = feed_data(data)
            if failed:
                raise ValueError("aiohttp refused the stream") from queue.exception()
            messages = list(buffer)
            buffer.clear()
            return messages

        return feed

    def messages(result: Iterable[Any]) -> list[str | bytes]:
        return [message.data for message, _ in result if message.type in text_and_binary]

    return Contender("aiohttp", version, feed_of, messages, None)


def wsproto() -> Contender:
    """The connection of wsproto, with pieces of messages put together."""
    from wsproto import __version__ as version
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage, TextMessage

    def feed_of(role: str) -> Feed:
        connection = Connection(ConnectionType.SERVER if role == "server" else ConnectionType.CLIENT)
        receive_data, events = connection.receive_data, connection.events
        pieces: list[Any] = []

        def feed(data: bytes) -> list[Any]:
            receive_data(data)
            messages: list[Any] = []
            for event in events():
                if isinstance(event, (TextMessage, BytesMessage)):
                    if event.message_finished and not pieces:
                        messages.append(event.data)
                        continue
                    # At the end of each read it hands out what it has of a message.
                    pieces.append(event.data)
                    if event.message_finished:
                        empty: Any = "" if isinstance(event, TextMessage) else b""
                        messages.append(empty.join(pieces))
                        pieces.clear()
            return messages

        return feed

    def encode(mask: bool) -> Encode:
        send = Connection(ConnectionType.CLIENT if mask else ConnectionType.SERVER).send
        return lambda text: send(TextMessage(text))

    return Contender("wsproto", version, feed_of, plain, encode)


#: The libraries that there is a contender for.
PEERS: dict[str, Callable[[], Contender]] = {"websockets": websockets, "aiohttp": aiohttp, "wsproto": wsproto}


def contenders() -> tuple[list[Contender], dict[str, str]]:
    """Return wsfast's backends and the installed peers, and why those that are missing are."""
    found: list[Contender] = []
    missing: dict[str, str] = {}
    if _backend.backend == "c":
        found.append(ours(_backend, f"wsfast C ({_backend.isa})"))
    found.append(ours(import_module("wsfast._fallback"), "wsfast Python"))
    for name, make in PEERS.items():
        try:
            found.append(make())
        except (ImportError, AttributeError) as exc:
            absent = isinstance(exc, ModuleNotFoundError) and exc.name == name
            missing[name] = "not installed" if absent else f"not as expected: {exc}"
    return found, missing
