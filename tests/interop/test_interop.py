"""wsfast.asyncio and other implementations, each as the server of the other: scenarios.py has the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from interop_peers import PEERS
from link import Peer, Unavailable
from scenarios import ROLES, SCENARIOS, Scenario, lacking, try_out

pytestmark = pytest.mark.thread_unsafe(reason="peers have one thread or process each")


@pytest.fixture(scope="module", params=PEERS, ids=[peer.name for peer in PEERS])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    peer: Peer = request.param
    try:
        peer.start()
    except Unavailable as exc:
        pytest.skip(str(exc))
    yield peer
    peer.stop()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.name for each in SCENARIOS])
def test_interop(peer: Peer, scenario: Scenario, role: str) -> None:
    if missing := lacking(scenario, peer, role):
        pytest.skip(f"{peer.name} has no {', '.join(sorted(missing))}")
    try_out(scenario, peer, role)
