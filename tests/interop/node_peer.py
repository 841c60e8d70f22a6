"""Node's ``ws``, in a process of its own that is told what to do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from link import Accept, Link, Peer, Unavailable

__all__ = ["Node"]

HERE = Path(__file__).parent
#: Seconds for npm, which has to fetch one small package.
NPM_TIMEOUT = 180


def installed() -> Path:
    """Return a folder where npm has installed what package.json asks for; it is kept for the next time.

    Raises:
        Unavailable: npm is missing, or cannot reach its registry.

    """
    wanted = (HERE / "package.json").read_bytes()
    version = json.loads(wanted)["dependencies"]["ws"]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsfast-interop"
    folder = cache / f"ws-{version}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    # Others may install it at the same time: the first to be done wins.
    with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        (made / "package.json").write_bytes(wanted)
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
        try:
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=NPM_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Unavailable("npm did not install ws in time") from None
        if done.returncode:
            raise Unavailable(f"npm cannot install ws: {done.stderr.strip()[-200:]}")
        with contextlib.suppress(OSError):
            made.rename(folder)
    return folder


class NodeLink(Link):
    def __init__(self, node: Node, answer: dict[str, Any]) -> None:
        self.node, self.number, self.deflate = node, answer["link"], answer["deflate"]

    async def call(self, name: str, **options: Any) -> dict[str, Any]:
        return await self.node.call(name, link=self.number, **options)

    async def send(self, message: str | bytes) -> None:
        data = message.encode() if isinstance(message, str) else message
        await self.call("send", data=encoded(data), binary=isinstance(message, bytes))

    async def send_fragments(self, pieces: list[bytes], text: bool) -> None:
        await self.call("fragments", pieces=[*map(encoded, pieces)], binary=not text)

    async def recv(self) -> str | bytes:
        answer = await self.call("receive")
        data = base64.b64decode(answer["data"])
        return data if answer["binary"] else data.decode()

    async def ping(self, payload: bytes) -> None:
        answer = await self.call("ping", data=encoded(payload))
        if answer["pong"] != encoded(payload):
            raise AssertionError(f"another pong: {answer['pong']}")

    async def close(self, code: int | None, reason: str) -> None:
        await self.call("close", code=code, reason=reason)

    async def ended(self) -> tuple[int | None, str]:
        answer = await self.call("ended")
        return answer["code"], answer["reason"]


class Node(Peer):
    name = "ws (Node)"

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        if self.process is not None:
            return
        node = shutil.which("node")
        if node is None:
            raise Unavailable("node is not installed")
        folder = installed()
        # Modules are looked for from where the program is.
        program = shutil.copy(HERE / "peer_ws.mjs", folder)
        self.process = subprocess.Popen(
            [node, program],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.communicate(timeout=60)  # it ends with its input
            self.process = None

    def ask(self, call: str, **options: Any) -> dict[str, Any]:
        if self.process is None or self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("not started")
        self.process.stdin.write(json.dumps({"call": call, **options}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise AssertionError(f"{call}: {answer['error']}")
        return answer

    async def call(self, call: str, **options: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self.ask, call, **options)

    def version(self) -> str:
        answer = self.ask("version")
        return f"ws {answer['version']} on Node {answer['node']}"

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        link = NodeLink(self, await self.call("connect", uri=uri, deflate=deflate))
        try:
            yield link
        finally:
            await link.call("drop")

    @contextlib.asynccontextmanager
    async def server(self, deflate: bool) -> AsyncIterator[tuple[str, Accept]]:
        answer = await self.call("listen", deflate=deflate)
        number = answer["server"]

        async def accept() -> Link:
            return NodeLink(self, await self.call("accept", server=number))

        try:
            yield f"ws://127.0.0.1:{answer['port']}/", accept
        finally:
            await self.call("stop", server=number)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
