"""A WebSocket client on asyncio."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from ..connection import Connection as SansIO
from ..deflate import Deflate
from ..errors import HandshakeError
from ..events import Rejected
from ..uri import parse_uri
from . import _proxy
from ._alarms import Alarms
from ._connection import Connection
from ._errors import InvalidStatus
from ._server import deflate_of, pairs
from ._settings import Settings
from ._transports import maker

if TYPE_CHECKING:
    from ..headers import HeadersLike
    from ._settings import Logger

__all__ = ["ClientConnection", "backoff", "connect", "process_exception"]

_USER_AGENT = "wsfast"
_MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
#: Fields that go to the server they were meant for, and no other.
_SECRETS = ("authorization", "cookie")


class ClientConnection(Connection):
    """A connection to a server."""

    __slots__ = ("_handshake",)

    def __init__(self, ws: SansIO, settings: Settings, alarms: Alarms) -> None:
        super().__init__(ws, settings, alarms)
        #: What ends the opening handshake: the response, or why there is none.
        self._handshake: asyncio.Future[None] = self.loop.create_future()
        # connect() may have been cancelled: then nobody asks.
        self._handshake.add_done_callback(lambda done: done.cancelled() or done.exception())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._flush()

    def _on_handshake(self, event: Any) -> None:
        rejected = isinstance(event, Rejected)
        if not rejected:
            self._opened()
        if not self._handshake.done():
            if not rejected:
                self._handshake.set_result(None)
            elif event.error is not None:
                self._handshake.set_exception(event.error)
            else:
                self._handshake.set_exception(InvalidStatus(event))
        if rejected:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._handshake.done():
            self._handshake.set_exception(exc or ConnectionResetError("the server closed the connection"))


def process_exception(exc: Exception) -> Exception | None:
    """Tell whether a failed attempt to connect is worth another one.

    It is for errors of the network, for a server that answers with 500, 502, 503 or 504, and for one that
    closes the connection instead of an answer.

    Returns:
        ``None`` to try again, or what to raise.

    """
    if isinstance(exc, (OSError, TimeoutError, asyncio.TimeoutError)):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status in (500, 502, 503, 504):
        return None
    if isinstance(exc, HandshakeError) and "closed before the handshake" in str(exc):
        return None
    return exc


def backoff() -> Iterator[float]:
    """Yield the seconds to wait before each attempt to connect again (RFC 6455 §7.2.3): up to 90."""
    yield random.random() * 5
    delay = 3.1
    while delay < 90:
        yield delay
        delay *= 1.618
    while True:
        yield 90.0


class connect:
    """Connect to a WebSocket server.

    ``async with connect(uri) as ws: ...`` or ``ws = await connect(uri)``; or ``async for ws in
    connect(uri): ...``, which connects again whenever the connection has ended.

    Args:
        uri: ``ws://`` or ``wss://``. User and password in it become Basic authorization.
        on_message: is called with the connection and each message that arrives; nothing is received by
            ``recv()`` then. It must not wait; it sends by :meth:`~Connection.send_nowait`.
        on_close: is called with the connection when it has ended.
        origin: the Origin field.
        subprotocols: those to offer, best first.
        compression: ``"deflate"``, ``None``, or a :class:`wsfast.Deflate`.
        additional_headers: fields to add to the request.
        user_agent_header: the User-Agent field; ``None`` for none.
        proxy: ``True`` for what the environment says (``https_proxy``, ``no_proxy``, ...), ``None`` for
            none, or a URL: ``http://``, ``socks4://``, ``socks5://``, ``socks4a://``, ``socks5h://``; the
            last two, and the first, leave it to the proxy to find the server's address. It needs
            python-socks: ``pip install 'wsfast[proxy]'``.
        process_exception: tells whether an error is worth another attempt, for ``async for``.
        open_timeout: seconds to connect and for the opening handshake.
        ping_interval: seconds between pings; ``None`` for no pings.
        ping_timeout: seconds to wait for the pong, after which the connection is failed with 1011.
        close_timeout: seconds for the closing handshake.
        reconnect_delays: makes the iterator of seconds to wait before each attempt, for ``async for``.
        max_size: limit on a message, in bytes, before and after decompression; ``None`` for no limit.
        max_queue: how many messages may wait to be received before reading stops, and, in a pair, down
            to how many it stays so.
        write_limit: how many bytes may wait to be sent before ``send()`` waits.
        logger: takes what goes wrong; ``logging.getLogger("wsfast.asyncio")`` by default.
        create_connection: a subclass of :class:`ClientConnection` to use.
        options: further ones for ``loop.create_connection()``: ``ssl``, ``server_hostname``, ``sock``,
            ``host`` and ``port`` to connect to instead of the URI's, ``local_addr``, ...; or
            ``unix=True`` with ``path`` for a Unix socket.

    Raises:
        OSError: the server cannot be reached.
        TimeoutError: it took longer than ``open_timeout``.
        InvalidStatus: the server answered with another status than 101.
        HandshakeError: its answer broke a rule.
        ProxyError: the proxy does not connect to the server.
        ValueError: ``uri`` is none of WebSocket.

    """

    def __init__(
        self,
        uri: str,
        *,
        on_message: Callable[[ClientConnection, str | bytes], object] | None = None,
        on_close: Callable[[ClientConnection], object] | None = None,
        origin: str | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: str | Deflate | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = _USER_AGENT,
        proxy: str | bool | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        max_size: int | None = 1 << 20,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 32768,
        logger: Logger | None = None,
        create_connection: type[ClientConnection] | None = None,
        unix: bool = False,
        **options: Any,
    ) -> None:
        self.uri = uri
        self._headers = [*pairs(additional_headers or ())]
        if user_agent_header is not None and not _has(self._headers, "user-agent"):
            self._headers.append(("User-Agent", user_agent_header))
        self._sans_io: dict[str, Any] = {
            "origin": origin,
            "subprotocols": () if subprotocols is None else subprotocols,
            "compression": deflate_of(compression),
            "max_size": max_size,
        }
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
        self._proxy = proxy
        self._process_exception = process_exception
        self._open_timeout = open_timeout
        self._delays = reconnect_delays
        self._class = create_connection or ClientConnection
        self._unix = unix
        self._options = options
        self._connection: ClientConnection | None = None
        # What is wrong with the arguments is said at once.
        self._make_sans_io(uri, self._headers)

    def _make_sans_io(self, uri: str, headers: HeadersLike) -> SansIO:
        return SansIO("client", uri, headers=headers, **self._sans_io)

    # ---- Connecting ------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._connect_in_time().__await__()

    async def _connect_in_time(self) -> ClientConnection:
        try:
            return await asyncio.wait_for(self._connect(), self._open_timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"timed out: {self.uri} took more than {self._open_timeout} s") from None

    async def _connect(self) -> ClientConnection:
        """Connect, to where redirects lead."""
        uri, headers = self.uri, self._headers
        for _ in range(_MAX_REDIRECTS):
            connection = await self._connect_once(uri, headers)
            try:
                await connection._handshake
            except InvalidStatus as exc:
                location = _location(exc.response)
                if location is None:
                    raise
                target = _redirected(uri, location, exc)
                headers = _without_secrets(uri, target, headers, exc)
                uri = target
            except BaseException:
                connection.transport.abort()
                raise
            else:
                return connection
        raise HandshakeError(f"more than {_MAX_REDIRECTS} redirects, the last one to {uri}")

    async def _connect_once(self, uri: str, headers: HeadersLike) -> ClientConnection:
        loop = asyncio.get_running_loop()
        parts = parse_uri(uri)
        options = dict(self._options)

        def make() -> ClientConnection:
            return self._class(self._make_sans_io(uri, headers), self._settings, Alarms.of(loop))

        if parts.secure:
            options.setdefault("ssl", True)
            if options["ssl"] is None:
                raise TypeError(f"ssl=None is incompatible with the wss:// URI {uri!r}")
            options.setdefault("server_hostname", parts.host)
        elif options.get("ssl") is not None:
            raise TypeError(f"ssl= is incompatible with the ws:// URI {uri!r}: use wss://")
        if self._unix:
            connection: ClientConnection
            _, connection = await maker(loop, "create_unix_connection")(make, **options)
            return connection
        if options.get("sock") is None:
            host, port = options.pop("host", parts.host), options.pop("port", parts.port)
            proxy = _proxy.find_proxy(parts) if self._proxy is True else self._proxy
            if proxy:
                options["sock"] = await _proxy.connect_through(str(proxy), host, port)
            else:
                options["host"], options["port"] = host, port
        _, connection = await maker(loop, "create_connection")(make, **options)
        return connection

    # ---- As a context manager --------------------------------------------------------------------

    async def __aenter__(self) -> ClientConnection:
        self._connection = await self
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    # ---- As an iterator ----------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        """Connect, and again when the connection has ended, after a while if that fails."""
        delays = None
        while True:
            try:
                connection = await self
            except Exception as exc:
                fatal = self._process_exception(exc)
                if fatal is exc:
                    raise
                if fatal is not None:
                    raise fatal from exc
                delays = delays or iter(self._delays())
                delay = next(delays)
                self._settings.logger.info("connecting again in %.1f seconds: %s", delay, exc)
                await asyncio.sleep(delay)
                continue
            delays = None
            try:
                yield connection
            finally:
                await connection.close()


def _has(headers: Sequence[tuple[str, str]], name: str) -> bool:
    return any(each.lower() == name for each, _ in headers)


def _location(response: Rejected) -> str | None:
    """Return where a response redirects to."""
    if response.status not in _REDIRECTS:
        return None
    return response.headers.get("Location")


def _redirected(uri: str, location: str, cause: InvalidStatus) -> str:
    """Return the URI that a Location field leads to; it may be relative, and of HTTP (RFC 9110 §10.2.2)."""
    try:
        target = urljoin("http" + uri[2:], location)
        if target.lower().startswith("http"):
            target = "ws" + target[4:]
        parse_uri(target)
    except ValueError as exc:
        raise HandshakeError(f"a redirect to {location!r}, which is no place to connect to: {exc}") from cause
    return target


def _without_secrets(
    uri: str, target: str, headers: Sequence[tuple[str, str]], cause: InvalidStatus
) -> list[tuple[str, str]]:
    """Return the fields that a request may have that is redirected."""
    before, after = parse_uri(uri), parse_uri(target)
    if before.secure and not after.secure:
        raise HandshakeError(f"a redirect from wss:// to {target} would give up TLS") from cause
    if (before.secure, before.host, before.port) == (after.secure, after.host, after.port):
        return [*headers]
    return [(name, value) for name, value in headers if name.lower() not in _SECRETS]
