"""What the wsproto drop-in sends, what it does better than the library, and how it comes and goes."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _fallback
from wsfast.adapters import wsproto as adapter

pytest.importorskip("wsproto")

from implementations import compiled_module
from installing import install
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message
from wsproto.utilities import LocalProtocolError
from wsproto_streams import (
    BINARY,
    CLIENT,
    CLOSE,
    CONT,
    OUT,
    PING,
    PONG,
    SERVER,
    TEXT,
    Packer,
    Xor,
    by_events,
    conversation,
    deflate,
    illegal,
    none,
    outcome,
    seen,
    wire,
)

from wsfast.adapters import _wsproto_frames as fast

SIDES = [pytest.param(SERVER, id="server"), pytest.param(CLIENT, id="client")]


pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs on both backends, and starts and ends uninstalled."""
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("apply_mask", "apply_mask_into", "decode_utf8", "encode_frame", "split_frames"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    adapter.HOST.counts.fast = adapter.HOST.counts.slow = 0
    yield
    wsfast.uninstall()


# ---- Out -------------------------------------------------------------------------------------------


def unmasked(frame: bytes) -> bytes:
    """A frame with the mask bit, and without the key."""
    if len(frame) < 2 or not frame[1] & 0x80:
        return frame
    head = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    key, payload = frame[head : head + 4], frame[head + 4 :]
    return frame[:head] + bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))


def sent(connection: Any, items: list[Any], method: str) -> list[Any]:
    history: list[Any] = []
    for event in items:
        try:
            if method == "send":
                data: Any = connection.send(event)
            elif isinstance(event, Message):
                data = connection._proto.send_data(event.data, event.message_finished)
            elif isinstance(event, CloseConnection):
                data = connection._proto.close(event.code, event.reason)
            else:
                data = getattr(connection._proto, type(event).__name__.lower())(event.payload)
        except (LocalProtocolError, TypeError, ValueError) as exc:
            history.append((type(exc), str(exc)))
        else:
            history.append((type(data), unmasked(data)))
    return history


@pytest.mark.parametrize("extensions", ["none", "deflate", "deflate without takeover", "xor", "xor, deflate"])
@pytest.mark.parametrize("method", ["send", "proto"])
@pytest.mark.parametrize("side", SIDES)
def test_sent(side: ConnectionType, method: str, extensions: str) -> None:
    def make() -> list[Any]:
        options: Any = {"client_no_context_takeover": True, "server_no_context_takeover": True}
        made: dict[str, list[Any]] = {
            "none": [],
            "deflate": [deflate()],
            "deflate without takeover": [deflate(**options)],
            "xor": [Xor()],
            "xor, deflate": [Xor(), deflate()],
        }
        return made[extensions]

    expected = sent(Connection(side, make()), OUT, method)
    with install("wsproto"):
        assert sent(Connection(side, make()), OUT, method) == expected


def test_masking_keys_differ() -> None:
    with install("wsproto"):
        connection = Connection(CLIENT)
        keys = {connection.send(BytesMessage(bytes(8)))[2:6] for _ in range(100)}
        keys |= {bytes(connection._proto.send_data(b"x", False))[2:6] for _ in range(100)}
    assert len(keys) == 200


# ---- What the drop-in does better ------------------------------------------------------------------

#: Faults of the library that it does not have, by the stream that shows them: what comes out with the
#: library alone, and with the drop-in; the payloads of data, and the codes of close events.
_PACKED = Packer()(b"Hello, Hello, Hello")
_FINAL = b"\xcb\x48\xcd\xc9\xc9\x07\x00"  # "hello", in a block with BFINAL
FIXED: dict[str, tuple[list[tuple[int, bytes, bool, int]], list[Any], list[Any]]] = {
    "a ping in a compressed message": (
        [(BINARY, _PACKED[:5], False, 4), (PING, b"", True, 0), (CONT, _PACKED[5:], True, 0)],
        [b"Hell", "ping", _PACKED[5:]],
        [b"Hell", "ping", b"o, Hello, Hello"],
    ),
    "a pong in a compressed message": (
        [(BINARY, _PACKED[:5], False, 4), (PONG, b"", True, 0), (CONT, _PACKED[5:], True, 0)],
        [b"Hell", "pong", _PACKED[5:]],
        [b"Hell", "pong", b"o, Hello, Hello"],
    ),
    "a message after BFINAL": (
        [(BINARY, _FINAL + b"\x00", True, 4), (BINARY, _PACKED, True, 4)],
        [b"hello", 1007],
        [b"hello", b"Hello, Hello, Hello"],
    ),
    "a message after BFINAL without the byte of padding": (
        [(BINARY, _FINAL, True, 4), (BINARY, _PACKED, True, 4)],
        [b"hello", 1007],
        [b"hello", b"Hello, Hello, Hello"],
    ),
    "BFINAL twice in a message": (
        [(BINARY, _FINAL + _FINAL + b"\x00", True, 4), (BINARY, _FINAL + b"\x00", True, 4)],
        [b"hello", 1007],
        [b"hellohello", b"hello"],
    ),
    "BFINAL in fragments": (
        [(BINARY, _FINAL, False, 4), (CONT, _FINAL + b"\x00", True, 0), (BINARY, _PACKED, True, 4)],
        [b"hello", b"", 1007],
        [b"hello", b"hello", b"Hello, Hello, Hello"],
    ),
    "BFINAL at the end of fragments": (
        [(BINARY, b"", False, 4), (CONT, _FINAL, True, 0), (BINARY, _PACKED, True, 4)],
        [b"", b"hello", 1007],
        [b"", b"hello", b"Hello, Hello, Hello"],
    ),
}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("side", SIDES)
def test_fixed(side: ConnectionType, name: str) -> None:
    frames, stock, ours = FIXED[name]
    assert outcome(side, frames) == stock
    for strict in (False, True):
        with install("wsproto", strict=strict):
            assert outcome(side, frames) == ours


@pytest.mark.parametrize("size", [300, 20_000, 32_768, 200_000, 1_000_000])
@pytest.mark.parametrize("random_data", [False, True])
def test_bfinal_keeps_the_window(size: int, random_data: bool, rng: random.Random) -> None:
    """What follows a block with BFINAL may refer to what was before it (RFC 7692 §7.2.3.4)."""
    history = rng.randbytes(size) if random_data else b"".join(b"%d," % number for number in range(size // 5))
    end = history[-20_000:]
    first = zlib.compressobj(wbits=-15)
    then = zlib.compressobj(wbits=-15, zdict=history[-32_768:])
    packed = first.compress(history) + first.flush(zlib.Z_FINISH)
    more = then.compress(end) + then.flush(zlib.Z_SYNC_FLUSH)
    again = (then.compress(end) + then.flush(zlib.Z_SYNC_FLUSH))[:-4]
    if random_data:
        assert len(again) < 500
    with install("wsproto"):
        # In a message of its own, and behind the block in the same message.
        frames = [(BINARY, packed + b"\x00", True, 4), (BINARY, more[:-4], True, 4), (BINARY, again, True, 4)]
        assert outcome(SERVER, frames) == [history, end, end]
        frames = [(BINARY, packed + more[:-4], True, 4), (BINARY, again, True, 4)]
        assert outcome(SERVER, frames) == [history + end, end]


def test_many_blocks_with_bfinal_take_linear_time() -> None:
    packed = b"\x03\x00" * 30_000
    with install("wsproto"):
        assert outcome(SERVER, [(BINARY, packed + b"\x00", True, 4), (TEXT, b"x", True, 0)]) == [b"", "x"]


# ---- strict ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_strict_accepts_the_registered_code(side: ConnectionType) -> None:
    frame = wire(side, CLOSE, b"\x03\xf6gateway")
    bad = wire(side, CLOSE, b"\x03\xf6\xff")

    def close(stream: bytes) -> Any:
        connection = Connection(side)
        connection.receive_data(stream)
        (event,) = connection.events()
        return event

    assert close(frame).code == 1002
    with install("wsproto"):
        assert close(frame).code == 1002
    with install("wsproto", strict=True):
        assert close(frame) == CloseConnection(1014, "gateway")
        assert close(bad).code == 1007
        assert close(wire(side, CLOSE, b"\x03\xf7")).code == 1002
        assert close(wire(side, CLOSE, b"\x03\xe8bye")) == CloseConnection(1000, "bye")
        assert close(wire(side, CLOSE)) == CloseConnection(1005, "")


@pytest.mark.parametrize("side", SIDES)
def test_strict_refuses_messages_cut_short(side: ConnectionType) -> None:
    packed = Packer()(b"Hello" * 3 + bytes(range(100)))
    packed = packed[: max(at for at in range(1, len(packed)) if packed[at - 1] > 0x1F)]
    frames = [(BINARY, packed, True, 4), (TEXT, b"behind", True, 0)]
    stock = outcome(side, frames)
    assert stock[-1] == "behind"
    with install("wsproto"):
        assert outcome(side, frames) == stock
    with install("wsproto", strict=True):
        assert outcome(side, frames) == [1007]


@pytest.mark.parametrize("side", SIDES)
def test_strict_otherwise_does_the_same(side: ConnectionType) -> None:
    streams = [[conversation(side, None)]]
    streams += [[bad] for name, bad in illegal(side).items() if name != "close 1014"]
    expected = [by_events(side, [], pieces) for pieces in streams]
    with install("wsproto", strict=True):
        assert [by_events(side, [], pieces) for pieces in streams] == expected


# ---- Installing ------------------------------------------------------------------------------------


def attributes() -> dict[str, Any]:
    from wsproto import connection, extensions, frame_protocol

    classes: list[Any] = [
        frame_protocol.FrameProtocol,
        frame_protocol.XorMaskerSimple,
        extensions.PerMessageDeflate,
        connection.Connection,
    ]
    found: dict[str, Any] = {}
    for module in (connection, extensions, frame_protocol):
        found.update({f"{module.__name__}.{name}": value for name, value in vars(module).items()})
    for cls in classes:
        found.update({f"{cls.__name__}.{name}": value for name, value in vars(cls).items()})
    return found


@pytest.mark.parametrize("strict", [False, True])
def test_uninstalling_puts_back_the_same_objects(strict: bool) -> None:
    before = attributes()
    with install("wsproto", strict=strict):
        during = attributes()
        replaced = {name for name in before if during[name] is not before[name]}
        assert replaced == {
            *(
                "FrameProtocol._parse_more_gen",
                "FrameProtocol.receive_bytes",
                "FrameProtocol._serialize_frame",
            ),
            *("Connection.send", "Connection.events", "XorMaskerSimple.process"),
            *("PerMessageDeflate.frame_inbound_header", "PerMessageDeflate.frame_inbound_complete"),
            *(["FrameProtocol._process_close"] if strict else []),
        }
    after = attributes()
    assert before.keys() == after.keys()
    assert all(after[name] is value for name, value in before.items())


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_open_connections(side: ConnectionType, compressed: bool) -> None:
    """At every point of a conversation wsfast may come and go."""
    stream = conversation(side, Packer() if compressed else None)
    make: Callable[[], list[Any]] = (lambda: [deflate()]) if compressed else none

    def messages(pieces: list[bytes], between: Callable[[], object], early: bool) -> list[Any]:
        """The messages, put together, and the types of other events."""
        connection = Connection(side, make())
        found: list[Any] = []
        parts: list[Any] = []
        for number, piece in enumerate(pieces):
            if number:
                between()
            connection.receive_data(piece)
            if number == 0 and not early:
                continue
            for event in connection.events():
                if not isinstance(event, Message):
                    found.append(seen(event))
                    continue
                parts.append(event.data)
                if event.message_finished:
                    found.append(type(event.data)().join(parts))
                    parts = []
        return found

    expected = messages([stream], lambda: None, True)
    assert len(expected) == (17 if compressed else 10)
    for early in (False, True):
        for at in range(1, len(stream), 3):
            pieces = [stream[:at], stream[at:]]
            assert messages(pieces, lambda: install("wsproto"), early) == expected
            assert messages(pieces, wsfast.uninstall, early) == expected


def test_after_a_reload(run_python: Any) -> None:
    """A library that was loaded anew can be adapted anew. (Its own old connections do not survive that.)"""
    program = f"""
import importlib, wsfast
import wsproto.frame_protocol as f, wsproto.extensions as x, wsproto.connection as c
def talk(module, a, b):
    b.receive_data(a.send(module.TextMessage("first")) + a.send(module.BytesMessage(b"second")))
    return [event.data for event in b.events()]
import wsproto.events as e
wsfast.install("wsproto", force={wsfast.backend == "python"})
old = [c.Connection(kind) for kind in c.ConnectionType]
assert talk(e, *old) == ["first", b"second"]
for module in (f, x, c):
    importlib.reload(module)
assert not hasattr(c.Connection(c.SERVER)._proto, "_wsfast")
wsfast.install("wsproto", force={wsfast.backend == "python"})
new = [c.Connection(kind) for kind in c.ConnectionType]
assert all(hasattr(one._proto, "_wsfast") for one in new)
assert talk(e, *new) == ["first", b"second"]
from wsfast.adapters import counts
before = counts("wsproto").fast
talk(e, *new)
assert counts("wsproto").fast == before + 4
wsfast.uninstall()
assert not hasattr(c.Connection(c.SERVER)._proto, "_wsfast")
assert talk(e, *new) == ["first", b"second"]
"""
    run_python(program, WSFAST_EXTENSION="0" if wsfast.backend == "python" else "1")
