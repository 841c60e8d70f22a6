"""Negotiation of the permessage-deflate extension (RFC 7692 §5, §7.1), for both roles.

A client offers, a server answers with what both will do: :class:`Deflate` says what this side wants,
:class:`DeflateParameters` what was agreed. What is done with it is in :mod:`wsfast.compression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import compression
from .errors import HandshakeError
from .headers import Extension, parse_extensions, shown

__all__ = ["Deflate", "DeflateParameters"]

NAME = "permessage-deflate"

_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS = ("server_max_window_bits", "client_max_window_bits")
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}
_LARGEST = 15
#: What a server takes unless told otherwise: a seventh of the memory for a tenth more bytes.
_SERVERS_WINDOW = 12
_SERVERS_MEM_LEVEL = 5
_CLIENTS_MEM_LEVEL = 8

#: The parameters of an offer or a response: ``True`` for a flag, an ``int`` for a window, ``None`` for a
#: ``client_max_window_bits`` without a value. What is not mentioned is not in it.
_Parameters = dict[str, "int | None"]


@dataclass(frozen=True)
class DeflateParameters:
    """What client and server have agreed on.

    ``str()`` gives the value of the response's Sec-WebSocket-Extensions field.

    Attributes:
        server_no_context_takeover: the server compresses each message by itself (RFC 7692 §7.1.1.1).
        client_no_context_takeover: the client does (§7.1.1.2).
        server_max_window_bits: greatest window of the server's compressor, as a power of 2: 8 to 15
            (§7.1.2.1).
        client_max_window_bits: that of the client's (§7.1.2.2).

    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _LARGEST
    client_max_window_bits: int = _LARGEST
    _text: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_parameters(self)
        if not self._text:
            said = {name: getattr(self, name) for name in _FLAGS if getattr(self, name)}
            said |= {name: getattr(self, name) for name in _WINDOWS if getattr(self, name) != _LARGEST}
            object.__setattr__(self, "_text", _format(said))

    def __str__(self) -> str:
        return self._text

    @classmethod
    def parse(cls, value: str) -> DeflateParameters:
        """Return the parameters of a response.

        Args:
            value: the Sec-WebSocket-Extensions field of a response, with permessage-deflate alone.

        Raises:
            HandshakeError: it is not the valid response of a server.

        """
        return cls._agreed(_parse_response([value]))

    @classmethod
    def _agreed(cls, response: _Parameters) -> DeflateParameters:
        return cls(
            server_no_context_takeover="server_no_context_takeover" in response,
            client_no_context_takeover="client_no_context_takeover" in response,
            server_max_window_bits=response.get("server_max_window_bits") or _LARGEST,
            client_max_window_bits=response.get("client_max_window_bits") or _LARGEST,
            _text=_format(response),
        )

    def inflater(self, role: str, backend: compression.Backend | None = None) -> compression.Inflater:
        """Return what decompresses the messages that come in.

        Args:
            role: the side that this process plays, ``"client"`` or ``"server"``.
            backend: the zlib module, ``None`` for the one that new connections use.

        """
        if role == "server":
            bits, alone = self.client_max_window_bits, self.client_no_context_takeover
        else:
            bits, alone = self.server_max_window_bits, self.server_no_context_takeover
        return compression.Inflater(bits, alone, backend=backend)

    def deflater(
        self, role: str, options: Deflate, backend: compression.Backend | None = None
    ) -> compression.Deflater:
        """Return what compresses the messages that go out.

        Args:
            role: the side that this process plays, ``"client"`` or ``"server"``.
            options: how to compress. The window is no larger than they say, and the context is not kept
                if they say so, even if the peer agreed to more.
            backend: the zlib module, ``None`` for the one that new connections use.

        Raises:
            ValueError: the zlib module has no such compression level.

        """
        if role == "server":
            bits, mem_level = self.server_max_window_bits, _SERVERS_MEM_LEVEL
            alone = self.server_no_context_takeover or options.server_no_context_takeover
        else:
            bits, mem_level = self.client_max_window_bits, _CLIENTS_MEM_LEVEL
            alone = self.client_no_context_takeover or options.client_no_context_takeover
        bits = min(bits, options._limit(role, f"{role}_max_window_bits"))
        mem_level = options.mem_level or mem_level
        return compression.Deflater(bits, alone, options.level, mem_level, options.threshold, backend)


@dataclass(frozen=True, kw_only=True)
class Deflate:
    """How to compress messages, and what to negotiate for it: permessage-deflate (RFC 7692).

    Immutable; one object serves any number of connections, in both roles. ``client_`` and ``server_``
    say whose compressor is meant, on whichever side the object is used.

    Args:
        level: compression level of the zlib module: 0 to 9, with isal 0 to 3; ``None`` for its default.
        mem_level: 1 to 9: memory of zlib's compressor beyond the window; ``None`` for 5 as a server and
            8 as a client.
        threshold: messages of fewer bytes are sent as they are.
        server_no_context_takeover: the server is to compress each message by itself, so that nothing
            need be kept between messages. A client asks the server for it.
        client_no_context_takeover: the client is to do so. A server asks the client for it.
        server_max_window_bits: greatest window of the server's compressor, as a power of 2: 8 to 15.
            A client asks the server for it, and fails the handshake if the server does not heed it.
            ``None`` for 12 as a server; a client then leaves it to the server.
        client_max_window_bits: greatest window of the client's compressor. A server asks the client for
            it if the client's offer allows that; else the client may use 15. ``None`` for 12 as a server
            and 15 as a client.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a number is outside its range, which the message states.

    A server has many connections, a client few: hence the different defaults. Measured with zlib 1.2.13,
    x86-64, the memory of one compressor and one decompressor in use, and what is left of trade reports of
    145 bytes and of documents of 3.6 kB, in percent, and the time to compress one, in microseconds::

        window, mem_level   compressor   decompressor    reports       documents
        15, 8               262 KiB      40 KiB          29.0   5.8    26.0   78
        15, 5               150 KiB      40 KiB          29.1   6.3    26.1  128
        12, 8               150 KiB      12 KiB          31.8   5.2    27.4   56
        12, 5                38 KiB      12 KiB          31.8   5.0    27.4   58
        11, 4                22 KiB       9 KiB          33.0   5.0    28.5   59
        9, 4                 16 KiB       8 KiB          41.1   4.7    36.9   54

    The decompressor keeps as much again as its window has, and up to a quarter more: see
    :class:`wsfast.compression.Inflater`. Without context takeover nothing is kept between messages.
    ``isal`` takes 140 to 270 KiB and 85 KiB, ``zlib_ng`` 150 to 330 KiB and 41 KiB, whatever the window.

    """

    level: int | None = None
    mem_level: int | None = None
    threshold: int = 128
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def __post_init__(self) -> None:
        if self.level is not None:
            _check_int("level", self.level, 0, 9, " or None")
        if self.mem_level is not None:
            _check_int("mem_level", self.mem_level, 1, 9, " or None")
        _check_int("threshold", self.threshold, 0)
        _check_parameters(self, " or None")

    def _limit(self, role: str, window: str) -> int:
        """Return the greatest size of a window as this role wants it."""
        bits: int | None = getattr(self, window)
        return bits or (_SERVERS_WINDOW if role == "server" else _LARGEST)

    def choose_backend(self) -> compression.Backend:
        """Return the zlib module that new connections use.

        Raises:
            ValueError: it has no such compression level.

        """
        backend = compression.current_backend()
        compression.check_level(self.level, backend)
        return backend

    def offer(self) -> str:
        """Return the client's Sec-WebSocket-Extensions value."""
        offer: _Parameters = {name: True for name in _FLAGS if getattr(self, name)}
        bits = self._limit("client", "server_max_window_bits")
        if bits != _LARGEST:
            offer["server_max_window_bits"] = bits
        # Always there, so that a server may ask for a smaller one (RFC 7692 §7.1.2.2).
        bits = self._limit("client", "client_max_window_bits")
        offer["client_max_window_bits"] = None if bits == _LARGEST else bits
        return _format(offer)

    def accept(self, values: Sequence[str]) -> DeflateParameters | None:
        """Choose among a client's offers: the first that is valid (RFC 7692 §5.1, §7.1).

        An offer with a parameter that is unknown, occurs twice or has an invalid value is declined, and
        other extensions are passed over.

        Args:
            values: the Sec-WebSocket-Extensions fields of the request, in order.

        Returns:
            The answer to it; ``None`` if no offer will do, for an answer without the extension.

        Raises:
            HandshakeError: a field breaks the grammar, or is empty (RFC 6455 §9.1; status 400).

        """
        for name, parameters in _parse(values):
            if name != NAME:
                continue
            try:
                offer = _parse_parameters(parameters, offered=True)
            except HandshakeError:
                continue
            return DeflateParameters._agreed(self._response(offer))
        return None

    def _response(self, offer: _Parameters) -> _Parameters:
        response: _Parameters = {name: True for name in _FLAGS if name in offer or getattr(self, name)}
        for name in _WINDOWS:
            # A client that does not mention its own window cannot be asked for a smaller one.
            if name in offer or name == "server_max_window_bits":
                offered = offer.get(name)
                bits = min(offered or _LARGEST, self._limit("server", name))
                # A value in the offer is a limit, which has to be confirmed or lowered.
                if offered is not None or bits != _LARGEST:
                    response[name] = bits
        return response

    def check_response(self, values: Sequence[str]) -> DeflateParameters | None:
        """Judge a server's answer to :meth:`offer` (RFC 7692 §5.1, §7.1).

        Args:
            values: the Sec-WebSocket-Extensions fields of the response, in order.

        Returns:
            What is agreed; ``None`` if the server declined, without such a field.

        Raises:
            HandshakeError: the answer has something that was not offered, or is not valid.

        """
        if not values:
            return None
        response = _parse_response(values)
        if self.server_no_context_takeover and "server_no_context_takeover" not in response:
            raise HandshakeError(
                "server accepted permessage-deflate without the server_no_context_takeover of the offer"
                " (RFC 7692 §7.1.1.1)"
            )
        if (
            self._limit("client", "server_max_window_bits") != _LARGEST
            and "server_max_window_bits" not in response
        ):
            raise HandshakeError(
                "server accepted permessage-deflate without the server_max_window_bits of the offer"
                " (RFC 7692 §7.1.2.1)"
            )
        for name, section in zip(_WINDOWS, ("7.1.2.1", "7.1.2.2"), strict=True):
            bits = response.get(name)
            limit = self._limit("client", name)
            if bits is not None and bits > limit:
                raise HandshakeError(
                    f"server answered {name}={bits} to an offer of {limit} (RFC 7692 §{section})"
                )
        return DeflateParameters._agreed(response)


def _format(parameters: _Parameters) -> str:
    parts = [NAME]
    for name, value in parameters.items():
        parts.append(name if value is None or name in _FLAGS else f"{name}={value}")
    return "; ".join(parts)


def _parse_parameters(pairs: Sequence[tuple[str, str | None]], *, offered: bool) -> _Parameters:
    """Check the parameters of an offer or a response, all rules but those that need both."""
    parameters: _Parameters = {}
    for name, value in pairs:
        if name not in _FLAGS and name not in _WINDOWS:
            raise HandshakeError(f"unknown permessage-deflate parameter {shown(name)} (RFC 7692 §7.1)")
        if name in parameters:
            raise HandshakeError(f"permessage-deflate parameter {name} occurs twice (RFC 7692 §7.1)")
        if name in _FLAGS:
            if value is not None:
                raise HandshakeError(f"{name} must have no value, not {shown(value)} (RFC 7692 §7.1.1)")
            parameters[name] = True
        elif value is None:
            if not offered or name == "server_max_window_bits":
                raise HandshakeError(f"{name} must have a value from 8 to 15 (RFC 7692 §7.1.2)")
            parameters[name] = None
        elif value not in _WINDOW_BITS:
            raise HandshakeError(f"{name} must be from 8 to 15, not {shown(value)} (RFC 7692 §7.1.2)")
        else:
            parameters[name] = _WINDOW_BITS[value]
    return parameters


def _parse(values: Sequence[str]) -> list[Extension]:
    extensions = parse_extensions(values)
    if values and not extensions:
        raise HandshakeError("Sec-WebSocket-Extensions names no extension (RFC 6455 §9.1)")
    return extensions


def _parse_response(values: Sequence[str]) -> _Parameters:
    extensions = _parse(values)
    for name, _ in extensions:
        if name != NAME:
            raise HandshakeError(f"server accepted {shown(name)}, which was not offered (RFC 6455 §4.1)")
    if len(extensions) > 1:
        raise HandshakeError("server accepted permessage-deflate twice (RFC 7692 §5.1)")
    return _parse_parameters(extensions[0][1], offered=False)


def _check_parameters(checked: Deflate | DeflateParameters, also: str = "") -> None:
    for name in _FLAGS:
        value = getattr(checked, name)
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    for name in _WINDOWS:
        if getattr(checked, name) is not None or not also:
            _check_int(name, getattr(checked, name), 8, 15, also)


def _check_int(name: str, value: object, least: int, most: int | None = None, also: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int{also}, not {type(value).__name__}")
    if value < least or (most is not None and value > most):
        allowed = f"{least} or more" if most is None else f"between {least} and {most}{also}"
        raise ValueError(f"{name} must be {allowed}, not {value}")
