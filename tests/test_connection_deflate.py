"""permessage-deflate in a Connection, and prepared messages (RFC 7692)."""

from __future__ import annotations

import json
import sys
import zlib
from typing import Any

import pytest
from implementations import Implementation
from streams import frame

import wsfast
from wsfast import Close, Deflate, Ping, PreparedMessage, ProtocolError, Request, Response

LONG = json.dumps([{"id": i, "name": f"größe {i % 7}", "on": i % 3 == 0} for i in range(200)])
EXTENSION = "permessage-deflate"


def opened(impl: Implementation, client: Deflate | None, server: Deflate | None) -> tuple[Any, Any]:
    one = impl.Connection("client", "ws://example.com/", compression=client)
    other = impl.Connection("server", compression=server)
    (request,) = other.receive_data(one.data_to_send())
    assert type(request) is Request
    (response,) = one.receive_data(other.accept())
    assert type(response) is Response
    return one, other


def compressed(data: bytes) -> bool:
    return data[0] & 0x40 != 0


def deflated(data: bytes) -> bytes:
    """By zlib alone: a message of its own."""
    context = zlib.compressobj(wbits=-15)
    return (context.compress(data) + context.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("client", "server", "agreed"),
    [
        (None, None, None),
        (Deflate(), None, None),
        (None, Deflate(), None),
        (Deflate(), Deflate(), (False, False)),
        (Deflate(server_no_context_takeover=True), Deflate(), (True, False)),
        (Deflate(client_no_context_takeover=True), Deflate(), (False, True)),
        (Deflate(), Deflate(server_no_context_takeover=True, client_no_context_takeover=True), (True, True)),
        (Deflate(server_max_window_bits=9, client_max_window_bits=8), Deflate(), (False, False)),
    ],
)
def test_both_ways(
    impl: Implementation, client: Deflate | None, server: Deflate | None, agreed: tuple[bool, bool] | None
) -> None:
    pair = opened(impl, client, server)
    for connection in pair:
        deflate = connection.deflate
        if agreed is None:
            assert deflate is None
        else:
            assert (deflate.server_no_context_takeover, deflate.client_no_context_takeover) == agreed
    for sender, receiver in (pair, pair[::-1]):
        sizes = []
        for message in (LONG, LONG.encode(), "short", LONG, b"", LONG):
            data = sender.send_message(message)
            sizes.append(len(data))
            assert compressed(data) == (agreed is not None and len(message) > 100)
            assert receiver.receive_data(data) == [message]
        if agreed is not None:
            assert sizes[0] < len(LONG.encode()) / 5


def test_choice_by_message(impl: Implementation) -> None:
    client, server = opened(impl, Deflate(threshold=64), Deflate())
    for text, choice, expected in (
        ("x" * 63, None, False),
        ("x" * 64, None, True),
        ("é" * 32, None, True),
        ("", True, True),
        ("x", True, True),
        (LONG, False, False),
        (LONG, None, True),
    ):
        for send, message in ((client.send_text, text), (client.send_binary, text.encode())):
            data = send(message, compress=choice)
            assert compressed(data) == expected
            assert server.receive_data(data) == [message]


def test_without_agreement_nothing_is_compressed(impl: Implementation) -> None:
    server = impl.Connection.established("server")
    assert server.send_text("x" * 200, compress=True) == b"\x81\x7e\x00\xc8" + b"x" * 200


def test_fragments(impl: Implementation) -> None:
    client, server = opened(impl, Deflate(), Deflate())
    for choice in (None, True, False):
        data = [client.send_text("ab", fin=False, compress=choice)]
        data.append(client.ping(b"p"))
        data.append(client.send_text("", fin=False))
        data.append(client.send_text(LONG))
        assert [d[0] for d in data] == [0x01 if choice is False else 0x41, 0x89, 0, 0x80]
        assert server.receive_data(b"".join(data)) == [Ping(b"p"), "ab" + LONG]
        assert server.receive_data(client.send_text(LONG)) == [LONG]


def test_every_split(impl: Implementation) -> None:
    payload = deflated("größer ".encode() * 9)
    stream = b"".join(
        [
            frame(1, payload[:9], fin=False, rsv=4),
            frame(9, b""),
            frame(0, payload[9:12], fin=False),
            frame(0, b"", fin=False),
            frame(0, payload[12:]),
            frame(2, b"plain"),
            frame(1, b"\x00", rsv=4),
            frame(2, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv=4),  # BFINAL set, RFC 7692 §7.2.3.4
            frame(1, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4),  # §7.2.3.1
        ]
    )
    expected = [Ping(b""), "größer " * 9, b"plain", "", b"Hello", "Hello"]
    for cut in range(len(stream)):
        server = impl.Connection.established("server", extensions=EXTENSION)
        assert server.receive_data(stream[:cut]) + server.receive_data(stream[cut:]) == expected
    server = impl.Connection.established("server", extensions=EXTENSION)
    assert [event for byte in stream for event in server.receive_data(bytes([byte]))] == expected


@pytest.mark.parametrize(
    ("wire", "code", "reason"),
    [
        (frame(1, b"\xff\xff", rsv=4), 1002, "compressed message is not DEFLATE: "),
        (
            frame(2, deflated(bytes(101)), rsv=4),
            1009,
            "message too big: it inflates to more than",
        ),
        (frame(1, deflated(b"ab\xffcd"), rsv=4), 1007, "text message is not UTF-8: byte 0xFF at index 2 "),
        (
            frame(1, deflated(b"ab\xe2"), rsv=4),
            1007,
            "text message is not UTF-8: it ends inside a code point",
        ),
        (frame(9, b"", rsv=4), 1002, "RSV1 set on a ping frame (RFC 7692 §6.1)"),
        (
            frame(2, bytes(1150), rsv=4),
            1009,
            "message too big: a frame of 1150 bytes",
        ),
    ],
    ids=["garbage", "too-big", "utf8", "utf8-end", "ping", "frame-too-big"],
)
def test_faults(impl: Implementation, wire: bytes, code: int, reason: str) -> None:
    server = impl.Connection.established("server", extensions=EXTENSION, max_size=100)
    message, event = server.receive_data(frame(1, b"ok") + wire)
    assert message == "ok"
    assert type(event) is Close
    assert event.code == code
    assert event.reason.startswith(reason)
    assert type(event.error) is ProtocolError
    assert server.data_to_send()[2:4] == code.to_bytes(2, "big")


def test_established(impl: Implementation) -> None:
    extensions = "permessage-deflate; server_no_context_takeover; client_max_window_bits=10"
    client = impl.Connection.established("client", extensions=extensions)
    server = impl.Connection.established("server", extensions=extensions, compression=Deflate(threshold=0))
    assert str(client.deflate) == str(server.deflate) == extensions
    for _ in range(3):
        data = server.send_text("tiny")
        assert compressed(data)
        assert client.receive_data(data) == ["tiny"]
        assert server.receive_data(client.send_text(LONG)) == [LONG]
    with pytest.raises(ValueError, match=r"^extensions cannot be 'permessage-inflate': server accepted"):
        impl.Connection.established("client", extensions="permessage-inflate")


@pytest.mark.parametrize("takeover", [True, False])
def test_prepared(impl: Implementation, takeover: bool) -> None:
    options = Deflate(server_no_context_takeover=not takeover)
    pairs = [opened(impl, options, options), opened(impl, options, options), opened(impl, None, None)]
    pairs.append(opened(impl, Deflate(server_max_window_bits=9), Deflate()))
    for data in (LONG, LONG.encode(), "tiny", b""):
        message = PreparedMessage(data)
        assert message.data == data
        frames = []
        for client, server in pairs:
            for _ in range(2):
                # What is compressed before and after it must not mix with it.
                assert client.receive_data(server.send_text(LONG + "1")) == [LONG + "1"]
                sent = server.send_prepared(message)
                frames.append(sent)
                assert client.receive_data(sent) == [data]
            assert server.receive_data(client.send_prepared(message)) == [data]
        expected = 3 if len(data) > 100 else 1
        assert len(set(frames)) == expected
        if sys.implementation.name != "pypy":  # it keeps the bytes of a list without their objects
            assert len({id(sent) for sent in frames}) == expected


def test_prepared_choice(impl: Implementation) -> None:
    client, server = opened(impl, Deflate(), Deflate())
    for data, choice, expected in ((LONG, False, False), ("x", True, True), ("x", None, False)):
        sent = server.send_prepared(PreparedMessage(data, compress=choice))
        assert compressed(sent) == expected
        assert client.receive_data(sent) == [data]
        assert compressed(client.send_prepared(PreparedMessage(data, compress=choice))) == expected


def test_prepared_arguments() -> None:
    source = bytearray(b"abc")
    message = PreparedMessage(source)
    source[:] = b"xyz"
    assert message.data == b"abc"
    assert wsfast.Connection.established("server").send_prepared(message) == b"\x82\x03abc"
    for data in (None, 3, ["x"]):
        with pytest.raises(TypeError, match=r"^data must be a str or a bytes-like object, not "):
            PreparedMessage(data)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        PreparedMessage("\ud800")
