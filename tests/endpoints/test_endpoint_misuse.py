"""Applications that cancel, raise, send too late or receive twice; loops in threads; what is left behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from endpoint_settings import Setting, echo, until
from talking import Raw

from wsfast import encode_frame

pytestmark = pytest.mark.thread_unsafe(reason="counts open files, and changes whose transports are used")


def test_cancelled_recv(setting: Setting) -> None:
    """In whatever moment it is cancelled, no message is lost, and the order is kept."""

    async def main() -> None:
        async with setting.serving() as (uri, _), setting.connect(uri) as client:
            got: list[str] = []

            async def receive() -> None:
                got.append(await client.recv())

            for number in range(60):
                task = asyncio.create_task(receive())
                await client.send(str(number))
                for _ in range(number % 6):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            while len(got) < 60:
                await receive()
            assert got == [str(number) for number in range(60)]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.recv(), 0.01)

    setting.run(main())


def test_a_task_that_is_cancelled_while_it_iterates(setting: Setting) -> None:
    async def main() -> None:
        async with setting.serving() as (uri, _), setting.connect(uri) as client:

            async def iterate() -> None:
                async for _ in client:
                    pass

            for _ in range(3):
                task = asyncio.create_task(iterate())
                await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await client.send("a")
            assert await client.recv() == "a"

    setting.run(main())


def test_two_receive(setting: Setting) -> None:
    async def main() -> None:
        async with setting.serving() as (uri, _), setting.connect(uri) as client:
            first = asyncio.create_task(client.recv())
            await asyncio.sleep(0)
            for _ in range(3):
                with pytest.raises(setting.asyncio.ConcurrencyError):
                    await client.recv()
            await client.send("a")
            assert await first == "a"
            await client.send("b")
            assert await client.recv() == "b"

    setting.run(main())


@pytest.mark.parametrize("who", ["we", "they", "nobody"])
def test_everything_after_the_end(setting: Setting, who: str) -> None:
    async def main() -> None:
        ours: list[Any] = []

        async def handler(ws: Any) -> None:
            ours.append(ws)
            await echo(ws)

        async with setting.serving(handler) as (uri, _):
            client = await setting.connect(uri)
            await until(lambda: ours)
            if who == "we":
                await client.close()
            elif who == "they":
                await ours[0].close()
            else:
                ours[0].transport.abort()
            await client.wait_closed()
            error = setting.asyncio.ConnectionClosed

            async def pieces() -> Any:
                yield "a"

            calls: list[Any] = [client.recv, client.ping, client.pong]
            calls += [lambda kind=kind: client.send(kind) for kind in ("a", b"", ["a", "b"], pieces())]
            for call in calls:
                with pytest.raises(error):
                    await call()
            with pytest.raises(error):
                client.send_nowait("a")
            await client.close()
            await client.close(3000, "again")
            if who != "nobody":
                assert client.close_code == 1000

    setting.run(main())


@pytest.mark.parametrize("fragments", [False, True])
def test_send_is_cancelled_while_the_peer_does_not_read(setting: Setting, fragments: bool) -> None:
    """Nothing of it went out, in fragments or not, and the next one does."""

    async def main() -> None:
        async def wait(ws: Any) -> None:
            await ws.wait_closed()

        async with setting.serving(wait, compression=None, close_timeout=0.2) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            (ours,) = server.connections
            sent = 0
            while ours._writable:
                ours.send_nowait(bytes(65_536))
                sent += 1
            message: Any = [bytes(10)] * 3 if fragments else bytes(10)
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(ours.send(message), 0.01)
            transport: Any = raw.writer.transport
            transport.resume_reading()
            for _ in range(sent):
                await raw.reader.readexactly(10 + 65_536)
            await asyncio.wait_for(ours.send(b"last"), 30)
            assert await raw.reader.readexactly(6) == b"\x82\x04last"
            raw.writer.transport.abort()

    setting.run(main())


class Fault(Exception):
    """What an application raises."""


@pytest.mark.parametrize("when", ["at once", "after a message", "on_connect", "on_message", "on_close"])
def test_an_application_that_raises(setting: Setting, when: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the peer gets 1011, and other connections go on."""

    def fail(*args: Any) -> None:
        if args[0].request.target == "/bad":
            raise Fault(when)

    async def handler(ws: Any) -> None:
        if when == "at once":
            fail(ws)
        async for message in ws:
            if when == "after a message":
                fail(ws)
            await ws.send(message)

    def on_message(ws: Any, message: Any) -> None:
        fail(ws)
        ws.send_nowait(message)

    async def main() -> None:
        options: dict[str, Any] = {"handler": handler}
        if when == "on_message":
            options = {"on_message": on_message}
        elif when.startswith("on_"):
            options[when] = fail
        async with setting.serving(**options) as (uri, server), setting.connect(uri) as good:
            client = await setting.connect(uri + "bad")
            if when == "on_close":
                await client.close()
                assert client.close_code == 1000
            else:
                if when in ("after a message", "on_message"):
                    await client.send("a")
                with pytest.raises(setting.asyncio.ConnectionClosedError) as caught:
                    await client.recv()
                assert caught.value.received.code == 1011
                await client.close()
            await until(lambda: len(server._connections) == 1)
            await good.send("b")
            assert await good.recv() == "b"

    with caplog.at_level(logging.ERROR, "wsfast.asyncio"):
        setting.run(main())
    (record,) = (record for record in caplog.records if record.name == "wsfast.asyncio")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Fault)


def test_a_handler_that_is_cancelled(setting: Setting) -> None:
    async def main() -> None:
        tasks: list[Any] = []

        async def handler(ws: Any) -> None:
            tasks.append(asyncio.current_task())
            await echo(ws)

        async with setting.serving(handler) as (uri, _):
            client = await setting.connect(uri)
            await until(lambda: tasks)
            tasks[0].cancel()
            with pytest.raises(setting.asyncio.ConnectionClosed) as caught:
                await client.recv()
            assert caught.value.received.code == 1001
            await client.close()

    setting.run(main())


def test_a_handler_that_returns_with_messages_unread(setting: Setting) -> None:
    """The peer's close frame is behind what nobody wants any more; it is reached all the same."""

    async def main() -> None:
        async def handler(ws: Any) -> None:
            connections.append(ws)
            await ws.recv()
            await until(lambda: not ws._reading)

        connections: list[Any] = []
        options: dict[str, Any] = {"max_queue": 2, "compression": None, "close_timeout": None}
        async with setting.serving(handler, **options) as (uri, server):
            client = await setting.connect(uri, compression=None)

            async def flood() -> None:
                while True:
                    await client.send(bytes(10_000))

            with pytest.raises(setting.asyncio.ConnectionClosed):
                await flood()
            await client.wait_closed()
            assert client.close_code == 1000
            await until(lambda: not server._connections)
            assert connections[0].close_code == 1000
            # What it kept is no more than before.
            assert connections[0]._waiting <= 2 + (1 << 18) // 10_000

    setting.run(main())


def test_close_keeps_what_was_received(setting: Setting) -> None:
    """What came before close() can be received behind it, also where it is more than max_queue."""

    async def main() -> None:
        async def handler(ws: Any) -> None:
            ws.send_nowait("0")
            for number in range(1, 100):
                ws.send_nowait(str(number))
            await ws.drain()
            await ws.recv()
            for number in range(100, 200):
                await ws.send(str(number))

        async with setting.serving(handler, compression=None) as (uri, _):
            client = await setting.connect(uri, compression=None, max_queue=8)
            await until(lambda: client._waiting == 100)
            assert not client._reading
            client.send_nowait("go on")
            await client.close()
            assert client.close_code == 1000
            received = []
            with pytest.raises(setting.asyncio.ConnectionClosedOK):
                while True:
                    received.append(await client.recv())
            # What comes later may be there, too, but nothing is missing in between.
            assert len(received) >= 100
            assert received == [str(number) for number in range(len(received))]

    setting.run(main())


def test_close_during_a_message_in_fragments(setting: Setting) -> None:
    """To a peer that does not read: close() takes close_timeout, twice at most, and the message fails."""

    async def main() -> None:
        closed = asyncio.Event()

        async def fragments() -> Any:
            while True:
                yield bytes(1 << 16)

        async def handler(ws: Any) -> None:
            sending = asyncio.ensure_future(ws.send(fragments()))
            await until(lambda: not ws._writable)
            await ws.close()
            with pytest.raises(setting.asyncio.ConnectionClosedError):
                await sending
            closed.set()

        options: dict[str, Any] = {"compression": None, "close_timeout": 0.2, "ping_interval": None}
        async with setting.serving(handler, **options) as (uri, _):
            raw = await Raw.connect(uri)
            await raw.head()
            raw.pause()
            await closed.wait()
            raw.close()

    setting.run(main())


def test_process_request_that_hangs(setting: Setting) -> None:
    """When its client has left, or was too slow, nobody waits for what it would say."""

    async def main() -> None:
        asked: list[Any] = []

        async def hang(ws: Any, request: Any) -> None:
            asked.append(ws)
            await asyncio.Event().wait()

        async with setting.serving(process_request=hang, open_timeout=0.1) as (uri, server):
            raw = await Raw.connect(uri)
            await until(lambda: asked)
            assert await raw.end() == b""
            await until(lambda: not server._tasks)

    setting.run(main())


def test_pings_of_the_application_keep_alive(setting: Setting) -> None:
    """A pong answers the pings before it, whoever sent them (RFC 6455 §5.5.3)."""

    async def main() -> None:
        def on_message(ws: Any, message: Any) -> None:
            """Do nothing."""

        options: dict[str, Any] = {"compression": None, "ping_interval": 60, "ping_timeout": 60}
        async with setting.serving(on_message=on_message, **options) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            await until(lambda: server.connections)
            (ws,) = server.connections
            before = await ws.ping(b"before")
            ws._keep_alive()
            kept = ws._keepalive
            after = await ws.ping(b"after")
            raw.writer.write(encode_frame(10, b"after", mask=True))
            assert await before > 0
            assert await after > 0
            assert kept is not None
            assert ws._keepalive is None
            ws._keep_alive()
            assert ws._keepalive != kept
            later = await ws.ping(b"later")
            payload: Any = ws._keepalive
            raw.writer.write(encode_frame(10, payload, mask=True))
            await until(lambda: ws._keepalive is None)
            assert not later.done()
            raw.close()
            with pytest.raises(setting.asyncio.ConnectionClosed):
                await later

    setting.run(main())


def test_connect_is_cancelled(setting: Setting) -> None:
    async def main() -> None:
        async def slow(ws: Any, request: Any) -> None:
            await asyncio.sleep(0.01)

        async with setting.serving(process_request=slow) as (uri, server):
            for number in range(40):
                task = asyncio.ensure_future(setting.connect(uri).__aenter__())
                await asyncio.sleep(number / 2000)
                task.cancel()
                for ended in await asyncio.gather(task, return_exceptions=True):
                    if not isinstance(ended, BaseException):
                        await ended.close()
            await until(lambda: not server._connections)

    setting.run(main())


def test_broadcast_to_who_has_vanished(setting: Setting, caplog: pytest.LogCaptureFixture) -> None:
    """A write finds out that the peer is gone; nothing more is written until the loop tells of it."""

    async def main() -> None:
        async with setting.serving(compression=None) as (uri, server):
            client = await setting.connect(uri, compression=None)
            await until(lambda: server.connections)
            (ws,) = server.connections
            ws.transport.abort()
            broadcast = setting.asyncio.broadcast
            assert [broadcast([ws], "x") for _ in range(20)] == [(0, 0, 0)] * 20
            ws.send_nowait("x")
            ws._flush()
            await client.wait_closed()
            await until(lambda: not server._connections)

    with caplog.at_level(logging.WARNING):
        setting.run(main())
    assert caplog.messages == []


def test_clients_that_are_forgotten(setting: Setting) -> None:
    """Nobody closes them or awaits what they return: the server's end is theirs, too."""

    async def main() -> None:
        async with setting.serving() as (uri, server):
            for _ in range(5):
                client = await setting.connect(uri)
                await client.send("a")
                await client.ping()
            await until(lambda: len(server.connections) == 5)
            clients = [asyncio.create_task(setting.connect(uri).__aenter__()) for _ in range(3)]
            await asyncio.gather(*clients)
            server.close()
            await server.wait_closed()
            await client.wait_closed()

    setting.run(main())


def test_a_loop_in_each_of_four_threads(setting: Setting) -> None:
    errors: list[BaseException] = []

    async def talk(client: Any, number: int) -> None:
        for turn in range(100):
            message = f"{number} {turn} " * (1 + turn % 7 * 100)
            await client.send(message if turn % 2 else message.encode())
            got = await client.recv()
            assert got == (message if turn % 2 else message.encode())

    async def main(number: int) -> None:
        async with setting.serving() as (uri, _):
            clients = [await setting.connect(uri) for _ in range(5)]
            await asyncio.gather(*[talk(client, number) for client in clients])
            await asyncio.gather(*[client.close() for client in clients])

    def thread(number: int) -> None:
        loop = setting.new_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(main(number), 60))
        except BaseException as exc:
            errors.append(exc)
        finally:
            loop.close()

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []


PROGRAM = """
import asyncio, contextlib, sys
from wsfast.asyncio import ConnectionClosed, connect, serve

async def echo(ws):
    async for message in ws:
        await ws.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        clients = [await connect(uri) for _ in range(5)]
        async with connect(uri) as client:
            await client.send("a")
            assert await client.recv() == "a"
        clients[0].transport.abort()
        receiving = asyncio.create_task(clients[1].recv())
        await asyncio.sleep(0.01)
        receiving.cancel()
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(clients[2].recv(), 0.01)
        await clients[3].close()
        with contextlib.suppress(ConnectionClosed):
            await clients[3].send("late")
        clients[4].send_nowait("on its way")
        with contextlib.suppress(OSError):
            await connect("ws://127.0.0.1:1/")
        async for client in connect(uri):
            break

loop = {loop}
try:
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
finally:
    loop.close()
print("done")
"""


@pytest.mark.parametrize("extension", ["", "0"], ids=["as imported", "python"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_is_said_in_development_mode(run_python: Any, loop: str, extension: str) -> None:
    """No ResourceWarning, no task that was destroyed, no exception that nobody retrieved."""
    pytest.importorskip(loop)
    program = PROGRAM.replace("{loop}", f"__import__('{loop}').new_event_loop()")
    done = run_python(program, "-X", "dev", WSFAST_EXTENSION=extension)
    # Development mode also tells of what took long on a busy machine.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.stdout, said) == ("done\n", [])


# ---- Messages, and an end that came with them ----------------------------------------------------------

ENDS = [
    (encode_frame(8, b"\x03\xe8", mask=b"abcd"), b"\x88\x02\x03\xe8", "received 1000; then sent 1000"),
    (b"\x83\x80abcd", b"\x88", "sent 1002 reserved opcode 0x3"),
]


@pytest.mark.parametrize("callback", [False, True])
@pytest.mark.parametrize("number", range(len(ENDS)))
@pytest.mark.parametrize("size", [1, 30_000])
def test_messages_are_answered_before_the_end_that_came_with_them(
    setting: Setting, callback: bool, number: int, size: int
) -> None:
    """Also when what goes out is written at once, since it is long."""
    frames, answer, closed = ENDS[number]

    async def main() -> None:
        ends: list[str] = []

        def on_message(ws: Any, message: Any) -> None:
            for _ in range(size):
                ws.send_nowait(message)

        async def handler(ws: Any) -> None:
            try:
                async for message in ws:
                    for _ in range(size):
                        await ws.send(message)
                raise ws._closed()
            except setting.asyncio.ConnectionClosed as exc:
                ends.append(str(exc))

        options: dict[str, Any] = {"handler": None, "on_message": on_message} if callback else {}
        async with setting.serving(**{"handler": handler, "write_limit": 1 << 22, **options}) as (uri, _):
            raw = await Raw.connect(uri)
            await raw.head()
            await asyncio.sleep(0.01)  # until the handler waits
            one, two = encode_frame(1, "a", mask=b"abcd"), encode_frame(1, "b", mask=b"abcd")
            raw.writer.write(one + two + frames)
            data = await raw.end()
            assert data[: 6 * size] == b"\x81\x01a" * size + b"\x81\x01b" * size
            assert data[6 * size :].startswith(answer)
        if not callback:
            assert len(ends) == 1
            assert ends[0].startswith(closed)

    setting.run(main())


def test_a_message_in_one_read_with_the_end_of_its_connection(setting: Setting) -> None:
    async def main() -> None:
        async def handler(ws: Any) -> None:
            async for message in ws:
                got.append(message)

        got: list[Any] = []
        async with setting.serving(handler) as (uri, server):
            raw = await Raw.connect(uri)
            await raw.head()
            frames = [encode_frame(1, str(number), mask=b"abcd") for number in range(3)]
            raw.writer.write(b"".join(frames) + encode_frame(8, b"\x03\xe9bye", mask=b"abcd"))
            assert await raw.end() == b"\x88\x02\x03\xe9"
            await until(lambda: not server._connections)
            assert got == ["0", "1", "2"]

    setting.run(main())
