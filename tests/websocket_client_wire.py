"""The other end of websocket-client's connections: frames, and a socket that is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"


def wire(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    form: int | None = None,
    length: int | None = None,
) -> bytes:
    """A frame; ``form`` of the length if not the shortest, ``length`` as declared if not the truth."""
    size = len(payload) if length is None else length
    if form is None:
        form = size if size < 126 else 126 if size < 65536 else 127
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if masked else 0) | form])
    if form == 126:
        head += size.to_bytes(2, "big")
    elif form == 127:
        head += size.to_bytes(8, "big")
    if masked:
        return head + KEY + bytes(byte ^ KEY[i & 3] for i, byte in enumerate(payload))
    return head + payload


class Script:
    """A socket that is none: it gives the pieces, and raises the exceptions, that it was given."""

    def __init__(self, pieces: Iterable[bytes | BaseException], timeout: float | None = None) -> None:
        self.pieces = list(pieces)
        self.sent: list[bytes] = []
        self.taken = 0
        self.closed = False
        self.timeout = timeout
        # How much it takes of what is sent, each time.
        self.takes = 1 << 30

    def gettimeout(self) -> float | None:
        return self.timeout

    def settimeout(self, timeout: float | None) -> None:
        self.timeout = timeout

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        self.taken += len(piece[:size])
        return piece[:size]

    def send(self, data: Any) -> int:
        self.sent.append(bytes(data[: self.takes]))
        return len(self.sent[-1])

    def close(self) -> None:
        self.closed = True

    def shutdown(self, how: int) -> None:
        pass


def unmasked(frames: bytes) -> list[tuple[int, bytes]]:
    """What a client has sent, without its keys."""
    found = []
    while frames:
        assert frames[1] & 0x80
        size, at = frames[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(frames[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(frames[2:10], "big"), 10
        key, payload = frames[at : at + 4], frames[at + 4 : at + 4 + size]
        assert len(payload) == size
        found.append((frames[0], bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))))
        frames = frames[at + 4 + size :]
    return found
