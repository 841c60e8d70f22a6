"""Lines of standard input, for a program on asyncio: from a terminal, with editing, or from anything else."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator

from ._output import say

__all__ = ["lines", "typed_lines"]


async def lines() -> AsyncGenerator[str, None]:
    """Yield the lines of standard input, without their ends.

    A thread reads, since files, pipes and terminals can all be read so on every system. It is left
    behind when nobody wants more: it waits in ``os.read()``, where it holds no lock that the end of the
    interpreter could want.

    Raises:
        UnicodeDecodeError: a line is not UTF-8.

    """
    if sys.stdin is None:  # closed
        return
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    # One piece at a time: who produces faster than the peer reads has to wait.
    wanted = threading.Semaphore(1)
    number = sys.stdin.fileno()

    def read() -> None:
        while True:
            wanted.acquire()
            piece: bytes | OSError
            try:
                piece = os.read(number, 1 << 16)
            except OSError as exc:
                piece = exc
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except RuntimeError:
                return  # the loop has ended
            if not piece or isinstance(piece, OSError):
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
    begun: list[bytes] = []
    while piece := await pieces.get():
        if isinstance(piece, OSError):
            raise piece
        wanted.release()
        *whole, rest = piece.split(b"\n")
        for part in whole:
            begun.append(part)
            line = b"".join(begun)
            begun.clear()
            yield line.decode().removesuffix("\r")
        begun.append(rest)
    if line := b"".join(begun):
        yield line.decode()


async def typed_lines(history: str | None) -> AsyncGenerator[str, None]:
    """Yield what is typed at a terminal, with editing and history; without prompt_toolkit, as it comes.

    Args:
        history: a file that keeps what was typed; ``None`` for this session's memory alone.

    """
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory, InMemoryHistory
    except ImportError:
        say("(pip install 'wsfast[cli]' for editing and history)")
        async for line in lines():
            yield line
        return
    session: PromptSession[str] = PromptSession(
        history=InMemoryHistory() if history is None else FileHistory(history)
    )
    while True:
        try:
            yield await session.prompt_async("> ")
        except EOFError:
            return
