"""Reading from a socket into one buffer for all connections of an event loop.

asyncio's transports make a new ``bytes`` object of 256 KiB for every read, of which the pages have to be
fetched from the operating system again and again. To a ``BufferedProtocol`` they give what it asks for.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from websockets.asyncio import connection as theirs

from . import _websockets_frames as frames

__all__ = ["share_buffer"]

DATA_RECEIVED = theirs.Connection.data_received
# As much as asyncio's transports read at a time.
_SIZE = 1 << 18

# Of each event loop. A transport fills it and has it emptied without giving way to another.
_buffers: weakref.WeakKeyDictionary[Any, memoryview] = weakref.WeakKeyDictionary()


class _Reader(asyncio.BufferedProtocol):
    """What a transport has for a protocol; all but the reading is the connection's."""

    def __init__(self, connection: Any, buffer: memoryview) -> None:
        self._connection = connection
        self._buffer = buffer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def connection_made(self, transport: Any) -> None:
        self._connection.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def eof_received(self) -> bool | None:
        keep: bool | None = self._connection.eof_received()
        return keep

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        connection = self._connection
        with self._buffer[:nbytes] as data:
            if type(connection.protocol).receive_data is frames.receive_data:
                connection.data_received(data)
            else:
                connection.data_received(data.tobytes())


def share_buffer(connection: Any, transport: Any) -> None:
    """Have a transport read into the shared buffer, if it is one that does nothing in between."""
    if (
        type(transport).__name__ != "_SelectorSocketTransport"
        or type(transport).__module__ != "asyncio.selector_events"
        or type(connection).data_received is not DATA_RECEIVED
        or "data_received" in connection.__dict__
    ):
        return
    loop = connection.loop
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_SIZE))
    transport.set_protocol(_Reader(connection, buffer))
