"""``python -m wsfast connect``: talk to a WebSocket server."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from ._arguments import (
    SHARED_HELP,
    add_options,
    client_options,
    complain,
    explain,
    positive,
    printable,
    seconds,
)
from ._lines import lines, typed_lines
from ._output import output, say

if TYPE_CHECKING:
    from ..asyncio import ClientConnection, ConnectionClosed

__all__ = ["configure", "execute"]

_HELP = """\
A line that is typed is sent as text. Others begin with a slash:
  /ping              send a ping, and print how long the pong took
  /hex 00 ff 7f      send a binary message
  /close 1000 why    close the connection; so does the end of input (Ctrl-D)
  /help              this
  //text             send '/text'"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = f"""\
Talk to a WebSocket server. {SHARED_HELP}
At a terminal, type what to send; what arrives is printed. {_HELP}

In a pipe, each line of standard input is sent as a text message, and each message that arrives is
written to standard output as a line: text as it is, binary messages in hexadecimal. At the end of input
it waits for answers, until none has come for --wait seconds.
"""
    parser.epilog = """\
examples:
  %(prog)s wss://example.org/feed
  %(prog)s -H 'Authorization: Bearer abc' -s chat ws://localhost:8765/room
  echo '{"subscribe": "ticker"}' | %(prog)s --count 3 ws://localhost:8765/
  %(prog)s --wait inf ws://localhost:8765/ </dev/null | grep price

exit status: 0 when the connection was closed as either side wanted, 1 when it could not be opened or
ended in another way, 2 for a wrong argument.
"""
    add_options(parser)
    parser.add_argument(
        "--binary", action="store_true", help="lines of input are hexadecimal, and sent as binary messages"
    )
    parser.add_argument(
        "--count", metavar="N", type=positive, help="close the connection when N messages have arrived"
    )
    parser.add_argument(
        "--wait",
        metavar="S",
        type=seconds,
        default=1.0,
        help="in a pipe, how long without a message is the end (by default %(default)g s; inf)",
    )
    parser.add_argument(
        "--ping",
        metavar="S",
        type=seconds,
        help="print the latency of a ping to standard error, every S seconds",
    )
    parser.add_argument("--history", metavar="FILE", help="keeps what was typed, for the next time")


def execute(options: argparse.Namespace) -> int:
    """Talk until the connection or the input ends."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In a pipe both directions are UTF-8, which is what messages are.
        sys.stdout.reconfigure(errors="replace")
        if not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")
    with output():
        return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    from ..asyncio import ProxyError, connect
    from ..errors import HandshakeError

    start = time.perf_counter()
    try:
        ws = await connect(options.uri, **client_options(options))
    except (HandshakeError, ProxyError, OSError, TimeoutError, ValueError) as exc:
        return complain("connect", exc)
    try:
        return await _Talk(ws, options, time.perf_counter() - start).run()
    finally:
        await ws.close()


class _Talk:
    """One connection, and whoever is at this end of it."""

    def __init__(self, ws: ClientConnection, options: argparse.Namespace, took: float) -> None:
        self.ws = ws
        self.options = options
        self.took = took
        self.at_terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
        self.colours = self.at_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.left = options.count or -1
        self.last = time.monotonic()
        # What was not sent or read.
        self.failed = False
        self.end: ConnectionClosed | None = None

    async def run(self) -> int:
        if self.at_terminal:
            self.note(f"{self.opened()}; /help tells what can be typed")
        with self.patched_output():
            await _first(self.receive(), self.send(), self.pings())
            await self.ws.close()
            # What arrived meanwhile.
            await self.receive()
        return self.said_goodbye()

    def opened(self) -> str:
        response = self.ws.response
        parts = [f"connected in {1000 * self.took:.1f} ms"]
        if response is not None and response.subprotocol:
            parts.append(f"subprotocol {response.subprotocol}")
        if response is not None and response.extensions:
            parts.append(", ".join(response.extensions))
        return ", ".join(parts)

    def patched_output(self) -> contextlib.AbstractContextManager[object]:
        """Have what is printed appear above the line that is being typed."""
        if self.at_terminal:
            with contextlib.suppress(ImportError):
                from prompt_toolkit.patch_stdout import patch_stdout

                return patch_stdout(raw=True)
        return contextlib.nullcontext()

    # ---- In --------------------------------------------------------------------------------------

    async def receive(self) -> None:
        """Print messages, until there are no more or enough."""
        from ..asyncio import ConnectionClosed

        try:
            while self.left:
                message = await self.ws.recv()
                self.last = time.monotonic()
                self.show(message)
                self.left -= 1
        except ConnectionClosed as exc:
            self.end = exc

    def show(self, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.hex()
        if self.at_terminal:
            # What a stranger sends must not command the terminal.
            kind = "" if isinstance(message, str) else "0x"
            print(self.coloured("36" if not kind else "35", f"< {kind}{printable(text)}"))
        else:
            print(text, flush=True)

    # ---- Out -------------------------------------------------------------------------------------

    async def send(self) -> None:
        """Send what is typed or piped in; return when that is to be the end."""
        from ..asyncio import ConnectionClosed

        try:
            await (self.send_typed() if self.at_terminal else self.send_piped())
        except ConnectionClosed:
            pass  # receive() has the rest, and tells
        except UnicodeDecodeError as exc:
            self.fail(f"standard input is not UTF-8: {exc}; --binary takes hexadecimal")
        except OSError as exc:
            self.fail(f"cannot read standard input: {exc.strerror}")

    async def send_typed(self) -> None:
        async with contextlib.aclosing(typed_lines(self.options.history)) as typed:
            async for line in typed:
                if line.startswith("/") and not line.startswith("//"):
                    if await self.command(line):
                        return
                elif line:
                    await self.send_line(line.removeprefix("/") if line.startswith("//") else line)

    async def send_piped(self) -> None:
        number = 0
        async with contextlib.aclosing(lines()) as piped:
            async for line in piped:
                number += 1
                if not await self.send_line(line):
                    self.fail(f"line {number} was not sent")
        self.last = time.monotonic()
        while (left := self.last + self.options.wait - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 3600))

    async def send_line(self, line: str) -> bool:
        if self.options.binary:
            return await self.send_hex(line)
        try:
            await self.ws.send(line)
        except UnicodeEncodeError:
            self.note("what was typed is not text")
            return False
        return True

    async def send_hex(self, text: str) -> bool:
        try:
            data = bytes.fromhex(text.strip().removeprefix("0x"))
        except ValueError:
            self.note(f"not hexadecimal: {printable(text[:60])!r}")
            return False
        await self.ws.send(data)
        return True

    async def command(self, line: str) -> bool:
        """Do what a line with a slash says; true for the end."""
        name, _, rest = line[1:].partition(" ")
        if name == "ping":
            await self.ping()
        elif name == "hex":
            await self.send_hex(rest)
        elif name == "close":
            return await self.close(*rest.strip().partition(" ")[::2])
        else:
            self.note(_HELP)
        return False

    async def close(self, code: str, reason: str) -> bool:
        if not (code or "1000").isdecimal():
            self.note(f"the code must be a number, not {printable(code)!r}")
            return False
        try:
            await self.ws.close(int(code or 1000), reason)
        except ValueError as exc:
            self.note(str(exc))
            return False
        return True

    async def pings(self) -> None:
        """Ping now and then, or never."""
        from ..asyncio import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while self.options.ping:
                await self.ping()
                await asyncio.sleep(self.options.ping)
        await self.ws.wait_closed()

    async def ping(self) -> None:
        latency = await (await self.ws.ping())
        self.note(f"pong after {1000 * latency:.2f} ms")

    # ---- To the user -----------------------------------------------------------------------------

    def said_goodbye(self) -> int:
        from ..asyncio import ConnectionClosedOK

        end = self.end
        wanted = end is None or isinstance(end, ConnectionClosedOK) or end.received_first is False
        if end is not None and (self.at_terminal or not wanted):
            self.note(f"closed: {explain(end)}")
        return int(self.failed or not wanted)

    def fail(self, text: str) -> None:
        self.note(f"python -m wsfast connect: {text}")
        self.failed = True

    def note(self, text: str) -> None:
        say(self.coloured("2", text))

    def coloured(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colours else text


async def _first(*work: Awaitable[Any]) -> None:
    """Wait until one has ended, and end the others."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
