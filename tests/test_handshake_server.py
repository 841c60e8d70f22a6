"""Answers of the server's side of the opening handshake (RFC 6455 §4.2.2)."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from handshakes import CHARS, GOOD, TEXT_CHARS, TOKEN_CHARS, ask, request

from wsfast.errors import InvalidState
from wsfast.events import Rejected, Request
from wsfast.handshake import ServerHandshake

# ---- Accepting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("supported", "offered", "chosen"),
    [
        ([], [], None),
        (["a"], [], None),
        ([], ["a"], None),
        (["a"], ["b"], None),
        (["a"], ["A"], None),
        (["b", "a"], ["a, b"], "a"),
        (["b", "c"], ["a, b", "c"], "b"),
        (["c"], ["a, b", "c"], "c"),
    ],
)
def test_subprotocol_by_default(supported: list[str], offered: list[str], chosen: str | None) -> None:
    server, event = ask(request(*[f"Sec-WebSocket-Protocol: {o}" for o in offered]), subprotocols=supported)
    assert isinstance(event, Request)
    data, response = server.accept()
    assert response.subprotocol == chosen
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen
    assert (b"Sec-WebSocket-Protocol" in data) is (chosen is not None)


def test_subprotocol_by_hand() -> None:
    data = request("Sec-WebSocket-Protocol: a, b")
    assert ask(data, subprotocols=["a"])[0].accept(None)[1].subprotocol is None
    assert ask(data, subprotocols=["a"])[0].accept("b")[1].subprotocol == "b"
    server, _ = ask(data, subprotocols=["c"])
    with pytest.raises(ValueError) as raised:
        server.accept("c")
    assert str(raised.value) == "subprotocol 'c' is not offered by the client (RFC 6455 §4.2.2)"
    with pytest.raises(TypeError, match=r"^subprotocol must be a str, not int$"):
        server.accept(1)  # type: ignore[arg-type]
    assert server.accept("a")[1].subprotocol == "a"


def test_extensions() -> None:
    data = request("Sec-WebSocket-Extensions: foo; a, bar", "Sec-WebSocket-Extensions: baz")
    server, event = ask(data)
    assert isinstance(event, Request)
    assert event.extensions == ("foo; a, bar", "baz")
    for wrong, message in [
        ("qux", "extension 'qux' is not offered by the client (RFC 6455 §9.1)"),
        ("foo, qux", "extension 'qux' is not offered by the client (RFC 6455 §9.1)"),
        ("foo;", "extensions has the end where a token must be (RFC 6455 §9.1)"),
        ("", "extensions must not be empty: None stands for no extension (RFC 6455 §9.1)"),
        ("foo\r\n", "extensions must not have a control character: '\\r' at index 3 (RFC 9110 §5.5)"),
    ]:
        with pytest.raises(ValueError) as raised:
            server.accept(extensions=wrong)
        assert str(raised.value) == message
    answer, response = server.accept(extensions="foo; b=1, baz")
    assert response.extensions == ("foo; b=1, baz",)
    assert b"\r\nSec-WebSocket-Extensions: foo; b=1, baz\r\n" in answer


def test_accept_headers() -> None:
    server, _ = ask(GOOD, headers={"Server": "x"})
    data, response = server.accept(headers=[("Set-Cookie", "a=é"), ("Set-Cookie", "b")])
    assert data.endswith(b"\r\nServer: x\r\nSet-Cookie: a=\xe9\r\nSet-Cookie: b\r\n\r\n")
    assert response.headers.get_all("set-cookie") == ["a=é", "b"]


def test_answered_once() -> None:
    server = ServerHandshake()
    for answer in (server.accept, server.reject):
        with pytest.raises(InvalidState, match=r"^the request is not complete$"):
            answer()
    server.receive(GOOD)
    server.accept()
    for answer in (server.accept, server.reject):
        with pytest.raises(InvalidState, match=r"^the request is answered already$"):
            answer()


# ---- Rejecting -------------------------------------------------------------------------------------


def test_reject() -> None:
    server, _ = ask(GOOD, headers=[("Server", "x")])
    data, event = server.reject(401, [("WWW-Authenticate", "Basic")], "nö")
    assert data == (
        b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 3\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nServer: x\r\nWWW-Authenticate: Basic\r\n\r\nn\xc3\xb6"
    )
    assert (event.status, event.reason, event.body, event.error) == (401, "Unauthorized", b"n\xc3\xb6", None)
    assert server.receive_eof() is event
    assert server.receive(b"x") is None


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        ({}, b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            {"status": 302, "headers": {"Location": "/x"}},
            b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n",
        ),
        ({"status": 204}, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        ({"status": 599}, b"HTTP/1.1 599 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            {
                "status": 200,
                "reason": "Fine",
                "body": bytearray(b"{}"),
                "headers": {"content-type": "application/json"},
            },
            b"HTTP/1.1 200 Fine\r\nConnection: close\r\nContent-Length: 2\r\n"
            b"content-type: application/json\r\n\r\n{}",
        ),
        (
            {"status": 426},
            b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
)
def test_rejections(arguments: Any, data: bytes) -> None:
    server, _ = ask(GOOD)
    assert server.reject(**arguments)[0] == data


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"status": 101}, ValueError, "status must be between 200 and 599, not 101 (RFC 9110 §15)"),
        ({"status": 199}, ValueError, "status must be between 200 and 599, not 199 (RFC 9110 §15)"),
        ({"status": 600}, ValueError, "status must be between 200 and 599, not 600 (RFC 9110 §15)"),
        ({"status": "403"}, TypeError, "status must be an int, not str"),
        ({"status": 204, "body": "x"}, ValueError, "body must be empty with status 204 (RFC 9110 §6.4.1)"),
        ({"status": 304, "body": "x"}, ValueError, "body must be empty with status 304 (RFC 9110 §6.4.1)"),
        ({"body": 1}, TypeError, "body must be a bytes-like object, not int"),
        (
            {"body": memoryview(bytes(8)).cast("I")},
            TypeError,
            "body must be a buffer of single bytes, not of 4-byte items"
            " (memoryview(...).cast('B') gives their bytes)",
        ),
        (
            {"reason": "a\r\nb"},
            ValueError,
            "reason must not have a control character: '\\r' at index 1 (RFC 9110 §5.5)",
        ),
        ({"reason": 1}, TypeError, "reason must be a str, not int"),
    ],
)
def test_wrong_rejections(arguments: Any, kind: type[Exception], message: str) -> None:
    server, _ = ask(GOOD)
    with pytest.raises(kind) as raised:
        server.reject(**arguments)
    assert str(raised.value) == message
    assert server.accept()[0]


# ---- What goes out: all 256 bytes ------------------------------------------------------------------


@pytest.mark.parametrize("char", CHARS, ids=lambda char: f"{ord(char):02X}")
def test_every_character_out(char: str) -> None:
    """CVE-2026-1527, CVE-2020-35678, CVE-2020-7695, CVE-2025-67724: nothing that goes out adds a line."""
    value = f"a{char}b"
    token, text = char in TOKEN_CHARS, char in TEXT_CHARS
    data = request("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: a")

    def sent(good: bool, call: Any) -> None:
        server, _ = ask(data)
        if not good:
            with pytest.raises(ValueError):
                call(server)
            # Nothing went out: the request can still be answered.
            assert server.accept()[0].count(b"\n") == 5
            return
        head = call(server)[0].partition(b"\r\n\r\n")[0]
        assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") <= 5
        assert value.encode("latin-1") in head

    sent(token, lambda server: server.accept(headers=[(value, "x")]))
    sent(text, lambda server: server.accept(headers=[("x", value)]))
    sent(token, lambda server: server.reject(headers=[(value, "x")]))
    sent(text, lambda server: server.reject(headers=[("x", value)]))
    sent(text, lambda server: server.reject(reason=value))
    with pytest.raises(ValueError):
        ask(data)[0].accept(value)
    for options in [{"subprotocols": [value]}, {"headers": [(value, "x")]}]:
        if token:
            ServerHandshake(**options)  # type: ignore[arg-type]
        else:
            with pytest.raises(ValueError):
                ServerHandshake(**options)  # type: ignore[arg-type]
    # What ";" and "," make of it is a list too, if another one: "a;b" was offered, "b" was not.
    server, _ = ask(data)
    if char != ";":
        with pytest.raises(ValueError):
            server.accept(extensions=value)
    assert server.accept(extensions="a")[0].count(b"\n") == 6


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "content-length",
        "Trailer",
        "Transfer-Encoding",
        "UPGRADE",
        "Sec-WebSocket-Accept",
        "sec-websocket-protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Other",
    ],
)
def test_own_headers(name: str) -> None:
    message = f"header field {name} is written by the handshake itself (RFC 6455 §4)"
    server, _ = ask(GOOD)
    for call in (
        lambda: ServerHandshake(headers=[(name, "x")]),
        lambda: server.accept(headers=[(name, "x")]),
        lambda: server.reject(headers={name: "x"}),
    ):
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value) == message
    server.accept()


@pytest.mark.parametrize(
    ("subprotocols", "kind", "message"),
    [
        ("chat", TypeError, "subprotocols must be a list of str, not str"),
        ([1], TypeError, "a subprotocol must be a str, not int"),
        ([""], ValueError, "a subprotocol must not be empty (RFC 9110 §5.6.2)"),
        (["a", "b", "a"], ValueError, "subprotocols must not have 'a' twice (RFC 6455 §4.1)"),
    ],
)
def test_wrong_subprotocols(subprotocols: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as raised:
        ServerHandshake(subprotocols=subprotocols)
    assert str(raised.value) == message


def test_default_in_the_signature() -> None:
    shown = "subprotocol: 'str | _Unset | None' = <the first one that both sides support>"
    assert shown in str(inspect.signature(ServerHandshake.accept))


# ---- Requests for something else -------------------------------------------------------------------

PAGE = b"GET /page?a=1 HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"


def test_plain_http() -> None:
    server, event = ask(PAGE, plain_http=True, origins=["http://a"])
    assert isinstance(event, Request)
    assert (event.target, event.host, event.origin) == ("/page?a=1", "a", "http://b")
    assert str(event.error) == "Upgrade is missing, without 'websocket' (RFC 6455 §4.2.1)"
    assert event.error is not None
    assert event.error.status == 426
    with pytest.raises(InvalidState) as raised:
        server.accept()
    assert str(raised.value) == f"the request cannot be accepted: {event.error}"
    data, _ = server.reject(200, {"Content-Type": "text/html"}, "<p>")
    assert data == (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\nContent-Type: text/html\r\n\r\n<p>"
    )


def test_plain_http_head() -> None:
    server, event = ask(PAGE.replace(b"GET", b"HEAD"), plain_http=True)
    assert isinstance(event, Request)
    assert server.reject(200, body="<p>")[0] == (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    )


@pytest.mark.parametrize("more", [b"", b"Host: a\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"])
def test_plain_http_1_0(more: bytes) -> None:
    """HAProxy's health checks are of that version, without Host; an Upgrade field in it does not count."""
    data = b"GET /health HTTP/1.0\r\n" + more + b"\r\n"
    server, event = ask(data, plain_http=True)
    assert isinstance(event, Request)
    assert (event.target, event.host) == ("/health", "a" if b"Host" in more else "")
    assert str(event.error) == "HTTP version 1.0, not 1.1 or higher (RFC 6455 §4.2.1)"
    with pytest.raises(InvalidState):
        server.accept()
    assert server.reject(204)[0] == b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    _, event = ask(data)
    assert isinstance(event, Rejected)
    assert event.status == 400


@pytest.mark.parametrize(
    ("data", "options", "status"),
    [
        (PAGE, {}, 426),
        (PAGE.replace(b"GET", b"HEAD"), {}, 405),
        (PAGE.replace(b"GET", b"POST"), {"plain_http": True}, 405),
        (PAGE.replace(b"Host: a", b"Host: a b"), {"plain_http": True}, 400),
        (PAGE.replace(b"/page", b"page"), {"plain_http": True}, 400),
        (PAGE.replace(b"Host: a\r\n", b""), {"plain_http": True}, 400),
        (PAGE.replace(b"1.1\r\nHost: a", b"1.0\r\nHost: a b"), {"plain_http": True}, 400),
        (PAGE.replace(b"1.1", b"0.9"), {"plain_http": True}, 505),
        (request().replace(b"GET", b"HEAD"), {"plain_http": True}, 405),
        (request("Sec-WebSocket-Version: 8"), {"plain_http": True}, 400),
        (request("Origin: http://b"), {"plain_http": True, "origins": ["http://a"]}, 403),
    ],
)
def test_plain_http_does_not_let_faults_pass(data: bytes, options: Any, status: int) -> None:
    server, event = ask(data, **options)
    assert isinstance(event, Rejected)
    assert event.status == status
    assert server.rejection.startswith(b"HTTP/1.1 %d " % status)
