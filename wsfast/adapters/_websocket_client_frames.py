"""The functions that take the place of those of ``websocket-client``; it must be installed.

:mod:`wsfast.adapters.websocket_client` puts them there, and tells what they keep to. They read from the
socket what the library would read, never a byte more: whoever waits for the socket with ``select()``, as
the library's own ``WebSocketApp`` does, must still see that a frame is there.
"""

from __future__ import annotations

import os
import socket
import sys
from types import MethodType
from typing import Any

from .._backend import Utf8Validator, apply_mask, decode_utf8, encode_frame, is_utf8
from .websocket_client import COUNTS

__all__ = [
    "Parts",
    "add",
    "bind",
    "format_frame",
    "mask",
    "receive",
    "receive_data_frame",
    "receive_frame",
    "receive_header",
    "receive_length",
    "send",
    "validate_text",
    "validate_whole_text",
]

_URANDOM = os.urandom

# Payloads up to this size come by recv(), as in the library; longer ones go into a buffer.
_SHORT = 1 << 14
# Room for a payload is given in advance up to this size; beyond it, in proportion to what has arrived.
_TRUST = 1 << 16
# A buffer of at most this size is kept for the next long payload.
_KEPT = 1 << 20

# Buffers for long payloads that are not in use; of the whole process, not of every connection.
_spare: list[bytearray] = []

_new = object.__new__

# ---- The library, as it is loaded now; see bind() ---------------------------------------------------

# What the library's functions look up when they run: its classes, and what somebody may have patched.
_core: dict[str, Any] = {}
_abnf: dict[str, Any] = {}
_WebSocket: Any = None
_ABNF: Any = None
_frame_buffer: Any = None
_continuous_frame: Any = None

_stock: dict[str, Any] = {}
# Parts of the library that the functions here do without, as long as nobody has replaced them.
_recv_frame: Any = None
_recv_data: Any = None
_send_frame: Any = None
_low_recv: Any = None
_low_send: Any = None
_socket_recv: Any = None
_socket_send: Any = None
_is_strict = False


def bind(strict: bool) -> None:
    """Take the library's classes and functions as they are now, before anything is replaced."""
    global _core, _abnf, _WebSocket, _ABNF, _frame_buffer, _continuous_frame, _is_strict
    global _recv_frame, _recv_data, _send_frame, _low_recv, _low_send, _socket_recv, _socket_send
    _core = vars(sys.modules["websocket._core"])
    _WebSocket, _ABNF = _core["WebSocket"], _core["ABNF"]
    _frame_buffer, _continuous_frame = _core["frame_buffer"], _core["continuous_frame"]
    _abnf = _continuous_frame.extract.__globals__
    _recv_frame, _recv_data = _WebSocket.recv_frame, _WebSocket.recv_data
    _send_frame = _WebSocket.send_frame
    _low_recv, _low_send = _WebSocket._recv, _WebSocket._send
    _socket_recv, _socket_send = _core["recv"], _core["send"]
    for owner, name in (
        (_WebSocket, "recv"),
        (_WebSocket, "recv_data_frame"),
        (_WebSocket, "send"),
        (_frame_buffer, "recv_frame"),
        (_frame_buffer, "recv_header"),
        (_frame_buffer, "recv_length"),
        (_continuous_frame, "add"),
        (_ABNF, "format"),
        (_ABNF, "mask"),
    ):
        function = getattr(owner, name)
        if getattr(function, "__module__", None) != __name__:
            _stock[f"{owner.__name__}.{name}"] = function
    _is_strict = strict


# ---- Reading ----------------------------------------------------------------------------------------


class _Replay:
    """A socket for the library's own code: its first answer is the one that a real socket has given."""

    def __init__(self, sock: Any, outcome: Any) -> None:
        self._sock = sock
        self._outcome = [outcome]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _answer(self) -> Any:
        outcome = self._outcome.pop()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def recv(self, size: int) -> Any:
        return self._answer() if self._outcome else self._sock.recv(size)

    def send(self, data: Any) -> Any:
        return self._answer() if self._outcome else self._sock.send(data)


def _retry(ws: Any, sock: Any, size: int, outcome: Any) -> Any:
    """Do what ``WebSocket._recv(size)`` does when a socket raises, or returns, ``outcome``."""
    try:
        return _socket_recv(_Replay(sock, outcome), size)
    except _core["WebSocketConnectionClosedException"]:
        if ws.sock:
            ws.sock.close()
        ws.sock = None
        ws.connected = False
        raise


def _receive(ws: Any, sock: Any, size: int) -> Any:
    """Receive 1 to ``size`` bytes, or what else the socket gives and the library lets pass."""
    try:
        data = sock.recv(size)
    except Exception as exc:
        data = _retry(ws, sock, size, exc)
    else:
        if type(data) is not bytes or not data:
            data = _retry(ws, sock, size, data)
    return data


def _is_socket(sock: Any) -> bool:
    """Tell whether this is Python's own socket, not something else with some of its methods."""
    kind = type(sock)
    return kind.__module__ in ("socket", "ssl") or kind is socket.socket


def _direct(fb: Any) -> Any:
    """Return the connection whose socket a frame buffer reads from, if it does so as the library does."""
    read = fb.recv
    if type(read) is MethodType and read.__func__ is _low_recv and _core["recv"] is _socket_recv:
        return read.__self__
    return None


def _read(fb: Any, ws: Any, as_text: bool) -> tuple[int, Any] | None:
    """Read a data frame, while the buffer's lock is held and nothing is in the buffer.

    Returns:
        The first byte, and the payload: ``bytes``; or a ``str`` if the frame is a text message,
        ``as_text``, and it is valid. ``None`` for another frame: what was read of it is in the buffer
        then, where the library's code finds it.

    """
    sock = ws.sock
    if not sock:
        return None
    # _receive(), spelled out where small messages pass.
    try:
        head = sock.recv(2)
    except Exception as exc:
        head = _retry(ws, sock, 2, exc)
    else:
        if type(head) is not bytes or not head:
            head = _retry(ws, sock, 2, head)
    if type(head) is not bytes or len(head) != 2:
        if isinstance(head, bytes):
            fb.recv_buffer = [head]
        else:
            _give_back(fb, head)
        return None
    first, size = head
    if first & 0x7F > 2 or size > 127:
        fb.recv_buffer = [head]
        return None
    if size > 125:
        width = 2 if size == 126 else 8
        shortest = 126 if size == 126 else 1 << 16
        fb.recv_buffer = [head]  # in case of an exception
        extended = _receive(ws, sock, width)
        if type(extended) is not bytes or len(extended) != width:
            if isinstance(extended, bytes):
                fb.recv_buffer = [head, extended]
            else:
                _give_back(fb, extended)
            return None
        size = int.from_bytes(extended, "big")
        if size >> 63 or (_is_strict and size < shortest):
            fb.recv_buffer = [head, extended]
            return None
        fb.recv_buffer = []
    if not size:
        return first, "" if as_text and first == 0x81 else b""
    if size > _SHORT and _is_socket(sock):
        return _read_long(fb, ws, sock, head, size, as_text and first == 0x81)
    try:
        payload = sock.recv(size if size <= _SHORT else _SHORT)
        if type(payload) is bytes and len(payload) == size:
            if as_text and first == 0x81:
                try:
                    return first, decode_utf8(payload)
                except UnicodeDecodeError:
                    pass
            return first, payload
    except BaseException as exc:  # raised again below, when the frame is where it can be found
        payload = exc
    pieces: list[bytes] = []
    try:
        got = 0
        if type(payload) is not bytes or not payload:
            payload = _retry(ws, sock, min(size, _SHORT), payload)
        while isinstance(payload, bytes):
            pieces.append(payload)
            got += len(payload)
            if got >= size:
                break
            payload = _receive(ws, sock, min(size - got, _SHORT))
    except BaseException:
        _keep(fb, head, size, pieces)
        raise
    if got != size:
        _keep(fb, head, size, pieces)
        _give_back(fb, payload)
        return None
    whole = b"".join(pieces)
    if as_text and first == 0x81:
        try:
            return first, decode_utf8(whole)
        except UnicodeDecodeError:
            pass
    return first, whole


def _give_back(fb: Any, answer: Any) -> None:
    """Have the library's code receive once more what is no ``bytes``, and do with it what it does."""
    read = fb.recv

    def once(size: int) -> Any:
        fb.recv = read
        return answer

    fb.recv = once


def _keep(fb: Any, head: bytes, size: int, pieces: list[bytes]) -> None:
    """Leave a frame whose payload has not arrived where the library's code goes on with it."""
    first = head[0]
    fb.header = (first >> 7, 0, 0, 0, first & 0x0F, 0, head[1])
    fb.length = size
    fb.mask_value = ""
    fb.recv_buffer = pieces


def _read_long(fb: Any, ws: Any, sock: Any, head: bytes, size: int, as_text: bool) -> tuple[int, Any]:
    """Read a payload that is worth a buffer."""
    try:
        buffer = _spare.pop()
    except IndexError:
        buffer = bytearray(min(size, _TRUST))
    room = len(buffer)
    got = 0
    try:
        while got < size:
            if got == room:
                buffer.extend(bytes(min(size - got, got)))
                room = len(buffer)
            end = min(room, size)
            with memoryview(buffer) as view, view[got:end] as free:
                try:
                    count = sock.recv_into(free)
                except Exception as exc:
                    data = _retry(ws, sock, min(end - got, _SHORT), exc)
                else:
                    if count:
                        got += count
                        continue
                    data = _retry(ws, sock, min(end - got, _SHORT), b"")
            # It had to be waited for.
            buffer[got : got + len(data)] = data
            got += len(data)
    except BaseException:
        _keep(fb, head, size, [bytes(buffer[:got])])
        raise
    with memoryview(buffer) as view, view[:size] as whole:
        payload: Any
        try:
            payload = decode_utf8(whole) if as_text else bytes(whole)
        except UnicodeDecodeError:
            payload = bytes(whole)
    if room <= _KEPT and not _spare:
        _spare.append(buffer)
    return head[0], payload


def _frame(first: int, payload: Any) -> Any:
    """Make what ``recv_frame()`` returns for a data frame."""
    frame = _new(_ABNF)
    frame.fin = first >> 7
    frame.rsv1 = frame.rsv2 = frame.rsv3 = 0
    frame.opcode = first & 0x0F
    frame.mask_value = 0
    frame.data = payload
    frame.get_mask_key = os.urandom
    return frame


def receive_frame(self: Any) -> Any:
    """Receive a frame: the place of ``frame_buffer.recv_frame``."""
    if type(self) is _frame_buffer and (ws := _direct(self)) is not None:
        with self.lock:
            if self.header is None and not self.recv_buffer:
                found = _read(self, ws, False)
                if found is not None:
                    COUNTS.fast += 1
                    return _frame(*found)
    frame = _stock["frame_buffer.recv_frame"](self)
    if frame.opcode <= 2:
        COUNTS.slow += 1
    return frame


def _is_plain(self: Any) -> bool:
    """Tell whether messages of a connection can be had without a call of ``recv_frame()``."""
    return (
        type(self).recv_frame is _recv_frame
        and "recv_frame" not in self.__dict__
        and type(self.frame_buffer) is _frame_buffer
        and type(self.cont_frame) is _continuous_frame
        and not _core["isEnabledForTrace"]()
    )


def _refuse(payload: bytes) -> None:
    """Raise what the library raises for text that is not UTF-8, if it is not for ``decode()`` to raise."""
    if not _abnf["validate_utf8"](payload):
        raise _abnf["WebSocketPayloadException"](f"cannot decode: {payload!r}")


def receive(self: Any) -> str | bytes:
    """Receive string data(byte array) from the server.

    Returns:
        data: string (byte array) value.

    """
    with self.readlock:
        kind = type(self)
        if (
            kind.recv_data_frame is receive_data_frame
            and kind.recv_data is _recv_data
            and _is_plain(self)
            and not ("recv_data" in self.__dict__ or "recv_data_frame" in self.__dict__)
        ):
            fb, cont = self.frame_buffer, self.cont_frame
            found = None
            if (ws := _direct(fb)) is not None and not cont.recving_frames and not cont.cont_data:
                with fb.lock:
                    if fb.header is None and not fb.recv_buffer:
                        found = _read(fb, ws, True)
            if found is not None:
                COUNTS.fast += 1
                first, payload = found
                if first == 0x82 or type(payload) is str:
                    return payload  # type: ignore[no-any-return]
                if first == 0x81:
                    if not (cont.skip_utf8_validation or cont.fire_cont_frame):
                        _refuse(payload)
                    return payload.decode("utf-8")  # type: ignore[no-any-return]  # raises
                opcode, frame = _go_on(self, _frame(first, payload), False)
                data = frame.data
            else:
                opcode, data = self.recv_data()
        else:
            opcode, data = self.recv_data()
    if opcode == 1:
        if isinstance(data, bytes):
            return decode_utf8(data)
        return data  # type: ignore[no-any-return]
    if opcode == 2:
        return data  # type: ignore[no-any-return]
    return ""


def receive_data_frame(self: Any, control_frame: bool = False) -> tuple[int, Any]:
    """Receive data with operation code.

    If a valid ping message is received, a pong response is sent.

    Parameters
    ----------
    control_frame: bool
        a boolean flag indicating whether to return control frame
        data, defaults to False

    Returns:
        frame.opcode, frame: tuple of operation code and string(byte array) value.

    """
    if _is_plain(self):
        fb, cont = self.frame_buffer, self.cont_frame
        found = None
        if (ws := _direct(fb)) is not None and not cont.recving_frames and not cont.cont_data:
            with fb.lock:
                if fb.header is None and not fb.recv_buffer:
                    found = _read(fb, ws, False)
        if found is not None:
            COUNTS.fast += 1
            first, payload = found
            frame = _frame(first, payload)
            if first == 0x82:
                return 2, frame
            if first == 0x81:
                if not (cont.skip_utf8_validation or cont.fire_cont_frame or is_utf8(payload)):
                    _refuse(payload)
                return 1, frame
            return _go_on(self, frame, control_frame)
    return _stock["WebSocket.recv_data_frame"](self, control_frame)  # type: ignore[no-any-return]


def _go_on(self: Any, frame: Any, control_frame: bool) -> tuple[int, Any]:
    """Go on with a message that begins, or should not begin, with a fragment."""
    cont = self.cont_frame
    cont.validate(frame)
    cont.add(frame)
    if cont.is_fire(frame):
        return cont.extract(frame)  # type: ignore[no-any-return]
    return _stock["WebSocket.recv_data_frame"](self, control_frame)  # type: ignore[no-any-return]


class Parts(list[Any]):
    """The opcode and payload of a message under way, as the library keeps them, but linear in time.

    Item 1 is ``bytes`` to whoever looks at it; what comes is added to a ``bytearray``.
    """

    __slots__ = ("payload",)

    def __init__(self, opcode: int, payload: bytes) -> None:
        super().__init__((opcode, b""))
        self.payload = bytearray(payload)

    def __getitem__(self, index: Any) -> Any:
        return bytes(self.payload) if index == 1 else super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if index == 1:
            self.payload = bytearray(value)
        else:
            super().__setitem__(index, value)


def add(self: Any, frame: Any) -> None:
    """Add a frame to the message under way: the place of ``continuous_frame.add``."""
    parts = self.cont_data
    data = frame.data
    if parts and type(data) is bytes:
        if type(parts) is not Parts and type(parts[1]) is bytes:
            self.cont_data = parts = Parts(*parts)
        if type(parts) is Parts:
            parts.payload += data
            if frame.fin:
                self.recving_frames = None
            return
    _stock["continuous_frame.add"](self, frame)


# ---- What strict adds -------------------------------------------------------------------------------


def receive_header(self: Any) -> None:
    """Receive the first two bytes of a frame, and refuse what RFC 6455 forbids."""
    _stock["frame_buffer.recv_header"](self)
    fin, rsv1, rsv2, rsv3, opcode, has_mask, length = self.header
    fault = None
    if has_mask:
        fault = "masked frame from the server"
    elif opcode >= 8 and not fin:
        fault = "fragmented control frame"
    elif opcode >= 8 and length > 125:
        fault = "control frame with a payload over 125 bytes"
    if fault:
        first = fin << 7 | rsv1 << 6 | rsv2 << 5 | rsv3 << 4 | opcode
        _put_back(self, bytes((first, has_mask << 7 | length)), fault)


def receive_length(self: Any) -> None:
    """Receive the length of a payload, and refuse it unless it is in its shortest form."""
    _stock["frame_buffer.recv_length"](self)
    fin, rsv1, rsv2, rsv3, opcode, has_mask, length = self.header
    size = self.length
    fault = None
    if size >> 63:
        fault = "payload length with its top bit set"
    elif length > 125 and size < (126 if length == 126 else 1 << 16):
        fault = "payload length that is not in its shortest form"
    if fault:
        first = fin << 7 | rsv1 << 6 | rsv2 << 5 | rsv3 << 4 | opcode
        head = bytes((first, has_mask << 7 | length)) + size.to_bytes(2 if length == 126 else 8, "big")
        _put_back(self, head, fault)


def _put_back(fb: Any, head: bytes, fault: str) -> None:
    """Refuse a frame, now and in every later call."""
    fb.clear()
    fb.recv_buffer = [head, *fb.recv_buffer]
    raise _abnf["WebSocketProtocolException"](fault)


# ---- Writing ----------------------------------------------------------------------------------------


def send(self: Any, payload: str | bytes, opcode: int = 1) -> int:
    """Send the data as string.

    Parameters
    ----------
    payload: str
        Payload must be utf-8 string or unicode,
        If the opcode is OPCODE_TEXT.
        Otherwise, it must be string(byte array).
    opcode: int
        Operation code (opcode) to send.

    """
    kind: Any = type(payload)
    if not (
        (opcode == 1 and (kind is str or kind is bytes))
        or (opcode == 2 and (kind is bytes or kind is bytearray))
    ) or not (
        type(opcode) is int
        and type(self).send_frame is _send_frame
        and not self.get_mask_key
        and "send_frame" not in self.__dict__
        and os.urandom is _URANDOM
        and _ABNF.format is format_frame
        and not _core["isEnabledForTrace"]()
    ):
        return _stock["WebSocket.send"](self, payload, opcode)  # type: ignore[no-any-return]
    data = encode_frame(opcode, payload, mask=True)
    COUNTS.fast += 1
    length = len(data)
    with self.lock:
        if (
            getattr(self, "dispatcher", None)  # not in 1.8
            or type(self)._send is not _low_send
            or "_send" in self.__dict__
            or _core["send"] is not _socket_send
            or not self.sock
        ):
            rest: Any = data
            while rest:
                rest = rest[self._send(rest) :]
            return length
        sock = self.sock
        try:
            sent = sock.send(data)
        except Exception as exc:
            sent = _socket_send(_Replay(sock, exc), data)
        if sent != length:
            _send_rest(self, data, sent)
    return length


def _send_rest(self: Any, data: bytes, sent: int) -> None:
    """Send what a socket did not take at once; without a copy of all the rest each time."""
    rest: Any = memoryview(data)[sent:] if _is_socket(self.sock) else data[sent:]
    while rest:
        rest = rest[self._send(rest) :]


def format_frame(self: Any) -> bytes:
    """Format this object to string(byte array) to send data to server."""
    data = self.data
    if (
        (type(data) is bytes or type(data) is bytearray)
        and self.get_mask_key is _URANDOM
        and self.mask_value == 1
        and self.fin in (0, 1)
        and self.opcode in (0, 1, 2, 8, 9, 10)
        and not (self.rsv1 or self.rsv2 or self.rsv3)
        and (self.opcode <= 2 or (self.fin and len(data) <= 125))
        and type(self.opcode) is int
    ):
        if self.opcode <= 2:
            COUNTS.fast += 1
        return encode_frame(self.opcode, data, fin=bool(self.fin), mask=True)
    if self.opcode in (0, 1, 2):
        COUNTS.slow += 1
    return _stock["ABNF.format"](self)  # type: ignore[no-any-return]


def mask(mask_key: Any, data: Any) -> bytes:
    """Mask or unmask data. Just do xor for each byte.

    Parameters
    ----------
    mask_key: bytes or str
        4 byte mask.
    data: bytes or str
        data to mask/unmask.

    """
    if type(data) is bytes and type(mask_key) is bytes and len(mask_key) == 4:
        return apply_mask(data, mask_key)
    return _stock["ABNF.mask"](mask_key, data)  # type: ignore[no-any-return]


# ---- UTF-8 ------------------------------------------------------------------------------------------


def validate_text(utfbytes: Any) -> bool:
    """Tell whether bytes are UTF-8, as the library does: text that ends inside a code point is."""
    return is_utf8(utfbytes) or Utf8Validator().feed(utfbytes)


def validate_whole_text(utfbytes: Any) -> bool:
    """Tell whether bytes are UTF-8."""
    return is_utf8(utfbytes)
