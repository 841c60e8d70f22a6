"""The websocket-client drop-in over real sockets, with a server that is another library's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import adapters

pytest.importorskip("websocket._abnf")
pytest.importorskip("websockets.sync.server")

import websocket
import websockets.sync.server
from installing import install

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
TIMEOUT = 20
COUNTS = adapters.counts("websocket-client")
MESSAGES: list[str | bytes] = [
    "",
    "Hello",
    "Grüße, 世界 🌍",
    b"",
    bytes(range(256)),
    "x" * 125,
    "x" * 126,
    "ü" * 40_000,
    bytes(1_000_000),
]


def answer(connection: Any) -> None:
    """Echo; some texts are requests."""
    for message in connection:
        if message == "fragments":
            connection.send(["Gr", "ü", "", "ße" * 1000])
            connection.send([b"a" * 5000, b"", b"b" * 70_000])
        elif message == "ping":
            connection.ping(b"in between").wait(TIMEOUT)
            connection.send("pong came")
        elif message == "close":
            connection.close(4001, "as you like")
        else:
            connection.send(message)


@pytest.fixture
def uri() -> Iterator[str]:
    with websockets.sync.server.serve(answer, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()
            wsfast.uninstall()


@pytest.fixture
def connect(uri: str) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def connect(**options: Any) -> Any:
        made.append(websocket.create_connection(uri, timeout=TIMEOUT, **options))
        return made[-1]

    yield connect
    for connection in made:
        connection.close()
        connection.shutdown()


@pytest.mark.parametrize("multithread", [False, True])
def test_echo(connect: Callable[..., Any], multithread: bool) -> None:
    install("websocket-client")
    fast, slow = COUNTS.fast, COUNTS.slow
    ws = connect(enable_multithread=multithread)
    for message in MESSAGES:
        if isinstance(message, bytes):
            ws.send_bytes(message)
        else:
            ws.send(message)
        assert ws.recv() == message
    ws.send("ping")
    assert ws.recv() == "pong came"
    ws.send("fragments")
    assert ws.recv() == "Grü" + "ße" * 1000
    assert ws.recv() == b"a" * 5000 + b"b" * 70_000
    assert COUNTS.slow == slow
    assert COUNTS.fast - fast == 2 * len(MESSAGES) + 3 + 9


def test_close_from_the_server(connect: Callable[..., Any]) -> None:
    install("websocket-client")
    ws = connect()
    ws.send("close")
    opcode, frame = ws.recv_data_frame(control_frame=True)
    assert (opcode, frame.data) == (8, b"\x0f\xa1as you like")
    assert not ws.connected


def test_connection_open_across_installations(connect: Callable[..., Any]) -> None:
    ws = connect()
    for number in range(20):
        if number % 2:
            wsfast.uninstall()
        else:
            install("websocket-client")
        ws.send(f"{number}" * 1000)
        assert ws.recv() == f"{number}" * 1000
        ws.send("fragments")
        assert ws.recv() == "Grü" + "ße" * 1000
        assert len(ws.recv()) == 75_000


def test_many_threads(connect: Callable[..., Any]) -> None:
    """Threads that send on one connection: frames stay whole."""
    install("websocket-client")
    ws = connect(enable_multithread=True)
    texts = [f"{number}" * (number * 37) for number in range(1, 40)]
    threads = [threading.Thread(target=lambda part=texts[i::4]: [ws.send(t) for t in part]) for i in range(4)]
    for thread in threads:
        thread.start()
    received = [ws.recv() for _ in texts]
    for thread in threads:
        thread.join()
    assert sorted(received) == sorted(texts)


@pytest.mark.parametrize("wanted", [False, True], ids=["stock", "wsfast"])
def test_app(uri: str, wanted: bool) -> None:
    if wanted:
        install("websocket-client")
    events: list[Any] = []

    def on_open(app: Any) -> None:
        for text in ("one", "ping", "fragments", "x" * 100_000):
            app.send(text)

    def on_message(app: Any, message: str | bytes) -> None:
        events.append(message)
        if len(message) == 100_000:
            app.close()

    app = websocket.WebSocketApp(
        uri,
        on_open=on_open,
        on_message=on_message,
        on_ping=lambda app, payload: events.append(("ping", payload)),
        on_error=lambda app, error: events.append(error),
        on_close=lambda app, code, reason: events.append((code, reason)),
    )
    fast = COUNTS.fast
    app.run_forever()
    assert events[:3] == ["one", ("ping", b"in between"), "pong came"]
    assert events[3:6] == ["Grü" + "ße" * 1000, b"a" * 5000 + b"b" * 70_000, "x" * 100_000]
    assert events[6:] in ([(1000, None)], [(None, None)])  # the latter before 1.9.1
    assert COUNTS.fast - fast == (4 + 3 + 9 if wanted else 0)
