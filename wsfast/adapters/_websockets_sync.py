"""The connections of ``websockets.sync``, with messages instead of frames between socket and reader."""

from __future__ import annotations

import secrets
import weakref
from typing import Any

from websockets import exceptions, protocol
from websockets.sync import connection as theirs
from websockets.sync import messages as their_messages
from websockets.sync.utils import Deadline

from .._backend import encode_frame
from . import _websockets_frames as frames

__all__ = ["Assembler", "adopt", "recv_events", "send"]

Connection = theirs.Connection
ConcurrencyError = exceptions.ConcurrencyError
OPEN = protocol.State.OPEN
CLIENT = protocol.Side.CLIENT
STOCK: Any = their_messages.Assembler
PUT = STOCK.put
Batch = frames.Batch
Frame = frames.Frame
TEXT, BINARY = 1, 2

_stock_recv_events = Connection.recv_events
_stock_send = Connection.send
# What is kept of a lost connection, before 17.1 and since.
_EXC = "connection_exc" if hasattr(Connection, "set_connection_exc") else "recv_exc"
_set_exc = getattr(Connection, f"set_{_EXC}")
_METHODS = frozenset({"send_context", "send_data"})
_SEND_CONTEXT, _SEND_DATA = Connection.send_context, Connection.send_data


class Assembler(their_messages.Assembler):
    """An assembler that takes whole messages too. The library's own become one; they are not made so."""

    # The connection, weakly: it leads here.
    _owner: Any
    # Its process_event().
    _process: Any
    # A frame that was taken out of the queue and is the next one all the same.
    _first: Any
    #: The longest message to put here, or ``None``; others are to come as frames.
    longest: int | None

    def is_ready(self) -> bool:
        """Tell whether whole messages may come here."""
        owner = self._owner()
        return owner is not None and getattr(owner.process_event, "__func__", None) is self._process

    def deliver(self, protocol: Any, messages: list[Any]) -> None:
        """Leave messages where the connection finds them when it has let go of its lock."""
        protocol.events.append(Batch(messages))

    def hold_pongs(self, protocol: Any) -> None:
        """Leave pongs alone: the socket blocks when it takes no more."""

    def put(self, frame: Any) -> None:
        """Add a frame, or messages."""
        if type(frame) is not Batch:
            super().put(frame)
            return
        with self.mutex:
            if self.closed:
                raise EOFError("stream of frames ended")
            put = self.frames.put
            for message in frame.messages:
                put(message)
            self.maybe_pause()

    def get_next_frame(self, timeout: float | None = None) -> Any:
        """Return a frame, made of a message if it has to be."""
        first = self._first
        if first is not None:
            self._first = None
            return first
        item: Any = super().get_next_frame(timeout)
        if type(item) is str:
            return Frame(frames.THEIR_TEXT, item.encode())
        return Frame(frames.THEIR_BINARY, item) if type(item) is bytes else item

    def get(self, timeout: float | None = None, decode: bool | None = None) -> Any:
        """Read the next message."""
        with self.mutex:
            if self.get_in_progress:
                raise ConcurrencyError("get() or get_iter() is already running")
            self.get_in_progress = True
        deadline = None if timeout is None else Deadline(timeout)
        try:
            item: Any = self._first
            if item is None:
                item = super().get_next_frame(timeout)
                if type(item) is str or type(item) is bytes:
                    if self.paused:
                        with self.mutex:
                            self.maybe_resume()
                    return item if decode is None else self._convert(item, decode)
                self._first = item
        finally:
            self.get_in_progress = False
        if deadline is not None:
            timeout = deadline.timeout(raise_if_elapsed=False)
        return super().get(timeout, decode)

    _convert = frames.convert


def adopt(connection: Any) -> None:
    """Give whole messages to a connection, if it is one of the library's, and nobody is reading."""
    messages = connection.recv_messages
    process = getattr(connection.process_event, "__func__", None)
    if (
        type(messages) is not STOCK
        or type(messages).put is not PUT
        or not getattr(process, "__module__", "").startswith("websockets.sync.")
    ):
        return
    with messages.mutex:
        if messages.get_in_progress:
            return
        messages.longest = messages._first = None
        messages._owner = weakref.ref(connection)
        messages._process = process
        messages.__class__ = Assembler
    connection.protocol._wsfast_sink = messages


def recv_events(self: Any) -> None:
    """Read incoming data from the socket and process events."""
    adopt(self)
    _stock_recv_events(self)


def send(self: Any, message: Any, *, text: bool | None = None) -> None:
    """Send a message; documented in the library."""
    protocol = self.protocol
    if (
        not (type(message) is str or type(message) is bytes)
        or protocol.extensions
        or not frames.sends_plainly(protocol)
        or not _sends_plainly(self)
    ):
        _stock_send(self, message, text=text)
        return
    if text is None:
        opcode = TEXT if type(message) is str else BINARY
    elif type(message) is str:
        opcode = BINARY if text is False else TEXT
    else:
        opcode = TEXT if text is True else BINARY
    warn = getattr(self, "maybe_raise_legacy_warning", None)
    if warn is not None:
        warn()
    with self.protocol_mutex:
        is_open = (
            protocol.state is OPEN
            and not self.send_in_progress
            and not protocol.writes
            and self.close_deadline is None
        )
        if is_open:
            try:
                wire = encode_frame(opcode, message, mask=protocol.side is CLIENT)
            except UnicodeEncodeError:
                is_open = False  # the library says what this comes to
            else:
                try:
                    self.socket.sendall(wire)
                    return
                except Exception as exc:
                    _set_exc(self, exc)
    if not is_open:
        _stock_send(self, message, text=text)
        return
    # What send_context() does when the connection is lost.
    self.close_socket()
    self.recv_events_thread.join()
    raise getattr(self, "close_exc", None) or self.protocol.close_exc from getattr(self, _EXC)


if not _stock_send.__code__.co_kwonlyargcount:  # before 17.0
    send.__code__ = send.__code__.replace(co_argcount=3, co_kwonlyargcount=0)
    send.__defaults__, send.__kwdefaults__ = (None,), None


def _sends_plainly(self: Any) -> bool:
    kind = type(self)
    return (
        kind.send_context is _SEND_CONTEXT
        and kind.send_data is _SEND_DATA
        and self.__dict__.keys().isdisjoint(_METHODS)
        and secrets.token_bytes is frames.TOKEN_BYTES
    )
