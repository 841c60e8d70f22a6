"""The programs of examples/programs, by what they say to a client."""

from __future__ import annotations

import ast
import asyncio
import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import urllib.error
from typing import Any

import pytest
from programs_running import DEADLINE, MARKS, PROGRAMS, Client, Program, run

from wsfast.asyncio import ConnectionClosed, InvalidStatus, connect

pytestmark = MARKS
NAMES = ["chat", "ticker", "game", "video"]


@pytest.mark.parametrize("name", NAMES)
def test_help(name: str) -> None:
    program = PROGRAMS / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(program), "--help"], capture_output=True, encoding="utf-8", timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    doc = ast.get_docstring(ast.parse(program.read_text("utf-8")))
    assert doc is not None and f"python examples/programs/{name}.py" in doc
    assert doc.splitlines()[0] in done.stdout
    assert "--host" in done.stdout and "--port" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_page(name: str) -> None:
    with Program(name) as program:
        page, headers = program.get("/")
        assert headers["content-type"] == "text/html; charset=utf-8"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
        scripts = re.findall(r"<script[^>]*>(.+?)</script>", page, re.S)
        assert len(scripts) == 1
        digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        # Nothing from elsewhere, and no text that becomes HTML.
        plots, headers = program.get("/plots.js")
        assert headers["content-type"] == "text/javascript; charset=utf-8"
        style, headers = program.get("/style.css?v=1")
        assert headers["content-type"] == "text/css; charset=utf-8"
        for text in (page, plots, style):
            assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|eval\(", text)
            assert not re.search(r"\s(style|on[a-z]+)=", text)
        assert program.get("/health")[0] == "well\n"
        for target in ("/chat.py", "/../pages.py", "/%2e%2e/pages.py", "/nothing"):
            with pytest.raises(urllib.error.HTTPError, match="404") as caught:
                program.get(target)
            caught.value.close()


@pytest.mark.parametrize("name", NAMES)
def test_connections_of_other_pages(name: str) -> None:
    async def main(uri: str, page: str) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri, origin="http://elsewhere.example", proxy=None)
        assert caught.value.response.status == 403
        async with connect(uri, origin=page.rstrip("/"), proxy=None):
            pass
        with pytest.raises(InvalidStatus) as caught:
            await connect(uri.removesuffix("/ws") + "/other", proxy=None)
        assert caught.value.response.status == 404

    with Program(name) as program:
        run(main(program.websocket, program.page))


@pytest.mark.parametrize("name", NAMES)
def test_echo(name: str) -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as client:
            await client.tell(type="other")
            assert (await client.hear("error"))["text"]
            # As browsers write it, without spaces.
            await client.ws.send('{"type":"echo","at":12.5}')
            assert await client.hear("echo") == {"type": "echo", "at": 12.5}

    with Program(name) as program:
        run(main(program.websocket))


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", NAMES)
def test_interrupt(name: str) -> None:
    async def main(program: Program) -> None:
        async with Client.to(program.websocket) as client:
            interrupting = asyncio.ensure_future(asyncio.to_thread(program.interrupt))
            async for _ in client.ws:
                pass
            await interrupting
            # Going away, not cut off.
            assert client.ws.close_code == 1001

    with Program(name) as program:
        run(main(program))


def test_port_taken() -> None:
    with Program("chat") as program:
        port = program.page.rstrip("/").rpartition(":")[2]
        done = subprocess.run(
            [sys.executable, str(PROGRAMS / "chat.py"), "--port", port],
            capture_output=True,
            encoding="utf-8",
            timeout=DEADLINE,
        )
        assert done.returncode == 1
        assert re.match(r"chat\.py: .*address already in use", done.stderr) or os.name != "posix"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--processes", "2"], "--processes needs --broker"),
        (["--processes", "0"], "--processes must be at least 1"),
        (["--broker", "mqtt://x"], "--broker must be 'local' or redis://"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "chat.py"), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )
    assert done.returncode != 0
    assert said in done.stderr or (os.name != "posix" and "cannot share a port" in done.stderr)
    assert "Traceback" not in done.stderr


# ---- chat ------------------------------------------------------------------------------------------


def test_chat() -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as ann, Client.to(uri) as bob, Client.to(uri) as eve:
            await ann.tell(type="join", room="Lobby", name=" Ann ")
            welcome = await ann.hear("welcome")
            assert welcome == {
                "type": "welcome",
                "room": "lobby",
                "you": "Ann",
                "people": ["Ann"],
                "history": [],
            }
            await ann.tell(type="say", text="first")
            said = await ann.hear("said")
            assert (said["name"], said["text"]) == ("Ann", "first")

            await bob.tell(type="join", room="lobby", name="Bøb 👩‍👩‍👧")
            welcome = await bob.hear("welcome")
            assert welcome["people"] == ["Ann", "Bøb 👩‍👩‍👧"]
            assert welcome["history"] == [said]
            change = await ann.hear("people", lambda event: event.get("joined") != "Ann")
            assert change == {"type": "people", "people": ["Ann", "Bøb 👩‍👩‍👧"], "joined": "Bøb 👩‍👩‍👧"}

            # Another room is another world.
            await eve.tell(type="join", room="other", name="Ann")
            assert (await eve.hear("welcome"))["history"] == []

            text = "<img src=x onerror=alert(1)>\nGrüße"
            await bob.tell(type="say", text=text)
            for client in (ann, bob):
                heard = await client.hear("said", lambda event: event["text"] != "first")
                assert (heard["name"], heard["text"]) == ("Bøb 👩‍👩‍👧", text)

            await bob.ws.close()
            change = await ann.hear("people")
            assert change == {"type": "people", "people": ["Ann"], "left": "Bøb 👩‍👩‍👧"}
            await eve.tell(type="say", text="alone")
            assert (await eve.hear("said"))["text"] == "alone"

    with Program("chat") as program:
        run(main(program.websocket))


def test_chat_history_is_bounded_and_outlives_the_people() -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as ann:
            await ann.tell(type="join", room="r", name="Ann")
            for number in range(70):
                await ann.tell(type="say", text=str(number))
            await ann.hear("said", lambda event: event["text"] == "69")
        async with Client.to(uri) as bob:
            await bob.tell(type="join", room="r", name="Bob")
            welcome = await bob.hear("welcome")
            assert [each["text"] for each in welcome["history"]] == [str(n) for n in range(20, 70)]

    with Program("chat") as program:
        run(main(program.websocket))


def test_chat_bad_input() -> None:
    joins: list[tuple[Any, str]] = [
        ("no JSON", "send {"),
        (b"{}", "send {"),
        ("[" * 5000, "send {"),
        ("[]", "send {"),
        ('{"type": "leave"}', "send {"),
        ({"type": "say", "text": "x"}, "join first"),
        ({"type": "join", "room": "r"}, "name must be a text"),
        ({"type": "join", "room": "r", "name": 5}, "name must be a text"),
        ({"type": "join", "room": "r", "name": "  "}, "name must be a text"),
        ({"type": "join", "room": "r", "name": "x" * 25}, "name must be at most 24 characters, not 25"),
        ({"type": "join", "room": "r", "name": "a\nb"}, "name must not have the control character U+000A"),
        (
            {"type": "join", "room": "r", "name": "a\u202eb"},
            "name must not have the control character U+202E",
        ),
        (
            '{"type": "join", "room": "r", "name": "\\ud800"}',
            "name must not have the control character U+D800",
        ),
        ({"type": "join", "room": "a/b", "name": "x"}, "room must be letters"),
        ({"type": "join", "room": "x" * 25, "name": "x"}, "room must be at most 24"),
        ({"type": "join", "room": "r", "name": "Ann"}, "Ann is here already"),
    ]
    says: list[tuple[Any, str]] = [
        ({"type": "say"}, "text must be a text"),
        ({"type": "say", "text": "x" * 501}, "text must be at most 500 characters, not 501"),
        ({"type": "say", "text": "\x1b[31m"}, "text must not have the control character U+001B"),
        ({"type": "join", "room": "r", "name": "x"}, "you have joined already"),
    ]

    async def main(uri: str) -> None:
        async with Client.to(uri) as ann, Client.to(uri) as client:
            await ann.tell(type="join", room="r", name="Ann")
            await ann.hear("welcome")
            for cases in (joins, says):
                for sent, said in cases:
                    await client.ws.send(json.dumps(sent) if isinstance(sent, dict) else sent)
                    assert (await client.hear("error"))["text"].startswith(said)
                if cases is joins:
                    await client.tell(type="join", room="r", name="Bob")
                    await client.hear("welcome")
            # 500 characters in their longest spelling are no more than that.
            await client.ws.send(json.dumps({"type": "say", "text": "🎉" * 500}))
            assert (await ann.hear("said"))["text"] == "🎉" * 500
            await client.ws.send("x" * 9000)
            with pytest.raises(ConnectionClosed):
                while True:
                    await client.ws.recv()
            assert client.ws.close_code == 1009
            # The others go on.
            assert (await ann.hear("people", lambda event: "left" in event))["people"] == ["Ann"]

    with Program("chat") as program:
        run(main(program.websocket))


# ---- ticker ----------------------------------------------------------------------------------------


def test_ticker() -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as first, Client.to(uri) as second:
            hello = await first.hear("hello")
            assert hello["rate"] == 1000 and hello["slow"] == "skip"
            for client in (first, second):
                number = (await client.hear(None))["n"]
                for _ in range(2000):
                    update = await client.hear(None)
                    # Each update is a message, and none is missing.
                    assert update["n"] == number + 1
                    number = update["n"]
                    assert update["s"] in hello["symbols"] and update["p"] > 0
            stats = await first.hear("stats")
            assert stats["subscribers"] == 2 and stats["skipped"] == 0

    with Program("ticker") as program:
        run(main(program.websocket))


@pytest.mark.parametrize("slow", ["skip", "close"])
def test_ticker_slow_subscriber(slow: str) -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as fast, Client.to(uri) as idle:
            await idle.hear("hello")
            counted, other = ("skipped", "closed") if slow == "skip" else ("closed", "skipped")
            # It reads no more: that fills the buffers of both systems, and then the server's.
            stats = await fast.hear("stats", lambda event: event[counted] > 0)
            assert stats[other] == 0
            if slow == "close":
                with pytest.raises(ConnectionClosed):
                    while True:
                        await idle.ws.recv()
                assert idle.ws.close_code == 1013
            else:
                # Some are missing, and then it goes on.
                last = (await idle.hear(None))["n"]
                while (number := (await idle.hear(None))["n"]) == last + 1:
                    last = number
                assert number > last

    # More than a thousand a second, since buffers are large.
    with Program("ticker", "--rate", "20000", "--slow", slow) as program:
        run(main(program.websocket))


# ---- game ------------------------------------------------------------------------------------------

STATE = "<IffffBB"


def test_game() -> None:
    async def state(client: Client) -> tuple[Any, ...]:
        return struct.unpack(STATE, await client.frame())

    async def main(uri: str) -> None:
        async with Client.to(uri) as left, Client.to(uri) as right:
            await left.hear("waiting")
            await left.ws.send(b"\1")
            starts = [await left.hear("start"), await right.hear("start")]
            assert [start["side"] for start in starts] == ["left", "right"]
            await right.ws.send(b"\2")
            await left.ws.send(b"\1")
            now = await state(left)
            while max(abs(now[3] - 0.1), abs(now[4] - 0.9)) > 1e-6:
                before, now = now, await state(left)
                assert now[0] == before[0] + 1
            # Both see the same.
            seen = await state(right)
            while seen[0] <= now[0]:
                seen = await state(right)
            while now[0] < seen[0]:
                now = await state(left)
            assert now == seen
            jitter = await left.hear("jitter")
            assert 0 <= jitter["p50"] <= jitter["p99"] <= jitter["max"] and jitter["matches"] == 1
            for wrong in ("up", b"", b"\3", b"\1\1"):
                await left.ws.send(wrong)
                assert (await left.hear("error"))["text"].startswith("send one byte")

            # Nobody holds the ball: points are made, of which the serve to either side is one.
            while sum((await state(left))[5:]) == 0:
                pass

            async with Client.to(uri) as third:
                await third.hear("waiting")
                right.ws.transport.abort()
                await left.hear("left")
                # Who is left plays with who waits.
                assert (await third.hear("start"))["side"] == "left"
                assert (await left.hear("start"))["side"] == "right"
                await state(third)
            await left.hear("left")
            await left.hear("waiting")

    with Program("game") as program:
        run(main(program.websocket))


# ---- video -----------------------------------------------------------------------------------------


def test_video() -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as viewer:
            about = await viewer.hear("video")
            size = about["width"] * about["height"]
            assert len(about["palette"]) == 256
            assert about["window"] == 4
            frames = []
            for _ in range(20):
                frame = await viewer.frame()
                assert len(frame) == 4 + size
                number = int.from_bytes(frame[:4], "little")
                frames.append(frame[4:])
                await viewer.ws.send(str(number))
            assert len(set(frames)) == 20
            stats = await viewer.hear("stats")
            assert stats["viewers"] == 1 and stats["making"]["p50"] > 0
            for wrong in (b"1", "-1", "x", "1" * 500, "99999999", "٣"):
                await viewer.ws.send(wrong)
                assert (await viewer.hear("error"))["text"].startswith("answer each frame")

    with Program("video") as program:
        run(main(program.websocket))


def test_video_drops_frames_of_slow_viewers() -> None:
    async def main(uri: str) -> None:
        async with Client.to(uri) as slow, Client.to(uri) as fast:
            got = [int.from_bytes((await slow.frame())[:4], "little") for _ in range(4)]
            # Nothing is answered: the fourth is the last, while others get more.
            assert got == list(range(got[0], got[0] + 4))
            number = 0
            while number < got[-1] + 20:
                number = int.from_bytes((await fast.frame())[:4], "little")
                await fast.ws.send(str(number))
            await slow.ws.send('{"type":"echo"}')
            await slow.ws.send(str(got[-1]))
            # Had there been a frame on its way, it would come before the echo.
            message: str | bytes = ""
            while message != '{"type":"echo"}':
                message = await slow.ws.recv()
                assert isinstance(message, str)
            following = int.from_bytes((await slow.frame())[:4], "little")
            assert following >= number

    with Program("video") as program:
        run(main(program.websocket))
