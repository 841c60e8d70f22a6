"""Deadlines of connections: each at its time, on one timer for all that are far away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from talking import raw_server, run

from wsfast.asyncio import connect
from wsfast.asyncio._alarms import Alarms


class Someone:
    """What has a deadline."""

    def __init__(self, rung: list[Any]) -> None:
        self.rung = rung
        self._due: Any = None
        self._action: Any = None
        self._noted: int | None = None
        self.alarms: Any = None
        self.victim: Any = None

    def ring(self) -> None:
        self.rung.append(self)

    def clear_another(self) -> None:
        self.rung.append(self)
        self.alarms.clear(self.victim)

    def set_again(self) -> None:
        self.rung.append(self)
        self.alarms.set(self, 600, Someone.ring)

    def fail(self) -> None:
        self.rung.append(self)
        raise ValueError("no")


def is_idle(alarms: Alarms) -> bool:
    return not alarms.due and alarms.timer_step is None


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that are far away already after an instant."""
    monkeypatch.setattr("wsfast.asyncio._alarms._NEAR", 0.001)
    monkeypatch.setattr("wsfast.asyncio._alarms._STEP", 0.005)


@pytest.mark.usefixtures("near")
def test_order() -> None:
    async def main() -> None:
        alarms = Alarms(asyncio.get_running_loop())
        rung: list[Any] = []
        many: list[Any] = [Someone(rung) for _ in range(20)]
        for i, each in enumerate(many):
            alarms.set(each, 0.05 + 0.01 * (20 - i), Someone.ring)
        expected = sorted(many, key=lambda each: each._due)
        assert expected[0] is not many[0]
        while len(rung) < len(many):
            await asyncio.sleep(0.01)
        assert rung == expected
        assert [each._due for each in many] == [None] * 20
        assert is_idle(alarms)

    run(main())


@pytest.mark.usefixtures("near")
def test_clear_and_set_again() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        alarms = Alarms(loop)
        rung: list[Any] = []
        first, second, third = (Someone(rung) for _ in range(3))
        connections: list[Any] = [first, second, third]
        for each in connections:
            alarms.set(each, 0.05, Someone.ring)
        alarms.clear(connections[0])
        alarms.clear(connections[0])
        alarms.set(connections[1], 0.2, Someone.ring)
        start = loop.time()
        while len(rung) < 2:
            await asyncio.sleep(0.01)
        assert rung == [third, second]
        assert loop.time() - start > 0.15
        alarms.set(connections[0], 60, Someone.ring)
        alarms.clear(connections[0])
        assert is_idle(alarms)

    run(main())


@pytest.mark.usefixtures("near")
def test_one_clears_another_and_one_fails() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda loop, context: told.append(context))
        alarms = Alarms(loop)
        rung: list[Any] = []
        many: list[Any] = [Someone(rung) for _ in range(4)]
        many[0].alarms, many[0].victim = alarms, many[1]
        alarms.set(many[0], 0.05, Someone.clear_another)
        alarms.set(many[1], 0.05, Someone.ring)
        alarms.set(many[2], 0.05, Someone.fail)
        alarms.set(many[3], 0.05, Someone.ring)
        while many[3] not in rung:
            await asyncio.sleep(0.01)
        # They were set within an instant; where a step ended between them, nothing is cleared too late.
        assert [each for each in many if each in rung] == [many[0], many[2], many[3]]
        assert [str(context["exception"]) for context in told] == ["no"]
        assert told[0]["message"] == "Someone.fail failed"
        assert told[0]["protocol"] is many[2]

    run(main())


@pytest.mark.usefixtures("near")
def test_one_that_sets_a_later_one() -> None:
    """The nearer deadlines of others keep their times."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        alarms = Alarms(loop)
        rung: list[Any] = []
        first, second = connections = [Someone(rung), Someone(rung)]
        for each in connections:
            each.alarms = alarms
        many: list[Any] = [*connections]
        alarms.set(many[0], 0.05, Someone.set_again)
        alarms.set(many[1], 0.1, Someone.ring)
        while second not in rung:
            await asyncio.sleep(0.01)
        assert rung == [first, second]
        assert first._due is not None
        alarms.clear(many[0])
        assert is_idle(alarms)

    run(main())


@pytest.mark.usefixtures("near")
def test_put_off_and_brought_forward() -> None:
    """One that is put off is looked at all the same when it was due; one that is nearer now, in time."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        alarms = Alarms(loop)
        rung: list[Any] = []
        connections: list[Any] = [Someone(rung) for _ in range(3)]
        put_off, brought_forward, never = connections
        start = loop.time()
        for each in connections:
            alarms.set(each, 0.05, Someone.ring)
        noted = put_off._noted
        alarms.set(put_off, 0.3, Someone.ring)
        assert put_off._noted == noted < put_off._due
        alarms.set(brought_forward, 60, Someone.ring)
        alarms.set(brought_forward, 0.02, Someone.ring)
        assert brought_forward._noted == brought_forward._due < noted
        alarms.set(never, float("inf"), Someone.ring)
        while brought_forward not in rung:
            await asyncio.sleep(0.005)
        assert loop.time() - start < 0.25
        while put_off not in rung:
            await asyncio.sleep(0.005)
        assert loop.time() - start >= 0.3
        assert rung == [brought_forward, put_off]
        assert never._noted is never._due is None
        assert is_idle(alarms)

    run(main())


@pytest.mark.usefixtures("near")
def test_one_that_is_set_again_by_another() -> None:
    """It is due then, although its former step is being looked at."""

    async def main() -> None:
        alarms = Alarms(asyncio.get_running_loop())
        rung: list[Any] = []
        first, second = connections = [Someone(rung), Someone(rung)]
        many: list[Any] = [*connections]

        def set_second_again(each: Someone) -> None:
            rung.append(each)
            alarms.set(many[1], 0.1, Someone.ring)

        alarms.set(many[0], 0.03, set_second_again)
        alarms.set(many[1], 0.03, Someone.fail)
        start = alarms.loop.time()
        while second not in rung:
            await asyncio.sleep(0.005)
        assert rung == [first, second]
        assert alarms.loop.time() - start >= 0.09
        assert is_idle(alarms)

    run(main())


def test_near_ones_have_timers_of_their_own() -> None:
    async def main() -> None:
        alarms = Alarms.of(asyncio.get_running_loop())
        assert Alarms.of(asyncio.get_running_loop()) is alarms
        rung: list[Any] = []
        each: Any = Someone(rung)
        alarms.set(each, 0.01, Someone.ring)
        timer: object = each._due
        assert isinstance(timer, asyncio.TimerHandle)
        while each._due is not None:
            await asyncio.sleep(0.01)
        assert rung == [each]
        alarms.set(each, 0.01, Someone.ring)
        alarms.clear(each)
        alarms.set(each, float("inf"), Someone.ring)
        assert is_idle(alarms)
        await asyncio.sleep(0.05)
        assert rung == [each]

    run(main())


def test_a_pong_does_not_stop_the_closing() -> None:
    """The peer answers the ping, but not the close frame: it has close_timeout seconds all the same."""

    async def main() -> None:
        closing = asyncio.Event()

        async def behave(ws: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ping = b""
            while len(ping) < 10:  # its head, its key, four bytes
                ping += await reader.read(100)
            payload = bytes(a ^ b for a, b in zip(ping[6:10], ping[2:6], strict=True))
            await closing.wait()
            writer.write(b"\x8a\x04" + payload)
            await reader.read()

        async with raw_server(behave) as uri:
            ws: Any = await connect(uri, ping_interval=0.05, ping_timeout=10, close_timeout=0.3)
            while ws._keepalive is None:
                await asyncio.sleep(0.01)
            task = asyncio.ensure_future(ws.close())
            await asyncio.sleep(0)
            closing.set()
            await task
            assert ws.latency > 0
            assert ws.close_code == 1006

    run(main())
