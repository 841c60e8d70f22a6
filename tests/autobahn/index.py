"""Write docs/autobahn.md from reports of full runs: ``python tests/autobahn/index.py REPORT``.

REPORT is what ``run.py --report REPORT`` wrote, for both roles and both backends; in one go or several. The
part about a layer that has no run in REPORT stays as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from run import LAYERS, ROLES
from suite import CASES, Result, read_results, run_name

PAGE = Path(__file__).resolve().parents[2] / "docs" / "autobahn.md"
RUNS = [(role, backend) for role in ROLES for backend in ("c", "python")]
GROUPS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing handshake",
    9: "large and many messages",
    10: "automatic fragmentation",
    12: "compression, by message size",
    13: "compression, by parameters",
}
TEXT = """\
<!-- Made by `python tests/autobahn/index.py REPORT`. Do not edit by hand. -->

# The Autobahn TestSuite

All {cases} cases of the [Autobahn TestSuite](https://github.com/crossbario/autobahn-testsuite), put to
wsfast as a server and as a client, with the compiled backend (c) and the pure-Python one: to
`wsfast.Connection` behind [a small transport](../tests/autobahn/README.md), and to the client and server
of `wsfast.asyncio`. A number is that of the cases graded OK or INFORMATIONAL, for what was said and for
how the connection was closed; in brackets, how many of those are INFORMATIONAL: there the suite knows no
right or wrong.
"""
TITLES = {"connection": "## wsfast.Connection", "asyncio": "## wsfast.asyncio"}


def cell(results: list[Result]) -> str:
    passed = [result for result in results if result.passed]
    informational = sum("INFORMATIONAL" in (result.behavior, result.close) for result in passed)
    return f"{len(passed)}/{len(results)}" + (f" ({informational})" if informational else "")


def section(runs: dict[str, list[Result]]) -> str:
    """Write the table of one layer, and what failed."""
    lines = [f"| cases | {' | '.join(runs)} |", "|---|" + "--:|" * len(runs)]
    for number, name in GROUPS.items():
        of_group = [[r for r in results if r.case.split(".")[0] == str(number)] for results in runs.values()]
        lines.append(f"| {number}.\\* {name} | {' | '.join(map(cell, of_group))} |")
    lines.append(f"| **all** | {' | '.join(f'**{cell(results)}**' for results in runs.values())} |")
    failures = [
        f"- {name}, {r.case}: {r.behavior}, {r.close}"
        for name, results in runs.items()
        for r in results
        if not r.passed
    ]
    return "\n".join([*lines, "", *(failures or ["No case failed."])]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/autobahn.md from the reports of full runs.")
    parser.add_argument("report", type=Path, help="the folder that `run.py --report` wrote to")
    report = parser.parse_args().report
    before = PAGE.read_text("utf-8") if PAGE.is_file() else ""
    text = TEXT.format(cases=CASES)
    for layer in LAYERS:
        names = {run: run_name(layer, *run) for run in RUNS}
        runs = {
            ", ".join(run): list(read_results(report / name, f"wsfast-{name}").values())
            for run, name in names.items()
        }
        title = TITLES[layer]
        kept = re.search(rf"^{re.escape(title)}\n\n(.*?)(?=\n## |\Z)", before, re.MULTILINE | re.DOTALL)
        if kept and not any(runs.values()):
            print(f"{title.strip('# ')}: not in {report}, stays as it was")
            text += f"\n{title}\n\n{kept[1]}"
            continue
        if incomplete := [f"{run} has {len(done)}" for run, done in runs.items() if len(done) != CASES]:
            print(f"{layer}: not {CASES} cases: {'; '.join(incomplete)}", file=sys.stderr)
            return 1
        text += f"\n{title}\n\n{section(runs)}"
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
