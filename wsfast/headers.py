"""Header fields of the opening handshake: a container, the check of what goes out, parsers of lists.

Every parser here works through its input once, from left to right: time and memory grow in proportion
to the length of the field, whatever stands in it. There is no regular expression.

The characters of a field's value are those of RFC 9110 §5.5: visible ASCII, space, tab, and the bytes
0x80 to 0xFF, which are taken and written as ISO-8859-1. So a value that was received can be sent again
as it is; what is not in ISO-8859-1 cannot be sent and has to be encoded by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, overload

from .characters import TEXT, TOKEN
from .errors import HandshakeError

__all__ = [
    "Extension",
    "Headers",
    "HeadersLike",
    "check_text",
    "check_token",
    "format_extensions",
    "parse_extensions",
    "parse_tokens",
    "shown",
]

#: What stands for header fields in arguments: pairs, or a mapping of names to values.
HeadersLike: TypeAlias = "Headers | Mapping[str, str] | Iterable[tuple[str, str]]"
#: An extension and its parameters, in order; the value of a parameter without one is ``None``.
Extension: TypeAlias = "tuple[str, list[tuple[str, str | None]]]"

_TEXT = frozenset(TEXT.decode("latin-1"))


def shown(value: str) -> str:
    """Return ``value`` for a message: its repr, cut short so that nobody fills a log."""
    return repr(value) if len(value) <= 64 else f"{value[:64]!r}... ({len(value)} characters)"


def _first_outside(value: str, allowed: frozenset[str]) -> int:
    """Return the index of the first character that is not ``allowed``; -1 when there is none."""
    if allowed.issuperset(value):
        return -1
    return next(i for i, char in enumerate(value) if char not in allowed)


def check_token(what: str, value: object) -> str:
    """Return ``value``, a token that is to be sent (RFC 9110 §5.6.2).

    What is returned is a ``str`` and no subclass, whose methods could give other characters than those
    that were checked.

    Args:
        what: its name in the message.
        value: what the caller gave.

    Raises:
        TypeError: ``value`` is not a ``str``.
        ValueError: it is empty, or has a character that no token has; the message names both.

    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    value = str.__str__(value)
    if not value:
        raise ValueError(f"{what} must not be empty (RFC 9110 §5.6.2)")
    index = _first_outside(value, TOKEN)
    if index >= 0:
        raise ValueError(
            f"{what} must be a token, without {value[index]!r} at index {index} (RFC 9110 §5.6.2)"
        )
    return value


def check_text(what: str, value: object) -> str:
    """Return ``value``, a field's value or a reason phrase that is to be sent (RFC 9110 §5.5).

    What is returned is a ``str`` and no subclass, as with :func:`check_token`.

    CR, LF, NUL and every other control character but the tab are refused: they would end the field.
    So are characters outside ISO-8859-1, and whitespace around the value, which a recipient drops.
    The value itself is not shown in the message, for it may be a secret.

    Args:
        what: its name in the message.
        value: what the caller gave; it may be empty.

    Raises:
        TypeError: ``value`` is not a ``str``.
        ValueError: it has such a character; the message names both.

    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    value = str.__str__(value)
    index = _first_outside(value, _TEXT)
    if index >= 0:
        where = f"{value[index]!r} at index {index} (RFC 9110 §5.5)"
        if value[index] >= "\u0100":
            raise ValueError(f"{what} must be ISO-8859-1 text, without {where}")
        raise ValueError(f"{what} must not have a control character: {where}")
    if value and (value[0] in " \t" or value[-1] in " \t"):
        raise ValueError(f"{what} must not begin or end with whitespace (RFC 9110 §5.5)")
    return value


class Headers:
    """The fields of a head: pairs of a name and a value, in order; a name may occur several times.

    Immutable. Names are found in any case. Iterating gives the pairs, ``len()`` their number. Two are
    equal when they have the same values under the same names, but for case, in the same order.

    Args:
        fields: pairs, a mapping, or other headers, each name and value a ``str``. Every name must be a
            token, every value pass :func:`check_text`.

    Raises:
        TypeError: a name or a value is not a ``str``, or ``fields`` are no pairs.
        ValueError: a name or a value could not be sent; the message names the field and the character.

    """

    # A connection keeps its heads, and they are searched only when it opens. So what was parsed stays what it
    # was, which takes a fifth of the memory of pairs.
    __slots__ = ("_fields",)
    _fields: tuple[tuple[str, str], ...] | bytes

    def __init__(self, fields: HeadersLike = ()) -> None:
        if isinstance(fields, Headers):
            _fill(self, fields._fields)
            return
        given: Any = fields.items() if isinstance(fields, Mapping) else fields
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise TypeError(f"headers must be pairs of str or a mapping, not {type(fields).__name__}")
        pairs = []
        for pair in given:
            # Pairs only: a str of two characters would unpack as well.
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(f"headers must be pairs of a name and a value, not {type(pair).__name__}")
            name = check_token("the name of a header field", pair[0])
            pairs.append((name, check_text(f"the value of {name}", pair[1])))
        _fill(self, tuple(pairs))

    @classmethod
    def from_checked(cls, pairs: Iterable[tuple[str, str]]) -> Headers:
        """Return headers of ``pairs`` that are known to be valid, such as those of a parsed head."""
        headers = cls.__new__(cls)
        _fill(headers, tuple(pairs))
        return headers

    @classmethod
    def from_lines(cls, lines: bytes) -> Headers:
        """Return headers of lines that are known to be well-formed, with a CR LF between them."""
        headers = cls.__new__(cls)
        _fill(headers, lines)
        return headers

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        fields = self._fields
        if isinstance(fields, tuple):
            return fields
        pairs = []
        for line in fields.decode("latin-1").split("\r\n") if fields else ():
            name, _, value = line.partition(":")
            pairs.append((name, value.strip(" \t")))
        return tuple(pairs)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: None) -> str | None: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value under ``name``, in any case; ``default`` without one."""
        values = self.get_all(name)
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        """Return all values under ``name``, in any case and in order; a new list, perhaps empty."""
        wanted = name.lower()
        return [value for known, value in self._pairs if known.lower() == wanted]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def _folded(self) -> tuple[tuple[str, str], ...]:
        return tuple([(name.lower(), value) for name, value in self._pairs])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._folded() == other._folded()

    def __hash__(self) -> int:
        return hash(self._folded())

    def __repr__(self) -> str:
        return f"Headers({list(self._pairs)!r})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Headers is read-only: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Headers is read-only: cannot delete {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Headers, (self._pairs,)


#: Sets what headers consist of; their own attributes cannot be set.
_fill = Headers.__dict__["_fields"].__set__


def parse_tokens(values: Iterable[str], field: str, *, slash: bool = False) -> list[str]:
    """Return the tokens of a list such as Connection, Upgrade or Sec-WebSocket-Protocol.

    Linear in the length of ``values``. Empty elements are skipped (RFC 9110 §5.6.1.2).

    Args:
        values: the values of all fields of that name, in order: they are one list (RFC 9110 §5.3).
        field: the name of the field, for messages.
        slash: whether an element may be a token, ``/`` and another one: ``HTTP/2.0`` (RFC 9110 §7.8).

    Raises:
        HandshakeError: an element is not a token (status 400).

    """
    tokens = []
    for value in values:
        for element in value.split(","):
            element = element.strip(" \t")
            if not element:
                continue
            name, divider, version = element.partition("/") if slash else (element, "", "")
            if not name or not TOKEN.issuperset(name) or (divider and not version):
                raise HandshakeError(f"{field} has {shown(element)}, which is not a token (RFC 9110 §5.6.2)")
            if not TOKEN.issuperset(version):
                raise HandshakeError(f"{field} has {shown(element)}, which is not a token (RFC 9110 §5.6.2)")
            tokens.append(element)
    return tokens


def parse_extensions(values: Iterable[str], field: str = "Sec-WebSocket-Extensions") -> list[Extension]:
    """Return the extensions of Sec-WebSocket-Extensions fields, in order (RFC 6455 §9.1).

    Linear in the length of ``values``. Names and values come as they stand, quoted ones without
    their quotes; whether a parameter makes sense is for the extension to judge. Empty elements of
    the list are skipped (RFC 9110 §5.6.1.2), and whitespace is allowed around ``;`` and ``=``.

    Args:
        values: the values of all such fields, in order: they are one list (RFC 6455 §9.1).
        field: the name of the field, for messages.

    Raises:
        HandshakeError: a value does not follow the grammar, or a quoted one is no token once its
            quotes are off (status 400).

    """
    extensions: list[Extension] = []
    for value in values:
        _Scanner(value, field).extensions(extensions)
    return extensions


class _Scanner:
    """One pass over the value of a Sec-WebSocket-Extensions field."""

    __slots__ = ("at", "field", "value")

    def __init__(self, value: str, field: str) -> None:
        self.value = value
        self.field = field
        self.at = 0

    def extensions(self, out: list[Extension]) -> None:
        while True:
            following = self._following()
            if following == ",":
                self.at += 1
                continue
            if not following:
                return
            name = self._token()
            parameters: list[tuple[str, str | None]] = []
            out.append((name, parameters))
            while self._following() == ";":
                self.at += 1
                parameters.append(self._parameter())
            if self._following() not in ("", ","):
                raise self._fault("',' or ';'")

    def _parameter(self) -> tuple[str, str | None]:
        self._following()
        name = self._token()
        if self._following() != "=":
            return name, None
        self.at += 1
        if self._following() == '"':
            return name, self._quoted()
        return name, self._token()

    def _following(self) -> str:
        """Skip whitespace and return the character behind it, "" at the end."""
        value, at, end = self.value, self.at, len(self.value)
        while at < end and value[at] in " \t":
            at += 1
        self.at = at
        return value[at : at + 1]

    def _token(self) -> str:
        value, start, end = self.value, self.at, len(self.value)
        at = start
        while at < end and value[at] in TOKEN:
            at += 1
        if at == start:
            raise self._fault("a token")
        self.at = at
        return value[start:at]

    def _quoted(self) -> str:
        """Read a quoted-string (RFC 9110 §5.6.4), whose content must be a token (RFC 6455 §9.1)."""
        value, at, end = self.value, self.at + 1, len(self.value)
        chars: list[str] = []
        while at < end:
            char = value[at]
            at += 1
            if char == '"':
                if not chars:
                    raise self._fault("a token in the quotes")
                self.at = at
                return "".join(chars)
            if char == "\\":
                char = value[at : at + 1]
                at += 1
            # This covers the backslash at the end, and every character that may not even be quoted.
            if char not in TOKEN:
                raise self._fault("a token in the quotes")
            chars.append(char)
        raise self._fault("a closing quote")

    def _fault(self, expected: str) -> HandshakeError:
        rest = self.value[self.at :]
        found = shown(rest) if rest else "the end"
        return HandshakeError(f"{self.field} has {found} where {expected} must be (RFC 6455 §9.1)")


def format_extensions(extensions: Iterable[tuple[str, Sequence[tuple[str, str | None]]]]) -> str:
    """Return the value of a Sec-WebSocket-Extensions field: what :func:`parse_extensions` reads.

    Args:
        extensions: names with their parameters; every name and every value is a token.

    Raises:
        TypeError: a name or a value is not a ``str``.
        ValueError: a name or a value is not a token (RFC 6455 §9.1).

    """
    elements = []
    for name, parameters in extensions:
        parts = [check_token("the name of an extension", name)]
        for key, value in parameters:
            key = check_token(f"a parameter of {name}", key)
            parts.append(key if value is None else f"{key}={check_token(f'the value of {key}', value)}")
        elements.append("; ".join(parts))
    return ", ".join(elements)
