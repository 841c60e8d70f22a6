"""The functions that take the place of those of the ``websockets`` library; it must be installed.

:mod:`wsfast.adapters.websockets` puts them there, and tells what they keep to. They are written for
speed where frames pass, and lean on the library's own code everywhere else.
"""

from __future__ import annotations

import secrets
import struct
import sys
from typing import TYPE_CHECKING, Any

from websockets import exceptions, frames, protocol, streams
from websockets.extensions.permessage_deflate import PerMessageDeflate

from .._backend import FrameDecoder, apply_mask, backend, encode_frame, take_messages
from ..errors import ProtocolError
from ..frames import Opcode
from . import _websockets_deflate as deflate
from .websockets import COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Batch",
    "bind",
    "convert",
    "plain",
    "receive_data",
    "send_frame",
    "sends_plainly",
    "serialize",
    "their_masks",
]

Frame = frames.Frame
Protocol = protocol.Protocol
SERVER = protocol.Side.SERVER
CONNECTING = protocol.State.CONNECTING
_HEAD_END = b"\r\n\r\n"

# Their names for opcodes are other objects than ours, and compared by identity.
_THEIRS = {int(opcode): frames.Opcode(opcode) for opcode in Opcode}
THEIR_CONT, THEIR_TEXT, THEIR_BINARY = (_THEIRS[opcode] for opcode in (0, 1, 2))
TEXT, BINARY = Opcode.TEXT, Opcode.BINARY

# How the library's own objects are recognised. Its parser is a chain of generators; it is between two
# frames when Protocol.parse() waits in StreamReader.at_eof().
PARSE = Protocol.parse.__code__
AT_EOF = streams.StreamReader.at_eof.__code__
READ_EXACT = streams.StreamReader.read_exact.__code__
PARSE_FRAME = Frame.__dict__["parse"]
RECV_FRAME = Protocol.recv_frame
UNPACK = struct.unpack
TOKEN_BYTES = secrets.token_bytes

# Up to 13.x a limit was called max_size, there was one only, and the size so far cur_size.
_ATTRIBUTES = frozenset(Protocol.__init__.__code__.co_names)
_TWO_LIMITS = "max_message_size" in _ATTRIBUTES
_CURRENT_SIZE = "current_size" if "current_size" in _ATTRIBUTES else "cur_size"

# A frame of which the end is missing and that is at least this long is waited for, and then cut out of
# the library's buffer, instead of being copied once more by way of the decoder.
_LONG = 1 << 14

# The beginning of a message, to tell a new decoder that one is under way; by side.
_BEGUN = {True: b"\x01\x80\0\0\0\0", False: b"\x01\x00"}

# The twin, in Python, cannot mask as fast as the library's own C function; where both are what there is,
# everything that has to do with masks is left to the library.
their_masks = backend == "python" and "websockets.speedups" in sys.modules

_new = object.__new__
# A frame without values of its own for these has the class's. To set them takes longer than all the rest.
if not Frame.fin or Frame.rsv1 or Frame.rsv2 or Frame.rsv3:
    raise AttributeError("Frame has other defaults")

# What stood where receive_data() stands now; bind() sets it.
_stock_receive_data: Callable[[Any, Any], None] = Protocol.receive_data
_stock_serialize: Callable[..., bytes] = Frame.serialize


# Whether peers are held to what the library lets pass; set by bind().
_strict = False


def bind(strict: bool) -> None:
    """Remember what is about to be replaced, to fall back on."""
    global _stock_receive_data, _stock_serialize, _strict
    _strict = strict
    if Protocol.receive_data is not receive_data:
        _stock_receive_data = Protocol.receive_data
        _stock_serialize = Frame.serialize


class _Link:
    """What is kept for a connection, as its attribute ``_wsfast``.

    Nothing here is needed to go on without it: bytes that wait are in the library's own buffer, and a
    decoder lives only as long as no frame has begun in it.
    """

    __slots__ = ("decoder", "generator", "head", "inflate", "limit", "masked", "need", "packed", "parser")

    def __init__(self, parser: Any, generator: Any, masked: bool) -> None:
        self.parser = parser  # the outermost generator, to notice when it is replaced
        self.generator = generator  # the one of Protocol.parse()
        self.masked = masked
        self.decoder: FrameDecoder | None = None
        self.limit: int | None = None  # the decoder's
        # How compressed messages are read; the extension that `packed` belongs to.
        self.packed: deflate.Inflate | None = None
        self.inflate: Any = None
        # While bytes wait in the buffer: how many must be there before looking at them is worthwhile,
        # and, for a long frame, how many of them are its header.
        self.need = 0
        self.head = 0


def _attach(connection: Any) -> _Link | None:
    """Find the parser of a connection; ``None`` in the opening handshake and after the closing one."""
    parser = generator = connection.parser
    while getattr(generator, "gi_code", None) is not PARSE:
        generator = getattr(generator, "gi_yieldfrom", None)
        if generator is None:
            return None
    link = _Link(parser, generator, connection.side is SERVER)
    connection._wsfast = link
    return link


if _TWO_LIMITS:

    def _limits(connection: Any, current: int | None) -> tuple[int | None, int | None]:
        """Return the limit on a frame that is a message, and that on the next frame, as parse() has it."""
        message: int | None = connection.max_message_size
        fragment: int | None = connection.max_fragment_size
        if message is None:
            return fragment, fragment
        rest = message if current is None else message - current
        if fragment is None:
            return message, rest
        return min(message, fragment), min(rest, fragment)

else:

    def _limits(connection: Any, current: int | None) -> tuple[int | None, int | None]:
        """Return the limit on a frame that is a message, and that on the next frame, as parse() has it."""
        limit: int | None = connection.max_size
        return limit, limit if limit is None or current is None else limit - current


def plain(connection: Any) -> bool:
    """Tell whether a protocol treats data frames as the library's own classes do, and no others see them."""
    extensions = connection.extensions
    return (
        not connection.debug
        and (not extensions or (len(extensions) == 1 and type(extensions[0]) is PerMessageDeflate))
        and type(connection).recv_frame is RECV_FRAME
        and "recv_frame" not in connection.__dict__
    )


def receive_data(self: Any, data: bytes | bytearray) -> None:
    """Receive data from the network.

    After calling this method:

    - You must call :meth:`data_to_send` and send this data to the network.
    - You should call :meth:`events_received` and process resulting events.

    Raises:
        EOFError: If :meth:`receive_eof` was called earlier.

    """
    if their_masks and self.side is SERVER:
        _stock_receive_data(self, data)
        return
    state = self.__dict__
    link: _Link | None = state.get("_wsfast")
    if link is None or link.parser is not self.parser:
        link = _attach(self)
        if link is None:
            end = bytes(data).find(_HEAD_END) if self.state is CONNECTING else -1
            if end >= 0 and (end := end + len(_HEAD_END)) < len(data):
                # The end of the other side's head, and frames behind it, which the library would read.
                _stock_receive_data(self, data[:end])
                receive_data(self, bytes(data[end:]))
                return
            _stock_receive_data(self, data)
            return
    waits_in = link.generator.gi_yieldfrom
    if waits_in is None or waits_in.gi_code is not AT_EOF:
        data = _end_frame(self, link, data)
        if not data:
            return
    reader = self.reader
    if reader.eof or struct.unpack is not UNPACK or Frame.__dict__["parse"] is not PARSE_FRAME:
        _stock_receive_data(self, data)
        return
    sink = state.get("_wsfast_sink")
    if sink is None:
        _receive(self, link, reader.buffer, data)
        return
    if (
        getattr(self, _CURRENT_SIZE) is None
        # What came before in the same call has to arrive first.
        and not self.events
        and plain(self)
        and sink.is_ready()
    ):
        _pass_on(self, link, sink, reader.buffer, data)
    else:
        _receive(self, link, reader.buffer, data)
    if self.writes:
        sink.hold_pongs(self)


def _receive(self: Any, link: _Link, buffer: bytearray, data: bytes | bytearray) -> None:
    """Make events of new data that is at the beginning of a frame, or continues what is in the buffer."""
    if buffer:
        buffer += data
        if len(buffer) < link.need or (link.head and not (_cut_frame(self, link, buffer) and buffer)):
            return
        data = buffer
    if len(data) < _LONG or not _begins_long_frame(self, link, data):
        _decode(self, link, data)


def _pass_on(self: Any, link: _Link, sink: Any, buffer: bytearray, source: bytes | bytearray) -> None:
    """Give whole messages to whoever reads them, without events; all else goes the usual way."""
    if buffer:
        buffer += source
        if len(buffer) < link.need:
            return
        source = buffer
    limit, _ = _limits(self, None)
    packed = None
    if self.extensions:
        extension = self.extensions[0]
        packed = link.packed
        if packed is None or link.inflate is not extension:
            packed = link.packed = deflate.Inflate(extension)
            link.inflate = extension
        packed.limit = limit
    most = limit if sink.longest is None else sink.longest if limit is None else min(limit, sink.longest)
    used = 0
    while True:
        messages: list[Any] = []
        try:
            used = take_messages(source, used, messages, link.masked, most, packed)
        except (TypeError, ValueError):  # a limit that is not an int, which the library may not mind
            break
        except Exception as exc:
            if messages:
                COUNTS.fast += len(messages)
                sink.deliver(self, messages)
            if source is buffer:
                del buffer[:]
            link.need = link.head = 0
            link.parser.throw(exc)
            return
        if messages:
            COUNTS.fast += len(messages)
            sink.deliver(self, messages)
            link.need = link.head = 0
        if used == len(source):
            if source is buffer:
                del buffer[:]
            return
        end = _control_end(source, used, link.masked)
        if end == used:
            break
        if source is buffer:
            source = bytes(buffer)
            del buffer[:]
        _decode(self, link, source[used:end])
        if self.parser is not link.parser:
            if end < len(source):
                _stock_receive_data(self, source[end:])
            return
        used = end
    if source is buffer:
        del buffer[:used]
        _receive(self, link, buffer, b"")
    else:
        _receive(self, link, buffer, source[used:] if used else source)


# Texts longer than this are not decoded for a reader who wants the bytes.
_LONGEST_RAW = 1 << 12


def convert(assembler: Any, item: str | bytes, decode: bool) -> str | bytes:
    """Return a message as whoever receives it wants it; a method of the assemblers of all three APIs."""
    if isinstance(item, str):
        if decode:
            return item
        assembler.longest = _LONGEST_RAW
        return item.encode()
    return item.decode() if decode else item


class Batch(Frame):
    """Whole messages in one event, which looks like a frame to those who only pass it on."""

    messages: list[Any]

    def __init__(self, messages: list[Any]) -> None:
        self.opcode = THEIR_TEXT
        self.data = b""
        self.messages = messages


def _control_end(source: bytes | bytearray, start: int, masked: bool) -> int:
    """Find the end of the whole control frames that begin at ``start``; ``start`` if there are none."""
    size = len(source)
    short = 6 if masked else 2
    while size - start >= short and 0x88 <= source[start] <= 0x8A:
        length = source[start + 1] & 0x7F
        if length > 125 or start + short + length > size:
            break
        start += short + length
    return start


def _decode(self: Any, link: _Link, source: bytes | bytearray) -> None:
    """Decode what begins with a frame: the library's buffer, or new data that never need go there."""
    parser = link.parser
    masked = link.masked
    current = getattr(self, _CURRENT_SIZE)
    limit, max_size = _limits(self, current)
    decoder = link.decoder
    if decoder is None or limit != link.limit:
        try:
            decoder = FrameDecoder(
                "server" if masked else "client", max_size=limit, rsv1=True, rsv2=True, rsv3=True
            )
        except (TypeError, ValueError):  # a limit that is not an int, which the library may not mind
            _hand_over(self, link, source, 0)
            return
        link.limit = limit
        if current is not None:
            decoder.feed(_BEGUN[masked])
    # Until it is known that no frame has begun in it.
    link.decoder = None
    legal = True
    try:
        wire = decoder.feed(source)
    except ProtocolError as exc:
        wire = exc.events
        legal = False

    # permessage-deflate leaves frames without RSV1 alone, and makes others frames without.
    simple = plain(self)
    extension: Any = self.extensions[0] if simple and self.extensions else None
    add = self.events.append
    used = 0
    short = 6 if masked else 2
    COUNTS.fast += len(wire)
    for opcode, payload, fin, rsv1, rsv2, rsv3 in wire:
        size = len(payload)
        if (
            simple
            and (opcode is TEXT or opcode is BINARY)
            and fin
            and current is None
            and not (rsv2 or rsv3)
            and (not rsv1 or extension)
        ):
            # The usual case, a frame that is a message: what Frame(), check() and recv_frame() come
            # to, without calling them.
            frame = _new(Frame)
            frame.opcode = THEIR_TEXT if opcode is TEXT else THEIR_BINARY
            frame.data = payload if masked else bytearray(payload)
            if rsv1:
                frame.rsv1 = True
                try:
                    frame = extension.decode(frame, max_size=max_size)
                except Exception as exc:
                    parser.throw(exc)
                    return
            add(frame)
        elif max_size is not None and size > max_size:
            _hand_over(self, link, source, used)
            return
        else:
            frame = Frame(_THEIRS[opcode], payload if masked else bytearray(payload), fin, rsv1, rsv2, rsv3)
            if not _take_frame(self, parser, frame, max_size):
                return
            current = getattr(self, _CURRENT_SIZE)
            _, max_size = _limits(self, current)
            add = self.events.append
        used += size + (short if size < 126 else short + 2 if size < 65536 else short + 8)

    if not legal:
        _judge(self, link, source, used)
    elif used < len(source):
        _await_rest(self, link, source, used, max_size)
    else:
        link.decoder = decoder
        if source is self.reader.buffer:
            del source[:]


def _take_frame(self: Any, parser: Any, frame: Any, max_size: int | None) -> bool:
    """Do with a frame what parse() does; tell whether the connection goes on to read."""
    try:
        for extension in reversed(self.extensions):
            frame = extension.decode(frame, max_size=max_size)
        frame.check()
        if self.debug:
            self.logger.debug("< %s", frame)
        if _strict and frame.opcode is _THEIRS[Opcode.CLOSE]:
            # It may come between the fragments of a message (RFC 6455 §5.4), and has its own code.
            setattr(self, _CURRENT_SIZE, None)
        self.recv_frame(frame)
    except Exception as exc:
        # It waits between two frames, in the `try` whose `except` clauses fail the connection.
        parser.throw(exc)
        return False
    return self.parser is parser


def _keep(self: Any, source: bytes | bytearray, used: int) -> bytearray:
    """Leave in the library's buffer what begins at ``used``."""
    buffer: bytearray = self.reader.buffer
    if source is buffer:
        del buffer[:used]
    else:
        with memoryview(source) as view, view[used:] as rest:
            buffer += rest
    return buffer


def _hand_over(self: Any, link: _Link, source: bytes | bytearray, used: int) -> None:
    """Let the library's parser have the frame that begins at ``used``, and all behind it."""
    _keep(self, source, used)
    link.need = link.head = 0
    COUNTS.slow += 1
    _stock_receive_data(self, b"")


def _judge(self: Any, link: _Link, source: bytes | bytearray, used: int) -> None:
    """Go on at a frame that the decoder refuses: find out what the library says of it."""
    head = bytes(source[used : used + 10])
    first, second = head[:2]
    code = second & 0x7F
    if code >= 126 and first & 0x0F in _THEIRS and (second >= 0x80) == link.masked:
        # Nothing that the library objects to before it knows the length.
        size = 4 if code == 126 else 10
        if len(head) < size:
            _keep(self, source, used)
            link.need = size
            link.head = 0
            return
        length = int.from_bytes(head[2:size], "big")
        if _strict and (length < (126 if code == 126 else 65536) or length >> 63):
            # The one rule that the library does not have (RFC 6455 §5.2).
            link.parser.throw(exceptions.ProtocolError("payload length not in its shortest form"))
            return
    _hand_over(self, link, source, used)


def _await_rest(self: Any, link: _Link, source: bytes | bytearray, used: int, max_size: int | None) -> None:
    """Keep the beginning of a frame, of which nothing so far is illegal, until it is whole."""
    buffer = _keep(self, source, used)
    link.need = 2
    link.head = 0
    if len(buffer) < 2:
        return
    length = buffer[1] & 0x7F
    head = 2 if length < 126 else 4 if length == 126 else 10
    if len(buffer) < head:
        link.need = head
        return
    if head > 2:
        length = int.from_bytes(buffer[2:head], "big")
    if max_size is not None and length > max_size:
        _stock_receive_data(self, b"")
        return
    if link.masked:
        head += 4
    link.need = head + length
    if length >= _LONG:
        link.head = head
        deflate.keep_memory(length)


def _begins_long_frame(self: Any, link: _Link, source: bytes | bytearray) -> bool:
    """Tell whether ``source`` is only the beginning of a long frame; if so, keep it until it is whole."""
    first, second = source[0], source[1]
    code = second & 0x7F
    if code < 126 or first & 0x0F > 2 or (second >= 0x80) != link.masked:
        return False
    head = 4 if code == 126 else 10
    length = int.from_bytes(source[2:head], "big")
    if code == 127 and (length < 65536 or length >> 63):
        return False
    if link.masked:
        head += 4
    if head + length <= len(source):
        return False
    _, max_size = _limits(self, getattr(self, _CURRENT_SIZE))
    _await_rest(self, link, source, 0, max_size)
    return True


def _cut_frame(self: Any, link: _Link, buffer: bytearray) -> bool:
    """Take a long frame, now whole, from the front of the library's buffer."""
    head, need = link.head, link.need
    link.need = link.head = 0
    first = buffer[0]
    data: bytes | bytearray
    if link.masked:
        # Each view by name: where nothing counts references, one that is not released blocks the `del`.
        with memoryview(buffer) as view, view[head:need] as payload:
            data = apply_mask(payload, buffer[head - 4 : head])
    else:
        data = buffer[head:need]
    del buffer[:need]
    frame = Frame(
        _THEIRS[first & 0x0F], data, first >= 0x80, first & 0x40 != 0, first & 0x20 != 0, first & 0x10 != 0
    )
    _, max_size = _limits(self, getattr(self, _CURRENT_SIZE))
    return _take_frame(self, link.parser, frame, max_size)


def _end_frame(self: Any, link: _Link, data: bytes | bytearray) -> bytes | bytearray:
    """Give the library's parser no more than the rest of the frame that it is in; return what is left.

    It is in one when it met a frame that was not for the fast path, or one that had begun before
    install(). Given more, it would go on with the next frames, and the fast path would never be
    taken up again on a busy connection.
    """
    while data and self.parser is link.parser:
        inner = link.generator
        while getattr(inner, "gi_yieldfrom", None) is not None:
            inner = inner.gi_yieldfrom
        code = getattr(inner, "gi_code", None)
        if code is AT_EOF:
            return data
        missing = len(data)
        if code is READ_EXACT:
            missing = max(1, inner.gi_frame.f_locals["n"] - len(self.reader.buffer))
        _stock_receive_data(self, data[:missing])
        data = data[missing:]
    if data:
        _stock_receive_data(self, data)
    return b""


def serialize(self: Any, *, mask: bool, extensions: Sequence[Any] | None = None) -> bytes:
    """Serialize a WebSocket frame.

    Args:
        self: The frame.
        mask: Whether the frame should be masked i.e. whether the write
            happens on the client side.
        extensions: List of extensions, applied in order.

    Raises:
        ProtocolError: If the frame contains incorrect values.

    """
    if their_masks and mask:
        return _stock_serialize(self, mask=mask, extensions=extensions)
    opcode = self.opcode
    if (
        not (opcode is THEIR_TEXT or opcode is THEIR_BINARY)
        or self.rsv1
        or self.rsv2
        or self.rsv3
        or type(self) is not Frame
    ):
        self.check()
    if extensions:
        for extension in extensions:
            self = extension.encode(self)
        opcode = self.opcode
    data = self.data
    if isinstance(data, str):
        raise TypeError("a bytes-like object is required, not 'str'")
    key: bool | bytes
    if secrets.token_bytes is TOKEN_BYTES:
        key = bool(mask)
    else:
        key = secrets.token_bytes(4) if mask else False
    if not (self.rsv2 or self.rsv3):
        try:
            if self.fin and not self.rsv1:
                # A call with few keywords is much faster.
                return encode_frame(opcode, data) if key is False else encode_frame(opcode, data, mask=key)
            return encode_frame(opcode, data, fin=self.fin, rsv1=self.rsv1, mask=key)
        except ValueError:
            pass
    return _build(self, key)


_PROTOCOL_METHODS = frozenset({"send_text", "send_binary", "send_frame", "data_to_send"})
_SEND_TEXT, _SEND_BINARY = Protocol.send_text, Protocol.send_binary
_SEND_FRAME, _DATA_TO_SEND = Protocol.send_frame, Protocol.data_to_send


def sends_plainly(protocol: Any) -> bool:
    """Tell whether a protocol makes data frames as the library does, and nobody looks on."""
    kind = type(protocol)
    method = Frame.__dict__["serialize"]
    return (
        not protocol.debug
        and not getattr(protocol, "expect_continuation_frame", False)
        and kind.send_text is _SEND_TEXT
        and kind.send_binary is _SEND_BINARY
        and (kind.send_frame is _SEND_FRAME or kind.send_frame is send_frame)
        and kind.data_to_send is _DATA_TO_SEND
        and (method is serialize or method is _stock_serialize)
        and protocol.__dict__.keys().isdisjoint(_PROTOCOL_METHODS)
        and not (their_masks and protocol.side is not SERVER)
    )


def send_frame(self: Any, frame: Any) -> None:
    """Put a frame among what is to be sent, without looking at what ``Frame.serialize`` is."""
    if self.debug:
        self.logger.debug("> %s", frame)
    extensions = self.extensions
    self.writes.append(serialize(frame, mask=self.side is not SERVER, extensions=extensions))


def _build(frame: Any, key: bool | bytes) -> bytes:
    """Build a frame that RFC 6455 does not know: an extension's, which may use what is reserved."""
    data = bytes(frame.data)
    if key is True:
        key = secrets.token_bytes(4)
    first = (
        frame.opcode
        | (0x80 if frame.fin else 0)
        | (0x40 if frame.rsv1 else 0)
        | (0x20 if frame.rsv2 else 0)
        | (0x10 if frame.rsv3 else 0)
    )
    second = 0 if key is False else 0x80
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", first, second | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, second | 126, size)
    else:
        head = struct.pack("!BBQ", first, second | 127, size)
    return head + data if key is False else head + key + apply_mask(data, key)
