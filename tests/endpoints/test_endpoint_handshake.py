"""wsfast.asyncio: the opening handshake, from both sides, and what can be in its way."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from talking import REQUEST, Raw, echo, run, serving, unused_port

from wsfast import HandshakeError
from wsfast.asyncio import (
    ClientConnection,
    ConnectionClosed,
    InvalidStatus,
    ProxyError,
    ServerConnection,
    connect,
    serve,
)

CERTIFICATE = Path(__file__).with_name("localhost.pem")


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    return server, ssl.create_default_context(cafile=str(CERTIFICATE))


# ---- What the server is asked --------------------------------------------------------------------------


def test_attributes() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def look(ws: ServerConnection) -> None:
            seen.append(ws)
            await ws.send(ws.request.target)
            await ws.wait_closed()

        options: dict[str, Any] = {"subprotocols": ["b", "a"], "additional_headers": [("X-A", "1")]}
        async with serving(look, **options) as (uri, server):
            async with connect(uri + "path?q=1", subprotocols=["c", "a"], origin="http://x") as client:
                assert await client.recv() == "/path?q=1"
                assert client.subprotocol == seen[0].subprotocol == "a"
                assert client.response is not None
                assert client.response.headers.get("X-A") == "1"
                assert client.response.headers.get("Server") == "wsfast"
                request = seen[0].request
                assert request.origin == "http://x"
                assert request.headers.get("User-Agent") == "wsfast"
                assert client.local_address == seen[0].remote_address
                assert seen[0].server is server
                assert client.id != seen[0].id
                assert client.id == client.id
                assert repr(client) == "<wsfast.asyncio.ClientConnection open>"

    run(main())


ANSWERS: list[tuple[Any, int, bytes]] = [
    (lambda ws, request: ws.respond(404), 404, b"Not Found\n"),
    (lambda ws, request: ws.respond(403, "no\n", [("X-Why", "because")]), 403, b"no\n"),
    (lambda ws, request: 1 / 0, 500, b"Failed to open a WebSocket connection.\n"),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
@pytest.mark.parametrize("later", [False, True])
def test_process_request(number: int, later: bool) -> None:
    decide, status, body = ANSWERS[number]

    async def decide_later(ws: Any, request: Any) -> Any:
        await asyncio.sleep(0.01)
        return decide(ws, request)

    async def main() -> None:
        async with serving(process_request=decide_later if later else decide) as (uri, server):
            with pytest.raises(InvalidStatus) as caught:
                await connect(uri)
            assert (caught.value.response.status, caught.value.response.body) == (status, body)
            assert str(caught.value).startswith(f"the server rejected the connection: {status} ")
            while server._connections:
                await asyncio.sleep(0.01)

    run(main())


def test_process_request_that_lets_go_on() -> None:
    async def main() -> None:
        async def look(ws: Any, request: Any) -> None:
            await asyncio.sleep(0)

        choose = lambda ws, offered: offered[-1]  # noqa: E731
        async with serving(process_request=look, select_subprotocol=choose) as (uri, _):
            async with connect(uri, subprotocols=["a", "b"]) as client:
                assert client.subprotocol == "b"
                await client.send("a")
                assert await client.recv() == "a"

    run(main())


@pytest.mark.parametrize("later", [False, True])
def test_pages(later: bool) -> None:
    """Requests for something else than a WebSocket connection are the application's to answer, too."""
    page = "<p>ä".encode()
    asked: list[str] = []

    def decide(ws: Any, request: Any) -> Any:
        asked.append(request.target)
        if request.target == "/page":
            return ws.respond(200, page, {"Content-Type": "text/html; charset=utf-8"})
        return None

    async def decide_later(ws: Any, request: Any) -> Any:
        await asyncio.sleep(0.01)
        return decide(ws, request)

    async def get(uri: str, head: bytes) -> bytes:
        raw = await Raw.connect(uri, head + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        return await raw.end()

    async def main() -> None:
        async with serving(process_request=decide_later if later else decide) as (uri, _):
            answer = (
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n"
                b"Server: wsfast\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
            )
            assert await get(uri, b"GET /page") == answer + page
            assert await get(uri, b"HEAD /page") == answer
            other = await get(uri, b"GET /other")
            assert other.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
            assert other.endswith("\r\nUpgrade is missing, without 'websocket' (RFC 6455 §4.2.1)\n".encode())
            assert (await get(uri, b"POST /page")).startswith(b"HTTP/1.1 405 ")
            async with connect(uri) as client:
                await client.send("a")
                assert await client.recv() == "a"
            assert asked == ["/page", "/page", "/other", "/"]

    run(main())


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"max_queue": -1}, "max_queue must be at least 0, and not below its second number, not -1"),
    ({"max_queue": (1, 2)}, "max_queue must be at least 0, and not below its second number, not (1, 2)"),
    (
        {"additional_headers": {"X": "a\n"}},
        "the value of X must not have a control character: '\\n' at index 1",
    ),
    ({"max_size": -1}, "max_size must be 0 or more, or None for no limit, not -1"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS)
def test_wrong_options_are_told_at_once(options: dict[str, Any], message: str) -> None:
    """Not when the first connection comes."""
    for call in (lambda: serve(echo, "127.0.0.1", 0, **options), lambda: connect("ws://x/", **options)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            call()


def test_messages_behind_the_request() -> None:
    """A client has to wait for the answer, and gets its messages all the same."""

    async def main() -> None:
        import wsfast

        async with serving() as (uri, _):
            raw = await Raw.connect(uri, REQUEST + wsfast.encode_frame(1, "early", mask=b"abcd"))
            await raw.head()
            assert await raw.reader.readexactly(7) == b"\x81\x05early"
            raw.writer.write(wsfast.encode_frame(8, b"\x03\xe8", mask=b"abcd"))
            assert await raw.end() == b"\x88\x02\x03\xe8"

    run(main())


BAD_REQUESTS = [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 426 "),
    (REQUEST.replace(b"13", b"12"), b"HTTP/1.1 426 "),
    (b"\x16\x03\x01\x02\x00\r\n\r\n", b"HTTP/1.1 400 "),
    (b"GET / HTTP/1.1\r\nHost: " + b"x" * 20_000, b"HTTP/1.1 431 "),
    (REQUEST.replace(b"Upgrade: websocket", b"Upgrade: other"), b"HTTP/1.1 426 "),
]


@pytest.mark.parametrize("number", range(len(BAD_REQUESTS)))
def test_bad_requests(number: int) -> None:
    request, answer = BAD_REQUESTS[number]

    async def main() -> None:
        async with serving() as (uri, server):
            raw = await Raw.connect(uri, request)
            assert (await raw.end())[: len(answer)] == answer
            while server._connections:
                await asyncio.sleep(0.01)

    run(main())


def test_slow_request() -> None:
    async def main() -> None:
        async with serving(open_timeout=0.1) as (uri, server):
            raw = await Raw.connect(uri, REQUEST[:50])
            with pytest.raises(ConnectionResetError):
                assert await raw.end() == b""
                raise ConnectionResetError  # some systems end it so, others so
            assert not server._connections

    run(main())


def test_origins() -> None:
    async def main() -> None:
        async with serving(origins=["https://a.example"]) as (uri, _):
            async with connect(uri, origin="https://a.example"):
                pass
            with pytest.raises(InvalidStatus) as caught:
                await connect(uri, origin="https://b.example")
            assert caught.value.response.status == 403

    run(main())


# ---- What the client is told ---------------------------------------------------------------------------


async def answering(answer: bytes) -> tuple[str, asyncio.Server]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", server


BAD_ANSWERS: list[tuple[bytes, type[Exception]]] = [
    (b"", HandshakeError),
    (b"HTTP/1.1 101 Switching Protocols\r\n", HandshakeError),
    (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        HandshakeError,
    ),
    (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", InvalidStatus),
    (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", InvalidStatus),
    (b"SSH-2.0-OpenSSH\r\n\r\n", HandshakeError),
]


@pytest.mark.parametrize("number", range(len(BAD_ANSWERS)))
def test_bad_answers(number: int) -> None:
    answer, error = BAD_ANSWERS[number]

    async def main() -> None:
        uri, server = await answering(answer)
        async with server:
            with pytest.raises(error) as caught:
                await connect(uri)
            assert type(caught.value) is error

    run(main())


def test_open_timeout() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            uri = f"ws://127.0.0.1:{listening.getsockname()[1]}/"
            with pytest.raises(TimeoutError) as caught:
                await connect(uri, open_timeout=0.1)
            assert str(caught.value) == f"timed out: {uri} took more than 0.1 s"

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(f"ws://127.0.0.1:{unused_port()}/")

    run(main())


WRONG_ARGUMENTS: list[tuple[Any, type[Exception], str]] = [
    (lambda: connect("http://x/"), ValueError, "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
    (lambda: connect("ws://x/", compression="zip"), ValueError, "compression must be 'deflate', None or a"),
    (lambda: connect("ws://x/", subprotocols="chat"), TypeError, "subprotocols"),
    (lambda: serve(), TypeError, "serve() needs a handler or on_message, and not both"),
    (lambda: serve(echo, on_message=print), TypeError, "serve() needs a handler or on_message, and not both"),
    (lambda: serve(echo, max_size=-1), ValueError, "max_size"),
    (lambda: serve(echo, subprotocols=["a b"]), ValueError, "subprotocol"),
]


@pytest.mark.parametrize("number", range(len(WRONG_ARGUMENTS)))
def test_wrong_arguments(number: int) -> None:
    make, error, text = WRONG_ARGUMENTS[number]
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)


def test_ssl_that_does_not_fit_the_uri() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"ssl=None is incompatible with the wss:// URI"):
            await connect("wss://127.0.0.1/", ssl=None)
        with pytest.raises(TypeError, match=r"ssl= is incompatible with the ws:// URI"):
            await connect("ws://127.0.0.1/", ssl=contexts()[1])

    run(main())


# ---- Redirects, authorization --------------------------------------------------------------------------


def test_redirects() -> None:
    async def main() -> None:
        async with serving() as (uri, _):
            seen: list[Any] = []

            def redirect(ws: Any, request: Any) -> Any:
                seen.append(request)
                if request.target == "/loop":
                    return ws.respond(302, headers=[("Location", "/loop")])
                if request.target == "/odd":
                    return ws.respond(302)
                return ws.respond(308, headers=[("Location", uri + "there")])

            async with serving(process_request=redirect) as (first, _):
                headers = [("Authorization", "secret"), ("X-Other", "kept")]
                async with connect(first, additional_headers=headers) as client:
                    await client.send("a")
                    assert await client.recv() == "a"
                    assert client.request is not None
                    assert client.request.target == "/there"
                    assert "Authorization" not in client.request.headers
                    assert client.request.headers.get("X-Other") == "kept"
                assert seen[0].headers.get("Authorization") == "secret"
                with pytest.raises(HandshakeError, match="more than 10 redirects, the last one to ws://"):
                    await connect(first + "loop")
                with pytest.raises(InvalidStatus):
                    await connect(first + "odd")

    run(main())


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/there", "/there"),
        ("there?a=http://b/", "/from/there?a=http://b/"),
        ("ws://{}/http/feed", "/http/feed"),
        ("HTTP://{}/", "/"),
        ("//{}/x", "/x"),
    ],
)
def test_where_a_redirect_leads(location: str, target: str) -> None:
    async def main() -> None:
        def redirect(ws: Any, request: Any) -> Any:
            if request.target == "/from/here":
                return ws.respond(302, headers=[("Location", location.format(request.host))])
            return None

        async with serving(process_request=redirect) as (uri, _):
            async with connect(uri + "from/here") as client:
                assert client.request is not None
                assert client.request.target == target

    run(main())


@pytest.mark.parametrize("location", ["http://[bad/", "#frag", "ftp://a/"])
def test_a_redirect_to_nowhere(location: str) -> None:
    async def main() -> None:
        redirect = lambda ws, request: ws.respond(302, headers=[("Location", location)])  # noqa: E731
        async with serving(process_request=redirect) as (uri, _):
            with pytest.raises(HandshakeError) as caught:
                await connect(uri)
            assert str(caught.value).startswith(
                f"a redirect to {location!r}, which is no place to connect to: "
            ), str(caught.value)

    run(main())


def test_a_redirect_does_not_give_up_tls() -> None:
    async def main() -> None:
        server_context, client_context = contexts()
        redirect = lambda ws, request: ws.respond(302, headers=[("Location", "ws://127.0.0.1/")])  # noqa: E731
        async with serving(process_request=redirect, ssl=server_context) as (uri, _):
            with pytest.raises(
                HandshakeError, match=r"a redirect from wss:// to ws://127.0.0.1/ would give up TLS"
            ):
                await connect(uri.replace("ws:", "wss:"), ssl=client_context)

    run(main())


def test_basic_authorization() -> None:
    async def main() -> None:
        def check(ws: Any, request: Any) -> Any:
            wanted = "Basic " + base64.b64encode(b"us er:pa:ss").decode()
            return None if request.headers.get("Authorization") == wanted else ws.respond(401)

        async with serving(process_request=check) as (uri, _):
            async with connect(uri.replace("//", "//us%20er:pa:ss@")) as client:
                assert "pa:ss" not in repr(client)
            with pytest.raises(InvalidStatus):
                await connect(uri)

    run(main())


# ---- Other transports ----------------------------------------------------------------------------------


def test_tls() -> None:
    async def main() -> None:
        server_context, client_context = contexts()
        async with serving(ssl=server_context) as (uri, _):
            uri = uri.replace("ws://127.0.0.1", "wss://localhost")
            async with connect(uri, ssl=client_context) as client:
                for message in ("a", "x" * 300_000, b"\0" * 70_000):
                    await client.send(message)
                    assert await client.recv() == message
            if sys.version_info >= (
                3,
                11,
            ):  # before, asyncio forgets the transport
                with pytest.raises(ssl.SSLCertVerificationError):
                    await connect(uri)

    run(main())


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")
def test_unix_sockets(tmp_path: Path) -> None:
    async def main() -> None:
        path = os.path.relpath(tmp_path / "socket")  # they must be short
        async with serve(echo, unix=True, path=path):
            async with connect("ws://localhost/", unix=True, path=path) as client:
                await client.send("a")
                assert await client.recv() == "a"

    run(main())


def test_connected_sockets() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            async with serve(echo, sock=listening):
                connected = socket.create_connection(listening.getsockname())
                async with connect("ws://elsewhere.example/", sock=connected) as client:
                    await client.send("a")
                    assert await client.recv() == "a"

    run(main())


def test_another_host_and_port() -> None:
    async def main() -> None:
        async with serving() as (_uri, server):
            port = server.sockets[0].getsockname()[1]
            async with connect("ws://elsewhere.example/", host="127.0.0.1", port=port) as client:
                assert client.request is not None
                assert client.request.host == "elsewhere.example"

    run(main())


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT") or sys.platform == "win32", reason="no SO_REUSEPORT")
def test_reuse_port() -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, reuse_port=True) as first:
            port = first.sockets[0].getsockname()[1]
            async with serve(echo, "127.0.0.1", port, reuse_port=True):
                async with connect(f"ws://127.0.0.1:{port}/") as client:
                    await client.send("a")
                    assert await client.recv() == "a"

    run(main())


# ---- Proxies -------------------------------------------------------------------------------------------


async def proxy(answer: bytes, log: list[bytes]) -> Any:
    """A proxy that speaks HTTP CONNECT or SOCKS 5, whichever it is spoken to in."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(1)
        if start == b"\x05":
            methods = (await reader.readexactly(1))[0]
            await reader.readexactly(methods)
            writer.write(b"\x05\x00")
            head = await reader.readexactly(4)
            name = await reader.readexactly((await reader.readexactly(1))[0] if head[3] == 3 else 4)
            port = int.from_bytes(await reader.readexactly(2), "big")
            log.append(name)
            writer.write(b"\x05\x00\x00\x01\0\0\0\0\0\0")
        else:
            head = start + await reader.readuntil(b"\r\n\r\n")
            log.append(head)
            port = int(head.split()[1].rpartition(b":")[2])
            writer.write(answer)
            if b" 200 " not in answer:
                writer.close()
                return
        from_there, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, to_there), copy(from_there, writer))
        await asyncio.gather(to_there.wait_closed(), writer.wait_closed(), return_exceptions=True)

    return await asyncio.start_server(accept, "127.0.0.1", 0)


CONNECTED = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("scheme", "logged"),
    [
        ("http", b"CONNECT localhost:"),
        ("socks5h", b"localhost"),
        ("socks5", b"\x7f\x00\x00\x01"),
    ],
)
def test_proxies(scheme: str, logged: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("python_socks")

    async def main() -> None:
        log: list[bytes] = []
        through = await proxy(CONNECTED, log)
        async with serving() as (uri, _), through:
            uri = uri.replace("127.0.0.1", "localhost" if scheme != "socks5" else "127.0.0.1")
            url = f"{scheme}://127.0.0.1:{through.sockets[0].getsockname()[1]}"
            async with connect(uri, proxy=url) as client:
                await client.send("a")
                assert await client.recv() == "a"
            assert log[0].startswith(logged)
            monkeypatch.setenv("https_proxy", url)
            monkeypatch.setenv("no_proxy", "")
            async with connect(uri):
                assert len(log) == 2
            async with connect(uri, proxy=None):
                assert len(log) == 2
            monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
            async with connect(uri):
                assert len(log) == 2

    run(main())


def test_a_proxy_that_refuses() -> None:
    pytest.importorskip("python_socks")

    async def main() -> None:
        through = await proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", [])
        async with through:
            port = through.sockets[0].getsockname()[1]
            with pytest.raises(ProxyError, match=f"the proxy at 127.0.0.1:{port} does not connect: "):
                await connect("ws://localhost:9/", proxy=f"http://127.0.0.1:{port}")
            with pytest.raises(ProxyError) as caught:
                await connect("ws://localhost:9/", proxy=f"ftp://127.0.0.1:{port}")
            assert str(caught.value) == (
                "the scheme of a proxy must be one of http, socks4, socks4a, socks5, socks5h, not 'ftp'"
            )

    run(main())


def test_a_proxy_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setitem(sys.modules, "python_socks.async_.asyncio", None)
        with pytest.raises(ProxyError, match=r"a proxy needs python-socks: pip install 'wsfast\[proxy\]'"):
            await connect("ws://localhost:9/", proxy="http://127.0.0.1:9")

    run(main())


# ---- Subclasses ----------------------------------------------------------------------------------------


def test_classes_of_the_applications_own() -> None:
    class Ours(ClientConnection):
        async def ask(self, text: str) -> Any:
            await self.send(text)
            return await self.recv()

    class Theirs(ServerConnection):
        name: str

    async def main() -> None:
        async def handler(ws: Any) -> None:
            assert type(ws) is Theirs
            ws.name = "anything"
            await echo(ws)

        async with serving(handler, create_connection=Theirs) as (uri, _):
            async with connect(uri, create_connection=Ours) as client:
                assert await client.ask("a") == "a"  # type: ignore[attr-defined]
            with pytest.raises(ConnectionClosed):
                await client.send("b")

    run(main())
