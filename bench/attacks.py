"""What a hostile or unlucky peer sends, and who has to put up with it: to measure memory and time with.

Every :class:`Attack` grows with a number ``n``. The streams are made by plain Python and zlib, lazily
where they are long: what is measured is the victim.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from connections import connection_class
from peers import READ_SIZE, reads_of
from texts import masked_frame

import wsfast

__all__ = ["ATTACKS", "IDLE", "LINEAR", "Attack", "Tally", "idle"]

MIB = 1024 * 1024
TINY_FRAME = b"\x00\x81\x01\x02\x03\x04\x60"
"""A masked continuation frame with one byte of payload, "a"."""
EMPTY_FRAME = b"\x00\x80\x01\x02\x03\x04"
LAST_FRAME = b"\x80\x80\x01\x02\x03\x04"
DEFLATE = "permessage-deflate"

Feed = Callable[[bytes], Iterable[Any]]


class Tally(Counter[str]):
    """Counts what came out: events by their class, and the messages' size as "size"."""

    def add(self, events: Iterable[Any]) -> None:
        for event in events:
            self[type(event).__name__] += 1
            if isinstance(event, (str, bytes)):
                self["size"] += len(event)


@dataclass(frozen=True)
class Attack:
    """A stream, and its victim.

    Attributes:
        victim: makes what is attacked from a backend; returns its function that takes a read.
        reads: the reads of a stream of size ``n``.
        outcome: what has to come out of it, as :class:`Tally` counts.
        n: the size to measure memory with.

    """

    victim: Callable[[Any], Feed]
    reads: Callable[[int], Iterable[bytes]]
    outcome: Callable[[int], dict[str, int]]
    n: int = 0

    def run(self, module: Any, reads: Iterable[bytes], watch: Callable[[], None] | None = None) -> Tally:
        """Feed ``reads`` to a new victim; call ``watch`` behind each when its events are gone."""
        tally = Tally()
        feed = self.victim(module)
        if watch is None:
            for read in reads:
                if events := feed(read):
                    tally.add(events)
            return tally
        for read in reads:
            tally.add(feed(read))
            watch()
        return tally


# --- victims ----------------------------------------------------------------------------------------


def message_decoder(max_size: int | None) -> Callable[[Any], Feed]:
    return lambda module: module.MessageDecoder("server", max_size=max_size).feed


def server(**options: Any) -> Callable[[Any], Feed]:
    """An open connection whose data_to_send() nobody ever calls."""
    return lambda module: connection_class(module).established("server", **options).receive_data


def waiting_server(module: Any) -> Feed:
    receive: Feed = connection_class(module)(
        "server", max_header_size=MIB, max_header_count=10**6
    ).receive_data
    return receive


def waiting_client(module: Any) -> Feed:
    client = connection_class(module)(
        "client", "ws://localhost/", max_header_size=MIB, max_header_count=10**6
    )
    receive: Feed = client.receive_data
    return receive


# --- streams ----------------------------------------------------------------------------------------


def in_reads(first: bytes, unit: bytes, count: int, last: bytes) -> Iterator[bytes]:
    """A stream of ``count`` equal frames between two others, in reads of 64 KiB."""
    each = READ_SIZE // len(unit)
    return chain([first], repeat(unit * each, count // each), [unit * (count % each)], [last])


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def fragments(n: int) -> Iterator[bytes]:
    """A message of ``n`` fragments of one byte."""
    return in_reads(b"\x01" + TINY_FRAME[1:], TINY_FRAME, n - 2, b"\x80" + TINY_FRAME[1:])


def empty_fragments(n: int) -> Iterator[bytes]:
    return in_reads(b"\x02" + EMPTY_FRAME[1:], EMPTY_FRAME, n - 2, LAST_FRAME)


def declared(length: int) -> list[bytes]:
    """The header of a frame of ``length`` bytes, and nothing after it."""
    return [b"\x82\xff" + length.to_bytes(8, "big") + b"\x01\x02\x03\x04"]


def zeros(n: int) -> bytes:
    """Return ``n`` zeros, compressed as far as DEFLATE goes, a thousandth."""
    piece = 8 * MIB
    compressor = zlib.compressobj(9, wbits=-15)
    parts = []
    if n > piece:
        # Each piece but the first gives the same, which saves most of the work.
        for _ in range(2):
            parts.append(compressor.compress(bytes(piece)) + compressor.flush(zlib.Z_SYNC_FLUSH))
        parts += parts[1:] * (n // piece - 2)
    parts.append(compressor.compress(bytes(n % piece if n > piece else n)))
    return b"".join([*parts, compressor.flush(zlib.Z_SYNC_FLUSH)])[:-4]


def bomb(n: int) -> list[bytes]:
    """A compressed message of ``n`` zeros, that is itself below the limit of 1 MiB."""
    payload = zeros(n)
    if len(payload) > MIB:
        raise ValueError(f"{len(payload)} bytes would be refused for their number")
    return reads_of(compressed_frame(payload))


def compressed_frame(payload: bytes) -> bytes:
    plain = masked_frame(payload, opcode=2)
    return bytes([plain[0] | 0x40]) + plain[1:]


def compressed_bytewise(n: int) -> list[bytes]:
    """A compressed message of about ``n`` bytes on the wire, of a text that compresses as texts do."""
    compressor = zlib.compressobj(wbits=-15)
    data = b"".join(b"%d times %x, " % (i, i * 2654435761 & 0xFFFFFFFF) for i in range(n // 8))
    payload = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return bytewise(compressed_frame(payload[:-4]))


PING = masked_frame(bytes(range(125)), opcode=9)


def request_head(n: int) -> bytes:
    """Build a good request whose head has ``n`` bytes, in fields of 512 bytes."""
    lines = [
        b"GET /chat HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    ]
    return filled_head(lines, n)


def filled_head(lines: list[bytes], n: int) -> bytes:
    """Fill a head up to ``n`` bytes."""
    head = b"".join(line + b"\r\n" for line in lines)
    while n - len(head) > 2 * 512:
        field = b"X-Filler-%d: " % len(head)
        head += field + b"x" * (510 - len(field)) + b"\r\n"
    return head + b"X-Last: " + b"x" * (n - len(head) - 12) + b"\r\n\r\n"


def refused_response(n: int) -> bytes:
    """Build an answer whose head has ``n`` bytes, and which is no handshake: its key is not known."""
    return filled_head([b"HTTP/1.1 404 Not Found", b"Content-Length: 0"], n)


def tiny_fields(n: int) -> bytes:
    """Build a request of ``n`` bytes or a few less, most of them in fields of 5 bytes."""
    head = request_head(1024)[:-2]
    return head + b"x:\r\n" * ((n - len(head) - 2) // 4) + b"\r\n"


# --- idle connections -------------------------------------------------------------------------------


def idle(module: Any, *, handshake: bool = False, deflate: bool = False, used: bool = False) -> Any:
    """Return a server's connection that waits for the next message.

    Args:
        module: the backend.
        handshake: whether it has been opened by a handshake, which it remembers, or was made open.
        deflate: whether messages are compressed, with the defaults.
        used: whether one message has gone each way before.

    """
    connection = connection_class(module)
    if handshake:
        server = connection("server", compression=wsfast.Deflate() if deflate else None)
        head = request_head(512)
        offer = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        server.receive_data(head[:-4] + offer if deflate else head)
        server.accept()
    else:
        server = connection.established("server", extensions=DEFLATE if deflate else "")
    if used:
        text = b'{"type":"match","symbol":"ETH-EUR","price":"1234.56"}' * 4
        payload = text
        if deflate:
            compressor = zlib.compressobj(wbits=-15)
            payload = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        frame = compressed_frame(payload) if deflate else masked_frame(payload, opcode=2)
        if server.receive_data(frame) != [text]:
            raise SystemExit("a message was lost")
        server.send_binary(text)
    return server


IDLE: dict[str, dict[str, bool]] = {
    "plain": {},
    "plain, used": {"used": True},
    "after a handshake": {"handshake": True},
    "deflate": {"deflate": True},
    "deflate, used": {"deflate": True, "used": True},
}

# --- all of them ------------------------------------------------------------------------------------

ATTACKS: dict[str, Attack] = {
    "nothing": Attack(message_decoder(MIB), lambda n: [b""], lambda n: {}),
    "fragments": Attack(message_decoder(4 * MIB), fragments, lambda n: {"str": 1, "size": n}, 10**6),
    "header-2^62": Attack(message_decoder(None), lambda n: declared(2**62), lambda n: {}),
    "header-limit": Attack(message_decoder(MIB), lambda n: declared(MIB), lambda n: {}),
    "connection-fragments": Attack(
        server(max_size=4 * MIB), fragments, lambda n: {"str": 1, "size": n}, 10**6
    ),
    "connection-empty-fragments": Attack(
        server(), empty_fragments, lambda n: {"bytes": 1, "size": 0}, 2 * 10**6
    ),
    "connection-bomb": Attack(server(extensions=DEFLATE), bomb, lambda n: {"Close": 1}, 10**9),
    "connection-pings": Attack(server(), lambda n: in_reads(b"", PING, n, b""), lambda n: {"Ping": n}, 10**6),
    "connection-pings-each": Attack(server(), lambda n: repeat(PING, n), lambda n: {"Ping": n}, 10**6),
    "connection-head": Attack(
        waiting_server, lambda n: bytewise(request_head(n)), lambda n: {"Request": 1}, 64 * 1024
    ),
    "connection-response-head": Attack(
        waiting_client, lambda n: bytewise(refused_response(n)), lambda n: {"Rejected": 1}, 64 * 1024
    ),
}
"""By the name that ``memory.py`` takes."""

LINEAR: dict[str, Attack] = {
    "fragments of one byte": ATTACKS["connection-fragments"],
    "empty fragments": ATTACKS["connection-empty-fragments"],
    "a binary message byte by byte": Attack(
        server(),
        lambda n: bytewise(masked_frame(bytes(n), opcode=2)),
        lambda n: {"bytes": 1, "size": n},
    ),
    "a text byte by byte": Attack(
        server(),
        lambda n: bytewise(masked_frame("\u5929".encode() * (n // 3))),
        lambda n: {"str": 1, "size": n // 3},
    ),
    "a request's head byte by byte": ATTACKS["connection-head"],
    "a response's head byte by byte": ATTACKS["connection-response-head"],
    "a request's head of tiny fields, at once": Attack(
        waiting_server, lambda n: [tiny_fields(n)], lambda n: {"Request": 1}
    ),
    "a compressed message byte by byte": Attack(
        server(extensions=DEFLATE), compressed_bytewise, lambda n: {"bytes": 1}
    ),
    "pings in reads of 64 KiB": ATTACKS["connection-pings"],
    "pings, each a read": ATTACKS["connection-pings-each"],
}
"""Work that has to grow in proportion to ``n``, by name."""
