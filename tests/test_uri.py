"""ws:// and wss:// URIs (RFC 6455 §3)."""

from __future__ import annotations

import ipaddress
import pickle
from typing import Any

import pytest

from wsfast.uri import WebSocketURI, check_authority, parse_uri


@pytest.mark.parametrize(
    ("uri", "secure", "host", "port", "name", "header"),
    [
        ("ws://example.com", False, "example.com", 80, "/", "example.com"),
        ("wss://example.com", True, "example.com", 443, "/", "example.com"),
        ("WSS://EXAMPLE.com/", True, "example.com", 443, "/", "example.com"),
        ("ws://example.com:80/", False, "example.com", 80, "/", "example.com"),
        ("ws://example.com:443/", False, "example.com", 443, "/", "example.com:443"),
        ("wss://example.com:80/", True, "example.com", 80, "/", "example.com:80"),
        ("ws://example.com:/a", False, "example.com", 80, "/a", "example.com"),
        ("ws://example.com:00080/a", False, "example.com", 80, "/a", "example.com"),
        ("ws://example.com:65535", False, "example.com", 65535, "/", "example.com:65535"),
        ("ws://127.0.0.1:8765/chat?x=1", False, "127.0.0.1", 8765, "/chat?x=1", "127.0.0.1:8765"),
        ("ws://h?q", False, "h", 80, "/?q", "h"),
        ("ws://h/?", False, "h", 80, "/", "h"),
        ("ws://h/a?b?c/d:e@f", False, "h", 80, "/a?b?c/d:e@f", "h"),
        ("ws://h//a/../b/./", False, "h", 80, "//a/../b/./", "h"),
        ("ws://h/é/天?ü=😀", False, "h", 80, "/%C3%A9/%E5%A4%A9?%C3%BC=%F0%9F%98%80", "h"),
        ("ws://h/%C3%a9%23", False, "h", 80, "/%C3%a9%23", "h"),
        ('ws://h/"<>\\^`{|}', False, "h", 80, "/%22%3C%3E%5C%5E%60%7B%7C%7D", "h"),
        ("ws://[::1]", False, "::1", 80, "/", "[::1]"),
        ("ws://[::1]:8080/", False, "::1", 8080, "/", "[::1]:8080"),
        ("ws://[2001:DB8:0:0::1]/", False, "2001:db8::1", 80, "/", "[2001:db8::1]"),
        (
            "ws://[::ffff:1.2.3.4]/",
            False,
            str(ipaddress.IPv6Address("::ffff:1.2.3.4")),
            80,
            "/",
            None,
        ),
        ("ws://Bücher.example/", False, "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("ws://例え。テスト:81/", False, "xn--r8jz45g.xn--zckzah", 81, "/", "xn--r8jz45g.xn--zckzah:81"),
        ("ws://a_b.example./", False, "a_b.example.", 80, "/", "a_b.example."),
    ],
)
def test_uri(uri: str, secure: bool, host: str, port: int, name: str, header: str | None) -> None:
    parsed = parse_uri(uri)
    assert (parsed.secure, parsed.host, parsed.port, parsed.resource_name) == (secure, host, port, name)
    assert (parsed.user, parsed.password) == (None, None)
    assert header in (None, parsed.host_header)
    assert check_authority(parsed.host_header)


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        ("", None, None),
        ("u", "u", None),
        ("u:", "u", ""),
        (":p", "", "p"),
        ("u:p", "u", "p"),
        ("u:p:q", "u", "p:q"),
        ("%40:%3A%25", "@", ":%"),
        ("%C3%A9:天", "é", "天"),
    ],
)
def test_user_info(userinfo: str, user: str | None, password: str | None) -> None:
    parsed = parse_uri(f"ws://{userinfo}@example.com/")
    assert (parsed.user, parsed.password, parsed.host) == (user, password, "example.com")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        ("example.com", "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        ("http://example.com", "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        ("ws:/example.com", "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        ("wsx://example.com", "uri must begin with ws:// or wss:// (RFC 6455 §3)"),
        ("ws://h/#", "uri must not have a fragment: write %23 for '#' (RFC 6455 §3)"),
        ("ws://h#f", "uri must not have a fragment: write %23 for '#' (RFC 6455 §3)"),
        ("ws://h?a#f", "uri must not have a fragment: write %23 for '#' (RFC 6455 §3)"),
        ("ws://", "uri must have a host (RFC 6455 §3)"),
        ("ws:///a", "uri must have a host (RFC 6455 §3)"),
        ("ws://:80/a", "uri must have a host (RFC 6455 §3)"),
        ("ws://u@/a", "uri must have a host (RFC 6455 §3)"),
        ("ws://h:0", "port must be between 1 and 65535, not '0' (RFC 3986 §3.2.3)"),
        ("ws://h:65536", "port must be between 1 and 65535, not '65536' (RFC 3986 §3.2.3)"),
        ("ws://h:-1", "port must be between 1 and 65535, not '-1' (RFC 3986 §3.2.3)"),
        ("ws://h:+1", "port must be between 1 and 65535, not '+1' (RFC 3986 §3.2.3)"),
        ("ws://h:1_0", "port must be between 1 and 65535, not '1_0' (RFC 3986 §3.2.3)"),
        ("ws://h:８０", "port must be between 1 and 65535, not '８０' (RFC 3986 §3.2.3)"),
        ("ws://h:80:80", "port must be between 1 and 65535, not '80:80' (RFC 3986 §3.2.3)"),
        ("ws://h:" + "1" * 99, f"port must be between 1 and 65535, not '{'1' * 64}' (RFC 3986 §3.2.3)"),
        ("ws://::1/", "uri must have a host (RFC 6455 §3)"),
        ("ws://[::1/", "uri must have an IPv6 address in brackets, not '[::1' (RFC 3986 §3.2.2)"),
        ("ws://[::1]80/", "uri must have an IPv6 address in brackets, not '[::1]80' (RFC 3986 §3.2.2)"),
        ("ws://[]/", "host must be an IPv6 address in the brackets, not ''"),
        ("ws://[1.2.3.4]/", "host must be an IPv6 address in the brackets, not '1.2.3.4'"),
        ("ws://[fe80::1%25eth0]/", "host must be an IPv6 address in the brackets, not 'fe80::1%25eth0'"),
        ("ws://[v1.a]/", "host must be an IPv6 address in the brackets, not 'v1.a'"),
        ("ws://a]/", "host must not have ']' (RFC 3986 §3.2.2)"),
        ("ws://a%41/", "host must not have '%' (RFC 3986 §3.2.2)"),
        ("ws://a\\b/", "host must not have '\\\\' (RFC 3986 §3.2.2)"),
        ("ws://evil.com／good.com/", "host must not have '/' (RFC 3986 §3.2.2)"),
        ("ws://evil.c℀.good.com/", "host must not have '/' (RFC 3986 §3.2.2)"),
        ("ws://a＠b/", "host must not have '@' (RFC 3986 §3.2.2)"),
        ("ws://é..com/", "host 'é..com' cannot be encoded as a DNS name (RFC 3490)"),
        ("ws://" + "é" * 64 + "/", f"host '{'é' * 64}' cannot be encoded as a DNS name (RFC 3490)"),
        ("ws://" + "a" * 254, "host must have 253 characters at most, not 254"),
        ("ws://a@b@c/", "user info of uri must percent-encode '@' and '\\' (RFC 3986 §3.2.1)"),
        ("ws://good.com\\@evil.com/", "user info of uri must percent-encode '@' and '\\' (RFC 3986 §3.2.1)"),
        ("ws://%ff@h/", "user in uri must be percent-encoded UTF-8 (RFC 3986 §2.5)"),
        ("ws://u:%ff@h/", "password in uri must be percent-encoded UTF-8 (RFC 3986 §2.5)"),
        ("ws://%@h/", "user of uri has a '%' without two hexadecimal digits behind it (RFC 3986 §2.1)"),
        (
            "ws://u:%0@h/",
            "password of uri has a '%' without two hexadecimal digits behind it (RFC 3986 §2.1)",
        ),
        ("ws://h/%", "path of uri has a '%' without two hexadecimal digits behind it (RFC 3986 §2.1)"),
        ("ws://h/%0", "path of uri has a '%' without two hexadecimal digits behind it (RFC 3986 §2.1)"),
        ("ws://h/?%0g", "query of uri has a '%' without two hexadecimal digits behind it (RFC 3986 §2.1)"),
    ],
)
def test_no_uri(uri: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_uri(uri)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "place",
    [
        "{}ws://h/",
        "ws{}://h/",
        "ws://{}h/",
        "ws://h{}/",
        "ws://h:80{}",
        "ws://u{}@h",
        "ws://h/{}",
        "ws://h/?{}",
    ],
)
def test_every_character(place: str) -> None:
    """Whatever stands anywhere, nothing gets out that would end a line or a field of the request."""
    for code in [*range(256), 0x1680, 0x2000, 0x2028, 0x2029, 0x3000, 0xD800, 0xDFFF]:
        char = chr(code)
        refused = code <= 0x20 or 0x7F <= code <= 0xA0 or code >= 0x100
        try:
            parsed = parse_uri(place.format(char))
        except ValueError as exc:
            where = f"{char!r} at index {place.index('{')} (RFC 3986 §2)"
            text = f"uri must not have whitespace or control characters: {where}"
            assert (str(exc) == text) is refused
        else:
            assert not refused
            for part in (parsed.host_header, parsed.resource_name):
                assert all("!" <= c <= "~" for c in part)


@pytest.mark.parametrize("uri", [None, b"ws://h", 1])
def test_wrong_type(uri: Any) -> None:
    with pytest.raises(TypeError, match=f"^uri must be a str, not {type(uri).__name__}$"):
        parse_uri(uri)


def test_value_object() -> None:
    parsed: Any = parse_uri("wss://user:secret@h:1/x")
    assert repr(parsed) == (
        "WebSocketURI(secure=True, host='h', port=1, resource_name='/x', user='user', password=...)"
    )
    assert repr(parse_uri("ws://h")).endswith("user=None, password=None)")
    assert parsed == parse_uri("wss://user:secret@H:1/x")
    assert hash(parsed) == hash(parse_uri("wss://user:secret@H:1/x"))
    assert parsed != parse_uri("wss://user:other@h:1/x")
    assert parsed != "wss://user:secret@h:1/x"
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    with pytest.raises(AttributeError, match="WebSocketURI is read-only: cannot set 'host'"):
        parsed.host = "x"
    with pytest.raises(AttributeError, match="WebSocketURI is read-only: cannot delete 'host'"):
        del parsed.host
    assert WebSocketURI(False, "h", 80).resource_name == "/"


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("example.com", True),
        ("example.com:80", True),
        ("EXAMPLE.com:", True),
        ("[::1]", True),
        ("[::1]:80", True),
        ("127.0.0.1", True),
        ("", False),
        (":80", False),
        ("a b", False),
        ("a/b", False),
        ("a@b", False),
        ("a:b", False),
        ("a:0", False),
        ("a:99999", False),
        ("::1", False),
        ("[::1", False),
        ("[::g]", False),
        ("[]", False),
        ("é", False),
        ("a" * 254, False),
        ("a" * 60000, False),
        ("[" + ":" * 60000 + "]", False),
    ],
)
def test_authority(value: str, valid: bool) -> None:
    assert check_authority(value) is valid
