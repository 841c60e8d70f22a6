"""A WebSocket connection on asyncio: the protocol of its transport, and what applications call."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from .. import arguments
from .._backend import Endpoint, mask_key
from ..connection import Connection as SansIO
from ..connection import State
from ..errors import InvalidState
from ..events import Close, Ping, Pong, Rejected, Request, Response
from ..prepared import PreparedMessage
from . import _errors
from ._errors import ConcurrencyError, ConnectionClosed

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._alarms import Alarms
    from ._settings import Settings

    Message = str | Buffer

__all__ = ["Connection"]

# asyncio.current_task(), without the function in Python that it is before 3.12.
_current_task: Callable[[asyncio.AbstractEventLoop], Any] = asyncio.current_task
if sys.version_info < (3, 12):
    _current_task = asyncio.tasks._current_tasks.get  # type: ignore[attr-defined]

#: A frame of this size or more is written by itself, without a copy.
_ALONE = 1 << 15


class Connection(Endpoint, asyncio.BufferedProtocol):
    """A WebSocket connection; :class:`ClientConnection` and :class:`ServerConnection` are made for you.

    It is an asynchronous iterator over the messages that arrive: ``str`` for text, ``bytes`` for binary
    ones. Iterating ends when the connection is closed with the code 1000 or 1001.

    One task at a time receives; any number send. It belongs to one event loop and its thread.

    Attributes:
        id: a UUID, for logs.
        logger: takes what goes wrong where nobody can be told.
        transport: the transport, of asyncio.
        request: the client's request.
        response: the server's answer.
        latency: seconds that the peer took to answer the last ping; 0 before that.

    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_action",
        "_alarms",
        "_closing",
        "_drained",
        "_due",
        "_gone",
        "_id",
        "_keepalive",
        "_kept_alive",
        "_lost",
        "_noted",
        "_pings",
        "_received_first",
        "_settings",
        "latency",
        "logger",
    )

    transport: asyncio.Transport
    latency: float
    _action: Callable[[Any], object]

    def __init__(self, ws: SansIO, settings: Settings, alarms: Alarms) -> None:
        self._settings = settings
        self._alarms = alarms
        self._begin(
            ws,
            alarms.loop,
            _current_task,
            alarms.resumed,
            settings.high,
            settings.low,
            settings.on_message,
        )
        self.logger = settings.logger
        self.latency = 0.0
        self._id: uuid.UUID | None = None
        self._drained: asyncio.Future[None] | None = None
        self._pings: dict[bytes, tuple[asyncio.Future[float], float]] | None = None
        # The payload of the ping that keeps the connection alive, and when it was sent.
        self._keepalive: bytes | None = None
        self._kept_alive = 0.0
        self._due: asyncio.TimerHandle | int | None = None
        self._noted: int | None = None
        self._closing = False
        # Until this end begins to close.
        self._received_first = True
        # Whether the transport is gone, and who waits for it.
        self._gone = False
        self._lost: asyncio.Future[None] | None = None

    # ---- What can be read ------------------------------------------------------------------------

    @property
    def id(self) -> uuid.UUID:
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @property
    def request(self) -> Request | None:
        return self._ws.request

    @property
    def response(self) -> Response | None:
        return self._ws.response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed upon; ``None`` for none."""
        return self._ws.subprotocol

    @property
    def state(self) -> State:
        """Where the connection is in its life."""
        return self._ws.state

    @property
    def close_code(self) -> int | None:
        """The code of the connection's end (RFC 6455 §7.1.5); ``None`` before."""
        return self._ws.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason in the close frame received; empty without; ``None`` before the end."""
        return self._ws.close_reason

    @property
    def local_address(self) -> Any:
        """This end's address, as sockets have it."""
        return self.transport.get_extra_info("sockname")

    @property
    def remote_address(self) -> Any:
        """The other end's address, as sockets have it."""
        return self.transport.get_extra_info("peername")

    def __repr__(self) -> str:
        return f"<{type(self).__module__.rpartition('.')[0]}.{type(self).__name__} {self.state.value}>"

    # ---- Receiving -------------------------------------------------------------------------------

    def _cannot_receive(self) -> Exception:
        if self._on_message is not None:
            return ConcurrencyError("messages go to on_message: there is nothing to receive")
        return ConcurrencyError("cannot call recv() while another task receives")

    def _end(self, iterating: bool) -> Exception:
        """Make the exception for whoever wants a message when no more come."""
        if iterating and _errors.is_wanted(self._ws.close_received, self._ws.close_sent):
            return StopAsyncIteration()
        return self._closed()

    def _as_wanted(self, message: str | bytes, decode: bool) -> str | bytes:
        if decode:
            return message if isinstance(message, str) else message.decode()
        return message.encode() if isinstance(message, str) else message

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Any]:
        """Yield the next message; it is one piece, whatever frames it came in."""
        yield await self.recv(decode)

    def _pause_reading(self) -> None:
        self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._gone:
            self.transport.resume_reading()

    # ---- Sending ---------------------------------------------------------------------------------

    def _send_nowait_otherwise(self, message: Any) -> None:
        if self._fragments is not None:
            raise ConcurrencyError("cannot send a message between the fragments of another")
        self._write(message)

    async def drain(self) -> None:
        """Wait until the peer has read enough of what was sent by :meth:`send_nowait`."""
        self._flush()
        if not self._writable:
            await self._drain()

    def _write(self, message: Any) -> None:
        ws = self._ws
        try:
            if isinstance(message, PreparedMessage):
                frame = ws.send_prepared(message)
            else:
                frame = ws.send_message(message)
        except InvalidState:
            raise self._closed() from None
        self._put(frame)

    def _is_open(self) -> bool:
        return self._ws.state is State.OPEN

    def _put_now(self, frame: bytes) -> None:
        """Write a frame that is not a message."""
        self._put(frame)
        self._flush()

    def _write_long(self, out: list[bytes]) -> None:
        """Write frames of which some are long: those are not copied."""
        short: list[bytes] = []
        for frame in out:
            if len(frame) < _ALONE:
                short.append(frame)
                continue
            if short:
                self.transport.write(b"".join(short))
                short.clear()
            self.transport.write(frame)
        if short:
            self.transport.write(b"".join(short))

    async def _drain(self) -> None:
        """Wait until the transport takes more."""
        while not self._writable:
            if self._drained is None:
                self._drained = self.loop.create_future()
            await asyncio.shield(self._drained)
        if self._gone:
            raise self._closed()

    async def _send_otherwise(self, message: Any, text: bool | None) -> None:
        """Send what is not simply a message, or when it cannot simply be sent."""
        while self._fragments is not None:
            await asyncio.shield(self._fragments)
        if not self._writable:
            await self._drain()
        if isinstance(message, Mapping):
            raise TypeError("message must be str, bytes-like or an iterable of these, not a mapping")
        if isinstance(message, PreparedMessage):
            self._write(message)
        elif isinstance(message, AsyncIterable):
            await self._send_fragments(message, text)
        elif isinstance(message, str) or _is_bytes_like(message):
            self._write(_payload(message, text))
        elif isinstance(message, Iterable):
            await self._send_fragments(_asynchronous(message), text)
        else:
            raise arguments.not_text_or_bytes_like("message", message)
        if not self._writable:
            await self._drain()

    async def _send_fragments(self, pieces: AsyncIterable[Any], text: bool | None) -> None:
        send: Callable[..., bytes] | None = None
        kind: Any = None
        self._fragments = self.loop.create_future()
        begun = False
        try:
            async for piece in pieces:
                part = _payload(piece, text)
                if kind is None:
                    kind = str if isinstance(part, str) else bytes
                    send = self._ws.send_text if kind is str else self._ws.send_binary
                elif isinstance(part, str) is not (kind is str):
                    raise TypeError("the fragments of a message must all be str, or all bytes-like")
                self._put_fragment(cast("Callable[..., bytes]", send), part, False)
                begun = True
                if not self._writable:
                    await self._drain()
            if send is None:
                raise ValueError("a message of no fragments cannot be sent: is it text or binary?")
            self._put_fragment(send, "" if kind is str else b"", True)
        except BaseException:
            if begun and self._ws.state is State.OPEN:
                # Nothing else can be sent any more (RFC 6455 §5.4).
                self._fail(1011, "error in fragmented message")
            raise
        finally:
            waiting, self._fragments = self._fragments, None
            waiting.set_result(None)

    def _put_fragment(self, send: Callable[..., bytes], part: Any, fin: bool) -> None:
        try:
            self._put(send(part, fin))
        except InvalidState:
            raise self._closed() from None

    # ---- Pings -----------------------------------------------------------------------------------

    async def ping(self, data: Message | None = None) -> Awaitable[float]:
        """Send a ping (RFC 6455 §5.5.2).

        Args:
            data: at most 125 bytes that no other ping that waits has; by default, four random ones.

        Returns:
            What can be awaited for the pong, and gives its latency in seconds: ``await (await ws.ping())``.

        Raises:
            ConnectionClosed: the connection has ended, or is ending. What was returned raises it, too.
            ConcurrencyError: another ping with this ``data`` waits for its pong.
            ValueError: ``data`` is too long.

        """
        payload = _ping_payload(data)
        if self._pings is None:
            self._pings = {}
        elif payload in self._pings:
            raise ConcurrencyError("already waiting for a pong with the same data")
        try:
            frame = self._ws.ping(payload)
        except InvalidState:
            raise self._closed() from None
        self._put_now(frame)
        waiter: asyncio.Future[float] = self.loop.create_future()
        self._pings[payload] = waiter, time.perf_counter()
        return waiter

    async def pong(self, data: Message = b"") -> None:
        """Send a pong that answers no ping (RFC 6455 §5.5.3); pings are answered without this.

        Raises:
            ConnectionClosed: the connection has ended, or is ending.
            ValueError: ``data`` is longer than 125 bytes.

        """
        try:
            frame = self._ws.pong(data)
        except InvalidState:
            raise self._closed() from None
        self._put_now(frame)

    def _ponged(self, payload: bytes) -> None:
        """Take a pong: it answers the ping with its payload, and those before it (RFC 6455 §5.5.3)."""
        pings = self._pings or {}
        if payload == self._keepalive:
            at = self._kept_alive
        elif payload in pings:
            at = pings[payload][1]
        else:
            return
        now = time.perf_counter()
        self.latency = now - at
        for earlier, (waiter, sent) in list(pings.items()):
            if sent > at:
                break
            del pings[earlier]
            if not waiter.done():
                waiter.set_result(now - sent)
        if self._keepalive is not None and self._kept_alive <= at:
            self._keepalive = None
            if self._settings.ping_timeout is not None and not self._closing:
                self._wait_to_ping()

    def _wait_to_ping(self) -> None:
        interval = self._settings.ping_interval
        if interval is None:
            self._alarms.clear(self)
        else:
            self._alarms.set(self, interval, Connection._keep_alive)

    def _keep_alive(self) -> None:
        """Ping the peer, and give it time to answer."""
        payload = mask_key()
        try:
            frame = self._ws.ping(payload)
        except InvalidState:
            return
        self._keepalive = payload
        self._kept_alive = time.perf_counter()
        self._put_now(frame)
        timeout = self._settings.ping_timeout
        if timeout is None:
            self._wait_to_ping()
        else:
            self._alarms.set(self, timeout, Connection._give_up)

    def _give_up(self) -> None:
        self._fail(1011, "keepalive ping timeout")

    # ---- The end ---------------------------------------------------------------------------------

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, and wait until it is (RFC 6455 §7.1.2). Doing it twice is doing it once.

        Messages that arrive meanwhile can be received afterwards, but for those beyond ``max_queue``, which
        are discarded, so that the peer's close frame is reached. If it does not come within
        ``close_timeout`` seconds, the transport is closed all the same.

        Args:
            code: 1000-1003, 1007-1014, 3000-4999 (RFC 6455 §7.4).
            reason: for people, at most 123 bytes of UTF-8.

        Raises:
            ValueError: no such code, or a reason of that length.

        """
        while self._fragments is not None and self._ws.state is State.OPEN:
            try:
                await asyncio.wait_for(asyncio.shield(self._fragments), self._settings.close_timeout)
            except asyncio.TimeoutError:
                self._fail(1011, "close during fragmented message")
        self._close(code, reason)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, by whomever."""
        if not self._gone:
            if self._lost is None:
                self._lost = self.loop.create_future()
            await asyncio.shield(self._lost)

    def _close(self, code: int, reason: str) -> None:
        if self._ws.state is State.OPEN:
            self._begin_closing(code, reason)
        if not self._reading:
            # The peer's close frame is behind what nobody receives any more.
            self._reading = True
            self._resume_reading()

    def _begin_closing(self, code: int, reason: str) -> None:
        frame = self._ws.close(code, reason)
        self._received_first = False
        self._put_now(frame)
        self._after_close()

    def _fail(self, code: int, reason: str) -> None:
        """Close the connection without waiting for the peer's close frame (RFC 6455 §7.1.7)."""
        if self._ws.state is State.OPEN:
            self._put(self._ws.close(code, reason))
            self._received_first = False
        if not self._gone:
            self._flush()
            self.transport.close()
            self._after_close()

    def _after_close(self) -> None:
        """See to it that the connection ends when a close frame has been sent or received."""
        if self._gone:
            return
        if self._ws.should_close:
            self.transport.close()
        timeout = self._settings.close_timeout
        if timeout is None:
            self._alarms.clear(self)
        elif not self._closing:
            self._closing = True
            self._alarms.set(self, timeout, Connection._end_now)

    def _end_now(self) -> None:
        self.transport.abort()

    def _closed(self) -> ConnectionClosed:
        """Make the exception for whoever wants to go on with a connection that has ended."""
        ws = self._ws
        first = None if ws.close_received is None or ws.close_sent is None else self._received_first
        error = _errors.closed(ws.close_received, ws.close_sent, first)
        error.__cause__ = ws.error
        return error

    # ---- What the transport calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(self._settings.write_high, self._settings.write_low)

    def _told(self, callback: Callable[[Any], object]) -> bool:
        """Call a callback with this connection; whether it went well."""
        try:
            callback(self)
        except Exception:
            name = getattr(callback, "__qualname__", repr(callback))
            self.logger.exception("%s failed", name)
            return False
        return True

    def _callback_failed(self) -> None:
        self.logger.exception("on_message failed")
        self._fail(1011, "internal error")

    def _react(self, event: Any) -> None:
        """React to what is not a message."""
        if isinstance(event, Pong):
            self._ponged(event.payload)
        elif isinstance(event, Close):
            self._on_close()
        elif not isinstance(event, Ping):
            self._on_handshake(event)

    def _on_handshake(self, event: Request | Response | Rejected) -> None:
        raise NotImplementedError

    def _opened(self) -> None:
        """Begin to see to it that the peer is there."""
        self._wait_to_ping()

    def _on_close(self) -> None:
        self._ended = True
        self._flush()
        self._after_close()

    def eof_received(self) -> None:
        """Let the transport close."""

    def connection_lost(self, exc: Exception | None) -> None:
        # It is gone, but one of TLS wants to be told (until Python 3.11).
        self.transport.close()
        events = self._ws.receive_eof()
        self._ended = True
        self._alarms.clear(self)
        self._writable = True
        self._gone = True
        if self._lost is not None:
            self._lost.set_result(None)
            self._lost = None
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None
        pings, self._pings = self._pings, None
        for waiter, _ in (pings or {}).values():
            if not waiter.done():
                waiter.set_exception(self._closed())
                waiter.exception()  # nobody needs to ask
        self._deliver([event for event in events if not isinstance(event, Close)])
        if self._settings.on_close is not None and self._ws.response is not None:
            self._told(self._settings.on_close)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None


def _is_bytes_like(value: Any) -> bool:
    try:
        memoryview(value).release()
    except TypeError:
        return False
    return True


def _ping_payload(data: Any) -> bytes:
    if data is None:
        return mask_key()
    return data.encode() if isinstance(data, str) else bytes(memoryview(data))


def _payload(message: Any, text: bool | None) -> Any:
    """Return a message, or a fragment of one, of the type that it is to be sent as."""
    if isinstance(message, str):
        return message.encode() if text is False else message
    if _is_bytes_like(message):
        return bytes(message).decode() if text is True else message
    raise arguments.not_text_or_bytes_like("message", message)


async def _asynchronous(pieces: Iterable[Any]) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece
