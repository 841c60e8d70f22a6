"""The decoders, maskers and encoders of other libraries, behind one interface, in this process.

Every adapter does what an application on that library gets done for it, on the library's fastest path,
and no more; where there was a choice it was made in the peer's favour, and a comment says so. Each is
checked against wsfast before it is timed.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import wsfast

__all__ = [
    "Decoder",
    "Masker",
    "backends",
    "decoders",
    "encoders",
    "implementations",
    "maskers",
    "reads_of",
    "select",
    "validators",
    "websockets_modules",
]

READ_SIZE = 64 * 1024
"""Bytes that an event loop reads at once, as asyncio's buffered transports do at most."""

Feed = Callable[[bytes], Any]
"""Takes one read and returns a sequence with what was decoded."""


@dataclass(frozen=True)
class Decoder:
    """A library's way from bytes on the wire to messages.

    Attributes:
        name: of the library.
        version: of the library.
        start: makes a fresh connection that plays the given role and returns its ``feed``. All of what
            ``feed`` returned is dropped after each read.
        messages: turns what ``feed`` returned into ``str`` and ``bytes`` messages, to check it.

    """

    name: str
    version: str
    start: Callable[[str], Feed]
    messages: Callable[[Iterable[Any]], list[str | bytes]] = lambda result: plain(result)

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


@dataclass(frozen=True)
class Masker:
    """A library's masking function. ``call`` is a Python expression of ``mask``, ``data`` and ``key``."""

    name: str
    version: str
    mask: Callable[..., Any]
    call: str = "mask(data, key)"
    data: Callable[[bytes], Any] = bytes


def reads_of(wire: bytes, size: int = READ_SIZE) -> list[bytes]:
    """Cut a stream into reads."""
    return [wire[start : start + size] for start in range(0, len(wire), size)]


def plain(result: Iterable[Any]) -> list[str | bytes]:
    """Keep the messages of what wsfast or an adapter here decoded."""
    return [
        item if isinstance(item, str) else bytes(item)
        for item in result
        if isinstance(item, (str, bytes, bytearray))
    ]


def installed(package: str) -> str | None:
    """The installed version, if there is one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# --- wsfast itself ----------------------------------------------------------------------------------


def backends() -> dict[str, ModuleType]:
    """Both backends where the compiled one is there: "c" and "python"."""
    found = {}
    for name, module in [("c", "wsfast._speedups"), ("python", "wsfast._fallback")]:
        try:
            found[name] = importlib.import_module(module)
        except ModuleNotFoundError as exc:
            if exc.name != module:
                raise
    return found


def implementations() -> list[str]:
    """Every kernel set that the CPU has, best first, and "python"."""
    names = []
    for module in backends().values():
        names += module.available_isas()
    return names


def select(isa: str) -> ModuleType:
    """Return the backend of a kernel set, with that set in use from now on."""
    found = backends()
    if isa == "python":
        return found["python"]
    found["c"]._select(isa)
    return found["c"]


def wsfast_decoder(module: Any, name: str = "wsfast", version: str = wsfast.__version__) -> Decoder:
    return Decoder(name, version, lambda role: module.MessageDecoder(role).feed)


# --- websockets -------------------------------------------------------------------------------------


def websockets_modules(*, speedups: bool = True) -> dict[str, ModuleType]:
    """Import websockets' modules, a private copy of them without the C function if asked for."""
    names = ["frames", "protocol", "server", "client", "utils"]
    if speedups:
        return {name: importlib.import_module(f"websockets.{name}") for name in names}
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "websockets"}
    blocked: dict[str, Any] = sys.modules
    blocked["websockets.speedups"] = None
    try:
        return {name: importlib.import_module(f"websockets.{name}") for name in names}
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "websockets"]:
            del sys.modules[name]
        sys.modules.update(ours)


def websockets_decoder(*, speedups: bool = True) -> Decoder:
    modules = websockets_modules(speedups=speedups)
    opcode = modules["frames"].Opcode
    TEXT, BINARY, CONT = opcode.TEXT, opcode.BINARY, opcode.CONT

    def start(role: str) -> Feed:
        protocol: Any
        state = modules["protocol"].State.OPEN
        if role == "server":
            protocol = modules["server"].ServerProtocol(state=state)
        else:
            uri = importlib.import_module("websockets.uri").parse_uri("ws://localhost/")
            protocol = modules["client"].ClientProtocol(uri, state=state)
        receive_data, events_received = protocol.receive_data, protocol.events_received
        parts: list[Any] = []

        def feed(data: bytes) -> list[Any]:
            receive_data(data)
            messages = []
            for frame in events_received():
                if frame.fin and frame.opcode is TEXT:
                    messages.append(frame.data.decode())
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

    return Decoder(
        "websockets" if speedups else "websockets without C", installed("websockets") or "", start, plain
    )


# --- aiohttp ----------------------------------------------------------------------------------------


def aiohttp_decoder() -> Decoder:
    """Aiohttp's compiled reader, as its web and client connections set it up."""
    from aiohttp._websocket.reader_c import WebSocketDataQueue, WebSocketReader  # type: ignore[import-not-found]
    from aiohttp.base_protocol import BaseProtocol

    text_and_binary = (1, 2)

    def start(role: str) -> Feed:
        loop = asyncio.new_event_loop()
        loop.close()
        # In the peer's favour: the queue is never full, so that parsing never stops half-way through a read,
        # and messages are taken from the queue's deque at once instead of by `await queue.read()` each.
        queue = WebSocketDataQueue(BaseProtocol(loop), 2**31 - 1, loop=loop)
        reader = WebSocketReader(queue, 4 * 1024 * 1024, compress=False, decode_text=True)
        feed_data = reader.feed_data
        buffer = queue._buffer

        def feed(data: bytes) -> list[Any]:
            failed, _ = feed_data(data)
            if failed:
                raise RuntimeError("aiohttp refused the stream") from queue.exception()
            messages = list(buffer)
            buffer.clear()
            return messages

        return feed

    def messages(result: Iterable[Any]) -> list[str | bytes]:
        return [message.data for message, size in result if message.type in text_and_binary]

    return Decoder("aiohttp", installed("aiohttp") or "", start, messages)


# --- wsproto ----------------------------------------------------------------------------------------


def wsproto_decoder() -> Decoder:
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage, TextMessage

    def start(role: str) -> Feed:
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
                    # It hands out what it has of a message at the end of each read.
                    pieces.append(event.data)
                    if event.message_finished:
                        empty = "" if isinstance(event, TextMessage) else b""
                        messages.append(empty.join(pieces))
                        pieces.clear()
            return messages

        return feed

    return Decoder("wsproto", installed("wsproto") or "", start, plain)


# --- picows -----------------------------------------------------------------------------------------


def picows_decoder() -> Decoder:
    """Picows' protocol, handshake done, with a listener that makes ``str`` or ``bytes`` of each frame.

    It reads into its own buffer, so a read is copied there first, which a socket would have done. Its
    unit is the frame: fragments are put together by the listener, as its documentation asks.
    """
    from picows import WSListener, WSMsgType

    # Its stub does not mention the protocol.
    core: Any = importlib.import_module("picows.picows")

    TEXT, BINARY, CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION

    class Listener(WSListener):
        def __init__(self) -> None:
            self.messages: list[Any] = []
            self.parts: list[bytes] = []
            self.first: Any = None

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            kind = frame.msg_type
            if frame.fin and kind == TEXT:
                self.messages.append(frame.get_payload_as_utf8_text())
            elif frame.fin and kind == BINARY:
                self.messages.append(frame.get_payload_as_bytes())
            elif kind in (TEXT, BINARY, CONTINUATION):
                self.parts.append(frame.get_payload_as_bytes())
                self.first = kind if kind != CONTINUATION else self.first
                if frame.fin:
                    payload = b"".join(self.parts)
                    self.messages.append(payload.decode() if self.first == TEXT else payload)
                    self.parts.clear()

    class Transport(asyncio.Transport):
        """Swallows what is written, the answer to the handshake."""

        def __init__(self) -> None:
            super().__init__()
            self.socket = socket.socket()

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return self.socket if name == "socket" else default

        def write(self, data: Any) -> None:
            pass

        def writelines(self, list_of_data: Iterable[Any]) -> None:
            pass

        def get_write_buffer_size(self) -> int:
            return 0

        def is_closing(self) -> bool:
            return False

    REQUEST = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    async def connection(listener: Any) -> Any:
        return core.WSProtocol(
            "localhost",
            "/",
            False,
            lambda request: listener,
            logging.getLogger("picows"),
            True,
            None,
            False,
            10.0,
            10.0,
            core.WSAutoPingStrategy.PING_WHEN_IDLE,
            False,
            16 * 1024 * 1024,
            None,
            256 * 1024,
        )

    def start(role: str) -> Feed:
        if role != "server":
            raise ValueError("this adapter plays the server only")
        loop = asyncio.new_event_loop()
        listener = Listener()
        protocol = loop.run_until_complete(connection(listener))
        transport = Transport()
        protocol.connection_made(transport)
        get_buffer, buffer_updated = protocol.get_buffer, protocol.buffer_updated

        def feed(data: bytes) -> list[Any]:
            position = 0
            while position < len(data):
                view = get_buffer(-1)
                part = data[position : position + len(view)] if position or len(view) < len(data) else data
                view[: len(part)] = part
                buffer_updated(len(part))
                position += len(part)
            messages = listener.messages
            listener.messages = []
            return messages

        feed(REQUEST)
        transport.socket.close()
        loop.close()
        return feed

    return Decoder("picows", installed("picows") or "", start, plain)


# --- what is installed ------------------------------------------------------------------------------


def decoders(names: Sequence[str] | None = None) -> dict[str, Decoder]:
    """The decoders of the installed peers, by name.

    Args:
        names: only these; ``None`` for all.

    """
    makers: dict[str, Callable[[], Decoder]] = {
        "aiohttp": aiohttp_decoder,
        "websockets": websockets_decoder,
        "websockets without C": lambda: websockets_decoder(speedups=False),
        "wsproto": wsproto_decoder,
        "picows": picows_decoder,
    }
    found = {}
    for name, make in makers.items():
        if (names is None or name in names) and installed(name.split()[0]):
            try:
                found[name] = make()
            except ImportError as exc:
                print(f"{name} is left out: {exc}", file=sys.stderr)
    return found


def maskers() -> dict[str, Masker]:
    """The masking functions of the installed peers, by name."""
    found = {}
    if version := installed("websockets"):
        try:
            from websockets.speedups import apply_mask

            found["websockets"] = Masker("websockets", version, apply_mask)
        except ImportError:
            pass
        python_mask = websockets_modules(speedups=False)["utils"].apply_mask
        found["websockets without C"] = Masker("websockets without C", version, python_mask)
    if version := installed("aiohttp"):
        from aiohttp._websocket.helpers import websocket_mask

        # In place: it is given the same bytearray each time, and makes nothing.
        found["aiohttp"] = Masker("aiohttp", version, websocket_mask, "mask(key, data)", bytearray)
    if version := installed("tornado"):
        from tornado.util import _websocket_mask

        found["tornado"] = Masker("tornado", version, _websocket_mask, "mask(key, data)")
    if version := installed("wsaccel"):
        from wsaccel.xormask import XorMaskerSimple

        found["wsaccel"] = Masker("wsaccel", version, XorMaskerSimple, "mask(key).process(data)")
    return found


def validators() -> dict[str, tuple[str, Callable[[bytes], Any]]]:
    """The UTF-8 validators of the installed peers, by name: version and function."""
    found: dict[str, tuple[str, Callable[[bytes], Any]]] = {}
    if version := installed("wsaccel"):
        from wsaccel.utf8validator import Utf8Validator

        found["wsaccel"] = (version, lambda data: Utf8Validator().validate(data))
    return found


def encoders() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """How the installed peers make a frame: version, expression of ``text`` and ``mask``, names it uses."""
    found: dict[str, tuple[str, str, dict[str, Any]]] = {}
    if version := installed("websockets"):
        from websockets.frames import Frame, Opcode

        statement = "Frame(TEXT, text.encode()).serialize(mask=mask)"
        found["websockets"] = (version, statement, {"Frame": Frame, "TEXT": Opcode.TEXT})
    if version := installed("wsproto"):
        from wsproto.connection import Connection, ConnectionType
        from wsproto.events import TextMessage

        sides = {True: Connection(ConnectionType.CLIENT), False: Connection(ConnectionType.SERVER)}
        statement = "sides[mask].send(TextMessage(text))"
        found["wsproto"] = (version, statement, {"sides": sides, "TextMessage": TextMessage})
    return found
