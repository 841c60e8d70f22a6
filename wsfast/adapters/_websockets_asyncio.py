"""The connections of ``websockets.asyncio``, with messages instead of frames between socket and reader.

The queue of a connection's :class:`Assembler` then has ``str`` and ``bytes`` for messages that came as
one frame, beside frames for all that did not. They count alike for flow control.
"""

from __future__ import annotations

import asyncio
import secrets
import weakref
from typing import TYPE_CHECKING, Any

from websockets import exceptions, protocol
from websockets.asyncio import connection as theirs
from websockets.asyncio import messages as their_messages

from .._backend import encode_frame
from . import _websockets_frames as frames
from ._websockets_reader import share_buffer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "Assembler",
    "adopt",
    "connection_made",
    "iterate",
    "recv",
    "resume_writing",
    "send",
    "send_held_pong",
]

Connection = theirs.Connection
ConcurrencyError = exceptions.ConcurrencyError
ConnectionClosedOK = exceptions.ConnectionClosedOK
ProtocolError = exceptions.ProtocolError
OPEN = protocol.State.OPEN
CLIENT = protocol.Side.CLIENT
STOCK: Any = their_messages.Assembler
PUT = STOCK.put
TEXT, BINARY = 1, 2
PONG = b"\x8a"

_stock_recv = Connection.recv
_stock_send = Connection.send
_stock_connection_made = Connection.connection_made
_stock_resume_writing = Connection.resume_writing

# What send() takes the place of; whoever replaces one of these gets it called.
_METHODS = frozenset({"send_context", "send_data", "drain"})
_SEND_CONTEXT, _SEND_DATA, _DRAIN = Connection.send_context, Connection.send_data, Connection.drain


class Assembler(their_messages.Assembler):
    """An assembler that takes whole messages too. The library's own become one; they are not made so."""

    # The connection, weakly: it leads here.
    _owner: Any
    # Its process_event().
    _process: Any
    # A pong that waits for the transport to take more.
    _pong: bytes | None
    #: The longest message to put here, or ``None``; others are to come as frames.
    longest: int | None

    def is_ready(self) -> bool:
        """Tell whether whole messages may come here, past the connection's own methods."""
        owner = self._owner()
        return (
            owner is not None
            and not self.closed
            and getattr(owner.process_event, "__func__", None) is self._process
            and type(self).put is PUT
            and "put" not in self.__dict__
        )

    def deliver(self, protocol: Any, messages: list[Any]) -> None:
        """Add messages, as :meth:`put` adds frames."""
        frames = self.frames
        queue: Any = frames.queue
        queue.extend(messages)
        waiter = frames.get_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self.high is not None and len(queue) > self.high and not self.paused:
            self.paused = True
            self.pause()

    def hold_pongs(self, protocol: Any) -> None:
        """Keep back all pongs but the latest while the transport takes no more (RFC 6455 §5.5.3).

        A peer that sends pings and never reads would make the transport hold an answer to each.
        """
        owner = self._owner()
        if owner is None or not owner.paused:
            if self._pong is not None and any(data[:1] == PONG for data in protocol.writes):
                self._pong = None
            return
        pongs = [data for data in protocol.writes if data[:1] == PONG]
        if pongs:
            protocol.writes = [data for data in protocol.writes if data[:1] != PONG]
            self._pong = pongs[-1]

    def take_pong(self) -> bytes | None:
        """Return the pong that was kept back, if any."""
        pong, self._pong = self._pong, None
        return pong

    async def get(self, decode: bool | None = None) -> Any:
        """Read the next message."""
        if self.get_in_progress:
            raise ConcurrencyError("get() or get_iter() is already running")
        queue: Any = self.frames.queue
        if not queue:
            self.get_in_progress = True
            try:
                item: Any = await self.frames.get(not self.closed)
                queue.appendleft(item)
            finally:
                self.get_in_progress = False
        item = queue[0]
        if type(item) is not str and type(item) is not bytes:
            return await super().get(decode)
        queue.popleft()
        if self.paused:
            self.maybe_resume()
        if decode is None:
            return item
        return self._convert(item, decode)

    async def get_iter(self, decode: bool | None = None) -> AsyncIterator[Any]:
        """Stream the next message."""
        if self.get_in_progress:
            raise ConcurrencyError("get() or get_iter() is already running")
        self.get_in_progress = True
        try:
            item: Any = await self.frames.get(not self.closed)
        except asyncio.CancelledError:
            self.get_in_progress = False
            raise
        if type(item) is not str and type(item) is not bytes:
            queue: Any = self.frames.queue
            queue.appendleft(item)
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
        or messages.get_in_progress
        or not getattr(process, "__module__", "").startswith("websockets.asyncio.")
    ):
        return
    messages.__class__ = Assembler
    messages.longest = messages._pong = None
    messages._owner = weakref.ref(connection)
    messages._process = process
    connection.protocol._wsfast_sink = messages


def connection_made(self: Any, transport: Any) -> None:
    """Take over a new transport."""
    _stock_connection_made(self, transport)
    adopt(self)
    if type(self.recv_messages) is Assembler:
        share_buffer(self, transport)


def resume_writing(self: Any) -> None:
    """Go on: the transport takes more."""
    _stock_resume_writing(self)
    send_held_pong(self)


def send_held_pong(self: Any) -> None:
    """Send the pong that was kept back, if there is one."""
    messages = self.recv_messages
    if type(messages) is Assembler and messages._pong is not None:
        pong = messages.take_pong()
        if self.protocol.state is OPEN:
            self.transport.write(pong)


async def recv(self: Any, decode: bool | None = None) -> Any:
    """Receive the next message; documented in the library."""
    messages: Any = self.recv_messages
    if type(messages) is not Assembler:
        adopt(self)
    if (
        decode is None
        and type(messages) is Assembler
        and not messages.get_in_progress
        and "get" not in messages.__dict__
    ):
        frames = messages.frames
        queue: Any = frames.queue
        if not queue:
            if messages.closed or frames.get_waiter is not None:
                return await _stock_recv(self, decode)
            messages.get_in_progress = True
            frames.get_waiter = waiter = frames.loop.create_future()
            try:
                await waiter
            except EOFError:
                pass
            finally:
                waiter.cancel()
                frames.get_waiter = None
                messages.get_in_progress = False
            if not queue:
                return await _stock_recv(self, decode)
        item = queue[0]
        if type(item) is str or type(item) is bytes:
            queue.popleft()
            if messages.paused:
                messages.maybe_resume()
            return item
    return await _stock_recv(self, decode)


async def iterate(self: Any) -> AsyncIterator[Any]:
    """Iterate on incoming messages; documented in the library."""
    try:
        while True:
            messages: Any = self.recv_messages
            if (
                type(messages) is Assembler
                and not messages.get_in_progress
                and messages.frames.queue
                and type(self).recv is recv
                and "recv" not in self.__dict__
                and "get" not in messages.__dict__
            ):
                queue: Any = messages.frames.queue
                item = queue[0]
                if type(item) is str or type(item) is bytes:
                    queue.popleft()
                    if messages.paused:
                        messages.maybe_resume()
                    yield item
                    continue
            yield await self.recv()
    except ConnectionClosedOK:
        return


async def send(self: Any, message: Any, *, text: bool | None = None) -> None:
    """Send a message; documented in the library."""
    protocol = self.protocol
    if (
        not (type(message) is str or type(message) is bytes)
        or self.send_in_progress is not None
        or protocol.state is not OPEN
        or not frames.sends_plainly(protocol)
        or not _sends_plainly(self)
    ):
        await _stock_send(self, message, text=text)
        return
    if text is None:
        opcode = TEXT if type(message) is str else BINARY
    elif type(message) is str:
        opcode = BINARY if text is False else TEXT
    else:
        opcode = TEXT if text is True else BINARY
    wire: bytes | None = None
    transport = self.transport
    try:
        if protocol.extensions or protocol.writes:
            data = message.encode() if type(message) is str else message
            if opcode == TEXT:
                protocol.send_text(data)
            else:
                protocol.send_binary(data)
        elif protocol.side is CLIENT:
            wire = encode_frame(opcode, message, mask=True)
        else:
            wire = encode_frame(opcode, message)
    except ProtocolError:
        raise
    except Exception:
        # Most likely a text with surrogates. The library says what this comes to.
        await _stock_send(self, message, text=text)
        return
    try:
        if wire is None:
            self.send_data()
        else:
            transport.write(wire)
            wire = None
        if self.paused or transport.is_closing():
            await self.drain()
        return
    except Exception:
        if wire is not None:
            protocol.writes.append(wire)
    # It meets the same error, or finds the connection closed, and does what is to be done then.
    async with self.send_context():
        pass


if not _stock_send.__code__.co_kwonlyargcount:  # before 17.0
    send.__code__ = send.__code__.replace(co_argcount=3, co_kwonlyargcount=0)
    send.__defaults__, send.__kwdefaults__ = (None,), None


def _sends_plainly(self: Any) -> bool:
    """Tell whether a connection sends as the library does, and nobody looks on."""
    kind = type(self)
    return (
        kind.send_context is _SEND_CONTEXT
        and kind.send_data is _SEND_DATA
        and kind.drain is _DRAIN
        and self.__dict__.keys().isdisjoint(_METHODS)
        and secrets.token_bytes is frames.TOKEN_BYTES
    )
