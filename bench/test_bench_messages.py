"""From bytes on the wire to messages: captured traffic and made-up frames, in reads of 64 KiB."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import texts
from measure import Side, Timed, size_name
from peers import READ_SIZE, Decoder, decoders, reads_of, wsfast_decoder

from wsfast.traffic import digest, load

DECODERS = decoders()
STREAMS = {
    stream.name: stream
    for stream in load(
        [
            *("websockets-ticker-c2s", "ws-ticker-s2c", "chromium-chat-c2s", "websockets-chat-s2c"),
            *("ws-chat-ascii-16k-c2s", "websockets-chat-cyrillic-16k-c2s", "chromium-chat-cjk-16k-c2s"),
            *("ws-chat-mixed-16k-c2s", "chromium-json-4k-c2s", "ws-json-64k-c2s"),
            *("websockets-binary-1m-c2s", "chromium-binary-1m-c2s"),
        ]
    )
}
MADE = {f"64 B {kind}": (kind, 64) for kind in ("ascii",)} | {
    f"{size_name(size)} {kind}": (kind, size)
    for kind, size in [
        *(("ascii", 4 * 1024), ("ascii", 16 * 1024), ("ascii", 1024 * 1024)),
        *(("cyrillic", 16 * 1024), ("cjk", 16 * 1024), ("mixed", 16 * 1024)),
    ]
}
CLOSE_FRAME = {"server": 12, "client": 8}
"""Bytes of the close frame that ends each captured stream, by the role that reads it."""


@cache
def work(name: str) -> tuple[str, list[bytes], int, int, str]:
    """Return the role, the reads, the number of messages in them, their payload bytes and their digest.

    A captured stream is repeated to fill a few reads, without its close frame, so that a connection
    can go on reading it.
    """
    if name in STREAMS:
        stream = STREAMS[name]
        times = max(1, 4 * READ_SIZE // stream.wire_bytes)
        wire = stream.wire[: -CLOSE_FRAME[stream.role]] * times
        [expected] = [digest_of_repeated(name, times)]
        return stream.role, reads_of(wire), stream.messages * times, stream.payload_bytes * times, expected
    kind, size = MADE[name]
    messages = texts.messages(kind, size, max(2, 4 * READ_SIZE // size))
    wire = texts.wire_of(messages)
    return "server", reads_of(wire), len(messages), size * len(messages), digest(messages)


def digest_of_repeated(name: str, times: int) -> str:
    """Digest the captured messages, ``times`` over, once they are known to be right."""
    from wsfast import _fallback

    stream = STREAMS[name]
    messages = _fallback.MessageDecoder(stream.role).feed(stream.wire)
    assert digest(messages) == stream.digest
    return digest(messages * times)


def side_of(decoder: Decoder, name: str) -> tuple[Side, int]:
    role, reads, count, payload_bytes, expected = work(name)
    feed = decoder.start(role)
    # Twice: the timed loop goes on with the same connection.
    for _ in range(2):
        assert digest([message for read in reads for message in decoder.messages(feed(read))]) == expected
    side = Side(str(decoder), "for read in reads: feed(read)", {"reads": reads, "feed": feed}, count)
    return side, payload_bytes // count


@pytest.mark.parametrize("name", [*STREAMS, *MADE])
def test_wsfast(timed: Timed, backend: Any, name: str) -> None:
    side, payload_bytes = side_of(wsfast_decoder(backend, f"wsfast {backend.isa}", version=""), name)
    timed(f"messages, {name}", side, payload_bytes=payload_bytes)


@pytest.mark.parametrize("name", [*STREAMS, *MADE])
@pytest.mark.parametrize("peer", DECODERS)
def test_peer(timed: Timed, peer: str, name: str) -> None:
    if peer == "picows" and work(name)[0] != "server":
        pytest.skip("the adapter for picows plays the server only")
    side, payload_bytes = side_of(DECODERS[peer], name)
    timed(f"messages, {name}", side, payload_bytes=payload_bytes)
