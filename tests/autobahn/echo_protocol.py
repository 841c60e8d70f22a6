"""A connection that sends every message back: :class:`wsfast.Connection` behind an asyncio transport.

The connection knows the protocol, the transport knows the network, and :class:`Echo` carries bytes between
them. The same class serves both sides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import wsfast

if TYPE_CHECKING:
    from wsfast.events import Event

#: Both programs compress: the cases 12.* and 13.*.
DEFLATE = wsfast.Deflate()

#: The greatest message that both programs take, in bytes: that of the cases 9.*.
MAX_SIZE = 16 * 1024 * 1024

#: How long the peer may take, in seconds, to close TCP when nothing is left to say.
CLOSE_TIMEOUT = 5.0


class Echo(asyncio.BufferedProtocol):
    """One connection. The transport reads straight into the buffer of its decoder.

    Attributes:
        connection: the protocol: bytes in, events out; messages in, bytes out.
        lost: done when the transport is closed.

    """

    transport: asyncio.Transport

    def __init__(self, connection: wsfast.Connection) -> None:
        self.connection = connection
        self.loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self.timer: asyncio.TimerHandle | None = None

    # --- reading -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self.connection.data_to_send())  # a client's request

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self.handle(self.connection.buffer_updated(nbytes))

    def eof_received(self) -> None:  # returns None: the transport sends what is left, and closes
        self.handle(self.connection.receive_eof())

    def handle(self, events: list[Event]) -> None:
        """Answer what the peer sent."""
        out: list[bytes] = []
        for event in events:
            match event:
                case str() | bytes():
                    out.append(self.connection.send_message(event))
                case wsfast.Request():
                    out.append(self.connection.accept())
                case wsfast.Close() | wsfast.Rejected():
                    self.timer = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)
        # What is said without being asked to: pongs, and last of all the close frame.
        if data := self.connection.data_to_send():
            out.append(data)
        if out:
            self.transport.writelines(out)
        if self.connection.should_close:
            # Not close(): bytes that lie unread at a closed socket, or arrive there later, make the kernel
            # reset the connection, and a reset can overtake the close frame. So end this direction only, and
            # read on until the peer has ended the other (RFC 6455 §7.1.1).
            self.transport.write_eof()

    # --- writing -----------------------------------------------------------------------------------

    # A peer that sends and does not read must not fill the memory: read no more while there is enough to
    # write.

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    # --- the end -----------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
