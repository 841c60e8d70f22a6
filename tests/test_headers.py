"""Header fields: the container, what may be sent, and parsers of lists that take linear time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear import by_the_clock, check_linear

from wsfast.errors import HandshakeError
from wsfast.headers import (
    Headers,
    check_text,
    check_token,
    format_extensions,
    parse_extensions,
    parse_tokens,
)

CHARS = [chr(i) for i in range(256)]
#: A token of all characters that one can have.
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TOKEN_CHARS = set(TOKEN)
TEXT_CHARS = {"\t", *map(chr, range(0x20, 0x7F)), *map(chr, range(0x80, 0x100))}

PAIRS = [("Host", "example.org"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Empty", "")]


# ---- The container ---------------------------------------------------------------------------------


def test_headers() -> None:
    headers = Headers(PAIRS)
    assert list(headers) == PAIRS
    assert len(headers) == 4
    assert headers.get("HOST") == "example.org"
    assert headers.get("Set-Cookie") == "a=1"
    assert headers.get_all("SET-COOKIE") == ["a=1", "b=2"]
    assert headers.get("X-Empty", "other") == ""
    assert headers.get("missing") is None
    assert headers.get("missing", "other") == "other"
    assert headers.get_all("missing") == []
    assert "hOsT" in headers
    assert "Hos" not in headers
    assert 1 not in headers
    assert repr(Headers(PAIRS[:1])) == "Headers([('Host', 'example.org')])"


def test_headers_are_made_from() -> None:
    headers = Headers(PAIRS)
    assert Headers(headers) == headers
    assert Headers(iter(PAIRS)) == headers
    assert Headers([list(pair) for pair in PAIRS]) == headers  # type: ignore[misc]
    assert list(Headers({"a": "1", "B": "2"})) == [("a", "1"), ("B", "2")]
    assert len(Headers()) == 0
    assert not Headers()


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (Headers(PAIRS), True),
        (Headers([(name.upper(), value) for name, value in PAIRS]), True),
        (Headers([(name, value.upper()) for name, value in PAIRS]), False),
        (Headers(PAIRS[::-1]), False),
        (Headers(PAIRS[1:]), False),
        (PAIRS, False),
    ],
    ids=["same", "case of names", "case of values", "order", "fewer", "list"],
)
def test_headers_equal(other: object, equal: bool) -> None:
    headers = Headers(PAIRS)
    assert (headers == other) is equal
    assert (headers != other) is not equal
    if equal:
        assert hash(headers) == hash(other)


def test_headers_pickle() -> None:
    headers = Headers.from_checked([*PAIRS, ("x", "é\x80\xff")])
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(headers, protocol))
        assert list(copy) == list(headers)


def test_headers_are_read_only() -> None:
    headers: Any = Headers(PAIRS)
    with pytest.raises(AttributeError, match="Headers is read-only: cannot set 'x'"):
        headers.x = 1
    with pytest.raises(AttributeError, match="Headers is read-only: cannot set '_pairs'"):
        headers._pairs = ()
    with pytest.raises(AttributeError, match="Headers is read-only: cannot delete '_pairs'"):
        del headers._pairs
    headers.get_all("set-cookie").append("c=3")
    assert headers.get_all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("ab", "headers must be pairs of str or a mapping, not str"),
        (b"ab", "headers must be pairs of str or a mapping, not bytes"),
        (None, "headers must be pairs of str or a mapping, not NoneType"),
        (["ab"], "headers must be pairs of a name and a value, not str"),
        ([("a",)], "headers must be pairs of a name and a value, not tuple"),
        ([("a", "b", "c")], "headers must be pairs of a name and a value, not tuple"),
        ([(b"a", "b")], "the name of a header field must be a str, not bytes"),
        ([("a", b"b")], "the value of a must be a str, not bytes"),
        ({"a": 1}, "the value of a must be a str, not int"),
    ],
)
def test_headers_of_wrong_types(fields: Any, message: str) -> None:
    with pytest.raises(TypeError) as raised:
        Headers(fields)
    assert str(raised.value) == message


# ---- What may be sent ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("char", [*CHARS, "Ā", "天", "\u2028", "\ud800"])
def test_every_character_in_a_name(char: str, where: int) -> None:
    name = ["ab" + char, "a" + char + "b", char + "ab"][where]
    if char in TOKEN_CHARS:
        assert list(Headers([(name, "")])) == [(name, "")]
        return
    with pytest.raises(ValueError) as raised:
        Headers([(name, "")])
    index = name.index(char)
    assert str(raised.value) == (
        f"the name of a header field must be a token, without {char!r} at index {index} (RFC 9110 §5.6.2)"
    )


@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("char", [*CHARS, "Ā", "天", "\u2028", "\ud800"])
def test_every_character_in_a_value(char: str, where: int) -> None:
    value = ["ab" + char, "a" + char + "b", char + "ab"][where]
    if char in TEXT_CHARS and (char not in " \t" or where == 1):
        assert list(Headers([("x", value)])) == [("x", value)]
        return
    with pytest.raises(ValueError) as raised:
        Headers([("x", value)])
    index = value.index(char)
    if char in " \t":
        expected = "the value of x must not begin or end with whitespace (RFC 9110 §5.5)"
    elif char > "\xff":
        expected = (
            f"the value of x must be ISO-8859-1 text, without {char!r} at index {index} (RFC 9110 §5.5)"
        )
    else:
        expected = (
            f"the value of x must not have a control character: {char!r} at index {index} (RFC 9110 §5.5)"
        )
    assert str(raised.value) == expected


def test_secrets_are_not_shown() -> None:
    with pytest.raises(ValueError) as raised:
        check_text("the value of Authorization", "Basic c2VjcmV0\r\nX: y")
    assert "c2Vj" not in str(raised.value)


def test_empty() -> None:
    assert check_text("x", "") == ""
    with pytest.raises(ValueError, match=r"^x must not be empty \(RFC 9110 §5\.6\.2\)$"):
        check_token("x", "")


# ---- Lists of tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ([], []),
        ([""], []),
        (["upgrade"], ["upgrade"]),
        (["keep-alive, Upgrade"], ["keep-alive", "Upgrade"]),
        (["keep-alive,Upgrade"], ["keep-alive", "Upgrade"]),
        (["keep-alive", "Upgrade"], ["keep-alive", "Upgrade"]),
        (["a \t,\t b"], ["a", "b"]),
        ([",a,,b,", " , ", "c"], ["a", "b", "c"]),
        ([TOKEN], [TOKEN]),
        (["notupgrade, xupgrade, upgrade-insecure"], ["notupgrade", "xupgrade", "upgrade-insecure"]),
        (["constructor, __proto__, toString"], ["constructor", "__proto__", "toString"]),
    ],
)
def test_tokens(values: list[str], tokens: list[str]) -> None:
    assert parse_tokens(values, "Connection") == tokens


@pytest.mark.parametrize(
    ("value", "element"),
    [
        ("a b", "'a b'"),
        ("a, b c, d", "'b c'"),
        ('"a"', "'\"a\"'"),
        ("a;b", "'a;b'"),
        ("HTTP/2", "'HTTP/2'"),
        ("é", "'é'"),
        ("\x00", "'\\x00'"),
        ("\xa0a", "'\\xa0a'"),
        ("(" * 100, f"'{'(' * 64}'... (100 characters)"),
    ],
)
def test_no_tokens(value: str, element: str) -> None:
    with pytest.raises(HandshakeError) as raised:
        parse_tokens(["x", value], "Connection")
    assert str(raised.value) == f"Connection has {element}, which is not a token (RFC 9110 §5.6.2)"
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("websocket", ["websocket"]),
        ("HTTP/2.0, websocket", ["HTTP/2.0", "websocket"]),
        ("a/b/c", None),
        ("a/", None),
        ("/b", None),
        ("/", None),
        ("a/ b", None),
    ],
)
def test_protocols(value: str, names: list[str] | None) -> None:
    if names is not None:
        assert parse_tokens([value], "Upgrade", slash=True) == names
        return
    with pytest.raises(HandshakeError, match=r"^Upgrade has '.*', which is not a token"):
        parse_tokens([value], "Upgrade", slash=True)


# ---- Lists of extensions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        ([], []),
        (["", " ", ",,", " ,\t, "], []),
        (["foo"], [("foo", [])]),
        (["foo, bar", "baz"], [("foo", []), ("bar", []), ("baz", [])]),
        (["foo; a"], [("foo", [("a", None)])]),
        (["foo;a=1;b;c=x"], [("foo", [("a", "1"), ("b", None), ("c", "x")])]),
        (['foo; a="1"'], [("foo", [("a", "1")])]),
        (['foo; a="\\1\\2"'], [("foo", [("a", "12")])]),
        (['\tfoo ; a = 1 , , bar\t; b = "x" '], [("foo", [("a", "1")]), ("bar", [("b", "x")])]),
        (["foo; a; a=1; a"], [("foo", [("a", None), ("a", "1"), ("a", None)])]),
        (
            ["permessage-deflate; client_max_window_bits, permessage-deflate"],
            [("permessage-deflate", [("client_max_window_bits", None)]), ("permessage-deflate", [])],
        ),
        (["constructor; __proto__=1"], [("constructor", [("__proto__", "1")])]),
    ],
)
def test_extensions(values: list[str], extensions: list[Any]) -> None:
    assert parse_extensions(values) == extensions
    assert parse_extensions([format_extensions(extensions)]) == extensions


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        (";", "';'", "a token"),
        ("=", "'='", "a token"),
        ("foo;", "the end", "a token"),
        ("foo; ", "the end", "a token"),
        ("foo;;a", "';a'", "a token"),
        ("foo; , bar", "', bar'", "a token"),
        ("foo; a=", "the end", "a token"),
        ("foo; a=,", "','", "a token"),
        ("foo; a==1", "'=1'", "a token"),
        ("foo=1", "'=1'", "',' or ';'"),
        ("foo bar", "'bar'", "',' or ';'"),
        ("foo; a b", "'b'", "',' or ';'"),
        ("foo; a=1 2", "'2'", "',' or ';'"),
        ('foo; a="1"2', "'2'", "',' or ';'"),
        ('"foo"', "'\"foo\"'", "a token"),
        ('foo; "a"=1', "'\"a\"=1'", "a token"),
        ('foo; a=""', "'\"\"'", "a token in the quotes"),
        ('foo; a="x y"', "'\"x y\"'", "a token in the quotes"),
        ('foo; a="x,y"', "'\"x,y\"'", "a token in the quotes"),
        ('foo; a="x\\"y"', '\'"x\\\\"y"\'', "a token in the quotes"),
        ('foo; a="\\', "'\"\\\\'", "a token in the quotes"),
        ('foo; a="', "'\"'", "a closing quote"),
        ('foo; a="x', "'\"x'", "a closing quote"),
        ("foo; é", "'é'", "a token"),
        ("foo\x00", "'\\x00'", "',' or ';'"),
    ],
)
def test_no_extensions(value: str, found: str, expected: str) -> None:
    for values in ([value], ["foo; a=1", value]):
        with pytest.raises(HandshakeError) as raised:
            parse_extensions(values)
        assert str(raised.value) == (
            f"Sec-WebSocket-Extensions has {found} where {expected} must be (RFC 6455 §9.1)"
        )
        assert raised.value.status == 400


tokens = st.text(TOKEN, min_size=1, max_size=8)
lists = st.lists(
    st.tuples(tokens, st.lists(st.tuples(tokens, st.none() | tokens), max_size=4)), min_size=1, max_size=4
)


@given(lists)
def test_format_and_parse(extensions: list[Any]) -> None:
    assert parse_extensions([format_extensions(extensions)]) == extensions


@given(st.text('a1;=," \t\\\x00é', max_size=20))
def test_any_list_of_extensions(value: str) -> None:
    """No exception but the documented one; and what is understood is understood the same again."""
    try:
        extensions = parse_extensions([value])
    except HandshakeError:
        return
    assert parse_extensions([format_extensions(extensions)]) == extensions


@pytest.mark.parametrize("char", [c for c in CHARS if c not in TOKEN_CHARS])
def test_format_refuses(char: str) -> None:
    cases: list[list[Any]] = [[(f"a{char}", [])], [("a", [(f"b{char}", None)])], [("a", [("b", f"c{char}")])]]
    for extensions in cases:
        with pytest.raises(ValueError, match="must be a token, without"):
            format_extensions(extensions)


# ---- Linear time -----------------------------------------------------------------------------------

PATTERNS: dict[str, Callable[[int], str]] = {
    "spaces": lambda n: " " * n,
    "commas": lambda n: "," * n,
    "spaces and commas": lambda n: " ," * (n // 2),
    "spaces in a token": lambda n: "a" + " " * (n - 2) + "b",
    "quotes": lambda n: '"' * n,
    "backslashes": lambda n: "\\" * n,
    "an open quote": lambda n: 'a; b="' + "c" * n,
    "backslashes in quotes": lambda n: 'a; b="' + "\\c" * (n // 2) + '"',
    "backslashes in an open quote": lambda n: 'a; b="' + "\\c" * (n // 2),
    "parameters": lambda n: "a" + '; b="c"' * (n // 7),
    "parameters and spaces": lambda n: "a;" + " " * n + "b" + " " * n + "=" + " " * n + "c",
    "elements": lambda n: "a, " * (n // 3),
    "semicolons": lambda n: "a" + ";" * n,
    "letters": lambda n: "a" * n,
}
PARSERS: dict[str, Callable[[str], object]] = {
    "tokens": lambda value: parse_tokens([value], "Connection"),
    "protocols": lambda value: parse_tokens([value], "Upgrade", slash=True),
    "extensions": lambda value: parse_extensions([value]),
}


@by_the_clock
@pytest.mark.parametrize("size", [1 << power for power in range(10, 16)])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("parser", PARSERS)
def test_linear_time(parser: str, pattern: str, size: int) -> None:
    """CVE-2021-32640 and CVE-2020-7662: twice the input must not take four times as long."""

    def prepare(n: int) -> Callable[[], object]:
        value = PATTERNS[pattern](n)

        def work() -> None:
            with suppress(HandshakeError):
                PARSERS[parser](value)

        return work

    check_linear(prepare, size)
