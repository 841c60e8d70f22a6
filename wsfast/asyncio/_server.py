"""A WebSocket server on asyncio."""

from __future__ import annotations

import asyncio
import http
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from re import Pattern
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..connection import Connection as SansIO
from ..connection import State
from ..deflate import Deflate
from ..events import Rejected, Request
from ._alarms import Alarms
from ._connection import Connection
from ._errors import ConnectionClosed
from ._settings import Settings
from ._transports import maker

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..headers import HeadersLike
    from ._settings import Logger

    Handler = Callable[["ServerConnection"], Awaitable[object]]
    OnMessage = Callable[["ServerConnection", str | bytes], object]

__all__ = ["Answer", "Server", "ServerConnection", "serve"]

_SERVER_HEADER = "wsfast"


class Answer(NamedTuple):
    """An HTTP response that takes the place of a WebSocket connection; ``process_request`` returns it."""

    status: int
    headers: HeadersLike = ()
    body: str | bytes = b""


class ServerConnection(Connection):
    """A connection to a client.

    Attributes:
        server: the :class:`Server` that took it.

    """

    __slots__ = ("_deciding", "server")

    request: Request

    def __init__(self, ws: SansIO, server: Server, settings: Settings, alarms: Alarms) -> None:
        super().__init__(ws, settings, alarms)
        self.server = server
        self._deciding: asyncio.Task[None] | None = None

    def respond(self, status: int, body: str | bytes = "", headers: HeadersLike = ()) -> Answer:
        """Make a response for ``process_request`` to return.

        Args:
            status: 200 to 599.
            body: to send with it; by default what the status means.
            headers: fields to add. The body is ``text/plain; charset=utf-8`` unless they have another
                Content-Type.

        """
        return Answer(status, headers, body or f"{http.HTTPStatus(status).phrase}\n")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server._others.add(self)
        timeout = self.server._options.open_timeout
        if timeout is not None:
            self._alarms.set(self, timeout, ServerConnection._too_slow)

    def _too_slow(self) -> None:
        """Give up on a client that has not finished its request."""
        self.logger.info("opening handshake timed out")
        self.transport.abort()

    def _on_handshake(self, event: Any) -> None:
        if isinstance(event, Rejected):
            # The answer is sent already.
            if event.error is not None:
                self.logger.info("opening handshake failed: %s", event.error)
            self._end_handshake()
            return
        options = self.server._options
        if self.server._closing:
            self._reject(503, (), "the server is shutting down\n")
        elif options.process_request is None and options.select_subprotocol is None:
            self._accept()
        else:
            self._deciding = self._start(self._decide(event), self.server._tasks.discard)

    def _start(
        self, work: Coroutine[Any, Any, Any], then: Callable[[asyncio.Task[Any]], object]
    ) -> asyncio.Task[Any]:
        """Run a coroutine that the server waits for when it is closed, until ``then`` takes it from there."""
        task: asyncio.Task[Any] = self.loop.create_task(work)
        self.server._tasks.add(task)
        task.add_done_callback(then)
        return task

    async def _decide(self, request: Request) -> None:
        """Ask the application what to do with a request."""
        options = self.server._options
        try:
            answer = None
            if options.process_request is not None:
                answer = options.process_request(self, request)
                if inspect.isawaitable(answer):
                    answer = await answer
            if self._ws.state is not State.CONNECTING or self._gone:
                return
            if answer is not None:
                self._reject(*answer)
                return
            if request.error is not None:
                self._reject(request.error.status, (), f"{request.error}\n")
            elif options.select_subprotocol is None:
                self._accept()
            else:
                chosen = options.select_subprotocol(self, request.subprotocols)
                self._accept(subprotocol=chosen)
        except Exception:
            self.logger.exception("opening handshake failed")
            if self._ws.state is State.CONNECTING and not self._gone:
                self._reject(500, (), "Failed to open a WebSocket connection.\n")
        finally:
            self._deciding = None

    def _accept(self, **chosen: Any) -> None:
        self._put(self._ws.accept(**chosen))
        self.server._others.discard(self)
        self.server._open.add(self)
        self._opened()
        options = self.server._options
        if options.on_connect is not None and not self._told(options.on_connect):
            self._fail(1011, "internal error")
            return
        if options.handler is not None:
            self._handle(options.handler)
        # What came behind the request.
        events = self._ws.receive_data(b"")
        if events:
            self._deliver(events)

    def _reject(self, status: int, headers: HeadersLike = (), body: str | bytes = b"") -> None:
        self._put(self._ws.reject(status, headers, body))
        self._end_handshake()

    def _end_handshake(self) -> None:
        """Close the transport when what was sent is gone."""
        self._flush()
        self.transport.close()
        self._after_close()

    def _handle(self, handler: Handler) -> None:
        """Run the application, and close the connection when it is done."""
        # Its coroutine is the task's own: one between them would cost memory, and a step for each message.
        work: Any
        try:
            work = handler(self)
        except Exception:
            self.logger.exception("connection handler failed")
            self._close(1011, "")
            return
        self._start(work if asyncio.iscoroutine(work) else _await(work), self._handled)

    def _handled(self, task: asyncio.Task[Any]) -> None:
        self.server._tasks.discard(task)
        if task.cancelled():
            if self._ws.state is State.OPEN:
                self._begin_closing(1001, "")
            return
        error = task.exception()
        code = 1000
        # How the connection ends need not interest the application.
        if error is not None and not isinstance(error, ConnectionClosed):
            if not isinstance(error, Exception):
                return  # the loop raises it
            self.logger.error("connection handler failed", exc_info=error)
            code = 1011
        if self._fragments is None:
            self._close(code, "")
        else:
            # Behind a message that another task sends.
            self._start(self.close(code), self.server._tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server._others.discard(self)
        self.server._open.discard(self)
        if self._deciding is not None:
            # There is nobody left to answer.
            self._deciding.cancel()
        super().connection_lost(exc)

    def _after_close(self) -> None:
        if self in self.server._open:
            self.server._open.discard(self)
            self.server._others.add(self)
        super()._after_close()


async def _await(awaitable: Awaitable[Any]) -> None:
    """Make a coroutine of something else that can be awaited."""
    await awaitable


class _Options(NamedTuple):
    """What the connections of a server have in common."""

    handler: Handler | None
    on_connect: Callable[[ServerConnection], object] | None
    process_request: Callable[[ServerConnection, Request], Any] | None
    select_subprotocol: Callable[[ServerConnection, Sequence[str]], str | None] | None
    open_timeout: float | None


class Server:
    """A running server; :func:`serve` makes it.

    As a context manager, it is closed at the end.

    Attributes:
        connections: those that are open.
        sockets: those it listens at.

    """

    def __init__(self, options: _Options) -> None:
        self._options = options
        self._server: asyncio.Server | None = None
        # Those that messages can be sent to, and those whose opening or closing handshake is under way.
        self._open: set[ServerConnection] = set()
        self._others: set[ServerConnection] = set()
        # What their handlers run in.
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[None] = self._loop.create_future()

    @property
    def connections(self) -> set[ServerConnection]:
        return self._open.copy()

    @property
    def _connections(self) -> set[ServerConnection]:
        """All of them, whatever their state."""
        return self._open | self._others

    @property
    def sockets(self) -> tuple[Any, ...]:
        return () if self._server is None else tuple(self._server.sockets)

    def is_serving(self) -> bool:
        """Tell whether it takes connections."""
        return self._server is not None and self._server.is_serving()

    async def start_serving(self) -> None:
        """Take connections, after ``serve(..., start_serving=False)``."""
        if self._server is not None:
            await self._server.start_serving()

    async def serve_forever(self) -> None:
        """Take connections until the server is closed, or this is cancelled, which closes it."""
        await self.start_serving()
        try:
            await asyncio.shield(self._ending)
        finally:
            self.close()
            await self.wait_closed()

    def close(self, close_connections: bool = True, code: int = 1001, reason: str = "") -> None:
        """Stop taking connections, and close those that are open; :meth:`wait_closed` waits for it.

        Args:
            close_connections: ``False`` leaves those that are open to end by themselves.
            code: for their close frames, 1001 ("going away") by default.
            reason: for people.

        """
        if self._closing is None:
            if self._server is not None:
                self._server.close()
            self._ending.set_result(None)
            self._closing = self._loop.create_task(self._close(close_connections, code, reason))

    async def _close(self, close_connections: bool, code: int, reason: str) -> None:
        connections = self._connections
        for connection in connections:
            if connection.state is State.CONNECTING:
                connection.transport.abort()
            elif close_connections and connection.state is State.OPEN:
                connection._begin_closing(code, reason)
        for connection in connections:
            await connection.wait_closed()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_closed(self) -> None:
        """Wait until the server and its connections are closed, and their handlers done."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()


class serve:
    """Serve WebSocket connections.

    ``async with serve(handler, host, port) as server: ...`` or ``server = await serve(...)``.

    Args:
        handler: a coroutine function that gets each :class:`ServerConnection`, which is closed when it
            returns. ``None`` if ``on_message`` is given.
        host, port: where to listen, as ``loop.create_server()`` takes them.
        on_message: is called with the connection and each message that arrives, instead of a handler
            that receives them: no task is needed for a connection. It must not wait; it sends by
            :meth:`~Connection.send_nowait`. An exception from it closes the connection with 1011.
        on_connect, on_close: are called with each connection when it is open, and when it has ended.
        origins: those allowed, as :class:`wsfast.Connection` takes them; all by default. List them where
            cookies authorize (RFC 6455 §10.2).
        subprotocols: those supported, best first; the first that the client offers, too, is chosen.
        select_subprotocol: chooses instead: gets the connection and what the client offers, and returns
            one of that, or ``None``.
        compression: ``"deflate"``, ``None``, or a :class:`wsfast.Deflate`.
        process_request: gets the connection and its :class:`~wsfast.Request`; ``None`` goes on with the
            handshake, ``connection.respond(status, body, headers)`` answers with that. It may be a
            coroutine function, which is cancelled when the client leaves or ``open_timeout`` is over. GET
            and HEAD requests that ask for no WebSocket connection, for a page say, come here too; the
            client has ``close_timeout`` seconds to read the answer.
        additional_headers: fields to add to each answer.
        server_header: the Server field; ``None`` for none.
        open_timeout: seconds for the opening handshake.
        ping_interval: seconds between pings; ``None`` for no pings.
        ping_timeout: seconds to wait for the pong, after which the connection is failed with 1011.
        close_timeout: seconds for the closing handshake.
        max_size: limit on a message, in bytes, before and after decompression; ``None`` for no limit.
        max_queue: how many messages may wait to be received before reading stops, and, in a pair, down
            to how many it stays so.
        write_limit: how many bytes may wait to be sent before ``send()`` waits; the transport's high
            mark, or a pair with the low one.
        logger: takes what goes wrong in handlers; ``logging.getLogger("wsfast.asyncio")`` by default.
        create_connection: a subclass of :class:`ServerConnection` to use.
        options: further ones for ``loop.create_server()``: ``ssl``, ``sock``, ``backlog``,
            ``reuse_port``, ...; or ``unix=True`` with ``path`` for a Unix socket.

    Raises:
        OSError: it cannot listen there.
        TypeError: an argument of a wrong type, or neither or both of ``handler`` and ``on_message``.

    """

    def __init__(
        self,
        handler: Handler | None = None,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        on_message: OnMessage | None = None,
        on_connect: Callable[[ServerConnection], object] | None = None,
        on_close: Callable[[ServerConnection], object] | None = None,
        origins: Sequence[str | Pattern[str] | None] | None = None,
        subprotocols: Sequence[str] | None = None,
        select_subprotocol: Callable[[ServerConnection, Sequence[str]], str | None] | None = None,
        compression: str | Deflate | None = "deflate",
        process_request: Callable[[ServerConnection, Request], Any] | None = None,
        additional_headers: HeadersLike = (),
        server_header: str | None = _SERVER_HEADER,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_size: int | None = 1 << 20,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 32768,
        logger: Logger | None = None,
        create_connection: type[ServerConnection] | None = None,
        unix: bool = False,
        **options: Any,
    ) -> None:
        if (handler is None) is (on_message is None):
            raise TypeError("serve() needs a handler or on_message, and not both")
        headers = [*pairs(additional_headers)]
        if server_header is not None:
            headers.append(("Server", server_header))
        self._common = _Options(handler, on_connect, process_request, select_subprotocol, open_timeout)
        # What is wrong with the arguments is said at once, not to the first client.
        self._template = SansIO(
            "server",
            subprotocols=() if subprotocols is None else subprotocols,
            headers=headers,
            origins=origins,
            compression=deflate_of(compression),
            max_size=max_size,
            plain_http=process_request is not None,
        )
        self._settings = Settings.of(
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
            on_message=on_message,
            on_close=on_close,
            logger=logger,
        )
        self._class = create_connection or ServerConnection
        self._unix = unix
        self._host, self._port = host, port
        self._listening = options
        self._server: Server | None = None

    def __await__(self) -> Generator[Any, None, Server]:
        return self._start().__await__()

    async def _start(self) -> Server:
        loop = asyncio.get_running_loop()
        alarms = Alarms.of(loop)
        server = Server(self._common)
        kind, another, settings = self._class, self._template._another, self._settings

        def make() -> ServerConnection:
            return kind(another(), server, settings, alarms)

        if self._unix:
            listening = await maker(loop, "create_unix_server")(make, **self._listening)
        else:
            listening = await maker(loop, "create_server")(make, self._host, self._port, **self._listening)
        server._server = listening
        return server

    async def __aenter__(self) -> Server:
        self._server = await self
        return self._server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def serve_forever(self) -> None:
        """Serve until this is cancelled."""
        await (await self).serve_forever()


def deflate_of(compression: str | Deflate | None) -> Deflate | None:
    """Return what an endpoint's ``compression`` means."""
    if compression is None or isinstance(compression, Deflate):
        return compression
    if compression == "deflate":
        return Deflate()
    raise ValueError(f"compression must be 'deflate', None or a wsfast.Deflate, not {compression!r}")


def pairs(headers: Any) -> Iterable[tuple[str, str]]:
    found: Iterable[tuple[str, str]] = headers.items() if hasattr(headers, "items") else headers
    return found
