"""A pytest plugin of run_suites.py: a library's own tests run with wsfast in it, and the frames are counted.

It is given all in the environment: ``SUITE_HOSTS``, what to install, nothing for the library as it is;
``SUITE_REPLACE``, "module:name module:name", a class of the library and one that is to be in its place;
``SUITE_COUNTS``, the file that takes the counts.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

HOSTS = os.environ["SUITE_HOSTS"].split()
REPLACE = os.environ.get("SUITE_REPLACE", "").split()
COUNTS = Path(os.environ["SUITE_COUNTS"])


def _resolve_here() -> None:
    """example.com is found without a network: some tests resolve it, though none connects to it."""
    getaddrinfo = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        return getaddrinfo("127.0.0.1" if host == "example.com" else host, *args, **kwargs)

    socket.getaddrinfo = resolve


def _replace(theirs: str, ours: str) -> None:
    module, _, name = ours.partition(":")
    new = getattr(importlib.import_module(module), name)
    module, _, name = theirs.partition(":")
    setattr(importlib.import_module(module), name, new)


_resolve_here()
# As the program does that tornado runs its tests with; they fail if there is anything in the log.
logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
if HOSTS:
    import wsfast

    wsfast.install(*HOSTS)
    if REPLACE:
        _replace(*REPLACE)


def pytest_unconfigure() -> None:
    counts = {}
    if HOSTS:
        from wsfast import adapters

        assert set(HOSTS) == set(adapters.installed())
        counts = {name: [adapters.counts(name).fast, adapters.counts(name).slow] for name in HOSTS}
    COUNTS.write_text(json.dumps(counts))
