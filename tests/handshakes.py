"""Requests and responses of the opening handshake, and what characters they may have."""

from __future__ import annotations

from typing import Any

import pytest

from wsfast.errors import HandshakeError, InvalidState
from wsfast.events import Rejected, Request, Response
from wsfast.handshake import ClientHandshake, ServerHandshake

CHARS = [chr(i) for i in range(256)]
TOKEN_CHARS = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
TEXT_CHARS = {"\t", *map(chr, range(0x20, 0x7F)), *map(chr, range(0x80, 0x100))}

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

FIELDS = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(*more: str, line: str = "GET /chat HTTP/1.1", **changes: str | None) -> bytes:
    """A good request, with fields replaced (underscores for hyphens) or left out, and lines added."""
    fields = dict(FIELDS)
    for name, value in changes.items():
        known = {n.lower(): n for n in fields}[name.lower().replace("_", "-")]
        del fields[known]
        if value is not None:
            fields[known] = value
    lines = [line, *[f"{name}: {value}" for name, value in fields.items()], *more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


GOOD = request()


def ask(data: bytes, **options: Any) -> tuple[ServerHandshake, Request | Rejected | None]:
    server = ServerHandshake(**options)
    return server, server.receive(data)


def refused(data: bytes, status: int, message: str, **options: Any) -> bytes:
    """Check that `data` is refused, and return the response."""
    server, event = ask(data, **options)
    assert isinstance(event, Rejected)
    assert isinstance(event.error, HandshakeError)
    assert (str(event.error), event.error.status, event.status) == (message, status, status)
    body = (message + "\n").encode()
    assert event.body == body
    head, _, sent = server.rejection.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert sent == (b"" if data.startswith(b"HEAD ") else body)
    assert event.headers.get("Content-Length") == str(len(body))
    assert "close" in event.headers.get("Connection", "")
    assert server.trailing == b""
    # It stays so.
    assert server.receive(GOOD) is None
    assert server.receive_eof() is event
    with pytest.raises(InvalidState, match=r"^the request is "):
        server.accept()
    with pytest.raises(InvalidState, match=r"^the request is "):
        server.reject()
    return server.rejection


# ---- Responses -----------------------------------------------------------------------------------

NONCE = b"the sample nonce"
URI = "ws://server.example.com/chat"

RESPONSE_FIELDS = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}


def response(*more: str, line: str = "HTTP/1.1 101 Switching Protocols", **changes: str | None) -> bytes:
    """A good response, with fields replaced (underscores for hyphens) or left out, and lines added."""
    fields = dict(RESPONSE_FIELDS)
    for name, value in changes.items():
        known = {n.lower(): n for n in fields}[name.lower().replace("_", "-")]
        del fields[known]
        if value is not None:
            fields[known] = value
    lines = [line, *[f"{name}: {value}" for name, value in fields.items()], *more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


GOOD_RESPONSE = response()


def client_of(**options: Any) -> ClientHandshake:
    return ClientHandshake(options.pop("uri", URI), key=NONCE, **options)


def answer(data: bytes, **options: Any) -> tuple[ClientHandshake, Response | Rejected | None]:
    client = client_of(**options)
    return client, client.receive(data)
