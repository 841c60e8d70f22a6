"""The command line: ``python -m wsfast info | run | bench | connect | serve | load``.

Each command is a module here, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__, backend, isa
from ._output import output

__all__ = ["main"]

_DESCRIPTION = """\
A WebSocket frame codec whose hot path is C, for programs of your own and, as a drop-in,
for those that use another WebSocket library already.
"""

_EPILOG = """\
examples:
  %(prog)s info                         what is installed, and whether the C backend is in use
  %(prog)s run app.py --port 8000       run a program with its WebSocket library sped up
  %(prog)s run -m uvicorn app:app       the same for a module
  %(prog)s bench --quick                what that is worth on this machine, in ten seconds
  %(prog)s serve                        a server that echoes, and a page that talks to it
  %(prog)s connect wss://example.org/   talk to a server

'%(prog)s COMMAND --help' tells more about a command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: what follows the name of the program; ``None`` for ``sys.argv[1:]``.

    Returns:
        The exit code: 0, 1 if the command could not do its work, 2 for an argument that it cannot
        use, 130 if it was interrupted. ``run`` ends as the program that it runs.

    Raises:
        SystemExit: wrong arguments, with code 2; standard output that cannot be written to, with 1.

    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    program: list[str] | None = None
    if given[:1] == ["run"]:
        # What follows the program is the program's, whatever it looks like.
        from .run import split

        given, program = split(given)
    with output():  # --help
        options = _parser().parse_args(given)
    command = import_module(f"{__name__}.{options.command}")
    if options.command == "run":
        # Neither its interrupts nor its output are ours to deal with.
        options.program = program
        return int(command.execute(options))
    try:
        return int(command.execute(options))
    except KeyboardInterrupt:
        print(f"python -m wsfast {options.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wsfast",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"wsfast {__version__} ({backend}, {isa})",
        help="print version, backend and kernels in use, and exit",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in (
        ("info", "say what is installed here and what install() would do"),
        ("run", "run a program with wsfast inside its WebSocket library"),
        ("bench", "measure wsfast and the other libraries on this machine"),
        ("connect", "talk to a WebSocket server, from a terminal or a pipe"),
        ("serve", "run a server to try things out with"),
        ("load", "measure what a server can take"),
    ):
        import_module(f"{__name__}.{name}").configure(
            commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        )
    return parser
