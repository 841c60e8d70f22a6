"""Real connections on wsproto, over loopback sockets, with wsfast inside."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _fallback
from wsfast.adapters import counts
from wsfast.adapters import wsproto as adapter

pytest.importorskip("wsproto")

from implementations import compiled_module
from installing import install
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from wsfast.adapters import _wsproto_frames as fast

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
TIMEOUT = 20
MESSAGES: list[Any] = [
    "",
    b"",
    "Hello",
    "Grüße 🎉" * 3,
    bytes(range(126)),
    "x" * 125,
    "y" * 65_535,
    random.Random(1).randbytes(65_536),
    "0123456789ü" * 100_000,
    "end",
]
COMPRESSED = pytest.mark.parametrize("compressed", [False, True], ids=["plain", "deflate"])


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("apply_mask", "apply_mask_into", "decode_utf8", "encode_frame", "split_frames"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    adapter.HOST.counts.fast = adapter.HOST.counts.slow = 0
    install("wsproto")
    yield
    wsfast.uninstall()


class Peer:
    """A WSConnection and its socket; blocking."""

    def __init__(self, kind: ConnectionType, connected: socket.socket) -> None:
        connected.settimeout(TIMEOUT)
        self.socket = connected
        self.connection = WSConnection(kind)
        self.parts: list[Any] = []

    def send(self, event: Any) -> None:
        self.socket.sendall(self.connection.send(event))

    def events(self) -> Iterator[Any]:
        """Yield events until the connection has ended; messages are put together."""
        while True:
            for event in self.connection.events():
                if not isinstance(event, Message):
                    yield event
                    continue
                self.parts.append(event.data)
                if event.message_finished:
                    parts, self.parts = self.parts, []
                    yield type(parts[0])().join(parts)
            if self.connection.state is ConnectionState.CLOSED:
                return
            received = self.socket.recv(1 << 16)
            if not received and self.connection.state is ConnectionState.REMOTE_CLOSING:
                return
            self.connection.receive_data(received or None)


def echo(listener: socket.socket, compressed: bool) -> None:
    connected, _ = listener.accept()
    with connected:
        peer = Peer(ConnectionType.SERVER, connected)
        for event in peer.events():
            if isinstance(event, Request):
                peer.send(AcceptConnection(extensions=[PerMessageDeflate()] if compressed else []))
            elif isinstance(event, str):
                peer.send(TextMessage(event))
            elif isinstance(event, bytes):
                peer.send(BytesMessage(event))
            elif isinstance(event, Ping):
                peer.send(event.response())
            elif isinstance(event, CloseConnection):
                # Its answer; or, to a peer that broke a rule, the reason.
                peer.send(event.response())
                return


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[tuple[Peer, Iterator[Any]]]:
    """A client of an echo server in another thread, after the handshake."""
    compressed = request.node.callspec.params["compressed"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        thread = threading.Thread(target=echo, args=(listener, compressed))
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), TIMEOUT) as connected:
                peer = Peer(ConnectionType.CLIENT, connected)
                peer.send(Request("localhost", "/", extensions=[PerMessageDeflate()] if compressed else []))
                events = peer.events()
                accepted = next(events)
                assert isinstance(accepted, AcceptConnection)
                assert bool(accepted.extensions) == compressed
                yield peer, events
        finally:
            thread.join(TIMEOUT)


def close(client: tuple[Peer, Iterator[Any]]) -> None:
    peer, events = client
    peer.send(CloseConnection(1000, "bye"))
    assert next(events) == CloseConnection(1000, "bye")
    assert list(events) == []


@COMPRESSED
def test_echo(client: tuple[Peer, Iterator[Any]], compressed: bool) -> None:
    peer, events = client
    for message in MESSAGES:
        peer.send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))
        assert next(events) == message
    close(client)
    # Each went out and came in twice, but for the thread's last increments.
    assert counts("wsproto").fast >= 4 * len(MESSAGES) - 2
    assert counts("wsproto").slow == 0


@COMPRESSED
def test_many_at_once(client: tuple[Peer, Iterator[Any]], compressed: bool) -> None:
    peer, events = client
    data = b"".join(peer.connection.send(TextMessage(f"message {number}")) for number in range(3000))
    peer.socket.sendall(data)
    assert [next(events) for _ in range(3000)] == [f"message {number}" for number in range(3000)]
    close(client)


@COMPRESSED
def test_fragments_and_pings(client: tuple[Peer, Iterator[Any]], compressed: bool) -> None:
    peer, events = client
    for piece in ("Gr", "ü", "", "ße" * 10_000):
        peer.send(TextMessage(piece, message_finished=False))
        peer.send(Ping(piece.encode()[:100]))
    peer.send(TextMessage("."))
    for piece in ("Gr", "ü", "", "ße" * 10_000):
        assert next(events) == Pong(piece.encode()[:100])
    assert next(events) == "Grü" + "ße" * 10_000 + "."
    close(client)


@COMPRESSED
def test_open_while_wsfast_comes_and_goes(client: tuple[Peer, Iterator[Any]], compressed: bool) -> None:
    peer, events = client
    for number in range(20):
        text = f"{number}" * 10_000
        peer.send(TextMessage(text))
        if number % 2:
            install("wsproto")
        else:
            wsfast.uninstall()
        assert next(events) == text
    install("wsproto")
    close(client)


@COMPRESSED
def test_invalid_text(client: tuple[Peer, Iterator[Any]], compressed: bool) -> None:
    peer, events = client
    peer.socket.sendall(
        wsfast.encode_frame(1, b"good", mask=True) + wsfast.encode_frame(1, b"\xff", mask=True)
    )
    assert next(events) == "good"
    failed = next(events)
    assert isinstance(failed, CloseConnection)
    assert failed.code == 1007


@pytest.mark.parametrize("compressed", [False, True])
def test_uvicorn(compressed: bool) -> None:
    uvicorn = pytest.importorskip("uvicorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def main() -> None:
        config = uvicorn.Config(
            app,
            ws="wsproto",
            ws_per_message_deflate=compressed,
            log_level="error",
            lifespan="off",
            port=0,
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        await asyncio.to_thread(talk, host, port)
        server.should_exit = True
        await task

    def talk(host: str, port: int) -> None:
        with socket.create_connection((host, port), TIMEOUT) as connected:
            peer = Peer(ConnectionType.CLIENT, connected)
            peer.send(Request(host, "/", extensions=[PerMessageDeflate()] if compressed else []))
            events = peer.events()
            assert isinstance(next(events), AcceptConnection)
            for message in MESSAGES:
                if isinstance(message, str):
                    peer.send(TextMessage(message))
                    assert next(events) == message
            peer.send(CloseConnection(1000))
            assert next(events).code == 1000

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))
    assert counts("wsproto").fast > 20
    assert counts("wsproto").slow == 0
