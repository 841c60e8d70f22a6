"""Chat servers behind a balancer, configured as docs/scaling.md says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs_running import DEADLINE, MARKS, PROGRAMS, Client, Program, needs_redis, redis_server, run
from talking import unused_port

from wsfast.asyncio import ConnectionClosed

pytestmark = [*MARKS, pytest.mark.skipif(os.name != "posix", reason="balancers of POSIX")]
PAGE = PROGRAMS.parents[1] / "docs" / "scaling.md"


@contextlib.contextmanager
def balancer(kind: str, folder: Path, servers: list[Program]) -> Iterator[str]:
    """Run one; the address it listens at."""
    found = re.search(rf"^```{kind}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert found is not None
    address = f"127.0.0.1:{unused_port()}"
    configuration = found[1].replace("127.0.0.1:8080", address)
    for documented, server in zip(("127.0.0.1:8101", "127.0.0.1:8102"), servers, strict=True):
        assert documented in configuration
        configuration = configuration.replace(documented, server.page.split("/")[2])
    file = folder / "balancer.conf"
    if kind == "haproxy":
        command = ["haproxy", "-db", "-f", str(file)]
    else:
        # What only a test needs: everything below its folder, and an end with it.
        configuration = f"daemon off; pid {folder}/pid; error_log {folder}/errors;\n" + configuration
        command = ["nginx", "-p", str(folder), "-e", str(folder / "errors"), "-c", str(file)]
    file.write_text(configuration)
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + DEADLINE
        while True:
            assert process.poll() is None, (folder / "output").read_text()
            assert time.monotonic() < end
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://{address}/health", timeout=DEADLINE) as answer:
                    assert answer.read() == b"well\n"
                break
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(DEADLINE)


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_balancer(kind: str, tmp_path: Path) -> None:
    async def join(client: Client, name: str) -> None:
        await client.tell(type="join", room="lobby", name=name)
        await client.hear("welcome")

    async def is_open(client: Client, number: int) -> bool:
        try:
            await client.tell(type="say", text=f"still here {number}")
            await client.hear("said", lambda event: event["text"] == f"still here {number}")
        except (AssertionError, ConnectionClosed):
            # 1006 on a machine so busy that the server did not wait for the answer.
            assert client.ws.close_code in (1001, 1006)
            return False
        return True

    async def main(address: str, one: Program) -> None:
        uri = f"ws://{address}/ws"
        # A browser's: its page comes from the balancer, too.
        origin = f"http://{address}"
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client.to(uri, origin=origin)) for _ in range(6)]
            for number, client in enumerate(clients):
                await join(client, str(number))
            for number, client in enumerate(clients):
                await client.tell(type="say", text=f"from {number}")
            for client in clients:
                texts = {(await client.hear("said"))["text"] for _ in clients}
                assert texts == {f"from {number}" for number in range(6)}
            # One server goes. Its clients, and there are some, are told, and come back to the other.
            one.process.terminate()
            assert await asyncio.to_thread(one.process.wait, DEADLINE) == 0
            still_there = [await is_open(client, number) for number, client in enumerate(clients)]
            assert 0 < sum(still_there) < len(clients)
            back = [
                await stack.enter_async_context(Client.to(uri, origin=origin))
                for there in still_there
                if not there
            ]
            for number, client in enumerate(back):
                await join(client, f"back {number}")
            await back[0].tell(type="say", text="here again")
            for client in (*back, *(each for each, there in zip(clients, still_there, strict=True) if there)):
                await client.hear("said", lambda event: event["text"] == "here again")

    needs_redis()
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    with redis_server(tmp_path) as (_, url):
        with Program("chat", "--broker", url) as one, Program("chat", "--broker", url) as two:
            with balancer(kind, tmp_path, [one, two]) as address:
                run(main(address, one))
