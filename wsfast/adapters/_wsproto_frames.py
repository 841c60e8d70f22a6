"""The functions that take the place of those of ``wsproto``; it must be installed.

:mod:`wsfast.adapters.wsproto` puts them there, and tells what they keep to. They are written for speed where
frames pass, and lean on the library's own code everywhere else.

A connection made while wsfast is installed has a :class:`_Link`, and its parser is :func:`_parse`, a
generator over that, in place of the library's. Both ends of the library read from it: ``received_frames()``
by that generator, ``Connection.events()`` directly. What the link keeps is where the input is; all the rest
is in the library's own objects, as the library would have it between two steps.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from wsproto import connection, events, extensions, frame_protocol

from .._backend import apply_mask, apply_mask_into, decode_utf8, encode_frame, split_frames
from . import wsproto as adapter
from ._wsproto_deflate import Inflation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["SOURCES", "replacements"]

#: What is replaced here belongs to these modules as they are now; after a reload it does not.
SOURCES = (frame_protocol.FrameProtocol, connection.Connection, extensions.PerMessageDeflate)

FrameProtocol = frame_protocol.FrameProtocol
FrameDecoder = frame_protocol.FrameDecoder
MessageDecoder = frame_protocol.MessageDecoder
XorMasker = frame_protocol.XorMaskerSimple
ParseFailed = frame_protocol.ParseFailed
Frame = frame_protocol.Frame
Header = frame_protocol.Header
RsvBits = frame_protocol.RsvBits
RECEIVED_FRAMES = FrameProtocol.received_frames
PerMessageDeflate = extensions.PerMessageDeflate
TextMessage = events.TextMessage
BytesMessage = events.BytesMessage

# Their names for opcodes are other objects than ours, and compared by identity.
_THEIRS = {int(opcode): opcode for opcode in frame_protocol.Opcode}
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = (_THEIRS[opcode] for opcode in (0, 1, 2, 8, 9, 10))
PROTOCOL_ERROR = frame_protocol.CloseReason.PROTOCOL_ERROR
INVALID_DATA = frame_protocol.CloseReason.INVALID_FRAME_PAYLOAD_DATA
OPEN = connection.ConnectionState.OPEN
LOCAL_CLOSING = connection.ConnectionState.LOCAL_CLOSING
REMOTE_CLOSING = connection.ConnectionState.REMOTE_CLOSING
CLOSED = connection.ConnectionState.CLOSED

_MESSAGES = frozenset((events.Message, TextMessage, BytesMessage))
_NULL_MASKER = frame_protocol.XorMaskerNull()
_NO_RSV = RsvBits(False, False, False)
_RSV1 = RsvBits(True, False, False)

# How many frames are taken at once. They wait, decoded, until the application asks for the next event.
_MOST = 256

#: How a registered close code that the library refuses is taken with ``strict`` (RFC 6455 §7.4.2).
_BAD_GATEWAY = 1014

# What releases differ in. In events, binary data is a bytearray in 1.3.0 and 1.3.1; in 1.2 that depends on
# the side and the length, and is bytes here. A frame to be sent is bytes in 1.2.
_bytes_event: Any = next(connection.Connection(connection.SERVER, [], b"\x82\x81\0\0\0\0x").events())
_Data: Any = type(_bytes_event.data)
_Sent: Any = type(FrameProtocol(False, []).ping())
_Masked: Any = type(XorMasker(b"1234").process(bytearray(b"data")))

_new = object.__new__
_counts = adapter.HOST.counts
_strict = False

# What stood where replacements() are now.
_stock: dict[str, Any] = {}


def replacements(strict: bool) -> list[tuple[Any, str, Any]]:
    """List what to put where: owner, name, function. What is there now is remembered, to fall back on."""
    global _strict
    _strict = strict
    found: list[tuple[Any, str, Any]] = [
        (FrameProtocol, "_parse_more_gen", parse_more_gen),
        (FrameProtocol, "receive_bytes", receive_bytes),
        (FrameProtocol, "_serialize_frame", serialize_frame),
        (XorMasker, "process", process),
        (PerMessageDeflate, "frame_inbound_header", frame_inbound_header),
        (PerMessageDeflate, "frame_inbound_complete", frame_inbound_complete),
        (connection.Connection, "send", send),
        (connection.Connection, "events", received_events),
    ]
    if strict:
        found.append((FrameProtocol, "_process_close", process_close))
    for owner, name, new in found:
        current = vars(owner)[name]
        if current is not new:
            _stock[name] = current
    return found


# ---- In: the state of a connection -----------------------------------------------------------------


class _Link:
    """What is kept for a connection, as the attribute ``_wsfast`` of its ``FrameProtocol``."""

    __slots__ = ("at", "chunk", "closed", "decoder", "fresh", "masked", "messages", "proto", "ready")

    def __init__(self, proto: Any) -> None:
        self.proto = proto
        self.decoder = proto._frame_decoder
        self.messages = proto._message_decoder
        self.masked = not proto.client
        # Frames taken from the input that the application has not asked for yet.
        self.ready: Iterator[Any] = iter(())
        # What was received last, as long as the library's own buffer is empty, and where the rest begins.
        self.chunk = b""
        self.at = 0
        self.fresh = True
        # After a close frame, and after an error: nothing more is read.
        self.closed = False


def parse_more_gen(self: Any) -> Generator[Any, None, None]:
    """Return the parser of a connection: it yields frames, and ``None`` when it needs more bytes."""
    if (
        type(self) is not FrameProtocol
        or type(self._frame_decoder) is not FrameDecoder
        or type(self._message_decoder) is not MessageDecoder
    ):
        theirs: Generator[Any, None, None] = _stock["_parse_more_gen"](self)
        return theirs
    link = _Link(self)
    vars(self)["_wsfast"] = link
    return _parse(link)


def _parse(link: _Link) -> Generator[Any, None, None]:
    while not link.closed:
        yield _next_frame(link)


def receive_bytes(self: Any, data: bytes) -> None:
    """Take bytes from the peer."""
    try:
        link = self._wsfast
    except AttributeError:
        self._frame_decoder.receive_bytes(data)
        return
    if type(data) is bytes and link.at == len(link.chunk) and not link.decoder.buffer.buffer:
        # Bytes cannot change: they are decoded where they are.
        link.chunk = data
        link.at = 0
        return
    _gather(link)
    link.decoder.receive_bytes(data)


def _gather(link: _Link) -> bytearray:
    """Bring all the input into the library's own buffer."""
    buffer: bytearray = link.decoder.buffer.buffer
    if link.at < len(link.chunk):
        # When the adapter is gone, more may have been received without it.
        with memoryview(link.chunk) as view, view[link.at :] as rest:
            buffer[:0] = rest
    link.chunk = b""
    link.at = 0
    return buffer


# ---- In: frames ------------------------------------------------------------------------------------


def _take_ready(link: _Link) -> bool:
    """Get whole frames ready; tell whether there are any. Nothing is, while a frame is under way."""
    decoder = link.decoder
    if decoder.header is not None:
        return False
    if link.fresh:
        link.fresh = False
        link.proto.extensions = [extension for extension in link.proto.extensions if extension.enabled()]
    deflated = False
    if decoder.extensions:
        if not _is_deflate(decoder.extensions):
            return False
        deflated = True
    in_message = link.messages.opcode is not None
    if link.at < len(link.chunk) and not decoder.buffer.buffer:
        items, link.at = split_frames(link.chunk, link.at, link.masked, deflated, in_message, _MOST)
        if link.at == len(link.chunk):
            link.chunk = b""
            link.at = 0
    else:
        buffer = _gather(link)
        if not buffer:
            return False
        items, used = split_frames(buffer, 0, link.masked, deflated, in_message, _MOST)
        if used:
            del buffer[:used]
    if not items:
        return False
    _counts.fast += len(items)
    link.ready = iter(items)
    return True


def _is_deflate(known: list[Any]) -> bool:
    """Tell whether permessage-deflate is the one extension, and the library's own."""
    return len(known) == 1 and type(known[0]) is PerMessageDeflate


def _next_frame(link: _Link) -> Any:
    """Return the next frame, or ``None`` if that needs more bytes."""
    try:
        while True:
            for item in link.ready:
                kind = type(item)
                if kind is str:
                    return Frame(TEXT, item, True, True)
                if kind is bytes:
                    return Frame(BINARY, item, True, True)
                return _whole_frame(link, item)
            if not _take_ready(link):
                return _part_of_frame(link)
    except BaseException:
        # As in the library, where its generator ends by this.
        link.closed = True
        raise


def _whole_frame(link: _Link, item: Any) -> Any:
    """Return the library's frame for one that is not simply a message."""
    opcode = _THEIRS[item.opcode]
    payload = item.payload
    if opcode >= CLOSE:
        _counts.fast -= 1
        frame = Frame(opcode, payload, True, True)
        if opcode is CLOSE:
            frame = link.proto._process_close(frame)
            link.closed = True
        return frame
    if item.rsv1 and item.fin:
        return _compressed_message(link, opcode, payload)
    decoder = link.decoder
    fin = item.fin
    if decoder.extensions:
        decoder.extension_processing(opcode, _RSV1 if item.rsv1 else _NO_RSV, len(payload))
        payload = _through_extensions(decoder, payload, True, fin)
    return link.messages.process_frame(Frame(opcode, payload, True, fin))


def _compressed_message(link: _Link, opcode: Any, payload: bytes) -> Any:
    """Return the frame of a compressed message that is not fragmented."""
    extension = link.decoder.extensions[0]
    inflation = extension._decompressor
    if inflation is None:
        inflation = extension._decompressor = _new_inflation(extension, link.decoder)
    try:
        data = inflation.message(payload)
    except zlib.error:
        raise ParseFailed("error in extension", INVALID_DATA) from None
    if _starts_anew(extension, link.masked):
        extension._decompressor = None
    if opcode is not TEXT:
        return Frame(opcode, data, True, True)
    try:
        return Frame(opcode, decode_utf8(data), True, True)
    except UnicodeDecodeError as exc:
        raise ParseFailed(str(exc), INVALID_DATA) from None


def _through_extensions(decoder: Any, payload: bytes, finished: bool, fin: bool) -> bytes:
    """Do with a payload, or a part of one, what the library does with extensions."""
    data: Any = payload
    for extension in decoder.extensions:
        data = extension.frame_inbound_payload_data(decoder, data)
        if isinstance(data, frame_protocol.CloseReason):
            raise ParseFailed("error in extension", data)
    if finished:
        for extension in decoder.extensions:
            rest = extension.frame_inbound_complete(decoder, fin)
            if isinstance(rest, frame_protocol.CloseReason):
                raise ParseFailed("error in extension", rest)
            if rest:
                data = data + rest
    return bytes(data)


def _part_of_frame(link: _Link) -> Any:
    """Return what there is of a frame that is not here as a whole, or what the library makes of it.

    ``None`` if there is nothing to be returned yet.
    """
    decoder = link.decoder
    if decoder.header is None:
        begun = _begin_frame(link)
        if begun is None:
            return None
        if not begun:
            return _stock_frame(link)
    header = decoder.header
    if header.opcode >= CLOSE or (decoder.extensions and not _is_deflate(decoder.extensions)):
        return _stock_frame(link)
    missing = header.payload_len - decoder.payload_consumed
    source: Any = link.chunk
    at = link.at
    if at == len(source) or decoder.buffer.buffer:
        source = _gather(link)
        at = 0
    stop = min(at + missing, len(source))
    if stop == at and missing:
        return None
    if link.masked:
        key = decoder.masker._masking_key
        with memoryview(source) as view, view[at:stop] as part:
            payload = apply_mask(part, key)
        if phase := (stop - at) & 3:
            decoder.masker._masking_key = key[phase:] + key[:phase]
    else:
        payload = source[at:stop] if type(source) is bytes else bytes(source[at:stop])
    if type(source) is bytes:
        link.at = stop
        if stop == len(source):
            link.chunk = b""
            link.at = 0
    else:
        del source[:stop]
    finished = stop - at == missing
    decoder.payload_consumed += stop - at
    if decoder.extensions:
        payload = _through_extensions(decoder, payload, finished, header.fin)
    frame = Frame(decoder.effective_opcode, payload, finished, header.fin)
    if finished:
        _counts.fast += 1
        decoder.header = None
        decoder.effective_opcode = None
        decoder.masker = None
    else:
        decoder.effective_opcode = CONTINUATION
    return link.messages.process_frame(frame)


def _stock_frame(link: _Link) -> Any:
    """Let the library's own code have the next frame."""
    _gather(link)
    frame = link.decoder.process_buffer()
    if frame is None:
        return None
    if frame.opcode < CLOSE:
        if frame.frame_finished:
            _counts.slow += 1
        return link.messages.process_frame(frame)
    if frame.opcode is CLOSE:
        frame = link.proto._process_close(frame)
        link.closed = True
    return frame


def _begin_frame(link: _Link) -> bool | None:
    """Read the header of a frame of data, if there is nothing wrong with it, as the library does.

    Returns:
        ``True`` if it was read, ``None`` if a frame has begun that has to wait for more bytes, and
        ``False`` if it is for the library to say what to do.

    """
    decoder = link.decoder
    source: Any = link.chunk
    at = link.at
    if at == len(source) or decoder.buffer.buffer:
        source = _gather(link)
        at = 0
    size = len(source) - at
    if size < 2:
        _gather(link)
        return None
    first = source[at]
    second = source[at + 1]
    bits = first & 0x70
    if (
        (second >= 0x80) is not link.masked
        or (bits and (bits != 0x40 or not decoder.extensions))
        or (decoder.extensions and not _is_deflate(decoder.extensions))
    ):
        return False
    length = second & 0x7F
    if first & 0x0F > 2:
        if 0x88 <= first <= 0x8A and length < 126:
            _gather(link)
            return None
        return False
    head = 2 if length < 126 else 4 if length == 126 else 10
    if size >= head:
        if head > 2:
            length = int.from_bytes(source[at + 2 : at + head], "big")
            if length < (126 if head == 4 else 65536) or length >> 63:
                return False
        opcode = _THEIRS[first & 0x0F]
        rsv = _RSV1 if bits else _NO_RSV
        if bits and opcode is CONTINUATION:
            return False
        if link.masked:
            head += 4
    if size < head:
        _gather(link)
        return None
    if decoder.extensions:
        decoder.extension_processing(opcode, rsv, length)
    if link.masked:
        decoder.masker = XorMasker(bytes(source[at + head - 4 : at + head]))
    else:
        decoder.masker = _NULL_MASKER
    if type(source) is bytes:
        link.at = at + head
    else:
        del source[:head]
    decoder.header = Header(first >= 0x80, rsv, opcode, length, None)
    decoder.effective_opcode = opcode
    decoder.payload_required = 0
    decoder.payload_consumed = 0
    return True


# ---- In: events ------------------------------------------------------------------------------------


def received_events(self: Any) -> Generator[Any, None, None]:
    """Return a generator that provides any events that have been generated by protocol activity.

    :returns: generator of :class:`Event <wsproto.events.Event>` subclasses
    """
    while self._events:
        yield self._events.popleft()
    proto = self._proto
    link = getattr(proto, "_wsfast", None)
    if (
        link is None
        or "received_frames" in proto.__dict__
        or FrameProtocol.received_frames is not RECEIVED_FRAMES
    ):
        # Somebody wants to see the frames.
        yield from _stock["events"](self)
        return
    try:
        while not link.closed:
            for item in link.ready:
                kind = type(item)
                if kind is str or kind is bytes:
                    # What the class does, without its __init__(), which takes four times as long.
                    event: Any = _new(TextMessage if kind is str else BytesMessage)
                    fields = event.__dict__
                    fields["data"] = item if kind is str or _Data is bytes else _Data(item)
                    fields["frame_finished"] = True
                    fields["message_finished"] = True
                    yield event
                else:
                    event = _event(self, _whole_frame(link, item))
                    yield event
                    if link.closed:
                        return
            if not _take_ready(link):
                frame = _part_of_frame(link)
                if frame is None:
                    return
                yield _event(self, frame)
    except ParseFailed as exc:
        link.closed = True
        yield events.CloseConnection(code=exc.code, reason=str(exc))
    except Exception:
        link.closed = True
        raise


def _event(self: Any, frame: Any) -> Any:
    """Return the event of a frame, as the library does."""
    opcode, payload, frame_finished, message_finished = frame
    if opcode is TEXT or opcode is BINARY:
        event: Any = _new(TextMessage if opcode is TEXT else BytesMessage)
        fields = event.__dict__
        fields["data"] = payload if opcode is TEXT or _Data is bytes else _Data(payload)
        fields["frame_finished"] = frame_finished
        fields["message_finished"] = message_finished
        return event
    if opcode is PING:
        return events.Ping(payload=payload)
    if opcode is PONG:
        return events.Pong(payload=payload)
    code, reason = payload
    self._state = CLOSED if self.state is LOCAL_CLOSING else REMOTE_CLOSING
    return events.CloseConnection(code=code, reason=reason)


def process_close(self: Any, frame: Any) -> Any:
    """Judge a close frame, of which the library refuses one code that is registered."""
    payload = frame.payload
    if len(payload) >= 2 and int.from_bytes(payload[:2], "big") == _BAD_GATEWAY:
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError as exc:
            raise ParseFailed("Error decoding CLOSE reason: " + str(exc), INVALID_DATA) from None
        return frame._replace(payload=(_BAD_GATEWAY, reason))
    return _stock["_process_close"](self, frame)


# ---- permessage-deflate ----------------------------------------------------------------------------


def _new_inflation(extension: Any, proto: Any) -> Inflation:
    bits = extension.server_max_window_bits if proto.client else extension.client_max_window_bits
    return Inflation(int(bits), _strict)


def _starts_anew(extension: Any, from_client: bool) -> bool:
    """Tell whether each message of the client, or of the server, is compressed by itself."""
    anew: bool = extension.client_no_context_takeover if from_client else extension.server_no_context_takeover
    return anew


def frame_inbound_header(self: Any, proto: Any, opcode: Any, rsv: Any, payload_length: int) -> Any:
    """Take note of the header of a frame; a control frame does not belong to the message around it."""
    control = opcode.iscontrol()
    if rsv.rsv1 and (control or opcode is CONTINUATION):
        return PROTOCOL_ERROR
    self._inbound_is_compressible = not control
    if not control and self._inbound_compressed is None:
        self._inbound_compressed = rsv.rsv1
        if rsv.rsv1 and self._decompressor is None:
            self._decompressor = _new_inflation(self, proto)
    return _RSV1


def frame_inbound_complete(self: Any, proto: Any, fin: bool) -> Any:
    """End a frame; if it is the last one of a compressed message, return the rest of that."""
    if not fin:
        return None
    if not self._inbound_compressed:
        self._inbound_compressed = None
        return None
    if not self._inbound_is_compressible:
        return None
    inflation = self._decompressor
    try:
        if type(inflation) is Inflation:
            data = inflation.finish()
        else:
            data = inflation.decompress(b"\x00\x00\xff\xff")
            data += inflation.flush()
    except zlib.error:
        return INVALID_DATA
    if _starts_anew(self, not proto.client):
        self._decompressor = None
    self._inbound_compressed = None
    return data


# ---- Masks, and frames out -------------------------------------------------------------------------


def process(self: Any, data: bytearray) -> Any:
    """Mask the next part of a payload."""
    data = bytearray(data)
    if data:
        key = self._masking_key
        apply_mask_into(data, key)
        if phase := len(data) & 3:
            self._masking_key = key[phase:] + key[:phase]
    return data if _Masked is bytearray else _Masked(data)


def send(self: Any, event: Any) -> bytes:
    """Return the bytes of an event, to be sent."""
    if type(event) in _MESSAGES and self._state is OPEN:
        proto = self._proto
        if (
            type(proto) is FrameProtocol
            and proto._outbound_opcode is None
            and event.message_finished
            and "send_data" not in proto.__dict__
        ):
            data = event.data
            kind = type(data)
            if kind is str or kind is bytes or kind is bytearray:
                extensions = proto.extensions
                opcode = 1 if kind is str else 2
                if not extensions:
                    _counts.fast += 1
                    # A call with few keywords is much faster.
                    return (
                        encode_frame(opcode, data, mask=True) if proto.client else encode_frame(opcode, data)
                    )
                frame = _serialize(proto, _THEIRS[opcode], data.encode() if kind is str else data, True)
                if frame is not None:
                    return frame
    theirs: bytes = _stock["send"](self, event)
    return theirs


def serialize_frame(self: Any, opcode: Any, payload: bytes | bytearray = b"", fin: bool = True) -> Any:
    """Return a frame, through the extensions, and masked if this side has to."""
    frame = _serialize(self, opcode, payload, fin)
    if frame is not None:
        return _Sent(frame)
    if opcode in (TEXT, BINARY, CONTINUATION):
        _counts.slow += 1
    return _stock["_serialize_frame"](self, opcode, payload, fin)


def _serialize(self: Any, opcode: Any, payload: Any, fin: bool) -> bytes | None:
    """Return a frame; ``None``, and nothing has changed, if that is for the library's own code."""
    kind = type(payload)
    if kind is not bytes and kind is not bytearray:
        return None
    if opcode not in _THEIRS:
        return None
    extensions = self.extensions
    if extensions and not _is_deflate(extensions):
        return None
    rsv1 = False
    if opcode >= CLOSE:
        if not fin or len(payload) > 125:
            return None
    else:
        if extensions:
            extension = extensions[0]
            compressor = extension._compressor
            if compressor is None or not fin or opcode is CONTINUATION:
                rsv, payload = extension.frame_outbound(self, opcode, _NO_RSV, payload, fin)
                rsv1 = rsv[0]
            else:
                payload = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
                rsv1 = True
                if _starts_anew(extension, self.client):
                    extension._compressor = None
        _counts.fast += 1
    if fin and not rsv1:
        return encode_frame(opcode, payload, mask=True) if self.client else encode_frame(opcode, payload)
    return encode_frame(opcode, payload, fin=bool(fin), rsv1=rsv1, mask=bool(self.client))
