"""Turn figures into a Markdown table and a chart: ``python bench/report.py FILE.json [--svg CHART.svg]``.

FILE.json is what ``pytest bench --benchmark-json FILE.json`` or ``bench/targets.py --json FILE.json`` wrote.
Charts need matplotlib. They bring a light background of their own, so that they can be read on any page.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The table of targets.json is the one that targets.py prints.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

BACKGROUND = "#fbfbfd"
TEXT = "#24292f"
FAINT = "#8c959f"
WSFAST = "#d1495b"
PEERS = {
    "wsfast python": "#edae49",
    "aiohttp": "#00798c",
    "websockets": "#30638e",
    "wsproto": "#7b4fa3",
    "picows": "#4d8b31",
}
MISSED = "#8c959f"
ISAS = ("avx512", "avx2", "sse4.1", "neon", "scalar")
"""Best first: the first one measured stands for wsfast."""


@dataclass(frozen=True)
class Group:
    """Contenders that did the same work: seconds per operation of each."""

    operation: str
    work: str
    payload_bytes: int
    times: dict[str, float]

    @property
    def label(self) -> str:
        """The work, with the names of captured streams spelled out."""
        parts = self.work.split("-")
        if parts[-1] not in ("c2s", "s2c"):
            return self.work
        masked = "masked" if parts[-1] == "c2s" else "unmasked"
        return f"{' '.join(parts[1:-1])}, {masked} by {parts[0]}"


# --- pytest-benchmark's figures ---------------------------------------------------------------------


def groups_of(figures: dict[str, Any], every_isa: bool = False) -> list[Group]:
    """Collect the least time of each contender, group by group."""
    collected: dict[str, Group] = {}
    for benchmark in figures["benchmarks"]:
        operation, _, work = benchmark["group"].partition(", ")
        extra = benchmark["extra_info"]
        group = collected.setdefault(
            benchmark["group"], Group(operation, work or operation, extra["payload_bytes"], {})
        )
        group.times[extra["contender"]] = benchmark["stats"]["min"] / extra["operations"]
    if every_isa:
        return list(collected.values())
    return [
        Group(group.operation, group.work, group.payload_bytes, best_isa(group.times))
        for group in collected.values()
    ]


def best_isa(times: dict[str, float]) -> dict[str, float]:
    """Keep one kernel set of wsfast, the one that it would choose, and the twin."""
    kept = {}
    for isa in ISAS:
        if f"wsfast {isa}" in times:
            kept["wsfast"] = times[f"wsfast {isa}"]
            break
    dropped = {f"wsfast {isa}" for isa in ISAS}
    return kept | {name: time for name, time in times.items() if name not in dropped}


def is_wsfast(contender: str) -> bool:
    return contender.split()[0] == "wsfast"


def seconds(value: float) -> str:
    """Write a time with three significant figures."""
    for unit, factor in [("ns", 1e9), ("µs", 1e6), ("ms", 1e3)]:
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def markdown(groups: Sequence[Group]) -> str:
    """Write a table per operation: a row per work, a column per contender, the fastest in bold."""
    tables = []
    for operation in dict.fromkeys(group.operation for group in groups):
        rows = [group for group in groups if group.operation == operation]
        found = dict.fromkeys(name for row in rows for name in row.times)
        contenders = sorted(found, key=lambda name: not is_wsfast(name))
        lines = [
            f"### {operation}\n",
            f"| | {' | '.join(contenders)} | best peer / wsfast |",
            f"|---|{'---:|' * (len(contenders) + 1)}",
        ]
        for row in rows:
            least = min(row.times.values())
            cells = []
            for name in contenders:
                time = row.times.get(name)
                written = "" if time is None else seconds(time)
                cells.append(f"**{written}**" if time == least else written)
            lines.append(f"| {row.label} | {' | '.join(cells)} | {advantage(row)} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def summary(groups: Sequence[Group], chart: str, caption: str) -> str:
    """Write the part of a README: the chart, and the table of captured traffic without the side lines."""
    rows = [
        Group(
            group.operation,
            group.work,
            group.payload_bytes,
            {name: time for name, time in group.times.items() if contender(name) in {"wsfast", *PEERS}},
        )
        for group in groups
        if is_captured(group)
    ]
    table = markdown(rows).partition("\n\n")[2]
    alt = "Payload decoded per second by wsfast and other libraries, on captured traffic"
    return f"![{alt}]({chart})\n\nTime per message, captured traffic. {caption}.\n\n{table}"


def insert(path: Path, text: str) -> None:
    """Replace what stands between the two comments in a README."""
    begin, end = "<!-- bench:begin -->", "<!-- bench:end -->"
    before, found_begin, rest = path.read_text("utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise SystemExit(f"{path} has no {begin} ... {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def is_captured(group: Group) -> bool:
    return group.operation == "messages" and group.label != group.work


def advantage(group: Group) -> str:
    """How many times longer the best peer takes than wsfast."""
    ours = [time for name, time in group.times.items() if is_wsfast(name)]
    theirs = [time for name, time in group.times.items() if not is_wsfast(name)]
    return f"{min(theirs) / min(ours):.3g} x" if ours and theirs else ""


def where(figures: dict[str, Any]) -> str:
    machine = figures.get("machine") or figures["machine_info"]["wsfast"]
    return ", ".join(machine.values())


# --- charts -----------------------------------------------------------------------------------------


def figure(height: float) -> tuple[Any, Any, Any]:
    """An empty chart in the house's colours: pyplot, figure, axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "svg.hashsalt": "wsfast",
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": TEXT,
            "axes.labelcolor": TEXT,
            "xtick.color": TEXT,
            "ytick.color": TEXT,
        }
    )
    chart, axes = pyplot.subplots(figsize=(9, height), facecolor=BACKGROUND)
    axes.set_facecolor(BACKGROUND)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(axis="y", length=0)
    axes.set_xscale("log")
    axes.grid(axis="x", color="#d8dee4", linewidth=0.7)
    axes.set_axisbelow(True)
    return pyplot, chart, axes


def throughput_chart(groups: Sequence[Group], caption: str, path: Path) -> None:
    """Draw the payload bytes per second of each contender on the captured traffic: a line per stream."""
    rows = [group for group in groups if is_captured(group)]
    if not rows:
        raise SystemExit("no figures of captured traffic: run bench/test_bench_messages.py")
    pyplot, chart, axes = figure(2 + 0.42 * len(rows))
    colours = {"wsfast": WSFAST, **PEERS}
    for y, row in enumerate(reversed(rows)):
        rates = {name: row.payload_bytes / time / 1e6 for name, time in row.times.items()}
        drawn = {contender(name): rate for name, rate in rates.items() if contender(name) in colours}
        axes.plot([min(drawn.values()), max(drawn.values())], [y, y], color="#d8dee4", linewidth=3, zorder=1)
        for name, rate in drawn.items():
            ours = name == "wsfast"
            axes.scatter(
                [rate],
                [y],
                s=110 if ours else 55,
                marker="D" if ours else "o",
                color=colours[name],
                edgecolor=BACKGROUND,
                linewidth=0.8,
                zorder=4 if ours else 3,
            )
        if "wsfast" in drawn:
            axes.annotate(
                advantage(row).replace(" x", "×"),
                (drawn["wsfast"], y),
                xytext=(11, 0),
                textcoords="offset points",
                va="center",
                color=WSFAST,
                fontweight="bold",
            )
    axes.set_yticks(range(len(rows)), [row.label for row in reversed(rows)])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * 2.2)
    axes.xaxis.set_major_formatter(pyplot.FuncFormatter(rate_name))
    axes.set_xlabel("payload decoded per second, logarithmic (×: against the best other library)")
    shown = {contender(name) for row in rows for name in row.times}
    marks = [
        pyplot.Line2D(
            [],
            [],
            linestyle="",
            marker="D" if name == "wsfast" else "o",
            color=colour,
            label="wsfast without C" if name == "wsfast python" else name,
        )
        for name, colour in colours.items()
        if name in shown
    ]
    chart.legend(
        handles=marks,
        loc="upper left",
        bbox_to_anchor=(0, 0.945),
        ncol=len(marks),
        frameon=False,
        handletextpad=0.1,
    )
    finish(chart, "Decoding captured WebSocket traffic, bytes in to messages out", caption, path, top=0.93)


def rate_name(rate: float, _position: int) -> str:
    return f"{rate / 1000:g} GB/s" if rate >= 1000 else f"{rate:g} MB/s"


def contender(name: str) -> str:
    """The name without the version."""
    words = name.split()
    return name if words[0] == "wsfast" else " ".join(word for word in words if not word[0].isdigit())


def targets_chart(results: Sequence[dict[str, Any]], caption: str, path: Path) -> None:
    """Draw each ratio as a bar and its target as a tick."""
    rows = [result for result in results if result["ratio"] is not None]
    _, chart, axes = figure(1.3 + 0.27 * len(rows))
    for y, result in enumerate(reversed(rows)):
        colour = WSFAST if result["met"] else MISSED
        axes.barh(y, result["ratio"] - 1, left=1, height=0.62, color=colour)
        target = float(result["target"].split()[0])
        axes.plot([target, target], [y - 0.42, y + 0.42], color=TEXT, linewidth=1.6)
        axes.annotate(
            f"{result['ratio']:.3g}×",
            (max(result["ratio"], target), y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    labels = [f"{result['work']}  ·  {result['peer']}" for result in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(lambda ratio, _position: f"{ratio:g}×")
    axes.set_xlabel("times as fast as the peer, logarithmic (tick: target; grey: missed)", loc="right")
    finish(chart, "wsfast against its targets", caption, path, top=0.99)


def finish(chart: Any, title: str, caption: str, path: Path, top: float) -> None:
    chart.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    chart.text(0.01, 0.004, caption, fontsize=7.5, color=FAINT)
    chart.tight_layout(rect=(0, 0.02, 1, top))
    chart.savefig(
        path, facecolor=BACKGROUND, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn measurements into a Markdown table and a chart.")
    parser.add_argument("figures", type=Path, help="JSON of pytest-benchmark or of targets.py")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="draw a chart, too (.svg, or .png to look at)"
    )
    parser.add_argument("--readme", type=Path, metavar="FILE", help="put chart and main table into this file")
    parser.add_argument("--isas", action="store_true", help="a column for each kernel set of wsfast")
    arguments = parser.parse_args()
    figures = json.loads(arguments.figures.read_text("utf-8"))
    if "results" in figures:
        import targets

        print(targets.markdown([targets.Result(**result) for result in figures["results"]]))
        if arguments.svg:
            targets_chart(figures["results"], where(figures), arguments.svg)
        return
    print(markdown(groups_of(figures, arguments.isas)))
    print(f"\nLeast time of an operation. {where(figures)}.")
    if arguments.svg:
        throughput_chart(groups_of(figures), where(figures), arguments.svg)
    if arguments.readme:
        if not arguments.svg:
            parser.error("--readme needs --svg, the chart to show")
        chart = os.path.relpath(arguments.svg, arguments.readme.parent).replace(os.sep, "/")
        insert(arguments.readme, summary(groups_of(figures), chart, where(figures)))


if __name__ == "__main__":
    main()
