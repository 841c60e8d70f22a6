"""An echo server and its client on ``autobahn``, over loopback in one program, sped up by one line.

At the end it says what came back and how much CPU time a message took, there and back. Compare::

    python examples/hosts/autobahn_echo.py
    python examples/hosts/autobahn_echo.py --stock
    python examples/hosts/autobahn_echo.py --twisted
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import wsfast

AT_ONCE = 100


def protocols(framework: Any, messages: int, done: Any) -> tuple[type, type]:
    """The two ends, for one of autobahn's two network frameworks, which have the same API."""

    class Echo(framework.WebSocketServerProtocol):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    class Client(framework.WebSocketClientProtocol):  # type: ignore[misc]
        def onOpen(self) -> None:
            self.received = 0
            self.start = time.process_time()
            self.send_some()

        def send_some(self) -> None:
            for i in range(AT_ONCE):
                self.sendMessage(f"Message {self.received + i}: Grüße".encode())

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            expected = f"Message {self.received}: Grüße".encode()
            if payload != expected:
                raise SystemExit(f"{payload!r} came back, not {expected!r}")
            self.received += 1
            if self.received == messages:
                self.cpu = time.process_time() - self.start
                self.sendClose(1000, "done")
            elif self.received % AT_ONCE == 0:
                self.send_some()

        def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
            print(f"{self.received} messages came back, closed {'cleanly' if wasClean else reason}")
            print(f"{1e6 * self.cpu / messages:.1f} µs of CPU time for each, there and back")
            done()

    return Echo, Client


def run_asyncio(messages: int) -> None:
    import asyncio

    from autobahn.asyncio import websocket

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        echo, client = protocols(websocket, messages, done.set)
        factory: Any = websocket.WebSocketServerFactory(loop=loop)
        factory.protocol = echo
        server = await loop.create_server(factory, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        factory = websocket.WebSocketClientFactory(f"ws://127.0.0.1:{port}/", loop=loop)
        factory.protocol = client
        await loop.create_connection(factory, "127.0.0.1", port)
        await asyncio.wait_for(done.wait(), 60)
        server.close()

    asyncio.run(talk())


def run_twisted(messages: int) -> None:
    from autobahn.twisted import websocket
    from twisted.internet import reactor

    its: Any = reactor
    echo, client = protocols(websocket, messages, lambda: its.stop())
    factory: Any = websocket.WebSocketServerFactory()
    factory.protocol = echo
    port = its.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    factory = websocket.WebSocketClientFactory(f"ws://127.0.0.1:{port}/")
    factory.protocol = client
    its.connectTCP("127.0.0.1", port, factory)
    its.callLater(60, its.stop)
    its.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000, help="a multiple of 100")
    parser.add_argument("--stock", action="store_true", help="autobahn without wsfast")
    parser.add_argument("--twisted", action="store_true", help="on Twisted, not asyncio")
    arguments = parser.parse_args()
    if not arguments.stock:
        wsfast.install("autobahn")
    (run_twisted if arguments.twisted else run_asyncio)(arguments.messages)
    print(f"frames that went through wsfast: {wsfast.adapters.counts('autobahn').fast}")


if __name__ == "__main__":
    main()
