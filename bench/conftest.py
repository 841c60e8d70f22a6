"""What the benchmarks share: the contenders, and how one of them is timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Run from a checkout, measure that checkout.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from measure import Side, Timed, machine
from peers import implementations, select

import wsfast


@pytest.fixture(params=implementations(), ids=lambda isa: f"wsfast-{isa}")
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A backend of wsfast, with each kernel set of this CPU in turn; ``isa`` tells which."""
    yield select(request.param)
    if wsfast.backend == "c":
        select(wsfast.isa)


@pytest.fixture
def timed(benchmark: Any) -> Timed:
    """Time a side, as a member of a group whose members did the same work."""

    def run(group: str, side: Side, *, payload_bytes: int) -> None:
        benchmark.group = group
        benchmark.extra_info.update(
            contender=side.name, operations=side.operations, payload_bytes=payload_bytes
        )
        benchmark(function_of(side))

    return run


def function_of(side: Side) -> Callable[[], None]:
    """Make a function of the statement, so that calling it costs once for many operations."""
    names = dict(side.names)
    exec(f"def work({', '.join(f'{name}={name}' for name in names)}):\n    {side.statement}", names)
    work: Callable[[], None] = names["work"]
    return work


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["wsfast"] = machine()


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: object, output_json: dict[str, Any]
) -> None:
    """Keep the statistics and drop the time of every single round, which are most of 150 MB."""
    for entry in output_json["benchmarks"]:
        entry["stats"].pop("data", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time each contender briefly: there are hundreds."""
    for item in items:
        if item.path.parent != Path(__file__).parent:
            continue
        item.add_marker(pytest.mark.benchmark(max_time=0.2, min_rounds=7, warmup=True, warmup_iterations=3))
