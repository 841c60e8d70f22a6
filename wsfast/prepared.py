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

    __slots__ = ("_frames", "_opcode", "_plain", "compress", "data")

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
        # By the parameters of deflaters: the frame, and whether it is compressed.
        self._frames: dict[object, tuple[bytes, bool]] = {}
        if isinstance(data, str):
            self.data = data
        else:
            self.data = data if type(data) is bytes else bytes(memoryview(data))

    def frame(self, deflater: Deflater | None) -> bytes:
        """Return the frame, not masked, for a connection that compresses by ``deflater``, if at all."""
        if deflater is None:
            return self._plain
        found = self._frames.get(deflater.parameters)
        if found is None:
            found = self._frames[deflater.parameters] = self._frame_for(deflater)
        frame, compressed = found
        if compressed:
            # What it compresses from here on must not refer to what is before this message, of which it
            # does not know: the peer's window has moved on (RFC 7692 §7.2.2).
            deflater.forget()
        return frame

    def _frame_for(self, deflater: Deflater) -> tuple[bytes, bool]:
        payload = str.encode(self.data) if isinstance(self.data, str) else self.data
        wanted = len(payload) >= deflater.threshold if self.compress is None else self.compress
        if not wanted:
            return self._plain, False
        return encode_frame(self._opcode, deflater.compress_alone(payload), rsv1=True), True
