"""How the programs run: arguments, signals, and several processes that share a port."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from wsfast.asyncio import Server

__all__ = ["arguments", "beside", "broker_arguments", "listening", "run", "until_stopped"]

CAN_SHARE = hasattr(socket, "SO_REUSEPORT")


def arguments(doc: str, port: int) -> argparse.ArgumentParser:
    """Make a program's parser of arguments, which tells of its docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 is all (%(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=port, help="0 takes any free one, and says which (%(default)s)"
    )
    return parser


def broker_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of programs that can be several processes."""
    group = parser.add_argument_group("several processes")
    group.add_argument(
        "--broker",
        default="local",
        help="what carries messages between processes: redis://host:port, or 'local' for one process alone; "
        "redis needs `pip install redis` (%(default)s)",
    )
    group.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="start N that share the port; the kernel gives each connection to one of them (%(default)s)",
    )
    group.add_argument(
        "--reuse-port",
        action="store_true",
        help="share the port with other processes started with this option: the same by hand",
    )


def listening(options: argparse.Namespace) -> dict[str, Any]:
    """Return what serve() needs to listen where the arguments say."""
    where: dict[str, Any] = {"host": options.host, "port": options.port}
    if getattr(options, "reuse_port", False):
        where["reuse_port"] = True
    return where


def run(
    parser: argparse.ArgumentParser,
    main: Callable[[argparse.Namespace], Coroutine[Any, Any, None]],
    others: tuple[str, ...] = (),
) -> None:
    """Run a program, as one process or several.

    Args:
        parser: of its arguments.
        main: its main coroutine function, which gets them.
        others: arguments for all processes but the first.

    """
    options = parser.parse_args()
    several = getattr(options, "processes", 1)
    if several < 1:
        parser.error("--processes must be at least 1")
    if (several > 1 or getattr(options, "reuse_port", False)) and not CAN_SHARE:
        parser.error("this system cannot share a port between processes; a balancer in front can")
    if several > 1 and options.broker == "local":
        parser.error("--processes needs --broker redis://...: else each process is a world of its own")
    try:
        if several > 1:
            sys.exit(_supervise(options.host, options.port, several, others))
        asyncio.run(main(options))
    except (ImportError, OSError, ValueError) as error:
        # No such broker, the port is taken, the redis package is missing: no traceback is needed to see it.
        sys.exit(f"{parser.prog}: {error}")


async def until_stopped(server: Server, name: str) -> None:
    """Say where the server is, and wait for SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    host, port = server.sockets[0].getsockname()[:2]
    print(f"{name} on http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
    await stopped.wait()


async def beside(work: Coroutine[Any, Any, None], until: Coroutine[Any, Any, None]) -> None:
    """Do something as long as something else lasts. If the work fails, that is raised."""
    tasks = [asyncio.ensure_future(each) for each in (work, until)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def _supervise(host: str, port: int, count: int, others: tuple[str, ...]) -> int:
    """Run this program count times on one port, until a signal comes or one of them ends."""
    # Bound and never listening: it holds the port, a free one if that is asked for, and gets no connections.
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
        chosen = str(holder.getsockname()[1])
        stopped: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: stopped.append(number))
        # What stands last counts.
        command = [sys.executable, *sys.argv, "--port", chosen, "--processes", "1", "--reuse-port"]
        # In sessions of their own, so that ^C in a terminal reaches them once: from here.
        children = [
            subprocess.Popen([*command, *(others if number else ())], start_new_session=True)
            for number in range(count)
        ]
        while not stopped and all(child.poll() is None for child in children):
            time.sleep(0.1)
        if not stopped:
            print("one of the processes has ended: stopping the others", file=sys.stderr, flush=True)
        for child in children:
            child.terminate()
        codes = [child.wait() for child in children]
    return 0 if stopped and not any(codes) else 1
