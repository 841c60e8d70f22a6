"""An echo client for the Autobahn TestSuite's fuzzing server: ``python echo_client.py PORT AGENT CASE...``.

One connection a case, one after the other, and a last one that makes the server write its report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from echo_protocol import DEFLATE, MAX_SIZE, Echo

import wsfast

#: How long one connection may take, in seconds. The suite gives up before that.
TIMEOUT = 1200.0


async def visit(port: int, target: str) -> wsfast.Connection:
    """Connect, and echo until the server ends it."""
    url = f"ws://127.0.0.1:{port}{target}"
    _, echo = await asyncio.get_running_loop().create_connection(
        lambda: Echo(wsfast.Connection("client", url, compression=DEFLATE, max_size=MAX_SIZE)),
        "127.0.0.1",
        port,
    )
    try:
        await asyncio.wait_for(echo.lost, TIMEOUT)
    finally:
        echo.transport.abort()
    return echo.connection


async def run(port: int, agent: str, cases: list[str]) -> None:
    for case in cases:
        connection = await visit(port, f"/runCase?casetuple={case}&agent={agent}")
        if connection.response is None:
            print(f"case {case}: no handshake: {connection.error}", file=sys.stderr)
    await visit(port, f"/updateReports?agent={agent}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo client.")
    parser.add_argument("port", type=int)
    parser.add_argument("agent", help="the name in the report")
    parser.add_argument("cases", nargs="+", metavar="CASE", help="such as 1.1.1")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments.port, arguments.agent, arguments.cases))
