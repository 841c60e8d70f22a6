"""Measure every library with wsfast against itself as it is, and make docs/hosts/figures.md.

``python bench/hosts/publish.py --write`` measures the programs of ``wsfast.cli.hosts`` whose libraries are
installed (dependency group ``hosts``) as ``python -m wsfast bench`` does, with more pairs, and writes the
whole table, the rows without a gain too. ``--only`` measures some of them, and keeps the others' rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from measure import machine, size_name

from wsfast.cli.hosts import PROGRAMS
from wsfast.cli.loopback import SIZES, TRAFFIC, available, measure_all

FIGURES = Path(__file__).with_name("figures.json")
PAGE = ROOT / "docs" / "hosts" / "figures.md"
TEXT = """\
<!-- Made by `python bench/hosts/publish.py --write`. Do not edit by hand. -->

# What each library gains

CPU time of a process per message: the library as it is / the same after `wsfast.install()`. The median
of {pairs} interleaved pairs, and their range; below it the least times in microseconds. Above 1 is faster
with wsfast. Text; the libraries' default settings, asyncio's event loop; the other end of the connection
is another process. "deflate" is with permessage-deflate agreed upon and every message compressed.

How to read it: a ping-pong is mostly event loop and system calls, which wsfast does not touch, and a large
compressed message is mostly zlib. `python -m wsfast bench` measures the same on your machine.

{machine}

{tables}
"""


def table(entries: list[dict[str, Any]]) -> str:
    lines = ["| | " + " | ".join(size_name(size) for size in SIZES) + " |", "|---|" + "--:|" * len(SIZES)]
    for compressed in (False, True):
        for traffic in TRAFFIC:
            row = [e for e in entries if (e["traffic"], e["compressed"]) == (traffic, compressed)]
            if row:
                cells = " | ".join(map(cell, row))
                lines.append(f"| {traffic}{', deflate' if compressed else ''} | {cells} |")
    return "\n".join(lines)


def cell(entry: dict[str, Any]) -> str:
    stock, ours = (min(entry[side]) * 1e6 for side in ("stock", "wsfast"))
    return (
        f"**{entry['ratio']:.2f}** ({entry['least']:.2f}-{entry['most']:.2f})"
        f"<br>{stock:.{digits(stock)}f} / {ours:.{digits(ours)}f}"
    )


def digits(microseconds: float) -> int:
    return 2 if microseconds < 10 else 1 if microseconds < 100 else 0


def section(name: str, figures: dict[str, Any]) -> str:
    versions = ", ".join(f"{library} {version}" for library, version in figures["versions"].items())
    return f"## {PROGRAMS[name].title}\n\n{versions}\n\n{table(figures['entries'])}"


def progress(text: str) -> None:
    if ": pair 1 of " in text:
        print(text.partition(":")[0], file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Measure libraries as they are and with wsfast; print the table.",
        epilog="A library is measured where it is installed: python -m pip install --group hosts.",
    )
    parser.add_argument("--only", metavar="A,B", help=f"some of: {', '.join(PROGRAMS)}")
    parser.add_argument("--pairs", type=int, default=9, help="how often each is measured (default: 9)")
    parser.add_argument("--quick", action="store_true", help="64 B and 4 KiB, uncompressed: a glance")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a ratio is below 0.95")
    options = parser.parse_args()
    names = available() if options.only is None else options.only.split(",")
    if unknown := [name for name in names if name not in PROGRAMS]:
        parser.error(f"no program {unknown[0]!r}: {', '.join(PROGRAMS)}")
    if options.write and options.quick:
        parser.error("a glance is nothing to publish: --write without --quick")
    entries, failures = measure_all(names, options.quick, progress, options.pairs)
    measured = {
        name: {"versions": PROGRAMS[name].versions, "entries": [e for e in entries if e["program"] == name]}
        for name in names
        if name not in failures
    }
    for name, reason in failures.items():
        print(f"{name}: {reason}", file=sys.stderr)
    if options.write:
        known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {"programs": {}}
        known["programs"].update(measured)
        known["pairs"] = options.pairs
        known["machine"] = ", ".join(machine().values()) + "."
        FIGURES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        order = [name for name in PROGRAMS if name in known["programs"]]
        tables = "\n\n".join(section(name, known["programs"][name]) for name in order)
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(
            TEXT.format(pairs=known["pairs"], machine=known["machine"], tables=tables), encoding="utf-8"
        )
        print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
    print("\n\n".join(section(name, figures) for name, figures in measured.items()))
    slow = [entry for entry in entries if entry["ratio"] < 0.95]
    for entry in slow:
        what = f"{entry['traffic']} {size_name(entry['bytes'])}{', deflate' if entry['compressed'] else ''}"
        print(f"below 0.95: {entry['program']}, {what}: {entry['ratio']:.2f}", file=sys.stderr)
    return 1 if failures or (slow and options.strict) else 0


if __name__ == "__main__":
    sys.exit(main())
