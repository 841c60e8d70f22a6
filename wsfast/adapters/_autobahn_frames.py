"""The functions that take the place of those of ``autobahn``; it must be installed.

:mod:`wsfast.adapters.autobahn` puts them there, and tells what they keep to. They are written for speed
where whole messages pass, and call the library's own methods everywhere else.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import txaio
from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket import compress_deflate, protocol

from .._backend import FrameDecoder, Utf8Validator, apply_mask, encode_frame, is_utf8, mask_key
from ..errors import ProtocolError
from ..frames import Opcode
from ._seams import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EVENTS",
    "Validator",
    "bind",
    "consumeData",
    "create_xor_masker",
    "prepare_message",
    "sendData",
    "sendFrame",
    "sendMessage",
    "theirs",
    "unpredictable",
]

TEXT, BINARY, CLOSE, PING = Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING

# What the library delivers a whole message through. Where a class has them all as the library made them,
# none of them need be called for a message that is one frame.
_STEPS = ("onFrameBegin", "onFrameData", "onFrameEnd", "fire", "_cancelAutoPingTimeoutCall")
EVENTS = (
    "onMessageBegin",
    "onMessageFrameBegin",
    "onMessageFrameData",
    "onMessageFrameEnd",
    "onMessageFrame",
    "onMessageEnd",
)
_CALLERS = (*("_" + name for name in EVENTS), "_onMessage")
_ADAPTERS = ("autobahn.asyncio.websocket", "autobahn.twisted.websocket")
_methods = attrgetter(*_STEPS, *EVENTS, *_CALLERS)
_OVERRIDABLE = frozenset((*_STEPS, *EVENTS, *_CALLERS))

# The beginning of a message, to tell a new decoder that one is under way; by whether frames are masked.
_BEGUN = {True: b"\x01\x80\0\0\0\0", False: b"\x01\x00"}

# Fragments of less than this are put together, up to a block of that many bytes: each in an object of its
# own would take many times the memory that it has payload.
_SMALL = 1 << 10
# How many pings in a row are answered each.
_MOST_PONGS = 64
_BLOCK = 1 << 16

_counts = Counts()


class Theirs(NamedTuple):
    """The library's module and classes, and what stood in the places of what is here."""

    module: Any
    protocol: Any
    prepared: Any
    deflate: Any
    consume_data: Callable[[Any], None]
    process_data: Callable[[Any], bool]
    send_data: Callable[..., None]
    send_frame: Callable[..., None]
    send_message: Callable[..., None]
    send_pong: Callable[..., None]
    prepare_message: Callable[..., None]
    validator: Any
    # The steps and events above, as the library has them.
    plain: tuple[Any, ...]


_theirs: Theirs
_plain: dict[tuple[Any, ...], Any] = {}
OPEN, CLOSED = protocol.WebSocketProtocol.STATE_OPEN, protocol.WebSocketProtocol.STATE_CLOSED


def theirs() -> Theirs:
    """Return what :func:`bind` has found."""
    return _theirs


def bind(counts: Counts) -> None:
    """Remember what is about to be replaced, to fall back on."""
    global _theirs, _counts, OPEN, CLOSED
    cls = protocol.WebSocketProtocol
    if cls.consumeData is consumeData:
        return
    _theirs = Theirs(
        protocol,
        cls,
        protocol.PreparedMessage,
        compress_deflate.PerMessageDeflate,
        cls.consumeData,
        cls.processData,
        cls.sendData,
        cls.sendFrame,
        cls.sendMessage,
        cls.sendPong,
        protocol.PreparedMessage.__init__,
        protocol.Utf8Validator,
        attrgetter(*_STEPS, *EVENTS)(cls),
    )
    _plain.clear()
    _counts = counts
    OPEN, CLOSED = cls.STATE_OPEN, cls.STATE_CLOSED


class _Link:
    """What is kept for a connection, as its attribute ``_wsfast``.

    Nothing here is needed to go on without it: bytes that wait are in the library's own buffer, and a
    decoder lives only as long as no frame has begun in it.
    """

    __slots__ = ("adapter", "busy", "decoder", "held", "inside", "masked", "plain", "pongs", "refused")

    def __init__(self) -> None:
        self.busy = False  # whether a read is being decoded: the application may cause another meanwhile
        self.decoder: FrameDecoder | None = None
        self.masked = False  # whether the decoder takes masked frames
        self.inside = False  # whether it is inside a message
        self.refused = False  # whether the decoder would not have the frame that the library is in
        # Whether pongs are held back, and the newest of them: of very many pings in a row only the last have
        # an answer (RFC 6455 §5.5.3). The rest would wait for a peer that does not read.
        self.held = False
        self.pongs: deque[bytes] = deque(maxlen=_MOST_PONGS)
        # The methods of the class, when they were all the library's own, and the module that starts what
        # a callback returns, where it can be awaited.
        self.plain: tuple[Any, ...] = ()
        self.adapter: Any = None


def consumeData(self: Any) -> None:
    """Consume buffered (incoming) data."""
    try:
        link = self._wsfast
    except AttributeError:
        link = None
    if self.state != OPEN or type(self).processData is not _theirs.process_data:
        _theirs.consume_data(self)
        return
    if link is None:
        link = self._wsfast = _Link()
    elif link.busy:
        return  # what has been received meanwhile is behind what is being decoded
    link.busy = True
    try:
        while True:
            frame = self.current_frame
            if frame is None:
                data = self.data
                if self.state == OPEN and self.applyMask:
                    if len(data) < 2:
                        return
                    link.refused = False
                    if _is_whole(data) and not _decode(self, link, data):
                        return
            go_on = self.processData()
            if frame is not None and self.current_frame is None and frame.opcode < 3:
                # What has come in several pieces is unmasked and checked by wsfast all the same.
                if link.refused:
                    _counts.slow += 1
                else:
                    _counts.fast += 1
            if not go_on or self.state == CLOSED:
                return
    finally:
        link.busy = False


def _is_whole(data: bytes) -> bool:
    """Tell whether ``data``, which has two bytes at least, has all of its first frame."""
    second = data[1]
    length = second & 0x7F
    head = 6 if second > 0x7F else 2
    if length > 125:
        size = 4 if length == 126 else 10
        length = int.from_bytes(data[2:size], "big")
        head += size - 2
    return head + length <= len(data)


def _is_plain(self: Any, link: _Link) -> bool:
    """Tell whether nobody would notice if the library's steps to a whole message were not called."""
    try:
        found = _methods(type(self))
    except AttributeError:
        return False
    if found != link.plain:
        if found not in _plain and not _learn(found):
            return False
        link.plain = found
        link.adapter = _plain[found]
    return (
        self.__dict__.keys().isdisjoint(_OVERRIDABLE)
        and self.trackedTimings is None
        and not self.logFrames
        and getattr(self.log.debug, "__name__", "") == "_no_op"
    )


def _learn(found: tuple[Any, ...]) -> bool:
    """Find out whether these are the methods of one of the library's two adapters to networks."""
    for name in _ADAPTERS:
        module = sys.modules.get(name)
        if module is None:
            continue
        adapter = module.WebSocketAdapterProtocol
        callers = tuple(vars(adapter).get(caller) for caller in _CALLERS)
        if found == _theirs.plain + callers and all(caller.__module__ == name for caller in callers):
            _plain[found] = module if hasattr(module, "yields") else None
            return True
    return False


def _decode(self: Any, link: _Link, data: bytes) -> bool:
    """Take the frames that are whole; leave the rest where the library has it.

    Returns:
        Whether the library is to go on with that.

    """
    masked = data[1] > 0x7F
    if self.factory.isServer:
        masked = masked or self.requireMaskedClientFrames
    else:
        masked = masked and self.acceptMaskedServerFrames
    inside = self.inside_message
    decoder = link.decoder
    if decoder is None or link.masked is not masked or link.inside is not inside:
        decoder = FrameDecoder(
            "server" if masked else "client", max_size=None, rsv1=self._perMessageCompress is not None
        )
        if inside:
            decoder.feed(_BEGUN[masked])
        link.masked = masked
    # Until it is known that no frame has begun in it.
    link.decoder = None
    try:
        frames = decoder.feed(data)
    except ProtocolError as exc:
        frames = exc.events
        link.refused = True

    plain = _is_plain(self, link)
    stats = self.trafficStats
    short = 6 if masked else 2
    used = fast = 0
    self.data = b""
    try:
        for opcode, payload, fin, rsv1, _, _ in frames:
            if opcode is PING:
                link.held = True
            elif link.held:
                _answer(self, link)
            size = len(payload)
            if size == 1 and opcode is CLOSE:
                link.refused = True  # the one rule for headers that decoders leave to who reads payloads
                break
            start = used + (short if size < 126 else short + 2 if size < 65536 else short + 8)
            used = start + size
            fast += opcode < 3
            message: Any = None
            replay = None
            if (
                plain
                and fin
                and (opcode is TEXT or opcode is BINARY)
                and not 0 < self.maxMessagePayloadSize < size
                and not 0 < self.maxFramePayloadSize < size
            ):
                # The usual case, a frame that is a message: what the steps and events come to, without
                # calling them.
                message = payload
                if rsv1:
                    message, replay = _inflate(self._perMessageCompress, payload, self.maxMessagePayloadSize)
                if (
                    opcode is TEXT
                    and message is not None
                    and self.utf8validateIncoming
                    and not is_utf8(message)
                ):
                    if rsv1:
                        replay = _Replay(message, None)
                    message = None
            if message is None:
                if not _step(self, opcode, payload, fin, rsv1, data[start - 4 : start], replay):
                    return False
                if plain and opcode < 3 and not fin:
                    _put_together(self)
            else:
                stats.incomingOctetsWebSocketLevel += size
                stats.incomingOctetsAppLevel += len(message)
                stats.incomingWebSocketFrames += 1
                if self.autoPingTimeoutCall and self.autoPingRestartOnAnyTraffic:
                    self._cancelAutoPingTimeoutCall()
                stats.incomingWebSocketMessages += 1
                is_binary = self.message_is_binary = opcode is BINARY
                result = self.onMessage(message, is_binary)
                if result is not None and link.adapter is not None and link.adapter.yields(result):
                    link.adapter.asyncio.ensure_future(result)
                if self._listeners is not None:
                    _fire(self, message, is_binary)
            if self.state != OPEN:
                return bool(self.state != CLOSED)
        if used == len(data):
            link.decoder = decoder
            link.inside = self.inside_message
        return True
    finally:
        _counts.fast += fast
        # What has come meanwhile is behind the rest.
        self.data = data[used:] + self.data
        if link.held:
            _answer(self, link)


def _answer(self: Any, link: _Link) -> None:
    """Send the pongs that have been held back."""
    link.held = False
    while link.pongs:
        _theirs.send_pong(self, link.pongs.popleft())


def sendPong(self: Any, payload: bytes | None = None) -> None:
    """Answer a ping, at the end of those that have come together."""
    link = getattr(self, "_wsfast", None)
    if link is None or not link.held or self.state != OPEN or (payload and len(payload) > 125):
        _theirs.send_pong(self, payload)
    else:
        link.pongs.append(payload or b"")


def _inflate(pmce: Any, payload: bytes, limit: int) -> tuple[bytes | None, _Replay | None]:
    """Decompress a message of one frame: return it, or what tells the library why that cannot be."""
    pmce.start_decompress_message()
    try:
        message = pmce.decompress_message_data(payload, max_output_len=limit if limit > 0 else None)
    except (PayloadExceededError, PayloadCorruptError) as exc:
        return None, _Replay(b"", exc)
    try:
        pmce.end_decompress_message()
    except PayloadCorruptError as exc:
        return None, _Replay(message, None, exc)
    if 0 < limit < len(message):
        return None, _Replay(message, None)
    return message, None


class _Replay:
    """Takes the place of an extension, to tell the library once more what that made of a message."""

    def __init__(self, message: bytes, error: Exception | None, at_end: Exception | None = None) -> None:
        self.message = message
        self.error = error
        self.at_end = at_end

    def start_decompress_message(self) -> None:
        pass

    def decompress_message_data(self, data: bytes, max_output_len: int | None = None) -> bytes:
        if self.error is not None:
            raise self.error
        return self.message

    def end_decompress_message(self) -> None:
        if self.at_end is not None:
            raise self.at_end


def _step(
    self: Any, opcode: int, payload: bytes, fin: bool, rsv1: bool, mask: bytes, replay: _Replay | None
) -> bool:
    """Do with a frame what processData() does when it has it; tell whether the connection goes on."""
    module = _theirs.module
    masker = self.current_frame_masker = module.XorMaskerNull()
    self.current_frame = module.FrameHeader(
        int(opcode), fin, 4 if rsv1 else 0, len(payload), mask if self._wsfast.masked else None
    )
    extension = self._perMessageCompress
    if replay is not None:
        self._perMessageCompress = replay
    try:
        self.onFrameBegin()
        if self.state == CLOSED:
            return False
        masker.process(payload)
        return self.onFrameData(payload) is not False and self.onFrameEnd() is not False
    finally:
        if replay is not None:
            self._perMessageCompress = extension


def _put_together(self: Any) -> None:
    """Make one of the last two fragments of a message, if both are small."""
    pieces = self.message_data
    if not pieces or len(pieces) < 2 or len(pieces[-1]) >= _SMALL:
        return
    block = pieces[-2]
    if type(block) is not bytearray:
        if len(block) >= _SMALL:
            return
        block = pieces[-2] = bytearray(block)
    elif len(block) >= _BLOCK:
        return
    block += pieces.pop()


def _fire(self: Any, message: bytes, is_binary: bool) -> None:
    """Notify those who listen to messages, as onMessageEnd() does."""
    future = self.fire("message", message, is_binary=is_binary)

    def error(fail: Any) -> None:
        self.log.error("Firing signal 'message' failed: {fail}", fail=fail)

    txaio.add_callbacks(future, None, error)


def sendData(self: Any, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
    """Write to the transport, at once or in pieces."""
    if (
        chopsize
        or sync
        or self.send_queue
        or self.logOctets
        or self.state != OPEN
        or getattr(self.log.debug, "__name__", "") != "_no_op"
    ):
        _theirs.send_data(self, data, sync, chopsize)
        return
    # Without making up a line of the log that nobody reads.
    self.transport.write(data)
    if self.state == OPEN:
        self.trafficStats.outgoingOctetsWireLevel += len(data)


def sendFrame(
    self: Any,
    opcode: int,
    payload: bytes = b"",
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
    payload_len: int | None = None,
    chopsize: int | None = None,
    sync: bool = False,
) -> None:
    """Send a frame; what none should be is left to the library, which lets that pass."""
    if (
        mask
        or payload_len is not None
        or (rsv != 0 and rsv != 4)
        or self.logFrames
        or not self.applyMask
        or type(payload) is not bytes
        or type(opcode) is not int
    ):
        _theirs.send_frame(self, opcode, payload, fin, rsv, mask, payload_len, chopsize, sync)
        return
    masked = self.maskServerFrames if self.factory.isServer else self.maskClientFrames
    try:
        if fin and not rsv:
            # A call with few keywords is much faster.
            raw = encode_frame(opcode, payload, mask=True) if masked else encode_frame(opcode, payload)
        else:
            raw = encode_frame(opcode, payload, fin=bool(fin), rsv1=rsv == 4, mask=bool(masked))
    except ValueError:
        _theirs.send_frame(self, opcode, payload, fin, rsv, mask, payload_len, chopsize, sync)
        return
    if opcode < 3:
        _counts.fast += 1
        self.trafficStats.outgoingWebSocketFrames += 1
    self.sendData(raw, sync, chopsize)


def sendMessage(
    self: Any,
    payload: Any,
    isBinary: Any = False,
    fragmentSize: Any = None,
    sync: Any = False,
    doNotCompress: Any = False,
) -> None:
    """Send a message of one frame; others, and wrong arguments, are left to the library."""
    if (
        type(payload) is not bytes
        or type(isBinary) is not bool
        or fragmentSize is not None
        or sync is not False
        or type(doNotCompress) is not bool
        or self.state != OPEN
        or self.trackedTimings
        or self.autoFragmentSize > 0
    ):
        _theirs.send_message(self, payload, isBinary, fragmentSize, sync, doNotCompress)
        return
    stats = self.trafficStats
    stats.outgoingWebSocketMessages += 1
    size = len(payload)
    stats.outgoingOctetsAppLevel += size
    pmce = self._perMessageCompress
    rsv = 0
    if pmce is not None and not doNotCompress:
        pmce.start_compress_message()
        begun = pmce.compress_message_data(payload)
        payload = begun + pmce.end_compress_message()
        size = len(payload)
        rsv = 4
    stats.outgoingOctetsWebSocketLevel += size
    if 0 < self.maxMessagePayloadSize < size:
        self.wasMaxMessagePayloadSizeExceeded = True
        reason = (
            f"tried to send WebSocket message with size {size} exceeding payload limit of"
            f" {self.maxMessagePayloadSize} octets"
        )
        self.log.warn(reason)
        raise PayloadExceededError(reason)
    self.sendFrame(opcode=2 if isBinary else 1, payload=payload, sync=sync, rsv=rsv)


def prepare_message(self: Any, payload: bytes, isBinary: bool, applyMask: bool, doNotCompress: bool) -> None:
    """Build a message to be sent later, perhaps several times."""
    if type(payload) is not bytes:
        _theirs.prepare_message(self, payload, isBinary, applyMask, doNotCompress)
        return
    if not doNotCompress:
        self.payload = payload
        self.binary = isBinary
    self.doNotCompress = doNotCompress
    self.payloadHybi = encode_frame(2 if isBinary else 1, payload, mask=bool(applyMask))


class Masker:
    """Masks and unmasks a payload that comes in pieces (RFC 6455 §5.3)."""

    __slots__ = ("_key", "_position")

    def __init__(self, mask: bytes) -> None:
        self._key = bytes(mask)
        self._position = 0

    def pointer(self) -> int:
        """Return how many bytes have been processed."""
        return self._position

    def reset(self) -> None:
        """Begin again."""
        self._position = 0

    def process(self, data: bytes) -> bytes:
        """Return the next piece, masked or unmasked."""
        turn = self._position & 3
        self._position += len(data)
        key = self._key
        return apply_mask(data, key[turn:] + key[:turn] if turn else key)


def create_xor_masker(mask: bytes, length: int | None = None) -> Masker:
    """Make a masker; ``length`` is a hint that is not needed."""
    return Masker(mask)


class Validator:
    """Checks a text that comes in pieces, and answers as the library's own classes do.

    Once a text is wrong, one of those is asked where.
    """

    __slots__ = ("_fast", "_held", "_slow", "_total")

    def __init__(self) -> None:
        self._fast = Utf8Validator()
        self._held = b""  # the last bytes, when they begin a code point
        self._total = 0
        self._slow: Any = None

    def reset(self) -> None:
        """Begin again."""
        self._fast.reset()
        self._held = b""
        self._total = 0
        self._slow = None

    def validate(self, ba: bytes) -> tuple[bool, bool, int, int]:
        """Check the next piece.

        Returns:
            Whether the text is valid so far, whether it ends with a code point, and the position of the
            first fault, or else of the end, in ``ba`` and in the text.

        """
        if self._slow is None:
            if self._fast.feed(ba):
                size = len(ba)
                self._total += size
                if self._fast.complete:
                    if self._held:
                        self._held = b""
                    return True, True, size, self._total
                self._held = _last_code_point(self._held + ba[-3:])
                return True, False, size, self._total
            self._slow = _theirs.validator()
            self._slow.validate(self._held)
            self._total -= len(self._held)
        valid, ends, position, total = self._slow.validate(ba)
        return valid, ends, position, self._total + total


def _last_code_point(text: bytes) -> bytes:
    """Return the last bytes of a text from the beginning of a code point on."""
    start = len(text) - 1
    while text[start] & 0xC0 == 0x80:
        start -= 1
    return text[start:]


class _Unpredictable:
    """The module ``random``, but for the bits that the library makes masking keys of (RFC 6455 §10.3)."""

    def getrandbits(self, k: int) -> int:
        """Return random bits: 32 that nobody can foretell, or else as ``random`` does."""
        return int.from_bytes(mask_key(), "big") if k == 32 else random.getrandbits(k)

    def __getattr__(self, name: str) -> Any:
        return getattr(random, name)


unpredictable = _Unpredictable()
