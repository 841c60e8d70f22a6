"""Standard output that may go away, ``python -m wsfast info | head -1``, and progress on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["Progress", "output", "say"]


def say(text: str) -> None:
    """Print a line to standard error, if it is open: otherwise it would go to standard output."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def output() -> Iterator[None]:
    """Write to standard output within, and see to it that everything has arrived at the end.

    Raises:
        SystemExit: it did not: code 1, without a word if the reader had enough, otherwise with the reason.

    """
    try:
        try:
            yield
        finally:
            # Not left to the end of the interpreter, which complains where nobody can help it.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _give_up()
        raise SystemExit(1) from None
    except OSError as exc:
        _give_up()
        raise SystemExit(f"python -m wsfast: cannot write to standard output: {exc.strerror}") from None


def _give_up() -> None:
    """Lead what is still in the stream's buffer to nowhere, or the interpreter would try once more."""
    with contextlib.suppress(OSError, ValueError):  # not a file: a test's, or an embedder's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Progress:
    """One line on stderr that changes; on anything but a terminal, one line a stage."""

    def __init__(self) -> None:
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.last = ""

    def __call__(self, text: str) -> None:
        if self.terminal:
            sys.stderr.write(f"\r{text[:78]:<78}")
            sys.stderr.flush()
        elif (stage := text.partition(":")[0]) != self.last:
            say(stage)
            self.last = stage

    def end(self) -> None:
        if self.terminal:
            sys.stderr.write(f"\r{'':<78}\r")
            sys.stderr.flush()
