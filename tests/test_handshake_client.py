"""The client's side of the opening handshake (RFC 6455 §4.1): requests, and both sides together."""

from __future__ import annotations

import base64
import os
import pickle
from typing import Any

import pytest
from handshakes import CHARS, KEY, NONCE, TEXT_CHARS, TOKEN_CHARS, URI, client_of
from hypothesis import given
from hypothesis import strategies as st

from wsfast.events import Rejected
from wsfast.handshake import ClientHandshake, ServerHandshake
from wsfast.uri import parse_uri

# ---- The request -----------------------------------------------------------------------------------


def test_request() -> None:
    client = client_of(
        origin="http://example.com",
        subprotocols=["chat", "superchat"],
        extensions="permessage-deflate; client_max_window_bits",
        headers=[("User-Agent", "x"), ("Cookie", "a=b")],
    )
    assert client.data == (
        b"GET /chat HTTP/1.1\r\n"
        b"Host: server.example.com\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Origin: http://example.com\r\n"
        b"Sec-WebSocket-Protocol: chat, superchat\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        b"User-Agent: x\r\n"
        b"Cookie: a=b\r\n"
        b"\r\n"
    )
    request = client.request
    assert request.target == "/chat"
    assert request.host == "server.example.com"
    assert request.origin == "http://example.com"
    assert request.subprotocols == ("chat", "superchat")
    assert request.extensions == ("permessage-deflate; client_max_window_bits",)
    # The server understands the same.
    assert ServerHandshake().receive(client.data) == request
    assert pickle.loads(pickle.dumps(request)) == request


@pytest.mark.parametrize(
    ("uri", "line", "host"),
    [
        ("ws://h", "GET / HTTP/1.1", "h"),
        ("wss://H:443/a?b", "GET /a?b HTTP/1.1", "h"),
        ("wss://h:80/é", "GET /%C3%A9 HTTP/1.1", "h:80"),
        ("ws://[::1]:8080/", "GET / HTTP/1.1", "[::1]:8080"),
        ("ws://bücher.example?q", "GET /?q HTTP/1.1", "xn--bcher-kva.example"),
    ],
)
def test_target_and_host(uri: str, line: str, host: str) -> None:
    for given_uri in (uri, parse_uri(uri)):
        client = ClientHandshake(given_uri)
        assert client.uri == parse_uri(uri)
        assert client.data.decode().split("\r\n")[:2] == [line, f"Host: {host}"]


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        ("Aladdin:open%20sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617 §2
        ("test:123%C2%A3", "dGVzdDoxMjPCow=="),  # RFC 7617 §2.1
        ("user", base64.b64encode(b"user:").decode()),
        (":p:q", base64.b64encode(b":p:q").decode()),
    ],
)
def test_basic_authentication(userinfo: str, credentials: str) -> None:
    client = ClientHandshake(f"wss://{userinfo}@h/")
    assert client.request.headers.get("Authorization") == f"Basic {credentials}"
    assert b"\r\nHost: h\r\n" in client.data
    with pytest.raises(ValueError) as raised:
        ClientHandshake(f"wss://{userinfo}@h/", headers={"authorization": "Bearer x"})
    assert str(raised.value) == "header field Authorization comes from the user info of uri (RFC 7617)"
    assert ClientHandshake("ws://h/", headers={"authorization": "Bearer x"}).data.count(b"Bearer x") == 1
    assert "Authorization" not in ClientHandshake("ws://@h/").request.headers


@pytest.mark.parametrize(
    ("userinfo", "message"),
    [
        ("a%3Ab:c", "user in uri must not have ':' (RFC 7617 §2)"),
        ("a%0D%0Ab:c", "user in uri must not have '\\r' (RFC 7617 §2)"),
        ("a:%00", "password in uri must not have '\\x00' (RFC 7617 §2)"),
        ("a:%C2%85", "password in uri must not have '\\x85' (RFC 7617 §2)"),
    ],
)
def test_wrong_user_info(userinfo: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        ClientHandshake(f"ws://{userinfo}@h/")
    assert str(raised.value) == message


def test_keys() -> None:
    """16 bytes from the system, other ones for each connection."""
    keys = {ClientHandshake("ws://h").request.headers.get("Sec-WebSocket-Key", "") for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}
    assert client_of().request.headers.get("Sec-WebSocket-Key") == KEY


def test_keys_come_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: NONCE[:n])
    assert ClientHandshake("ws://h").request.headers.get("Sec-WebSocket-Key") == KEY
    monkeypatch.setattr(os, "urandom", lambda n: b"x")
    with pytest.raises(RuntimeError, match=r"^os\.urandom\(16\) did not return 16 bytes$"):
        ClientHandshake("ws://h")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"uri": "http://h"}, ValueError, "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        ({"uri": 1}, TypeError, "uri must be a str, not int"),
        ({"origin": 1}, TypeError, "origin must be a str, not int"),
        ({"origin": ""}, ValueError, "origin must not be empty"),
        ({"origin": "a b"}, ValueError, "origin must be ASCII without spaces, not ' ' at index 1"),
        ({"origin": "https://é"}, ValueError, "origin must be ASCII without spaces, not 'é' at index 8"),
        ({"subprotocols": "chat"}, TypeError, "subprotocols must be a list of str, not str"),
        ({"subprotocols": [b"a"]}, TypeError, "a subprotocol must be a str, not bytes"),
        ({"subprotocols": [""]}, ValueError, "a subprotocol must not be empty (RFC 9110 §5.6.2)"),
        ({"subprotocols": ["a", "a"]}, ValueError, "subprotocols must not have 'a' twice (RFC 6455 §4.1)"),
        (
            {"subprotocols": ["a,b"]},
            ValueError,
            "a subprotocol must be a token, without ',' at index 1 (RFC 9110 §5.6.2)",
        ),
        ({"extensions": 1}, TypeError, "extensions must be a str, not int"),
        (
            {"extensions": " ,"},
            ValueError,
            "extensions must not begin or end with whitespace (RFC 9110 §5.5)",
        ),
        (
            {"extensions": ","},
            ValueError,
            "extensions must not be empty: None stands for no extension (RFC 6455 §9.1)",
        ),
        (
            {"extensions": "a=b"},
            ValueError,
            "extensions has '=b' where ',' or ';' must be (RFC 6455 §9.1)",
        ),
        (
            {"max_header_size": 0},
            ValueError,
            "max_header_size must be 1 or more, or None for no limit, not 0",
        ),
        ({"max_header_count": "1"}, TypeError, "max_header_count must be an int or None, not str"),
    ],
)
def test_wrong_arguments(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as raised:
        client_of(**options)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        (b"short", ValueError, "key must contain 16 bytes, not 5 (RFC 6455 §4.1)"),
        ("x" * 16, TypeError, "key must be bytes, not str"),
    ],
)
def test_wrong_key(key: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as raised:
        ClientHandshake(URI, key=key)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "ORIGIN",
        "connection",
        "Upgrade",
        "Content-Length",
        "Transfer-Encoding",
        "Trailer",
        "Expect",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Accept",
    ],
)
def test_own_headers(name: str) -> None:
    with pytest.raises(ValueError) as raised:
        client_of(headers=[("X", "y"), (name, "x")])
    assert str(raised.value) == f"header field {name} is written by the handshake itself (RFC 6455 §4)"


@pytest.mark.parametrize("char", CHARS, ids=lambda char: f"{ord(char):02X}")
def test_every_character_out(char: str) -> None:
    """CVE-2026-1527, CVE-2023-49081: nothing that a request is made of adds a line to it."""
    value = f"a{char}b"
    visible = "!" <= char <= "~"
    cases: list[tuple[bool, dict[str, Any]]] = [
        (char in TOKEN_CHARS, {"subprotocols": [value]}),
        (char in TOKEN_CHARS, {"headers": [(value, "x")]}),
        (char in TEXT_CHARS, {"headers": [("x", value)]}),
        (visible, {"origin": value}),
        (char in TOKEN_CHARS or char in ",;", {"extensions": value}),
    ]
    for good, options in cases:
        if not good:
            with pytest.raises(ValueError):
                client_of(**options)
            continue
        data = client_of(**options).data
        # The request line, five fields, this one, and the empty line.
        assert data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r") == 8
        assert value.encode("latin-1") in data
    for uri in (
        f"ws://h/{value}",
        f"ws://h/?{value}",
        f"ws://{value}/",
        f"ws://h:8{char}/",
        f"ws://{value}@h/",
    ):
        try:
            client = client_of(uri=uri)
        except ValueError:
            assert not visible or char in '#%@:\\/?[]"<>^`{|}' or not uri.startswith("ws://h/")
            continue
        assert client.data.count(b"\r\n") == client.data.count(b"\n") <= 8
        assert len(client.data.partition(b"\r\n")[0].split(b" ")) == 3


# ---- Both sides ------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from("abcdef"), unique=True, max_size=4),
    st.lists(st.sampled_from("abcdef"), unique=True, max_size=4),
    st.text("/?é=&a%天".replace("%", ""), max_size=10),
)
def test_both_sides(offered: list[str], supported: list[str], path: str) -> None:
    client = ClientHandshake(f"ws://example.com/{path}", subprotocols=offered)
    server = ServerHandshake(subprotocols=supported)
    assert server.receive(client.data) == client.request
    data, sent = server.accept()
    assert client.receive(data) == sent
    assert sent.subprotocol == next((name for name in offered if name in supported), None)


def test_both_sides_rejected() -> None:
    client, server = client_of(), ServerHandshake(origins=["https://a"])
    rejected = server.receive(client.data)
    assert isinstance(rejected, Rejected)
    event = client.receive(server.rejection)
    assert isinstance(event, Rejected)
    assert (event.status, event.headers, event.body) == (403, rejected.headers, rejected.body)
    assert event.error is None
