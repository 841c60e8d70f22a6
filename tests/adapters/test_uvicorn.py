"""wsfast's protocol class for uvicorn: against uvicorn's own, and under a real server with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import Opcode, encode_frame

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

import uvicorn
import websockets.asyncio.client
from handshakes import request
from installing import install
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.exceptions import ConnectionClosed, InvalidState, InvalidStatus

from wsfast.adapters.uvicorn import HOST, WebSocketProtocol

pytestmark = pytest.mark.thread_unsafe(reason="each test has an event loop, and the counts are the process's")
OURS: Any = WebSocketProtocol


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    wsfast.uninstall()


# ---- Against uvicorn's own class -------------------------------------------------------------------


class Transport:
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = self.paused = False

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 8000) if name in ("peername", "sockname") else None

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def echo(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    seen.append(scope)
    while True:
        event = await receive()
        seen.append(event)
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif event["type"] == "websocket.receive":
            # It may have closed behind the message; uvicorn's own class then speaks of a wrong event.
            with contextlib.suppress(ClientDisconnected, RuntimeError):
                await send({**event, "type": "websocket.send"})
        else:
            return


async def converse(
    cls: Any, reads: list[bytes], app: Any = echo, **options: Any
) -> tuple[list[Any], Transport]:
    """Hand reads to a protocol, then end the connection; what the application saw, and what was sent."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await app(seen, scope, receive, send)

    config = uvicorn.Config(application, ws=cls, lifespan="off", log_config=None, **options)
    config.load()
    state = ServerState()
    protocol = cls(config=config, server_state=state, app_state={"shared": 1})
    transport = Transport()
    protocol.connection_made(transport)
    for read in reads:
        if transport.closed:
            break
        protocol.data_received(read)
        for _ in range(20):
            await asyncio.sleep(0)
            if not transport.paused:
                break
    for _ in range(5):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.wait_for(asyncio.gather(*state.tasks), 10)
    return seen, transport


def parsed(data: bytes | bytearray) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The status line, and the frames behind the head: of a close frame only its code."""
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    inflate = zlib.decompressobj(-15)
    frames = []
    if head.startswith(b"HTTP/1.1 101"):
        for frame in wsfast.FrameDecoder("client", max_size=None, rsv1=True).feed(rest):
            payload = frame.payload
            if frame.rsv1:
                payload = inflate.decompress(payload + b"\0\0\xff\xff")
            frames.append((int(frame.opcode), payload[:2] if frame.opcode == Opcode.CLOSE else payload))
    return head.partition(b"\r\n")[0], frames


def without_reasons(events: list[Any]) -> list[Any]:
    """What the application saw, up to the first end; whose fault it was is told in other words."""
    found = []
    for event in events[1:]:
        found.append({key: value for key, value in event.items() if key != "reason"})
        if event["type"] == "websocket.disconnect":
            break
    return found


def masked(*frames: tuple[int, bytes], fin: bool = True, **how: Any) -> bytes:
    return b"".join(
        encode_frame(opcode, payload, fin=fin, mask=b"\x12\x34\x56\x78", **how) for opcode, payload in frames
    )


def compressed(text: str) -> bytes:
    compressor = zlib.compressobj(wbits=-12)
    data = compressor.compress(text.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return encode_frame(1, data[:-4], rsv1=True, mask=b"abcd")


DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
PLAIN = request()
OFFER = request(DEFLATE)
CLOSE = masked((8, b"\x03\xe8bye"))

STREAMS = {
    "nothing": PLAIN,
    "texts": PLAIN + masked((1, b"one"), (1, "zwei €".encode()), (1, b"")) + CLOSE,
    "binary": PLAIN + masked((2, b"\xff\x00"), (2, b"")) + CLOSE,
    "fragments": PLAIN
    + masked((1, b"fr"), fin=False)
    + masked((9, b"ping"))
    + masked((0, "ü".encode()[:1]), fin=False)
    + masked((0, "ü".encode()[1:] + b"m"))
    + CLOSE,
    "pings": PLAIN + masked((9, b"a"), (1, b"x"), (10, b"late")) + CLOSE,
    "long": PLAIN + masked((1, b"x" * 126), (2, b"y" * 65536)) + CLOSE,
    "close without code": PLAIN + masked((8, b"")),
    "nothing behind close": PLAIN + CLOSE + masked((1, b"late")),
    "deflate": OFFER + compressed("squeezed " * 9) + masked((1, b"plain")) + compressed("again") + CLOSE,
    "deflate declined": PLAIN + masked((1, b"x")) + CLOSE,
    "unmasked": PLAIN + encode_frame(1, b"x"),
    "reserved opcode": PLAIN + b"\x83\x80abcd",
    "reserved bit": PLAIN + b"\xa1\x80abcd",
    "compressed without agreement": PLAIN + compressed("x"),
    "continuation first": PLAIN + masked((0, b"x")),
    "text in a message": PLAIN + masked((1, b"x"), fin=False) + masked((1, b"y")),
    "fragmented ping": PLAIN + b"\x09\x80abcd",
    "long ping": PLAIN + b"\x89\xfe\x00\x7e" + bytes(4 + 126),
    "invalid text": PLAIN + masked((1, b"ok"), (1, b"\xff")),
    "half a code": PLAIN + masked((8, b"\x03")),
    "code 1005": PLAIN + masked((8, struct.pack("!H", 1005))),
    "code 999": PLAIN + masked((8, struct.pack("!H", 999))),
    "too big": PLAIN + b"\x82\xff" + struct.pack("!Q", 1 << 40) + b"abcd",
    "damaged deflate": OFFER + encode_frame(1, b"\xff\xff\xff", rsv1=True, mask=b"abcd"),
}

# What uvicorn's own class does otherwise, and what is right.
FIXED = {
    "a length that is not the shortest": PLAIN + b"\x81\xfe\x00\x02abcd" + b"hi",
    "a message behind a final block": OFFER
    + encode_frame(
        1, zlib.compressobj(wbits=-12).compress(b"") + b"\x01\x01\x00\xfe\xffa\x00", rsv1=True, mask=b"abcd"
    )
    + compressed("second")
    + CLOSE,
}


def splits(name: str, stream: bytes) -> Iterator[list[bytes]]:
    """The stream whole, byte by byte, cut in two everywhere behind the request, and in random pieces."""
    head = stream.index(b"\r\n\r\n") + 4
    start, rest = stream[:head], stream[head:]
    yield [start, rest]
    if len(rest) < 400:
        yield [start, *(rest[i : i + 1] for i in range(len(rest)))]
        for cut in range(1, len(rest)):
            yield [start, rest[:cut], rest[cut:]]
    numbers = random.Random(name)
    for _ in range(10):
        cuts = sorted(numbers.randrange(len(rest) + 1) for _ in range(4))
        yield [start, *(rest[i:j] for i, j in zip([0, *cuts], [*cuts, len(rest)], strict=True))]


@pytest.mark.parametrize("name", STREAMS)
def test_same_as_uvicorns_own(name: str) -> None:
    """The same events, answers and ends, however the bytes are cut."""

    async def main() -> None:
        for reads in splits(name, STREAMS[name]):
            theirs, transport = await converse(WebSocketsSansIOProtocol, reads)
            ours, other = await converse(OURS, reads)
            # The HTTP side of uvicorn makes the names of fields small before.
            small = [(name.lower(), value) for name, value in theirs[0]["headers"]]
            assert ours[0] == {**theirs[0], "headers": small}
            assert without_reasons(ours) == without_reasons(theirs), reads
            assert parsed(other.written) == parsed(transport.written), reads
            assert other.closed == transport.closed, reads

    asyncio.run(main())


def test_damaged_streams() -> None:
    """Random damage: the same again, but for what is_known()."""

    async def main() -> None:
        numbers = random.Random(6455)
        for name in ("texts", "fragments", "deflate", "pings"):
            stream = STREAMS[name]
            head = stream.index(b"\r\n\r\n") + 4
            for _ in range(150):
                damaged = bytearray(stream)
                for _ in range(numbers.choice((1, 1, 2))):
                    damaged[numbers.randrange(head, len(damaged))] = numbers.randrange(256)
                reads = [bytes(damaged[:head]), bytes(damaged[head:])]
                try:
                    theirs, their_end = await converse(WebSocketsSansIOProtocol, reads)
                except InvalidState:  # text that is no UTF-8, behind a close frame
                    theirs = None
                ours, our_end = await converse(OURS, reads)
                assert our_end.closed
                if theirs is None:
                    continue
                found = without_reasons(ours), parsed(our_end.written)
                expected = without_reasons(theirs), parsed(their_end.written)
                if found != expected:
                    assert is_known(expected, found), (
                        name,
                        damaged[head:],
                        expected,
                        found,
                    )

    asyncio.run(main())


def is_known(expected: Any, found: Any) -> bool:
    """Whether a difference is one that is meant.

    What came whole before a fault in the same read is delivered; uvicorn's own class drops it. And faults
    are found that it does not see (lengths, frames behind what it gave up on) or sees later (text).
    """
    theirs, ours = expected[0][:-1], found[0][:-1]
    code = next((payload for opcode, payload in found[1][1] if opcode == 8), None)
    faults = (b"\x03\xea", b"\x03\xef", b"\x03\xf1")
    return ours[: len(theirs)] == theirs or (code in faults and theirs[: len(ours)] == ours)


def test_what_is_stricter() -> None:
    async def main() -> None:
        stream = FIXED["a length that is not the shortest"]
        reads = [PLAIN, stream[len(PLAIN) :]]
        theirs, _ = await converse(WebSocketsSansIOProtocol, reads)
        assert {"type": "websocket.receive", "text": "\t\x0b"} in theirs  # taken, as if it were in order
        ours, transport = await converse(OURS, reads)
        assert ours[2]["code"] == 1002
        assert parsed(transport.written)[1] == [(8, b"\x03\xea")]

    asyncio.run(main())


def test_messages_behind_a_final_block() -> None:
    async def main() -> None:
        stream = FIXED["a message behind a final block"]
        reads = [OFFER, stream[len(OFFER) :]]
        theirs, _ = await converse(WebSocketsSansIOProtocol, reads)
        assert [event.get("text") for event in theirs[2:4]] == ["a", ""]  # lost without a word
        ours, _ = await converse(OURS, reads)
        assert [event.get("text") for event in ours[2:4]] == ["a", "second"]

    asyncio.run(main())


# ---- The application's mistakes, and other endings --------------------------------------------------

BAD = request().replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 12")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (BAD, b"HTTP/1.1 426 Upgrade Required"),
        (request().replace(b"==", b""), b"HTTP/1.1 400 Bad Request"),
    ],
    ids=["version", "key"],
)
def test_what_is_no_handshake(head: bytes, status: bytes) -> None:
    async def main() -> None:
        seen, transport = await converse(OURS, [head])
        assert seen == []
        assert transport.closed
        assert parsed(transport.written)[0] == status

    asyncio.run(main())


async def fails(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("the application's fault")


async def fails_later(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    raise ValueError("the application's fault")


async def returns(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    return


async def denies(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close"})
    seen.append(scope)
    seen.append(await receive())
    seen.append(await receive())


async def denies_with_words(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    fields = [(b"X-Why", b"no"), (b"Content-Length", b"5"), (b"Content-Type", b"text/x")]
    await send({"type": "websocket.http.response.start", "status": 418, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": b"te", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"tea"})


async def denies_by_half(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.http.response.start", "status": 404})


@pytest.mark.parametrize(
    ("app", "status", "body"),
    [
        (fails, "500 Internal Server Error", b"Internal Server Error"),
        (returns, "500 Internal Server Error", b"Internal Server Error"),
        (denies, "403 Forbidden", b""),
        (denies_with_words, "418 I'm a Teapot", b"tetea"),
        (denies_by_half, "404 Not Found", b""),
        (fails_later, "101 Switching Protocols", b""),
    ],
)
def test_answers(app: Any, status: str, body: bytes) -> None:
    async def main() -> None:
        _, transport = await converse(OURS, [PLAIN], app=app)
        assert transport.closed
        head, _, rest = bytes(transport.written).partition(b"\r\n\r\n")
        assert head.decode().split("\r\n")[0].lower() == f"HTTP/1.1 {status}".lower()
        assert rest == body
        if app is denies_with_words:
            assert b"\r\nX-Why: no\r\n" in head
            assert head.lower().count(b"content-length") == 1
            assert b"text/x" in head

    asyncio.run(main())


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "send before accept": (
        [{"type": "websocket.send", "text": "x"}],
        "Expected ASGI message 'websocket.accept'",
    ),
    "accept twice": (
        [{"type": "websocket.accept"}] * 2,
        "Expected ASGI message 'websocket.send' or 'websocket.close', but got 'websocket.accept'.",
    ),
    "status": (
        [{"type": "websocket.http.response.start", "status": 600}],
        "Invalid HTTP status code '600' in response.",
    ),
    "start twice": (
        [{"type": "websocket.http.response.start", "status": 404}] * 2,
        "Expected ASGI message 'websocket.http.response.body' but got 'websocket.http.response.start'.",
    ),
    "send after close": (
        [{"type": "websocket.accept"}, {"type": "websocket.close"}, {"type": "websocket.send", "text": "x"}],
        "Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.",
    ),
    "after denial": (
        [{"type": "websocket.close"}, {"type": "websocket.accept"}],
        "Unexpected ASGI message 'websocket.accept', after sending 'websocket.close'.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_events(name: str) -> None:
    events, message = WRONG[name]
    raised = []

    async def app(seen: list[Any], scope: Any, receive: Any, send: Any) -> None:
        try:
            for event in events:
                await send(event)
        except RuntimeError as exc:
            raised.append(str(exc))
            raise

    asyncio.run(converse(OURS, [PLAIN], app=app))
    assert len(raised) == 1
    assert raised[0].startswith(message)


def test_reading_pauses_until_all_is_taken() -> None:
    """Messages that nobody waits for stop reading at once; others unless the application takes them."""

    async def main() -> None:
        asked = asyncio.Event()
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await asked.wait()
            while (event := await receive())["type"] == "websocket.receive":
                seen.append(event["text"])

        config = uvicorn.Config(app, ws=OURS, lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        protocol: Any = OURS(config=config, server_state=state, app_state={})
        transport = Transport()
        protocol.connection_made(transport)
        protocol.data_received(PLAIN)
        await asyncio.sleep(0)
        states = [transport.paused]
        for text in (b"a", b"b"):
            protocol.data_received(masked((1, text)))
            states.append(transport.paused)  # nobody waits
        asked.set()
        await asyncio.sleep(0.01)
        states.append(transport.paused)
        assert seen == ["a", "b"]
        for text in (b"c", b"d", b"e"):
            protocol.data_received(masked((1, text)))
            states.append(transport.paused)  # somebody waits for one
        await asyncio.sleep(0.01)
        states.append(transport.paused)
        assert states == [False, True, True, False, False, False, False, False]
        protocol.data_received(CLOSE)
        await asyncio.gather(*state.tasks)
        assert seen == ["a", "b", "c", "d", "e"]
        protocol.connection_lost(None)

    asyncio.run(main())


# ---- A real server ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_level="error", **options)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve([listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/path?query=1", server
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


async def echo_app(scope: Any, receive: Any, send: Any) -> None:
    await echo([], scope, receive, send)


STOCK = "websockets-sansio"


@pytest.mark.parametrize("end", ["close frame", "end of the stream"])
def test_messages_before_the_end(end: str) -> None:
    """An application that is slow gets to answer those that came before, as with uvicorn's own class."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await asyncio.sleep(0.01)
            await send({"type": "websocket.send", "text": event["text"]})

    async def main(ws: Any) -> list[Any]:
        async with serving(slow, ws=ws) as (uri, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(uri.split("/")[2].split(":")[1]))
            client = wsfast.Connection("client", uri)
            writer.write(client.data_to_send())
            client.receive_data(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"".join(client.send_text(str(number)) for number in range(5)))
            await asyncio.sleep(0.005)
            if end == "close frame":
                writer.write(client.close())
            else:
                writer.write_eof()
            events = client.receive_data(await asyncio.wait_for(reader.read(), 10))
            writer.close()
            return events

    stock, ours = asyncio.run(main(STOCK)), asyncio.run(main(OURS))
    assert [event for event in ours if isinstance(event, str)][:4] == ["0", "1", "2", "3"]
    assert [event for event in stock if isinstance(event, str)][:4] == ["0", "1", "2", "3"]
    assert len(ours) >= len(stock)


def test_fields_of_the_handshake_are_its_own() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        fields = [(b"Connection", b"close"), (b"upgrade", b"x"), (b"sec-websocket-accept", b"x")]
        fields += [(b"content-length", b"5"), (b"X-Padded", b" padded\t")]
        await send({"type": "websocket.accept", "headers": fields})
        await receive()

    async def main() -> None:
        async with (
            serving(app, ws=OURS) as (uri, _),
            websockets.asyncio.client.connect(uri) as client,
        ):
            assert client.response is not None
            headers = client.response.headers
            assert headers["X-Padded"] == "padded"
            assert headers.get_all("Connection") == ["Upgrade"]
            assert "Content-Length" not in headers

    asyncio.run(main())


def test_sending_when_the_server_ends(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["code"] == 1012
        try:
            await send({"type": "websocket.send", "text": "bye"})
        except BaseException as exc:
            raised.append(type(exc).__name__)
            raise

    async def main(ws: Any) -> None:
        async with serving(app, ws=ws) as (uri, server):
            client = await websockets.asyncio.client.connect(uri)
            server.should_exit = True
            await client.wait_closed()

    for ws in (STOCK, OURS):
        asyncio.run(main(ws))
    assert raised == ["ClientDisconnected"] * 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_echo(http: str, compression: str | None) -> None:
    if http == "httptools":
        pytest.importorskip("httptools")

    async def main() -> None:
        async with serving(echo_app, http=http, ws=OURS) as (uri, _):
            async with websockets.asyncio.client.connect(uri, compression=compression) as client:
                fast = HOST.counts.fast
                for message in ("Grüße", b"\xff\x00", "x" * 70_000, b"y" * (1 << 20), "", ["in ", "pieces"]):
                    await client.send(message)
                    expected = "".join(message) if isinstance(message, list) else message
                    assert await client.recv() == expected
                assert HOST.counts.fast - fast == 6
                assert HOST.counts.slow == 0
                await (await client.ping())
            assert client.close_code == 1000

    asyncio.run(main())


def test_shutdown() -> None:
    """Clients are told that the server goes away: 1012."""

    async def main() -> None:
        async with serving(echo_app, ws=OURS) as (uri, server):
            client = await websockets.asyncio.client.connect(uri)
            await client.send("x")
            assert await client.recv() == "x"
            server.should_exit = True
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1012

    asyncio.run(main())


def test_close_of_the_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"X-A", b"1")]})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    async def main() -> None:
        async with serving(app, ws=OURS) as (uri, _):
            client = await websockets.asyncio.client.connect(uri, subprotocols=["chat"])  # type: ignore[list-item]
            assert client.subprotocol == "chat"
            assert client.response is not None
            assert client.response.headers["X-A"] == "1"
            assert client.response.headers["Server"] == "uvicorn"
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4001, "enough")

    asyncio.run(main())


def test_keepalive() -> None:
    """A client that answers pings stays; one that does not is told 1011."""

    async def main() -> None:
        options = {"ws": OURS, "ws_ping_interval": 0.05, "ws_ping_timeout": 0.2}
        async with serving(echo_app, **options) as (uri, _):
            async with websockets.asyncio.client.connect(uri) as client:
                await asyncio.sleep(0.5)
                await client.send("still there")
                assert await client.recv() == "still there"
            port = int(uri.split(":")[2].split("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(PLAIN)
            data = await asyncio.wait_for(reader.read(), 5)
            assert data.endswith(b"\x88\x18\x03\xf3keepalive ping timeout")
            writer.close()

    asyncio.run(main())


def test_denial() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await denies_with_words([], scope, receive, send)

    async def main() -> None:
        async with serving(app, ws=OURS) as (uri, _):
            with pytest.raises(InvalidStatus) as caught:
                await websockets.asyncio.client.connect(uri)
            assert caught.value.response.status_code == 418
            assert caught.value.response.body == b"tetea"

    asyncio.run(main())


def test_install() -> None:
    """What ``--ws auto`` stands for; the address in words works too, and everything is put back."""

    def chosen(ws: str) -> Any:
        config = uvicorn.Config(echo_app, ws=ws, log_config=None)
        config.load()
        return config.ws_protocol_class

    before = uvicorn.config.WS_PROTOCOLS["auto"]
    assert chosen("wsfast.adapters.uvicorn:WebSocketProtocol") is OURS
    assert chosen("auto") is WebSocketsSansIOProtocol
    with install("uvicorn"):
        assert chosen("auto") is OURS
        assert chosen("websockets-sansio") is WebSocketsSansIOProtocol
    assert uvicorn.config.WS_PROTOCOLS["auto"] is before
    assert chosen("auto") is WebSocketsSansIOProtocol
