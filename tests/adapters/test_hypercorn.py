"""hypercorn with wsfast: what goes through its buffer of messages, and whole connections."""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypercorn")
pytest.importorskip("wsproto")

from hypercorn.protocol import ws_stream
from installing import FORCE, install
from wsproto.events import BytesMessage, TextMessage

import wsfast
from wsfast import Connection
from wsfast.adapters import AdapterError, counts, host, installed

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
STOCK = ws_stream.WebsocketBuffer


@pytest.fixture(autouse=True)
def uninstalled() -> Any:
    yield
    wsfast.uninstall()
    assert ws_stream.WebsocketBuffer is STOCK


def told(buffer: Any, steps: list[Any]) -> list[Any]:
    """Do what WSStream does with a buffer; tell all that can be seen of it."""
    log: list[Any] = []
    for event in steps:
        try:
            buffer.extend(event)
        except (ws_stream.FrameTooLargeError, TypeError) as exc:
            log.append(repr(exc))
        else:
            if event.message_finished:
                message = buffer.to_message()
                log.append((message, type(message["bytes"]), type(message["text"])))
                buffer.clear()
        log.append(buffer.length)
    return log


def text(*parts: str) -> list[Any]:
    return [TextMessage(part, True, number == len(parts)) for number, part in enumerate(parts, 1)]


def binary(*parts: bytes) -> list[Any]:
    return [BytesMessage(bytearray(part), True, number == len(parts)) for number, part in enumerate(parts, 1)]


CASES = {
    "text": text("Grüße 🎉"),
    "line ends": text("a\r\nb\rc\n"),
    "empty": [*text(""), *binary(b""), *text("", "", "")],
    "binary": binary(b"\0\xff" * 9),
    "parts": [*text("a", "", "é", "🎉"), *binary(b"1", b"", b"2")],
    "one behind the other": [*text("a"), *binary(b"b"), *text("c", "d")],
    "as long as may be": text("x" * 50, "y" * 50),
    "too long": [*text("x" * 101), *text("x")],
    "too long with the second part": text("x" * 60, "y" * 41, "z"),
    "text and bytes mixed": [*text("a", "b")[:1], *binary(b"c"), *text("d")],
    "bytes and text mixed": [*binary(b"a", b"b")[:1], *text("c", "d"), *binary(b"e")],
    "bytes of two kinds": [*binary(b"a", b"b")[:1], BytesMessage(b"c")],
    "characters are counted, not bytes": text("🎉" * 100),
}


@pytest.mark.parametrize("name", CASES)
def test_buffer(name: str) -> None:
    stock = told(STOCK(100), CASES[name])
    install("hypercorn")
    assert ws_stream.WebsocketBuffer is not STOCK
    assert told(ws_stream.WebsocketBuffer(100), CASES[name]) == stock
    assert any(isinstance(entry, (str, tuple)) for entry in stock)


def test_buffer_at_random() -> None:
    draw = random.Random(4)
    steps: list[Any] = []
    for _ in range(300):
        kind: Any = draw.choice([text, binary])
        parts = [
            draw.choice("aé🎉") * draw.choice([0, 1, 5, 2000]) for _ in range(draw.choice([1, 1, 2, 600]))
        ]
        steps += kind(*(parts if kind is text else [part.encode() for part in parts]))
    stock = told(STOCK(1 << 24), steps)
    install("hypercorn")
    before = counts("hypercorn").fast, counts("hypercorn").slow
    assert told(ws_stream.WebsocketBuffer(1 << 24), steps) == stock
    fast, slow = counts("hypercorn").fast - before[0], counts("hypercorn").slow - before[1]
    assert fast > 100
    assert slow > 10


def test_many_small_parts_are_not_kept_each() -> None:
    install("hypercorn")
    for part in ("é", b"x"):
        buffer: Any = ws_stream.WebsocketBuffer(1 << 20)
        make: Any = TextMessage if isinstance(part, str) else BytesMessage
        for _ in range(100_000):
            buffer.extend(make(part, True, False))
        assert len(buffer._parts) == 0
        assert buffer.length == 100_000
        buffer.extend(make(part))
        message = buffer.to_message()
        assert (message["text"] if isinstance(part, str) else message["bytes"]) == part * 100_001


def test_wsproto_comes_along_and_stays() -> None:
    with install("hypercorn") as done:
        assert done.hosts == installed() == ("wsproto", "hypercorn")
    assert installed() == ()
    install("wsproto")
    with install("hypercorn") as done:
        assert done.hosts == ("hypercorn",)
    assert installed() == ("wsproto",)
    install("hypercorn")
    wsfast.uninstall("hypercorn")
    assert installed() == ("wsproto",)


def test_reloaded() -> None:
    install("hypercorn")
    ours: Any = ws_stream.WebsocketBuffer
    importlib.reload(ws_stream)
    fresh = ws_stream.WebsocketBuffer
    try:
        assert fresh is not ours
        install("hypercorn")
        assert issubclass(ws_stream.WebsocketBuffer, fresh)
        assert ws_stream.WebsocketBuffer is not ours
        wsfast.uninstall()
        assert ws_stream.WebsocketBuffer is fresh
    finally:
        ws_stream.WebsocketBuffer = STOCK  # type: ignore[misc]


def test_replaced_by_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(STOCK): ...

    Other.__module__ = "somebody"
    monkeypatch.setattr(ws_stream, "WebsocketBuffer", Other)
    with pytest.raises(AdapterError) as caught:
        install("hypercorn")
    assert str(caught.value) == (
        f"hypercorn {host('hypercorn').version()} is not built as wsfast knows it (0.14.4 to 0.18.0):"
        " hypercorn.protocol.ws_stream.WebsocketBuffer comes from somebody: something else has replaced it;"
        " install such a version, or a newer wsfast (force=True tries all the same)"
    )
    assert installed() == ()
    monkeypatch.undo()


@pytest.mark.parametrize("compressed", [False, True])
def test_connection(compressed: bool) -> None:
    """The host program of the benchmark, with a client of wsfast's."""
    from wsfast.cli.loopback import _connect, _Peer

    arguments = [sys.executable, "-m", "wsfast.cli.hosts", "hypercorn", *(["--install"] if not FORCE else [])]
    root = str(Path(wsfast.__file__).resolve().parents[1])
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        peer = _Peer(_connect(int(server.stdout.readline())), "client", compressed)
        assert isinstance(peer.connection, Connection)
        peer.command("!echo")
        for size in (1, 64, 5000, 300_000):
            message = "é" * size
            peer.socket.sendall(peer.connection.send_text(message))
            assert peer.next() == message
        peer.close()
        server.stdin.close()
    assert server.returncode == 0
