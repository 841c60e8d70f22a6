"""``python -m wsfast connect | serve | load``, in processes of their own, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import command, environment
from talking import Raw, raw_server, serving, unused_port

from wsfast.asyncio import Connection, connect
from wsfast.cli.load import Latencies

pytestmark = pytest.mark.thread_unsafe(reason="each test has processes of its own")
CERTIFICATE = Path(__file__).parents[1] / "endpoints" / "localhost.pem"
PATIENCE = 60


@contextlib.contextmanager
def running(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``serve``; its URI, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wsfast", "serve", "--port", "0", *options],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"(echo|broadcast) on (wss?://127\.0\.0\.1:\d+/) \(in a browser: https?://127\.0\.0\.1:\d+/\)\n",
            line,
        )
        assert found, line
        yield found[2], process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Ask a server to end; its exit status, and what it said on standard error."""
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def in_thread(main: Any, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command while ``main``, a context manager with an URI, serves it."""

    async def both() -> subprocess.CompletedProcess[str]:
        async with main as uri:
            if isinstance(uri, tuple):
                uri = uri[0]
            return await asyncio.to_thread(command, *arguments, uri, stdin=stdin)

    return asyncio.run(both())


# ---- connect ---------------------------------------------------------------------------------------


def test_connect_pipe() -> None:
    with running() as (uri, _):
        done = command("connect", "--wait", "0.5", uri, stdin="hello\nзвезда\r\n\nlast")
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello\nзвезда\n\nlast\n", "")


def test_connect_binary() -> None:
    with running() as (uri, _):
        done = command("connect", "--binary", "--count", "2", "--wait", "60", uri, stdin="00 ff\n0xABCD\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "00ff\nabcd\n", "")
        done = command("connect", "--binary", "--wait", "0.5", uri, stdin="01\nxyz\n02\n")
        assert (done.returncode, done.stdout) == (1, "01\n02\n")
        assert done.stderr == "not hexadecimal: 'xyz'\npython -m wsfast connect: line 2 was not sent\n"


def test_connect_count() -> None:
    with running() as (uri, _):
        done = command("connect", "--count", "2", "--wait", "60", uri, stdin="a\nb\nc\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", "")


def test_connect_ping() -> None:
    with running() as (uri, _):
        done = command("connect", "--ping", "0.1", "--wait", "1", uri)
        assert (done.returncode, done.stdout) == (0, "")
        assert re.fullmatch(r"(pong after \d+\.\d\d ms\n)+", done.stderr)


def test_connect_request() -> None:
    asked: list[Any] = []

    async def handler(ws: Any) -> None:
        asked.append(ws.request)
        await ws.send(f"{ws.subprotocol}, {[each.partition(';')[0] for each in ws.response.extensions]}")

    options = ["-HX-A: b: c", "-Hx-a:d", "-sx", "-schat", "--origin", "http://o", "--compress"]
    done = in_thread(serving(handler, subprotocols=["chat"]), "connect", "--wait", "60", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "chat, ['permessage-deflate']\n", "")
    assert asked[0].headers.get_all("X-A") == ["b: c", "d"]
    assert (asked[0].origin, asked[0].subprotocols) == ("http://o", ("x", "chat"))


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (1000, 0, ""),
        (1001, 0, ""),
        (3000, 1, "closed: received 3000 why\x1b[2J; then sent 3000\n"),
    ],
)
def test_connect_closed_by_the_server(code: int, status: int, said: str) -> None:
    async def handler(ws: Any) -> None:
        await ws.send("a")
        await ws.close(code, "why\x1b[2J" if code == 3000 else "")

    done = in_thread(serving(handler), "connect", "--wait", "60")
    # A reason from elsewhere must not command the terminal.
    assert (done.returncode, done.stdout, done.stderr) == (status, "a\n", said.replace("\x1b", "\\x1b"))


def test_connect_to_one_who_vanishes() -> None:
    async def behave(ws: Any, reader: Any, writer: Any) -> None:
        writer.write(ws.send_text("a") + b"\x81\x05ab")
        await writer.drain()

    done = in_thread(raw_server(behave), "connect", "--wait", "60")
    assert (done.returncode, done.stdout) == (1, "a\n")
    assert done.stderr == "closed: no close frame received or sent\n"


def test_connect_refused() -> None:
    done = command("connect", f"ws://127.0.0.1:{unused_port()}/")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "python -m wsfast connect: connection refused: no server listens there\n"
    done = in_thread(serving(process_request=lambda ws, request: ws.respond(401, "who?\x07")), "connect")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "python -m wsfast connect: the server rejected the connection: 401 Unauthorized: who?\\x07\n"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["http://127.0.0.1/"], 2, "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        (["-H", "X", "ws://a/"], 2, "argument -H/--header: 'X' is not 'NAME: VALUE'"),
        (["-H", "X: a\nb", "ws://a/"], 2, "control character"),
        (["-s", "a b", "ws://a/"], 2, "a subprotocol"),
        (["--count", "0", "ws://a/"], 2, "argument --count: it must be more than 0"),
        (["--wait", "soon", "ws://a/"], 2, "argument --wait: 'soon' is no number of seconds"),
        ([], 2, "the following arguments are required: URI"),
    ],
)
def test_connect_wrong_arguments(arguments: list[str], status: int, message: str) -> None:
    done = command("connect", *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_connect_input_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"fine\nM\xfcller\n")
    with running() as (uri, _), file.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "wsfast", "connect", "--wait", "0.5", uri],
            env=environment(),
            stdin=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "python -m wsfast connect: standard input is not UTF-8: 'utf-8' codec can't decode byte 0xfc in"
        " position 1: invalid start byte; --binary takes hexadecimal\n"
    )


def test_connect_with_streams_closed(tmp_path: Path) -> None:
    """Nothing is to be read, or nobody to be told."""
    with running() as (uri, _):
        for redirection in ("<&-", "2>&-", "<&- 2>&-"):
            done = subprocess.run(
                [
                    "sh",
                    "-c",
                    f'echo a | {{ "$0" -m wsfast connect --wait 0.3 "$1" {redirection}; }}',
                    sys.executable,
                    uri,
                ],
                env=environment(),
                capture_output=True,
                encoding="utf-8",
                timeout=PATIENCE,
            )
            expected = "" if "<&-" in redirection else "a\n"
            assert (done.returncode, done.stdout, done.stderr) == (0, expected, ""), redirection


def test_connect_into_an_ascii_pipe() -> None:
    """What goes in as UTF-8 comes out as UTF-8, whatever the locale."""
    with running() as (uri, _):
        done = subprocess.run(
            [sys.executable, "-m", "wsfast", "connect", "--wait", "0.3", uri],
            env=environment(PYTHONIOENCODING="ascii"),
            input="天\n".encode(),
            capture_output=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "天\n".encode(), b"")


def test_connect_sends_what_comes_before_a_fault() -> None:
    with running() as (uri, _):
        done = subprocess.run(
            [sys.executable, "-m", "wsfast", "connect", "--count", "2", "--wait", "60", uri],
            env=environment(),
            input=b"a\nb\n\xff\n",
            capture_output=True,
            timeout=PATIENCE,
        )
        assert done.stdout == b"a\nb\n"


def test_connect_long_lines(tmp_path: Path) -> None:
    """Lines that come in many pieces."""
    with running("--max-size", "0") as (uri, _):
        text = "x" * 3_000_000
        done = command(
            "connect", "--max-size", "0", "--count", "2", "--wait", "60", uri, stdin=f"{text}\n{text[:-1]}y"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{text}\n{text[:-1]}y\n"


class Terminal:
    """A process at a terminal of its own."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1", **environ),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode("utf-8", "surrogateescape"))

    def expect(self, pattern: str) -> None:
        """Wait until something is shown, behind what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, (pattern, self.shown)
            ready, _, _ = select.select([self.master], [], [], 1)
            if ready:
                with contextlib.suppress(OSError):  # on Linux that is the end
                    self.shown += os.read(self.master, 65536).decode("utf-8", "replace")
        self.shown = self.shown[found.end() :]

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("editing", [True, False])
def test_connect_at_a_terminal(editing: bool) -> None:
    if editing:
        pytest.importorskip("prompt_toolkit")
    hide = "" if editing else "import sys; sys.modules['prompt_toolkit'] = None\n"
    program = f"{hide}import runpy; runpy.run_module('wsfast', run_name='__main__', alter_sys=True)"
    enter = "\r" if editing else "\n"
    with running() as (uri, _), Terminal("-c", program, "connect", uri) as terminal:
        terminal.expect(r"connected in \d+\.\d ms; /help tells what can be typed")
        if not editing:
            terminal.expect(r"pip install 'wsfast\[cli\]'")
        for typed, shown in [
            ("hello", r"< hello"),
            ("//ping", r"< /ping"),
            ("/hex 00ff", r"< 0x00ff"),
            ("/hex no", r"not hexadecimal: 'no'"),
            *([("\udcff", "what was typed is not text")] if editing else []),
            ("/ping", r"pong after \d+\.\d\d ms"),
            ("/help", r"/hex 00 ff 7f +send a binary message"),
            ("/close 5", r"code must be one of 1000-1003, 1007-1014 and 3000-4999, not 5"),
            ("/close x", r"the code must be a number, not 'x'"),
            ("/close 4000 bye", r"closed: sent 4000 bye; then received 4000"),
        ]:
            terminal.type(typed + enter)
            terminal.expect(shown)
        assert terminal.wait() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_connect_shows_what_commands_a_terminal() -> None:
    async def handler(ws: Any) -> None:
        await ws.send("\x1b]0;gotcha\x07 and \u202e")

    async def main() -> None:
        async with serving(handler) as (uri, _):
            with Terminal("-m", "wsfast", "connect", uri, NO_COLOR="1") as terminal:
                await asyncio.to_thread(terminal.expect, re.escape(r"< \x1b]0;gotcha\x07 and \u202e"))
                assert await asyncio.to_thread(terminal.wait) == 0

    asyncio.run(main())


# ---- serve -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_echo(number: int) -> None:
    async def talk(uri: str) -> None:
        async with connect(uri, compression=None) as ws:
            for message in ("a", b"\0", "", "天" * 100_000):
                await ws.send(message)
                assert await ws.recv() == message

    with running() as (uri, process):
        asyncio.run(talk(uri))
        assert end(process, number) == (0, "")


def test_serve_page() -> None:
    with running() as (uri, _):
        with urllib.request.urlopen(uri.replace("ws", "http", 1), timeout=PATIENCE) as response:
            assert response.headers["Content-Type"] == "text/html; charset=utf-8"
            assert b"new WebSocket(location" in response.read()
        with pytest.raises(urllib.request.HTTPError) as caught:
            urllib.request.urlopen(uri.replace("ws", "http", 1) + "other", timeout=PATIENCE)
        assert caught.value.code == 404
        caught.value.close()


def test_serve_broadcast() -> None:
    async def talk(uri: str) -> None:
        async with connect(uri) as first, connect(uri) as second:
            await first.send("a")
            assert [await first.recv(), await second.recv()] == ["a", "a"]

    with running("--broadcast", "--verbose") as (uri, process):
        asyncio.run(talk(uri))
        status, said = end(process)
    assert status == 0
    assert len(re.findall(r"127\.0\.0\.1:\d+ connected, for /\n", said)) == 2
    assert len(re.findall(r"127\.0\.0\.1:\d+ gone: received 1000; then sent 1000\n", said)) == 2


def test_serve_does_not_repeat_what_commands_a_terminal() -> None:
    async def talk(uri: str) -> None:
        async with connect(uri) as ws:
            await ws.close(4000, "\x1b]0;owned\x07")

    with running("--verbose") as (uri, process):
        asyncio.run(talk(uri))
        _, said = end(process)
    assert r"gone: received 4000 \x1b]0;owned\x07; then sent 4000" in said
    assert "\x1b" not in said


def test_serve_interrupted_twice() -> None:
    """The second time it does not wait for those who do not answer its close frames."""

    async def talk(uri: str, process: subprocess.Popen[str]) -> None:
        raw = await Raw.connect(uri)
        await raw.head()
        process.send_signal(signal.SIGINT)
        assert await raw.reader.readexactly(4) == b"\x88\x02\x03\xe9"
        process.send_signal(signal.SIGINT)
        assert await raw.end() == b""

    with running() as (uri, process):
        start = time.monotonic()
        asyncio.run(talk(uri, process))
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        # Not the ten seconds of close_timeout, unless this machine is that slow.
        assert time.monotonic() - start < PATIENCE


def test_serve_tls() -> None:
    with running("--cert", str(CERTIFICATE)) as (uri, _):
        uri = uri.replace("127.0.0.1", "localhost")
        done = command("connect", "--wait", "0.5", "--insecure", uri, stdin="a\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "a\n", "")
        done = command("connect", uri, stdin="a\n")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("the certificate cannot be trusted; --insecure takes it all the same\n")

        async def talk() -> None:
            context = ssl.create_default_context(cafile=CERTIFICATE)
            async with connect(uri, ssl=context) as ws:
                await ws.send("a")
                assert await ws.recv() == "a"

        asyncio.run(talk())


def test_serve_cannot() -> None:
    with running() as (uri, _):
        port = uri.split(":")[-1].strip("/")
        done = command("serve", "--port", port)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("python -m wsfast serve: ")
        assert "address already in use" in done.stderr.lower()
    done = command("serve", "--key", "x")
    assert (done.returncode, done.stderr) == (2, "python -m wsfast serve: --key needs --cert\n")
    done = command("serve", "--port", "70000")
    assert done.returncode == 2
    assert done.stderr.endswith("error: argument -p/--port: there are ports up to 65535\n")
    done = command("serve", "--cert", "no such file")
    assert done.returncode == 1
    assert "No such file" in done.stderr


# ---- load ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--connections", "3", "--in-flight", "32", "--binary", "--size", "5000"],
        ["--connections", "20", "--rate", "50", "--compress"],
        ["--size", "0"],
    ],
)
def test_load(options: list[str], tmp_path: Path) -> None:
    file = tmp_path / "figures"
    with running() as (uri, _):
        done = command("load", "--duration", "0.5", "--json", str(file), *options, uri)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    assert (figures["unanswered"], figures["errors"]) == (0, {})
    assert figures["messages"] > 0
    latency = list(figures["latency_ms"].values())
    assert latency == sorted(latency)
    assert re.search(rf"^messages +{figures['messages']:,} there and back", done.stdout, re.MULTILINE)
    assert re.search(r"^latency +p50 [\d.e-]+ ms   p90 .* p99 .* p99.9 .* max ", done.stdout, re.MULTILINE)
    assert "load" in done.stderr.splitlines()


def test_load_with_a_rate_counts_what_is_due() -> None:
    with running() as (uri, _):
        done = command("load", "-d", "1", "-c", "2", "--rate", "100", "--json", "-", uri)
    figures = json.loads(done.stdout)
    # It may be late, but not send more.
    assert 0 < figures["messages"] <= 2 * 101


def test_load_of_a_server_that_does_not_echo() -> None:
    async def shout(ws: Any) -> None:
        async for message in ws:
            await ws.send(message.upper())

    done = in_thread(serving(shout), "load", "-d", "0.5", "-c", "2")
    assert done.returncode == 1
    assert re.search(
        r"^error +2 x what came back is not what was sent: the server does not echo$", done.stdout, re.M
    )


async def _leave(ws: Any) -> None:
    await ws.recv()
    await ws.close(1013, "later")


async def _break_the_protocol(ws: Any) -> None:
    await ws.recv()
    ws.transport.write(b"\x81\x80abcd")
    await ws.wait_closed()


@pytest.mark.parametrize(
    ("handler", "end"),
    [
        (_leave, "received 1013 later; then sent 1013"),
        (
            _break_the_protocol,
            "sent 1002 masked frame from a server (RFC 6455 §5.1); no close frame received",
        ),
    ],
)
def test_load_of_a_server_that_closes(handler: Any, end: str) -> None:
    done = in_thread(serving(handler), "load", "-d", "20", "-c", "2")
    assert done.returncode == 1
    assert re.search(rf"^error +2 x connection closed: {re.escape(end)}$", done.stdout, re.M)
    assert re.search(r"^unanswered +2$", done.stdout, re.M)


def test_load_cannot_connect(tmp_path: Path) -> None:
    done = command("load", f"ws://127.0.0.1:{unused_port()}/")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("python -m wsfast load: connection refused: no server listens there\n")
    done = command("load", "--duration", "inf", "ws://127.0.0.1/")
    assert (done.returncode, done.stdout) == (2, "")


def test_latencies() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) == 0
    for number in range(1, 1001):
        latencies.add(number / 1000)
    for share in (0.5, 0.9, 0.99, 0.999):
        assert share <= latencies.quantile(share) <= 1.011 * share
    assert latencies.quantile(1) == latencies.largest == 1
    latencies.add(0)
    assert 0 < latencies.quantile(0) <= 1.02e-7


# ---- on_close of clients ---------------------------------------------------------------------------


def test_on_close_of_a_client() -> None:
    async def main() -> None:
        ended: list[Connection] = []
        async with serving() as (uri, _):
            ws = await connect(uri, on_message=lambda ws, message: None, on_close=ended.append)
            assert ended == []
            await ws.close()
            assert ended == [ws]
            assert ws.close_code == 1000

    asyncio.run(main())
