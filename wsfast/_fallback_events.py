"""What connections tell, in pure Python."""

from __future__ import annotations

from typing import Any

__all__ = ["set_fields"]


def set_fields(event: Any, values: tuple[object, ...], /) -> None:
    """Set the fields of a new event, whose attributes cannot be set otherwise.

    Args:
        event: an instance of a class whose ``__match_args__`` are the names of its slots.
        values: one for each, in that order.

    """
    names: tuple[str, ...] = type(event).__match_args__
    if len(names) != len(values):
        raise ValueError("an event has one value for each field")
    for name, value in zip(names, values, strict=True):
        object.__setattr__(event, name, value)
