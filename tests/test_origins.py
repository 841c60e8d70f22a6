"""Which web pages may connect (RFC 6455 §10.2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from handshakes import GOOD, ask, refused, request

from wsfast.events import Rejected, Request
from wsfast.handshake import ServerHandshake
from wsfast.origins import origin_allowed

# ---- Origins (RFC 6455 §10.2) ----------------------------------------------------------------------

ORIGINS: list[tuple[str | None, list[Any], bool]] = [
    ("https://example.com", ["https://example.com"], True),
    ("https://example.com", ["https://other.com", "https://example.com"], True),
    ("https://example.com", [], False),
    # No Origin: no browser. Allowed only when it says so.
    (None, ["https://example.com"], False),
    (None, [None], True),
    (None, ["https://example.com", None], True),
    ("https://example.com", [None], False),
    # "null": any page can have it.
    ("null", ["https://example.com"], False),
    ("null", [None], False),
    ("null", ["null"], True),
    ("NULL", ["null"], False),
    (None, ["null"], False),
    # Case.
    ("HTTPS://Example.COM", ["https://example.com"], True),
    ("https://example.com", ["HTTPS://EXAMPLE.com"], True),
    # Default ports; others count.
    ("https://example.com:443", ["https://example.com"], True),
    ("https://example.com", ["https://example.com:443"], True),
    ("http://example.com:80", ["http://example.com"], True),
    ("http://example.com:080", ["http://example.com"], True),
    ("https://example.com:80", ["https://example.com"], False),
    ("https://example.com:8443", ["https://example.com"], False),
    ("https://example.com", ["https://example.com:8443"], False),
    ("https://example.com:8443", ["https://example.com:8443"], True),
    ("https://example.com:4430", ["https://example.com"], False),
    # The scheme counts.
    ("http://example.com", ["https://example.com"], False),
    ("wss://example.com", ["https://example.com"], False),
    # Prefixes, suffixes, subdomains.
    ("https://example.com.evil.com", ["https://example.com"], False),
    ("https://evilexample.com", ["https://example.com"], False),
    ("https://sub.example.com", ["https://example.com"], False),
    ("https://example.com", ["https://sub.example.com"], False),
    ("https://example.comx", ["https://example.com"], False),
    ("https://example.com.", ["https://example.com"], False),
    ("https://evil.com/https://example.com", ["https://example.com"], False),
    ("https://evil.com#https://example.com", ["https://example.com"], False),
    # What is no origin.
    ("https://example.com/", ["https://example.com"], False),
    ("https://example.com:", ["https://example.com"], False),
    ("https://user@example.com", ["https://example.com"], False),
    ("https://example.com@evil.com", ["https://example.com"], False),
    ("https://example.com https://evil.com", ["https://example.com"], False),
    ("https://example.com,https://evil.com", ["https://example.com"], False),
    ("https://example.com\\.evil.com", ["https://example.com"], False),
    ("https://example.com:99999", ["https://example.com"], False),
    ("https://example.com:" + "4" * 5000, ["https://example.com"], False),
    ("https://", ["https://example.com"], False),
    ("example.com", ["https://example.com"], False),
    ("", ["https://example.com"], False),
    ("", [None], False),
    ("*", ["https://example.com"], False),
    ("https://e\u212aample.com", ["https://ekample.com"], False),  # the Kelvin sign
    ("https://example.com\xa0", ["https://example.com"], False),
    # Addresses, and what is not on the web.
    ("http://[::1]:8000", ["http://[::1]:8000"], True),
    ("http://[::1]:80", ["http://[::1]"], True),
    ("http://[::1]8000", ["http://[::1]"], False),
    ("http://[::1", ["http://[::1]"], False),
    ("http://[]", ["http://[::1]"], False),
    ("http://127.0.0.1", ["http://localhost"], False),
    ("file://", ["file://"], True),
    ("file://", ["null"], False),
    ("moz-extension://0f9b-1", ["moz-extension://0f9b-1"], True),
    # Patterns match the whole origin, in its usual form.
    ("https://a.example.com", [re.compile(r"https://[a-z]+\.example\.com")], True),
    ("HTTPS://A.example.com:443", [re.compile(r"https://[a-z]+\.example\.com")], True),
    ("https://a.example.com.evil.com", [re.compile(r"https://[a-z]+\.example\.com")], False),
    ("https://evil.com/https://a.example.com", [re.compile(r"https://[a-z]+\.example\.com")], False),
    ("https://a.example.com/", [re.compile(r"https://.*")], False),
    (None, [re.compile(r".*")], False),
]


@pytest.mark.parametrize(("origin", "allowed", "expected"), ORIGINS)
def test_origins(origin: str | None, allowed: list[Any], expected: bool) -> None:
    assert origin_allowed(origin, allowed) is expected
    if origin is not None and (
        not origin.isprintable() or max(origin, default="") > "\xff" or origin != origin.strip()
    ):
        return
    data = GOOD if origin is None else request(f"Origin: {origin}")
    server, event = ask(data, origins=allowed)
    if expected:
        assert isinstance(event, Request)
        assert event.origin == origin
        return
    assert isinstance(event, Rejected)
    assert event.status == 403
    assert str(event.error).endswith(" is not allowed (RFC 6455 §10.2)")
    assert server.rejection.startswith(b"HTTP/1.1 403 Forbidden\r\n")


def test_origin_messages() -> None:
    refused(GOOD, 403, "a request without Origin is not allowed (RFC 6455 §10.2)", origins=["https://a"])
    refused(
        request("Origin: https://b"),
        403,
        "origin 'https://b' is not allowed (RFC 6455 §10.2)",
        origins=["https://a"],
    )


def test_origins_unchecked_by_default() -> None:
    for data in (
        GOOD,
        request("Origin: https://evil.example"),
        request("Origin: null"),
        request("Origin: x y"),
    ):
        assert isinstance(ask(data)[1], Request)


@pytest.mark.parametrize(
    ("origins", "kind", "message"),
    [
        ("https://a", TypeError, "origins must be a list of origins, not str"),
        (re.compile("a"), TypeError, "origins must be a list of origins, not Pattern"),
        ([1], TypeError, "an origin must be a str, a pattern of str, or None, not int"),
        ([re.compile(b"a")], TypeError, "an origin must be a str, a pattern of str, or None, not Pattern"),
        *[
            (
                [entry],
                ValueError,
                f"an origin must be 'null' or scheme://host[:port] in ASCII, not {entry!r} (RFC 6454 §6.2)",
            )
            for entry in [
                "*",
                "example.com",
                "https://*.example.com",
                "https://a/",
                "https://é.com",
                "",
                "https://",
                "://a",
                "1a://b",
                "https://a:0",
                "https://a:x",
            ]
        ],
    ],
)
def test_wrong_origins(origins: Any, kind: type[Exception], message: str) -> None:
    for call in (lambda: ServerHandshake(origins=origins), lambda: origin_allowed("https://a", origins)):
        with pytest.raises(kind) as raised:
            call()
        assert str(raised.value) == message
