"""wsfast.Connection: states, the closing handshake, what answers by itself, and misuse."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from handshakes import ACCEPT, GOOD, KEY
from implementations import Implementation
from streams import frame

import wsfast
from wsfast import (
    Close,
    HandshakeError,
    InvalidState,
    Ping,
    Pong,
    ProtocolError,
    Rejected,
    Request,
    Response,
    State,
)

RESPONSE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()

# The peer of a server masks its frames, that of a client does not.
MASKED = {"server": True, "client": False}


def established(impl: Implementation, role: str = "server", **options: Any) -> Any:
    return impl.Connection.established(role, **options)


def pair(impl: Implementation, **options: Any) -> tuple[Any, Any]:
    return established(impl, "client", **options), established(impl, "server", **options)


def coded(code: int) -> bytes:
    return code.to_bytes(2, "big")


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """The frames in `data`, as first byte and payload."""
    found = []
    while data:
        header = wsfast.parse_header(data)
        assert header is not None
        end = header.size + header.length
        assert len(data) >= end
        payload = data[header.size : end]
        found.append((data[0], wsfast.apply_mask(payload, header.mask) if header.masked else payload))
        data = data[end:]
    return found


# ---- Messages --------------------------------------------------------------------------------------

MESSAGES = ["", "x", "größer", "天地" * 50, "x" * 70_000, b"", b"\xff", bytes(200), bytes(70_000)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{type(message).__name__}-{len(message)}")
def test_messages_both_ways(impl: Implementation, message: str | bytes) -> None:
    client, server = pair(impl)
    for sender, receiver in ((client, server), (server, client)):
        send = sender.send_text if isinstance(message, str) else sender.send_binary
        for data in (send(message), sender.send_message(message)):
            assert (data[1] >= 0x80) == (sender is client)
            assert receiver.receive_data(data) == [message]
            assert [receiver.receive_data(data[i : i + 9999]) for i in range(0, len(data), 9999)][-1] == [
                message
            ]
        assert sender.data_to_send() == receiver.data_to_send() == b""


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(data)[::-1]])
def test_buffers(impl: Implementation, kind: Callable[[bytes], Any]) -> None:
    client, server = pair(impl)
    data = kind(b"abc")
    for sent in (client.send_binary(data), client.send_message(data)):
        assert server.receive_data(sent) == [bytes(data)]


def test_pinned_frames(impl: Implementation) -> None:
    """Those of RFC 6455 §5.7."""
    server = established(impl)
    assert server.send_text("Hello") == b"\x81\x05Hello"
    assert server.send_text("Hel", fin=False) == b"\x01\x03Hel"
    assert server.send_text("lo") == b"\x80\x02lo"
    assert server.ping(b"Hello") == b"\x89\x05Hello"
    assert server.pong("Hello") == b"\x8a\x05Hello"
    assert server.send_binary(bytes(256)) == b"\x82\x7e\x01\x00" + bytes(256)
    assert server.close(1000, "bye") == b"\x88\x05\x03\xe8bye"
    assert established(impl).close(None) == b"\x88\x00"
    assert server.receive_data(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58") == ["Hello"]


@pytest.mark.parametrize("send", ["text", "binary", "message"])
def test_fragments(impl: Implementation, send: str) -> None:
    client, server = pair(impl)
    parts: list[Any] = [b"ab", b"", b"cd", b"e"] if send == "binary" else ["ab", "", "cd", "é"]
    function = getattr(client, f"send_{send}")
    sent = [function(part, fin=i == 3) for i, part in enumerate(parts)]
    sent.insert(2, client.ping(b"between"))
    kind = 2 if send == "binary" else 1
    assert [unmasked(data)[0][0] for data in sent] == [kind, 0, 0x89, 0, 0x80]
    assert server.receive_data(b"".join(sent)) == [Ping(b"between"), parts[0][:0].join(parts)]
    assert server.receive_data(client.send_text("whole")) == ["whole"]


def test_one_fragmented_message_at_a_time(impl: Implementation) -> None:
    server = established(impl)
    server.send_text("a", fin=False)
    message = "a fragmented text message is under way: send_text() sends the rest of it (RFC 6455 §5.4)"
    prepared = wsfast.PreparedMessage("x")
    calls: list[Callable[[], bytes]] = [
        lambda: server.send_binary(b"b"),
        lambda: server.send_message(b"b", fin=False),
        lambda: server.send_prepared(prepared),
    ]
    for call in calls:
        with pytest.raises(InvalidState) as caught:
            call()
        assert str(caught.value) == message
    assert server.send_message("b") == b"\x80\x01b"
    assert server.send_binary(b"c", fin=False) == b"\x02\x01c"
    with pytest.raises(InvalidState, match=r"^a fragmented binary message is under way: send_binary\(\) "):
        server.send_text("x")
    assert server.send_binary(b"") == b"\x80\x00"
    assert server.send_prepared(prepared) == b"\x81\x01x"


# ---- Ping and pong (RFC 6455 §5.5.2, §5.5.3) -------------------------------------------------------


def pings(*payloads: bytes) -> bytes:
    return b"".join(frame(9, payload) for payload in payloads)


def test_pongs_of_one_read(impl: Implementation) -> None:
    server = established(impl)
    assert server.receive_data(pings(b"1", b"", b"2" * 125)) == [Ping(b"1"), Ping(b""), Ping(b"2" * 125)]
    assert server.data_to_send() == b"\x8a\x011\x8a\x00\x8a\x7d" + b"2" * 125
    assert server.data_to_send() == b""


def test_only_the_newest_ping_is_answered_when_nobody_came(impl: Implementation) -> None:
    server = established(impl)
    for i in range(1000):
        assert server.receive_data(pings(b"%d" % i, b"%d'" % i)) == [Ping(b"%d" % i), Ping(b"%d'" % i)]
    assert server.data_to_send() == b"\x8a\x03999\x8a\x04999'"
    server.receive_data(pings(*[b"%03d" % i for i in range(1000)]))
    pongs = unmasked(server.data_to_send())
    assert pongs == [(0x8A, b"%03d" % i) for i in range(1000 - 64, 1000)]


def test_pongs_go_before_the_next_message(impl: Implementation) -> None:
    sends: list[tuple[Callable[[Any], bytes], bytes]] = [
        (lambda c: c.send_text("m"), b"\x81\x01m"),
        (lambda c: c.send_binary(b"m"), b"\x82\x01m"),
        (lambda c: c.send_message("m", fin=False), b"\x01\x01m"),
        (lambda c: c.send_prepared(wsfast.PreparedMessage("m")), b"\x81\x01m"),
        (lambda c: c.close(), b"\x88\x02\x03\xe8"),
    ]
    for send, sent in sends:
        server = established(impl)
        server.receive_data(pings(b"1", b"2"))
        assert send(server) == b"\x8a\x011\x8a\x012" + sent
        assert server.data_to_send() == b""
    server = established(impl)
    server.receive_data(pings(b"1"))
    server.send_text("x")
    assert server.send_text("y") == b"\x81\x01y"
    server.receive_data(pings(b"1"))
    assert server.data_to_send() == b"\x8a\x011"
    assert server.send_text("z") == b"\x81\x01z"


def test_a_wrong_argument_loses_no_pong(impl: Implementation) -> None:
    server = established(impl)
    server.receive_data(pings(b"1"))
    calls: list[Callable[[], bytes]] = [
        lambda: server.send_text(b"x"),
        lambda: server.send_text("\ud800"),
        lambda: server.close(0),
        lambda: server.ping(bytes(126)),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)):
            call()
    assert server.data_to_send() == b"\x8a\x011"


def test_pongs_received(impl: Implementation) -> None:
    client = established(impl, "client")
    assert client.receive_data(b"\x8a\x00\x8a\x02hi") == [Pong(b""), Pong(b"hi")]
    assert client.data_to_send() == b""


# ---- The closing handshake (RFC 6455 §7) -----------------------------------------------------------


def summary(connection: Any) -> tuple[Any, ...]:
    return (
        connection.state.name,
        connection.close_code,
        connection.close_reason,
        connection.should_close,
        connection.close_sent and connection.close_sent.code,
        connection.close_received and connection.close_received.code,
    )


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize(
    ("payload", "code", "reason", "answer"),
    [
        (b"", 1005, "", b""),
        (b"\x03\xe8", 1000, "", b"\x03\xe8"),
        (b"\x03\xe9going", 1001, "going", b"\x03\xe9"),
        (b"\x0b\xb8" + "größe".encode(), 3000, "größe", b"\x0b\xb8"),
        (b"\x13\x87" + b"x" * 123, 4999, "x" * 123, b"\x13\x87"),
    ],
)
def test_closed_by_the_peer(
    impl: Implementation, role: str, payload: bytes, code: int, reason: str, answer: bytes
) -> None:
    connection = established(impl, role)
    assert summary(connection) == ("OPEN", None, None, False, None, None)
    stream = frame(1, b"last", mask=MASKED[role]) + frame(8, payload, mask=MASKED[role])
    assert connection.receive_data(stream + b"\xff\xff anything") == ["last", Close(code, reason)]
    assert summary(connection) == ("CLOSING", code, reason, role == "server", code, code)
    # What came before the close frame can be answered.
    assert unmasked(connection.send_text("answer")) == [(0x81, b"answer")]
    assert unmasked(connection.data_to_send()) == [(0x88, answer)]
    assert connection.receive_data(b"\xff\xff") == []
    assert connection.close() == b""
    with pytest.raises(InvalidState, match=r"^cannot send a message: the connection is closing$"):
        connection.send_text("too late")
    assert connection.receive_eof() == []
    assert summary(connection) == ("CLOSED", code, reason, False, code, code)
    assert connection.receive_data(b"x") == connection.receive_eof() == []
    assert connection.error is None


@pytest.mark.parametrize("role", ["server", "client"])
def test_closed_by_this_side(impl: Implementation, role: str) -> None:
    connection = established(impl, role)
    assert unmasked(connection.close(4000, "enough")) == [(0x88, b"\x0f\xa0enough")]
    assert summary(connection) == ("CLOSING", None, None, False, 4000, None)
    assert connection.close_sent == Close(4000, "enough")
    assert connection.close(1000) == b""
    # The peer may not have read that yet; its pings need no answer any more.
    stream = frame(1, b"on its way", mask=MASKED[role]) + frame(9, b"x", mask=MASKED[role])
    assert connection.receive_data(stream) == ["on its way", Ping(b"x")]
    assert connection.data_to_send() == b""
    answer = frame(8, coded(4000), mask=MASKED[role]) + frame(1, b"x", mask=MASKED[role])
    assert connection.receive_data(answer) == [Close(4000)]
    assert connection.data_to_send() == b""
    assert summary(connection) == ("CLOSING", 4000, "", role == "server", 4000, 4000)
    assert connection.receive_eof() == []


def test_closing_at_once_what_the_peer_closes(impl: Implementation) -> None:
    server = established(impl)
    server.receive_data(pings(b"p") + frame(8, coded(1001)))
    assert server.close(4000, "not said") == b"\x8a\x01p\x88\x02\x03\xe9"
    assert server.close_sent == Close(1001)
    assert server.data_to_send() == b""


def test_a_close_frame_drops_a_message_under_way(impl: Implementation) -> None:
    server = established(impl)
    assert server.receive_data(frame(1, b"abc", fin=False) + frame(8, coded(1000))) == [Close(1000)]
    assert server.data_to_send() == b"\x88\x02\x03\xe8"


FAULTS = [
    (b"\x83\x80", 1002, "reserved opcode 0x3 (RFC 6455 §5.2)"),
    (b"\x81\x00", 1002, "unmasked frame from a client (RFC 6455 §5.1)"),
    (frame(1, b"\xff"), 1007, "text message is not UTF-8: byte 0xFF at index 0 (RFC 6455 §8.1)"),
    (
        b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4),
        1009,
        f"message too big: a frame of {1 << 62} bytes exceeds the limit of 1048576 bytes (RFC 6455 §10.4)",
    ),
    (frame(8, b"\x03\xee"), 1002, "close frame with code 1006 (RFC 6455 §7.4)"),
    (b"\xc1\x80", 1002, "RSV1 set, but no extension defines it (RFC 6455 §5.2)"),
]


@pytest.mark.parametrize(("wire", "code", "message"), FAULTS, ids=[fault[2][:20] for fault in FAULTS])
def test_faults(impl: Implementation, wire: bytes, code: int, message: str) -> None:
    server = established(impl)
    events = server.receive_data(frame(1, b"before") + pings(b"p") + wire + frame(1, b"after"))
    assert events[:-1] == ["before", Ping(b"p")]
    final = events[-1]
    assert type(final) is Close
    assert (final.code, final.reason) == (code, message)
    assert type(final.error) is ProtocolError
    assert (str(final.error), final.error.code, final.error.events) == (message, code, [])
    assert final.error.__traceback__ is None
    assert server.error is final.error
    assert server.close_sent == Close(code, message)
    assert summary(server) == ("CLOSING", 1006, "", True, code, None)
    sent = server.send_text("answer") + server.data_to_send()
    payload = code.to_bytes(2, "big") + message.encode()
    assert unmasked(sent) == [(0x8A, b"p"), (0x81, b"answer"), (0x88, payload)]
    assert server.receive_data(frame(1, b"x")) == []
    assert server.receive_eof() == []
    assert summary(server) == ("CLOSED", 1006, "", False, code, None)


def test_a_fault_after_this_side_has_closed(impl: Implementation) -> None:
    server = established(impl)
    server.close()
    (event,) = server.receive_data(b"\x83\x80")
    assert (event.code, str(event.error)) == (1002, "reserved opcode 0x3 (RFC 6455 §5.2)")
    assert server.data_to_send() == b""
    assert summary(server) == ("CLOSING", 1006, "", True, 1000, None)


def test_long_reasons_are_cut(impl: Implementation) -> None:
    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        raise ProtocolError("größer" * 40)

    server = established(impl)
    server._open(inflate)
    (event,) = server.receive_data(frame(1, b"x", rsv=4))
    assert event.reason == ("größer" * 40).encode()[:123].decode(errors="ignore")
    assert unmasked(server.data_to_send()) == [(0x88, b"\x03\xea" + event.reason.encode())]


def test_odd_codes_of_an_inflater_are_not_sent(impl: Implementation) -> None:
    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        raise ProtocolError("odd", 1006)

    server = established(impl)
    server._open(inflate)
    (event,) = server.receive_data(frame(1, b"x", rsv=4))
    assert (event.code, event.error.code) == (1002, 1006)
    assert server.data_to_send() == b"\x88\x05\x03\xeaodd"


@pytest.mark.parametrize("role", ["server", "client"])
def test_eof(impl: Implementation, role: str) -> None:
    connection = established(impl, role)
    connection.receive_data(frame(1, b"cut", mask=MASKED[role])[:-1])
    assert connection.receive_eof() == [Close(1006)]
    assert summary(connection) == ("CLOSED", 1006, "", False, None, None)
    connection = established(impl, role)
    connection.close()
    assert connection.receive_eof() == [Close(1006)]
    assert summary(connection) == ("CLOSED", 1006, "", False, 1000, None)
    assert connection.close() == b""
    for name in ("ping", "pong", "send_text"):
        with pytest.raises(InvalidState, match=r"^cannot send a [a-z]+: the connection is closed$"):
            getattr(connection, name)("x")


# ---- The opening handshake -------------------------------------------------------------------------


def opened(impl: Implementation, **options: Any) -> tuple[Any, Any]:
    client = impl.Connection("client", "ws://example.com/", **options)
    server = impl.Connection("server", **options)
    (request,) = server.receive_data(client.data_to_send())
    assert type(request) is Request
    (response,) = client.receive_data(server.accept())
    assert type(response) is Response
    return client, server


def test_handshake(impl: Implementation) -> None:
    client = impl.Connection("client", "wss://example.com/chat?room=1", origin="https://example.com")
    assert (client.state, client.role, client.request.target) == (State.CONNECTING, "client", "/chat?room=1")
    request = client.data_to_send()
    assert request.startswith(b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\n")
    assert client.data_to_send() == b""
    server = impl.Connection("server", headers=[("Server", "mine")])
    for i in range(len(request) - 1):
        assert server.receive_data(request[i : i + 1]) == []
    (event,) = server.receive_data(request[-1:])
    assert type(event) is Request
    assert server.request is event
    assert (event.target, event.host, event.origin) == (
        "/chat?room=1",
        "example.com",
        "https://example.com",
    )
    assert server.state.name == "CONNECTING"
    response = server.accept(headers=[("X-Room", "1")])
    assert response.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert server.state is State.OPEN
    assert server.response.headers.get("server") == "mine"
    stream = response + server.send_text("welcome")
    for i in range(len(response) - 1):
        assert client.receive_data(stream[i : i + 1]) == []
    event, message = client.receive_data(stream[len(response) - 1 :])
    assert type(event) is Response
    assert client.response is event
    assert event.headers.get("x-room") == "1"
    assert message == "welcome"
    assert client.state is State.OPEN
    assert server.receive_data(client.send_text("thanks")) == ["thanks"]


def test_handshake_through_lent_buffers(impl: Implementation) -> None:
    client = impl.Connection("client", "ws://example.com/")
    server = impl.Connection("server")

    def put(connection: Any, data: bytes) -> list[Any]:
        view = connection.get_buffer(-1)
        assert len(view) >= 65536
        view[: len(data)] = data
        events: list[Any] = connection.buffer_updated(len(data))
        return events

    (request,) = put(server, client.data_to_send())
    assert type(request) is Request
    response, text, binary = put(client, server.accept() + server.send_text("é") + server.send_binary(b"b"))
    assert (type(response), text, binary) == (Response, "é", b"b")
    assert put(server, client.send_text("x") + client.close(1000)) == ["x", Close(1000)]
    assert put(client, server.data_to_send()) == [Close(1000)]
    assert put(client, b"more") == []


def test_early_data(impl: Implementation) -> None:
    """A client must wait for the answer; what it sends before is not lost."""
    server = impl.Connection("server")
    (request,) = server.receive_data(GOOD + frame(1, b"early") + frame(1, b"bird")[:4])
    assert type(request) is Request
    assert server.receive_data(frame(1, b"bird")[4:7]) == []
    server.accept()
    assert server.receive_data(b"") == ["early"]
    assert server.receive_data(frame(1, b"bird")[7:]) == ["bird"]
    server = impl.Connection("server")
    server.receive_data(GOOD + frame(1, b"early"))
    server.accept()
    assert server.receive_data(frame(1, b"next")) == ["early", "next"]
    server = impl.Connection("server")
    server.receive_data(GOOD + frame(1, b"early"))
    server.accept()
    assert server.receive_eof() == ["early", Close(1006)]


def test_too_much_early_data(impl: Implementation) -> None:
    server = impl.Connection("server")
    events = server.receive_data(GOOD + bytes(60_000))
    assert [type(event) for event in events] == [Request]
    (event,) = server.receive_data(bytes(5_537))
    assert type(event) is Rejected
    assert event.status == 400
    assert str(event.error) == ("more than 65536 bytes behind the request, before the answer (RFC 6455 §4.1)")
    assert server.data_to_send().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert server.should_close
    with pytest.raises(InvalidState, match=r"^there is no request to answer: the server is closing$"):
        server.accept()


def test_a_wrong_request(impl: Implementation) -> None:
    server = impl.Connection("server")
    (event,) = server.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert type(event) is Rejected
    assert event.status == 405
    assert type(event.error) is HandshakeError
    assert server.error is event.error
    assert server.data_to_send().startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert summary(server) == ("CLOSING", 1006, "", True, None, None)
    assert server.receive_data(GOOD) == server.receive_eof() == []
    assert server.state is State.CLOSED


def test_reject(impl: Implementation) -> None:
    server = impl.Connection("server")
    server.receive_data(GOOD)
    with pytest.raises(ValueError, match="status"):
        server.reject(101)
    answer = server.reject(401, [("WWW-Authenticate", "Basic")], "who?")
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"\r\nWWW-Authenticate: Basic\r\n" in answer
    assert answer.endswith(b"\r\n\r\nwho?")
    assert server.should_close
    assert server.error is None
    assert server.receive_data(b"x") == server.receive_eof() == []
    client = impl.Connection("client", "ws://example.com/")
    (event,) = client.receive_data(answer)
    assert (event.status, event.body, event.error) == (401, b"who?", None)
    assert event.headers.get("www-authenticate") == "Basic"
    assert client.should_close
    with pytest.raises(InvalidState, match=r"^cannot send a message: the connection is closing$"):
        client.send_text("x")
    with pytest.raises(InvalidState, match=r"^cannot close: the client is closing, and was not open$"):
        client.close()


def test_a_wrong_response(impl: Implementation) -> None:
    client = impl.Connection("client", "ws://example.com/")
    (event,) = client.receive_data(RESPONSE)  # to another key
    assert type(event) is Rejected
    assert type(event.error) is HandshakeError
    assert client.error is event.error
    assert client.should_close
    assert client.receive_data(b"\x81\x00") == client.receive_eof() == []


def test_eof_during_the_handshake(impl: Implementation) -> None:
    makers: list[Callable[[], Any]] = [
        lambda: impl.Connection("client", "ws://example.com/"),
        lambda: impl.Connection("server"),
    ]
    for make in makers:
        for received in (b"", b"GET / HT" if make().role == "server" else b"HTTP/1.1 101"):
            connection = make()
            connection.receive_data(received)
            (event,) = connection.receive_eof()
            assert type(event) is Rejected
            assert str(event.error).startswith("connection closed before the handshake was complete")
            assert connection.state is State.CLOSED
            assert connection.receive_eof() == []


def test_subprotocols(impl: Implementation) -> None:
    client = impl.Connection("client", "ws://example.com/", subprotocols=["a", "b"])
    server = impl.Connection("server", subprotocols=["b", "c"])
    (request,) = server.receive_data(client.data_to_send())
    assert request.subprotocols == ("a", "b")
    with pytest.raises(ValueError, match="c"):
        server.accept(subprotocol="c")
    (response,) = client.receive_data(server.accept())
    assert client.subprotocol == server.subprotocol == response.subprotocol == "b"
    server = impl.Connection("server", subprotocols=["b"])
    server.receive_data(impl.Connection("client", "ws://a/", subprotocols=["b"]).data_to_send())
    server.accept(subprotocol=None)
    assert server.subprotocol is None


# ---- Misuse ----------------------------------------------------------------------------------------


EARLY: list[tuple[Callable[[Any], Any], str]] = [
    (lambda c: c.send_text("x"), "cannot send a message: the connection is connecting"),
    (lambda c: c.send_binary(b"x"), "cannot send a message: the connection is connecting"),
    (lambda c: c.send_message("x", fin=False), "cannot send a message: the connection is connecting"),
    (
        lambda c: c.send_prepared(wsfast.PreparedMessage("x")),
        "cannot send a message: the connection is connecting",
    ),
    (lambda c: c.ping(), "cannot send a ping: the connection is connecting"),
    (lambda c: c.pong(), "cannot send a pong: the connection is connecting"),
    (lambda c: c.close(), "cannot close: the {role} is connecting, and was not open"),
    (lambda c: c.accept(), "there is no request to answer: the {role} is connecting"),
    (lambda c: c.reject(), "there is no request to answer: the {role} is connecting"),
]


def test_before_it_is_open(impl: Implementation) -> None:
    for connection in (impl.Connection("client", "ws://a/"), impl.Connection("server")):
        for call, message in EARLY:
            with pytest.raises(InvalidState) as caught:
                call(connection)
            assert str(caught.value) == message.format(role=connection.role)


WRONG: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda c: c.send_text(b"x"), TypeError, "text must be a str, not bytes"),
    (lambda c: c.send_text(None, fin=False), TypeError, "text must be a str, not NoneType"),
    (lambda c: c.send_binary("x"), TypeError, "data must be a bytes-like object, not str"),
    (lambda c: c.send_binary(3, compress=False), TypeError, "data must be a bytes-like object, not int"),
    (lambda c: c.send_message(3), TypeError, "data must be a str or a bytes-like object, not int"),
    (
        lambda c: c.send_message([1], fin=False),
        TypeError,
        "data must be a str or a bytes-like object, not list",
    ),
    (
        lambda c: c.send_binary(memoryview(bytes(8)).cast("d")),
        TypeError,
        "data must be a buffer of single bytes, not of 8-byte items"
        " (memoryview(...).cast('B') gives their bytes)",
    ),
    (
        lambda c: c.send_message(memoryview(bytes(8)).cast("d"), fin=False),
        TypeError,
        "data must be a buffer of single bytes, not of 8-byte items"
        " (memoryview(...).cast('B') gives their bytes)",
    ),
    (
        lambda c: c.ping(bytes(126)),
        ValueError,
        "payload of a ping frame must be at most 125 bytes, not 126 (RFC 6455 §5.5)",
    ),
    (lambda c: c.ping(3), TypeError, "payload must be a str or a bytes-like object, not int"),
    (
        lambda c: c.close(1005),
        ValueError,
        "code must be one of 1000-1003, 1007-1014 and 3000-4999, not 1005 (RFC 6455 §7.4)",
    ),
    (
        lambda c: c.close(True),
        ValueError,
        "code must be one of 1000-1003, 1007-1014 and 3000-4999, not 1 (RFC 6455 §7.4)",
    ),
    (lambda c: c.close("1000"), TypeError, "code must be an int or None, not str"),
    (lambda c: c.close(1000, b"x"), TypeError, "reason must be a str, not bytes"),
    (
        lambda c: c.close(1000, "é" * 62),
        ValueError,
        "reason must be at most 123 bytes of UTF-8, not 124 (RFC 6455 §5.5)",
    ),
    (
        lambda c: c.close(None, "why"),
        ValueError,
        "a reason needs a code before it, not 'why' alone (RFC 6455 §5.5.1)",
    ),
    (lambda c: c.receive_data("x"), TypeError, "data must be a bytes-like object, not str"),
    (
        lambda c: c.buffer_updated(1),
        ValueError,
        "buffer_updated() without get_buffer() before it",
    ),
]


def test_wrong_arguments(impl: Implementation) -> None:
    server = established(impl)
    for call, error, message in WRONG * 2:
        with pytest.raises(error) as caught:
            call(server)
        assert str(caught.value) == message
        # And it goes on.
        assert server.send_text("x") == b"\x81\x01x"
        assert server.receive_data(frame(1, b"y")) == ["y"]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            ("peer",),
            {},
            ValueError,
            "role must be 'client' or 'server', the side that this process plays, not 'peer'",
        ),
        ((None,), {}, TypeError, "role must be a str, not NoneType"),
        (("client",), {}, TypeError, "a client needs the uri to connect to, such as 'ws://example.org/chat'"),
        (
            ("client", "ws://a/"),
            {"origins": ["x"]},
            TypeError,
            "origins is for servers; a client has one origin",
        ),
        (
            ("server", "ws://a/"),
            {},
            TypeError,
            "uri is for clients; a server is told the target by the request, not 'ws://a/'",
        ),
        (
            ("server",),
            {"origin": "https://a"},
            TypeError,
            "origin is for clients; a server has origins, the list of those it allows",
        ),
        (
            ("server",),
            {"max_size": -1},
            ValueError,
            "max_size must be 0 or more, or None for no limit, not -1",
        ),
        (("server",), {"max_size": "1"}, TypeError, "max_size must be an int or None, not str"),
        (
            ("server",),
            {"compression": True},
            TypeError,
            "compression must be a wsfast.Deflate or None, not bool",
        ),
        (("client", "ws://a/"), {"plain_http": True}, TypeError, "plain_http is for servers"),
        (
            ("server",),
            {"compress": True},
            TypeError,
            "unknown option 'compress'; a Connection has role, uri, subprotocols, headers, origin, origins,"
            " compression, max_size, max_header_size, max_header_count and plain_http",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else " ",
)
def test_wrong_options(
    impl: Implementation, arguments: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        impl.Connection(*arguments, **options)
    assert str(caught.value) == message


def test_wrong_options_of_an_established_connection(impl: Implementation) -> None:
    with pytest.raises(TypeError, match=r"^extensions must be a str, not NoneType$"):
        impl.Connection.established("server", extensions=None)
    with pytest.raises(ValueError, match=r"^role must be 'client' or 'server'"):
        impl.Connection.established("both")


def test_objects(impl: Implementation) -> None:
    server: Any = established(impl)
    assert weakref.ref(server)() is server
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(server)
    assert not hasattr(server, "feed")


def test_attributes_of_public_names() -> None:
    assert wsfast.Connection.established("server").send_text("x") == b"\x81\x01x"
    assert {name for name in wsfast.__all__ if not hasattr(wsfast, name)} == set()
    with pytest.raises(AttributeError, match=r"^module 'wsfast' has no attribute 'nothing'$"):
        wsfast.nothing  # noqa: B018
    assert KEY


def test_a_server_makes_many_of_one(impl: Implementation) -> None:
    template = impl.Connection("server", subprotocols=["chat"], headers={"Server": "x"}, max_size=3)
    first, second = template._another(), template._another()
    request = GOOD[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n"
    first.receive_data(request[:50])
    for connection in (second, first):
        (event,) = connection.receive_data(request if connection is second else request[50:])
        assert event.subprotocols == ("chat",)
        answer = connection.accept()
        assert b"\r\nServer: x\r\n" in answer
        assert connection.subprotocol == "chat"
        (event,) = connection.receive_data(b"\x81\x84abcd")
        assert event.error.code == 1009
    assert template.state is State.CONNECTING


def test_headers_of_an_answer_that_are_none(impl: Implementation) -> None:
    connection = impl.Connection("server")
    connection.receive_data(GOOD)
    with pytest.raises(TypeError, match="headers must be pairs of str or a mapping, not NoneType"):
        connection.accept(headers=None)
    assert connection.accept().startswith(b"HTTP/1.1 101 ")
