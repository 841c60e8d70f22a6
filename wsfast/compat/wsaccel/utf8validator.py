"""A validator of UTF-8 as ``wsaccel.utf8validator`` has it, on :class:`wsfast.Utf8Validator`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._backend import Utf8Validator as _Validator
from ..._backend import is_utf8

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Utf8Validator"]


class Utf8Validator:
    """Check UTF-8 text that arrives in pieces, and tell where it is wrong."""

    __slots__ = ("_held", "_rejected", "_total", "codepoint")

    #: What :meth:`decode` returns at the end of a code point.
    UTF8_ACCEPT = 0
    #: What :meth:`decode` returns once the text is wrong.
    UTF8_REJECT = 1

    #: The code point that :meth:`decode` has decoded, or the part of it that has come.
    codepoint: int

    def __init__(self) -> None:
        self._total = 0
        # The bytes of the code point that the text so far ends in.
        self._held = b""
        self._rejected = False
        self.codepoint = 0

    def reset(self) -> None:
        """Begin a new text."""
        self._total = 0
        self._held = b""
        self._rejected = False
        self.codepoint = 0

    @property
    def i(self) -> int:
        """How many bytes have been validated."""
        return self._total

    @property
    def state(self) -> int:
        """0 between two code points, 1 once the text is wrong, other numbers inside a code point."""
        if self._rejected:
            return 1
        held = self._held
        if not held:
            return 0
        lead = held[0]
        if len(held) == 1:
            if lead < 0xE0:
                return 2
            if lead < 0xF0:
                return {0xE0: 4, 0xED: 5}.get(lead, 3)
            return {0xF0: 6, 0xF4: 8}.get(lead, 7)
        return 3 if lead >= 0xF0 and len(held) == 2 else 2

    def decode(self, b: int) -> int:
        """Take one byte.

        Returns:
            :attr:`UTF8_ACCEPT` at the end of a code point, which is then in :attr:`codepoint`;
            :attr:`UTF8_REJECT` if the text is wrong; another number inside a code point.

        """
        if self._held:
            self.codepoint = (b & 0x3F) | (self.codepoint << 6)
        else:
            self.codepoint = b & (0x7F if b < 0x80 else 0x1F if b < 0xE0 else 0x0F if b < 0xF0 else 0x07)
        total = self._total
        self.validate(bytes((b,)))
        self._total = total
        return self.state

    def validate(self, ba: Buffer) -> tuple[bool, bool, int, int]:
        """Check the next piece of the text.

        Args:
            ba: any bytes-like object, of any length.

        Returns:
            Whether it can be valid; whether it ends at the end of a code point; how many bytes of this
            piece, and of all, are valid. Once a text is wrong, no byte is until :meth:`reset`.

        Raises:
            TypeError: ``ba`` is not bytes-like.

        """
        if not self._held and not self._rejected and is_utf8(ba):
            size = len(ba) if type(ba) is bytes else memoryview(ba).nbytes
            self._total += size
            return True, True, size, self._total
        piece = ba if type(ba) is bytes else memoryview(ba).tobytes()
        if self._rejected:
            return not piece, False, 0, self._total
        return self._validate(piece)

    def _validate(self, piece: bytes) -> tuple[bool, bool, int, int]:
        """Check a piece that begins or ends inside a code point, or is wrong."""
        held = self._held
        data = held + piece
        validator = _Validator()
        if validator.feed(data):
            # What it ends in begins with the last byte that is not a continuation.
            start = len(data)
            if not validator.complete:
                start -= 1
                while data[start] & 0xC0 == 0x80:
                    start -= 1
            self._held = data[start:]
            self._total += len(piece)
            return True, not self._held, len(piece), self._total
        index = -len(held)
        try:
            # Decoders forgive half a surrogate at the end, but not in the middle.
            (data + b" ").decode()
        except UnicodeDecodeError as exc:
            index += exc.start if exc.reason == "invalid start byte" else exc.end
        self._held = b""
        self._rejected = True
        self._total += index
        return False, False, index, self._total
