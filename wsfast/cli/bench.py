"""``python -m wsfast bench``: this machine's figures."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from .. import __version__, _backend, installed, parse_header, traffic, uninstall
from . import loopback
from ._output import Progress, output
from .hosts import PROGRAMS
from .peers import Contender, contenders

__all__ = ["configure", "execute", "measure"]

_READ = 1 << 16

# From small messages to large ones, and text from one byte a character to four.
_STREAMS = [
    "ws-ticker-c2s",
    "websockets-chat-c2s",
    "chromium-json-4k-c2s",
    "ws-chat-ascii-16k-c2s",
    "websockets-chat-cyrillic-16k-c2s",
    "chromium-chat-cjk-16k-c2s",
    "ws-json-64k-c2s",
    "chromium-binary-1m-c2s",
    "websockets-ticker-s2c",
]
_QUICK = ["ws-ticker-c2s", "websockets-chat-c2s", "ws-chat-ascii-16k-c2s"]
_TO_ENCODE = ["ws-ticker-c2s", "chromium-json-4k-c2s"]

_CAVEAT = """\
Best of {repeats} interleaved runs on one core; in brackets: times the first column.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = """\
Measure, on this machine, wsfast's backends and the WebSocket libraries that are installed
(websockets, aiohttp, wsproto), on traffic that was captured from real peers:

  decoding   from the bytes on the wire to messages (str or bytes), in 64 KiB reads
  encoding   from a str to a masked frame
  hosts      programs on the libraries that wsfast.install() knows, as they are and with
             wsfast: their CPU time, for streams of messages in and out and for one
             message at a time, uncompressed and compressed; some 20 seconds each

Every contender's result is compared with what was sent before anything is timed.
"""
    parser.add_argument("--quick", action="store_true", help="less traffic, fewer runs: about 10 seconds")
    parser.add_argument(
        "--hosts",
        metavar="A,B",
        help=f"only these programs of the last part, '' for none: {', '.join(PROGRAMS)}",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON; '-' for standard output")


def execute(options: argparse.Namespace) -> int:
    """Measure, then print; 2 if the file cannot be written to."""
    hosts = None if options.hosts is None else [name for name in options.hosts.split(",") if name]
    if unknown := [name for name in hosts or () if name not in PROGRAMS]:
        print(f"python -m wsfast bench: no program {unknown[0]!r}; see --help", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as files:
        file = None
        if options.json not in (None, "-"):
            # Before the work, not after it; what the file holds already stays until there is something new.
            try:
                file = files.enter_context(open(options.json, "w", encoding="utf-8", opener=_open))
            except OSError as exc:
                return _cannot_write(options.json, exc)
        progress = Progress()
        try:
            figures = measure(options.quick, progress, hosts)
        finally:
            progress.end()
        text = json.dumps(figures, indent=2)
        if file is not None:
            try:
                if os.path.isfile(options.json):
                    file.truncate(0)
                print(text, file=file, flush=True)
            except OSError as exc:
                return _cannot_write(options.json, exc)
    with output():
        if options.json == "-":
            print(text)
        else:
            _print_tables(figures)
    return 0


def _open(path: str, flags: int) -> int:
    """As ``open()`` does it, but for emptying the file."""
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def _cannot_write(path: str, error: OSError) -> int:
    print(f"python -m wsfast bench: cannot write to {path!r}: {error.strerror}", file=sys.stderr)
    return 2


def measure(quick: bool, progress: Callable[[str], None], hosts: list[str] | None = None) -> dict[str, Any]:
    """Measure everything; times are in seconds per message.

    Args:
        quick: less of everything.
        progress: is told what is being measured.
        hosts: the programs to measure, ``None`` for all whose libraries are installed.

    Raises:
        ValueError: a contender decodes or encodes something else than the others.

    """
    if installed():  # the peers are to be as they are
        uninstall()
    found, missing = contenders()
    repeats = 3 if quick else 7
    budget = 0.008 if quick else 0.02
    figures: dict[str, Any] = {
        "wsfast": __version__,
        "backend": _backend.backend,
        "isa": _backend.isa,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}",
        "repeats": repeats,
        "contenders": {contender.name: contender.version for contender in found},
        "missing": missing,
        "decoding": [],
        "encoding": [],
        "hosts": [],
        "host_versions": {},
        "host_failures": {},
        "busy": _how_busy(),
    }
    for stream in traffic.load(_QUICK if quick else _STREAMS):
        body = _without_close(stream.wire)
        progress(f"decoding {stream.content}: checking")
        for contender in found:
            _check(contender, stream, body)
        # Long enough for reads to be full; whole copies, so that messages stay whole.
        wire = body * max(1, (1 << 18) // len(body))
        reads = [wire[start : start + _READ] for start in range(0, len(wire), _READ)]
        count = stream.messages * (len(wire) // len(body))
        jobs = {contender.name: _decoding(contender, stream.role, reads) for contender in found}
        times = _interleave(jobs, repeats, budget, _stage(progress, f"decoding {stream.content}"))
        figures["decoding"].append(
            {
                "stream": stream.name,
                "content": stream.content,
                "description": stream.description,
                "direction": stream.direction,
                "bytes": stream.payload_bytes / stream.messages,
                "seconds": {name: passed / count for name, passed in times.items()},
            }
        )
    for stream in traffic.load(_TO_ENCODE[:1] if quick else _TO_ENCODE):
        progress(f"encoding {stream.content}: checking")
        texts = [text for text in _messages(found[0], stream.role, stream.wire) if isinstance(text, str)]
        jobs = {}
        for contender in found:
            if contender.encode is not None:
                encode = contender.encode(True)
                if _messages(found[0], "server", b"".join([encode(text) for text in texts])) != texts:
                    raise ValueError(f"{contender} encodes something else than {stream.name}")
                jobs[contender.name] = _encoding(encode, texts)
        times = _interleave(jobs, repeats, budget, _stage(progress, f"encoding {stream.content}"))
        figures["encoding"].append(
            {
                "stream": stream.name,
                "content": stream.content,
                "description": stream.description,
                "bytes": stream.payload_bytes / stream.messages,
                "seconds": {name: passed / len(texts) for name, passed in times.items()},
            }
        )
    names = loopback.available()
    chosen = names if hosts is None else hosts
    for name in chosen:
        if name not in names:
            figures["host_failures"][name] = f"not installed: {', '.join(PROGRAMS[name].needs)}"
    chosen = [name for name in chosen if name in names]
    figures["host_versions"] = {name: PROGRAMS[name].versions for name in chosen}
    figures["hosts"], failures = loopback.measure_all(chosen, quick, progress)
    figures["host_failures"] |= failures
    return figures


def _how_busy() -> str | None:
    """A warning, if others use this machine."""
    try:
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
    except (AttributeError, OSError):  # Windows
        return None
    if load < cores / 2:
        return None
    return f"this machine is busy (load {load:.1f} on {cores} CPUs): take the figures with caution"


def _stage(progress: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda text: progress(f"{name}: {text}")


def _without_close(wire: bytes) -> bytes:
    """A stream up to its close frame: it can then be repeated."""
    position = 0
    while position < len(wire):
        header = parse_header(wire, position)
        if header is None:
            raise ValueError("a captured stream ends inside a header")
        if header.opcode == 8:
            break
        position += header.size + header.length
    return wire[:position]


def _messages(contender: Contender, role: str, wire: bytes) -> list[str | bytes]:
    feed = contender.feed(role)
    result: list[str | bytes] = []
    for start in range(0, len(wire), _READ):
        result += contender.messages(feed(wire[start : start + _READ]))
    return result


def _check(contender: Contender, stream: traffic.Stream, body: bytes) -> None:
    if traffic.digest(_messages(contender, stream.role, body)) != stream.digest:
        raise ValueError(f"{contender} decodes something else from {stream.name}")


def _decoding(contender: Contender, role: str, reads: list[bytes]) -> Callable[[], None]:
    def run() -> None:
        feed = contender.feed(role)
        for data in reads:
            feed(data)

    return run


def _encoding(encode: Callable[[str], object], texts: list[str]) -> Callable[[], None]:
    def run() -> None:
        for text in texts:
            encode(text)

    return run


def _interleave(
    jobs: dict[str, Callable[[], None]], repeats: int, budget: float, progress: Callable[[str], None]
) -> dict[str, float]:
    """Time every job in every round, so that a slow moment of the machine hits all; the least of each."""
    clock = time.perf_counter
    times = {}
    rounds = {}
    for name, job in jobs.items():
        start = clock()
        job()
        passed = clock() - start
        times[name] = passed
        rounds[name] = max(1, int(budget / passed))
    collected = gc.isenabled()
    gc.disable()
    try:
        for repeat in range(repeats):
            for name, job in jobs.items():
                progress(f"{name}, run {repeat + 1} of {repeats}")
                number = rounds[name]
                start = clock()
                for _ in range(number):
                    job()
                times[name] = min(times[name], (clock() - start) / number)
    finally:
        if collected:
            gc.enable()
    return times


# ---- Tables --------------------------------------------------------------------------------------


def _print_tables(figures: dict[str, Any]) -> None:
    names = list(figures["contenders"])
    print(f"wsfast {figures['wsfast']} on {figures['python']}, {figures['machine']}")
    for name, reason in figures["missing"].items():
        print(f"{name}: {reason}")
    if figures["busy"]:
        print(f"Note: {figures['busy']}.")
    if figures["backend"] != "c":
        print("The C backend is not in use; python -m wsfast info says why.")
    for kind, title in [
        ("decoding", "Decoding real traffic to messages, microseconds a message"),
        ("encoding", "Encoding masked text frames, microseconds a message"),
    ]:
        print(f"\n{title}")
        print(_CAVEAT.format(repeats=figures["repeats"]), end="")
        columns = [name for name in names if name in figures[kind][0]["seconds"]]
        rows = [["", *(_title(name, figures["contenders"][name]) for name in columns)]]
        for entry in figures[kind]:
            seconds = entry["seconds"]
            first = seconds[columns[0]]
            row = [f"{entry['content']}, {_size(entry['bytes'])}{_direction(entry)}"]
            row.append(_microseconds(first))
            row += [f"{_microseconds(seconds[n])} ({_ratio(seconds[n] / first)})" for n in columns[1:]]
            rows.append(row)
        _print_table(rows)
    _print_hosts(figures)


def _print_hosts(figures: dict[str, Any]) -> None:
    if figures["hosts"]:
        print(
            "\nPrograms on libraries, as they are and with wsfast: CPU time, microseconds a\n"
            "message, the least; the median of the ratios of interleaved pairs, their range"
        )
    for name, versions in figures["host_versions"].items():
        entries = [entry for entry in figures["hosts"] if entry["program"] == name]
        if not entries:
            continue
        of_what = ", ".join(f"{library} {version}" for library, version in versions.items())
        print(f"\n{PROGRAMS[name].title} ({of_what})")
        rows = [["", "as it is", "with wsfast", "ratio", "range"]]
        for entry in entries:
            rows.append(
                [
                    f"{entry['traffic']} {_size(entry['bytes'])}{', deflate' if entry['compressed'] else ''}",
                    _microseconds(min(entry["stock"])),
                    _microseconds(min(entry["wsfast"])),
                    _ratio(entry["ratio"]),
                    f"{entry['least']:.2f}-{entry['most']:.2f}",
                ]
            )
        _print_table(rows)
    for name, reason in figures["host_failures"].items():
        print(f"{PROGRAMS[name].title}: {reason}")


def _title(name: str, version: str) -> str:
    return name if name.startswith("wsfast") else f"{name} {version}"


def _direction(entry: dict[str, Any]) -> str:
    return ", masked" if entry.get("direction") == "c2s" else ""


def _size(size: float) -> str:
    for unit in ("B", "KiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.0f} MiB"


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _ratio(ratio: float) -> str:
    return f"x{ratio:.2f}" if ratio < 1.995 else f"x{ratio:.1f}" if ratio < 9.95 else f"x{ratio:.0f}"


def _print_table(rows: list[list[str]]) -> None:
    """Print a table; on a terminal that is too narrow for it, each row's name on a line of its own."""
    lines = _align(rows)
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if terminal and max(map(len, lines)) > shutil.get_terminal_size().columns:
        # The second word of a title, its version, goes below the first.
        titles = [[title.rpartition(" ")[i] for title in rows[0][1:]] for i in (0, 2)]
        aligned = _align([["", *cells] for cells in (*titles, *(row[1:] for row in rows[1:]))])
        lines = aligned[:2]
        for row, line in zip(rows[1:], aligned[2:], strict=True):
            lines += [row[0], line]
    print("\n".join(lines))


def _align(rows: list[list[str]]) -> list[str]:
    """Make lines of rows, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
