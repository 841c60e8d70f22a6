"""To be told when a module has been imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["ImportHook"]


class ImportHook:
    """A finder for ``sys.meta_path`` that finds nothing, but has a module's loader call back.

    Args:
        name: of the module, a top-level one.
        loaded: is called once, in the importing thread, when the module's code has run.

    """

    def __init__(self, name: str, loaded: Callable[[], None]) -> None:
        self.name = name
        self.loaded = loaded

    def __repr__(self) -> str:
        return f"<wsfast.adapters.ImportHook for {self.name}>"

    def remove(self) -> None:
        """Take it out of ``sys.meta_path``."""
        # By identity: other finders may have an __eq__ of any kind.
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Have the module found by the other finders, and its loader watched."""
        if name != self.name:
            return None
        for finder in list(sys.meta_path):
            if finder is self or isinstance(finder, ImportHook):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        # For this one module: what finds modules makes a loader for each. The class stays what it is,
        # for whoever asks for resources or sources.
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            self.loaded()

        try:
            loader.exec_module = exec_module
        except AttributeError:
            return  # a loader without attributes of its own, none of which finds WebSocket libraries
