"""Two ends of a connection that talk over a socketpair, on wsfast, websockets and wsproto without I/O.

The loop is the same for all: it writes what an end has to send, reads from a socket, feeds what came, and
picks the messages. Its system calls are in the time that is measured. Whatever a library offers to do more
at once, it may: an end that sends several messages joins them as it likes, and they are one write.
"""

from __future__ import annotations

import importlib
import socket
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from measure import Side
from peers import READ_SIZE, installed

import wsfast
from wsfast.connection import ConnectionLogic

__all__ = [
    "Compression",
    "End",
    "Ends",
    "connection_class",
    "echo_side",
    "ends",
    "wsfast_ends",
    "zlib_modules",
]


@dataclass(frozen=True)
class Compression:
    """How both directions are compressed with permessage-deflate (RFC 7692)."""

    window_bits: int
    mem_level: int

    def __str__(self) -> str:
        return f"{self.window_bits} bits, memLevel {self.mem_level}"


@dataclass(frozen=True)
class End:
    """One end of a connection.

    Attributes:
        send: takes a text, returns the bytes to write.
        send_all: takes several, returns the bytes to write for all of them.
        receive: takes what was read, returns what came: the messages, as ``str``, maybe among others.
        answer: returns what this end has to say by itself, such as pongs; called after each read.

    """

    send: Callable[[str], bytes]
    send_all: Callable[[Iterable[str]], bytes]
    receive: Callable[[bytes], Iterable[Any]]
    answer: Callable[[], bytes]


@dataclass(frozen=True)
class Ends:
    """A library's way to make an end, open, that plays the given role."""

    name: str
    make: Callable[[str, Compression | None], End]


# --- wsfast -----------------------------------------------------------------------------------------


@cache
def connection_class(module: Any) -> Any:
    """Return ``wsfast.Connection`` over a backend."""
    return type("Connection", (ConnectionLogic, module.Channel), {})


def wsfast_ends(name: str = "", connection: Any = wsfast.Connection, zlib: ModuleType | None = None) -> Ends:
    """Make ends of wsfast; ``zlib`` is the zlib module to use, if not the standard library's."""

    def make(role: str, compression: Compression | None) -> End:
        options = {}
        if compression is not None:
            deflate = wsfast.Deflate(
                server_max_window_bits=compression.window_bits,
                client_max_window_bits=compression.window_bits,
                mem_level=compression.mem_level,
            )
            agreed = deflate.accept([deflate.offer()])
            options = {"extensions": str(agreed), "compression": deflate}
        before = wsfast.zlib_backend()
        if zlib is not None:
            wsfast.set_zlib_backend(zlib)
        try:
            end = connection.established(role, **options)
        finally:
            wsfast.set_zlib_backend(before)
        send = end.send_text
        return End(
            send, lambda texts: b"".join([send(text) for text in texts]), end.receive_data, end.data_to_send
        )

    return Ends(name or f"wsfast {wsfast.__version__}", make)


# --- websockets -------------------------------------------------------------------------------------


def websockets_ends() -> Ends:
    """Protocols of websockets, which has UTF-8 coded by its caller."""
    from websockets.client import ClientProtocol
    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.frames import Opcode
    from websockets.protocol import State
    from websockets.server import ServerProtocol
    from websockets.uri import parse_uri

    TEXT = Opcode.TEXT

    def make(role: str, compression: Compression | None) -> End:
        protocol: Any
        if role == "server":
            protocol = ServerProtocol(state=State.OPEN)
        else:
            protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
        if compression is not None:
            bits, settings = compression.window_bits, {"memLevel": compression.mem_level}
            protocol.extensions = [PerMessageDeflate(False, False, bits, bits, settings)]
        receive_data, events_received = protocol.receive_data, protocol.events_received
        send_text, data_to_send = protocol.send_text, protocol.data_to_send

        def send(text: str) -> bytes:
            send_text(text.encode())
            return b"".join(data_to_send())

        def send_all(texts: Iterable[str]) -> bytes:
            for text in texts:
                send_text(text.encode())
            return b"".join(data_to_send())

        def receive(data: bytes) -> list[str]:
            receive_data(data)
            return [frame.data.decode() for frame in events_received() if frame.opcode is TEXT and frame.fin]

        return End(send, send_all, receive, lambda: b"".join(data_to_send()))

    return Ends(f"websockets {installed('websockets')}", make)


# --- wsproto ----------------------------------------------------------------------------------------


def wsproto_ends() -> Ends:
    """Connections of wsproto. In its favour: nothing is looked for that would have to be answered."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import TextMessage
    from wsproto.extensions import PerMessageDeflate

    def make(role: str, compression: Compression | None) -> End:
        extensions: Any = []
        if compression is not None:
            if compression.mem_level != 8:
                raise ValueError("wsproto's memLevel is that of zlib")
            deflate = PerMessageDeflate(
                client_max_window_bits=compression.window_bits,
                server_max_window_bits=compression.window_bits,
            )
            deflate._enabled = True
            extensions = [deflate]
        kind = ConnectionType.SERVER if role == "server" else ConnectionType.CLIENT
        connection = Connection(kind, extensions)
        receive_data, events, send_event = connection.receive_data, connection.events, connection.send
        parts: list[str] = []

        def receive(data: bytes) -> list[str]:
            receive_data(data)
            messages = []
            for event in events():
                if isinstance(event, TextMessage):
                    if event.message_finished and not parts:
                        messages.append(event.data)
                        continue
                    # It hands out what it has of a message at the end of each read.
                    parts.append(event.data)
                    if event.message_finished:
                        messages.append("".join(parts))
                        parts.clear()
            return messages

        def send(text: str) -> bytes:
            return send_event(TextMessage(text))

        def send_all(texts: Iterable[str]) -> bytes:
            return b"".join([send_event(TextMessage(text)) for text in texts])

        return End(send, send_all, receive, bytes)

    return Ends(f"wsproto {installed('wsproto')}", make)


def ends(name: str) -> Ends:
    """Return the ends of a peer."""
    return {"websockets": websockets_ends, "wsproto": wsproto_ends}[name]()


# --- the echo ---------------------------------------------------------------------------------------


def one_in_flight(
    client: End, server: End, near: socket.socket, far: socket.socket
) -> Callable[[Sequence[str]], list[str]]:
    """Return what sends texts one by one, each when the one before has come back."""
    write, read = near.sendall, near.recv
    write_far, read_far = far.sendall, far.recv

    def echo(texts: Sequence[str]) -> list[str]:
        came = []
        for text in texts:
            write(client.send(text))
            waiting = True
            while waiting:
                for event in server.receive(read_far(READ_SIZE)):
                    if isinstance(event, str):
                        write_far(server.send(event))
                        waiting = False
                if answer := server.answer():
                    write_far(answer)
            waiting = True
            while waiting:
                for event in client.receive(read(READ_SIZE)):
                    if isinstance(event, str):
                        came.append(event)
                        waiting = False
                if answer := client.answer():
                    write(answer)
        return came

    return echo


def all_in_flight(
    client: End, server: End, near: socket.socket, far: socket.socket
) -> Callable[[Sequence[str]], list[str]]:
    """Return what sends all the texts in one write, and has each read of the server answered in one."""
    write, read = near.sendall, near.recv
    write_far, read_far = far.sendall, far.recv

    def echo(texts: Sequence[str]) -> list[str]:
        write(client.send_all(texts))
        waiting = len(texts)
        while waiting:
            messages = [event for event in server.receive(read_far(READ_SIZE)) if isinstance(event, str)]
            waiting -= len(messages)
            write_far(server.send_all(messages))
            if answer := server.answer():
                write_far(answer)
        came: list[str] = []
        while len(came) < len(texts):
            came += [event for event in client.receive(read(READ_SIZE)) if isinstance(event, str)]
            if answer := client.answer():
                write(answer)
        return came

    return echo


def echo_side(
    library: Ends, texts: Sequence[str], *, pipelined: bool, compression: Compression | None = None
) -> Side:
    """Return the side of a library: a client sends ``texts``, a server echoes them.

    Args:
        library: whose ends talk.
        texts: what is sent; all of it has to fit into the sockets' buffers if ``pipelined``.
        pipelined: whether all texts are under way at a time, or one.
        compression: of both directions.

    """
    near, far = socket.socketpair()
    client, server = library.make("client", compression), library.make("server", compression)
    echo = (all_in_flight if pipelined else one_in_flight)(client, server, near, far)
    for _ in range(2):
        if echo(texts) != list(texts):
            raise SystemExit(f"{library.name}: the echo differs, nothing was measured")
    for end in (near, far):
        weakref.finalize(echo, end.close)
    return Side(library.name, "echo(texts)", {"echo": echo, "texts": texts}, len(texts))


def zlib_modules() -> dict[str, ModuleType]:
    """The zlib modules that are installed beside the standard one, by name."""
    found = {}
    for name, module in [("isal", "isal.isal_zlib"), ("zlib-ng", "zlib_ng.zlib_ng")]:
        if installed(name):
            found[name] = importlib.import_module(module)
    return found
