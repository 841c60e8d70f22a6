"""A WebSocket connection without its socket: bytes in, events and bytes out (RFC 6455, RFC 7692).

:class:`Connection` knows the protocol whole, from the opening handshake to the closing one, and nothing
of sockets, event loops and clocks. It is what endpoints and adapters are built on.
"""

from __future__ import annotations

from _thread import allocate_lock
from enum import Enum

from . import arguments
from ._backend import Channel
from .errors import HandshakeError, InvalidState, ProtocolError
from .events import Close, Ping, Pong, Rejected, Request, Response
from .frames import CloseCode, Opcode
from .prepared import PreparedMessage
from .rules import DEFAULT_MAX_SIZE, cut_reason, drop_frames

TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Sequence
    from re import Pattern
    from typing import Any

    from typing_extensions import Buffer, Never, Self

    from .compression import Backend, Deflater
    from .deflate import Deflate, DeflateParameters
    from .events import Event
    from .handshake import ClientHandshake, ServerHandshake
    from .headers import HeadersLike

    _Base = Channel
else:
    _Base = object

__all__ = ["Connection", "State"]

# How many bytes a client may send behind its request before it has the answer for which it has to wait
# (RFC 6455 §4.1).
_MAX_EARLY = 1 << 16


# How many pings of one read are answered each; then only the newest of them.
_MAX_PONGS = 64


class State(Enum):
    """Where a connection is in its life (RFC 6455 §4.1, §7.1)."""

    #: The opening handshake is under way.
    CONNECTING = "connecting"
    #: Messages flow both ways.
    OPEN = "open"
    #: A close frame was sent or received, or the connection has failed: no more messages go out.
    CLOSING = "closing"
    #: The transport has ended.
    CLOSED = "closed"


class _FirstOfBoth:
    def __repr__(self) -> str:
        return "<the first that both sides know>"


_FIRST_OF_BOTH: Any = _FirstOfBoth()


class ConnectionLogic(_Base):
    """All of :class:`Connection` but the paths that nearly all traffic takes, which are Channel's."""

    if not TYPE_CHECKING:  # they are Connection's
        __slots__ = ()

    #: Where the connection is in its life.
    state: State
    #: The client's request: sent by a client, received by a server. ``None`` before and without one.
    request: Request | None
    #: The server's answer, when it opened the connection. ``None`` before and without one.
    response: Response | None
    #: The subprotocol agreed upon; ``None`` for none (RFC 6455 §1.9).
    subprotocol: str | None
    #: What was agreed upon for permessage-deflate; ``None`` when messages are not compressed.
    deflate: DeflateParameters | None
    #: The close frame that was sent; ``None`` when none was.
    close_sent: Close | None
    #: The close frame that was received; ``None`` when none was.
    close_received: Close | None
    #: What the peer did wrong, which failed the connection (RFC 6455 §7.1.7); ``None`` for nothing.
    error: ProtocolError | HandshakeError | None

    # The handshake under way.
    _client: ClientHandshake | None
    _server: ServerHandshake | None
    # Of a connection that may compress, and of one that does: the zlib module, and who may use it.
    _zlib: Backend
    _compressing: LockType

    def __init__(
        self,
        role: str,
        uri: str | None = None,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeadersLike = (),
        origin: str | None = None,
        origins: Sequence[str | Pattern[str] | None] | None = None,
        compression: Deflate | None = None,
        max_size: int | None = DEFAULT_MAX_SIZE,
        max_header_size: int | None = 16384,
        max_header_count: int | None = 128,
        plain_http: bool = False,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise TypeError(
                f"unknown option {next(iter(unknown))!r}; a Connection has role, uri, subprotocols, headers,"
                " origin, origins, compression, max_size, max_header_size, max_header_count and plain_http"
            )
        self._begin(role, max_size, compression)
        from .handshake import ClientHandshake, ServerHandshake

        if role == "client":
            if uri is None:
                raise TypeError("a client needs the uri to connect to, such as 'ws://example.org/chat'")
            if origins is not None:
                raise TypeError("origins is for servers; a client has one origin")
            if plain_http:
                raise TypeError("plain_http is for servers")
            client = ClientHandshake(
                uri,
                origin=origin,
                subprotocols=subprotocols,
                headers=headers,
                extensions=None if compression is None else compression.offer(),
                check_extensions=None if compression is None else compression.check_response,
                max_header_size=max_header_size,
                max_header_count=max_header_count,
            )
            self._client = client
            self.request = client.request
            self._out = client.data
            self._due = True
            return
        if uri is not None:
            raise TypeError(f"uri is for clients; a server is told the target by the request, not {uri!r}")
        if origin is not None:
            raise TypeError("origin is for clients; a server has origins, the list of those it allows")
        self._server = ServerHandshake(
            subprotocols=subprotocols,
            origins=origins,
            headers=headers,
            max_header_size=max_header_size,
            max_header_count=max_header_count,
            plain_http=plain_http,
        )

    def _another(self) -> Self:
        """Make another connection of a server, with the options of this one, which are not checked again."""
        template: Any = self._server
        made = type(self).__new__(type(self))
        made._begin(self.role, self.max_size, None)
        made._server = template.another()
        if self._compression is not None:
            made._compression = self._compression
            made._zlib = self._compression.choose_backend()
        return made

    @classmethod
    def established(
        cls,
        role: str,
        *,
        subprotocol: str | None = None,
        extensions: str = "",
        compression: Deflate | None = None,
        max_size: int | None = DEFAULT_MAX_SIZE,
    ) -> Self:
        """Make a connection that is open already.

        For handshakes made elsewhere: over HTTP/2 (RFC 8441), HTTP/3 (RFC 9220), or by a host library.

        Args:
            role: the side that this process plays, ``"client"`` or ``"server"``.
            subprotocol: the subprotocol agreed upon.
            extensions: the value of Sec-WebSocket-Extensions in the server's answer.
            compression: how to compress if ``extensions`` has permessage-deflate; ``None`` for
                ``Deflate()``.
            max_size: as for :class:`Connection`.

        Raises:
            TypeError: an argument of a wrong type.
            ValueError: no such role, a negative ``max_size``, a ``subprotocol`` that is no token, or
                ``extensions`` that are not a valid answer of permessage-deflate (RFC 7692 §7.1).

        """
        if not isinstance(extensions, str):
            raise arguments.not_text("extensions", extensions)
        if subprotocol is not None:
            from .headers import check_token

            subprotocol = check_token("subprotocol", subprotocol)
        parameters = None
        if extensions:
            from .deflate import Deflate, DeflateParameters

            try:
                parameters = DeflateParameters.parse(extensions)
            except HandshakeError as error:
                raise ValueError(f"extensions cannot be {extensions!r}: {error}") from None
            if compression is None:
                compression = Deflate()
        self = cls.__new__(cls)
        self._begin(role, max_size, compression)
        self.subprotocol = subprotocol
        self._establish(parameters)
        return self

    def _begin(self, role: str, max_size: int | None, compression: Deflate | None) -> None:
        super().__init__(role, max_size)
        if compression is not None:
            from .deflate import Deflate

            if not isinstance(compression, Deflate):
                raise TypeError(
                    f"compression must be a wsfast.Deflate or None, not {type(compression).__name__}"
                )
            # It stays with the connection, whatever the process changes to during the handshake.
            self._zlib = compression.choose_backend()
        self.state = State.CONNECTING
        self.request = None
        self.response = None
        self.subprotocol = None
        self.deflate = None
        self.close_sent = None
        self.close_received = None
        self.error = None
        # The handshake under way, on either side.
        self._client = None
        self._server = None
        # What came behind a request, before it was answered.
        self._early: bytes | bytearray = b""
        self._was_open = False
        self._compression = compression
        self._deflater: Deflater | None = None
        # What is to be written: of the handshake; pongs, as their payloads; the close frame, behind which
        # nothing follows (RFC 6455 §5.5.1).
        self._out = b""
        self._pongs: list[bytes] | None = None
        self._pongs_read = 0
        self._close_frame = b""
        # What _on_interrupt() left for the next call to return.
        self._held: Sequence[Event] = ()
        # The fragmented message that goes out: its opcode, 0 for none, and whether it is compressed.
        self._continues = 0
        self._fragments_compressed = False

    # ---- What can be read --------------------------------------------------------------------------

    @property
    def close_code(self) -> int | None:
        """The code of the connection's end (RFC 6455 §7.1.5).

        That of the close frame received; 1005 when it had none; 1006 when the connection has ended, or
        was failed, without one. ``None`` before.
        """
        if self.close_received is not None:
            return self.close_received.code
        return CloseCode.ABNORMAL_CLOSURE if self._has_ended else None

    @property
    def close_reason(self) -> str | None:
        """The reason in the close frame received (RFC 6455 §7.1.6); empty without; ``None`` before."""
        if self.close_received is not None:
            return self.close_received.reason
        return "" if self._has_ended else None

    @property
    def _has_ended(self) -> bool:
        return self.state is State.CLOSED or self.error is not None

    @property
    def should_close(self) -> bool:
        """Whether this side is to close the transport, once :meth:`data_to_send` is written.

        A server does so when both close frames have passed; a client then waits for the server to do
        it, for a limited time (RFC 6455 §7.1.1). Either does when the peer broke a rule (§7.1.7), or when
        the opening handshake failed.
        """
        if self.state is not State.CLOSING:
            return False
        if self.close_sent is None or self.error is not None:
            return True
        return self.close_received is not None and self.role == "server"

    # ---- The opening handshake (RFC 6455 §4) -------------------------------------------------------

    def accept(self, subprotocol: str | None = _FIRST_OF_BOTH, headers: HeadersLike = ()) -> bytes:
        """Open the connection that the client asked for (RFC 6455 §4.2.2).

        What the client sent behind its request, although it has to wait, is delivered by the next
        :meth:`receive_data`, to which ``b""`` can be given.

        Args:
            subprotocol: one of those that the client offers, or ``None``. By default the first of them
                that the server was made with.
            headers: fields to add to the response.

        Returns:
            The response, to be written.

        Raises:
            InvalidState: there is no request to answer, or it is for something else.
            ValueError: ``subprotocol`` was not offered, or a field cannot be sent. The request can
                still be answered.

        """
        server, request = self._to_answer()
        parameters = None
        if self._compression is not None and request.extensions:
            parameters = self._compression.accept(request.extensions)
        data, self.response = server.accept(
            **({} if subprotocol is _FIRST_OF_BOTH else {"subprotocol": subprotocol}),
            headers=headers,
            extensions=None if parameters is None else str(parameters),
        )
        self.subprotocol = self.response.subprotocol
        self._establish(parameters)
        if self._early:
            self._receiving = False
        return data

    def reject(
        self,
        status: int = 403,
        headers: HeadersLike = (),
        body: str | bytes | bytearray | memoryview = b"",
    ) -> bytes:
        """Refuse the connection that the client asked for; the transport is to be closed then.

        Args:
            status: of the response, 200 to 599.
            headers: fields to add to it.
            body: to send with it, a copy; a ``str`` goes as UTF-8. Its type is plain text unless
                ``headers`` say otherwise.

        Returns:
            The response, to be written.

        Raises:
            InvalidState: there is no request to answer.
            ValueError: no such status, or a field cannot be sent. The request can still be answered.

        """
        server, _ = self._to_answer()
        data, _ = server.reject(status, headers, body)
        self._end_handshake(None)
        return data

    def _to_answer(self) -> tuple[ServerHandshake, Request]:
        if self._server is None or self.request is None:
            raise InvalidState(f"there is no request to answer: the {self.role} is {self.state.value}")
        return self._server, self.request

    def _receive_otherwise(self, data: bytes) -> list[Event]:
        """Take input while frames are not decoded."""
        if self._client is not None:
            event = self._client.receive(data)
            if event is not None:
                return self._finish_client(event)
            self._gather = self._client.hold
            return []
        if self._server is not None:
            return self._receive_request(self._server, data)
        if self._early:
            self._early += data
            data = bytes(self._early)
            self._early = b""
            self._receiving = True
            return super().receive_data(data)  # not a subclass's, which gets what this returns
        if self._held:
            return self._take_held()
        return []  # RFC 6455 §1.4, §7.1.7: what follows a close frame or a fault is discarded

    def _finish_client(self, event: Response | Rejected) -> list[Event]:
        client = self._client
        if client is None or isinstance(event, Rejected):
            self._end_handshake(event.error if isinstance(event, Rejected) else None)
            return [event]
        self.response = event
        self.subprotocol = event.subprotocol
        self._establish(client.extensions_agreed)  # type: ignore[arg-type]  # from check_response()
        return [event, *super().receive_data(client.trailing)]

    def _receive_request(self, server: ServerHandshake, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self.request is None:
            event = server.receive(data)
            if event is None:
                self._gather = server.hold
                return []
            if isinstance(event, Rejected):
                self._out += server.rejection
                self._due = True
                self._end_handshake(event.error)
                return [event]
            self.request = event
            events.append(event)
            data = server.trailing
        if data:
            # Longer and longer by small pieces, perhaps.
            self._early = self._early or bytearray()
            self._early += data
        if len(self._early) > _MAX_EARLY:
            fault = HandshakeError(
                f"more than {_MAX_EARLY} bytes behind the request, before the answer (RFC 6455 §4.1)"
            )
            answer, sent = server.reject(fault.status, body=str(fault))
            self._out += answer
            self._due = True
            self._end_handshake(fault)
            return [Rejected(sent.status, sent.reason, sent.headers, sent.body, fault)]
        return events

    def _end_handshake(self, error: HandshakeError | None) -> None:
        """Take note that the handshake has failed."""
        drop_frames(error)
        self.error = error
        self.state = State.CLOSING
        self._client = self._server = self._gather = None
        self._early = b""

    def _establish(self, parameters: DeflateParameters | None) -> None:
        """Begin the data phase."""
        inflater = threshold = None
        if parameters is not None and self._compression is not None:
            self._deflater = parameters.deflater(self.role, self._compression, self._zlib)
            self._compressing = allocate_lock()
            inflater = parameters.inflater(self.role, self._zlib)
            threshold = self._compression.threshold
        self.deflate = parameters
        self._client = self._server = self._gather = None
        self.state = State.OPEN
        self._was_open = True
        self._open(inflater, threshold)

    # ---- In ----------------------------------------------------------------------------------------

    def receive_eof(self) -> list[Event]:
        """Take note that the transport has ended: no byte comes from the peer any more.

        Returns:
            The last event, if there was none before: a :class:`~wsfast.events.Close` with the code 1006
            when the connection was open and the peer has sent no close frame (RFC 6455 §7.1.5), or a
            :class:`~wsfast.events.Rejected` during the handshake.

        Raises:
            RuntimeError: another call to this connection has not returned. It goes on.

        """
        self._check_free()
        events: list[Event] = []
        if self._client is not None:
            events = self._finish_client(self._client.receive_eof())
        elif self._server is not None:
            event = self._server.receive_eof()
            self._end_handshake(event.error)
            events = [event]
        elif self._held:
            events = self._take_held()
        elif self._early:
            events = super().receive_data(b"")
        if self.state is State.OPEN or (self.state is State.CLOSING and self._awaits_close):
            events.append(Close(CloseCode.ABNORMAL_CLOSURE))
        self.state = State.CLOSED
        self._receiving = self._sending = False
        return events

    @property
    def _awaits_close(self) -> bool:
        """Whether a close frame was sent and nothing has come that ends the events."""
        return self.close_sent is not None and self.close_received is None and self.error is None

    def _on_control(self, opcode: int, payload: bytes) -> Event:
        """Handle a control frame whose payload is valid; return its event."""
        if opcode == Opcode.PING:
            if self.state is State.OPEN:
                self._answer(payload)
            return Ping(payload)
        if opcode == Opcode.PONG:
            return Pong(payload)
        code: int = CloseCode.NO_STATUS_RECEIVED
        if payload:
            code = int.from_bytes(payload[:2], "big")
        event = self.close_received = Close(code, payload[2:].decode())
        if self.state is State.OPEN:
            # RFC 6455 §5.5.1: it is answered, and the answer has the same code.
            self._begin_closing(payload[:2], Close(code) if event.reason else event)
        return event

    def _answer(self, payload: bytes) -> None:
        """Queue a pong.

        Only the newest ping needs an answer (RFC 6455 §5.5.3). So those of earlier reads that nobody came
        for are dropped, and a peer that never reads cannot make them pile up.
        """
        pongs = self._pongs
        if pongs is None:
            pongs = self._pongs = []
        if self._pongs_read != self._reads or len(pongs) >= _MAX_PONGS:
            del pongs[: len(pongs) if self._pongs_read != self._reads else 1]
            self._pongs_read = self._reads
        pongs.append(payload)
        self._due = True
        self._sending = False  # they go before what is sent next

    def _on_fault(self, error: ProtocolError) -> Event:
        """Fail the connection (RFC 6455 §7.1.7); return the event that tells so."""
        error.events = []
        drop_frames(error)
        self.error = error
        code = error.code if CloseCode.is_sendable(error.code) else CloseCode.PROTOCOL_ERROR
        event = Close(code, cut_reason(str(error)), error)
        if self.state is State.OPEN:
            payload = code.to_bytes(2, "big") + event.reason.encode()
            self._begin_closing(payload, Close(code, event.reason))
        return event

    def _on_interrupt(self, events: list[Event], error: ProtocolError) -> None:
        """Fail the connection because decoding was broken off, by a KeyboardInterrupt say.

        Where in the stream that was is not known. What was decoded before is kept, and the event that tells
        so behind it, for whoever handles the exception and calls again.
        """
        self._held = [*events, self._on_fault(error)]

    def _take_held(self) -> list[Event]:
        held, self._held = [*self._held], ()
        return held

    def _begin_closing(self, payload: bytes, sent: Close) -> None:
        """Queue a close frame. Messages can be sent until it is taken: it is the last to go."""
        self.close_sent = sent
        self.state = State.CLOSING
        self._sending = False
        self._close_frame = self._frame(Opcode.CLOSE, payload)
        self._due = True

    # ---- Out ---------------------------------------------------------------------------------------

    def _take_due(self) -> bytes:
        """Return what this side has to say by itself."""
        out = self._out + self._take_pongs() + self._close_frame
        self._out = self._close_frame = b""
        self._due = False
        return out

    def _take_pongs(self) -> bytes:
        """Return the pongs that are due."""
        if not self._pongs:
            return b""
        pongs = b"".join([self._frame(Opcode.PONG, payload) for payload in self._pongs])
        self._pongs = None
        self._sending = self.state is State.OPEN and not self._continues
        return pongs

    def ping(self, payload: str | Buffer = b"") -> bytes:
        """Return a ping (RFC 6455 §5.5.2), which the peer answers with the same payload.

        Args:
            payload: at most 125 bytes.

        Raises:
            InvalidState: the connection is not open.
            TypeError: ``payload`` is neither ``str`` nor bytes-like.
            ValueError: it is too long.

        """
        self._check_sendable("send a ping")
        return self._frame(Opcode.PING, payload)

    def pong(self, payload: str | Buffer = b"") -> bytes:
        """Return a pong that answers no ping (RFC 6455 §5.5.3); pings are answered without this.

        Args and errors are those of :meth:`ping`.
        """
        self._check_sendable("send a pong")
        return self._frame(Opcode.PONG, payload)

    def close(self, code: int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bytes:
        """Begin the closing handshake (RFC 6455 §7.1.2), or answer the peer's close frame at once.

        Messages can still arrive until the peer's :class:`~wsfast.events.Close` does. Give it a limited
        time for that.

        Args:
            code: why: 1000-1003, 1007-1014, 3000-4999 (RFC 6455 §7.4); ``None`` for no code.
            reason: for people, at most 123 bytes of UTF-8.

        Returns:
            The close frame, to be written. When there is one already, it is that, with its own code; or
            ``b""``, if it was taken before.

        Raises:
            InvalidState: the connection was never open.
            ValueError: a close frame cannot have this code, or a reason without code, or a reason of that
                length.

        """
        if not self._was_open:
            raise InvalidState(f"cannot close: the {self.role} is {self.state.value}, and was not open")
        payload = arguments.close_payload(code, reason)
        if self.state is State.OPEN:
            number: int = CloseCode.NO_STATUS_RECEIVED
            if payload:
                number = int.from_bytes(payload[:2], "big")
            self._begin_closing(payload, Close(number, payload[2:].decode()))
        return self.data_to_send()

    def send_prepared(self, message: PreparedMessage) -> bytes:
        """Return the frame of a message that is encoded once for many connections.

        Args:
            message: the :class:`~wsfast.PreparedMessage`. A client, whose every frame needs a masking
                key of its own (RFC 6455 §5.3), encodes it again.

        Raises:
            InvalidState: the connection is not open, or a fragmented message is under way.
            TypeError: ``message`` is something else.

        """
        if not isinstance(message, PreparedMessage):
            raise TypeError(f"message must be a PreparedMessage, not {type(message).__name__}")
        self._check_sendable("send a message")
        if self._continues:
            raise self._fragmented_message_under_way()
        if self.role == "client":
            return self.send_message(message.data, compress=message.compress)
        if self._deflater is None:
            return self._take_pongs() + message.frame(None)
        self._begin_compressing()
        try:
            return self._take_pongs() + message.frame(self._deflater)
        finally:
            self._compressing.release()

    def _frame_of_prepared(self, message: PreparedMessage) -> bytes:
        """Do that on a server while nothing is in the way: ``_sending``."""
        if self._deflater is not None and self._compressing.locked():
            raise _in_use()
        return message.frame(self._deflater)

    def _send(self, opcode: int, payload: str | bytes, fin: bool, compress: bool | None) -> bytes:
        """Return the frame of what is not a whole message to be sent as it is."""
        self._check_sendable("send a message")
        if self._deflater is None:
            return self._build(opcode, payload, fin, compress)
        self._begin_compressing()
        try:
            return self._build(opcode, payload, fin, compress)
        finally:
            self._compressing.release()

    def _begin_compressing(self) -> None:
        """See to it that one call at a time compresses; the caller releases ``_compressing``.

        zlib lets other threads run, and two messages that it is given at once come out as one.
        """
        if not self._compressing.acquire(False):
            raise _in_use()

    def _build(self, opcode: int, payload: str | bytes, fin: bool, compress: bool | None) -> bytes:
        """Return the next frame of a message, compressed or not."""
        fin = bool(fin)
        continued = self._continues
        if continued:
            if continued != opcode:
                raise self._fragmented_message_under_way()
            compressed = self._fragments_compressed
            opcode = Opcode.CONTINUATION
        else:
            compressed = False
        deflater = self._deflater
        data = str.encode(payload) if isinstance(payload, str) else payload
        if deflater is not None and not continued:
            # Of a fragmented message it is not known how long it will be.
            if compress is None:
                compress = not fin or len(data) >= deflater.threshold
            compressed = bool(compress)
        if deflater is not None and compressed:
            data = deflater(data, fin)
        frame = self._frame(opcode, data, fin, compressed and not continued)
        self._fragments_compressed = compressed
        self._continues = 0 if fin else continued or opcode
        pongs = self._take_pongs()
        self._sending = fin and self.state is State.OPEN
        return pongs + frame

    def _check_sendable(self, action: str) -> None:
        if self.state is not State.OPEN and not (self.state is State.CLOSING and self._close_frame):
            raise InvalidState(f"cannot {action}: the connection is {self.state.value}")

    def _fragmented_message_under_way(self) -> InvalidState:
        kind = "text" if self._continues == Opcode.TEXT else "binary"
        return InvalidState(
            f"a fragmented {kind} message is under way: send_{kind}() sends the rest of it (RFC 6455 §5.4)"
        )


def _in_use() -> RuntimeError:
    return RuntimeError("the connection is in use by another call")


class Connection(ConnectionLogic, Channel):
    """A WebSocket connection without its socket (RFC 6455, RFC 7692).

    Write what its methods return, and what :meth:`data_to_send` returns after each call; feed it what is
    read. A server::

        connection = wsfast.Connection("server")
        for event in connection.receive_data(data):
            match event:
                case wsfast.Request():
                    write(connection.accept())
                case str() | bytes():
                    write(connection.send_message(event))
        write(connection.data_to_send())
        if connection.should_close:
            close()

    Args:
        role: the side that this process plays, ``"client"`` or ``"server"``.
        uri: where a client connects to: ``ws://`` or ``wss://``, host, path and query (RFC 6455 §3). User
            and password in it become an Authorization field.
        subprotocols: those that a client offers, or that a server supports, best first (§1.9).
        headers: fields to add to a client's request, or to each answer of a server: pairs of name and
            value, or a mapping.
        origin: the Origin of a client's request (§10.2).
        origins: the origins that a server allows: ``str`` such as ``"https://example.org"``, compiled
            patterns, ``None`` for requests without Origin. By default all are: browsers send other sites'
            requests too, so list them where cookies authorize.
        compression: a :class:`~wsfast.Deflate` to offer or accept permessage-deflate (RFC 7692), or ``None``.
        max_size: limit on a message received, in bytes, before and after decompression; ``None`` for no
            limit. 1 MiB unless given.
        max_header_size: limit on the head of the peer's request or response, in bytes; ``None`` for none.
        max_header_count: limit on the number of fields in it; ``None`` for none.
        plain_http: whether a server is to be told, too, of a GET or HEAD that asks for something else than
            a WebSocket connection: a :class:`~wsfast.Request` with an ``error``, to answer by
            :meth:`reject`, of whatever status. Otherwise 426 is the answer.

    Raises:
        TypeError: an argument of a wrong type, or of the other role, or an unknown one.
        ValueError: no such role; a URI, subprotocol or field that cannot be sent; a negative limit.

    Attributes:
        role: as given.
        state: where the connection is in its life, a :class:`~wsfast.State`.
        request: the client's :class:`~wsfast.Request`; ``None`` before and without one.
        response: the server's :class:`~wsfast.Response`; ``None`` before and without one.
        subprotocol: the one agreed upon; ``None`` for none.
        deflate: what was agreed upon for permessage-deflate; ``None`` when messages are not compressed.
        close_sent: the :class:`~wsfast.Close` that was sent; ``None`` when none was.
        close_received: the one that was received; ``None`` when none was.
        error: what the peer did wrong; ``None`` for nothing.
        max_size: as given.

    What the peer does wrong never raises: it fails the connection (§7.1.7), and the last event says why. One
    connection must not be used by several threads at once.
    """

    # They take less than a dictionary, and there may be very many connections.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_client",
        "_close_frame",
        "_compressing",
        "_compression",
        "_continues",
        "_deflater",
        "_early",
        "_fragments_compressed",
        "_held",
        "_out",
        "_pongs",
        "_pongs_read",
        "_server",
        "_was_open",
        "_zlib",
        "close_received",
        "close_sent",
        "deflate",
        "error",
        "request",
        "response",
        "state",
        "subprotocol",
    )
