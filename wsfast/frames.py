"""What a WebSocket frame is: opcodes, close codes, headers and frames (RFC 6455 §5, §7.4)."""

from __future__ import annotations

from collections import namedtuple
from enum import IntEnum

__all__ = ["CloseCode", "Frame", "FrameHeader", "Opcode"]


class Opcode(IntEnum):
    """How to read the payload of a frame (RFC 6455 §5.2, §11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a connection is closed (RFC 6455 §7.4.1 and the IANA registry of close codes)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    #: Never on the wire: the peer's close frame had no code (§7.1.5).
    NO_STATUS_RECEIVED = 1005
    #: Never on the wire: the connection ended without a close frame (§7.1.5).
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    #: Never on the wire: the TLS handshake failed.
    TLS_HANDSHAKE = 1015

    @staticmethod
    def is_sendable(code: int) -> bool:
        """Tell whether ``code`` may stand in a close frame (RFC 6455 §7.4.1, §7.4.2).

        1000-1003, 1007-1014 and 3000-4999 may; reserved and unassigned codes may not.
        """
        return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast
if TYPE_CHECKING:
    from typing import NamedTuple

    class _FrameHeader(NamedTuple):
        fin: bool
        rsv1: bool
        rsv2: bool
        rsv3: bool
        opcode: Opcode
        masked: bool
        length: int
        mask: bytes
        size: int

    class _Frame(NamedTuple):
        opcode: Opcode
        payload: bytes = b""
        fin: bool = True
        rsv1: bool = False
        rsv2: bool = False
        rsv3: bool = False
else:
    _FrameHeader = namedtuple("_FrameHeader", "fin rsv1 rsv2 rsv3 opcode masked length mask size")
    _Frame = namedtuple(
        "_Frame", "opcode payload fin rsv1 rsv2 rsv3", defaults=(b"", True, False, False, False)
    )


class FrameHeader(_FrameHeader):
    """A parsed frame header (RFC 6455 §5.2), as :func:`wsfast.parse_header` returns it.

    Attributes:
        fin: whether this is the last frame of its message.
        rsv1, rsv2, rsv3: the bits reserved for extensions.
        opcode: how to read the payload.
        masked: whether the payload is masked.
        length: length of the payload in bytes, 0 to 2**63 - 1.
        mask: the four bytes of the masking key; empty when the payload is not masked.
        size: length of the header itself in bytes, 2 to 14: the payload starts there.

    """

    __slots__ = ()


class Frame(_Frame):
    """One frame, its payload unmasked (RFC 6455 §5.2).

    Attributes:
        opcode: how to read the payload.
        payload: the bytes carried, unmasked.
        fin: whether this is the last frame of its message.
        rsv1, rsv2, rsv3: the bits reserved for extensions.

    """

    __slots__ = ()

    @property
    def close_code(self) -> int:
        """The code of a close frame; 1005 when it has none (RFC 6455 §7.1.5)."""
        if len(self.payload) < 2:
            return CloseCode.NO_STATUS_RECEIVED
        return int.from_bytes(self.payload[:2], "big")

    @property
    def close_reason(self) -> str:
        """The reason of a close frame; empty when it has none (RFC 6455 §7.1.6)."""
        return self.payload[2:].decode()
