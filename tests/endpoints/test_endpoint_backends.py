"""Endpoint alone, compiled and in Python, on a transport that is none."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections import deque
from typing import Any

import pytest
from talking import run

from wsfast import Connection, PreparedMessage, State, encode_frame


class Loop:
    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> None:
        self.soon.append((callback, args))

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> Any:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback, args in soon:
            callback(*args)


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written.append(data)


def endpoint(impl: Any, loop: Any, high: int = 4, low: int = 1, on_message: Any = None) -> Any:
    class Fake(impl.Endpoint):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.log: list[Any] = []

        def _react(self, event: Any) -> None:
            self.log.append(event)

        def _pause_reading(self) -> None:
            self.log.append("pause")

        def _resume_reading(self) -> None:
            self.log.append("resume")

        def _cannot_receive(self) -> Exception:
            return RuntimeError("cannot receive")

        def _end(self, iterating: bool) -> Exception:
            return StopAsyncIteration() if iterating else EOFError()

        def _as_wanted(self, message: Any, decode: bool) -> Any:
            return message, decode

        def _callback_failed(self) -> None:
            self.log.append("failed")

        async def _send_otherwise(self, message: Any, text: Any) -> None:
            self.log.append((message, text))

        def _send_nowait_otherwise(self, message: Any) -> None:
            self.log.append(message)

        def _drain(self) -> Any:
            return "drain"

        def _is_open(self) -> bool:
            return self._ws.state is State.OPEN

        def _write_long(self, out: list[bytes]) -> None:
            self.log.append([len(frame) for frame in out])

    made = Fake()
    resumed = loop.create_future()
    resumed.set_result(None)
    ws = Connection.established("server")
    made._begin(ws, loop, asyncio.current_task, resumed, high, low, on_message)
    made.transport = Transport()
    return made


def feed(made: Any, data: bytes) -> None:
    memory = made.get_buffer(-1)
    memory[: len(data)] = data
    made.buffer_updated(len(data))


def text(value: str, opcode: int = 1) -> bytes:
    return encode_frame(opcode, value, mask=b"abcd")


def start(awaitable: Any) -> Any:
    """Run a coroutine until it waits or ends."""
    try:
        return "waits", awaitable.send(None)
    except StopIteration as stop:
        return "value", stop.value


def test_out(impl: Any) -> None:
    loop = Loop()
    made = endpoint(impl, loop)
    for value in ("a", "b", b"c"):
        assert start(made.send(value)) == ("value", None)
    assert made.send_nowait("d")
    assert made.transport.written == []
    assert len(loop.soon) == 1
    loop.turn()
    assert made.transport.written == [b"\x81\x01a\x81\x01b\x82\x01c\x81\x01d"]
    loop.turn()
    made._flush()
    assert len(made.transport.written) == 1
    # What is not a simple message is somebody else's; so is what cannot be encoded.
    for message, kind in [(5, None), (bytearray(b"x"), None), ("x", False), ("\ud800", None)]:
        assert start(made.send(message, text=kind)) == ("value", None)
        assert made.log.pop() == (message, kind)
    made._fragments = object()
    start(made.send("x"))
    made.send_nowait("y")
    assert made.log == [("x", None), "y"]
    made._fragments = None
    made._writable = False
    start(made.send("z"))
    assert made.log.pop() == ("z", None)
    assert made.send_nowait("w") is False
    loop.turn()
    assert made.transport.written[1:] == [b"\x81\x01w"]
    # It is closed, by a write that failed perhaps, and the loop has not told yet.
    made.transport.closing = True
    made.send_nowait("v")
    loop.turn()
    assert len(made.transport.written) == 2


def test_much_is_written_at_once(impl: Any) -> None:
    loop = Loop()
    made = endpoint(impl, loop)
    for _ in range(3):
        made.send_nowait(b"x" * 30_000)
    assert made.log == [[30_004, 30_004, 30_004]]
    made.send_nowait(b"x" * 70_000)
    assert len(made.transport.written) == 1
    with pytest.raises(UnicodeEncodeError):
        made.send_nowait("\ud800")
    with pytest.raises(TypeError):
        made.send()
    with pytest.raises(TypeError):
        made.send("a", other=1)


def test_in(impl: Any) -> None:
    made = endpoint(impl, Loop())
    feed(made, text("a") + text("b"))
    assert made._waiting == 2
    assert start(made.recv()) == ("value", "a")
    assert start(made.recv(decode=False)) == ("value", ("b", False))
    assert made._waiting == 0
    feed(made, text("c") + text("ping", 9) + text("d"))
    assert [type(event).__name__ for event in made.log] == ["Ping"]
    assert made.transport.written == [b"\x8a\x04ping"]
    assert [start(made.__anext__()) for _ in range(2)] == [("value", "c"), ("value", "d")]
    made._ended = True
    with pytest.raises(StopAsyncIteration):
        start(made.__anext__())
    with pytest.raises(EOFError):
        start(made.recv())


def test_the_memory_to_read_into(impl: Any) -> None:
    # Transports in Python (asyncio's of TLS) treat it as they treat a memoryview.
    made, another = endpoint(impl, Loop()), endpoint(impl, Loop())
    memory = made.get_buffer(-1)
    data = text("hello")
    assert len(memory) >= 1 << 16
    memory[:4] = data[:4]
    memoryview(memory)[4:6] = data[4:6]
    memory[6:][: len(data) - 6] = data[6:]
    assert bytes(memory[: len(data)]) == data
    made.buffer_updated(len(data))
    assert start(made.recv()) == ("value", "hello")
    # It cannot be used any more, whoever has it: the next connection reads where this one did.
    assert another.get_buffer(-1) is not memory
    with pytest.raises((BufferError, ValueError)):
        memory[:2] = b"xx"
    another.buffer_updated(0)
    next_one = another.get_buffer(1 << 17)
    assert len(next_one) >= 1 << 16
    for use in (memoryview, lambda it: it[:2], lambda it: it.__setitem__(0, 1)):
        with pytest.raises((BufferError, ValueError)):
            use(memory)
    with pytest.raises((BufferError, TypeError, ValueError)):
        next_one["a"]
    # A part that is kept leaves the memory to whoever keeps it.
    kept = next_one[:4]
    kept[:] = text("")[:4]
    another.buffer_updated(0)
    feed(another, text("x"))
    kept[:] = b"abcd"
    assert start(another.recv()) == ("value", "x")


def test_reading_pauses(impl: Any) -> None:
    made = endpoint(impl, Loop(), high=3, low=1)
    feed(made, text("x") * 3)
    assert (made.log, made._reading) == ([], True)
    feed(made, text("y") * 2)
    assert (made.log, made._reading) == (["pause"], False)
    for _ in range(3):
        start(made.recv())
    assert made.log == ["pause"]
    start(made.recv())
    assert (made.log, made._reading) == (["pause", "resume"], True)


def test_waiting(impl: Any) -> None:
    made = endpoint(impl, Loop())
    made.send_nowait("before")
    receiving = made.recv()
    kind, future = start(receiving)
    assert kind == "waits"
    assert asyncio.isfuture(future)
    assert asyncio.iscoroutine(receiving)
    assert made.transport.written == [b"\x81\x06before"]
    with pytest.raises(RuntimeError, match="cannot receive"):
        start(made.recv())
    # Woken for nothing, it waits on.
    assert start(receiving) == ("waits", future)
    feed(made, text("a"))
    assert start(receiving) == ("value", "a")
    with pytest.raises(RuntimeError) as caught:
        start(receiving)
    assert str(caught.value) == "cannot reuse already awaited recv()"
    for end in ("throw", "close", "forget"):
        receiving = made.recv()
        start(receiving)
        if end == "throw":
            with pytest.raises(ZeroDivisionError):
                receiving.throw(ZeroDivisionError())
        elif end == "close":
            receiving.close()
        del receiving
        feed(made, text(end))
        assert start(made.recv()) == ("value", end)


def test_callbacks(impl: Any) -> None:
    got: list[Any] = []

    def on_message(ws: Any, message: Any) -> None:
        got.append(message)
        if message == "bad":
            raise ZeroDivisionError
        ws.send_nowait(message)

    made = endpoint(impl, Loop(), on_message=on_message)
    feed(made, text("a") + text("b"))
    assert got == ["a", "b"]
    assert made.transport.written == [b"\x81\x01a\x81\x01b"]
    # A pong goes before what is sent next, which is for who knows pongs.
    feed(made, text("c") + text("p", 9))
    assert made.log[0] == "c"
    assert made.transport.written[1:] == [b"\x8a\x01p"]
    with pytest.raises(RuntimeError, match="cannot receive"):
        start(made.recv())
    feed(made, text("bad") + text("after"))
    assert got == ["a", "b", "c", "bad"]
    assert made.log[-1] == "failed"


def test_what_becomes_of_a_broadcast(impl: Any) -> None:
    prepared = PreparedMessage("x")
    ended, written, slow = 0, 1, 2

    def on_message(ws: Any, message: Any) -> None:
        assert ws._broadcast(prepared, prepared.frame(None), False) == written

    made = endpoint(impl, Loop(), on_message=on_message)

    def broadcast(always: bool = False) -> Any:
        return made._broadcast(prepared, prepared.frame(None), always)

    # What was sent before goes first, and so does a pong that is due.
    made.send_nowait("a")
    assert broadcast() == written
    feed(made, text("p", 9) + text("b"))
    assert made.transport.written == [b"\x81\x01a", b"\x81\x01x", b"\x8a\x01p", b"\x81\x01x"]
    made.transport.written.clear()
    made._writable = False
    assert broadcast() == slow
    assert broadcast(always=True) == written
    made._fragments = object()
    assert broadcast(always=True) == slow
    assert made.transport.written == [b"\x81\x01x"]
    made._fragments = None
    made._writable = made.transport.closing = True
    assert broadcast() == ended
    # The close frame is left to whoever closes.
    made.transport.closing = False
    made._ws.close()
    assert broadcast() == ended
    assert made.transport.written == [b"\x81\x01x"]


def test_a_task_goes_on_inside_the_callback(impl: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = endpoint(impl, loop)
        log: list[Any] = []

        async def receive() -> None:
            while True:
                log.append(await made.recv())
                await made.send(log[-1])

        task = asyncio.create_task(receive())
        await asyncio.sleep(0)

        def arrive() -> None:
            feed(made, text("a") + text("b"))
            log.append(list(made.transport.written))

        loop.call_soon(arrive)
        await asyncio.sleep(0)
        # The task was resumed, and what it sent was written, before the callback went on.
        assert log == ["a", "b", [b"\x81\x01a\x81\x01b"]]
        # From inside a task it cannot be: that one comes first.
        feed(made, text("c"))
        assert log[-1] != "c"
        await asyncio.sleep(0)
        assert log[-1] == "c"
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert sys.version_info < (3, 11) or caught.value.args == ("why",)
        assert not made._receiving
        # Cancelled after it was woken, before its turn: nothing is lost.
        again = asyncio.create_task(made.recv())
        await asyncio.sleep(0)
        feed(made, text("d"))
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again
        assert await made.recv() == "d"

    run(main())


def test_one_future_is_awaited_again_and_again(impl: Any) -> None:
    loop = Loop()
    made = endpoint(impl, loop)
    called: list[Any] = []
    futures = set()
    for value in "ab":
        receiving = made.recv()
        kind, future = start(receiving)
        assert kind == "waits"
        futures.add(future)
        future.add_done_callback(called.append)
        feed(made, text(value))
        # It is called with another one, which is done, and there and then.
        (done,) = called
        assert done is not future
        assert done.result() is None
        assert not future.done()
        assert loop.soon == []
        called.clear()
        assert start(receiving) == ("value", value)
    assert len(futures) == 1
    # With two callbacks it is as any future.
    receiving = made.recv()
    assert start(receiving) == ("waits", future)
    future.add_done_callback(called.append)
    future.add_done_callback(called.append)
    feed(made, text("c"))
    assert called == []
    assert future.result() is None
    loop.turn()
    assert called == [future, future]
    assert start(receiving) == ("value", "c")
    # Cancelled, it is not touched.
    receiving = made.recv()
    kind, another = start(receiving)
    assert kind == "waits"
    assert another is not future
    another.cancel()
    feed(made, text("d"))
    assert another.cancelled()
    assert start(receiving) == ("value", "d")


@pytest.mark.parametrize("kind", [tuple, deque, list])
def test_futures_of_another_kind(impl: Any, kind: Any) -> None:
    class Other(asyncio.Future[None]):
        @property
        def _callbacks(self) -> Any:
            return kind(super()._callbacks or ())

    class Others(Loop):
        def create_future(self) -> Any:
            return Other(loop=self)  # type: ignore[arg-type]

    loop = Others()
    made = endpoint(impl, loop)
    called: list[Any] = []
    receiving = made.recv()
    _, future = start(receiving)
    future.add_done_callback(called.append)
    feed(made, text("a"))
    # Woken at once or in its turn.
    assert bool(called) is (kind is list)
    loop.turn()
    assert len(called) == 1
    assert start(receiving) == ("value", "a")


# ---- Transports that answer within write(), and who calls the protocol from odd places --------------


class Answering(Transport):
    """It hands ``answers`` to the endpoint, one within each write."""

    def __init__(self, made: Any, *answers: bytes) -> None:
        super().__init__()
        self.made = made
        self.answers = list(answers)

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.answers:
            feed(self.made, self.answers.pop(0))


def test_an_answer_within_the_flush_of_recv(impl: Any) -> None:
    made = endpoint(impl, Loop())
    made.transport = Answering(made, text("answer"))
    made.send_nowait("question")
    assert start(made.recv()) == ("value", "answer")
    # What was sent is not written before its time for the sake of a message that is there already.
    feed(made, text("another"))
    made.send_nowait("later")
    assert start(made.recv()) == ("value", "another")
    assert made.transport.written == [b"\x81\x08question"]
    # The end is an answer too.
    made.transport.write = lambda data: setattr(made, "_ended", True)
    with pytest.raises(EOFError):
        start(made.recv())
    assert not made._receiving


@pytest.mark.parametrize("between", [b"", text("", 9), text("", 9) * 3], ids=len)
@pytest.mark.parametrize("called_back", [False, True])
def test_messages_stay_in_order(impl: Any, between: bytes, called_back: bool) -> None:
    # Bytes that follow are read while the first message of those before is handled.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[Any] = []

        def take(message: Any) -> None:
            got.append(message)
            if message == "1":
                feed(made, text("4") + between + text("5"))

        def on_message(ws: Any, message: Any) -> None:
            take(message)

        made = endpoint(impl, loop, high=9, on_message=on_message if called_back else None)

        async def receive() -> None:
            while len(got) < 5:
                take(await made.recv())

        task = None if called_back else asyncio.create_task(receive())
        await asyncio.sleep(0)
        loop.call_soon(feed, made, text("1") + between + text("2") + text("3"))
        await asyncio.sleep(0.01)
        assert got == ["1", "2", "3", "4", "5"]
        assert len(made.log) == 2 * len(between) // len(text("", 9))
        if task is not None:
            await task

    run(main())


def test_a_close_frame_goes_last(impl: Any) -> None:
    # A read within the write of the first answer does not let the close frame go before the second one.
    def on_message(ws: Any, message: Any) -> None:
        ws._put(ws._ws.send_text(message * 70_000))

    made = endpoint(impl, Loop(), on_message=on_message)
    made.transport = Answering(made, b"")
    feed(made, text("1") + text("2") + encode_frame(8, b"\x03\xe8", mask=b"abcd"))
    first, second, last = made.transport.written
    assert (first[-1:], second[-1:], last) == (b"1", b"2", b"\x88\x02\x03\xe8")


def test_a_callback_that_fails_hands_on_no_more(impl: Any) -> None:
    got: list[Any] = []

    def on_message(ws: Any, message: Any) -> None:
        got.append(message)
        if message == "1":
            feed(made, text("3"))
            raise ZeroDivisionError

    made = endpoint(impl, Loop(), on_message=on_message)
    feed(made, text("1") + text("2"))
    assert (got, made.log) == (["1"], ["failed"])
    feed(made, text("4"))
    assert got == ["1", "4"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="create_task(context=...) is new in Python 3.11")
def test_a_call_in_the_context_of_the_task_that_waits(impl: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        made = endpoint(impl, loop)
        for value in "ab":
            task = loop.create_task(made.recv(), context=context)  # type: ignore[call-arg]
            await asyncio.sleep(0)
            loop.call_soon(feed, made, text(value), context=context)
            assert await asyncio.wait_for(task, 5) == value

    run(main())


def test_a_recv_that_is_collected_in_a_cycle(impl: Any) -> None:
    made = endpoint(impl, Loop())
    for first in (True, False):
        cycle: list[Any] = []
        if not first:
            cycle.append(cycle)
        receiving = made.recv()
        assert start(receiving)[0] == "waits"
        made.recv()  # the next one is made anew
        if first:
            cycle.append(cycle)
        cycle.append(receiving)
        del receiving, cycle
        gc.collect()
        assert not made._receiving
        feed(made, text("a"))
        assert start(made.recv()) == ("value", "a")
