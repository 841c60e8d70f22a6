"""Requests to the server's side of the opening handshake (RFC 6455 §4.2.1), judged to the byte."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from handshakes import ACCEPT, GOOD, KEY, TEXT_CHARS, ask, refused, request
from hypothesis import given
from hypothesis import strategies as st
from linear import by_the_clock, check_linear

from wsfast.errors import InvalidState
from wsfast.events import Rejected, Request, Response
from wsfast.handshake import ServerHandshake, accept_value
from wsfast.headers import Headers

# ---- Good requests ---------------------------------------------------------------------------------


def test_rfc_example() -> None:
    """RFC 6455 §1.2, §1.3."""
    data = (
        b"GET /chat HTTP/1.1\r\n"
        b"Host: server.example.com\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Origin: http://example.com\r\n"
        b"Sec-WebSocket-Protocol: chat, superchat\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"\r\n"
    )
    server, event = ask(data, subprotocols=["superchat", "chat"])
    assert isinstance(event, Request)
    assert event.target == "/chat"
    assert event.host == "server.example.com"
    assert event.origin == "http://example.com"
    assert event.subprotocols == ("chat", "superchat")
    assert event.extensions == ()
    assert [name for name, _ in event.headers] == [
        line.split(":")[0] for line in data.decode().split("\r\n")[1:-2]
    ]
    assert server.rejection == b""
    assert server.accept() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n"
        b"\r\n",
        Response(
            Headers(
                [
                    ("Upgrade", "websocket"),
                    ("Connection", "Upgrade"),
                    ("Sec-WebSocket-Accept", ACCEPT),
                    ("Sec-WebSocket-Protocol", "chat"),
                ]
            ),
            "chat",
        ),
    )


def test_accept_value() -> None:
    assert accept_value(KEY) == ACCEPT


@pytest.mark.parametrize(
    "data",
    [
        request(connection="keep-alive, Upgrade"),
        request(connection="keep-alive,upgrade"),
        request(connection=", ,\tUPGRADE ,"),
        request("Connection: keep-alive"),
        request("Connection: Upgrade", connection="keep-alive"),
        request(upgrade="WebSocket"),
        request(upgrade="h2c, websocket"),
        request(upgrade="HTTP/2.0,websocket,"),
        request("Upgrade: websocket", upgrade="h2c"),
        request(host="example.com:8080"),
        request(host="[::1]:80"),
        request(sec_websocket_key="AAAAAAAAAAAAAAAAAAAAAA=="),
        request(sec_websocket_key="//////////////////////=="),  # spare bits of the last digit
        request("Content-Length: 0"),
        request("Content-Length: 000"),
        request("Content-Length: " + "0" * 30),
        request("X:", "Y: \t ", "Z:\ta b\t"),
        request("X: \x80\xff\xa0"),
        request("HOST2: x", "host-: y"),
        request("Expect: 100-continue"),
        request("Cookie: a=b", "Cookie: c=d"),
        request(line="GET /chat HTTP/1.2"),
        request(line="GET /chat HTTP/1.9"),
        GOOD.replace(b": ", b":"),
        re.sub(rb": (.*)\r\n", rb":\t \t\1 \t\r\n", GOOD),
        re.sub(rb"[A-Za-z-]+:", lambda m: m[0].upper(), GOOD),
        re.sub(rb"[A-Za-z-]+:", lambda m: m[0].lower(), GOOD),
    ],
)
def test_good(data: bytes) -> None:
    _, event = ask(data)
    assert isinstance(event, Request), event
    assert event.target == "/chat"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/", "/"),
        ("/?", "/?"),
        ("//a/..?b=c&d", "//a/..?b=c&d"),
        ('/%C3%A9|{}"<>\\^`', '/%C3%A9|{}"<>\\^`'),
        ("http://server.example.com", "/"),
        ("http://server.example.com?q", "/?q"),
        ("HTTPS://Server.Example.com/a/b?c", "/a/b?c"),
    ],
)
def test_targets(target: str, name: str) -> None:
    _, event = ask(request(line=f"GET {target} HTTP/1.1"))
    assert isinstance(event, Request), event
    assert event.target == name


# ---- Bad requests ----------------------------------------------------------------------------------

CONTROLS = [c for c in range(256) if chr(c) not in TEXT_CHARS]

BAD: dict[str, tuple[bytes, int, str]] = {
    # RFC 6455 §4.2.1: the request line.
    "POST": (request(line="POST / HTTP/1.1"), 405, "method 'POST', not 'GET' (RFC 6455 §4.2.1)"),
    "HEAD": (request(line="HEAD / HTTP/1.1"), 405, "method 'HEAD', not 'GET' (RFC 6455 §4.2.1)"),
    "CONNECT": (request(line="CONNECT / HTTP/1.1"), 405, "method 'CONNECT', not 'GET' (RFC 6455 §4.2.1)"),
    "get": (request(line="get / HTTP/1.1"), 405, "method 'get', not 'GET' (RFC 6455 §4.2.1)"),
    "HTTP/1.0": (
        request(line="GET / HTTP/1.0"),
        400,
        "HTTP version 1.0, not 1.1 or higher (RFC 6455 §4.2.1)",
    ),
    "HTTP/0.9": (request(line="GET / HTTP/0.9"), 505, "HTTP version 0.9, not 1.1 (RFC 6455 §4.2.1)"),
    "HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP version 2.0, not 1.1 (RFC 6455 §4.2.1)"),
    "no version": (request(line="GET /"), 400, "'GET /' is not a request line (RFC 9112 §3)"),
    "two spaces": (
        request(line="GET  / HTTP/1.1"),
        400,
        "'GET  / HTTP/1.1' is not a request line (RFC 9112 §3)",
    ),
    "a tab": (request(line="GET\t/ HTTP/1.1"), 400, "'GET\\t/ HTTP/1.1' is not a request line (RFC 9112 §3)"),
    "a space behind": (
        request(line="GET / HTTP/1.1 "),
        400,
        "'GET / HTTP/1.1 ' is not a request line (RFC 9112 §3)",
    ),
    "no method": (
        request(line="G(T / HTTP/1.1"),
        400,
        "'G(T / HTTP/1.1' is not a request line (RFC 9112 §3)",
    ),
    "HTTP/1.10": (request(line="GET / HTTP/1.10"), 400, "'HTTP/1.10' is not an HTTP version (RFC 9112 §2.3)"),
    "HTTP/11": (request(line="GET / HTTP/11"), 400, "'HTTP/11' is not an HTTP version (RFC 9112 §2.3)"),
    "http/1.1": (request(line="GET / http/1.1"), 400, "'http/1.1' is not an HTTP version (RFC 9112 §2.3)"),
    "HTTP/1.x": (request(line="GET / HTTP/1.x"), 400, "'HTTP/1.x' is not an HTTP version (RFC 9112 §2.3)"),
    "target é": (request(line="GET /é HTTP/1.1"), 400, "'/é' is not a request target (RFC 9112 §3.2)"),
    "target *": (request(line="GET * HTTP/1.1"), 400, "request target '*' is no path (RFC 6455 §4.2.1)"),
    "target h:80": (
        request(line="GET h:80 HTTP/1.1"),
        400,
        "request target 'h:80' is no path (RFC 6455 §4.2.1)",
    ),
    "target ws": (
        request(line="GET ws://server.example.com/ HTTP/1.1"),
        400,
        "request target 'ws://server.example.com/' is no path (RFC 6455 §4.2.1)",
    ),
    "fragment": (
        request(line="GET /#a HTTP/1.1"),
        400,
        "request target '/#a' has a fragment (RFC 9112 §3.2)",
    ),
    "another host": (
        request(line="GET http://evil.example/ HTTP/1.1"),
        400,
        "request target 'http://evil.example/' is not on Host 'server.example.com' (RFC 9112 §3.2.2)",
    ),
    "user info": (
        request(line="GET http://u@server.example.com/ HTTP/1.1"),
        400,
        "request target 'http://u@server.example.com/' is not on Host 'server.example.com' (RFC 9112 §3.2.2)",
    ),
    # Host.
    "no Host": (request(host=None), 400, "no Host field (RFC 6455 §4.2.1)"),
    "empty Host": (request(host=""), 400, "Host '' is not a host with or without a port (RFC 9112 §3.2)"),
    "bad Host": (request(host="a/b"), 400, "Host 'a/b' is not a host with or without a port (RFC 9112 §3.2)"),
    "bad port": (request(host="a:b"), 400, "Host 'a:b' is not a host with or without a port (RFC 9112 §3.2)"),
    "two Hosts": (request("host: server.example.com"), 400, "Host occurs 2 times (RFC 9110 §5.3)"),
    # Upgrade and Connection.
    "no Upgrade": (request(upgrade=None), 426, "Upgrade is missing, without 'websocket' (RFC 6455 §4.2.1)"),
    "empty Upgrade": (request(upgrade=""), 426, "Upgrade is '', without 'websocket' (RFC 6455 §4.2.1)"),
    "Upgrade h2c": (request(upgrade="h2c"), 426, "Upgrade is 'h2c', without 'websocket' (RFC 6455 §4.2.1)"),
    "Upgrade websocket2": (
        request(upgrade="websocket2, xwebsocket, websocket/13"),
        426,
        "Upgrade is 'websocket2, xwebsocket, websocket/13', without 'websocket' (RFC 6455 §4.2.1)",
    ),
    "Upgrade quoted": (
        request(upgrade='"websocket"'),
        400,
        "Upgrade has '\"websocket\"', which is not a token (RFC 9110 §5.6.2)",
    ),
    "no Connection": (
        request(connection=None),
        426,
        "Connection is missing, without 'upgrade' (RFC 6455 §4.2.1)",
    ),
    "Connection notupgrade": (
        request(connection="notupgrade, upgrade-x"),
        426,
        "Connection is 'notupgrade, upgrade-x', without 'upgrade' (RFC 6455 §4.2.1)",
    ),
    "Connection close": (
        request(connection="close"),
        426,
        "Connection is 'close', without 'upgrade' (RFC 6455 §4.2.1)",
    ),
    "Connection twice, neither": (
        request("Connection: close", connection="keep-alive"),
        426,
        "Connection is 'keep-alive, close', without 'upgrade' (RFC 6455 §4.2.1)",
    ),
    "Connection no list": (
        request(connection="keep-alive Upgrade"),
        400,
        "Connection has 'keep-alive Upgrade', which is not a token (RFC 9110 §5.6.2)",
    ),
    # Version and key.
    "no version field": (
        request(sec_websocket_version=None),
        400,
        "no Sec-WebSocket-Version field (RFC 6455 §4.2.1)",
    ),
    **{
        f"version {value}": (
            request(sec_websocket_version=value),
            426,
            f"Sec-WebSocket-Version {value!r}, not '13' (RFC 6455 §4.4)",
        )
        for value in [
            "",
            "0",
            "7",
            "8",
            "12",
            "14",
            "013",
            "13.0",
            "13, 8",
            "+13",
            "1e1",
            "\xb9\xb3",
            "9" * 60,
        ]
    },
    "two versions": (
        request("Sec-WebSocket-Version: 13"),
        400,
        "Sec-WebSocket-Version occurs 2 times (RFC 9110 §5.3)",
    ),
    "no key": (request(sec_websocket_key=None), 400, "no Sec-WebSocket-Key field (RFC 6455 §4.2.1)"),
    **{
        f"key {value}": (
            request(sec_websocket_key=value),
            400,
            f"Sec-WebSocket-Key {value!r} is not 16 bytes in Base64 (RFC 6455 §4.2.1)",
        )
        for value in [
            "",
            "x",
            "=" * 24,
            "A" * 24,  # 18 bytes
            "A" * 23 + "=",  # 17
            "A" * 20 + "====",
            "A" * 20,  # 15
            "A" * 22,
            "A" * 22 + "=",
            "A" * 22 + "===",
            "A" * 21 + "-==",  # the other alphabet
            "A" * 21 + "_==",
            "A" * 21 + " ==",
            "AAAA\tAAAAAAAAAAAAAAAAA==",
            "A" * 21 + "é==",
            "A" * 21 + "===",
            "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNh",
        ]
    },
    "two keys": (
        request(f"Sec-WebSocket-Key: {KEY}"),
        400,
        "Sec-WebSocket-Key occurs 2 times (RFC 9110 §5.3)",
    ),
    # Subprotocols, extensions, origin.
    "empty subprotocols": (
        request("Sec-WebSocket-Protocol: ,"),
        400,
        "Sec-WebSocket-Protocol is empty (RFC 6455 §4.1)",
    ),
    "bad subprotocol": (
        request("Sec-WebSocket-Protocol: a b"),
        400,
        "Sec-WebSocket-Protocol has 'a b', which is not a token (RFC 9110 §5.6.2)",
    ),
    "subprotocol twice": (
        request("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a"),
        400,
        "Sec-WebSocket-Protocol 'a, b, a' repeats a subprotocol (RFC 6455 §4.1)",
    ),
    "empty extensions": (
        request("Sec-WebSocket-Extensions: ,"),
        400,
        "Sec-WebSocket-Extensions is empty (RFC 6455 §9.1)",
    ),
    "bad extensions": (
        request("Sec-WebSocket-Extensions: a; b="),
        400,
        "Sec-WebSocket-Extensions has the end where a token must be (RFC 6455 §9.1)",
    ),
    "two origins": (
        request("Origin: https://a", "Origin: https://a"),
        400,
        "Origin occurs 2 times (RFC 9110 §5.3)",
    ),
    # Bodies: smuggling (next.js GHSA-c4j6-fc7j-m34r, aiohttp CVE-2023-47641).
    **{
        f"Content-Length {value}": (
            request(f"Content-Length: {value}"),
            400,
            f"a request with Content-Length {value!r}: it must have no body (RFC 9110 §9.3.1)",
        )
        for value in ["1", "5", "-1", "+0", "0, 0", "0x0", "", "00 0", "\xb2", "1" * 30]
    },
    "two Content-Lengths": (
        request("Content-Length: 0", "content-length: 0"),
        400,
        "Content-Length occurs 2 times (RFC 9110 §5.3)",
    ),
    **{
        f"Transfer-Encoding {value}": (
            request(f"Transfer-Encoding: {value}"),
            400,
            "a request with Transfer-Encoding: it must have no body (RFC 9110 §9.3.1)",
        )
        for value in ["chunked", "identity", "gzip, chunked", "", "xchunked"]
    },
    "two Transfer-Encodings": (
        request("Transfer-Encoding: a", "Transfer-encoding: b"),
        400,
        "Transfer-Encoding occurs 2 times (RFC 9110 §5.3)",
    ),
    # Lines (aiohttp CVE-2023-37276, CVE-2023-47627, CVE-2024-23829).
    "space before colon": (request("X : y"), 400, "whitespace between 'X ' and its colon (RFC 9112 §5.1)"),
    "tab before colon": (
        request("Transfer-Encoding\t: chunked"),
        400,
        "whitespace between 'Transfer-Encoding\\t' and its colon (RFC 9112 §5.1)",
    ),
    "folded": (request("X: a", " b"), 400, "folded line ' b' in the head (RFC 9112 §5.2)"),
    "folded by a tab": (request("X: a", "\tb: c"), 400, "folded line '\\tb: c' in the head (RFC 9112 §5.2)"),
    "folded at the start": (
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        400,
        "folded line ' Host: a' in the head (RFC 9112 §5.2)",
    ),
    "no colon": (request("X"), 400, "line 'X' in the head has no colon (RFC 9112 §5)"),
    "no name": (request(": y"), 400, "'' is not the name of a header field (RFC 9110 §5.1)"),
    "bad name": (request("X(Y): z"), 400, "'X(Y)' is not the name of a header field (RFC 9110 §5.1)"),
    "space in name": (request("X Y: z"), 400, "'X Y' is not the name of a header field (RFC 9110 §5.1)"),
    "name é": (request("Xé: z"), 400, "'Xé' is not the name of a header field (RFC 9110 §5.1)"),
    "bare LF": (request("X: a\nY: b"), 400, "an LF without CR in line 7 of the head (RFC 9112 §2.2)"),
    "bare CR": (request("X: a\rY: b"), 400, "a CR without LF in line 7 of the head (RFC 9112 §2.2)"),
    "CR CR LF": (request("X: a\r"), 400, "a CR without LF in line 7 of the head (RFC 9112 §2.2)"),
    "LF only": (GOOD.replace(b"\r\n", b"\n"), 400, "an LF without CR in line 1 of the head (RFC 9112 §2.2)"),
    "LF at the end": (GOOD[:-2] + b"\n", 400, "an LF without CR in line 7 of the head (RFC 9112 §2.2)"),
    "LF CR LF": (GOOD[:-4] + b"\n\r\n", 400, "an LF without CR in line 6 of the head (RFC 9112 §2.2)"),
    **{
        f"byte {c:02X} in a value": (
            request(f"X: a{chr(c)}b"),
            400,
            f"control character 0x{c:02X} in line 7 of the head (RFC 9112 §2.2)",
        )
        for c in CONTROLS
        if c not in b"\r\n"
    },
    "NUL in the target": (
        request(line="GET /\0 HTTP/1.1"),
        400,
        "control character 0x00 in line 1 of the head (RFC 9112 §2.2)",
    ),
    # No HTTP at all.
    "TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00",
        400,
        "the request begins with byte 0x16, not a method (RFC 9112 §3)",
    ),
    "two empty lines first": (
        b"\r\n\r\n" + GOOD,
        400,
        "the request begins with byte 0x0D, not a method (RFC 9112 §3)",
    ),
    "CR first": (b"\r" + GOOD, 400, "the request begins with byte 0x0D, not a method (RFC 9112 §3)"),
    "LF first": (b"\n" + GOOD, 400, "the request begins with byte 0x0A, not a method (RFC 9112 §3)"),
    "space first": (b" " + GOOD, 400, "the request begins with byte 0x20, not a method (RFC 9112 §3)"),
    # Limits (ws CVE-2024-37890).
    "too long": (
        request("X: " + "a" * 16384),
        431,
        "the head of the request exceeds the limit of 16384 bytes (RFC 6585 §5)",
    ),
    "endless": (b"A" * 16384, 431, "the head of the request exceeds the limit of 16384 bytes (RFC 6585 §5)"),
    "too many fields": (
        request(*["X:"] * 124),
        431,
        "129 header fields exceed the limit of 128 (RFC 6585 §5)",
    ),
    "10^5 fields": (
        request(*["X:"] * 100_000),
        431,
        "the head of the request exceeds the limit of 16384 bytes (RFC 6585 §5)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad(case: str) -> None:
    data, status, message = BAD[case]
    response = refused(data, status, message)
    head = response.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    if status == 426:
        assert {"Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 13"} <= {*head}
    else:
        assert "Connection: close" in head
        assert not [line for line in head if line.startswith(("Upgrade", "Sec-"))]
    assert ("Allow: GET" in head) is (status == 405)


def test_rejection_bytes() -> None:
    data, status, message = BAD["version 8"]
    assert refused(data, status, message, headers=[("Server", "wsfast")]) == (
        b"HTTP/1.1 426 Upgrade Required\r\n"
        b"Connection: Upgrade, close\r\n"
        b"Upgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Content-Length: 53\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Server: wsfast\r\n"
        b"\r\n"
        b"Sec-WebSocket-Version '8', not '13' (RFC 6455 \xc2\xa74.4)\n"
    )


def test_several_faults_at_once() -> None:
    """A method and a version that are wrong do not hide a body, which is what smuggling is about."""
    refused(
        request("Content-Length: 5", line="POST / HTTP/1.1"),
        400,
        "a request with Content-Length '5': it must have no body (RFC 9110 §9.3.1)",
    )


@pytest.mark.parametrize("place", ["host", "origin", "subprotocol", "key", "name"])
def test_no_response_splitting(place: str) -> None:
    """CVE-2020-35678, CVE-2020-7695: what comes back of a request adds no line to the head of a response."""
    evil = "x\xa0\x85(" + "\\r\\nSet-Cookie: a=b"
    data = {
        "host": request(host=evil),
        "origin": request(f"Origin: {evil}"),
        "subprotocol": request(f"Sec-WebSocket-Protocol: {evil}"),
        "key": request(sec_websocket_key=evil),
        "name": request(f"{evil}: b"),
    }[place]
    server, event = ask(data, origins=["https://example.com"])
    assert isinstance(event, Rejected)
    head = server.rejection.partition(b"\r\n\r\n")[0]
    assert b"Set-Cookie" not in head
    assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == len(event.headers)


# ---- Limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [len(GOOD) - 1, len(GOOD), len(GOOD) + 1, None])
def test_max_header_size(size: int | None) -> None:
    for step in (1, 7, len(GOOD) + 5):
        server = ServerHandshake(max_header_size=size)
        data = GOOD + b"early"
        events = [server.receive(data[i : i + step]) for i in range(0, len(data), step)]
        found = [event for event in events if event is not None]
        assert len(found) == 1
        if size is not None and size < len(GOOD):
            assert isinstance(found[0], Rejected)
            assert found[0].status == 431
        else:
            assert isinstance(found[0], Request)
            assert server.trailing == b"early"


@pytest.mark.parametrize("count", [4, 5, 6, None])
def test_max_header_count(count: int | None) -> None:
    _, event = ask(GOOD, max_header_count=count)
    if count == 4:
        assert isinstance(event, Rejected)
        assert event.status == 431
    else:
        assert isinstance(event, Request)


def test_many_fields_without_limit() -> None:
    data = request(*[f"X: {i}" for i in range(20_000)])
    _, event = ask(data, max_header_size=None, max_header_count=None)
    assert isinstance(event, Request)
    assert len(event.headers.get_all("x")) == 20_000


@pytest.mark.parametrize("name", ["max_header_size", "max_header_count"])
def test_wrong_limits(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValueError) as raised:
            ServerHandshake(**{name: value})  # type: ignore[arg-type]
        assert str(raised.value) == f"{name} must be 1 or more, or None for no limit, not {value}"
    with pytest.raises(TypeError, match=f"^{name} must be an int or None, not str$"):
        ServerHandshake(**{name: "1"})  # type: ignore[arg-type]


def head_of(size: int) -> bytes:
    """A good head of exactly `size` bytes."""
    return request("X: " + "a" * (size - len(request("X: "))))


@by_the_clock
def test_linear_time_bytewise() -> None:
    """CVE-2023-43669: the head is not searched or parsed again for each byte."""

    def prepare(n: int) -> Callable[[], object]:
        data = head_of(n)
        pieces = [data[i : i + 1] for i in range(len(data))]
        server = ServerHandshake(max_header_size=1 << 20)

        def work() -> None:
            for piece in pieces:
                event = server.receive(piece)
            assert isinstance(event, Request)

        return work

    check_linear(prepare, 32768)


@by_the_clock
@pytest.mark.parametrize(
    "field", ["X: ", "Connection: ", "Sec-WebSocket-Protocol: ", 'Sec-WebSocket-Extensions: a; b="']
)
@pytest.mark.parametrize("chars", [" ", ",", '"', "\\", " ,", "a ", "; "])
def test_linear_time_of_a_head(field: str, chars: str) -> None:
    """CVE-2021-32640, for the whole way of a head through h11 and the parsers of fields."""

    def prepare(n: int) -> Callable[[], object]:
        data = request(field + chars * (n // len(chars)) + "x")
        return lambda: ask(data, max_header_size=None)

    check_linear(prepare, 32768, noise=1e-4)


@pytest.mark.thread_unsafe(reason="what is traced is all that the process allocates")
def test_memory_is_bounded() -> None:
    """No more is held than the limit, however much comes and whatever its pieces."""
    tracemalloc: Any = pytest.importorskip("tracemalloc", reason="allocations are not traced here")
    piece = bytes([65]) * 1000
    tracemalloc.start()
    try:
        for pieces in (3000, 16):
            server = ServerHandshake()
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            for _ in range(pieces):
                server.receive(piece)
            assert tracemalloc.get_traced_memory()[1] - before < 100_000
        data = GOOD + bytes(1 << 20)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        server = ServerHandshake()
        server.receive(data)
        assert len(server._trailing) == 1 << 20
        assert tracemalloc.get_traced_memory()[1] - before < 2.3 * (1 << 20)
    finally:
        tracemalloc.stop()


# ---- Splits ----------------------------------------------------------------------------------------


def outcome(pieces: list[bytes], **options: Any) -> tuple[Any, ...]:
    server = ServerHandshake(**options)
    events = [server.receive(piece) for piece in pieces]
    found = [event for event in events if event is not None]
    parts = [(e, str(e.error)) if isinstance(e, Rejected) else e for e in found]
    return [repr(part) for part in parts], server.rejection, server.trailing


SPLIT = {case: data for case, (data, _, _) in BAD.items() if len(data) < 1000}
SPLIT["good"] = GOOD
SPLIT["good, behind an empty line"] = b"\r\n" + GOOD
SPLIT["good, and frames"] = request("Origin: https://a") + b"\x81\x80abcd\r\n\r\n\n\n"
SPLIT["over the limit"] = request("X: " + "a" * 400)
SPLIT["an LF over the limit"] = request("X: a\nb", "Y: " + "a" * 400)


@pytest.mark.parametrize("case", SPLIT)
def test_every_split(case: str) -> None:
    data = SPLIT[case]
    options = {"max_header_size": 300}
    expected = outcome([data], **options)
    assert len(expected[0]) == 1
    assert outcome([data[i : i + 1] for i in range(len(data))], **options) == expected
    for i in range(len(data) + 1):
        assert outcome([data[:i], data[i:]], **options) == expected


@pytest.mark.parametrize("wrap", [bytearray, memoryview, lambda data: memoryview(bytearray(data))[::1]])
def test_bytes_like(wrap: Any) -> None:
    server = ServerHandshake()
    buffer = wrap(GOOD + b"early")
    assert server.receive(wrap(b"")) is None
    assert isinstance(server.receive(buffer), Request)
    assert server.trailing == b"early"


def test_not_bytes_like() -> None:
    server = ServerHandshake()
    for wrong in ("GET", [71], None, 1):
        with pytest.raises(TypeError) as raised:
            server.receive(wrong)  # type: ignore[arg-type]
        assert str(raised.value) == f"data must be a bytes-like object, not {type(wrong).__name__}"
    with pytest.raises(TypeError, match="data must be a buffer of single bytes, not of 4-byte items"):
        server.receive(memoryview(bytes(8)).cast("I"))
    assert isinstance(server.receive(GOOD), Request)


# ---- Anything --------------------------------------------------------------------------------------


@given(
    st.sampled_from(
        [GOOD, request("Origin: null", 'Sec-WebSocket-Extensions: a; b="c"', "Content-Length: 0")]
    ),
    st.lists(
        st.tuples(
            st.integers(0, 300),
            st.integers(0, 3),
            st.binary(max_size=4)
            | st.sampled_from(
                [b"\r\n", b"\n", b"\r\n ", b" :", b"\0", b",", b"\r\nContent-Length: 1", b"\xff", b'"']
            ),
        ),
        max_size=4,
    ),
)
def test_mutations(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    """No exception, and no fault that h11 has to find."""
    for at, length, new in changes:
        data = data[:at] + new + data[at + length :]
    server, event = ask(data)
    assert (server.rejection != b"") is isinstance(event, Rejected)
    if isinstance(event, Rejected):
        assert not str(event.error).startswith("malformed")
        assert event.status in (400, 405, 426, 505)
    if isinstance(event, Request):
        assert server.accept()[0].startswith(b"HTTP/1.1 101 ")


# ---- The end of the connection ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", GOOD[:1], GOOD[:-1], GOOD], ids=["nothing", "a byte", "nearly all", "all"]
)
def test_eof(data: bytes) -> None:
    server = ServerHandshake()
    server.receive(data)
    event = server.receive_eof()
    assert isinstance(event, Rejected)
    assert (event.status, event.reason, event.headers, event.body) == (None, "", Headers(), b"")
    assert str(event.error) == "connection closed before the handshake was complete (RFC 6455 §4.2.1)"
    assert server.rejection == b""
    with pytest.raises(InvalidState, match=r"^the request is answered already$"):
        server.accept()


def test_early_data() -> None:
    server, event = ask(GOOD + b"\x81")
    assert isinstance(event, Request)
    assert server.receive(b"\x80") is None
    assert server.receive(GOOD) is None
    server.accept()
    assert server.receive(b"x") is None
    assert server.trailing == b"\x81\x80" + GOOD + b"x"


# ---- Names of the cases that others got wrong ------------------------------------------------------

EXTENSION_VALUES = ['""', "7", "8", "15", "16", "08", "0x9", "+9", "9.0", "1" + "0" * 30, '"9"', '"9', "'9'"]


@pytest.mark.parametrize("value", EXTENSION_VALUES)
def test_extension_parameters(value: str) -> None:
    """CVE-2026-2229: whatever a parameter has, it is passed on or refused; nothing else is raised."""
    field = f"permessage-deflate; server_max_window_bits={value}"
    _, event = ask(request(f"Sec-WebSocket-Extensions: {field}"))
    if value in ('""', '"9'):
        assert isinstance(event, Rejected)
        assert event.status == 400
    else:
        assert isinstance(event, Request)
        assert event.extensions == (field,)


@pytest.mark.parametrize(
    "name", ["constructor", "__proto__", "toString", "hasOwnProperty", "__class__", "get"]
)
def test_odd_names(name: str) -> None:
    """ws 3.3.1: names that are attributes of something."""
    data = request(
        f"Sec-WebSocket-Extensions: {name}; {name}; {name}={name}",
        f"Sec-WebSocket-Protocol: {name}",
        f"{name}: {name}",
    )
    server, event = ask(data, subprotocols=[name])
    assert isinstance(event, Request)
    assert event.headers.get(name) == name
    assert server.accept()[1].subprotocol == name
