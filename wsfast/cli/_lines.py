"""Lines of standard input, for a program on asyncio: from a terminal, with editing, or from anything else."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
import threading
from collections.abc import AsyncGenerator

__all__ = ["lines", "typed_lines"]


async def lines() -> AsyncGenerator[str, None]:
    """Yield the lines of standard input, without their ends.

    A thread reads, since files, pipes and terminals can all be read so on every system. It is left
    behind when nobody wants more: it waits in ``os.read()``, where it holds no lock that the end of the
    interpreter could want.

    Raises:
        UnicodeDecodeError: a line is not UTF-8.

    """
    loop = asyncio.get_running_loop()
    # One piece at a time: who produces faster than the peer reads has to wait.
    pieces: asyncio.Queue[bytes | OSError] = asyncio.Queue(1)
    number = sys.stdin.fileno()

    def read() -> None:
        while True:
            piece: bytes | OSError
            try:
                piece = os.read(number, 1 << 16)
            except OSError as exc:
                piece = exc
            try:
                asyncio.run_coroutine_threadsafe(pieces.put(piece), loop).result()
            except Exception:
                return  # the loop has ended
            if not piece or isinstance(piece, OSError):
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    while piece := await pieces.get():
        if isinstance(piece, OSError):
            raise piece
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        for line in whole:
            yield line.removesuffix("\r")
    rest += decoder.decode(b"", True)
    if rest:
        yield rest


async def typed_lines(history: str | None) -> AsyncGenerator[str, None]:
    """Yield what is typed at a terminal, with editing and history; without prompt_toolkit, as it comes.

    Args:
        history: a file that keeps what was typed; ``None`` for this session's memory alone.

    """
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory, InMemoryHistory
    except ImportError:
        print("(pip install 'wsfast[cli]' for editing and history)", file=sys.stderr)
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
