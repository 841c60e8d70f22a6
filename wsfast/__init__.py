"""A WebSocket codec whose hot path is C, with a pure-Python twin (RFC 6455, RFC 7692).

Masking, UTF-8, frame headers, whole streams of frames or messages, and :class:`Connection`, which knows the
protocol from the opening handshake to the closing one::

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
from .connection import Connection, State
from .errors import HandshakeError, InvalidState, ProtocolError, WSFastError
from .events import Close, Ping, Pong, Rejected, Request, Response
from .frames import CloseCode, Frame, FrameHeader, Opcode
from .prepared import PreparedMessage
from .rules import DEFAULT_MAX_SIZE

TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast
if TYPE_CHECKING:
    from .compression import set_zlib_backend, zlib_backend
    from .deflate import Deflate

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MAX_SIZE",
    "Close",
    "CloseCode",
    "Connection",
    "Deflate",
    "Frame",
    "FrameDecoder",
    "FrameHeader",
    "HandshakeError",
    "InvalidState",
    "MessageDecoder",
    "Opcode",
    "Ping",
    "Pong",
    "PreparedMessage",
    "ProtocolError",
    "Rejected",
    "Request",
    "Response",
    "State",
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
    "set_zlib_backend",
    "uninstall",
    "zlib_backend",
]


def __getattr__(name: str) -> object:
    """Import what needs zlib when it is first asked for: most programs never do."""
    value: object
    if name == "Deflate":
        from .deflate import Deflate as value
    elif name == "set_zlib_backend":
        from .compression import set_zlib_backend as value
    elif name == "zlib_backend":
        from .compression import zlib_backend as value
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
