"""The implementations of the codec that can run here."""

from __future__ import annotations

import os
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

from wsfast import _fallback
from wsfast.connection import ConnectionLogic

#: wsfast._speedups; None where it is not built, or the environment rules it out.
compiled_module: ModuleType | None = None
if os.environ.get("WSFAST_EXTENSION") != "0" and os.environ.get("WSFAST_ISA") != "python":
    try:
        compiled_module = import_module("wsfast._speedups")
    except ModuleNotFoundError:
        if os.environ.get("WSFAST_EXTENSION") == "1":
            raise


class Implementation:
    """One implementation of the codec: its names are attributes."""

    def __init__(self, name: str) -> None:
        #: "python", or "c-" and the name of a kernel set.
        self.name = name
        self.isa = name.removeprefix("c-")
        self.module: Any = _fallback if name == "python" else compiled_module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def Connection(self) -> Any:
        """wsfast.Connection over this implementation."""
        return type("Connection", (ConnectionLogic, self.module.Channel), {})

    def decoder(self, messages: bool, role: str, **options: Any) -> Any:
        """A MessageDecoder or a FrameDecoder."""
        return (self.module.MessageDecoder if messages else self.module.FrameDecoder)(role, **options)


def implementation_names() -> list[str]:
    names = ["python"]
    if compiled_module is not None:
        names += [f"c-{isa}" for isa in compiled_module.available_isas()]
    return names
