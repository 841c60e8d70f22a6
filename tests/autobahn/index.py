"""Write docs/autobahn.md from reports of full runs: ``python tests/autobahn/index.py REPORT``.

REPORT is what ``run.py --report REPORT`` wrote, for both roles and both backends; in one go or several.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from suite import CASES, Result, read_results

PAGE = Path(__file__).resolve().parents[2] / "docs" / "autobahn.md"
RUNS = [f"{role}-{backend}" for role in ("server", "client") for backend in ("c", "python")]
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
[`wsfast.Connection`](../tests/autobahn/README.md) as a server and as a client, with the compiled backend
(c) and the pure-Python one. A number is that of the cases graded OK or INFORMATIONAL, for what was said
and for how the connection was closed; in brackets, how many of those are INFORMATIONAL: there the suite
knows no right or wrong.

{table}

{failures}
"""


def cell(results: list[Result]) -> str:
    passed = [result for result in results if result.passed]
    informational = sum("INFORMATIONAL" in (result.behavior, result.close) for result in passed)
    return f"{len(passed)}/{len(results)}" + (f" ({informational})" if informational else "")


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/autobahn.md from the reports of full runs.")
    parser.add_argument("report", type=Path, help="the folder that `run.py --report` wrote to")
    report = parser.parse_args().report
    runs = {run: list(read_results(report / run, f"wsfast-{run}").values()) for run in RUNS}
    incomplete = [f"{run} has {len(results)}" for run, results in runs.items() if len(results) != CASES]
    if incomplete:
        print(f"not {CASES} cases: {', '.join(incomplete)}", file=sys.stderr)
        return 1
    lines = [
        f"| cases | {' | '.join(run.replace('-', ', ') for run in RUNS)} |",
        "|---|" + "--:|" * len(RUNS),
    ]
    for number, name in GROUPS.items():
        of_group = [[r for r in runs[run] if r.case.split(".")[0] == str(number)] for run in RUNS]
        lines.append(f"| {number}.\\* {name} | {' | '.join(map(cell, of_group))} |")
    lines.append(f"| **all** | {' | '.join(f'**{cell(runs[run])}**' for run in RUNS)} |")
    failures = [f"{run} {r.case}: {r.behavior}, {r.close}" for run in RUNS for r in runs[run] if not r.passed]
    text = "\n".join(f"- {failure}" for failure in failures) or "No case failed."
    PAGE.write_text(TEXT.format(cases=CASES, table="\n".join(lines), failures=text), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
