"""Try every scenario with every peer, and show a table.

  python tests/interop/matrix.py                   every peer that is there
  python tests/interop/matrix.py aiohttp --only deflate
  python tests/interop/matrix.py --write           and write docs/interop.md; needs all of them

README.md beside this file tells what the peers need. The exit status is 1 if a scenario failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from interop_peers import PEERS
from link import Peer, Unavailable
from scenarios import GROUPS, ROLES, SCENARIOS, Scenario, lacking, try_out

import wsfast

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "interop.md"
TEXT = """\
<!-- Made by `python tests/interop/matrix.py --write`. Do not edit by hand. -->

# Interoperability

The client and the server of `wsfast.asyncio` with other implementations, each as the server of the
other: [tests/interop](../tests/interop/README.md) has the table of what is said, and every message, code
and reason is compared with what was sent. A number is how many scenarios went well, of how many; `–`
stands where the peer's API has no such thing.

Text is ASCII, Cyrillic, Chinese, Japanese, Korean, emoji, nothing at all; binary is every byte, and
nothing. A scenario that is called compressed also checks that both ends say so. Fragments of text are cut
inside of characters where the peer lets a program do so. Connections are closed with 1000, 1001, 3000,
4999 and no code, with reasons in UTF-8.

{versions}.

{tables}
{failures}
"""

#: What went wrong in each scenario, by peer and role; empty if nothing did.
Results = dict[tuple[str, str], dict[str, str]]


def run_peer(peer: Peer, chosen: list[Scenario], found: Results) -> None:
    for role in ROLES:
        faults = found[peer.name, role] = {}
        for scenario in chosen:
            if lacking(scenario, peer, role):
                continue
            try:
                try_out(scenario, peer, role)
            except Exception as exc:
                faults[scenario.name] = f"{type(exc).__name__}: {exc}"
                print(f"{peer.name}, wsfast as the {role}: {scenario.name}: {exc}", file=sys.stderr)
            else:
                faults[scenario.name] = ""


def rows(names: list[str], role: str, chosen: list[Scenario], found: Results) -> Iterator[str]:
    names = [name for name in names if found[name, role]]
    yield "| | " + " | ".join(names) + " |"
    yield "|---|" + "--:|" * len(names)
    for group in [*GROUPS, ""]:
        of_group = [each.name for each in chosen if not group or each.group == group]
        if not of_group:
            continue
        cells = []
        for name in names:
            faults = [found[name, role][each] for each in of_group if each in found[name, role]]
            cell = f"{sum(not fault for fault in faults)}/{len(faults)}" if faults else "–"
            cells.append(cell if group else f"**{cell}**")
        yield f"| {group or '**all**'} | {' | '.join(cells)} |"


def report(names: list[str], versions: list[str], chosen: list[Scenario], found: Results) -> str:
    tables = []
    for role in ROLES:
        if any(found[name, role] for name in names):
            tables += [f"## wsfast as the {role}", "", *rows(names, role, chosen, found), ""]
    failed = [
        f"- {name}, wsfast as the {role}: {scenario}: {fault}"
        for (name, role), faults in found.items()
        for scenario, fault in faults.items()
        if fault
    ]
    return TEXT.format(
        versions="Versions: " + "; ".join(versions),
        tables="\n".join(tables),
        failures="\n".join(["## What failed", "", *failed]) if failed else "Nothing failed.",
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    known = {peer.name: peer for peer in PEERS}
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"default: all of {', '.join(known)}")
    parser.add_argument("--only", metavar="TEXT", default="", help="only scenarios with this in their names")
    parser.add_argument("--write", action="store_true", help="write docs/interop.md")
    options = parser.parse_args()
    if unknown := [name for name in options.peers if name not in known]:
        parser.error(f"there is no {unknown[0]!r}")
    if options.write and (options.peers or options.only):
        parser.error("--write is for all peers and scenarios: the table has to be whole")
    chosen = [each for each in SCENARIOS if options.only in each.name]

    found: Results = {}
    versions = [f"wsfast {wsfast.__version__} ({wsfast.backend})"]
    names = []
    for name in options.peers or known:
        peer = known[name]
        try:
            peer.start()
        except Unavailable as exc:
            if options.write:
                parser.error(f"--write is for all peers, and there is no {name}: {exc}")
            print(f"{name}: {exc}: left out", file=sys.stderr)
            continue
        try:
            versions.append(peer.version())
            names.append(name)
            print(f"{name}: {versions[-1]}", file=sys.stderr)
            run_peer(peer, chosen, found)
        finally:
            peer.stop()

    text = report(names, list(dict.fromkeys(versions)), chosen, found)
    if options.write:
        PAGE.write_text(text, "utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
    else:
        print(text[text.index("Versions:") :], end="")
    faults = [fault for each in found.values() for fault in each.values()]
    failed = sum(fault != "" for fault in faults)
    print(f"{len(faults) - failed} passed, {failed} failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
