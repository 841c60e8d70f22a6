"""Responses to the client's side of the opening handshake (RFC 6455 §4.1), judged to the byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from handshakes import ACCEPT, GOOD_RESPONSE, KEY, NONCE, RESPONSE_FIELDS, answer, client_of, response
from hypothesis import given
from hypothesis import strategies as st
from linear import by_the_clock, check_linear

from wsfast.errors import HandshakeError
from wsfast.events import Rejected, Response
from wsfast.headers import Headers

# ---- Good responses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        GOOD_RESPONSE,
        response(connection="keep-alive, Upgrade"),
        response(connection="UPGRADE"),
        response("Connection: upgrade", connection="keep-alive"),
        response(upgrade="WebSocket"),
        response("Server: x", "Set-Cookie: a", "Set-Cookie: b", "X:", "Y: \xe9"),
        response("Content-Length: 0"),
        response(line="HTTP/1.1 101 "),
        response(line="HTTP/1.1 101"),
        response(line="HTTP/1.1 101 Été"),
        response(line="HTTP/1.2 101 x"),
        GOOD_RESPONSE.replace(b": ", b":"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD_RESPONSE,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 199 \r\n\r\n" + GOOD_RESPONSE,
    ],
)
def test_good(data: bytes) -> None:
    client, event = answer(data + b"\x81\x01a")
    assert isinstance(event, Response), event
    assert event.headers.get("Sec-WebSocket-Accept") == ACCEPT
    assert event.subprotocol is None
    assert event.extensions == ()
    assert client.trailing == b"\x81\x01a"
    assert client.receive(b"more") is None
    assert client.trailing == b"\x81\x01amore"
    assert client.receive_eof() is event


def test_subprotocol() -> None:
    _, event = answer(response("Sec-WebSocket-Protocol: b"), subprotocols=["a", "b"])
    assert isinstance(event, Response)
    assert event.subprotocol == "b"
    assert isinstance(answer(GOOD_RESPONSE, subprotocols=["a"])[1], Response)


def test_extensions() -> None:
    seen: list[list[str]] = []

    def check(values: list[str]) -> str:
        seen.append(values)
        return "agreed"

    options: dict[str, Any] = {"extensions": "foo; a, bar", "check_extensions": check}
    client, event = answer(response("Sec-WebSocket-Extensions: bar; x, foo"), **options)
    assert isinstance(event, Response)
    assert event.extensions == ("bar; x, foo",)
    assert client.extensions_agreed == "agreed"
    client, event = answer(GOOD_RESPONSE, **options)
    assert event == Response(Headers(RESPONSE_FIELDS))
    assert client.extensions_agreed == "agreed"
    assert seen == [["bar; x, foo"], []]


def test_extensions_refused_by_the_check() -> None:
    def check(values: list[str]) -> None:
        raise HandshakeError("not so")

    client, event = answer(
        response("Sec-WebSocket-Extensions: foo"), extensions="foo", check_extensions=check
    )
    assert isinstance(event, Rejected)
    assert str(event.error) == "not so"
    assert (event.status, event.body) == (101, b"")
    assert client.extensions_agreed is None


# ---- Bad responses ---------------------------------------------------------------------------------

BAD: dict[str, tuple[bytes, int | None, str]] = {
    "no Upgrade": (response(upgrade=None), 101, "Upgrade is missing, not 'websocket' (RFC 6455 §4.1)"),
    "Upgrade list": (
        response(upgrade="websocket, h2c"),
        101,
        "Upgrade is 'websocket, h2c', not 'websocket' (RFC 6455 §4.1)",
    ),
    "two Upgrades": (
        response("Upgrade: websocket"),
        101,
        "Upgrade is 'websocket, websocket', not 'websocket' (RFC 6455 §4.1)",
    ),
    "another Upgrade": (response(upgrade="ws"), 101, "Upgrade is 'ws', not 'websocket' (RFC 6455 §4.1)"),
    "no Connection": (
        response(connection=None),
        101,
        "Connection is missing, without 'upgrade' (RFC 6455 §4.1)",
    ),
    "Connection notupgrade": (
        response(connection="notupgrade"),
        101,
        "Connection is 'notupgrade', without 'upgrade' (RFC 6455 §4.1)",
    ),
    "Connection no list": (
        response(connection="a upgrade"),
        101,
        "Connection has 'a upgrade', which is not a token (RFC 9110 §5.6.2)",
    ),
    "no Accept": (response(sec_websocket_accept=None), 101, "no Sec-WebSocket-Accept field (RFC 6455 §4.1)"),
    **{
        f"Accept {value}": (
            response(sec_websocket_accept=value),
            101,
            f"Sec-WebSocket-Accept {value!r} does not fit the key (RFC 6455 §4.1)",
        )
        for value in ["", "x", KEY, ACCEPT.lower(), ACCEPT[:-1], ACCEPT + "=", f'"{ACCEPT}"', "é" * 28]
    },
    "two Accepts": (
        response(f"Sec-WebSocket-Accept: {ACCEPT}"),
        None,
        "Sec-WebSocket-Accept occurs 2 times (RFC 9110 §5.3)",
    ),
    "HTTP/1.0": (
        response(line="HTTP/1.0 101 x"),
        101,
        "HTTP version 1.0, not 1.1 (RFC 6455 §4.2.2)",
    ),
    "HTTP/2.0": (response(line="HTTP/2.0 101 x"), 101, "HTTP version 2.0, not 1.1 (RFC 6455 §4.2.2)"),
    "Content-Length": (
        response("Content-Length: 5"),
        101,
        "a 101 response with a body (RFC 9110 §8.6, RFC 9112 §6.1)",
    ),
    "Transfer-Encoding": (
        response("Transfer-Encoding: chunked"),
        101,
        "a 101 response with a body (RFC 9110 §8.6, RFC 9112 §6.1)",
    ),
    "subprotocol": (
        response("Sec-WebSocket-Protocol: c"),
        101,
        "subprotocol 'c' was not offered (RFC 6455 §4.1)",
    ),
    "subprotocol case": (
        response("Sec-WebSocket-Protocol: A"),
        101,
        "subprotocol 'A' was not offered (RFC 6455 §4.1)",
    ),
    "subprotocol list": (
        response("Sec-WebSocket-Protocol: a, b"),
        101,
        "subprotocol 'a, b' was not offered (RFC 6455 §4.1)",
    ),
    "empty subprotocol": (
        response("Sec-WebSocket-Protocol:"),
        101,
        "subprotocol '' was not offered (RFC 6455 §4.1)",
    ),
    "two subprotocols": (
        response("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"),
        None,
        "Sec-WebSocket-Protocol occurs 2 times (RFC 9110 §5.3)",
    ),
    "extension": (
        response("Sec-WebSocket-Extensions: bar; a=1"),
        101,
        "extension 'bar' was not offered (RFC 6455 §4.1)",
    ),
    "bad extension": (
        response("Sec-WebSocket-Extensions: foo; a="),
        101,
        "Sec-WebSocket-Extensions has the end where a token must be (RFC 6455 §9.1)",
    ),
    "two extension fields": (
        response("Sec-WebSocket-Extensions: foo", "Sec-WebSocket-Extensions: foo"),
        None,
        "Sec-WebSocket-Extensions occurs 2 times (RFC 9110 §5.3)",
    ),
    # The status line and the lines of the head.
    "SSH": (b"SSH-2.0-x\r\n", None, "the response begins with b'S', not 'HTTP/' (RFC 9112 §4)"),
    "http": (b"http/1.1 101 x\r\n\r\n", None, "the response begins with b'h', not 'HTTP/' (RFC 9112 §4)"),
    "CR LF first": (
        b"\r\n\r\n\r\n",
        None,
        "the response begins with b'\\r', not 'HTTP/' (RFC 9112 §4)",
    ),
    **{
        f"status line {line}": (
            f"{line}\r\n\r\n".encode(),
            None,
            f"{line!r} is not a status line (RFC 9112 §4)",
        )
        for line in [
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1 10",
            "HTTP/1.1 1010",
            "HTTP/1.1  101",
            "HTTP/1.1\t101",
            "HTTP/1.1 1e1 x",
            "HTTP/1.1 099 x",
            "HTTP/1.1 +99 x",
            "HTTP/1.1 101x",
            "HTTP/11 101 x",
            "HTTP/1.10 101 x",
        ]
    },
    "bare LF": (response("X: a\nb"), None, "an LF without CR in line 5 of the head (RFC 9112 §2.2)"),
    "bare CR": (response("X: a\rb"), None, "a CR without LF in line 5 of the head (RFC 9112 §2.2)"),
    "LF only": (
        GOOD_RESPONSE.replace(b"\r\n", b"\n"),
        None,
        "an LF without CR in line 1 of the head (RFC 9112 §2.2)",
    ),
    "NUL": (response("X: \0"), None, "control character 0x00 in line 5 of the head (RFC 9112 §2.2)"),
    "folded": (response("X: a", " b"), None, "folded line ' b' in the head (RFC 9112 §5.2)"),
    "space before colon": (
        response("X : b"),
        None,
        "whitespace between 'X ' and its colon (RFC 9112 §5.1)",
    ),
    "no colon": (response("X"), None, "line 'X' in the head has no colon (RFC 9112 §5)"),
    "bad name": (response("(: b"), None, "'(' is not the name of a header field (RFC 9110 §5.1)"),
    # Limits.
    "too long": (
        response("X: " + "a" * 16384),
        None,
        "the head of the response exceeds the limit of 16384 bytes (RFC 6585 §5)",
    ),
    "too many fields": (
        response(*["X:"] * 126),
        None,
        "129 header fields exceed the limit of 128 (RFC 6585 §5)",
    ),
    "10^5 fields": (
        response(*["X:"] * 100_000),
        None,
        "the head of the response exceeds the limit of 16384 bytes (RFC 6585 §5)",
    ),
    "endless 1xx": (
        b"HTTP/1.1 100 \r\n\r\n" * 2000,
        None,
        "the head of the response exceeds the limit of 16384 bytes (RFC 6585 §5)",
    ),
    # Bodies that nobody can tell the end of.
    "two Content-Lengths": (
        b"HTTP/1.1 401 x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        None,
        "Content-Length occurs 2 times (RFC 9110 §5.3)",
    ),
    "bad Content-Length": (
        b"HTTP/1.1 401 x\r\nContent-Length: x\r\n\r\n",
        None,
        "malformed response: bad Content-Length",
    ),
    "gzip": (
        b"HTTP/1.1 401 x\r\nTransfer-Encoding: gzip\r\n\r\n",
        None,
        "malformed response: Only Transfer-Encoding: chunked is supported",
    ),
    "bad chunk": (
        b"HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        401,
        "malformed body of the response: illegal chunk header: bytearray(b'x\\r\\n')",
    ),
}

OFFER: dict[str, Any] = {
    "subprotocols": ["a", "b"],
    "extensions": "foo",
    "check_extensions": lambda values: None,
}


@pytest.mark.parametrize("case", BAD)
def test_bad(case: str) -> None:
    data, status, message = BAD[case]
    client, event = answer(data, **OFFER)
    assert isinstance(event, Rejected), event
    assert isinstance(event.error, HandshakeError)
    assert str(event.error) == message
    assert event.status == status
    assert bool(event.headers) is (status is not None)
    # It stays so.
    assert client.trailing == b""
    assert client.receive(GOOD_RESPONSE) is None
    assert client.receive_eof() is event


def test_nothing_offered() -> None:
    for field, message in [
        ("Sec-WebSocket-Protocol: a", "subprotocol 'a' was not offered (RFC 6455 §4.1)"),
        ("Sec-WebSocket-Extensions: foo", "extension 'foo' was not offered (RFC 6455 §4.1)"),
    ]:
        _, event = answer(response(field))
        assert isinstance(event, Rejected)
        assert str(event.error) == message
    # Offered, but nobody there who understands the answer.
    _, event = answer(response("Sec-WebSocket-Extensions: foo"), extensions="foo")
    assert isinstance(event, Rejected)
    assert str(event.error) == "extension 'foo' was not offered (RFC 6455 §4.1)"


def test_accept_is_checked_without_assertions(run_python: Any) -> None:
    """`python -O` changes nothing that is checked."""
    program = f"""
from wsfast.handshake import ClientHandshake
print(ClientHandshake("ws://h", key={NONCE!r}).receive({response(sec_websocket_accept=KEY)!r}).error)
print(ClientHandshake("ws://h", key={NONCE!r}).receive({GOOD_RESPONSE!r}).subprotocol)
"""
    expected = f"Sec-WebSocket-Accept {KEY!r} does not fit the key (RFC 6455 §4.1)\nNone\n"
    assert run_python(program, "-O").stdout == expected


# ---- Other answers ---------------------------------------------------------------------------------

BODIES: dict[str, tuple[bytes, bytes]] = {
    "length": (b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "no body": (b"Content-Length: 0\r\n\r\n", b""),
    "length, and more": (b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n", b"hello"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
    "chunks, trailers": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello"),
    "64 KiB": (b"Content-Length: 65536\r\n\r\n" + b"x" * 65536, b"x" * 65536),
    "more than 64 KiB": (b"Content-Length: 1000000\r\n\r\n" + b"x" * 70000, b"x" * 65536),
    "endless": (b"\r\n" + b"x" * 70000, b"x" * 65536),
    "endless chunks": (
        b"Transfer-Encoding: chunked\r\n\r\n" + b"A\r\n0123456789\r\n" * 7000,
        (b"0123456789" * 7000)[:65536],
    ),
}


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "401 Unauthorized", "503 \xe9"])
@pytest.mark.parametrize("case", BODIES)
def test_other_answers(case: str, status: str) -> None:
    rest, body = BODIES[case]
    data = f"HTTP/1.1 {status}\r\nLocation: /x\r\nWWW-Authenticate: Basic\r\n".encode("latin-1") + rest
    for step in (len(data), 1000, 7):
        client = client_of()
        events = [client.receive(data[i : i + step]) for i in range(0, len(data), step)]
        (event,) = [event for event in events if event is not None]
        assert isinstance(event, Rejected)
        assert f"{event.status} {event.reason}" == status
        assert event.body == body
        assert event.error is None
        assert event.headers.get("location") == "/x"
        assert event.headers.get("www-authenticate") == "Basic"
        assert client.trailing == b""
        assert client.receive(b"x") is None
        assert client.receive_eof() is event


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_body(status: bytes) -> None:
    _, event = answer(b"HTTP/1.1 " + status + b"\r\n\r\nwhatever")
    assert isinstance(event, Rejected)
    assert (event.body, event.error) == (b"", None)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_body_until_eof(version: bytes) -> None:
    client, event = answer(b"HTTP/" + version + b" 403 No\r\nServer: x\r\n\r\nhel")
    assert event is None
    assert client.receive(b"lo") is None
    event = client.receive_eof()
    assert event == Rejected(403, "No", Headers([("Server", "x")]), b"hello")
    assert client.receive_eof() is event


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 9\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
    ids=["length", "chunks"],
)
def test_body_cut_short(rest: bytes) -> None:
    client, event = answer(b"HTTP/1.1 500 x\r\n" + rest)
    assert event is None
    event = client.receive_eof()
    assert isinstance(event, Rejected)
    assert (event.status, event.body) == (500, b"hello")
    assert str(event.error).startswith("malformed body of the response: peer closed connection")


@pytest.mark.parametrize(
    "data", [b"", b"H", GOOD_RESPONSE[:-1], b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 404 x\r\nA: b\r\n"]
)
def test_eof(data: bytes) -> None:
    client, event = answer(data)
    assert event is None
    event = client.receive_eof()
    assert isinstance(event, Rejected)
    assert (event.status, event.reason, event.headers, event.body) == (None, "", Headers(), b"")
    assert str(event.error) == "connection closed before the handshake was complete (RFC 6455 §4.1)"


def test_version_negotiation() -> None:
    """A server that speaks other versions says which (RFC 6455 §4.4)."""
    data = b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8, 7\r\nContent-Length: 0\r\n\r\n"
    _, event = answer(data)
    assert isinstance(event, Rejected)
    assert event.headers.get("Sec-WebSocket-Version") == "8, 7"


# ---- Splits, time, memory --------------------------------------------------------------------------


def outcome(pieces: list[bytes], **options: Any) -> tuple[Any, ...]:
    client = client_of(**OFFER, **options)
    found = [event for event in map(client.receive, pieces) if event is not None]
    parts = [(e, str(e.error)) if isinstance(e, Rejected) else e for e in found]
    return [repr(part) for part in parts], client.trailing


SPLIT = {case: data for case, (data, _, _) in BAD.items() if len(data) < 1000}
SPLIT["good, and frames"] = response("Sec-WebSocket-Protocol: a") + b"\x81\x04\r\n\r\n\n\n"
SPLIT["1xx, good, and frames"] = b"HTTP/1.1 100 \r\n\r\n" + GOOD_RESPONSE + b"\x81\x01a"
SPLIT["over the limit"] = response("X: " + "a" * 400)
SPLIT.update(
    {f"401, {case}": b"HTTP/1.1 401 x\r\n" + rest for case, (rest, _) in BODIES.items() if len(rest) < 1000}
)


@pytest.mark.parametrize("case", SPLIT)
def test_every_split(case: str) -> None:
    data = SPLIT[case]
    expected = outcome([data], max_header_size=300)
    assert len(expected[0]) == 1
    for i in range(len(data) + 1):
        assert outcome([data[:i], data[i:]], max_header_size=300) == expected
    assert outcome([data[i : i + 1] for i in range(len(data))], max_header_size=300) == expected


@by_the_clock
@pytest.mark.parametrize(
    "pattern", ["{}", "5;{}\n\r\n", "0\r\na:{}\0\r\n\r\n", "0\r\n{}", "5;{}\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("char", [" ", "\t", "0", ";", "\n"])
def test_linear_time_of_chunks(pattern: str, char: str) -> None:
    """h11 reads the lines of chunks and trailers by patterns that backtrack: they never get long ones."""

    def prepare(n: int) -> Callable[[], object]:
        data = b"HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\n\r\n" + pattern.format(char * n).encode()
        client = client_of()
        return lambda: client.receive(data)

    check_linear(prepare, 16384, noise=1e-3)


@by_the_clock
def test_linear_time_bytewise() -> None:
    def prepare(n: int) -> Callable[[], object]:
        data = response("X: " + "a" * n)
        pieces = [data[i : i + 1] for i in range(len(data))]
        client = client_of(max_header_size=None)

        def work() -> None:
            for piece in pieces:
                event = client.receive(piece)
            assert isinstance(event, Response)

        return work

    check_linear(prepare, 32768)


@pytest.mark.thread_unsafe(reason="what is traced is all that the process allocates")
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 " + b"a" * 991),
        (b"", b"HTTP/1.1 100 x\r\nX: " + b"a" * 979 + b"\r\n\r\n"),
        (b"HTTP/1.1 500 x\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 500 x\r\nContent-Length: 999999999999\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n" * 100),
        (b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 1000),
        (b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 100),
    ],
    ids=["line", "1xx", "until EOF", "length", "chunks", "chunk extension", "trailers"],
)
def test_memory_is_bounded(head: bytes, piece: bytes) -> None:
    tracemalloc: Any = pytest.importorskip("tracemalloc", reason="allocations are not traced here")
    answer(GOOD_RESPONSE)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        client = client_of()
        client.receive(head)
        found = [event for event in [client.receive(piece) for _ in range(2000)] if event is not None]
        assert len(found) == 1
        assert tracemalloc.get_traced_memory()[1] - before < 400_000
    finally:
        tracemalloc.stop()


@given(
    st.sampled_from(
        [GOOD_RESPONSE, *[b"HTTP/1.1 401 x\r\n" + rest for rest, _ in BODIES.values() if len(rest) < 1000]]
    ),
    st.lists(
        st.tuples(
            st.integers(0, 200),
            st.integers(0, 3),
            st.binary(max_size=4)
            | st.sampled_from(
                [b"\r\n", b"\n", b"\r\n ", b" :", b"\0", b",", b"\r\nContent-Length: 1", b"\xff"]
            ),
        ),
        max_size=4,
    ),
)
def test_mutations(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    """No exception, one outcome."""
    for at, length, new in changes:
        data = data[:at] + new + data[at + length :]
    client, event = answer(data, **OFFER)
    last = client.receive_eof()
    assert isinstance(last, (Response, Rejected))
    assert event is None or event is last


def test_bytes_like() -> None:
    for wrap in (bytearray, memoryview):
        client = client_of()
        assert isinstance(client.receive(wrap(GOOD_RESPONSE + b"x")), Response)
        assert client.trailing == b"x"
    client = client_of()
    with pytest.raises(TypeError, match=r"^data must be a bytes-like object, not str$"):
        client.receive("HTTP")  # type: ignore[arg-type]
    assert isinstance(client.receive(GOOD_RESPONSE), Response)
