"""Count what ``Connection`` adds to the functions below it: ``python bench/instructions.py``.

Each work runs ``n`` and ``2 n`` times in a process of its own under valgrind's callgrind; the difference
divided by ``n`` is what one call takes, without the start of the interpreter. Unlike times, that does not
depend on what else the machine does. Prints a Markdown table; --strict fails if something is above its limit.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# Run from a checkout, measure that checkout.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import wsfast

LIMIT = 0.15
"""How much more a connection may take than what it is built on."""

SETUP = """\
import sys
from itertools import repeat
from wsfast import Connection, MessageDecoder, Opcode, encode_frame
TEXT = Opcode.TEXT
text = "The quick brown fox jumps over the lazy dog. 0123456789, and so "
assert len(text) == 64
frame = encode_frame(TEXT, text, mask=b"\\x37\\xfa\\x21\\x3d")
read = (frame * 1000)[: 65536 // len(frame) * len(frame)]
def work(times):
    {setup}
    for _ in repeat(None, times):
        {statement}
work({times})
"""


@dataclass(frozen=True)
class Work:
    """A statement, and how often it is run at first."""

    statement: str
    setup: str = "pass"
    n: int = 20_000


SERVER = "connection = Connection.established('server')"
CLIENT = "connection = Connection.established('client')"
DECODER = "decoder = MessageDecoder('server')"

PAIRS: list[tuple[str, Work, Work]] = [
    (
        "in: 64 B masked text, a frame per call, bound methods",
        Work("receive(frame)", f"{SERVER}; receive = connection.receive_data"),
        Work("feed(frame)", f"{DECODER}; feed = decoder.feed"),
    ),
    (
        "in: 64 B masked text, a frame per call",
        Work("connection.receive_data(frame)", SERVER),
        Work("decoder.feed(frame)", DECODER),
    ),
    (
        "in: 64 B masked text, reads of 64 KiB",
        Work("connection.receive_data(read)", SERVER, 50),
        Work("decoder.feed(read)", DECODER, 50),
    ),
    (
        "out: 64 B text, masked",
        Work("connection.send_text(text)", CLIENT),
        Work("encode_frame(TEXT, text, mask=True)"),
    ),
    (
        "out: 64 B text, not masked",
        Work("connection.send_text(text)", SERVER),
        Work("encode_frame(TEXT, text, mask=False)"),
    ),
    (
        "out: 64 B text, masked, bound method against positional arguments",
        Work("send(text)", f"{CLIENT}; send = connection.send_text"),
        Work("encode_frame(1, text, mask=True)"),
    ),
]


def instructions(work: Work, times: int) -> int:
    """Return how many instructions a process takes that does the work so often."""
    program = SETUP.format(setup=work.setup, statement=work.statement, times=times)
    folder = str(Path(wsfast.__file__).resolve().parent.parent)
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    # The same hashes and no bytecode to write: the start has to cancel out.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with tempfile.TemporaryDirectory() as scratch:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out"]
        done = subprocess.run(
            [*command, sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"callgrind failed with status {done.returncode}:\n{done.stderr}")
    return int(found[1])


def per_call(work: Work) -> float:
    return (instructions(work, 2 * work.n) - instructions(work, work.n)) / work.n


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Count the instructions that Connection adds to the functions below it (needs valgrind)."
    )
    parser.add_argument("--only", metavar="PATTERN", default="", help="only rows that match this pattern")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 when a limit is exceeded")
    options = parser.parse_args()
    print("| work | Connection | below it | difference | limit | |")
    print("|---|---:|---:|---:|---:|---|")
    exceeded = False
    for name, ours, below in PAIRS:
        if not re.search(options.only, name, re.IGNORECASE):
            continue
        mine, theirs = per_call(ours), per_call(below)
        more = mine / theirs - 1
        exceeded |= more > LIMIT
        verdict = "met" if more <= LIMIT else "**missed**"
        print(f"| {name} | {mine:.0f} | {theirs:.0f} | {more:+.1%} | {LIMIT:+.0%} | {verdict} |", flush=True)
    return 1 if exceeded and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
