"""The servers that compare.py puts a load on: each echoes text as ``str``, or sends what it gets to all.

``python bench/endpoints/servers.py wsfast --broadcast`` runs one; it prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).parents[2] / "tests" / "endpoints" / "localhost.pem"

Options = argparse.Namespace
#: Start a server with the options, and return its port.
Start = Callable[[Options, "ssl.SSLContext | None"], Awaitable[int]]
#: What is kept alive.
kept: list[Any] = []


def port_of(server: Any) -> int:
    kept.append(server)
    return int(server.sockets[0].getsockname()[1])


# ---- wsfast ----------------------------------------------------------------------------------------


async def wsfast_server(options: Options, context: ssl.SSLContext | None, **how: Any) -> int:
    from wsfast.asyncio import Server, broadcast, serve

    async def to_all(ws: Any) -> None:
        async for message in ws:
            server: Server = ws.server
            broadcast(server.connections, message)

    if options.broadcast:
        how = {"handler": to_all}
    compression = "deflate" if options.deflate else None
    return port_of(await serve(host="127.0.0.1", port=0, ssl=context, compression=compression, **how))


async def wsfast_for(options: Options, context: ssl.SSLContext | None) -> int:
    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    return await wsfast_server(options, context, handler=echo)


async def wsfast_recv(options: Options, context: ssl.SSLContext | None) -> int:
    from wsfast.asyncio import ConnectionClosed

    async def echo(ws: Any) -> None:
        try:
            while True:
                await ws.send(await ws.recv())
        except ConnectionClosed:
            pass

    return await wsfast_server(options, context, handler=echo)


async def wsfast_callback(options: Options, context: ssl.SSLContext | None) -> int:
    def echo(ws: Any, message: Any) -> None:
        ws.send_nowait(message)

    return await wsfast_server(options, context, on_message=echo)


# ---- Peers -----------------------------------------------------------------------------------------


async def websockets_server(options: Options, context: ssl.SSLContext | None) -> int:
    from websockets.asyncio.server import broadcast, serve

    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    async def to_all(ws: Any) -> None:
        async for message in ws:
            broadcast(ws.server.connections, message)

    handler = to_all if options.broadcast else echo
    compression = "deflate" if options.deflate else None
    return port_of(await serve(handler, "127.0.0.1", 0, ssl=context, compression=compression))


async def aiohttp_server(options: Options, context: ssl.SSLContext | None) -> int:
    from aiohttp import web

    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    kept.append(runner)
    return int(runner.addresses[0][1])


async def picows_server(options: Options, context: ssl.SSLContext | None) -> int:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    class Echo(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                message = frame.get_payload_as_utf8_text()
                transport.send(WSMsgType.TEXT, message.encode())
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()

    return port_of(await ws_create_server(lambda request: Echo(), "127.0.0.1", 0, ssl=context))


KINDS: dict[str, Start] = {
    "wsfast": wsfast_for,
    "wsfast-recv": wsfast_recv,
    "wsfast-callback": wsfast_callback,
    "websockets": websockets_server,
    "aiohttp": aiohttp_server,
    "picows": picows_server,
}


async def main(options: Options) -> None:
    logging.disable()  # that a load ends without a closing handshake is nothing to tell
    context = None
    if options.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
    print(await KINDS[options.kind](options, context), flush=True)
    # The modules are no garbage: a program that runs for long would not look at them again and again.
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--own-transports", action="store_true", help="not aiofastnet's for wsfast")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--broadcast", action="store_true")
    parser.add_argument("--deflate", action="store_true", help="agree to permessage-deflate")
    arguments = parser.parse_args()
    if arguments.own_transports and arguments.kind.startswith("wsfast"):
        sys.modules["aiofastnet"] = None  # type: ignore[assignment]
    if arguments.uvloop:
        import uvloop

        uvloop.new_event_loop().run_until_complete(main(arguments))
    else:
        asyncio.run(main(arguments))
