"""``python -m wsfast serve``: a server to try things out with."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

from ._arguments import add_max_size, complain, port, printable
from ._output import Progress, output, say

if TYPE_CHECKING:
    from .. import Request
    from ..asyncio import Server, ServerConnection

__all__ = ["configure", "execute"]

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>wsfast serve</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem;
         color-scheme: light dark }
  form { display: flex; gap: .5rem }
  input { flex: 1; font: inherit; padding: .4rem }
  button { font: inherit; padding: .4rem 1rem }
  li { overflow-wrap: anywhere }
  #state { opacity: .7 }
</style>
<h1>wsfast serve</h1>
<p id="state">connecting ...</p>
<form><input autofocus autocomplete="off" aria-label="message"><button>Send</button></form>
<ol id="messages" reversed></ol>
<script>
  const state = document.querySelector("#state"), messages = document.querySelector("#messages");
  const input = document.querySelector("input");
  const socket = new WebSocket(location.href.replace(/^http/, "ws"));
  socket.binaryType = "arraybuffer";
  const show = text => {
    const item = document.createElement("li");
    item.textContent = text;
    messages.prepend(item);
    if (messages.children.length > 500) messages.lastChild.remove();
  };
  socket.onopen = () => state.textContent = "connected to " + socket.url;
  socket.onclose = event => state.textContent = "closed: " + event.code + " " + event.reason;
  socket.onmessage = event => show(typeof event.data == "string" ? event.data :
    "0x" + Array.from(new Uint8Array(event.data), byte => byte.toString(16).padStart(2, "0")).join(""));
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    if (input.value && socket.readyState == WebSocket.OPEN) socket.send(input.value);
    input.value = "";
  };
</script>
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = """\
Run a WebSocket server to try things out with: each message goes back to its sender, or with
--broadcast to all who are connected. The same address in a browser shows a page that talks to it.
"""
    parser.epilog = """\
examples:
  %(prog)s                          echo, on ws://127.0.0.1:8765/ and as a page on http://127.0.0.1:8765/
  %(prog)s --broadcast --port 9000
  %(prog)s --host '' --cert cert.pem --key key.pem

then, in another terminal:
  python -m wsfast connect ws://127.0.0.1:8765/
  python -m wsfast load ws://127.0.0.1:8765/
"""
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen (by default %(default)s); '' for every address"
    )
    parser.add_argument(
        "-p", "--port", type=port, default=8765, help="by default %(default)s; 0 takes any free one"
    )
    parser.add_argument(
        "--broadcast", action="store_true", help="send each message to all, not to its sender"
    )
    parser.add_argument(
        "-s", "--subprotocol", metavar="NAME", action="append", default=[], help="one to agree to"
    )
    parser.add_argument(
        "--origin", metavar="ORIGIN", action="append", help="one that is allowed; all are by default"
    )
    parser.add_argument("--no-compression", action="store_true", help="do not agree to permessage-deflate")
    add_max_size(parser)
    parser.add_argument("--cert", metavar="FILE", help="serve wss:// with this certificate (PEM)")
    parser.add_argument("--key", metavar="FILE", help="its key, if that is in another file")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell who connects, and how it ended")


def execute(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if options.key and not options.cert:
        say("python -m wsfast serve: --key needs --cert")
        return 2
    with contextlib.suppress(KeyboardInterrupt), output():
        return asyncio.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> int:
    from ..asyncio import serve

    program = _Program(options)
    arguments: dict[str, Any] = {
        "subprotocols": options.subprotocol,
        "origins": options.origin,
        "compression": None if options.no_compression else "deflate",
        "max_size": options.max_size or None,
        "process_request": program.page,
    }
    try:
        if options.cert:
            import ssl

            arguments["ssl"] = context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.cert, options.key)
        server = await serve(program.handle, options.host or None, options.port, **arguments)
    except (OSError, ValueError) as exc:
        return complain("serve", exc)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stopped.set()
        for number in signals:  # a second one does not wait for closing handshakes
            loop.remove_signal_handler(number)

    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
        for number in signals:
            loop.add_signal_handler(number, stop)
    async with server:
        program.server = server
        for listening in server.sockets:
            host, port = listening.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            secure = "s" if options.cert else ""
            what = "broadcast" if options.broadcast else "echo"
            print(
                f"{what} on ws{secure}://{shown}:{port}/ (in a browser: http{secure}://{shown}:{port}/)",
                flush=True,
            )
        await program.until(stopped)
    return 0


class _Program:
    """What the server does, and says."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.server: Server | None = None
        self.messages = 0

    def page(self, ws: ServerConnection, request: Request) -> Any:
        if request.error is None:
            return None
        if request.target.partition("?")[0] != "/":
            return ws.respond(404)
        return ws.respond(200, _PAGE, {"Content-Type": "text/html; charset=utf-8"})

    async def handle(self, ws: ServerConnection) -> None:
        from ..asyncio import ConnectionClosed, broadcast

        self.tell(f"{_address(ws)} connected, for {ws.request.target}")
        try:
            while True:
                message = await ws.recv()
                self.messages += 1
                if self.options.broadcast and self.server is not None:
                    broadcast(self.server.connections, message)
                else:
                    await ws.send(message)
        except ConnectionClosed as exc:
            self.tell(f"{_address(ws)} gone: {exc}")

    def tell(self, text: str) -> None:
        if self.options.verbose:
            say(printable(text))

    async def until(self, stopped: asyncio.Event) -> None:
        """Wait for the end; at a terminal, show meanwhile what goes on."""
        progress = Progress()
        if not progress.terminal or self.options.verbose:
            await stopped.wait()
            return
        before = 0
        while not stopped.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stopped.wait(), 1)
            count = len(self.server.connections) if self.server is not None else 0
            progress(f"connections: {count}, messages a second: {self.messages - before:,}")
            before = self.messages
        progress.end()


def _address(ws: ServerConnection) -> str:
    address = ws.remote_address
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "peer"
