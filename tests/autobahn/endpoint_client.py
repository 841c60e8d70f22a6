"""The same echo client as echo_client.py, by :func:`wsfast.asyncio.connect`.

``python endpoint_client.py PORT AGENT CASE...``: one connection a case, one after the other, and a last one
that makes the server write its report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from echo_protocol import DEFLATE, MAX_SIZE

from wsfast import HandshakeError
from wsfast.asyncio import ClientConnection, connect

#: How long one connection may take, in seconds. The suite gives up before that.
TIMEOUT = 1200.0


def echo(ws: ClientConnection, message: str | bytes) -> None:
    """Answer at once, and not in a task that waits for messages, as the server does.

    It is the other way to use an endpoint. And the suite sends its first messages, and what is wrong with
    them, together with its answer to the handshake: before a task can have the connection.
    """
    ws.send_nowait(message)


async def visit(port: int, target: str) -> None:
    """Connect, and echo until the server ends it."""
    # Without pings of its own: the suite compares all that it gets with what it expects.
    connecting = connect(
        f"ws://127.0.0.1:{port}{target}",
        on_message=echo,
        compression=DEFLATE,
        max_size=MAX_SIZE,
        ping_interval=None,
        proxy=None,
    )
    async with connecting as ws:
        await ws.wait_closed()


async def run(port: int, agent: str, cases: list[str]) -> None:
    for case in cases:
        try:
            await asyncio.wait_for(visit(port, f"/runCase?casetuple={case}&agent={agent}"), TIMEOUT)
        except (HandshakeError, OSError) as error:
            print(f"case {case}: no handshake: {error}", file=sys.stderr)
    await visit(port, f"/updateReports?agent={agent}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo client.")
    parser.add_argument("port", type=int)
    parser.add_argument("agent", help="the name in the report")
    parser.add_argument("cases", nargs="+", metavar="CASE", help="such as 1.1.1")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments.port, arguments.agent, arguments.cases))
