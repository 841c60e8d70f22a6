"""Peers that block: websocket-client, and Chromium, which playwright controls. Both are clients only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from link import Link, Mailbox, Peer, Unavailable
from python_peers import PythonPeer

__all__ = ["Chromium", "WebsocketClient"]

#: Seconds for a call; a test has less.
PATIENCE = 60


# ---- websocket-client ----------------------------------------------------------------------------------


class WebsocketClientLink(Mailbox):
    """A thread receives, which answers pings, too; calls that send are short enough for the loop."""

    deflate = False

    def __init__(self, websocket: Any, ws: Any) -> None:
        super().__init__()
        self.websocket, self.ws = websocket, ws
        self.loop = asyncio.get_running_loop()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def tell(self, call: Callable[..., Any], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(call, *args)

    def read(self) -> None:
        codes = self.websocket.ABNF
        try:
            while True:
                opcode, frame = self.ws.recv_data_frame(True)
                data = bytes(frame.data)
                if opcode == codes.OPCODE_PONG:
                    self.tell(self.ponged, data)
                elif opcode == codes.OPCODE_CLOSE:
                    code = int.from_bytes(data[:2], "big") if data else 1005
                    self.tell(self.has_ended, code, data[2:].decode())
                    return
                elif opcode in (codes.OPCODE_TEXT, codes.OPCODE_BINARY):
                    message = data.decode() if opcode == codes.OPCODE_TEXT else data
                    self.tell(self.messages.put_nowait, message)
        except (OSError, self.websocket.WebSocketException):
            self.tell(self.has_ended, 1006, "")

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.to_thread(function, *args)

    async def send(self, message: str | bytes) -> None:
        send = self.ws.send if isinstance(message, str) else self.ws.send_binary
        await self.call(send, message)

    async def send_fragments(self, pieces: list[bytes], text: bool) -> None:
        codes = self.websocket.ABNF
        opcode = codes.OPCODE_TEXT if text else codes.OPCODE_BINARY
        for number, piece in enumerate(pieces):
            # Its constructor, since create_frame() takes the bytes of a text for its characters.
            fin = int(number == len(pieces) - 1)
            await self.call(self.ws.send_frame, codes(fin, 0, 0, 0, opcode, 1, piece))
            opcode = codes.OPCODE_CONT

    async def send_ping(self, payload: bytes) -> None:
        await self.call(self.ws.ping, payload)

    async def close(self, code: int | None, reason: str) -> None:
        if code is None:
            await self.call(self.ws.send, b"", self.websocket.ABNF.OPCODE_CLOSE)
        else:
            await self.call(self.ws.send_close, code, reason.encode())


class WebsocketClient(PythonPeer):
    lacks = frozenset({"server", "deflate"})

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        ws = await asyncio.to_thread(self.imported.create_connection, uri, PATIENCE)
        link = WebsocketClientLink(self.imported, ws)
        try:
            yield link
        finally:
            with contextlib.suppress(OSError, self.imported.WebSocketException):
                await link.close(1000, "")
            # To close a socket does not wake the thread that reads from it: the answer does.
            await asyncio.to_thread(link.thread.join)
            await asyncio.to_thread(ws.shutdown)


# ---- Chromium ------------------------------------------------------------------------------------------

#: What the page has: ends of connections, and calls for them.
SCRIPT = """
() => {
  const encode = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) {
      text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    }
    return btoa(text);
  };
  const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  window.ends = [];
  window.open_end = (uri) => new Promise((resolve, reject) => {
    const socket = new WebSocket(uri);
    socket.binaryType = "arraybuffer";
    const end = { socket, messages: [], waiting: [] };
    end.closed = new Promise((done) => {
      socket.onclose = (event) => {
        reject(new Error("no connection"));
        done([event.code, event.reason]);
      };
    });
    socket.onmessage = ({ data }) => {
      const message = typeof data === "string" ? [false, data] : [true, encode(new Uint8Array(data))];
      if (end.waiting.length) end.waiting.shift()(message);
      else end.messages.push(message);
    };
    const number = window.ends.push(end) - 1;
    socket.onopen = () => resolve([number, socket.extensions]);
  });
  window.send_text = ([n, text]) => window.ends[n].socket.send(text);
  window.send_bytes = ([n, data]) => window.ends[n].socket.send(decode(data));
  window.receive = (n) => {
    const end = window.ends[n];
    if (end.messages.length) return end.messages.shift();
    return new Promise((resolve) => end.waiting.push(resolve));
  };
  window.close_end = ([n, code, reason]) => {
    if (code === null) window.ends[n].socket.close();
    else window.ends[n].socket.close(code, reason);
  };
  window.ended = (n) => window.ends[n].closed;
}
"""


class ChromiumLink(Link):
    def __init__(self, chromium: Chromium, number: int, extensions: str) -> None:
        self.chromium, self.number = chromium, number
        self.deflate = "permessage-deflate" in extensions

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.chromium.call("send_text", [self.number, message])
        else:
            await self.chromium.call("send_bytes", [self.number, base64.b64encode(message).decode()])

    async def recv(self) -> str | bytes:
        binary, data = await self.chromium.call("receive", self.number)
        return base64.b64decode(data) if binary else str(data)

    async def close(self, code: int | None, reason: str) -> None:
        await self.chromium.call("close_end", [self.number, code, reason])

    async def ended(self) -> tuple[int | None, str]:
        code, reason = await self.chromium.call("ended", self.number)
        return code, reason


class Chromium(Peer):
    """A headless browser; an empty page of it connects."""

    name = "Chromium"
    lacks = frozenset({"server", "fragments", "ping", "close 1001"})

    def __init__(self) -> None:
        # playwright's objects belong to a thread.
        self.thread: ThreadPoolExecutor | None = None
        self.playwright: Any = None

    def start(self) -> None:
        if self.thread is not None:
            return
        path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
        if path is None:
            raise Unavailable("chromium is not installed")
        try:
            from playwright.sync_api import sync_playwright
        except ImportError as exc:
            raise Unavailable("playwright is not installed") from exc
        self.thread = ThreadPoolExecutor(1)

        def launch() -> None:
            self.playwright = sync_playwright().start()
            # The sandbox is not to be had for root, nor in many containers.
            self.browser = self.playwright.chromium.launch(
                executable_path=path, headless=True, args=["--no-sandbox"]
            )
            self.page = self.browser.new_page()
            self.page.evaluate(SCRIPT)

        try:
            self.thread.submit(launch).result(PATIENCE)
        except Exception as exc:
            self.stop()
            raise Unavailable(f"chromium does not start: {str(exc)[:200]}") from exc

    def stop(self) -> None:
        def end() -> None:
            if self.playwright is not None:
                with contextlib.suppress(Exception):
                    self.browser.close()
                self.playwright.stop()
                self.playwright = None

        if self.thread is not None:
            self.thread.submit(end).result(PATIENCE)
            self.thread.shutdown()
            self.thread = None

    async def call(self, name: str, argument: Any) -> Any:
        if self.thread is None:
            raise RuntimeError("not started")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self.page.evaluate, f"window.{name}", argument)

    def version(self) -> str:
        if self.thread is None:
            raise RuntimeError("not started")
        return f"Chromium {self.thread.submit(lambda: self.browser.version).result(PATIENCE)}"

    @contextlib.asynccontextmanager
    async def client(self, uri: str, deflate: bool) -> AsyncIterator[Link]:
        number, extensions = await self.call("open_end", uri)
        link = ChromiumLink(self, number, extensions)
        try:
            yield link
        finally:
            await link.close(None, "")
