"""An endpoint on an event loop (``wsfast.asyncio``): from its protocol to the task that waits, and back."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from .connection import Connection
    from .prepared import PreparedMessage

__all__ = ["Endpoint"]

# Frames of one turn of the event loop are written together, but no more bytes than this.
_FLUSH_AT = 1 << 16

_MESSAGES = {str, bytes}

# What became of a broadcast.
_ENDED, _WRITTEN, _SLOW = 0, 1, 2


class _Done:
    """An await that is over at once, of ``None``. It has what asyncio asks of a coroutine."""

    __slots__ = ()

    def __await__(self) -> _Done:
        return self

    def __iter__(self) -> _Done:
        return self

    def __next__(self) -> None:
        raise StopIteration

    def send(self, value: Any) -> None:
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> None:
        raise (kind if value is None else value)

    def close(self) -> None:
        """Do nothing: there is nothing under way."""


_DONE = _Done()


class _Receive:
    """What :meth:`Endpoint.recv` and an iteration await. It has what asyncio asks of a coroutine."""

    __slots__ = ("_decode", "_endpoint", "_iterating", "_state")

    def __init__(self, endpoint: Endpoint, decode: bool | None, iterating: bool) -> None:
        self._endpoint = endpoint
        self._decode = decode
        self._iterating = iterating
        self._state = "new"

    def __await__(self) -> _Receive:
        return self

    def __iter__(self) -> _Receive:
        return self

    def __next__(self) -> Future[None]:
        return self.send(None)

    def send(self, value: Any) -> Future[None]:
        endpoint = self._endpoint
        state = self._state
        if state == "new":
            if endpoint._out and not endpoint._queue:
                # What was sent before is not left for the end of the turn. Some transports answer at once.
                endpoint._flush(not endpoint._corked)
            if endpoint._receiving or endpoint._on_message is not None:
                self._state = "over"
                raise endpoint._cannot_receive()
        elif state == "waiting":
            endpoint._receiving = False
        else:
            raise RuntimeError("cannot reuse already awaited recv()")
        message = endpoint._pop()
        if message is not None:
            self._state = "over"
            raise StopIteration(
                message if self._decode is None else endpoint._as_wanted(message, self._decode)
            )
        if endpoint._ended:
            self._state = "over"
            raise endpoint._end(self._iterating)
        waiter = endpoint._waiter
        if waiter is None or (state == "waiting" and waiter.done()):
            waiter = endpoint._waiter = endpoint.loop.create_future()
        waiter._asyncio_future_blocking = True  # as its __await__() says to the task
        self._state = "waiting"
        endpoint._receiving = True
        return waiter

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> None:
        self.close()
        if trace is not None:
            value = (kind() if value is None else value).with_traceback(trace)
        raise (kind if value is None else value)

    def close(self) -> None:
        """Stop waiting."""
        if self._state == "waiting":
            self._endpoint._receiving = False
            self._endpoint._waiter = None
        self._state = "over"

    def __del__(self) -> None:
        self.close()


class Endpoint:
    """The paths of an endpoint that nearly all traffic takes; ``wsfast.asyncio.Connection`` is built on it.

    It is the protocol of a transport, as :class:`asyncio.BufferedProtocol` has it. Everything that is rare
    is left to methods of the subclass.
    """

    __slots__ = (
        "_corked",
        "_current_task",
        "_delivering",
        "_ended",
        "_flush_due",
        "_fragments",
        "_high",
        "_low",
        "_on_message",
        "_out",
        "_out_size",
        "_queue",
        "_reading",
        "_receiving",
        "_resumed",
        "_waiter",
        "_writable",
        "_ws",
        "loop",
        "transport",
    )

    #: Messages that nobody has received.
    _queue: deque[str | bytes]
    _out: list[bytes]
    #: The events that are being handed on one by one.
    _delivering: list[Any] | None
    #: The transport, once there is one.
    transport: Any
    loop: Any
    #: Is called with each message, which nobody receives then.
    _on_message: Callable[[Any, Any], object] | None
    #: Who waits for the end of a message in fragments; ``None`` while none is sent.
    _fragments: Any
    #: Whether the transport takes more, and whether it reads.
    _writable: bool
    _reading: bool
    #: Whether a task waits for a message, and the future that it awaits, again and again.
    _receiving: bool
    _waiter: Future[None] | None
    #: Whether no more messages come.
    _ended: bool

    if TYPE_CHECKING:  # what the subclass has

        def _react(self, event: Any) -> None: ...
        def _callback_failed(self) -> None: ...
        def _cannot_receive(self) -> Exception: ...
        def _end(self, iterating: bool) -> Exception: ...
        def _as_wanted(self, message: str | bytes, decode: bool) -> str | bytes: ...
        def _is_open(self) -> bool: ...
        def _pause_reading(self) -> None: ...
        def _resume_reading(self) -> None: ...
        def _send_otherwise(self, message: Any, text: bool | None) -> Any: ...
        def _send_nowait_otherwise(self, message: Any) -> None: ...
        def _drain(self) -> Any: ...
        def _write_long(self, out: list[bytes]) -> None: ...

    def _begin(
        self,
        ws: Connection,
        loop: Any,
        current_task: Callable[[Any], Any],
        resumed: Future[None],
        high: int,
        low: int,
        on_message: Callable[[Any, Any], object] | None,
    ) -> None:
        """Set it up.

        Args:
            ws: the protocol, without its socket.
            loop: the event loop.
            current_task: ``asyncio.current_task``.
            resumed: a future that is done, with ``None``.
            high: how many messages that nobody has received stop reading.
            low: down to how many it stays so.
            on_message: is called with each message instead of keeping it.

        """
        self.transport = None
        self._fragments = None
        self._receiving = self._ended = False
        self._ws = ws
        self.loop = loop
        self._current_task = current_task
        self._resumed = resumed
        self._waiter = None
        self._high = high
        self._low = low
        self._on_message = on_message
        self._queue = deque()
        self._out = []
        self._out_size = 0
        self._corked = self._flush_due = False
        self._delivering = None
        self._writable = self._reading = True

    @property
    def _waiting(self) -> int:
        """How many messages wait to be received."""
        return len(self._queue)

    # ---- In --------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int, /) -> Any:
        """Return memory to read into (``asyncio.BufferedProtocol``)."""
        return self._ws.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int, /) -> None:
        """Take what was read into that memory."""
        within = self._corked  # another read, by a transport that reads again while it writes
        self._corked = True
        try:
            events: list[Any] = self._ws.buffer_updated(nbytes)
            if events:
                self._deliver(events)
        finally:
            self._corked = within
            if not within and (self._out or self._ws._due):
                self._flush()

    def _deliver(self, events: list[Any]) -> None:
        """Hand messages on, and react to everything else."""
        if self._delivering is not None:
            # The transport reads within a call of the application's: that comes behind what was read before.
            self._delivering += events
            return
        if self._on_message is not None:
            self._one_by_one(events)
            return
        queue = self._queue
        before = len(queue)
        if set(map(type, events)) <= _MESSAGES:
            queue.extend(events)
        else:
            self._one_by_one(events)
        if self._receiving:
            self._resume()
        if len(queue) > self._high and not self._ended:
            self._too_many(before)

    def _one_by_one(self, events: list[Any]) -> None:
        self._delivering = events
        try:
            if self._on_message is not None:
                self._call_back(events)
            else:
                self._enqueue(events)
        finally:
            self._delivering = None

    def _enqueue(self, events: list[Any]) -> None:
        for event in events:
            if type(event) in _MESSAGES:
                self._queue.append(event)
                continue
            if self._queue and self._receiving:
                # Who waits for a message may answer it, although a close frame came right behind it.
                self._resume()
            self._react(event)

    def _resume(self) -> None:
        """Let the task that waits go on, there and then.

        A future that is done schedules its task with ``call_soon()``, which costs a turn of the event
        loop. When the loop calls a protocol no task is running, so that the one that waits can be
        resumed at once: by the callback that it left with the future, which stays as it is for the next
        time. The callback asks the future that it is called with how things went: one that is done.
        """
        waiter = self._waiter
        if waiter is None:
            return
        callbacks: Any = waiter._callbacks
        if isinstance(callbacks, list) and len(callbacks) == 1 and self._current_task(self.loop) is None:
            callback, context = callbacks[0]
            try:
                context.run(waiter.remove_done_callback, callback)
            except RuntimeError:
                pass  # who calls the protocol is in that context itself
            else:
                context.run(callback, self._resumed)
                return
        if not waiter.done():
            # Somebody calls the protocol from a task: the one that waits has to wait for its turn.
            self._waiter = None
            waiter.set_result(None)

    def _too_many(self, before: int) -> None:
        """Read no more for now; or, behind a close frame of this side, go on to that of the peer."""
        if self._ws.close_sent is not None:
            while len(self._queue) > max(self._high, before):
                self._queue.pop()
        elif self._reading:
            self._reading = False
            self._pause_reading()

    def _call_back(self, events: list[Any]) -> None:
        on_message: Any = self._on_message
        for event in events:
            if type(event) not in _MESSAGES:
                self._react(event)
                continue
            try:
                on_message(self, event)
            except Exception:
                self._callback_failed()
                return

    def _pop(self) -> str | bytes | None:
        """Return the next message, or ``None``."""
        if not self._queue:
            return None
        message = self._queue.popleft()
        if not self._reading and len(self._queue) <= self._low:
            self._reading = True
            self._resume_reading()
        return message

    def recv(self, decode: bool | None = None) -> Any:
        """Return the next message, when there is one.

        To cancel it loses nothing. After the end of the connection, the messages that came before it
        are returned first.

        Args:
            decode: ``True`` for ``str``, ``False`` for ``bytes``, whatever the message is; by default,
                ``str`` for text and ``bytes`` for binary messages.

        Raises:
            ConnectionClosed: the connection has ended.
            ConcurrencyError: another task receives already.

        """
        return _Receive(self, decode, False)

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return _Receive(self, None, True)

    # ---- Out -------------------------------------------------------------------------------------

    def send(self, message: Any, text: bool | None = None) -> Any:
        """Send a message, and wait while the peer reads more slowly than it is sent to.

        It is on its way when the call returns; what is awaited is that the transport takes more, and to
        cancel that does not unsend it. But where more than ``write_limit`` waits to be sent already, or
        another message is under way in fragments, it goes out when that is over: cancelled before, it is
        not sent. To cancel it between its own fragments fails the connection.

        Args:
            message: ``str`` is sent as text, bytes-like as binary; a :class:`~wsfast.PreparedMessage` as
                it is. An iterable of them, asynchronous or not, is sent as one message in fragments, and
                other messages have to wait for its end.
            text: send ``str`` as binary (``False``), or bytes-like, which must be UTF-8, as text
                (``True``).

        Raises:
            ConnectionClosed: the connection has ended, or is ending.
            TypeError: ``message`` is nothing of that kind.

        """
        writable = self._writable
        if text is None and writable and self._fragments is None and self._ws._sending:
            frame = self._encoded_or_none(message)
            if frame is not None:
                self._put(frame)
                return _DONE if self._writable else self._drain()
        return self._send_otherwise(message, text)

    def send_nowait(self, message: Any) -> bool:
        """Send a message without waiting, from a callback for instance.

        Returns:
            Whether the transport takes more. If it does not, what is sent is kept in memory, and whoever
            sends should stop until :meth:`~wsfast.asyncio.Connection.drain` returns.

        Raises:
            ConnectionClosed: the connection has ended, or is ending.
            ConcurrencyError: another message is being sent in fragments.
            TypeError: ``message`` is neither ``str``, bytes-like nor prepared.

        """
        frame = self._encoded(message) if self._fragments is None and self._ws._sending else None
        if frame is None:
            self._send_nowait_otherwise(message)
        else:
            self._put(frame)
        return self._writable

    def _encoded_or_none(self, message: Any) -> bytes | None:
        """Do that, and leave it to where it is awaited to tell what cannot be sent."""
        try:
            return self._encoded(message)
        except Exception:
            return None

    def _encoded(self, message: Any) -> bytes | None:
        """Return the frame of a message of the usual kinds, or ``None`` for another."""
        if type(message) is str:
            return self._ws.send_text(message)
        if type(message) is bytes:
            return self._ws.send_binary(message)
        return None

    def _put(self, frame: bytes) -> None:
        """Write a frame with the others of this turn."""
        self._out.append(frame)
        self._out_size += len(frame)
        if self._out_size >= _FLUSH_AT:
            self._flush(not self._corked)
        elif not (self._corked or self._flush_due):
            self._flush_due = True
            self.loop.call_soon(self._flush_in_turn)

    def _broadcast(self, prepared: PreparedMessage, frame: bytes, always: bool) -> int:
        """Write a prepared message at once, if this connection is open and its peer not slow.

        Args:
            prepared: the message.
            frame: its frame for servers' connections that do not compress.
            always: whether it is written to a slow peer all the same.

        Returns:
            0 if the connection has ended, 1 if it was written, 2 if the peer is slow, or a message in
            fragments under way.

        """
        if not self._ws._sending:
            if self._is_open():
                self._flush()  # a pong goes first
            if not self._is_open():
                return _ENDED
        if self.transport.is_closing():
            return _ENDED
        if self._fragments is not None or not (always or self._writable):
            return _SLOW
        if self._ws.role == "client":
            frame = self._ws.send_prepared(prepared)
        elif self._ws.deflate is not None:
            frame = self._ws._frame_of_prepared(prepared)
        if self._out:
            self._flush()
        self.transport.write(frame)
        return _WRITTEN

    def _flush_in_turn(self) -> None:
        self._flush_due = False
        if self._out:
            self._flush()

    def _flush(self, due: bool = True) -> None:
        """Write what was sent, in one system call as a rule.

        Args:
            due: and what the protocol has to say by itself. That can be a close frame, which is the last to
                go: while what was read is handed on, answers to it go first.

        """
        if due and self._ws._due:
            self._out.append(self._ws.data_to_send())
        out, self._out = self._out, []
        size, self._out_size = self._out_size, 0
        if not out or self.transport is None or self.transport.is_closing():
            return
        if len(out) == 1:
            self.transport.write(out[0])
        elif size < _FLUSH_AT:
            self.transport.write(b"".join(out))
        else:
            self._write_long(out)
