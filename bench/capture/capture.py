"""Record what real WebSocket peers put on the wire: ``python bench/capture/capture.py``.

Each session runs a client and a server on loopback, with a recording TCP proxy between them. Both
sides send the same messages at the same time, made by messages.py; the client closes when both have
everything. What the proxy saw after the handshake is written to bench/data/, a file per direction,
and bench/data/index.json tells what each *sender* says it sent.

A plan, the one argument of a peer, is a JSON object:
    role         "client" or "server"
    url          where a client connects
    steps        what to send, in order: {"kind": "text", "data": ...}, {"kind": "binary", "data": base64},
                 {"kind": "text", "fragments": [...], "ping_inside": ...}, {"kind": "ping", "data": ...}
    expect       how many messages the other side will send
    close_code, close_reason    what the client closes with
A server prints its port first. The report, a line of JSON printed at the end, has:
    version      of the library
    sent         [kind, length in bytes, SHA-256] of each message, ping and close that the peer was told to
                 send, in order; what a library sends by itself (pongs, the answer to a close) is not in it

Needs: websockets (PyPI), node and npm (for ws), chromium. Masking keys and the order in which the two
sides' frames cross are new on each run, so the files are too; the decoded messages are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from messages import CONTENTS

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
TIMEOUT = 60
"""Seconds that one session may take."""

CHROMIUM_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Plan = dict[str, Any]
Report = dict[str, Any]


class Session(NamedTuple):
    client: str
    server: str
    content: str
    messages: int
    keep: str = "both"
    """Which streams to store: "both" directions, or "c2s" where the server's are stored already."""


SESSIONS = [
    Session("websockets", "ws", "ticker", 160),
    Session("ws", "websockets", "ticker", 160),
    Session("chromium", "ws", "ticker", 160, "c2s"),
    Session("websockets", "ws", "chat", 160),
    Session("ws", "websockets", "chat", 160),
    Session("chromium", "websockets", "chat", 160, "c2s"),
    Session("ws", "websockets", "chat-ascii-16k", 2),
    Session("websockets", "ws", "chat-cyrillic-16k", 2),
    Session("chromium", "websockets", "chat-cjk-16k", 2),
    Session("ws", "websockets", "chat-mixed-16k", 2),
    Session("chromium", "ws", "json-4k", 6),
    Session("ws", "websockets", "json-64k", 2),
    Session("websockets", "ws", "binary-1m", 2),
    Session("chromium", "websockets", "binary-1m", 2),
]


# --- the recording proxy ----------------------------------------------------------------------------


class Proxy:
    """Pass one connection's bytes on to the server and back, and keep a copy."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.recorded = {"c2s": bytearray(), "s2c": bytearray()}
        self.finished = asyncio.Event()

    async def start(self) -> int:
        """Listen on loopback; return the port."""
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        await asyncio.gather(
            self.relay(reader, up_writer, self.recorded["c2s"]),
            self.relay(up_reader, writer, self.recorded["s2c"]),
        )
        self.finished.set()

    @staticmethod
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, copy: bytearray) -> None:
        while data := await reader.read(65536):
            copy += data
            writer.write(data)
            await writer.drain()
        writer.close()

    def frames(self, direction: str) -> bytes:
        """What came after the HTTP request or response of the handshake."""
        head, separator, frames = bytes(self.recorded[direction]).partition(b"\r\n\r\n")
        if not separator or (b"permessage-deflate" in head and direction == "s2c"):
            raise SystemExit(f"no plain handshake: {head!r}")
        return frames


# --- the peers --------------------------------------------------------------------------------------


class Peer:
    """A subprocess that follows a plan and prints a report."""

    COMMANDS = {
        "websockets": [sys.executable, str(HERE / "peer_websockets.py")],
        "ws": ["node", "peer_ws.mjs"],
    }

    def __init__(self, name: str, plan: Plan, folder: Path) -> None:
        self.command = self.COMMANDS[name]
        self.plan = plan
        self.folder = folder

    async def start(self) -> None:
        path = self.folder / f"{self.plan['role']}.json"
        path.write_text(json.dumps(self.plan), "utf-8")
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            str(path),
            stdout=subprocess.PIPE,
            cwd=self.folder,
            limit=1 << 24,
        )

    async def line(self) -> Any:
        output = cast(asyncio.StreamReader, self.process.stdout)
        return json.loads(await output.readline())

    async def report(self) -> Report:
        report: Report = await self.line()
        await self.process.wait()
        return report

    def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()


class Chromium(Peer):
    """Headless Chromium, which fetches the page and the plan over HTTP and posts its report."""

    COMMANDS = {"chromium": ["chromium"]}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.reported: asyncio.Future[Report] = loop.create_future()
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/plan.json":
                    self.answer(json.dumps(peer.plan).encode(), "application/json")
                elif self.path == "/":
                    self.answer((HERE / "peer_chromium.html").read_bytes(), "text/html")
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(b"", "text/plain")
                loop.call_soon_threadsafe(peer.reported.set_result, json.loads(body))

            def answer(self, body: bytes, content_type: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.profile = tempfile.mkdtemp(prefix="wsfast-capture-chromium-")
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            *CHROMIUM_OPTIONS,
            f"--user-data-dir={self.profile}",
            f"http://127.0.0.1:{self.http.server_address[1]}/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def report(self) -> Report:
        report = await self.reported
        self.process.terminate()
        await self.process.wait()
        # Browsers tell pages only the first part of their version.
        output = subprocess.run([*self.command, "--version"], check=True, capture_output=True, text=True)
        return {**report, "version": output.stdout.split()[1]}

    def stop(self) -> None:
        super().stop()
        self.http.shutdown()
        shutil.rmtree(self.profile, ignore_errors=True)


# --- a session --------------------------------------------------------------------------------------


def steps_for(peer: str, content: str, messages: Sequence[str | bytes]) -> list[Plan]:
    """What ``peer`` sends: the messages, with pings and a fragmented message where it has an API for them."""
    steps: list[Plan] = []
    scripted = peer != "chromium"
    for index, message in enumerate(messages):
        if isinstance(message, bytes):
            steps.append({"kind": "binary", "data": base64.b64encode(message).decode()})
        elif scripted and content == "chat" and index in (10, 11):
            third = len(message) // 3 + 1
            parts = [message[at : at + third] for at in range(0, len(message), third)]
            ping = {"ping_inside": "between fragments"} if index == 11 else {}
            steps.append({"kind": "text", "fragments": parts, **ping})
        else:
            steps.append({"kind": "text", "data": message})
        if scripted and index % 40 == 20:
            steps.append({"kind": "ping", "data": f"{index}"})
    return steps


async def record(session: Session, folder: Path) -> list[tuple[dict[str, Any], bytes]]:
    """Run the session; return the index entry and the bytes of each stream to keep."""
    description, make = CONTENTS[session.content]
    messages = make(session.messages)
    common = {"expect": session.messages, "close_code": 1000, "close_reason": "done"}
    server = Peer(
        session.server,
        {**common, "role": "server", "steps": steps_for(session.server, session.content, messages)},
        folder,
    )
    await server.start()
    proxy = Proxy(await server.line())
    port = await proxy.start()
    client = (Chromium if session.client == "chromium" else Peer)(
        session.client,
        {
            **common,
            "role": "client",
            "url": f"ws://127.0.0.1:{port}/",
            "steps": steps_for(session.client, session.content, messages),
        },
        folder,
    )
    try:
        await client.start()
        reports = asyncio.gather(client.report(), server.report(), proxy.finished.wait())
        from_client, from_server, _ = await asyncio.wait_for(reports, TIMEOUT)
    finally:
        client.stop()
        server.stop()
    sent = {"c2s": from_client, "s2c": from_server}
    streams = []
    for direction, peer, other in [("c2s", session.client, "s2c"), ("s2c", session.server, "c2s")]:
        if session.keep in ("both", direction):
            wire = proxy.frames(direction)
            entry = {
                "name": f"{peer}-{session.content}-{direction}",
                "description": description,
                "peer": peer,
                "peer_version": sent[direction]["version"],
                "direction": direction,
                "role": "server" if direction == "c2s" else "client",
                **summary(sent[direction]["sent"], sent[other]["sent"]),
                "wire_bytes": len(wire),
                "sha256": hashlib.sha256(wire).hexdigest(),
            }
            streams.append((entry, wire))
    return streams


def summary(sent: list[list[Any]], sent_by_other: list[list[Any]]) -> dict[str, Any]:
    """Count and digest what a sender meant to send; see bench/data/README.md for the digests.

    Every ping of the other side is answered with its payload, and the client's close with its code
    and reason (RFC 6455 §5.5.1, §5.5.3).
    """
    messages = [entry for entry in sent if entry[0] in ("text", "binary")]
    pings = [entry for entry in sent if entry[0] == "ping"]
    pongs = [["pong", *entry[1:]] for entry in sent_by_other if entry[0] == "ping"]
    [close] = [entry for entry in [*sent, *sent_by_other] if entry[0] == "close"]
    controls = [*pings, *pongs, close]
    return {
        "kinds": {
            "text": sum(entry[0] == "text" for entry in messages),
            "binary": sum(entry[0] == "binary" for entry in messages),
            "ping": len(pings),
            "pong": len(pongs),
            "close": 1,
        },
        "payload_bytes": sum(entry[1] for entry in messages),
        "digest": digest(messages),
        "control_digest": digest(controls),
    }


def digest(entries: list[list[Any]]) -> str:
    lines = "".join(f"{kind} {length} {sha256}\n" for kind, length, sha256 in entries)
    return hashlib.sha256(lines.encode()).hexdigest()


def install_ws(folder: Path) -> None:
    """Put ws and the script that uses it into ``folder``, so that the checkout stays clean."""
    for name in ("package.json", "peer_ws.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        check=True,
        stdout=sys.stderr,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description="Record what real WebSocket peers put on the wire.")
    parser.add_argument("--output", type=Path, default=DATA, help="folder to write to (default: bench/data)")
    output = parser.parse_args().output
    os.environ["NODE_ENV"] = "production"
    index = []
    with tempfile.TemporaryDirectory(prefix="wsfast-capture-") as folder:
        install_ws(Path(folder))
        for path in output.glob("*.bin.gz"):
            path.unlink()
        for session in SESSIONS:
            for entry, wire in await record(session, Path(folder)):
                packed = gzip.compress(wire, 9, mtime=0)
                (output / f"{entry['name']}.bin.gz").write_bytes(packed)
                index.append(entry)
                print(f"{entry['name']:40} {len(wire):8} bytes, {len(packed):6} packed", file=sys.stderr)
    index.sort(key=lambda entry: str(entry["name"]))
    text = json.dumps({"streams": index}, indent=1, ensure_ascii=False) + "\n"
    (output / "index.json").write_text(text, "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
