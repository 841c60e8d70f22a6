"""What the connections of a server, or of a client that connects again and again, have in common."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["Settings"]


class Settings(NamedTuple):
    """Options of an endpoint, checked once."""

    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float | None
    #: How many messages may wait to be received before reading stops, and down to how few it stays so.
    high: int
    low: int
    #: How many bytes may wait to be sent, and down to how few the transport says that there are too many.
    write_high: int
    write_low: int | None
    on_message: Callable[[Any, Any], object] | None
    on_close: Callable[[Any], object] | None
    logger: Logger

    @classmethod
    def of(
        cls,
        *,
        ping_interval: float | None,
        ping_timeout: float | None,
        close_timeout: float | None,
        max_queue: int | tuple[int | None, int | None] | None,
        write_limit: int | tuple[int, int | None],
        on_message: Callable[[Any, Any], object] | None,
        on_close: Callable[[Any], object] | None,
        logger: Logger | None,
    ) -> Settings:
        """Check the arguments of ``serve()`` or ``connect()``.

        Raises:
            ValueError: ``max_queue`` is negative, or below its second number.

        """
        high, low = _watermarks(max_queue)
        write_high, write_low = write_limit if isinstance(write_limit, tuple) else (write_limit, None)
        return cls(
            ping_interval,
            ping_timeout,
            close_timeout,
            high,
            low,
            write_high,
            write_low,
            on_message,
            on_close,
            logger or logging.getLogger("wsfast.asyncio"),
        )


def _watermarks(max_queue: int | tuple[int | None, int | None] | None) -> tuple[int, int]:
    """Return how many messages stop reading, and down to how few it stays so."""
    high, low = max_queue if isinstance(max_queue, tuple) else (max_queue, None)
    if high is None:
        return sys.maxsize, 0
    if low is None:
        low = high // 4
    if not 0 <= low <= high:
        raise ValueError(f"max_queue must be at least 0, and not below its second number, not {max_queue!r}")
    return high, low
