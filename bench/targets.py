"""Measure wsfast against its targets: ``python bench/targets.py``.

Prints a Markdown table, the misses first. Each figure is the least of several repeats, in which wsfast and
its peer take turns in the same process; what both decode or encode is compared before it is timed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Run from a checkout, measure that checkout.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import texts
from attacks import IDLE, LINEAR, Attack
from connections import Compression, Ends, echo_side, ends, wsfast_ends, zlib_modules
from measure import KIB, MIB, Measured, Side, call_side, compare, machine, size_name
from peers import Decoder, backends, decoders, maskers, reads_of, websockets_modules, wsfast_decoder

import wsfast
from wsfast.traffic import load


@dataclass(frozen=True)
class Options:
    repeats: int
    duration: float


@dataclass(frozen=True)
class Result:
    """A line of the table. ``ratio`` is None where a limit, not a peer, is the measure.

    ``met`` is None for what is measured without a target.
    """

    work: str
    peer: str
    ours: str
    theirs: str
    ratio: float | None
    median: float | None
    spread: tuple[float, float] | None
    target: str
    met: bool | None


@dataclass(frozen=True)
class Row:
    """A line to measure: ``work`` names it, ``measure`` does it."""

    work: str
    measure: Callable[[Options], Result]


# --- timed rows -------------------------------------------------------------------------------------


def ratio_row(work: str, target: float | None, sides: Callable[[], tuple[Side, list[Side]]]) -> Row:
    def measure(options: Options) -> Result:
        ours, peers = sides()
        found = compare(ours, peers, repeats=options.repeats, duration=options.duration)
        return in_words(work, target, found)

    return Row(work, measure)


def in_words(work: str, target: float | None, found: Measured) -> Result:
    return Result(
        work=work,
        peer=found.peer,
        ours=seconds(found.ours),
        theirs=seconds(found.theirs),
        ratio=found.ratio,
        median=found.median,
        spread=found.spread,
        target="-" if target is None else f"{target:g} x",
        met=None if target is None else found.ratio >= target,
    )


def seconds(value: float) -> str:
    """Write a time with three significant figures."""
    for unit, factor in [("ns", 1e9), ("µs", 1e6), ("ms", 1e3)]:
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def same(ours: object, theirs: object, what: str) -> None:
    if ours != theirs:
        raise SystemExit(f"{what}: the results differ, nothing was measured")


def decoder_side(decoder: Decoder, wire: bytes, expected: list[str]) -> Side:
    """Feed ``wire`` in reads to a connection that plays the server; check what comes out first."""
    reads = reads_of(wire)
    feed = decoder.start("server")
    decoded = [message for read in reads for message in decoder.messages(feed(read))]
    same(decoded, expected, f"{decoder}")
    return Side(
        str(decoder),
        "for read in reads: feed(read)",
        {"reads": reads, "feed": feed},
        len(expected),
    )


def message_row(
    work: str, kind: str, size: int, peers: Sequence[str], target: float, twin: bool = False
) -> Row:
    def sides() -> tuple[Side, list[Side]]:
        chosen = texts.messages(kind, size, max(2, 256 * KIB // size))
        wire = texts.wire_of(chosen)
        module: Any = backends()["python"] if twin else wsfast
        ours = decoder_side(wsfast_decoder(module), wire, chosen)
        found = decoders(peers)
        return ours, [decoder_side(found[name], wire, chosen) for name in peers]

    return ratio_row(work, target, sides)


def message_rows() -> Iterator[Row]:
    small = "messages: masked 64 B text"
    yield message_row(small, "ascii", 64, ["aiohttp"], 8)
    yield message_row(small, "ascii", 64, ["websockets"], 60)
    yield message_row(small, "ascii", 64, ["wsproto"], 200)
    yield message_row("messages: masked 4 KiB ASCII text", "ascii", 4 * KIB, ["aiohttp"], 4)
    yield message_row("messages: masked 16 KiB ASCII text", "ascii", 16 * KIB, ["aiohttp"], 4)
    yield message_row("messages: masked 1 MiB ASCII text", "ascii", MIB, ["aiohttp", "websockets"], 2)
    for kind, target in [("cyrillic", 3), ("cjk", 3), ("mixed", 1.6)]:
        yield message_row(f"messages: masked 16 KiB {kind} chat", kind, 16 * KIB, ["aiohttp"], target)


def text_row(work: str, ours: str, text: str, target: float) -> Row:
    """Compare a function of one buffer, ``decode_utf8`` or ``is_utf8``, with ``bytes.decode``."""

    def sides() -> tuple[Side, list[Side]]:
        data = text.encode()
        function = getattr(wsfast, ours)
        same(function(data), text if ours == "decode_utf8" else True, work)
        return (
            call_side("wsfast", "function(data)", {"function": function, "data": data}),
            [call_side("bytes.decode", "data.decode()", {"data": data})],
        )

    return ratio_row(f"{ours}: {work}", target, sides)


def text_rows() -> Iterator[Row]:
    size = 16 * KIB
    decode = {"latin1": 4.0, "cyrillic": 3.0, "cjk": 3.0, "emoji": 1.6, "mixed": 1.5}
    for kind, target in decode.items():
        yield text_row(f"16 KiB {kind} chat", "decode_utf8", texts.natural_text(kind, size), target)
    for kind in texts.DENSE:
        yield text_row(
            f"16 KiB {kind} letters only", "decode_utf8", texts.dense_text(kind, size), decode[kind]
        )
    for length in (16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, MIB):
        yield text_row(f"{size_name(length)} ASCII", "decode_utf8", texts.ascii_text(length), 1)
    for kind in decode:
        yield text_row(f"16 KiB {kind} chat", "is_utf8", texts.natural_text(kind, size), 8)
    for kind in texts.DENSE:
        yield text_row(f"16 KiB {kind} letters only", "is_utf8", texts.dense_text(kind, size), 8)
    yield text_row("16 KiB ASCII", "is_utf8", texts.ascii_text(size), 3)


def mask_row(size: int, peer: str, target: float, twin: bool = False) -> Row:
    def sides() -> tuple[Side, list[Side]]:
        rng = random.Random(f"mask {size}")
        data, key = rng.randbytes(size), rng.randbytes(4)
        module: Any = backends()["python"] if twin else wsfast
        masker = maskers()[peer]
        same(module.apply_mask(data, key), masker.mask(data, key), f"apply_mask at {size} B")
        names = {"data": data, "key": key}
        return (
            call_side("wsfast", "mask(data, key)", {"mask": module.apply_mask, **names}),
            [call_side(f"{masker.name} {masker.version}", masker.call, {"mask": masker.mask, **names})],
        )

    name = "twin's apply_mask" if twin else "apply_mask"
    return ratio_row(f"{name}: {size_name(size)}", target, sides)


def mask_rows() -> Iterator[Row]:
    for size in (16, 32, 64, 128):
        yield mask_row(size, "websockets", 1.7)
    yield mask_row(MIB, "websockets", 1)


def encode_row(work: str, ours: str, theirs: str) -> Row:
    """Compare ``encode_frame`` with websockets' ``Frame`` on a 64-byte text, masked with fresh keys."""

    def sides() -> tuple[Side, list[Side]]:
        frames = websockets_modules()["frames"]
        text = texts.ascii_text(64)
        names = {
            "encode_frame": wsfast.encode_frame,
            "Frame": frames.Frame,
            "TEXT": frames.Opcode.TEXT,
            "text": text,
            "data": text.encode(),
            "frame": frames.Frame(frames.Opcode.TEXT, text.encode()),
        }
        for statement in (ours, theirs):
            wire = eval(statement, dict(names))
            same(wsfast.MessageDecoder("server").feed(wire), [text], statement)
        return (
            call_side("wsfast", ours, names),
            [call_side(f"websockets {version('websockets')}", theirs, names)],
        )

    return ratio_row(work, 15, sides)


def version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def encode_rows() -> Iterator[Row]:
    yield encode_row(
        "encode_frame: 64 B masked text from bytes, against a ready Frame's serialize",
        "encode_frame(1, data, mask=True)",
        "frame.serialize(mask=True)",
    )
    yield encode_row(
        "encode_frame: 64 B masked text from str",
        "encode_frame(1, text, mask=True)",
        "Frame(TEXT, text.encode()).serialize(mask=True)",
    )


def twin_rows() -> Iterator[Row]:
    for size in (16, KIB, MIB):
        yield mask_row(size, "websockets without C", 1, twin=True)
    for size in (64, 4 * KIB, 64 * KIB):
        work = f"twin's messages: masked {size_name(size)} ASCII text"
        yield message_row(work, "ascii", size, ["websockets without C"], 1, twin=True)
    work = "twin's messages: masked 16 KiB mixed chat"
    yield message_row(work, "mixed", 16 * KIB, ["websockets without C"], 1, twin=True)


# --- connections ------------------------------------------------------------------------------------

IN_FLIGHT = 128
"""Messages of 64 bytes that are under way at a time: 9 KiB, as one read brings them."""
DOCUMENTS = 16
"""Messages of 4 KiB that are: 64 KiB before they are compressed."""


def echo_row(
    work: str,
    peer: Callable[[], Ends],
    target: float | None,
    make_texts: Callable[[], Sequence[str]],
    *,
    pipelined: bool,
    compression: Compression | None = None,
    ours: Callable[[], Ends] = wsfast_ends,
) -> Row:
    """Compare a client and a server that talk over a socketpair, with its system calls."""

    def sides() -> tuple[Side, list[Side]]:
        chosen = make_texts()
        mine, other = (
            echo_side(library, chosen, pipelined=pipelined, compression=compression)
            for library in [ours(), peer()]
        )
        return mine, [other]

    return ratio_row(work, target, sides)


def small_texts() -> list[str]:
    return texts.messages("ascii", 64, IN_FLIGHT)


def documents() -> list[str]:
    """Return the captured documents and more of the kind: six fit into a window, and would repeat in it."""
    [stream] = load(["ws-json-4k-s2c"])
    captured = [m for m in wsfast.MessageDecoder("client").feed(stream.wire) if isinstance(m, str)]
    chosen = texts.documents(DOCUMENTS)
    same(chosen[: len(captured)], captured, "documents of 4 KiB")
    return chosen


def connection_rows() -> Iterator[Row]:
    work = f"Connection: echo of 64 B text over a socketpair, {IN_FLIGHT} in flight"
    for peer, target in [("websockets", 12), ("wsproto", 40)]:
        yield echo_row(work, partial(ends, peer), target, small_texts, pipelined=True)
    work = "Connection: echo of 64 B text over a socketpair, 1 in flight"
    for peer in ("websockets", "wsproto"):
        yield echo_row(work, partial(ends, peer), None, small_texts, pipelined=False)
    for compression in (Compression(12, 5), Compression(15, 8)):
        work = f"Connection: echo of 4 KiB JSON, permessage-deflate with {compression}, {DOCUMENTS} in flight"
        yield echo_row(
            work, partial(ends, "websockets"), 1, documents, pipelined=True, compression=compression
        )
        for name, module in zlib_modules().items():
            yield echo_row(
                f"{work}, {name}",
                partial(wsfast_ends, "wsfast with zlib"),
                None,
                documents,
                pipelined=True,
                compression=compression,
                ours=partial(wsfast_ends, zlib=module),
            )


# --- rows with a limit ------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The environment for subprocesses: they import the same wsfast."""
    folder = str(Path(wsfast.__file__).resolve().parent.parent)
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    # Installed packages have their bytecode beside them; so has this one, from the first run on.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths)}


def import_row() -> Row:
    work, limit = "import wsfast, on top of a bare interpreter", 0.015

    def measure(options: Options) -> Result:
        least = {"pass": 60.0, "import wsfast": 60.0}
        for _ in range(options.repeats * 3):
            for code in least:
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True, env=environment())
                least[code] = min(least[code], time.perf_counter() - start)
        extra = least["import wsfast"] - least["pass"]
        return limit_result(work, f"+ {seconds(extra)}", f"+ {seconds(limit)}", extra <= limit)

    return Row(work, measure)


def limit_result(work: str, ours: str, target: str, met: bool) -> Result:
    return Result(work, "-", ours, "-", None, None, None, f"{target} at most", met)


def attack(scenario: str, *arguments: str) -> dict[str, Any]:
    script = str(Path(__file__).with_name("memory.py"))
    command = [sys.executable, script, scenario, *arguments]
    result = subprocess.run(command, check=True, env=environment(), capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def memory_row(
    work: str,
    scenario: str,
    limit: int | None,
    time_limit: float | None = None,
    *,
    backend: str | None = None,
    figure: str = "traced",
    slow: bool = False,
) -> Row:
    """Compare the memory that a scenario takes with a limit, by its peak or, as "held", between reads."""

    def measure(options: Options) -> Result:
        chosen = () if backend is None else ("--backend", backend)
        traced = attack(scenario, "--trace", *chosen)[figure]
        untraced = [attack(scenario, *chosen) for _ in range(2 if slow else options.repeats)]
        # Reading the peak takes some memory, and Linux keeps count in batches.
        unavoidable = min(attack("nothing")["resident"] for _ in range(options.repeats))
        resident = max(0, min(run["resident"] for run in untraced) - unavoidable)
        least = min(run["seconds"] for run in untraced)
        ours = f"+ {traced / KIB:.0f} KiB ({resident / KIB:.0f} KiB resident), {seconds(least)}"
        targets = [f"+ {amount(limit)}"] if limit else []
        targets += [seconds(time_limit)] if time_limit else []
        met = max(traced, resident) <= (limit or traced + resident) and least <= (time_limit or least)
        return limit_result(work, ours, ", ".join(targets), met)

    return Row(work, measure)


def amount(size: int) -> str:
    """Write a number of bytes that may be a round one of either kind."""
    return f"{size / 10**6:g} MB" if size % 10**5 == 0 else size_name(size)


def idle_row(work: str, kind: str, limit: int | None, backend: str) -> Row:
    """Measure an idle connection, one of a thousand."""

    def measure(options: Options) -> Result:
        traced = attack(kind, "--trace", "--backend", backend)["traced"]
        resident = min(attack(kind, "--backend", backend)["resident"] for _ in range(3))
        ours = f"{traced / KIB:.1f} KiB ({resident / KIB:.1f} KiB resident)"
        if limit is None:
            return Result(work, "-", ours, "-", None, None, None, "-", None)
        return limit_result(work, ours, size_name(limit), traced <= limit)

    return Row(work, measure)


def limit_rows() -> Iterator[Row]:
    yield import_row()
    yield memory_row("memory: 10^6 one-byte fragments of one message", "fragments", 4 * MIB, 0.15)
    yield memory_row("memory: header declaring 2^62 bytes, nothing after", "header-2^62", 64 * KIB)
    yield memory_row("memory: header declaring the limit, nothing after", "header-limit", 64 * KIB)
    for backend in backends():
        yield from attack_rows(backend)


def attack_rows(backend: str) -> Iterator[Row]:
    """What a Connection takes under attack, and when nothing happens."""
    who = {"c": "Connection", "python": "twin's Connection"}[backend]
    slow = backend == "python"

    def row(what: str, scenario: str, limit: int | None, time_limit: float | None = None, **how: Any) -> Row:
        how = {"slow": slow, **how}
        return memory_row(f"{who}: {what}", scenario, limit, time_limit, backend=backend, **how)

    yield row("10^6 one-byte fragments", "connection-fragments", 4_000_000)
    yield row("2 x 10^6 empty fragments", "connection-empty-fragments", 500_000)
    yield row("10^9 zeros, compressed, with a limit of 1 MiB", "connection-bomb", 2_200_000, slow=False)
    work = "10^6 pings of 125 B that nobody answers, in reads of 64 KiB: held between reads"
    yield row(work, "connection-pings", 64 * KIB, figure="held", slow=True)
    work = "10^6 pings of 125 B that nobody answers, each a read"
    yield row(work, "connection-pings-each", 64 * KIB, slow=True)
    yield row("a request's head of 64 KiB, byte by byte", "connection-head", MIB, 0.05)
    yield row("a response's head of 64 KiB, byte by byte", "connection-response-head", MIB, 0.05)
    for kind in IDLE:
        limit = 2 * KIB if kind == "plain" and backend == "c" else None
        yield idle_row(f"{who}: idle, {kind}", kind, limit, backend)


def linear_row(what: str, backend: str, n: int) -> Row:
    """Compare the time of an attack with that of one of half its size."""
    who = {"c": "Connection", "python": "twin's Connection"}[backend]
    work = f"{who}: t(2n) / t(n), {what}"
    limit = 2.3

    def measure(options: Options) -> Result:
        chosen, module = LINEAR[what], backends()[backend]
        streams = [list(chosen.reads(size)) for size in (n, 2 * n)]
        times: list[list[float]] = [[], []]
        # The collector's time depends on all that is alive in this process: the streams.
        gc.collect()
        gc.disable()
        try:
            # Work that is not linear never gets there; on a busy machine the rest takes more repeats.
            while len(times[0]) < options.repeats or (
                min(times[1]) > limit * min(times[0]) and len(times[0]) < 5 * options.repeats
            ):
                for stream, its in zip(streams, times, strict=True):
                    its.append(time_of(chosen, module, stream))
        finally:
            gc.enable()
        once, twice = map(min, times)
        ratios = sorted(two / one for one, two in zip(*times, strict=True))
        return Result(
            work,
            "half of it",
            seconds(twice),
            seconds(once),
            twice / once,
            ratios[len(ratios) // 2],
            (ratios[0], ratios[-1]),
            f"{limit:g} x at most",
            twice / once <= limit,
        )

    return Row(work, measure)


def time_of(chosen: Attack, module: Any, stream: Sequence[bytes]) -> float:
    feed = chosen.victim(module)
    start = time.thread_time()
    for read in stream:
        feed(read)
    return time.thread_time() - start


def linear_rows() -> Iterator[Row]:
    """Sizes that take some milliseconds: in bytes where things come byte by byte, or else in frames."""
    frames = {"fragments of one byte": 100_000, "empty fragments": 100_000}
    for backend in backends():
        for what in LINEAR:
            n = frames.get(what, 2_000 if "pings" in what else 50_000)
            yield linear_row(what, backend, n if backend == "c" else n // 5)


# --- the table --------------------------------------------------------------------------------------


def all_rows() -> list[Row]:
    return [
        *(*message_rows(), *text_rows(), *mask_rows(), *encode_rows(), *connection_rows(), *twin_rows()),
        *(*limit_rows(), *linear_rows()),
    ]


def markdown(results: Sequence[Result]) -> str:
    """Write the table, misses first."""
    lines = [
        "| work | against | wsfast | peer | ratio | median (range) | target | |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for result in sorted(results, key=lambda result: result.met is not False):
        ratio = median = "-"
        if result.ratio is not None and result.median is not None and result.spread is not None:
            low, high = result.spread
            ratio = f"**{result.ratio:.3g} x**"
            median = f"{result.median:.3g} ({low:.3g}-{high:.3g})"
        verdict = {True: "met", False: "**missed**", None: "-"}[result.met]
        cells = [result.work, result.peer, result.ours, result.theirs, ratio, median, result.target, verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure wsfast against its targets.")
    parser.add_argument(
        "--only", metavar="PATTERN", help="only rows whose work matches this regular expression"
    )
    parser.add_argument("--quick", action="store_true", help="3 short repeats: a glance, not a measurement")
    parser.add_argument("--repeats", type=int, default=9, help="repeats of each timing (default: 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 when a target is missed")
    arguments = parser.parse_args()
    absent = {"aiohttp", "websockets", "wsproto"} - decoders().keys() or {"websockets"} - maskers().keys()
    if absent:
        parser.error(f"not installed, or not compiled: {', '.join(absent)}; see bench/README.md")
    options = Options(3, 0.004) if arguments.quick else Options(arguments.repeats, 0.02)
    where = machine()
    print(", ".join(where.values()), file=sys.stderr)
    rows = [row for row in all_rows() if re.search(arguments.only or "", row.work, re.IGNORECASE)]
    if not rows:
        parser.error(f"no row matches {arguments.only!r}")
    results = []
    for index, row in enumerate(rows, 1):
        print(f"[{index}/{len(rows)}] {row.work}", file=sys.stderr, flush=True)
        results.append(row.measure(options))
    judged = [result.met for result in results if result.met is not None]
    missed = judged.count(False)
    print(f"{len(judged) - missed} of {len(judged)} targets met. {', '.join(where.values())}.\n")
    print(markdown(results))
    if arguments.json:
        figures = {"machine": where, "results": [asdict(result) for result in results]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
