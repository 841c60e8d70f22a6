"""Peers that are slow, wrong, silent, or suddenly gone: with both backends, on asyncio and uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Any

import pytest
from endpoint_settings import Setting, echo, until
from talking import REQUEST, Raw, raw_server

from wsfast import encode_frame

pytestmark = pytest.mark.thread_unsafe(reason="counts open files, and changes whose transports are used")


def masked(opcode: int, payload: Any = b"", **options: Any) -> bytes:
    return encode_frame(opcode, payload, mask=b"abcd", **options)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a machine does that has forgotten it: with RST, without FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def end_of(raw: Raw) -> bytes:
    """Read until the peer ends it, in whatever way."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := await raw.reader.read(65536):
            data += piece
    raw.close()
    return data


# ---- The opening handshake, at the server --------------------------------------------------------------


async def says_nothing(raw: Raw) -> None:
    pass


async def stops_halfway(raw: Raw) -> None:
    raw.writer.write(REQUEST[: len(REQUEST) // 2])


async def trickles(raw: Raw) -> None:
    with contextlib.suppress(ConnectionError):
        for byte in b"GET /" + b"x" * 2000:
            raw.writer.write(bytes([byte]))
            await asyncio.sleep(0.005)
            if raw.writer.is_closing():
                return


async def sends_too_much(raw: Raw) -> None:
    raw.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n")


async def sends_many_fields(raw: Raw) -> None:
    raw.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100_000)


async def sends_noise(raw: Raw) -> None:
    raw.writer.write(bytes(range(256)) * 10 + b"\r\n\r\n")


async def sends_another_protocol(raw: Raw) -> None:
    raw.writer.write(b"EHLO x\r\n\r\n")


async def ends_at_once(raw: Raw) -> None:
    raw.close()


async def ends_halfway(raw: Raw) -> None:
    raw.writer.write(REQUEST[:60])
    raw.close()


async def resets_at_once(raw: Raw) -> None:
    reset(raw.writer)


async def resets_halfway(raw: Raw) -> None:
    raw.writer.write(REQUEST[:60])
    reset(raw.writer)


async def resets_behind_the_request(raw: Raw) -> None:
    raw.writer.write(REQUEST)
    reset(raw.writer)


BAD_CLIENTS = [
    (says_nothing, b""),
    (stops_halfway, b""),
    (trickles, b""),
    (sends_too_much, b"HTTP/1.1 431 "),
    (sends_many_fields, b"HTTP/1.1 431 "),
    (sends_noise, b"HTTP/1.1 400 "),
    (sends_another_protocol, b"HTTP/1.1 400 "),
    (ends_at_once, b""),
    (ends_halfway, None),
    (resets_at_once, b""),
    (resets_halfway, b""),
    (resets_behind_the_request, None),
]


@pytest.mark.parametrize(
    ("behave", "answer"), BAD_CLIENTS, ids=[behave.__name__ for behave, _ in BAD_CLIENTS]
)
def test_a_client_that(setting: Setting, behave: Any, answer: bytes | None) -> None:
    async def main() -> None:
        async with setting.serving(open_timeout=0.3) as (uri, server):
            raw = await Raw.connect(uri, b"")
            await behave(raw)
            data = await end_of(raw)
            # What was answered can have been overtaken by the end.
            assert answer is None or answer.startswith(data[: len(answer)])
            await until(lambda: not server._connections)
            async with setting.connect(uri) as client:
                await client.send("others are served")
                assert await client.recv() == "others are served"

    setting.run(main())


def test_a_client_that_goes_while_the_application_decides(setting: Setting) -> None:
    async def main() -> None:
        asked: list[Any] = []
        go_on = asyncio.Event()

        async def decide(ws: Any, request: Any) -> None:
            asked.append(ws)
            await go_on.wait()

        async with setting.serving(process_request=decide) as (uri, server):
            raws = [await Raw.connect(uri) for _ in range(4)]
            await until(lambda: len(asked) == 4)
            for raw in raws[:2]:
                reset(raw.writer)
            for raw in raws[2:]:
                raw.close()
            await until(lambda: not server._connections)
            go_on.set()
            await until(lambda: not server._tasks)

    setting.run(main())


# ---- The opening handshake, at the client --------------------------------------------------------------

BAD_SERVERS: list[tuple[str, bytes | None, str]] = [
    ("noise", b"\x00\xff" * 5000, "HandshakeError"),
    ("too large", b"HTTP/1.1 101 Switching Protocols\r\nX-A: " + b"a" * 100_000, "HandshakeError"),
    ("many fields", b"HTTP/1.1 101 Switching Protocols\r\n" + b"a: b\r\n" * 100_000, "HandshakeError"),
    ("ends", b"", "HandshakeError"),
    ("ends halfway", b"HTTP/1.1 101 Switching", "HandshakeError"),
    ("reset", None, "HandshakeError"),
]


@pytest.mark.parametrize(
    ("answer", "error"), [row[1:] for row in BAD_SERVERS], ids=[r[0] for r in BAD_SERVERS]
)
def test_a_server_that_answers_wrong(setting: Setting, answer: bytes | None, error: str) -> None:
    async def main() -> None:
        done: list[Any] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            done.append(asyncio.current_task())
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                reset(writer)
                return
            writer.write(answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with server:
            with pytest.raises(Exception) as caught:
                await setting.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            assert type(caught.value).__name__ == error
            await asyncio.gather(*done)

    setting.run(main())


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_server_that_does_not_answer(setting: Setting, how: str) -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            gone.set()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server:
            if how == "timeout":
                with pytest.raises(TimeoutError):
                    await setting.connect(uri, open_timeout=0.1)
            else:

                async def connecting() -> None:
                    await setting.connect(uri)

                task = asyncio.create_task(connecting())
                await asked.wait()
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await gone.wait()

    setting.run(main())


# ---- Peers that stop ----------------------------------------------------------------------------------


def test_send_to_a_peer_that_stops_reading(setting: Setting) -> None:
    """What waits is bounded, to cancel a send() does no harm, and all arrives when the peer goes on."""

    async def main() -> None:
        sent: list[int] = []
        sending: list[asyncio.Task[None]] = []

        async def flood(ws: Any) -> None:
            async def send() -> None:
                while len(sent) < 500:
                    sent.append(len(sent))
                    await ws.send(bytes([len(sent) % 256]) * 50_000)

            sending.append(asyncio.create_task(send()))
            await asyncio.wait(sending)
            await ws.wait_closed()

        async with setting.serving(flood, compression=None) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            await until(lambda: server.connections and not next(iter(server.connections))._writable)
            (ours,) = server.connections
            count = len(sent)
            assert count < 500
            assert ours.transport.get_write_buffer_size() < 1 << 18
            # Cancelled while it waits, before anything of it went out.
            other = asyncio.create_task(asyncio.wait_for(ours.send("x" * 1000), 0.05))
            with pytest.raises(asyncio.TimeoutError):
                await other
            assert len(sent) == count
            transport: Any = raw.writer.transport
            transport.resume_reading()
            for number in range(1, 501):
                assert await raw.reader.readexactly(4) == b"\x82\x7e\xc3\x50"
                assert await raw.reader.readexactly(50_000) == bytes([number % 256]) * 50_000
            raw.writer.write(masked(8, b"\x03\xe8"))
            assert (await end_of(raw)).startswith(b"\x88\x02\x03\xe8")

    setting.run(main())


@pytest.mark.parametrize("how", ["reset", "end", "silence"])
def test_send_waits_and_the_peer_goes(setting: Setting, how: str) -> None:
    async def main() -> None:
        errors: list[str] = []

        async def flood(ws: Any) -> None:
            try:
                while True:
                    await ws.send(bytes(50_000))
            except setting.asyncio.ConnectionClosed as exc:
                errors.append(type(exc).__name__)

        options: dict[str, Any] = {"close_timeout": 0.1, "compression": None}
        if how == "silence":
            options |= {"ping_interval": 0.05, "ping_timeout": 0.05}
        async with setting.serving(flood, **options) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            await until(lambda: server.connections and not next(iter(server.connections))._writable)
            if how == "reset":
                reset(raw.writer)
            elif how == "end":
                raw.close()
            await until(lambda: errors)
            assert errors == ["ConnectionClosedError"]
            await until(lambda: not server._connections)
            raw.writer.transport.abort()

    setting.run(main())


HALVES = {
    "a head": b"\x81",
    "a length": b"\x81\xfe\x10",
    "a mask": b"\x81\x85ab",
    "a payload": masked(1, "half of it")[:9],
    "a message": masked(1, "half of it", fin=False),
    "a control frame": masked(9, b"half of it")[:9],
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("then", ["stall", "end", "reset", "close"])
def test_half_of(setting: Setting, half: str, then: str) -> None:
    """Half of something, and then nothing, or the end: the handler is told, and gets no message."""
    if then == "close" and half != "a message":
        pytest.skip("a close frame can come behind a whole frame only")

    async def main() -> None:
        ends: list[str] = []

        async def handler(ws: Any) -> None:
            try:
                await ws.recv()
            except setting.asyncio.ConnectionClosed as exc:
                ends.append(str(exc))
                raise

        options = {"ping_interval": 0.05, "ping_timeout": 0.05} if then == "stall" else {}
        async with setting.serving(handler, **options) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.writer.write(HALVES[half])
            if then == "stall":
                assert (await end_of(raw)).endswith(b"\x88\x18\x03\xf3keepalive ping timeout")
                wanted = ["sent 1011 keepalive ping timeout; no close frame received"]
            elif then == "close":
                raw.writer.write(masked(8, b"\x03\xe8"))
                assert await end_of(raw) == b"\x88\x02\x03\xe8"
                wanted = ["received 1000; then sent 1000"]
            else:
                wanted = ["no close frame received or sent"]
                raw.close() if then == "end" else reset(raw.writer)
            await until(lambda: ends)
            assert ends == wanted
            await until(lambda: not server._connections)

    setting.run(main())


@pytest.mark.parametrize("how", ["reset", "end"])
def test_the_server_vanishes(setting: Setting, how: str) -> None:
    async def main() -> None:
        async def vanish(ws: Any, reader: Any, writer: Any) -> None:
            writer.write(encode_frame(1, "a") + b"\x81\x7e")
            await reader.readexactly(7)
            reset(writer) if how == "reset" else writer.close()

        async with raw_server(vanish) as uri:
            client = await setting.connect(uri)
            assert await client.recv() == "a"
            pinged = await client.ping()
            receiving = asyncio.create_task(client.recv())
            await client.send("b")
            for waiting in (receiving, pinged):
                with pytest.raises(setting.asyncio.ConnectionClosedError) as caught:
                    await waiting
                assert str(caught.value) == "no close frame received or sent"
            assert client.close_code == 1006
            await client.close()

    setting.run(main())


# ---- Floods --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [masked(9, b"x" * 125), masked(9), masked(10, b"x" * 125)])
def test_a_flood_of_control_frames(setting: Setting, frame: bytes) -> None:
    """The peer reads no answers: what waits for it is bounded, and others are served."""

    async def main() -> None:
        async with setting.serving() as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            (ours,) = server.connections
            for _ in range(20):
                raw.writer.write(frame * 10_000)
                await asyncio.sleep(0.01)
                assert ours.transport.get_write_buffer_size() < 1 << 20
            async with setting.connect(uri) as client:
                await client.send("a")
                assert await client.recv() == "a"
            reset(raw.writer)
            if str(setting) == "c-uvloop-aiofastnet":
                # aiofastnet 1.2 does not see a reset there that is behind data: keepalive would end it.
                ours.transport.abort()
            await until(lambda: not server._connections)

    setting.run(main())


@pytest.mark.parametrize("fragments", [False, True])
def test_a_flood_of_messages(setting: Setting, fragments: bool) -> None:
    """A handler that is slow stops reading; a message without end is too long some time."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def slow(ws: Any) -> None:
            await go_on.wait()
            await echo(ws)

        async with setting.serving(slow, max_size=1 << 16, compression=None) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            if fragments:
                raw.writer.write(masked(1, "x", fin=False) + masked(0, b"x" * 100, fin=False) * 1000)
                data = await end_of(raw)
                assert (data[:1], data[2:4]) == (b"\x88", b"\x03\xf1")
            else:
                raw.writer.write(masked(2, bytes(1000)) * 20_000)
                (ours,) = server.connections
                await until(lambda: not ours._reading)
                assert ours._waiting <= 16 + (1 << 18) // 1000 + 1
                reset(raw.writer)
            go_on.set()
            await until(lambda: not server._connections)

    setting.run(main())


# ---- The server's end ----------------------------------------------------------------------------------


def test_the_server_closes_among_bad_peers(setting: Setting) -> None:
    """close() does not wait longer for peers than close_timeout, whatever they are at."""

    async def main() -> None:
        async def flood(ws: Any) -> None:
            with contextlib.suppress(setting.asyncio.ConnectionClosed):
                while ws.request.target == "/flood":
                    await ws.send(bytes(50_000))
                await ws.recv()

        async with setting.serving(flood, close_timeout=0.2, compression=None) as (uri, server):
            raws = [await Raw.connect(uri, request) for request in (b"", REQUEST[:60], REQUEST, REQUEST)]
            raws.append(await Raw.connect(uri, REQUEST.replace(b"GET / ", b"GET /flood ")))
            raws[3].writer.write(HALVES["a payload"])
            for raw in raws[2:]:
                await raw.head()
            raws[4].pause()
            await until(lambda: any(not each._writable for each in server.connections))
            server.close()
            await server.wait_closed()
            assert not server._connections
            assert not server._tasks
            for raw in raws:
                raw.writer.transport.abort()

    setting.run(main())


def test_nothing_is_logged_about_bad_peers(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    """They are none of the operator's business: at most on the level of information."""

    async def main() -> None:
        async with setting.serving() as (uri, server):
            for data in (b"\x16\x03\x01", REQUEST + b"\xff", REQUEST + HALVES["a message"], REQUEST):
                raw = await Raw.connect(uri, data)
                await asyncio.sleep(0.02)
                reset(raw.writer)
            await until(lambda: not server._connections)

    with caplog.at_level(logging.INFO, "wsfast.asyncio"):
        setting.run(main())
    assert [r for r in caplog.records if r.name == "wsfast.asyncio" and r.levelno > logging.INFO] == []
