"""The host programs of ``python -m wsfast bench``: small endpoints, each on a WebSocket library.

``python -m wsfast.cli.hosts PROGRAM [--install] [--connect PORT]`` runs one until its
standard input ends. A server prints its port; a client connects to the one it is given. What it does
with a message is the same in all of them:

* ``!cpu`` is answered with the CPU time in seconds that the process has used;
* ``!echo`` and ``!sink`` say what to do with messages to come: send them back, or only take them;
* ``!send COUNT SIZE`` asks for so many texts of that size;
* everything else is a message.
"""

from __future__ import annotations

import random
import time
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

__all__ = ["BUFFER", "PROGRAMS", "Program", "Script", "text"]


#: For each end's buffers in the system, in bytes, if it lets them be so large. Left alone they grow to that
#: while messages stream, sooner or later, and until then a long message is written by several calls.
BUFFER = 1 << 22


class Program(NamedTuple):
    """An endpoint on a library."""

    #: The name that the figures have.
    title: str
    #: The module here that has its ``run(script, port)``.
    module: str
    #: What :func:`wsfast.install` is given.
    host: str
    #: Distributions that it needs, the library first: it is measured where all of them are installed.
    needs: tuple[str, ...]
    #: Whether the program is a client.
    client: bool = False
    #: Whether the library can compress.
    compresses: bool = True

    @property
    def versions(self) -> dict[str, str] | None:
        """The versions of what it needs, ``None`` if something is not installed."""
        found = {}
        for name in self.needs:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                return None
        return found

    @property
    def adapted(self) -> bool:
        """Whether there is an adapter of the library."""
        from ...adapters import HOSTS, is_importable

        return self.host in HOSTS and is_importable(HOSTS[self.host])


PROGRAMS = {
    "websockets": Program("websockets", "on_websockets", "websockets", ("websockets",)),
    "uvicorn": Program("uvicorn", "on_uvicorn", "uvicorn", ("uvicorn", "websockets")),
    "uvicorn-wsproto": Program(
        "uvicorn --ws wsproto", "on_uvicorn_wsproto", "wsproto", ("uvicorn", "wsproto")
    ),
    "hypercorn": Program("hypercorn", "on_hypercorn", "hypercorn", ("hypercorn", "wsproto")),
    "aiohttp": Program("aiohttp", "on_aiohttp", "aiohttp", ("aiohttp",)),
    "tornado": Program("tornado", "on_tornado", "tornado", ("tornado",)),
    "autobahn": Program("autobahn (asyncio)", "on_autobahn", "autobahn", ("autobahn",)),
    "websocket-client": Program(
        "websocket-client",
        "on_websocket_client",
        "websocket-client",
        ("websocket-client",),
        client=True,
        compresses=False,
    ),
}


@lru_cache
def text(size: int) -> str:
    """Return text of ``size`` bytes, ASCII, such as a stream of quotes has: it compresses to a third or so.

    That takes its time once: it must not count as the library's.
    """
    numbers = random.Random(size)
    parts = []
    length = 0
    while length < size:
        symbol = "".join(numbers.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4))
        price, lot = numbers.uniform(1, 999), numbers.randrange(10**4)
        quote = f'{{"symbol":"{symbol}","price":{price:.2f},"size":{lot}}},'
        parts.append(quote)
        length += len(quote)
    return "".join(parts)[:size]


class Script:
    """What a program does with messages, but for sending them."""

    __slots__ = ("echo",)

    def __init__(self) -> None:
        self.echo = False

    def obey(self, command: str) -> list[str]:
        """Take a message that begins with ``!``; return what is to be sent."""
        verb, *arguments = command[1:].split()
        if verb == "cpu":
            return [repr(time.process_time())]
        if verb == "send":
            count, size = map(int, arguments)
            return [text(size)] * count
        self.echo = verb == "echo"
        return []
