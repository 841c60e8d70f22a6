"""wsfast.asyncio: messages between a client and a server, over loopback sockets."""

from __future__ import annotations

import array
import asyncio
from typing import Any

import pytest
from talking import Raw, echo, raw_server, run, serving

import wsfast
from wsfast import Deflate, PreparedMessage, encode_frame
from wsfast.asyncio import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    broadcast,
    connect,
)

MESSAGES = ["", "Grüße 🎉", b"", b"\x00\xff", "x" * 70_000, bytes(300_000), "é" * 200]
COMPRESSED = pytest.mark.parametrize("compression", [None, "deflate", Deflate(threshold=0)])


@COMPRESSED
def test_echo(compression: Any) -> None:
    async def main() -> None:
        async with (
            serving(compression=compression) as (uri, _),
            connect(uri, compression=compression) as client,
        ):
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            for message in MESSAGES:  # many under way
                await client.send(message)
            assert [await client.recv() for _ in MESSAGES] == MESSAGES
        assert (client.close_code, client.close_reason) == (1000, "")

    run(main())


KINDS: list[tuple[Any, Any, Any]] = [
    (bytearray(b"abc"), None, b"abc"),
    (memoryview(b"abcdef")[1:3], None, b"bc"),
    (array.array("B", b"abc"), None, b"abc"),
    (array.array("B", b"abc"), True, "abc"),
    (PreparedMessage("text"), None, "text"),
    (PreparedMessage(b"bytes"), None, b"bytes"),
    ("é", False, b"\xc3\xa9"),
    (b"\xc3\xa9", True, "é"),
    (["a", "b", ""], None, "ab"),
    ([b"a", bytearray(b"b")], None, b"ab"),
    ((piece for piece in "ab"), None, "ab"),
    (["é"], False, b"\xc3\xa9"),
]


@pytest.mark.parametrize(("sent", "text", "received"), KINDS, ids=range(len(KINDS)))
def test_kinds_of_messages(sent: Any, text: Any, received: Any) -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            await client.send(sent, text)
            assert await client.recv() == received

    run(main())


def test_asynchronous_fragments_and_others_wait() -> None:
    async def main() -> None:
        async def pieces() -> Any:
            yield "a"
            other.append(asyncio.create_task(client.send("other")))
            await asyncio.sleep(0.01)
            with pytest.raises(ConcurrencyError) as caught:
                client.send_nowait("third")
            assert str(caught.value) == "cannot send a message between the fragments of another"
            yield "b"

        other: list[Any] = []
        async with serving() as (uri, _), connect(uri) as client:
            await client.send(pieces())
            assert [await client.recv(), await client.recv()] == ["ab", "other"]
            await other[0]

    run(main())


def test_fragments_that_fail() -> None:
    async def main() -> None:
        async def pieces() -> Any:
            yield "a"
            raise ZeroDivisionError

        async with serving() as (uri, _), connect(uri) as client:
            with pytest.raises(ZeroDivisionError):
                await client.send(pieces())
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert str(caught.value).startswith("sent 1011 error in fragmented message")

    run(main())


WRONG: list[tuple[Any, str]] = [
    (5, "message must be a str or a bytes-like object, not int"),
    (None, "message must be a str or a bytes-like object, not NoneType"),
    ({"a": 1}, "message must be str, bytes-like or an iterable of these, not a mapping"),
    ([5], "message must be a str or a bytes-like object, not int"),
    (["a", b"b"], "the fragments of a message must all be str, or all bytes-like"),
]


@pytest.mark.parametrize(("message", "text"), WRONG, ids=range(len(WRONG)))
def test_wrong_messages(message: Any, text: str) -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            sending = client.send(message)
            with pytest.raises(TypeError) as caught:
                await sending
            assert str(caught.value) == text

    run(main())


def test_text_that_is_no_text() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            sending = client.send("\ud800")
            with pytest.raises(UnicodeEncodeError):
                await sending
            with pytest.raises(ValueError, match="no fragments"):
                await client.send([])
            await client.send("still open")
            assert await client.recv() == "still open"

    run(main())


def test_decode() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            for message, decode, received in [
                ("é", None, "é"),
                ("é", False, b"\xc3\xa9"),
                ("é", True, "é"),
                (b"\xc3\xa9", True, "é"),
                (b"\xff", False, b"\xff"),
            ]:
                await client.send(message)
                assert await client.recv(decode) == received
            await client.send("a")
            assert [piece async for piece in client.recv_streaming()] == ["a"]

    run(main())


# ---- recv(), and its end -------------------------------------------------------------------------------


def test_awaitables_are_coroutines_to_asyncio() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            await asyncio.create_task(client.send("a"))
            assert await asyncio.create_task(client.recv()) == "a"
            assert [*await asyncio.gather(client.send("b"), client.send("c"))] == [None, None]
            assert await asyncio.wait_for(client.recv(), 5) == "b"
            assert await asyncio.shield(client.recv()) == "c"
            await client.send(("t",))
            assert await client.recv() == "t"
        results = await asyncio.gather(client.send("d"), client.recv(), return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionClosedOK] * 2

    run(main())


def test_an_awaitable_is_awaited_once() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            await client.send("a")
            await client.send("b")
            receiving = client.recv()
            assert await receiving == "a"
            with pytest.raises(RuntimeError) as caught:
                await receiving
            assert str(caught.value) == "cannot reuse already awaited recv()"
            other = client.recv()
            assert other is not receiving
            assert await other == "b"

    run(main())


def test_cancelled_recv_loses_nothing() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            for number in range(50):
                task = asyncio.create_task(client.recv())
                await client.send(str(number))
                for _ in range(number % 5):
                    await asyncio.sleep(0)
                task.cancel()
                got: Any = (await asyncio.gather(task, return_exceptions=True))[0]
                if isinstance(got, asyncio.CancelledError):
                    got = await client.recv()
                assert got == str(number)

    run(main())


def test_timeouts_in_a_row() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.recv(), 0.01)
            await client.send("a")
            assert await client.recv() == "a"

    run(main())


def test_two_receive_at_a_time() -> None:
    async def main() -> None:
        async with serving() as (uri, _), connect(uri) as client:
            first = asyncio.create_task(client.recv())
            await asyncio.sleep(0)
            with pytest.raises(ConcurrencyError) as caught:
                await client.recv()
            assert str(caught.value) == "cannot call recv() while another task receives"
            with pytest.raises(ConcurrencyError):
                async for _ in client:
                    pass
            await client.send("a")
            assert await first == "a"

    run(main())


def test_what_came_before_the_end_is_received() -> None:
    async def main() -> None:
        async def say(ws: Any) -> None:
            for text in "abc":
                await ws.send(text)
            await ws.close(3000, "done")

        async with serving(say) as (uri, _):
            client = await connect(uri)
            await client.wait_closed()
            assert [await client.recv(), await client.recv(), await client.recv()] == ["a", "b", "c"]
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert str(caught.value) == "received 3000 done; then sent 3000"
            assert (caught.value.received.code, caught.value.received_first) == (3000, True)  # type: ignore[union-attr]

    run(main())


@pytest.mark.parametrize(
    ("code", "error"),
    [(1000, None), (1001, None), (1011, ConnectionClosedError), (4000, ConnectionClosedError)],
)
def test_iteration_ends(code: int, error: Any) -> None:
    async def main() -> None:
        async def say(ws: Any) -> None:
            await ws.send("a")
            await ws.close(code)

        got: list[Any] = []
        async with serving(say) as (uri, _), connect(uri) as client:
            try:
                async for message in client:
                    got.append(message)
            except ConnectionClosed as exc:
                assert error is not None
                assert type(exc) is error
            else:
                assert error is None
        assert got == ["a"]

    run(main())


def test_a_task_that_receives_goes_on_when_the_peer_vanishes() -> None:
    async def main() -> None:
        async def vanish(ws: Any, reader: Any, writer: Any) -> None:
            writer.write(encode_frame(1, "a") + b"\x81\x7e")
            writer.transport.abort()

        async with raw_server(vanish) as uri:
            client = await connect(uri)
            assert await client.recv() == "a"
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert str(caught.value) == "no close frame received or sent"
            assert client.close_code == 1006
            await client.close()

    run(main())


# ---- Order and back-pressure -----------------------------------------------------------------------


def test_a_slow_handler_stops_reading_and_loses_nothing() -> None:
    async def main() -> None:
        go = asyncio.Event()
        got: list[str] = []
        seen: list[Any] = []

        async def slow(ws: Any) -> None:
            seen.append(ws)
            await go.wait()
            async for message in ws:
                got.append(message)

        async with serving(slow, max_queue=4) as (uri, _), connect(uri, compression=None) as client:

            async def send() -> None:
                for number in range(2000):
                    await client.send(f"{number:2000}")

            sending = asyncio.create_task(send())
            await asyncio.sleep(0.2)
            assert not seen[0]._reading
            assert seen[0]._waiting <= 4 + (1 << 18) // 2000 + 1
            go.set()
            await sending
        assert got == [f"{number:2000}" for number in range(2000)]

    run(main())


def test_send_waits_for_a_peer_that_does_not_read() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def still(ws: Any, reader: Any, writer: Any) -> None:
            writer.transport.pause_reading()
            await go.wait()
            writer.transport.resume_reading()
            await reader.read(1 << 20)
            writer.transport.abort()

        async with raw_server(still) as uri:
            client = await connect(uri, compression=None, write_limit=(1 << 16, 1 << 10))
            sent = 0

            async def flood() -> None:
                nonlocal sent
                while True:
                    await client.send(bytes(1 << 16))
                    sent += 1

            task = asyncio.create_task(flood())
            await asyncio.sleep(0.3)
            before = sent
            assert not client.send_nowait("more")
            await asyncio.sleep(0.1)
            assert sent == before
            assert client.transport.get_write_buffer_size() < 1 << 18
            go.set()
            with pytest.raises(ConnectionClosed):
                await task
            await client.close()

    run(main())


def test_callbacks() -> None:
    async def main() -> None:
        log: list[Any] = []

        def on_message(ws: Any, message: Any) -> None:
            log.append(message)
            ws.send_nowait(message)

        def bad(ws: Any, message: Any) -> None:
            raise ZeroDivisionError

        calls = {"on_connect": lambda ws: log.append("+"), "on_close": lambda ws: log.append("-")}
        async with serving(None, on_message=on_message, **calls) as (uri, _):
            got: list[Any] = []
            client = await connect(uri, on_message=lambda ws, message: got.append(message))
            for message in MESSAGES:
                client.send_nowait(message)
            await client.drain()
            while len(got) < len(MESSAGES):
                await asyncio.sleep(0.01)
            with pytest.raises(ConcurrencyError) as caught:
                await client.recv()
            assert str(caught.value) == "messages go to on_message: there is nothing to receive"
            await client.close()
            assert got == MESSAGES
            while len(log) < len(MESSAGES) + 2:
                await asyncio.sleep(0.01)
            assert log == ["+", *MESSAGES, "-"]
        async with serving(None, on_message=bad) as (uri, _server), connect(uri) as client:
            await client.send("a")
            with pytest.raises(ConnectionClosedError) as closed:
                await client.recv()
            assert str(closed.value).startswith("received 1011 internal error; then sent 1011")

    run(main())


def test_callbacks_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        def bad(ws: Any) -> None:
            raise ZeroDivisionError

        async with serving(on_connect=bad, on_close=bad) as (uri, _), connect(uri) as client:
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert str(caught.value).startswith("received 1011 internal error; then sent 1011")

    run(main())
    assert [record.getMessage().rpartition(".")[2] for record in caplog.records] == ["bad failed"] * 2


# ---- Broadcast ---------------------------------------------------------------------------------------


@COMPRESSED
def test_broadcast(compression: Any) -> None:
    async def main() -> None:
        async def wait(ws: Any) -> None:
            await ws.wait_closed()

        async with serving(wait, compression=compression) as (uri, server):
            clients = [await connect(uri, compression=compression) for _ in range(5)]
            clients.append(await connect(uri, compression=None))
            for message in ("a" * 1000, b"\x00" * 1000, bytearray(b"x"), PreparedMessage("b")):
                counts = broadcast(server.connections, message)
                assert counts == (6, 0, 0)
                wanted = message.data if isinstance(message, PreparedMessage) else message
                assert [await client.recv() for client in clients] == [wanted] * 6
            await clients[0].close()
            assert broadcast(list(server._connections), "c") == (5, 0, 0)
            with pytest.raises(TypeError):
                broadcast(server.connections, 5)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="slow must be 'skip', 'send' or 'close', not 'drop'"):
                broadcast(server.connections, "d", slow="drop")
            for client in clients:
                await client.close()

    run(main())


@pytest.mark.parametrize(("slow", "counts"), [("skip", (1, 1, 0)), ("send", (2, 0, 0)), ("close", (1, 0, 1))])
def test_broadcast_to_the_slow(slow: str, counts: Any) -> None:
    async def main() -> None:
        async def wait(ws: Any) -> None:
            await ws.wait_closed()

        async with serving(wait, close_timeout=0.2, compression=None) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            while server.connections and all(each._writable for each in server.connections):
                broadcast(server.connections, bytes(1 << 20))
            async with connect(uri) as client:
                assert broadcast(server.connections, "a", slow=slow) == counts
                assert await client.recv() == "a"
            raw.writer.transport.abort()

    run(main())


def test_it_is_the_backend_that_is_tested() -> None:
    assert wsfast._backend.Endpoint.__module__ == (
        "wsfast._fallback_endpoint" if wsfast.backend == "python" else "wsfast._speedups"
    )
    assert echo is not None
