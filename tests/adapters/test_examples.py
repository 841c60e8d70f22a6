"""The examples of adapters: each is a server and a client in one program, and says what came back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from installing import FORCE

EXAMPLES = Path(__file__).parents[2] / "examples" / "hosts"
pytestmark = [
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not run from a checkout"),
    pytest.mark.thread_unsafe(reason="each test has a process of its own"),
]

# What they import, and the whole of what they print.
EXPECTED = {
    "aiohttp_echo": (
        ["aiohttp"],
        r"100 messages came back, the last text: Grüße 49\n"
        r"400 frames went through wsfast, 0 frames were left to aiohttp\n",
    ),
    "autobahn_echo": (
        ["autobahn.websocket"],
        r"20000 messages came back, closed cleanly\n"
        r"[\d.]+ µs of CPU time for each, there and back\n"
        r"frames that went through wsfast: 80000\n",
    ),
    "hypercorn_echo": (
        ["hypercorn", "websockets"],
        r"sent 5: the same came back\nsent 2: the same came back\nsent 100000: the same came back\n"
        r"frames through wsfast: 6, messages: 3\n",
    ),
    "tornado_echo": (
        ["tornado"],
        r"100 messages came back, the last text: Grüße 49\n"
        r"400 frames went through wsfast, 0 frames were left to tornado\n",
    ),
    "uvicorn_echo": (
        ["uvicorn", "websockets"],
        r"sent 5: the same came back\nsent 2: the same came back\nsent 100000: the same came back\n",
    ),
    "websocket_client_echo": (
        ["websocket", "websockets"],
        r"received 'Hello'\nreceived b'\\x00\\x01\\x02'\nreceived 120000 characters\n"
        r"frames through wsfast: 6, left to the library: 0\n",
    ),
    "websockets_echo": (
        ["websockets"],
        r"(\w.*: all messages came back, in \d+ microseconds of CPU time each\n){3}"
        r"frames that wsfast decoded: 40\d\d\n",
    ),
    "wsproto_echo": (
        ["wsproto"],
        r"client: 5 characters came back: 'Hello'\nclient: 7 characters came back: 'Grüße 🎉'\n"
        r"client: 70000 characters came back: 'a longer one, a long'\nclient: closed with 1000 bye\n"
        r"frames: Counts\(fast=12, slow=0\)\n",
    ),
}

# Without the compiled backend install() has to be forced.
PROGRAM = """
import runpy, wsfast
install = wsfast.install
wsfast.install = lambda *hosts: install(*hosts, force={force})
runpy.run_path({path!r}, run_name="__main__")
"""


def test_all_are_expected() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, run_python: Any) -> None:
    needed, printed = EXPECTED[name]
    for module in needed:
        pytest.importorskip(module)
    program = PROGRAM.format(force=FORCE, path=str(EXAMPLES / f"{name}.py"))
    done = run_python(program, **({"WSFAST_EXTENSION": "0"} if FORCE else {}))
    assert done.stderr == ""
    assert re.fullmatch(printed, done.stdout), done.stdout
