"""autobahn with wsfast inside on real sockets: asyncio and Twisted, and daphne with channels on top.

Each in a process of its own, as one process can have but one of the two frameworks.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("autobahn.websocket")  # tests/autobahn is on the path too

import autobahn_conversation

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "hosts" / "autobahn_echo.py"
FRAMEWORKS = pytest.mark.parametrize("framework", ["asyncio", "twisted"])


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def need(framework: str) -> None:
    if framework == "twisted":
        pytest.importorskip("twisted")


@FRAMEWORKS
def test_conversations(framework: str) -> None:
    """Text, binary, fragments, the streaming API, compressed and not, ping and close, small and large."""
    need(framework)
    stock, ours = (
        json.loads(run(HERE.parent / "autobahn_conversation.py", framework, how))
        for how in ("stock", "wsfast")
    )

    def told_by(end: str, story: list[Any]) -> list[Any]:
        return [entry for entry in story if entry[0].startswith(end)]

    # Whether one end is told something before the other is a matter of when packets arrive.
    for end in ("server", "client", "ping", "pong", "compressed"):
        assert told_by(end, ours["story"]) == told_by(end, stock["story"])
    messages = 2 * len(autobahn_conversation.MESSAGES) + 2
    for end in ("server", "client"):
        assert len(told_by(end, ours["story"])) == 2 * (messages + 1)
    assert [entry[1] for entry in told_by("compressed", ours["story"])] == [False, True]
    assert (stock["fast"], stock["slow"]) == (0, 0)
    assert ours["fast"] > 150
    assert ours["slow"] == 0


@FRAMEWORKS
def test_the_example(framework: str) -> None:
    need(framework)
    output = run(EXAMPLE, "--messages", "300", *(["--twisted"] if framework == "twisted" else []))
    assert output.startswith("300 messages came back, closed cleanly\n")
    # Sent and received by two ends.
    assert output.endswith("frames that went through wsfast: 1200\n")
    stock = run(EXAMPLE, "--messages", "300", "--stock")
    assert re.search(r"^frames that went through wsfast: 0$", stock, re.MULTILINE)


APPLICATION = """\
import wsfast
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", INSTALLED_APPS=["channels"])
import django

django.setup()
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

wsfast.install("autobahn", force=wsfast.backend == "python")


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "counts":
            counts = wsfast.adapters.counts("autobahn")
            await self.send(text_data=f"{counts.fast} {counts.slow}")
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)


application = ProtocolTypeRouter({"websocket": URLRouter([path("echo", Echo.as_asgi())])})
"""


def test_channels_on_daphne(tmp_path: Path) -> None:
    pytest.importorskip("daphne")
    pytest.importorskip("channels")
    client = pytest.importorskip("websockets.sync.client")
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "application:application"]
    path = os.pathsep.join([str(HERE.parents[1]), str(tmp_path)])
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    ) as server:
        try:
            for _ in range(200):
                try:
                    connection = client.connect(f"ws://127.0.0.1:{port}/echo", max_size=None)
                    break
                except OSError:
                    time.sleep(0.1)
            with connection:
                for message in ["Hello", "Grüße" * 100_000, b"\xff" * 70_000, "x", ["frag", "ments"]]:
                    connection.send(message)
                    whole = "".join(message) if isinstance(message, list) else message
                    assert connection.recv(timeout=20) == whole
                connection.ping().wait(20)
                connection.send("counts")
                fast, slow = map(int, connection.recv(timeout=20).split())
            assert slow == 0
            assert fast >= 11
        finally:
            server.terminate()
