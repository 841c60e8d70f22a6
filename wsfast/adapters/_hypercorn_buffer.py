"""What takes the place of a part of ``hypercorn``; it must be installed.

:mod:`wsfast.adapters.hypercorn` puts it there, and tells what it keeps to.
"""

from __future__ import annotations

from io import BytesIO, StringIO
from typing import Any

from hypercorn.protocol import ws_stream

from .hypercorn import HOST

__all__ = ["STOCK", "WebsocketBuffer"]

STOCK: Any = ws_stream.WebsocketBuffer
_counts = HOST.counts

# A message in more parts than this, and smaller ones, goes into the library's own buffer.
_MANY = 256
_SMALL = 1024


class WebsocketBuffer(STOCK):  # type: ignore[misc]
    """The parts of a message, until it is whole: as the library's, without a copy of each.

    That one writes them to a ``StringIO``, which has four bytes for every character.
    """

    value: Any
    length: int

    def __init__(self, max_length: int) -> None:
        super().__init__(max_length)
        self._parts: list[Any] = []

    def extend(self, event: Any) -> None:
        """Add what an event has; raise ``FrameTooLargeError`` when it is more than a message may have."""
        if self.value is not None:
            super().extend(event)
            return
        data = event.data
        parts = self._parts
        if parts and (type(data) is not type(parts[0]) or self._are_many()):
            self._use_inherited()
            super().extend(event)
            return
        parts.append(data)
        self.length = length = self.length + len(data)
        if length > self.max_length:
            raise ws_stream.FrameTooLargeError()

    def _are_many(self) -> bool:
        """Tell whether a list of the parts takes far more memory than what is in them."""
        return len(self._parts) > _MANY and self.length < len(self._parts) * _SMALL

    def _use_inherited(self) -> None:
        """Go on as the library does. That also raises when text and bytes are mixed."""
        whole = type(self._parts[0])().join(self._parts)
        self._parts.clear()
        self.value = StringIO() if isinstance(whole, str) else BytesIO()
        self.value.write(whole)

    def clear(self) -> None:
        """Forget the message."""
        self._parts.clear()
        self.value = None
        self.length = 0

    def to_message(self) -> dict[str, Any]:
        """Make the message into the event that an application gets."""
        parts = self._parts
        if not parts:
            _counts.slow += 1
            message: dict[str, Any] = super().to_message()
            return message
        _counts.fast += 1
        if type(parts[0]) is str:
            text = parts[0] if len(parts) == 1 else "".join(parts)
            return {"type": "websocket.receive", "bytes": None, "text": text}
        return {"type": "websocket.receive", "bytes": b"".join(parts), "text": None}
