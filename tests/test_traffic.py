"""Decoders against captured streams: every stream of real peers decodes to what its sender meant."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from wsfast.frames import Frame
from wsfast.traffic import Stream, control_digest, digest, load

STREAMS = load()
UNMASKED = [stream for stream in STREAMS if stream.direction == "s2c"]
# A large stream in tiny chunks takes too long.
CHUNKED = [
    (stream, size)
    for stream in STREAMS
    for size in (1, 7, 1000, 65536, 1 << 30)
    if size >= 1000 or stream.wire_bytes < 200_000
]


def name(value: Stream | int) -> str:
    return value.name if isinstance(value, Stream) else f"{value}B"


@pytest.fixture(params=STREAMS, ids=name)
def stream(request: pytest.FixtureRequest) -> Stream:
    chosen: Stream = request.param
    return chosen


def chunks(wire: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(wire), size):
        yield wire[start : start + size]


def kinds(events: Iterable[object]) -> dict[str, int]:
    names: dict[type, str] = {str: "text", bytes: "binary"}
    count = Counter(
        event.opcode.name.lower() if isinstance(event, Frame) else names[type(event)] for event in events
    )
    return {kind: count[kind] for kind in ("text", "binary", "ping", "pong", "close")}


def check(stream: Stream, events: list[Any]) -> None:
    assert kinds(events) == stream.kinds
    assert digest(events) == stream.digest
    assert control_digest(events) == stream.control_digest


# --- wsfast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chunked", "size"), CHUNKED, ids=name)
def test_message_decoder(impl: Any, chunked: Stream, size: int) -> None:
    decoder = impl.MessageDecoder(chunked.role)
    events = [event for chunk in chunks(chunked.wire, size) for event in decoder.feed(chunk)]
    check(chunked, events)


@pytest.mark.parametrize("size", [1000, 65536])
def test_message_decoder_reads_into_its_buffer(impl: Any, stream: Stream, size: int) -> None:
    decoder = impl.MessageDecoder(stream.role)
    events = []
    position = 0
    while position < stream.wire_bytes:
        with decoder.get_buffer(-1) as view:
            length = min(size, len(view), stream.wire_bytes - position)
            view[:length] = stream.wire[position : position + length]
        events += decoder.buffer_updated(length)
        position += length
    check(stream, events)


@pytest.mark.parametrize("size", [1000, 65536])
def test_frame_decoder(impl: Any, stream: Stream, size: int) -> None:
    decoder = impl.FrameDecoder(stream.role)
    frames = [frame for chunk in chunks(stream.wire, size) for frame in decoder.feed(chunk)]
    check(stream, join(frames))


def join(frames: Iterable[Frame]) -> list[str | bytes | Frame]:
    """Put the fragments of messages together."""
    events: list[str | bytes | Frame] = []
    parts: list[Frame] = []
    for frame in frames:
        if frame.opcode >= 8:
            events.append(frame)
            continue
        parts.append(frame)
        if frame.fin:
            payload = b"".join(part.payload for part in parts)
            events.append(payload.decode() if parts[0].opcode == 1 else payload)
            parts = []
    return events


@pytest.mark.parametrize("unmasked", UNMASKED, ids=name)
def test_encode_frame_reproduces_unmasked_frames(impl: Any, unmasked: Stream) -> None:
    """Real servers and wsfast agree on every byte of a frame, so that the stream can be rebuilt."""
    frames = impl.FrameDecoder("client").feed(unmasked.wire)
    wire = b"".join(impl.encode_frame(frame.opcode, frame.payload, fin=frame.fin) for frame in frames)
    assert wire == unmasked.wire


# --- other decoders agree ---------------------------------------------------------------------------


def test_websockets_agrees(stream: Stream) -> None:
    frames = pytest.importorskip("websockets.frames")
    protocol = pytest.importorskip("websockets.protocol")
    side = protocol.Side.SERVER if stream.role == "server" else protocol.Side.CLIENT
    connection = protocol.Protocol(side, state=protocol.State.OPEN, max_size=None)
    connection.receive_data(stream.wire)
    events = connection.events_received()
    assert all(isinstance(event, frames.Frame) for event in events)
    check(stream, join(Frame(*(plain(event))) for event in events))


def plain(frame: Any) -> tuple[Any, bytes, bool]:
    from wsfast.frames import Opcode

    return Opcode(frame.opcode), bytes(frame.data), frame.fin


def test_wsproto_agrees(stream: Stream) -> None:
    wsproto_connection = pytest.importorskip("wsproto.connection")
    kind = wsproto_connection.ConnectionType
    connection = wsproto_connection.Connection(kind.SERVER if stream.role == "server" else kind.CLIENT)
    connection.receive_data(stream.wire)
    check(stream, list(from_wsproto(connection.events())))


def from_wsproto(events: Iterable[Any]) -> Iterator[str | bytes | Frame]:
    from wsproto.events import CloseConnection, Message, Ping, Pong

    from wsfast.frames import Opcode

    pieces: list[Any] = []
    for event in events:
        if isinstance(event, Message):
            pieces.append(event.data)
            if event.message_finished:
                yield "".join(pieces) if isinstance(event.data, str) else b"".join(map(bytes, pieces))
                pieces = []
        elif isinstance(event, Ping):
            yield Frame(Opcode.PING, bytes(event.payload))
        elif isinstance(event, Pong):
            yield Frame(Opcode.PONG, bytes(event.payload))
        elif isinstance(event, CloseConnection):
            yield Frame(Opcode.CLOSE, event.code.to_bytes(2, "big") + (event.reason or "").encode())


# --- the collection itself --------------------------------------------------------------------------


def test_collection_covers_peers_and_contents() -> None:
    by_peer = {(stream.peer, stream.direction) for stream in STREAMS}
    assert by_peer == {
        ("websockets", "c2s"),
        ("websockets", "s2c"),
        ("ws", "c2s"),
        ("ws", "s2c"),
        ("chromium", "c2s"),
    }
    directions: dict[str, set[str]] = {}
    for stream in STREAMS:
        directions.setdefault(stream.content, set()).add(stream.direction)
    assert all(found == {"c2s", "s2c"} for found in directions.values()), directions


def test_index_describes_the_stream(stream: Stream) -> None:
    assert len(stream.wire) == stream.wire_bytes
    assert stream.wire is stream.wire
    assert stream.name == f"{stream.peer}-{stream.content}-{stream.direction}"
    assert stream.messages == stream.kinds["text"] + stream.kinds["binary"]
    assert stream.payload_bytes < stream.wire_bytes


def test_load_by_name() -> None:
    names = ["ws-ticker-c2s", "chromium-chat-c2s"]
    assert [stream.name for stream in load(names)] == names
    with pytest.raises(ValueError, match="no captured stream is named 'ws-nothing-c2s'; there are chromium-"):
        load(["ws-nothing-c2s"])


def test_damaged_stream_is_refused() -> None:
    [stream] = load(["ws-ticker-c2s"])
    damaged = Stream(**{**vars(stream), "sha256": "0" * 64})
    with pytest.raises(ValueError, match="captured stream ws-ticker-c2s is damaged"):
        damaged.wire  # noqa: B018


def test_importing_wsfast_does_not_load_traffic() -> None:
    code = "import sys, wsfast; sys.exit('wsfast.traffic' in sys.modules or 'gzip' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
