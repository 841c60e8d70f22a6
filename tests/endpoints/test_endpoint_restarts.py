"""A server that is killed twice under load: every client comes back. tests/soak has the long version."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "soak"))

from restarts import restarts

pytestmark = pytest.mark.thread_unsafe(reason="the server is a process of its own")


def test_clients_come_back() -> None:
    counts = asyncio.run(restarts(clients=20, times=2, load=0.1))
    assert counts.errors == []
    assert counts.lost == 0
    # Some can have been cut off between their connection and its first message, and have come once more.
    assert counts.connected >= 60
    assert counts.interrupted >= 40
    assert counts.good
