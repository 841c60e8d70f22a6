"""Echo programs over each library, for peers.py: ``python echo_programs.py LIBRARY server|client|version``.

A server prints the port that it listens on; a client reads URLs, one a line, and connects to each at once;
``visitor`` is a client that connects to one after the other, and prints a line when a connection has ended.
All send back every message, answer to nothing else by themselves, and end when their standard input does.

Each is what its library's documentation shows, with what the library offers switched on: compression, the two
subprotocols, a limit of 1 MiB (``ECHO_LIMIT``) on messages. Nothing is more or less strict than by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from importlib.metadata import version
from typing import Any

LIMIT = int(os.environ.get("ECHO_LIMIT", 1 << 20))
SUBPROTOCOLS = ["chat", "superchat"]
#: Of a server: listens at this socket until it is cancelled. Of a client: echoes until the connection ends.
Server = Callable[[socket.socket], Coroutine[Any, Any, None]]
Client = Callable[[str], Coroutine[Any, Any, None]]


async def forever() -> None:
    await asyncio.Event().wait()


# ---- wsfast ----------------------------------------------------------------------------------------


def wsfast_echo() -> tuple[Server, Client]:
    wsfast = import_module("wsfast")
    options = {"subprotocols": SUBPROTOCOLS, "compression": wsfast.Deflate(), "max_size": LIMIT}

    class Echo(asyncio.BufferedProtocol):
        def __init__(self, connection: Any) -> None:
            self.connection = connection
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            transport.write(self.connection.data_to_send())

        def get_buffer(self, sizehint: int) -> Any:
            return self.connection.get_buffer(sizehint)

        def buffer_updated(self, nbytes: int) -> None:
            self.handle(self.connection.buffer_updated(nbytes))

        def eof_received(self) -> None:
            self.handle(self.connection.receive_eof())

        def handle(self, events: list[Any]) -> None:
            connection = self.connection
            for event in events:
                if isinstance(event, wsfast.Request):
                    self.transport.write(connection.accept())
                    self.handle(connection.receive_data(b""))
                elif isinstance(event, (str, bytes)) and connection.state is wsfast.State.OPEN:
                    self.transport.write(connection.send_message(event))
            self.transport.write(connection.data_to_send())
            if connection.should_close and self.transport.can_write_eof():
                self.transport.write_eof()

        def connection_lost(self, exc: Exception | None) -> None:
            if not self.lost.done():
                self.lost.set_result(None)

    async def serve(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Echo(wsfast.Connection("server", **options)), sock=sock)
        await forever()

    async def connect(url: str) -> None:
        host, _, port = url.split("/")[2].partition(":")
        loop = asyncio.get_running_loop()
        _, echo = await loop.create_connection(
            lambda: Echo(wsfast.Connection("client", url, **options)), host, int(port)
        )
        await echo.lost

    return serve, connect


# ---- websockets, and picows.websockets, which has the same interface -------------------------------


def websockets_echo(package: str) -> tuple[Server, Client]:
    servers, clients = import_module(f"{package}.asyncio.server"), import_module(f"{package}.asyncio.client")
    closed = import_module(f"{package}.exceptions").ConnectionClosed
    options = {"subprotocols": SUBPROTOCOLS, "max_size": LIMIT, "ping_interval": None, "close_timeout": 1}

    async def echo(connection: Any) -> None:
        with contextlib.suppress(closed):
            async for message in connection:
                await connection.send(message)

    def select(connection: Any, offered: list[str]) -> str | None:
        # By default a client that offers none is refused.
        return next((name for name in offered if name in SUBPROTOCOLS), None)

    async def serve(sock: socket.socket) -> None:
        async with servers.serve(echo, sock=sock, select_subprotocol=select, **options):
            await forever()

    async def connect(url: str) -> None:
        async with clients.connect(url, proxy=None, **options) as connection:
            await echo(connection)

    return serve, connect


# ---- aiohttp ---------------------------------------------------------------------------------------


def aiohttp_echo() -> tuple[Server, Client]:
    aiohttp, web = import_module("aiohttp"), import_module("aiohttp.web")
    limit = LIMIT + 1  # the size that is refused, not the largest that is accepted

    async def echo(connection: Any) -> None:
        async for message in connection:
            if message.type is aiohttp.WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await connection.send_bytes(message.data)

    async def handle(request: Any) -> Any:
        response = web.WebSocketResponse(protocols=SUBPROTOCOLS, max_msg_size=limit, compress=True, timeout=1)
        await response.prepare(request)
        await echo(response)
        return response

    async def serve(sock: socket.socket) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", handle, allow_head=False)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        await forever()

    async def connect(url: str) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=SUBPROTOCOLS, compress=15, max_msg_size=limit) as connection,
        ):
            await echo(connection)

    return serve, connect


# ---- tornado ---------------------------------------------------------------------------------------


def tornado_echo() -> tuple[Server, Client]:
    web, httpserver = import_module("tornado.web"), import_module("tornado.httpserver")
    websocket = import_module("tornado.websocket")

    base: Any = websocket.WebSocketHandler

    class Handler(base):  # type: ignore[misc]
        def select_subprotocol(self, subprotocols: list[str]) -> str | None:
            return next((name for name in subprotocols if name in SUBPROTOCOLS), None)

        def get_compression_options(self) -> dict[str, Any]:
            return {}

        async def on_message(self, message: str | bytes) -> None:
            with contextlib.suppress(websocket.WebSocketClosedError):
                await self.write_message(message, binary=isinstance(message, bytes))

    async def serve(sock: socket.socket) -> None:
        app = web.Application([(".*", Handler)], websocket_max_message_size=LIMIT)
        server = httpserver.HTTPServer(app)
        sock.setblocking(False)
        sock.listen(128)
        server.add_socket(sock)
        await forever()

    async def connect(url: str) -> None:
        connection = await websocket.websocket_connect(
            url, compression_options={}, max_message_size=LIMIT, subprotocols=SUBPROTOCOLS
        )
        with contextlib.suppress(websocket.WebSocketClosedError):
            while (message := await connection.read_message()) is not None:
                await connection.write_message(message, binary=isinstance(message, bytes))

    return serve, connect


# ---- uvicorn ---------------------------------------------------------------------------------------


def uvicorn_echo(implementation: str) -> tuple[Server, None]:
    uvicorn = import_module("uvicorn")

    async def app(
        scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "websocket":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"not a WebSocket"})
            return
        await receive()
        chosen = next((name for name in scope["subprotocols"] if name in SUBPROTOCOLS), None)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        while (message := await receive())["type"] == "websocket.receive":
            kind = "text" if message.get("text") is not None else "bytes"
            try:
                await send({"type": "websocket.send", kind: message[kind]})
            except Exception:  # it is closed
                return

    async def serve(sock: socket.socket) -> None:
        config = uvicorn.Config(
            app, ws=implementation, lifespan="off", log_config=None, access_log=False, ws_max_size=LIMIT
        )
        sock.listen(128)
        await uvicorn.Server(config).serve([sock])

    return serve, None


# ---- autobahn --------------------------------------------------------------------------------------


def autobahn_echo() -> tuple[Server, Client]:
    module = import_module("autobahn.asyncio.websocket")
    deflate = import_module("autobahn.websocket.compress")
    limits = {"maxFramePayloadSize": LIMIT, "maxMessagePayloadSize": LIMIT}

    def accept_offer(offers: list[Any]) -> Any:
        for offer in offers:
            if isinstance(offer, deflate.PerMessageDeflateOffer):
                return deflate.PerMessageDeflateOfferAccept(offer)
        return None

    def accept_response(response: Any) -> Any:
        return deflate.PerMessageDeflateResponseAccept(response)

    server_base: Any = module.WebSocketServerProtocol
    client_base: Any = module.WebSocketClientProtocol

    class ServerProtocol(server_base):  # type: ignore[misc]
        def onConnect(self, request: Any) -> str | None:
            return next((name for name in request.protocols if name in SUBPROTOCOLS), None)

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    class ClientProtocol(client_base):  # type: ignore[misc]
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

        def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
            self.factory.ended.set()

    async def serve(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        factory = module.WebSocketServerFactory(protocols=SUBPROTOCOLS, loop=loop)
        factory.protocol = ServerProtocol
        factory.setProtocolOptions(perMessageCompressionAccept=accept_offer, **limits)
        await loop.create_server(factory, sock=sock)
        await forever()

    async def connect(url: str) -> None:
        loop = asyncio.get_running_loop()
        factory = module.WebSocketClientFactory(url, protocols=SUBPROTOCOLS, loop=loop)
        factory.protocol = ClientProtocol
        factory.ended = asyncio.Event()
        factory.setProtocolOptions(
            perMessageCompressionOffers=[deflate.PerMessageDeflateOffer()],
            perMessageCompressionAccept=accept_response,
            **limits,
        )
        host, _, port = url.split("/")[2].partition(":")
        await loop.create_connection(factory, host, int(port))
        await factory.ended.wait()

    return serve, connect


# ---- wsproto, over asyncio's streams ---------------------------------------------------------------


def wsproto_echo() -> tuple[Server, Client]:
    wsproto, events = import_module("wsproto"), import_module("wsproto.events")
    utilities, extensions = import_module("wsproto.utilities"), import_module("wsproto.extensions")
    states = import_module("wsproto.connection").ConnectionState

    async def echo(connection: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts: list[Any] = []
        size = 0
        over = False
        while not over:
            data = await reader.read(65536)
            try:
                connection.receive_data(data or None)
            except utilities.RemoteProtocolError as error:
                if error.event_hint is not None:
                    writer.write(connection.send(error.event_hint))
                break
            for event in connection.events():
                if isinstance(event, events.Request):
                    chosen = next((name for name in event.subprotocols if name in SUBPROTOCOLS), None)
                    answer = events.AcceptConnection(
                        subprotocol=chosen, extensions=[extensions.PerMessageDeflate()]
                    )
                    writer.write(connection.send(answer))
                elif isinstance(event, events.Ping):
                    writer.write(connection.send(event.response()))
                elif isinstance(event, events.Message):
                    # wsproto hands out messages in pieces: how much of one to keep is up to the program.
                    parts.append(event.data)
                    size += len(event.data.encode() if isinstance(event.data, str) else event.data)
                    if size > LIMIT:
                        writer.write(connection.send(events.CloseConnection(1009)))
                        over = True
                        break
                    if event.message_finished:
                        empty: Any = "" if isinstance(event.data, str) else b""
                        writer.write(connection.send(events.Message(data=empty.join(parts))))
                        parts, size = [], 0
                elif isinstance(event, events.CloseConnection):
                    if connection.state is not states.CLOSED:
                        writer.write(connection.send(event.response()))
                    over = True
                elif isinstance(event, (events.RejectConnection, events.RejectData)):
                    over = getattr(event, "body_finished", not getattr(event, "has_body", False))
            over = over or not data
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            # What is unread when a socket is closed makes a reset, which can overtake what was written.
            async with timeout(1):
                while await reader.read(65536):
                    pass
        writer.close()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.TimeoutError):
            await echo(wsproto.WSConnection(wsproto.ConnectionType.SERVER), reader, writer)

    async def serve(sock: socket.socket) -> None:
        await asyncio.start_server(serve_one, sock=sock)
        await forever()

    async def connect(url: str) -> None:
        address, _, path = url.removeprefix("ws://").partition("/")
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        request = events.Request(
            host=address,
            target="/" + path,
            subprotocols=SUBPROTOCOLS,
            extensions=[extensions.PerMessageDeflate()],
        )
        writer.write(connection.send(request))
        await echo(connection, reader, writer)

    return serve, connect


class timeout:
    """Cancel the body after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        self.handle = asyncio.get_running_loop().call_later(self.seconds, lambda: task and task.cancel())

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.handle.cancel()
        return kind is asyncio.CancelledError


# ---- websocket-client ------------------------------------------------------------------------------


def websocket_client_echo() -> tuple[None, Client]:
    websocket = import_module("websocket")

    def echo(url: str) -> None:
        connection = websocket.create_connection(url, timeout=60)
        # The library raises, and leaves it to the program to close.
        code = 1000
        try:
            while True:
                opcode, data = connection.recv_data()
                if opcode not in (1, 2):
                    return
                connection.send(data, opcode)
        except websocket.WebSocketProtocolException:
            code = 1002
        except websocket.WebSocketPayloadException:
            code = 1007
        finally:
            connection.close(code)

    async def connect(url: str) -> None:
        await asyncio.get_running_loop().run_in_executor(None, echo, url)

    return None, connect


# ---- The program -----------------------------------------------------------------------------------

#: Name, how to make its programs, and the packages whose versions matter.
LIBRARIES: dict[str, tuple[Callable[[], tuple[Server, Client | None]], tuple[str, ...]]] = {
    "wsfast": (wsfast_echo, ("wsfast",)),
    "websockets": (lambda: websockets_echo("websockets"), ("websockets",)),
    "picows": (lambda: websockets_echo("picows.websockets"), ("picows",)),
    "aiohttp": (aiohttp_echo, ("aiohttp",)),
    "tornado": (tornado_echo, ("tornado",)),
    "uvicorn-websockets": (lambda: uvicorn_echo("websockets-sansio"), ("uvicorn", "websockets")),
    "uvicorn-wsproto": (lambda: uvicorn_echo("wsproto"), ("uvicorn", "wsproto")),
    "autobahn": (autobahn_echo, ("autobahn",)),
    "wsproto": (wsproto_echo, ("wsproto",)),
}
ALSO: dict[str, tuple[Callable[[], tuple[Server | None, Client | None]], tuple[str, ...]]] = {
    # What uvicorn chooses by itself: one of the above, unless an adapter has changed that.
    "uvicorn": (lambda: uvicorn_echo("auto"), ("uvicorn", "websockets")),
    "websocket-client": (websocket_client_echo, ("websocket-client",)),
}
NO_CLIENT = ("uvicorn", "uvicorn-websockets", "uvicorn-wsproto")
NO_SERVER = ("websocket-client",)


def version_of(package: str) -> str:
    # A checkout that is only on the path has no metadata.
    return str(import_module("wsfast").__version__) if package == "wsfast" else version(package)


def stop_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


async def run_server(serve: Server) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    await serve(sock)


async def run_client(connect: Client) -> None:
    async def one(url: str) -> None:
        # What a library raises when the peer is wrong is no concern here: peers.py sees the wire.
        with contextlib.suppress(Exception, asyncio.TimeoutError):
            await asyncio.wait_for(connect(url), 5)

    tasks = set()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.ensure_future(one(line.strip()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)


async def run_visitor(connect: Client) -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        with contextlib.suppress(Exception):
            await connect(line.strip())
        print("ended", flush=True)


def main() -> None:
    name, what = sys.argv[1:]
    programs, packages = {**LIBRARIES, **ALSO}[name]
    if what == "version":
        print(*(f"{package} {version_of(package)}" for package in packages))
        return
    logging.disable(logging.CRITICAL)
    serve, connect = programs()
    if what == "server" and serve is not None:
        asyncio.run(run_server(serve))
    elif what == "client" and connect is not None:
        asyncio.run(run_client(connect))
    elif what == "visitor" and connect is not None:
        asyncio.run(run_visitor(connect))


if __name__ == "__main__":
    main()
