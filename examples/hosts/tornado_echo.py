"""A tornado server and client that know nothing of wsfast, over loopback, and what wsfast did for them.

Run it: ``python tornado_echo.py``; it ends by itself.
"""

from __future__ import annotations

import asyncio

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

import wsfast


class Echo(WebSocketHandler):
    """Sends every message back."""

    def on_message(self, message: str | bytes) -> None:
        """Send it back."""
        self.write_message(message, binary=isinstance(message, bytes))


async def main() -> None:
    """Serve, talk, and stop."""
    server = HTTPServer(Application([("/", Echo)]))
    listener, port = bind_unused_port(address="127.0.0.1")
    server.add_socket(listener)
    connection = await websocket_connect(f"ws://127.0.0.1:{port}/", compression_options={})
    for number in range(50):
        await connection.write_message(f"Grüße {number}")
        await connection.write_message(bytes(number), binary=True)
    back = [await connection.read_message() for _ in range(100)]
    connection.close()
    await connection.read_message()  # None: it is closed
    server.stop()
    await server.close_all_connections()
    texts = [message for message in back if isinstance(message, str)]
    print(f"{len(back)} messages came back, the last text: {texts[-1]}")


if __name__ == "__main__":
    wsfast.install("tornado")
    asyncio.run(main())
    counts = wsfast.adapters.counts("tornado")
    print(f"{counts.fast} frames went through wsfast, {counts.slow} frames were left to tornado")
