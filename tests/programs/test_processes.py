"""The programs as several processes, with a Redis between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from programs_running import MARKS, Client, Program, needs_redis, redis_server, run

pytestmark = [*MARKS, pytest.mark.skipif(os.name != "posix", reason="Redis, and shared ports, are of POSIX")]

CLIENTS = 5
MESSAGES = 60


async def join(client: Client, name: str, room: str = "lobby") -> None:
    await client.tell(type="join", room=room, name=name)
    await client.hear("welcome")


async def converse(uris: list[str]) -> None:
    """Connect clients, have each say something to all, and see that all arrives, in order, once."""
    names = [f"{number}" for number in range(len(uris))]

    async def say(client: Client) -> None:
        for number in range(MESSAGES):
            await client.tell(type="say", text=str(number))

    async def listen(client: Client) -> dict[str, list[int]]:
        heard: dict[str, list[int]] = {name: [] for name in names}
        for _ in range(len(names) * MESSAGES):
            said = await client.hear("said")
            heard[said["name"]].append(int(said["text"]))
        # Nothing comes twice: the next is what is said now.
        await client.tell(type="join")
        assert "said" not in await client.hear("error")
        return heard

    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client.to(uri)) for uri in uris]
        await asyncio.gather(*(join(client, name) for client, name in zip(clients, names, strict=True)))
        *heard, _ = await asyncio.gather(
            *(listen(client) for client in clients), asyncio.gather(*(say(client) for client in clients))
        )
        assert heard == [{name: list(range(MESSAGES)) for name in names}] * len(names)


def test_no_message_is_lost_between_two_servers(tmp_path: Path) -> None:
    needs_redis()
    with redis_server(tmp_path) as (_, url):
        with Program("chat", "--broker", url) as one, Program("chat", "--broker", url) as two:
            run(converse([one.websocket, two.websocket] * CLIENTS))


def test_processes_on_one_port(tmp_path: Path) -> None:
    needs_redis()
    with redis_server(tmp_path) as (_, url):
        with Program("chat", "--broker", url, "--processes", "2", processes=2) as program:
            run(converse([program.websocket] * 2 * CLIENTS))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="children are found in /proc")
def test_one_process_ends_all(tmp_path: Path) -> None:
    needs_redis()
    with redis_server(tmp_path) as (_, url):
        program = Program("chat", "--broker", url, "--processes", "2", processes=2, quiet=False)
        child = int(
            Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text().split()[0]
        )
        os.kill(child, signal.SIGKILL)
        program.errors.wait_for("one of the processes has ended: stopping the others")
        assert program.process.wait() == 1


def test_who_is_there_across_servers(tmp_path: Path) -> None:
    async def main(one: str, two: str) -> None:
        async with Client.to(one) as ann, Client.to(two) as bob, Client.to(two) as eve:
            await join(ann, "Ann")
            await ann.tell(type="say", text="before")
            await ann.hear("said")
            await bob.tell(type="join", room="lobby", name="Bob")
            # What was said before is there, and so is, at once or soon, who is elsewhere.
            welcome = await bob.hear("welcome")
            assert [each["text"] for each in welcome["history"]] == ["before"]
            if "Ann" not in welcome["people"]:
                await bob.hear("people", lambda event: "Ann" in event["people"])
            await ann.hear("people", lambda event: event.get("joined") == "Bob")
            await eve.tell(type="join", room="lobby", name="Ann")
            assert (await eve.hear("error"))["text"].startswith("Ann is here already")
            ann.ws.transport.abort()
            left = await bob.hear("people", lambda event: event.get("left") == "Ann")
            assert left["people"] == ["Bob"]

    needs_redis()
    with redis_server(tmp_path) as (_, url):
        with Program("chat", "--broker", url) as one, Program("chat", "--broker", url) as two:
            run(main(one.websocket, two.websocket))


def test_broker_lost_and_back(tmp_path: Path) -> None:
    async def main(one: Program, two: Program, stack: contextlib.ExitStack, port: int) -> None:
        async with Client.to(one.websocket) as ann, Client.to(two.websocket) as bob:
            await join(ann, "Ann")
            await join(bob, "Bob")
            await ann.tell(type="say", text="first")
            await bob.hear("said")
            stack.close()
            for program, client in ((one, ann), (two, bob)):
                await client.hear("notice", lambda event: event["text"].startswith("the broker is lost"))
                await asyncio.to_thread(program.errors.wait_for, "the broker is lost")
            # Who says something now is told that it does not arrive.
            await ann.tell(type="say", text="lost")
            assert (await ann.hear("error"))["text"].startswith("the broker cannot be reached")
            stack.enter_context(redis_server(tmp_path, port))
            for client in (ann, bob):
                await client.hear("notice", lambda event: event["text"] == "the broker is back")
            await ann.tell(type="say", text="second")
            for client in (ann, bob):
                assert (await client.hear("said", lambda event: event["text"] != "first"))["text"] == "second"

    needs_redis()
    with contextlib.ExitStack() as stack:
        port, url = stack.enter_context(redis_server(tmp_path))
        with (
            Program("chat", "--broker", url, quiet=False) as one,
            Program("chat", "--broker", url, quiet=False) as two,
        ):
            run(main(one, two, stack, port))


def test_started_without_broker(tmp_path: Path) -> None:
    async def main(program: Program) -> None:
        async with Client.to(program.websocket) as ann:
            await ann.tell(type="join", room="lobby", name="Ann")
            assert "the broker" in (await ann.hear("error"))["text"]
            with redis_server(tmp_path, port):
                await asyncio.to_thread(program.errors.wait_for, "the broker is back")
                await join(ann, "Ann")

    needs_redis()
    with redis_server(tmp_path) as (port, url):
        pass
    with Program("chat", "--broker", url, quiet=False) as program:
        run(main(program))


def test_ticker_of_several_processes(tmp_path: Path) -> None:
    async def main(uri: str) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client.to(uri)) for _ in range(8)]

            async def follow(client: Client) -> None:
                last = (await client.hear(None))["n"]
                for _ in range(1000):
                    last, before = (await client.hear(None))["n"], last
                    # One feed for all, whichever process they are at, and none missing.
                    assert last == before + 1

            await asyncio.gather(*map(follow, clients))

    needs_redis()
    with redis_server(tmp_path) as (_, url):
        with Program("ticker", "--broker", url, "--processes", "2", processes=2) as program:
            run(main(program.websocket))
