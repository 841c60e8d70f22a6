"""ws:// and wss:// URIs (RFC 6455 §3)."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

__all__ = ["WebSocketURI", "check_authority", "parse_uri"]

_HEX = frozenset("0123456789abcdefABCDEF")
#: unreserved and sub-delims of RFC 3986: what a registered name is made of, apart from escapes.
_NAME = frozenset("-._~!$&'()*+,;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
#: What stands in a path or a query as it is. The rest is percent-encoded, as browsers do.
_RESOURCE = _NAME | frozenset(":@/?[]%")


class WebSocketURI:
    """The parts of a ws:// or wss:// URI (RFC 6455 §3). Immutable; the repr hides the password.

    Attributes:
        secure: whether the scheme is wss: the connection goes through TLS.
        host: the name or address to connect to: lower case, A-labels for international names (IDNA),
            an IPv6 address without its brackets.
        port: 1 to 65535: 80 for ws and 443 for wss when the URI has none.
        resource_name: the path, ``/`` if empty, and the query if there is one: ASCII, percent-encoded.
        user: the user in the user info, decoded; ``None`` without user info.
        password: the password in the user info, decoded; ``None`` without one.

    """

    __slots__ = ("host", "password", "port", "resource_name", "secure", "user")
    secure: bool
    host: str
    port: int
    resource_name: str
    user: str | None
    password: str | None

    def __init__(
        self,
        secure: bool,
        host: str,
        port: int,
        resource_name: str = "/",
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        for name, value in zip(self._order, (secure, host, port, resource_name, user, password), strict=True):
            object.__setattr__(self, name, value)

    _order = ("secure", "host", "port", "resource_name", "user", "password")

    @property
    def host_header(self) -> str:
        """The value of the Host field: with the port only when it is not the scheme's own (RFC 6455 §4.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._order])

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, WebSocketURI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        fields = [
            f"{name}={'...' if name == 'password' and value is not None else repr(value)}"
            for name, value in zip(self._order, self._values(), strict=True)
        ]
        return f"WebSocketURI({', '.join(fields)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return WebSocketURI, self._values()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"WebSocketURI is read-only: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"WebSocketURI is read-only: cannot delete {name!r}")


def parse_uri(uri: str) -> WebSocketURI:
    """Take a ws:// or wss:// URI apart (RFC 6455 §3, RFC 3986). Linear in its length.

    Non-ASCII characters in path and query are percent-encoded as UTF-8, and so are the few ASCII ones
    that no URI has, such as quotes and braces; an international host name becomes A-labels.

    Raises:
        TypeError: ``uri`` is not a ``str``.
        ValueError: it is no such URI: another scheme, no host, a bad port or address, a fragment,
            whitespace or a control character anywhere, a percent sign that escapes nothing. The
            message shows neither user nor password.

    """
    if not isinstance(uri, str):
        raise TypeError(f"uri must be a str, not {type(uri).__name__}")
    uri = str.__str__(uri)  # no subclass, whose methods could give other characters than are checked here
    for index, char in enumerate(uri):
        # Surrogates have no UTF-8.
        if char <= " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" or char.isspace():
            raise ValueError(
                f"uri must not have whitespace or control characters: {char!r} at index {index} (RFC 3986 §2)"
            )
    scheme, divider, rest = uri.partition("://")
    secure = scheme.lower() == "wss"
    if not divider or (not secure and scheme.lower() != "ws"):
        raise ValueError("uri must begin with ws:// or wss:// (RFC 6455 §3)")
    if "#" in rest:
        raise ValueError("uri must not have a fragment: write %23 for '#' (RFC 6455 §3)")
    end = min([at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0])
    authority, resource = rest[:end], rest[end:]
    userinfo, at_sign, location = authority.rpartition("@")
    user = password = None
    if at_sign:
        user, password = _user_and_password(userinfo)
    host, port = _split_port(location)
    path, _, query = resource.partition("?")
    name = _encoded(path or "/", "path")
    if query:
        name += "?" + _encoded(query, "query")
    return WebSocketURI(
        secure,
        _host(host),
        _port(port) if port else 443 if secure else 80,
        name,
        user,
        password,
    )


def _user_and_password(userinfo: str) -> tuple[str | None, str | None]:
    # A second "@" is how one host is made to look like another.
    if "@" in userinfo or "\\" in userinfo:
        raise ValueError("user info of uri must percent-encode '@' and '\\' (RFC 3986 §3.2.1)")
    if not userinfo:
        return None, None
    user, colon, password = userinfo.partition(":")
    return _decoded(user, "user"), _decoded(password, "password") if colon else None


def _decoded(text: str, what: str) -> str:
    _check_escapes(text, what)
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} in uri must be percent-encoded UTF-8 (RFC 3986 §2.5)") from None


def _check_escapes(text: str, what: str) -> None:
    at = text.find("%")
    while at >= 0:
        if len(text) < at + 3 or not _HEX.issuperset(text[at + 1 : at + 3]):
            raise ValueError(
                f"{what} of uri has a '%' without two hexadecimal digits behind it (RFC 3986 §2.1)"
            )
        at = text.find("%", at + 3)


def _encoded(text: str, what: str) -> str:
    _check_escapes(text, what)
    if _RESOURCE.issuperset(text):
        return text
    return "".join(
        [char if char in _RESOURCE else "".join([f"%{byte:02X}" for byte in char.encode()]) for char in text]
    )


def _split_port(location: str) -> tuple[str, str]:
    """Return host, in its brackets, and port, each perhaps empty."""
    if location.startswith("["):
        host, bracket, port = location.partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"uri must have an IPv6 address in brackets, not {location!r} (RFC 3986 §3.2.2)")
        return host + bracket, port[1:]
    host, _, port = location.partition(":")
    return host, port


def _port(port: str) -> int:
    if not _is_port(port):
        raise ValueError(f"port must be between 1 and 65535, not {port[:64]!r} (RFC 3986 §3.2.3)")
    return int(port)


def _is_port(port: str) -> bool:
    # Five digits at most, for int() takes long over many, and only ASCII ones.
    return len(port) <= 5 and port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535


def _address(literal: str) -> str:
    import ipaddress

    try:
        # Zones are no part of an address that a peer could be told of: RFC 9844.
        if "%" in literal:
            raise ValueError
        return str(ipaddress.IPv6Address(literal))
    except ValueError:
        raise ValueError(f"host must be an IPv6 address in the brackets, not {literal[:64]!r}") from None


def _host(host: str) -> str:
    if not host:
        raise ValueError("uri must have a host (RFC 6455 §3)")
    if host.startswith("["):
        return _address(host[1:-1])
    # DNS has no longer names (RFC 1035 §2.3.4), and the codec takes long over them.
    if len(host) > 253:
        raise ValueError(f"host must have 253 characters at most, not {len(host)}")
    name = host
    if not host.isascii():
        try:
            name = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"host {host!r} cannot be encoded as a DNS name (RFC 3490)") from None
    # Only now: the encoding turns a fullwidth "／" into "/".
    for char in name:
        if char not in _NAME:
            raise ValueError(f"host must not have {char!r} (RFC 3986 §3.2.2)")
    return name.lower()


def check_authority(value: str) -> bool:
    """Tell whether ``value`` is a host with or without a port: what a Host field has (RFC 9112 §3.2)."""
    if value.startswith("["):
        try:
            host, port = _split_port(value)
            _address(host[1:-1])
        except ValueError:
            return False
    else:
        host, _, port = value.partition(":")
        if not host or len(host) > 253 or not _NAME.issuperset(host):
            return False
    return not port or _is_port(port)
