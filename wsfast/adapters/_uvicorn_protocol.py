"""The class that uvicorn makes for each WebSocket connection.

It speaks ASGI (https://asgi.readthedocs.io, spec_version 2.4) to the application and WebSocket to the client.
What an application sees of uvicorn's own classes it sees of this one: the same scope, events, log lines,
exceptions and timeouts.

Messages wait in a queue as :class:`wsfast.Connection` returns them, all of a read at once. Each becomes an
ASGI event when the application asks for it. Until it has asked for all of them, reading pauses.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Iterable
from http.client import responses
from typing import Any
from urllib.parse import unquote

from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)

from ..connection import Connection
from ..deflate import Deflate
from ..errors import InvalidState
from ..events import Close, Pong, Rejected, Request
from .uvicorn import HOST

__all__ = ["WebSocketProtocol"]

#: How long the client may take to answer a close frame, in seconds.
_CLOSE_TIMEOUT = 10.0
#: What the HTTP side let through is not judged by its size again, within reason.
_HEAD_SIZE = 1 << 18
_HEAD_FIELDS = 1024
#: Fields of a response that the connection writes by itself.
_OWN_FIELDS = frozenset({"connection", "content-length", "transfer-encoding"})
# The same of the response that accepts: applications that pass on what another server said send them, too.
_HANDSHAKES_FIELDS = frozenset({*_OWN_FIELDS, "trailer", "upgrade"})

_counts = HOST.counts


class WebSocketProtocol(asyncio.BufferedProtocol):
    """One connection of uvicorn's server.

    Args:
        config: the server's configuration. Of the settings that begin with ``ws_``, ``ws_max_size``
            (bytes of a message, decompressed), ``ws_ping_interval``, ``ws_ping_timeout`` (seconds;
            ``None`` for none) and ``ws_per_message_deflate`` count here.
        server_state: what the server's connections share.
        app_state: what the lifespan has left for the application; each connection has a copy.
        _loop: the event loop, by default that of the caller.

    """

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        if not config.loaded:
            config.load()
        self.config = config
        self.app = config.loaded_app
        self.loop: asyncio.AbstractEventLoop = _loop or asyncio.get_event_loop()
        self.logger = logging.getLogger("uvicorn.error")
        self.app_state = app_state
        self.connections: set[Any] = server_state.connections
        self.tasks: set[asyncio.Task[None]] = server_state.tasks
        self.default_headers: list[tuple[bytes, bytes]] = server_state.default_headers
        self.transport: Any = None
        self.scope: Any = {}
        self._connection = Connection(
            "server",
            compression=Deflate() if config.ws_per_message_deflate else None,
            max_size=config.ws_max_size,
            max_header_size=_HEAD_SIZE,
            max_header_count=_HEAD_FIELDS,
        )
        # How far it has come; each stays true.
        self._accepted = self._answered = self._close_sent = self._lost = False
        # Whether the server ends.
        self._going_away = False
        # The response that the application sends instead of accepting: status and fields, then its body.
        self._response: tuple[int, list[tuple[str, str]]] | None = None
        self._body = bytearray()

        # Messages as they came, events of other kinds as the application will see them.
        self._queue: deque[Any] = deque()
        self._arrived = asyncio.Event()
        # How many calls of receive() wait for one.
        self._waiting = 0
        self._last: dict[str, Any] | None = None
        self._reading = True
        self._writable = asyncio.Event()
        self._writable.set()

        self.close_timeout = _CLOSE_TIMEOUT
        self.close_timer: asyncio.TimerHandle | None = None
        self._ping_interval: float | None = config.ws_ping_interval
        self._ping_timeout: float | None = config.ws_ping_timeout
        self.ping_timer: asyncio.TimerHandle | None = None
        self.pong_timer: asyncio.TimerHandle | None = None
        # The ping that waits for its pong, and when it was sent.
        self._ping = b""
        self.ping_sent_at = 0.0
        self._round_trip = 0.0

    # ---- The transport's side ----------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take over a transport from the HTTP side, which hands in the request next."""
        self.connections.add(self)
        self.transport = transport
        self._trace("WebSocket connection made")

    def connection_lost(self, exc: Exception | None) -> None:
        """End: whoever waits for a message, or to send one, is told."""
        self._stop_pings()
        self._tell({"type": "websocket.disconnect", "code": 1005 if self._accepted else 1006})
        self.connections.discard(self)
        self._trace("WebSocket connection lost")
        self._lost = True
        # asyncio does not resume writing on a transport that is lost while it is paused.
        self._writable.set()
        self._cancel_close_timer()
        if exc is None:
            self.transport.close()

    def get_buffer(self, sizehint: int) -> Any:
        """Return memory to read into; of a large message, where it will stay."""
        return self._connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has been read."""
        self._handle(self._connection.buffer_updated(nbytes))

    def data_received(self, data: bytes) -> None:
        """Take the request, and whatever came with it, from the HTTP side."""
        self._handle(self._connection.receive_data(data))

    def eof_received(self) -> None:
        """Let the transport close."""

    def pause_writing(self) -> None:
        """Make ``send()`` wait: the client does not read as fast as the application writes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let ``send()`` go on."""
        self._writable.set()

    def shutdown(self) -> None:
        """End the connection because the server ends (1012, or 500 before it was accepted)."""
        self._stop_pings()
        self._going_away = True
        if not self._close_sent and not self.transport.is_closing():
            if self._accepted:
                self._tell({"type": "websocket.disconnect", "code": 1012})
                self.transport.write(self._goodbye(1012))
            else:
                self._refuse()
        self._cancel_close_timer()
        self.transport.close()

    def _handle(self, events: list[Any]) -> None:
        """Queue messages, and react to everything else."""
        if events:
            messages = len(events)
            # After websocket.close nobody asks for messages; reading goes on to the client's answer.
            dropped = self._close_sent
            queue = self._queue
            backlog = len(queue)
            for event in events:
                kind = type(event)
                if kind is str or kind is bytes:
                    if not dropped:
                        queue.append(event)
                else:
                    messages -= 1
                    self._react(event)
            if messages and not dropped:
                _counts.fast += messages
                self._queued(backlog, messages)
        if answer := self._connection.data_to_send():
            self.transport.write(answer)
        if self.close_timer is not None and self._connection.close_received is not None:
            # The client has answered: the closing handshake is complete.
            self._cancel_close_timer()
            self.transport.close()

    def _queued(self, backlog: int, messages: int) -> None:
        """Wake the application, and pause reading until it has asked for all of it.

        One that keeps up does so as soon as it runs, which is before the next read: for that one, pausing
        would cost two system calls with each read.
        """
        self._arrived.set()
        if not self._reading:
            return
        if not self._waiting:
            self._pause_reading()
        elif backlog + messages > self._waiting:
            self.loop.call_soon(self._pause_if_behind)  # it runs first

    def _pause_if_behind(self) -> None:
        if self._queue and self._reading and not (self._close_sent or self._lost):
            self._pause_reading()

    def _pause_reading(self) -> None:
        self._reading = False
        self.transport.pause_reading()

    def _tell(self, event: dict[str, Any]) -> None:
        self._queue.append(event)
        self._arrived.set()

    def _react(self, event: Any) -> None:
        """React to what is not a message."""
        if isinstance(event, Pong):
            if event.payload and event.payload == self._ping:
                self._ponged()
        elif isinstance(event, Request):
            self._connect(event)
        elif isinstance(event, Close):
            self._closed_by_peer(event)
        elif isinstance(event, Rejected):
            # Not a WebSocket handshake: the answer is written as all others are.
            self._answered = self._close_sent = True
            if self.scope:  # it was one, but the client did not wait for the answer
                self._tell({"type": "websocket.disconnect", "code": 1006})
            self.loop.call_soon(self.transport.close)

    def _closed_by_peer(self, event: Close) -> None:
        """Close the transport behind the client's close frame, or the one that tells it of its fault."""
        self._stop_pings()
        if self._close_sent:
            return
        self._tell({"type": "websocket.disconnect", "code": int(event.code), "reason": event.reason})
        if answer := self._connection.data_to_send():
            self.transport.write(answer)
        self.transport.close()

    # ---- The opening handshake ---------------------------------------------------------------------

    def _connect(self, request: Request) -> None:
        """Start the application on a request."""
        transport, root_path = self.transport, self.config.root_path
        raw_path, _, query_string = request.target.partition("?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "root_path": root_path,
            "path": root_path + unquote(raw_path),
            "raw_path": root_path.encode("ascii") + raw_path.encode("ascii"),
            "query_string": query_string.encode("ascii"),
            "headers": [
                (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in request.headers
            ],
            "subprotocols": list(request.subprotocols),
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
        self._tell({"type": "websocket.connect"})
        task = self.loop.create_task(self._run())
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _run(self) -> None:
        """Run the application, and see to it that the connection ends with it."""
        try:
            result = await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self._refuse()
        else:
            if not self._answered:
                self.logger.error("ASGI callable returned without completing handshake.")
                self._refuse()
            elif result is not None:
                self.logger.error("ASGI callable should return None, but returned '%s'.", result)
        if self.close_timer is None:
            self.transport.close()

    def _refuse(self) -> None:
        """Answer the request, unless that is done: with the response that was begun, or 500."""
        if self._answered or not self.scope:
            return
        if self._response is not None:
            self._reject(*self._response, bytes(self._body))
        else:
            self._reject(500, [], b"Internal Server Error")

    # ---- The application's side --------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """Return the next event: ASGI's ``receive``. After the last one that one comes again."""
        queue = self._queue
        while not queue:
            if self._last is not None and self._lost:
                return self._last
            self._arrived.clear()
            self._waiting += 1
            try:
                await self._arrived.wait()
            finally:
                self._waiting -= 1
        item = queue.popleft()
        if not self._reading and not queue:
            self._resume_reading()
        kind = type(item)
        if kind is str:
            return {"type": "websocket.receive", "text": item}
        if kind is bytes:
            return {"type": "websocket.receive", "bytes": item}
        if item["type"] == "websocket.disconnect":
            self._last = item
        return item  # type: ignore[no-any-return]

    def _resume_reading(self) -> None:
        self._reading = True
        self.transport.resume_reading()

    async def send(self, message: Any) -> None:
        """Take an event of the application: ASGI's ``send``.

        Raises:
            ClientDisconnected: the connection has ended, or is being closed by the client.
            RuntimeError: it is not the time for such an event.

        """
        if not self._writable.is_set():
            await self._writable.wait()
        if self._lost:
            raise ClientDisconnected
        if not self._accepted:
            self._answer(message)
        elif self._close_sent:
            if self._going_away:
                raise ClientDisconnected  # it was not the application that has closed
            raise RuntimeError(
                f"Unexpected ASGI message '{message['type']}', after sending 'websocket.close'."
            )
        elif message["type"] == "websocket.send":
            try:
                if (data := message.get("bytes")) is not None:
                    frame = self._connection.send_binary(data)
                elif (text := message.get("text")) is not None:
                    frame = self._connection.send_text(text)
                else:
                    return
            except InvalidState:
                raise ClientDisconnected from None
            self.transport.write(frame)
        elif message["type"] == "websocket.close":
            self._close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(
                f"Expected ASGI message 'websocket.send' or 'websocket.close', but got '{message['type']}'."
            )

    def _close(self, code: int, reason: str) -> None:
        """Close from this side; the client has some seconds to answer."""
        if self.transport.is_closing():
            return
        goodbye = self._goodbye(code, reason)
        self._queue.clear()
        self._tell({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(goodbye)
        if not self._reading:
            self._resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def _goodbye(self, code: int, reason: str = "") -> bytes:
        """Return a close frame, and what goes before it; nothing if there has been one."""
        try:
            goodbye = self._connection.close(code, reason)
        except InvalidState:
            raise ClientDisconnected from None
        self._close_sent = True
        return goodbye

    def _answer(self, message: Any) -> None:
        """Take an event of the application before it has accepted."""
        kind = message["type"]
        if self._response is not None:
            if self._answered:
                raise RuntimeError(f"Unexpected ASGI message '{kind}', after the response.")
            self._respond(message)
        elif self._answered:
            raise RuntimeError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        elif kind == "websocket.accept":
            self._log_access("[accepted]")
            self._accept(message)
        elif kind == "websocket.close":
            self._tell({"type": "websocket.disconnect", "code": 1006})
            self._log_access("403")
            self._reject(403, [], b"")
        elif kind == "websocket.http.response.start":
            status = message["status"]
            if not 200 <= status < 600:
                raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
            self._log_access(str(status))
            self._response = (status, _fields(message.get("headers", ())))
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or"
                f" 'websocket.http.response.start' but got '{kind}'."
            )

    def _accept(self, message: Any) -> None:
        subprotocol = message.get("subprotocol")
        headers = []
        for name, value in _fields([*self.default_headers, *message.get("headers", ())]):
            if name.lower() == "sec-websocket-protocol":
                subprotocol = subprotocol or value  # what some applications do instead
            elif name.lower() not in _HANDSHAKES_FIELDS and not name.lower().startswith("sec-websocket-"):
                headers.append((name, value.strip(" \t")))
        if self.transport.is_closing():
            return
        response = self._connection.accept(subprotocol or None, headers)
        self._accepted = self._answered = True
        self.transport.write(response)
        self.logger.info("connection open")
        if self._ping_interval is not None and self._ping_interval > 0:
            self._schedule_ping()
        self._handle(self._connection.receive_data(b""))  # what came behind the request

    def _respond(self, message: Any) -> None:
        """Take a part of the body of the response that denies the connection."""
        if message["type"] != "websocket.http.response.body":
            raise RuntimeError(
                f"Expected ASGI message 'websocket.http.response.body' but got '{message['type']}'."
            )
        self._body += message.get("body", b"")
        if self._response is not None and not message.get("more_body", False):
            self._tell({"type": "websocket.disconnect", "code": 1006})
            self._reject(*self._response, bytes(self._body))

    def _reject(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        more = [(name, value) for name, value in headers if name.lower() not in _OWN_FIELDS]
        response = self._connection.reject(status, more, body)
        self._answered = self._close_sent = True
        self.transport.write(response)
        self.logger.info("connection rejected (%d %s)", status, responses.get(status, ""))
        self.transport.close()

    # ---- Pings (RFC 6455 §5.5.2) -------------------------------------------------------------------

    def _schedule_ping(self) -> None:
        """Send the next ping an interval after the last one, whenever its pong came."""
        delay = max(0.0, (self._ping_interval or 0.0) - self._round_trip)
        self.ping_timer = self.loop.call_later(delay, self._send_ping)

    def _send_ping(self) -> None:
        self.ping_timer = None
        if self._close_sent or self.transport.is_closing():
            return
        # Pongs to other pings, or to none, have another payload.
        self._ping = os.urandom(4)
        self.ping_sent_at = self.loop.time()
        try:
            self.transport.write(self._connection.ping(self._ping))
        except InvalidState:
            return  # the client is closing
        if self._ping_timeout is None:
            self._schedule_ping()
        else:
            self.pong_timer = self.loop.call_later(self._ping_timeout, self._miss_pong)

    def _ponged(self) -> None:
        self._round_trip = self.loop.time() - self.ping_sent_at
        self._ping = b""
        if self.pong_timer is not None:
            self.pong_timer.cancel()
            self.pong_timer = None
            self._schedule_ping()

    def _miss_pong(self) -> None:
        """End a connection whose client does not answer."""
        self.pong_timer = None
        if self._close_sent or self.transport.is_closing():
            return
        self._trace("WebSocket keepalive ping timeout")
        self.transport.write(self._goodbye(1011, "keepalive ping timeout"))
        self.transport.close()

    def _stop_pings(self) -> None:
        for timer in (self.ping_timer, self.pong_timer):
            if timer is not None:
                timer.cancel()
        self.ping_timer = self.pong_timer = None
        self._ping = b""

    # ---- Little things -----------------------------------------------------------------------------

    def _cancel_close_timer(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

    def _log_access(self, outcome: str) -> None:
        client, path = get_client_addr(self.scope), get_path_with_query_string(self.scope)
        self.logger.info('%s - "WebSocket %s" %s', client, path, outcome)

    def _trace(self, text: str) -> None:
        if self.logger.level <= TRACE_LOG_LEVEL:
            client = get_remote_addr(self.transport)
            prefix = f"{client[0]}:{client[1]} - " if client else ""
            self.logger.log(TRACE_LOG_LEVEL, "%s%s", prefix, text)


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
