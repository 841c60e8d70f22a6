"""The connections of ``websockets.trio``, with messages instead of frames between stream and reader."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import trio
from websockets import exceptions
from websockets.trio import connection as theirs
from websockets.trio import messages as their_messages

from . import _websockets_frames as frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Assembler", "adopt", "recv_events"]

Connection = theirs.Connection
ConcurrencyError = exceptions.ConcurrencyError
STOCK: Any = their_messages.Assembler
PUT = STOCK.put
Batch = frames.Batch

_stock_recv_events = Connection.recv_events


class Assembler(their_messages.Assembler):
    """An assembler that takes whole messages too. The library's own become one; they are not made so."""

    # The connection, weakly: it leads here.
    _owner: Any
    # Its process_event().
    _process: Any
    #: The longest message to put here, or ``None``; others are to come as frames.
    longest: int | None

    def is_ready(self) -> bool:
        """Tell whether whole messages may come here."""
        owner = self._owner()
        return owner is not None and getattr(owner.process_event, "__func__", None) is self._process

    def deliver(self, protocol: Any, messages: list[Any]) -> None:
        """Leave messages where the connection finds them."""
        protocol.events.append(Batch(messages))

    def hold_pongs(self, protocol: Any) -> None:
        """Leave pongs alone: the connection waits when the stream takes no more."""

    def put(self, frame: Any) -> None:
        """Add a frame, or messages."""
        if type(frame) is not Batch:
            super().put(frame)
            return
        if self.closed:
            raise EOFError("stream of frames ended")
        messages = frame.messages
        # The first wakes whoever waits. There are no other receivers, and the channel has no limit.
        self.send_frames.send_nowait(messages[0])
        if len(messages) > 1:
            self.send_frames._state.data.extend(messages[1:])
        self.maybe_pause()

    async def get(self, decode: bool | None = None) -> Any:
        """Read the next message."""
        if self.get_in_progress:
            raise ConcurrencyError("get() or get_iter() is already running")
        self.get_in_progress = True
        try:
            try:
                item: Any = await self.recv_frames.receive()
            except trio.EndOfChannel:
                raise EOFError("stream of frames ended") from None
            if type(item) is str or type(item) is bytes:
                self.maybe_resume()
                return item if decode is None else self._convert(item, decode)
            self.recv_frames._state.data.appendleft(item)
        finally:
            self.get_in_progress = False
        return await super().get(decode)

    async def get_iter(self, decode: bool | None = None) -> AsyncIterator[Any]:
        """Stream the next message."""
        if self.get_in_progress:
            raise ConcurrencyError("get() or get_iter() is already running")
        self.get_in_progress = True
        try:
            item: Any = await self.recv_frames.receive()
        except trio.Cancelled:
            self.get_in_progress = False
            raise
        except trio.EndOfChannel:
            raise EOFError("stream of frames ended") from None
        if type(item) is not str and type(item) is not bytes:
            self.recv_frames._state.data.appendleft(item)
            self.get_in_progress = False
            async for piece in super().get_iter(decode):
                yield piece
            return
        self.maybe_resume()
        yield item if decode is None else self._convert(item, decode)
        self.get_in_progress = False

    _convert = frames.convert


def adopt(connection: Any) -> None:
    """Give whole messages to a connection, if it is one of the library's, and nobody is reading."""
    messages = connection.recv_messages
    process = getattr(connection.process_event, "__func__", None)
    if (
        type(messages) is not STOCK
        or type(messages).put is not PUT
        or messages.get_in_progress
        or not getattr(process, "__module__", "").startswith("websockets.trio.")
    ):
        return
    messages.longest = None
    messages._owner = weakref.ref(connection)
    messages._process = process
    messages.__class__ = Assembler
    connection.protocol._wsfast_sink = messages


async def recv_events(self: Any) -> None:
    """Read incoming data from the stream and process events."""
    adopt(self)
    await _stock_recv_events(self)
