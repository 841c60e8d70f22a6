"""``python -m wsfast.cli.hosts``: see the package."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from importlib import import_module

from . import PROGRAMS, Script


def main() -> None:
    """Run the program that the command line names."""
    parser = argparse.ArgumentParser("python -m wsfast.cli.hosts", description="A program to be measured.")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--install", action="store_true", help="use wsfast")
    parser.add_argument("--connect", type=int, default=0, metavar="PORT", help="a client's server")
    options = parser.parse_args()
    program = PROGRAMS[options.program]
    if options.install:
        import wsfast

        # By force: what it costs without the compiled backend is worth seeing too.
        wsfast.install(program.host, force=True)
    # Whoever started this is gone, or has enough.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    import_module(f".{program.module}", __package__).run(Script(), options.connect)


if __name__ == "__main__":
    main()
