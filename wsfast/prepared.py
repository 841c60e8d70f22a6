"""Messages that are encoded once and sent to many (RFC 6455 §5.2)."""

from __future__ import annotations

from . import arguments
from ._backend import encode_frame
from .frames import Opcode

TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast
if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .compression import Deflater

__all__ = ["PreparedMessage"]


class PreparedMessage:
    """A message to send to any number of connections, by :meth:`wsfast.Connection.send_prepared`.

    It is encoded once for all servers' connections that do not compress, and compressed once for all that
    do so with the same parameters, whose number is small.

    Args:
        data: what to send: text as ``str``, or anything bytes-like, which is copied.
        compress: ``True`` or ``False`` to compress it or not where permessage-deflate was agreed upon;
            ``None`` to decide by its size.

    Raises:
        TypeError: ``data`` is neither ``str`` nor bytes-like, or a buffer of items wider than a byte.
        UnicodeEncodeError: ``data`` has a lone surrogate.

    Attributes:
        data: the message, ``str`` or ``bytes``.
        compress: as given.

    """

    __slots__ = ("_compressed", "_opcode", "_plain", "compress", "data")

    data: str | bytes
    compress: bool | None

    def __init__(self, data: str | Buffer, compress: bool | None = None) -> None:
        self._opcode = Opcode.TEXT if isinstance(data, str) else Opcode.BINARY
        if not isinstance(data, str):
            try:
                memoryview(data).release()
            except TypeError:
                raise arguments.not_text_or_bytes_like("data", data) from None
        # Checks the rest, too.
        self._plain = encode_frame(self._opcode, data)
        self.compress = compress
        self._compressed: dict[object, bytes] = {}
        if isinstance(data, str):
            self.data = data
        else:
            self.data = data if type(data) is bytes else bytes(memoryview(data))

    def frame(self, deflater: Deflater | None) -> bytes:
        """Return the frame, not masked, for a connection that compresses by ``deflater``, if at all."""
        if deflater is None or (self.compress is not None and not self.compress):
            return self._plain
        payload = str.encode(self.data) if isinstance(self.data, str) else self.data
        if self.compress is None and len(payload) < deflater.threshold:
            return self._plain
        frame = self._compressed.get(deflater.parameters)
        if frame is None:
            compressed = deflater.compress_alone(payload)
            frame = encode_frame(self._opcode, compressed, rsv1=True)
            self._compressed[deflater.parameters] = frame
        # What it compresses from here on must not refer to what is before this message, of which it does
        # not know: the peer's window has moved on (RFC 7692 §7.2.2).
        deflater.forget()
        return frame
