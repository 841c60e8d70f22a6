"""``python -m wsfast run``: a program as ``python`` runs it, with wsfast inside its WebSocket library."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import pkgutil
import sys
import textwrap
import zipimport
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

from .. import __version__, backend, isa
from ..adapters import HOSTS, AdapterError, host, install

__all__ = ["configure", "execute", "split"]

_WITH_VALUE = ("--hosts",)
# A module and code: they follow at once, or as the next argument.
_KINDS = ("-m", "-c")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.usage = "python -m wsfast run [OPTION ...] (PROGRAM | -m MODULE | -c CODE | -) [ARGUMENT ...]"
    parser.description = f"""\
Run a Python program, unchanged, with wsfast at work in the WebSocket library that it uses
({", ".join(HOSTS)}). Everything else is as 'python PROGRAM' or 'python -m MODULE' would have it:
sys.argv, sys.path, __main__, the exit code, tracebacks. '-' is a program on standard input, which is
read to its end: it is not a prompt.

Only this process is affected. If the program starts others (uvicorn --workers), set
WSFAST_INSTALL in the environment, or call wsfast.install() in the application.
"""
    parser.epilog = """\
examples:
  python -m wsfast run server.py --port 8000
  python -m wsfast run -v -m uvicorn app:app
"""
    parser.add_argument(
        "--hosts",
        type=_names,
        default=(),
        metavar="NAME,...",
        help="speed up these libraries, and fail if that cannot be done (default: all that are installed)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="hold peers to the RFCs where the library does not"
    )
    parser.add_argument(
        "--force", action="store_true", help="try unknown versions, and wsfast's slow pure-Python backend"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr what was sped up")


def _names(value: str) -> tuple[str, ...]:
    names = tuple(filter(None, value.split(",")))
    for name in names:
        if name not in HOSTS:
            known = ", ".join(HOSTS)
            raise argparse.ArgumentTypeError(f"there is no adapter for {name!r}; there is one for: {known}")
    return names


def split(given: list[str]) -> tuple[list[str], list[str]]:
    """Split a command line that begins with ``run`` before the program: what follows is not ours."""
    position = 1
    while position < len(given):
        argument = given[position]
        if argument == "--":
            return given[:position], given[position + 1 :]
        if argument == "-" or argument[:2] in _KINDS or not argument.startswith("-"):
            break
        position += 2 if argument in _WITH_VALUE else 1
    return given[:position], given[position:]


def execute(options: argparse.Namespace) -> int:
    """Install the drop-ins and run the program; return 0 if it runs to its end."""
    program: list[str] = options.program
    if not program or (program[0] in _KINDS and len(program) < 2):
        print(
            "python -m wsfast run: a program, '-m MODULE', '-c CODE' or '-' is missing; see --help",
            file=sys.stderr,
        )
        return 2
    kind = program[0][:2]
    if kind in _KINDS and kind != program[0]:
        program[:1] = [kind, program[0][2:]]
    try:
        done = install(*options.hosts, strict=options.strict, force=options.force)
    except AdapterError as exc:
        print(f"python -m wsfast run: {exc}", file=sys.stderr)
        if options.hosts:
            return 1
        done = None  # nobody insists: the program runs as it would without
    if options.verbose and done is not None:
        for name in done.hosts:
            version = host(name).version()
            print(f"wsfast {__version__} ({backend}, {isa}) in {name} {version}", file=sys.stderr)
        if not done.hosts:
            print(f"wsfast has nothing to speed up here: it knows {', '.join(HOSTS)}", file=sys.stderr)
    _hide_callers()
    try:
        if kind == "-m":
            start = _module(program[1], program[2:])
        elif kind == "-c":
            start = _text(program[1], "<string>", program[2:])
        elif program[0] == "-":
            # As bytes: they may say in what encoding they are.
            start = _text(b"" if sys.stdin is None else sys.stdin.buffer.read(), "<stdin>", program[1:])
        else:
            start = _file(program[0], program[1:])
    except _CannotStartError as exc:
        print(f"{sys.executable}: {exc}", file=sys.stderr)
        return exc.code
    start()
    return 0


class _CannotStartError(Exception):
    """What ``python`` says of a program that it cannot start, and its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _text(source: str | bytes, name: str, arguments: list[str]) -> Callable[[], object]:
    """Prepare ``python -c SOURCE ARGUMENTS``, or ``python - ARGUMENTS`` with the source as bytes."""
    sys.argv[:] = ["-" if isinstance(source, bytes) else "-c", *arguments]
    _set_folder("")
    if isinstance(source, str) and sys.version_info >= (3, 14):
        source = textwrap.dedent(source)
    return _starter(source, name, None, BuiltinImporter)


def _file(path: str, arguments: list[str]) -> Callable[[], object]:
    """Prepare ``python PATH ARGUMENTS``."""
    sys.argv[:] = [path, *arguments]
    # As python does it: not cleaned up, but on Windows.
    full = os.path.abspath(path) if sys.platform == "win32" else os.path.join(os.getcwd(), path)
    importer = pkgutil.get_importer(full)
    if os.path.isdir(full) or isinstance(importer, zipimport.zipimporter):
        # A folder or an archive: the __main__ in it.
        _set_folder(full, always=True)
        spec = importer.find_spec("__main__") if importer is not None else None
        loader: Any = spec and spec.loader
        code = loader.get_code("__main__") if spec is not None else None
        if code is None:
            raise _CannotStartError(f"can't find '__main__' module in {full!r}", 1)
        return _starter(code, code.co_filename, spec, loader)
    _set_folder(os.path.dirname(os.path.realpath(path)))
    if path.endswith(".pyc"):
        compiled = SourcelessFileLoader("__main__", full)
        return _starter(compiled.get_code("__main__"), full, None, compiled)
    try:
        with io.open_code(full) as file:
            source = file.read()
    except OSError as exc:
        raise _CannotStartError(f"can't open file {full!r}: [Errno {exc.errno}] {exc.strerror}", 2) from None
    return _starter(source, full, None, SourceFileLoader("__main__", full))


def _module(name: str, arguments: list[str]) -> Callable[[], object]:
    """Prepare ``python -m NAME ARGUMENTS``."""
    sys.argv[:] = ["-m", *arguments]
    _set_folder(os.getcwd())
    spec: ModuleSpec | None = None
    target = name
    try:
        spec = importlib.util.find_spec(target)
        if spec is not None and spec.submodule_search_locations is not None:
            target = f"{name}.__main__"
            spec = importlib.util.find_spec(target)
            if spec is None:
                raise _CannotStartError(
                    f"No module named {target}; {name!r} is a package and cannot be directly executed", 1
                )
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{target}.".startswith(f"{exc.name}."):
            raise
    if spec is None:
        raise _CannotStartError(f"No module named {name}", 1)
    loader: Any = spec.loader
    code: CodeType | None = loader.get_code(target) if hasattr(loader, "get_code") else None
    if code is None:
        raise _CannotStartError(f"No code object available for {target}", 1)
    file = spec.origin or target
    sys.argv[0] = file
    return _starter(code, file, spec, loader)


def _starter(
    code: str | bytes | CodeType | None, file: str, spec: ModuleSpec | None, loader: object
) -> Callable[[], object]:
    """Make the program the ``__main__`` module, for good: threads and exit handlers may outlive its code."""
    main = ModuleType("__main__")
    main.__dict__.update(
        __file__=file,
        __loader__=loader,
        __package__=spec.parent if spec else None,
        __spec__=spec,
        __builtins__=__builtins__,
    )
    if isinstance(code, str):  # that of -c
        del main.__file__
    elif sys.version_info < (3, 15):
        main.__dict__["__cached__"] = spec.cached if spec else None
    if sys.version_info < (3, 14):
        main.__annotations__ = {}

    def start() -> None:
        sys.modules["__main__"] = main
        compiled: Any = code
        if isinstance(code, (str, bytes)):
            compiled = compile(code, file, "exec", dont_inherit=True)
        exec(compiled, main.__dict__)

    return start


def _hide_callers() -> None:
    """Print an error as if nobody had called the program: without the frames of this package."""
    stock = sys.excepthook
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    ours = (package + os.sep, "<frozen runpy>", os.path.join(os.path.dirname(os.__file__), "runpy.py"))

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        rest = trace
        while rest is not None and rest.tb_frame.f_code.co_filename.startswith(ours):
            rest = rest.tb_next
        # A file that cannot be compiled has no frame of its own.
        if rest is not None or isinstance(error, SyntaxError):
            error = error.with_traceback(rest)
        stock(kind, error, error.__traceback__)

    # Not if the program, or something that was imported before it, has its own.
    if stock is sys.__excepthook__:
        sys.excepthook = excepthook


def _set_folder(folder: str, *, always: bool = False) -> None:
    """Put the program's folder first on the path, where that of ``python -m wsfast`` is."""
    # Python 3.11's -P and PYTHONSAFEPATH.
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated and sys.path:
        sys.path[0] = folder
    elif always:
        sys.path.insert(0, folder)
