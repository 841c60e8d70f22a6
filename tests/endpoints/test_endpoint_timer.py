"""The timer that the deadlines of an event loop share, and the kernel's that it is on Linux."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import sys
import time
from typing import Any

import pytest
from talking import run

from wsfast import _backend
from wsfast.asyncio import _timer
from wsfast.asyncio._alarms import Alarms
from wsfast.asyncio._timer import Timer, make_timer

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")


def new_timer(impl: Any) -> int:
    """Return a descriptor, or skip where the backend has none."""
    if impl.isa == "python" and sys.version_info < (3, 13):
        pytest.skip("os.timerfd_create() is new in Python 3.13")
    return int(impl.new_timer())


def is_readable(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


@on_linux
@pytest.mark.parametrize("seconds", [0.02, 0, -1, 1e-12, 5e-324])
def test_it_becomes_readable(impl: Any, seconds: float) -> None:
    descriptor = new_timer(impl)
    try:
        assert not is_readable(descriptor, 0)
        begun = time.monotonic()
        impl.set_timer(descriptor, seconds)
        assert is_readable(descriptor, 10)
        assert time.monotonic() - begun >= seconds
        assert int.from_bytes(os.read(descriptor, 8), sys.byteorder) == 1
        with pytest.raises(BlockingIOError):
            os.read(descriptor, 8)
    finally:
        os.close(descriptor)


@on_linux
@pytest.mark.parametrize("seconds", [1e9, 1e300, float("inf"), 3600])
def test_it_is_set_again(impl: Any, seconds: float) -> None:
    descriptor = new_timer(impl)
    try:
        impl.set_timer(descriptor, 0.0)
        assert is_readable(descriptor, 10)
        impl.set_timer(descriptor, seconds)
        assert not is_readable(descriptor, 0.02)
    finally:
        os.close(descriptor)


@on_linux
def test_no_timer(impl: Any) -> None:
    with pytest.raises(OSError, match=r"Bad file descriptor|Function not implemented"):
        impl.set_timer(-1, 1.0)


def test_what_the_twin_says_where_there_is_none(impl: Any) -> None:
    if impl.isa != "python" or (sys.platform == "linux" and sys.version_info >= (3, 13)):
        pytest.skip("there are timers")
    with pytest.raises(OSError, match="Function not implemented"):
        impl.new_timer()
    with pytest.raises(OSError, match="Function not implemented"):
        impl.set_timer(0, 1.0)


# ---- On an event loop ------------------------------------------------------------------------------


async def rings(timer: Timer, rung: list[float]) -> float:
    before = len(rung)
    while len(rung) == before:
        await asyncio.sleep(0.001)
    return rung[-1]


def timers(loop: asyncio.AbstractEventLoop, rung: list[float]) -> list[Timer]:
    """Return one of each kind that there is."""
    made = [Timer(loop, lambda: rung.append(loop.time()))]
    best = make_timer(loop, made[0].ring)
    return [*made, best] if type(best) is not Timer else made


def test_it_rings() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        for timer in timers(loop, rung):
            for delay in (0.01, 0, -5, 0.002):
                due = loop.time() + delay
                timer.set(due)
                assert await rings(timer, rung) >= due - 0.001
            # The last one counts, whether it is later or earlier.
            timer.set(loop.time())
            later = loop.time() + 0.03
            timer.set(later)
            assert await rings(timer, rung) >= later - 0.001
            timer.set(loop.time() + 3600)
            timer.set(loop.time())
            await rings(timer, rung)

    run(main())


def test_it_is_stopped() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        for timer in timers(loop, rung):
            timer.set(loop.time() + 0.005)
            timer.stop()
            timer.stop()
            await asyncio.sleep(0.02)
            assert rung == []

    run(main())


def kernels(loop: Any, ring: Any) -> Any:
    timer = make_timer(loop, ring)
    if type(timer) is Timer:
        pytest.skip("asyncio's selector loop is not the default here")
    try:
        os.close(_backend.new_timer())
    except OSError:
        pytest.skip("this backend has no timers of the kernel's")
    return timer


def test_its_descriptor_is_closed_when_it_is_not_in_use() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        timer = kernels(loop, lambda: None)
        assert timer.descriptor == -1
        timer.set(loop.time() + 0.01)
        descriptor = timer.descriptor
        os.fstat(descriptor)
        timer.stop()
        timer.set(loop.time() + 0.01)
        assert timer.descriptor == descriptor
        timer.stop()
        while timer.descriptor >= 0:
            await asyncio.sleep(0.005)
        assert not loop.remove_reader(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        # Who goes away takes it along.
        timer.set(loop.time() + 3600)
        descriptor = timer.descriptor
        loop.remove_reader(descriptor)
        del timer
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    run(main())


def test_ringing_can_set_it_again() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []

        def ring() -> None:
            rung.append(loop.time())
            if len(rung) < 3:
                timer.set(loop.time() + 0.002)

        timer = kernels(loop, ring)
        timer.set(loop.time())
        while timer.descriptor >= 0:
            await asyncio.sleep(0.001)
        assert len(rung) == 3

    run(main())


def test_without_descriptors_it_is_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        timer = kernels(loop, lambda: rung.append(loop.time()))

        def none() -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(_timer, "new_timer", none)
        timer.set(loop.time() + 0.002)
        assert timer.descriptor == -1
        await rings(timer, rung)
        timer.set(loop.time() + 0.002)
        timer.stop()
        await asyncio.sleep(0.01)
        assert len(rung) == 1

    run(main())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("no")])
def test_a_loop_that_watches_no_more(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rung: list[float] = []
        timer = kernels(loop, lambda: rung.append(loop.time()))
        refused: list[int] = []

        def refuse(descriptor: int, *_: Any) -> None:
            refused.append(descriptor)
            raise error

        monkeypatch.setattr(loop, "add_reader", refuse)
        timer.set(loop.time())
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(refused[0])
        await rings(timer, rung)
        # It does not give up.
        monkeypatch.undo()
        timer.set(loop.time())
        assert timer.descriptor >= 0
        await rings(timer, rung)

    run(main())


@pytest.mark.parametrize("delay", [0.01, 0.6])
def test_a_deadline_that_could_not_be_set_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    class Someone:
        _due = _noted = None

    async def main() -> None:
        alarms = Alarms(asyncio.get_running_loop())
        rung: list[Any] = []
        monkeypatch.setattr("wsfast.asyncio._alarms._NEAR", -1)

        def fail(when: float) -> None:
            raise OSError("no")

        with monkeypatch.context() as patch:
            patch.setattr(alarms.timer, "set", fail)
            with pytest.raises(OSError, match="no"):
                alarms.set(Someone(), 0.01, rung.append)  # type: ignore[arg-type]
        second: Any = Someone()
        alarms.set(second, delay, rung.append)
        while second not in rung:
            await asyncio.sleep(0.01)

    run(main())


def test_a_closed_loop_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsfast.asyncio._alarms._NEAR", -1)

    async def main() -> Any:
        alarms = Alarms.of(asyncio.get_running_loop())
        kernels(alarms.loop, list)

        class Someone:
            _due = _noted = None

        alarms.set(Someone(), 600, list)  # type: ignore[arg-type]
        timer: Any = alarms.timer
        assert timer.descriptor >= 0
        return timer

    gc.disable()
    try:
        first = asyncio.run(main())
        second = asyncio.run(main())
    finally:
        gc.enable()
    assert first.descriptor == -1
    assert second.descriptor >= 0
    second.close()
    assert second.descriptor == -1


def test_a_loop_with_a_clock_of_its_own_has_the_timer() -> None:
    class Mine(asyncio.SelectorEventLoop):
        pass

    replaced = asyncio.SelectorEventLoop()
    replaced.time = lambda: 0.0  # type: ignore[method-assign]
    for loop in (Mine(), replaced):
        try:
            assert type(make_timer(loop, list)) is Timer
        finally:
            loop.close()
