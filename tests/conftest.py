"""Every test of the codec runs on the pure-Python twin and on every kernel set of the compiled one."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

import wsfast

# tests is not a package: its helpers are found here.
sys.path.insert(0, str(Path(__file__).parent))

from endpoint_settings import SETTINGS, Setting
from implementations import Implementation, compiled_module, implementation_names

# The same examples in every run: a failure is the change's, not the day's. --exhaustive explores.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=150, database=None)
settings.register_profile("explore", deadline=None, max_examples=5000)


@contextmanager
def selected(name: str) -> Iterator[Implementation]:
    chosen = Implementation(name)
    if name == "python":
        yield chosen
        return
    before = chosen.module.isa
    chosen.module._select(chosen.isa)
    try:
        yield chosen
    finally:
        chosen.module._select(before)


@pytest.fixture(params=implementation_names())
def impl(request: pytest.FixtureRequest) -> Iterator[Implementation]:
    with selected(request.param) as chosen:
        yield chosen


@pytest.fixture(params=implementation_names()[:2])
def backend(request: pytest.FixtureRequest) -> Iterator[Implementation]:
    """As `impl`, but only the best kernel set: for tests of what is the same in all of them."""
    with selected(request.param) as chosen:
        yield chosen


@pytest.fixture(params=SETTINGS, ids=str)
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    """A backend, an event loop and its transports, for tests of endpoints with peers of all kinds."""
    chosen: Setting = request.param
    with chosen.ready():
        yield chosen


@pytest.fixture(scope="session")
def compiled() -> ModuleType:
    """The compiled module, for tests that compare it with the twin."""
    if compiled_module is None:
        pytest.skip("the compiled module is not built, or ruled out by the environment")
    return compiled_module


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that are the same for the same test."""
    return random.Random(request.node.nodeid)


@pytest.fixture
def exhaustive(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--exhaustive"))


RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_python() -> RunPython:
    """Run a program in a fresh interpreter that finds this wsfast, and return what it printed."""

    def run(
        program: str, *flags: str, check: bool = True, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WSFAST_")}
        path = [str(Path(wsfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, "-W", "error", *flags, "-c", program],
            env={**inherited, "PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8", **environ},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive", action="store_true", help="run the long versions of tests over large sets of inputs"
    )
    parser.addoption(
        "--clock", action="store_true", help="run the tests that ask a clock, and those alone; without -n"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What a busy machine can fail says nothing among the others: it is left out, or alone."""
    wanted = bool(config.getoption("--clock"))
    sorted_out: dict[bool, list[pytest.Item]] = {True: [], False: []}
    for item in items:
        sorted_out[(item.get_closest_marker("clock") is not None) is wanted].append(item)
    config.hook.pytest_deselected(items=sorted_out[False])
    items[:] = sorted_out[True]


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("explore" if config.getoption("--exhaustive") else "fixed")


def pytest_collection_finish() -> None:
    """Tests that measure memory collect garbage first; the tests themselves, thousands, need no look."""
    if hasattr(gc, "freeze"):  # CPython
        gc.collect()
        gc.freeze()


def pytest_report_header() -> str:
    return f"wsfast: {', '.join(implementation_names())}; imported as {wsfast.backend} ({wsfast.isa})"
