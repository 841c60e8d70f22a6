"""wsfast.asyncio: pings, closing, peers that misbehave, servers that end, clients that come again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from talking import REQUEST, Raw, echo, raw_server, run, serving, unused_port

import wsfast
from wsfast import ProtocolError, State, encode_frame
from wsfast.asyncio import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    backoff,
    connect,
    process_exception,
    serve,
)


def masked(opcode: int, payload: Any = b"", **options: Any) -> bytes:
    return encode_frame(opcode, payload, mask=b"abcd", **options)


# ---- Pings ---------------------------------------------------------------------------------------------


def test_ping() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            assert client.latency == 0
            latency = await (await client.ping())
            assert 0 < latency < 5
            assert client.latency == latency
            for data in ("é", b"", bytearray(b"x" * 125)):
                assert await (await client.ping(data)) > 0
            with pytest.raises(ValueError, match="126"):
                await client.ping(bytes(126))
            await client.pong(b"unasked")
            await client.send("a")
            assert await client.recv() == "a"

    run(main())


def test_a_pong_answers_the_pings_before_it() -> None:
    async def main() -> None:
        async def behave(ws: Any, reader: Any, writer: Any) -> None:
            await reader.readexactly(3 * 7)
            writer.write(encode_frame(10, b"unknown") + encode_frame(10, b"2"))
            await reader.read()

        async with raw_server(behave) as uri:
            client = await connect(uri, close_timeout=0.1)
            waiters = [await client.ping(str(number)) for number in (1, 2, 3)]
            with pytest.raises(ConcurrencyError) as caught:
                await client.ping(b"3")
            assert str(caught.value) == "already waiting for a pong with the same data"
            assert await waiters[0] >= await waiters[1] > 0
            await client.close()
            with pytest.raises(ConnectionClosedError):
                await waiters[2]
            with pytest.raises(ConnectionClosed):
                await client.ping()

    run(main())


def test_keepalive() -> None:
    async def main() -> None:
        async with serving(ping_interval=0.02, ping_timeout=0.5) as (uri, server):
            async with connect(uri, ping_interval=None) as client:
                await asyncio.sleep(0.2)
                (ours,) = server.connections
                assert ours.latency > 0
                await client.send("a")
                assert await client.recv() == "a"

    run(main())


@pytest.mark.parametrize("side", ["server", "client"])
def test_keepalive_without_answer(side: str) -> None:
    async def main() -> None:
        async def silent(ws: Any, reader: Any, writer: Any) -> None:
            with contextlib.suppress(ConnectionError):
                await reader.read()

        options: dict[str, Any] = {"ping_interval": 0.02, "ping_timeout": 0.05, "close_timeout": 0.1}
        if side == "client":
            async with raw_server(silent) as uri:
                client = await connect(uri, **options)
                with pytest.raises(ConnectionClosedError) as caught:
                    await client.recv()
                assert str(caught.value) == "sent 1011 keepalive ping timeout; no close frame received"
                await client.wait_closed()
            return
        errors: list[Any] = []

        async def handler(ws: Any) -> None:
            try:
                await ws.recv()
            except ConnectionClosed as exc:
                errors.append(str(exc))
                raise

        async with serving(handler, **options) as (uri, _server):
            raw = await Raw.connect(uri)
            await raw.head()
            data = await raw.end()
            assert data.startswith(b"\x89\x04")
            assert data.endswith(b"\x88\x18\x03\xf3keepalive ping timeout")
            while not errors:
                await asyncio.sleep(0.01)
            assert errors == ["sent 1011 keepalive ping timeout; no close frame received"]

    run(main())


# ---- Closing -------------------------------------------------------------------------------------------


def test_close_twice_and_after() -> None:
    async def main() -> None:
        async with serving() as (uri, _):
            client = await connect(uri)
            await asyncio.gather(client.close(3001, "one"), client.close(3002, "two"))
            await client.close()
            assert (client.state, client.close_code) == (State.CLOSED, 3001)
            for call in (client.recv, lambda: client.send("a"), client.ping, client.pong):
                with pytest.raises(ConnectionClosedError) as caught:
                    await call()
                assert str(caught.value) == "sent 3001 one; then received 3001"
            with pytest.raises(ConnectionClosed):
                client.send_nowait("a")
            await client.drain()
            with pytest.raises(ValueError, match="999"):
                await (await connect(uri)).close(999)

    run(main())


def test_close_with_a_bad_code_leaves_it_open() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            with pytest.raises(ValueError, match="1005"):
                await client.close(1005)
            with pytest.raises(ValueError, match="reason"):
                await client.close(1000, "x" * 124)
            await client.send("a")
            assert await client.recv() == "a"

    run(main())


def test_the_peer_does_not_answer_the_close() -> None:
    async def main() -> None:
        async def silent(ws: Any, reader: Any, writer: Any) -> None:
            with contextlib.suppress(ConnectionError):
                await reader.read()

        async with raw_server(silent) as uri:
            client = await connect(uri, close_timeout=0.1)
            await client.close()
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert str(caught.value) == "sent 1000; no close frame received"
            assert client.close_code == 1006

    run(main())


def test_messages_behind_the_close_that_was_sent() -> None:
    async def main() -> None:
        async def late(ws: Any, reader: Any, writer: Any) -> None:
            await reader.readexactly(8)
            writer.write(encode_frame(1, "late") + encode_frame(8, b"\x03\xe8"))
            await writer.drain()

        async with raw_server(late) as uri:
            client = await connect(uri)
            await client.close()
            assert await client.recv() == "late"
            with pytest.raises(ConnectionClosedOK) as caught:
                await client.recv()
            assert str(caught.value) == "sent 1000; then received 1000"

    run(main())


WRONG_FRAMES: list[tuple[bytes, int]] = [
    (b"\x81\x01a", 1002),
    (b"\x83\x80abcd", 1002),
    (b"\xc1\x80abcd", 1002),
    (masked(0, b"x"), 1002),
    (masked(1, b"\xff"), 1007),
    (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"abcd", 1009),
    (masked(8, b"\x03"), 1002),
]


@pytest.mark.parametrize("number", range(len(WRONG_FRAMES)))
def test_wrong_frames(number: int) -> None:
    frames, code = WRONG_FRAMES[number]

    async def main() -> None:
        ends: list[Any] = []

        async def handler(ws: Any) -> None:
            got.append(await ws.recv())
            try:
                await ws.recv()
            except ConnectionClosedError as exc:
                ends.append(exc)

        got: list[Any] = []
        async with serving(handler, compression=None) as (uri, _server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.writer.write(masked(1, "before") + frames)
            data = await raw.end()
            assert data[0] == 0x88
            assert int.from_bytes(data[2:4], "big") == code
            while not ends:
                await asyncio.sleep(0.01)
            assert got == ["before"]
            assert isinstance(ends[0].__cause__, ProtocolError)
            assert (ends[0].sent.code, ends[0].received) == (code, None)

    run(main())


def test_half_a_frame_and_then_nothing() -> None:
    async def main() -> None:
        async with serving(ping_interval=0.05, ping_timeout=0.05) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.writer.write(masked(1, "half of it")[:9])
            assert (await raw.end()).endswith(b"keepalive ping timeout")
            while server._connections:
                await asyncio.sleep(0.01)

    run(main())


def test_a_flood_of_pings() -> None:
    async def main() -> None:
        async with serving() as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            for _ in range(20):
                raw.writer.write(masked(9, b"x" * 125) * 10_000)
                await asyncio.sleep(0.05)
            (ours,) = server.connections
            assert ours.transport.get_write_buffer_size() < 1 << 20
            raw.writer.transport.abort()

    run(main())


# ---- The server ----------------------------------------------------------------------------------------


def test_the_server_closes() -> None:
    async def main() -> None:
        ended: list[str] = []

        async def handler(ws: Any) -> None:
            try:
                await echo(ws)
            finally:
                ended.append("done")

        async with serving(handler) as (uri, server):
            clients = [await connect(uri) for _ in range(3)]
            raw = await Raw.connect(uri, REQUEST[:40])
            assert server.is_serving()
            while len(server.connections) < 3:
                await asyncio.sleep(0.01)
            server.close(reason="bye")
            server.close()
            await server.wait_closed()
            assert ended == ["done"] * 3
            for client in clients:
                with pytest.raises(ConnectionClosedOK) as caught:
                    await client.recv()
                assert str(caught.value) == "received 1001 bye; then sent 1001"
                await client.close()
            with contextlib.suppress(ConnectionError):
                await raw.end()
            assert not server.is_serving()
            with pytest.raises(OSError):
                await connect(uri)

    run(main())


def test_the_server_leaves_connections_open() -> None:
    async def main() -> None:
        async with serving() as (uri, server):
            client = await connect(uri)
            server.close(close_connections=False)
            await client.send("a")
            assert await client.recv() == "a"
            await client.close()
            await server.wait_closed()

    run(main())


def test_serve_forever_until_cancelled() -> None:
    async def main() -> None:
        port = unused_port()
        task = asyncio.create_task(serve(echo, "127.0.0.1", port).serve_forever())
        await asyncio.sleep(0.05)
        client = await connect(f"ws://127.0.0.1:{port}/")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionClosedOK):
            await client.recv()
        await client.close()

    run(main())


def test_a_handler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def handler(ws: Any) -> None:
            raise ZeroDivisionError

        async with serving(handler) as (uri, _):
            client = await connect(uri)
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert str(caught.value) == "received 1011; then sent 1011"
            await client.close()

    with caplog.at_level(logging.ERROR, "wsfast.asyncio"):
        run(main())
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"]


def test_handlers_that_are_no_coroutine_functions(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        def future(ws: Any) -> Any:
            return asyncio.ensure_future(ws.send("hello"))

        def fails(ws: Any) -> Any:
            raise ZeroDivisionError("no")

        for handler, expected, code in ((future, ["hello"], 1000), (fails, [], 1011), (list, [], 1011)):
            async with serving(handler) as (uri, server), connect(uri) as ws:
                got = []
                with pytest.raises(ConnectionClosed):
                    while True:
                        got.append(await ws.recv())
                assert (got, ws.close_code) == (expected, code)
                assert not server._tasks

    run(main())
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"] * 2


def test_a_handler_that_ends_while_a_message_is_sent_in_fragments() -> None:
    async def main() -> None:
        async def slowly() -> Any:
            yield "a"
            await asyncio.sleep(0.05)
            yield "b"

        sending: list[Any] = []

        async def handler(ws: Any) -> None:
            sending.append(asyncio.create_task(ws.send(slowly())))
            await asyncio.sleep(0.01)

        async with serving(handler) as (uri, _), connect(uri) as ws:
            assert await ws.recv() == "ab"
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()
            await sending[0]

    run(main())


def test_a_handler_that_is_cancelled() -> None:
    async def main() -> None:
        async def handler(ws: Any) -> None:
            raise asyncio.CancelledError

        async with serving(handler) as (uri, _), connect(uri) as ws:
            with pytest.raises(ConnectionClosedOK):
                await ws.recv()
            assert ws.close_code == 1001

    run(main())


def test_a_handler_that_lets_the_end_through(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def handler(ws: Any) -> None:
            await ws.recv()

        async with serving(handler) as (uri, _), connect(uri):
            pass

    with caplog.at_level(logging.INFO, "wsfast.asyncio"):
        run(main())
    assert not caplog.records


# ---- Connecting again ----------------------------------------------------------------------------------


def test_connecting_again() -> None:
    async def main() -> None:
        served = 0

        async def once(ws: Any) -> None:
            nonlocal served
            served += 1
            await ws.send(str(served))

        got = []
        async with serving(once) as (uri, _):
            async for client in connect(uri):
                try:
                    async for message in client:
                        got.append(message)
                except ConnectionClosed:
                    pytest.fail("1000 ends the iteration")
                if len(got) == 3:
                    break
            await asyncio.sleep(0.1)  # until the iterator that was left is closed
        assert got == ["1", "2", "3"]

    run(main())


def test_connecting_again_to_a_server_that_was_away() -> None:
    async def main() -> None:
        port = unused_port()
        uri = f"ws://127.0.0.1:{port}/"
        attempts: list[Exception] = []

        def look(exc: Exception) -> Exception | None:
            attempts.append(exc)
            return process_exception(exc)

        async def start() -> Any:
            await asyncio.sleep(0.1)
            return await serve(echo, "127.0.0.1", port)

        starting = asyncio.create_task(start())
        again: Any = aiter(connect(uri, process_exception=look, reconnect_delays=lambda: iter([0.02] * 100)))
        # Otherwise the loop closes the generator, in a task of its own, when it finds time.
        async with contextlib.aclosing(again):
            async for client in again:
                await client.send("a")
                assert await client.recv() == "a"
                break
        assert attempts
        assert all(isinstance(exc, ConnectionRefusedError) for exc in attempts)
        server = await starting
        server.close()
        await server.wait_closed()

    run(main())


def test_connecting_again_to_a_server_that_ends_during_the_handshake() -> None:
    async def main() -> None:
        attempts: list[str] = []

        def look(exc: Exception) -> Exception | None:
            attempts.append(str(exc))
            return process_exception(exc) if len(attempts) < 3 else ZeroDivisionError()

        async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        ending = await asyncio.start_server(end, "127.0.0.1", 0)
        port = ending.sockets[0].getsockname()[1]
        options: dict[str, Any] = {"process_exception": look, "reconnect_delays": lambda: iter([0.01] * 3)}
        with pytest.raises(ZeroDivisionError):
            async for _ in connect(f"ws://127.0.0.1:{port}/", **options):
                pytest.fail("it is not open")
        ending.close()
        await ending.wait_closed()
        assert attempts == ["connection closed before the handshake was complete (RFC 6455 §4.1)"] * 3

    run(main())


def test_what_is_not_worth_another_attempt() -> None:
    async def main() -> None:
        statuses = [503, 503, 404]

        def answer(ws: Any, request: Any) -> Any:
            return ws.respond(statuses.pop(0))

        async with serving(process_request=answer) as (uri, _):
            with pytest.raises(InvalidStatus) as caught:
                async for _ in connect(uri, reconnect_delays=lambda: iter([0.01] * 9)):
                    pytest.fail("it is not open")
            assert caught.value.response.status == 404
            statuses[:] = [404]
            with pytest.raises(ZeroDivisionError):
                async for _ in connect(uri, process_exception=lambda exc: ZeroDivisionError()):
                    pytest.fail("it is not open")

    run(main())


def test_backoff() -> None:
    delays = backoff()
    first = [next(delays) for _ in range(12)]
    assert 0 <= first[0] <= 5
    assert first[1] == 3.1
    assert first[1:] == sorted(first[1:])
    assert first[-1] == 90


# ---- What is left behind -------------------------------------------------------------------------------


def test_connections_go_away_without_the_collector() -> None:
    import gc
    import weakref

    async def main() -> Any:
        async with serving() as (uri, server):
            client = await connect(uri)
            await client.send("a")
            assert await client.recv() == "a"
            (ours,) = server.connections
            seen = weakref.ref(ours), weakref.ref(client)
            del ours
            await client.close()
        return seen

    gc.disable()
    try:
        seen = run(main())
        assert seen[0]() is None or wsfast.backend == "python"
    finally:
        gc.enable()
    gc.collect()
    assert [each() for each in seen] == [None, None]
