"""A WebSocket frame codec whose hot path is C, with a pure-Python twin (RFC 6455).

Masking, UTF-8, frame headers and whole streams of frames or messages::

    >>> import wsfast
    >>> decoder = wsfast.MessageDecoder("server")
    >>> decoder.feed(wsfast.encode_frame(wsfast.Opcode.TEXT, "Grüße", mask=True))
    ['Grüße']

The names here are the public ones; :data:`backend` and :data:`isa` tell what runs behind them.
"""

from __future__ import annotations

from ._backend import (
    FrameDecoder,
    MessageDecoder,
    Utf8Validator,
    apply_mask,
    apply_mask_into,
    available_isas,
    backend,
    decode_utf8,
    encode_frame,
    is_utf8,
    isa,
    mask_key,
    parse_header,
)
from .adapters import install, installed, uninstall
from .errors import ProtocolError, WSFastError
from .frames import CloseCode, Frame, FrameHeader, Opcode
from .rules import DEFAULT_MAX_SIZE

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MAX_SIZE",
    "CloseCode",
    "Frame",
    "FrameDecoder",
    "FrameHeader",
    "MessageDecoder",
    "Opcode",
    "ProtocolError",
    "Utf8Validator",
    "WSFastError",
    "__version__",
    "apply_mask",
    "apply_mask_into",
    "available_isas",
    "backend",
    "decode_utf8",
    "encode_frame",
    "install",
    "installed",
    "is_utf8",
    "isa",
    "mask_key",
    "parse_header",
    "uninstall",
]
