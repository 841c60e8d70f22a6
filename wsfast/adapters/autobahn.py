"""Make ``autobahn`` (autobahn-python) parse, mask, check and build frames with wsfast.

What is replaced, for its asyncio and Twisted APIs alike, and for what is built on them (daphne and so
channels, crossbar):

* ``WebSocketProtocol.consumeData``: all frames of a read that are whole go to :class:`wsfast.FrameDecoder`
  at once, and what they are is told to the application as the library's own methods would, which are left
  out where nobody has overridden them;
* ``sendData``, ``sendFrame``, ``sendMessage``, ``PreparedMessage``: :func:`wsfast.encode_frame`;
* ``sendPong``: of pings that come one behind the other in a read, the last 64 are answered;
* ``create_xor_masker`` and ``Utf8Validator``, for frames that arrive in several reads, and for the
  streaming API: :func:`wsfast.apply_mask` and :class:`wsfast.Utf8Validator`;
* ``PerMessageDeflate``: what inflates messages goes on behind a block with BFINAL;
* the generator of masking keys.

The library stays in charge of its state: between two calls all of it is where the library keeps it, so a
connection can change sides at any read. A frame that breaks a rule, in the library's eyes or in wsfast's,
goes through the library's own ``processData``, and it alone. So errors, close codes and their order are
the library's.

A class that overrides parts of the streaming API (``onMessageBegin``, ``onMessageFrameData`` ...), or
``onFrameBegin`` and its like, has its methods called with the same arguments as before; one that
overrides ``processData`` is not touched.
"""

from __future__ import annotations

from typing import Any

from ._seams import AdapterError, Counts, Host, Seam

__all__ = ["HOST"]


def _seams(strict: bool) -> list[Seam]:
    from . import _autobahn_deflate as deflate
    from . import _autobahn_frames as ours

    ours.bind(HOST.counts)
    theirs = ours.theirs()
    end = deflate.end_whole_message if strict else deflate.end_decompress_message
    codes = theirs.protocol.CLOSE_STATUS_CODES_ALLOWED
    strictly = [Seam(theirs.protocol, "CLOSE_STATUS_CODES_ALLOWED", [*codes, 1014])] if strict else []
    return [
        *strictly,
        Seam(theirs.protocol, "consumeData", ours.consumeData),
        Seam(theirs.protocol, "sendData", ours.sendData),
        Seam(theirs.protocol, "sendFrame", ours.sendFrame),
        Seam(theirs.protocol, "sendMessage", ours.sendMessage),
        Seam(theirs.protocol, "sendPong", ours.sendPong),
        Seam(theirs.prepared, "__init__", ours.prepare_message),
        Seam(theirs.module, "create_xor_masker", ours.create_xor_masker),
        Seam(theirs.module, "Utf8Validator", ours.Validator),
        Seam(theirs.module, "random", ours.unpredictable),
        Seam(theirs.deflate, "decompress_message_data", deflate.decompress_message_data),
        Seam(theirs.deflate, "end_decompress_message", end),
    ]


def _try_out() -> None:
    """Pass frames through connections that are none: a hook that does nothing must not stay unseen."""
    from autobahn.websocket import protocol

    from . import _autobahn_frames as ours

    def no_op(*args: Any, **values: Any) -> None:
        pass

    no_op.__name__ = "_no_op"
    got: list[Any] = []
    sent: list[bytes] = []

    class Transport:
        write = staticmethod(sent.append)

    # Without what the library's __init__() does, which would choose a network framework.
    def caller(name: str) -> Any:
        return lambda self, *arguments: getattr(self, name)(*arguments)

    methods: dict[str, Any] = {"_" + name: caller(name) for name in ours.EVENTS}
    methods["_onMessageEnd"] = lambda self: got.append((self.message_is_binary, b"".join(self.message_data)))
    methods["_onPing"] = lambda self, payload: got.append(bytes(payload))

    def connect(base: Any, is_server: bool) -> Any:
        connection: Any = object.__new__(type("Connection", (base,), methods))
        connection.log = type("Log", (), {"debug": no_op, "warn": no_op})
        connection.factory = type("Factory", (), {"isServer": is_server})
        connection.transport = Transport
        connection.state = base.STATE_OPEN
        connection.trafficStats = protocol.TrafficStats()
        connection.data = b""
        connection.send_queue = connection.trackedTimings = connection._perMessageCompress = None
        connection.inside_message = connection.logOctets = connection.logFrames = connection.failedByMe = (
            False
        )
        connection.current_frame = connection.autoPingTimeoutCall = None
        connection.maxMessagePayloadSize = connection.maxFramePayloadSize = connection.autoFragmentSize = 0
        connection.applyMask = connection.failByDrop = connection.utf8validateIncoming = True
        connection.requireMaskedClientFrames = connection.maskClientFrames = True
        connection.acceptMaskedServerFrames = connection.maskServerFrames = False
        connection.websocket_version = 13
        connection.utf8validator = protocol.Utf8Validator()
        return connection

    client = connect(protocol.WebSocketClientProtocol, False)
    server = connect(protocol.WebSocketServerProtocol, True)
    counts = HOST.counts.fast, HOST.counts.slow
    for sender, reader in ((client, server), (server, client)):
        got.clear()
        sent.clear()
        sender.sendMessage(b"first")
        sender.sendMessage(bytes(300), True)
        sender.sendPing(b"ping")
        sender.sendMessage(b"abcd", fragmentSize=3)
        wire = b"".join(sent)
        for piece in (wire[:1], wire[1:200], wire[200:]):
            reader._dataReceived(piece)
        expected = [(False, b"first"), (True, bytes(300)), b"ping", (False, b"abcd")]
        if got != expected or not hasattr(reader, "_wsfast"):
            raise AdapterError(
                f"autobahn {HOST.version()} does not behave as wsfast knows it ({HOST.supported}); nothing"
                " was changed: install such a version, or a newer wsfast"
            )
    HOST.counts.fast, HOST.counts.slow = counts


HOST = Host(
    name="autobahn",
    package="autobahn",
    distribution="autobahn",
    oldest="26.10.2",
    newest="26.10.2",
    seams=_seams,
    counts=Counts(),
    strict="a compressed message that is seen to end inside a DEFLATE block fails the connection; close code"
    " 1014 does not",
    try_out=_try_out,
)
