"""Make the ``websockets`` library parse, mask and build frames with wsfast.

What is replaced, for its asyncio, threading and trio APIs alike, and for whatever else is built on its
Sans-I/O layer (uvicorn, sanic ...):

* ``Protocol.receive_data``: whole buffers go to :class:`wsfast.FrameDecoder`, not single frames to a
  chain of generators;
* ``Frame.serialize``: :func:`wsfast.encode_frame`;
* ``apply_mask``, which the legacy API calls itself: :func:`wsfast.apply_mask`.

The library's own parser stays in charge. The fast path takes only what is whole, legal and known to
it; at anything else - a broken rule, the end of the stream, a limit exceeded, a handshake - the bytes
are in the library's own buffer, and its own generator takes over, between two frames. So errors, close
codes and their order are the library's. An exception that the fast path does meet, in an extension or
in ``recv_frame``, is thrown into that generator, whose handlers do what they always do.

Without its C backend wsfast masks slower than the library does if that has its own. Then what is masked
stays with the library: only what clients read and servers send goes through wsfast.

Two things are stricter than in the library: a payload length that is not in its shortest form fails
the connection with 1002, as RFC 6455 §5.2 demands; and sending a ``memoryview`` of items wider than a
byte is a ``TypeError``, instead of a frame with a wrong length.

One thing is more lenient: a server can send a ``memoryview`` that is not contiguous, as a client can in
the library too; there it is a ``BufferError``.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any, NamedTuple

from .._backend import apply_mask
from . import AdapterError

__all__ = ["SUPPORTED", "install", "plan", "uninstall", "version"]

SUPPORTED = "13.0 to 17.x"

_OLDEST = (13, 0)
_ADVICE = f"pip install --upgrade 'websockets>={_OLDEST[0]}.{_OLDEST[1]}'"


class _Change(NamedTuple):
    """One replacement."""

    owner: Any  # a class or a module
    name: str  # of its attribute
    label: str  # for people
    old: Any
    new: Any


# What is in place.
_changes: list[_Change] = []


def version() -> str:
    """Return the version of the installed ``websockets``; ``ImportError`` if there is none."""
    from websockets.version import version

    return str(version)


def plan() -> list[str]:
    """Say, one line each, what :func:`install` replaces in the library that is installed here.

    Raises:
        AdapterError: what it would raise.

    """
    return [change.label for change in _changes or _prepare()]


def install() -> None:
    """Put wsfast in place.

    Raises:
        AdapterError: ``websockets`` is missing, too old, or not as this adapter knows it.

    """
    changes = _prepare()
    from . import _websockets_frames as ours

    ours.bind()
    _apply(changes)
    try:
        _try_out()
    except BaseException:
        _revert(changes)
        raise
    _changes[:] = changes


def uninstall() -> None:
    """Put back what was there, the same objects.

    Raises:
        AdapterError: something else has been put in place of wsfast since.

    """
    for change in _changes:
        if vars(change.owner)[change.name] is not change.new:
            raise AdapterError(
                f"{change.label} has been replaced by something else since wsfast was installed:"
                " undo that first"
            )
    _revert(_changes)
    # Whoever imported the legacy API in the meantime got the function from where we had put it.
    legacy = sys.modules.get("websockets.legacy.framing")
    if legacy is not None and getattr(legacy, "apply_mask", None) is apply_mask:
        vars(legacy)["apply_mask"] = next(change.old for change in _changes if change.name == "apply_mask")
    _changes.clear()


def _prepare() -> list[_Change]:
    """Check the library, and list what to replace; nothing is changed yet."""
    try:
        found = version()
    except ImportError as exc:
        if exc.name not in ("websockets", "websockets.version"):
            raise
        raise AdapterError(f"websockets is not installed: {_ADVICE}") from exc
    numbers = tuple(int(number) for number in found.split(".")[:2] if number.isdecimal())
    if numbers < _OLDEST:
        raise AdapterError(f"websockets {found} is too old, wsfast knows {SUPPORTED}: {_ADVICE}")
    try:
        from websockets import frames, protocol, streams, utils  # noqa: F401

        for function in (
            protocol.Protocol.receive_data,
            protocol.Protocol.recv_frame,
            protocol.Protocol.parse,
            frames.Frame.serialize,
            frames.Frame.check,
            streams.StreamReader.at_eof,
            streams.StreamReader.read_exact,
        ):
            if not isinstance(function, FunctionType):
                raise AttributeError(f"{function!r} is not a function in Python")
        # The legacy API is not imported, as that would warn. If somebody does so later, it takes the
        # function from where this module puts it.
        source = "websockets.speedups" if "websockets.speedups" in sys.modules else "websockets.utils"
        modules = ["websockets.frames", source, "websockets.legacy.framing"]
        from . import _websockets_frames as ours

        replacements: list[tuple[Any, str, str, Any]] = [
            (
                protocol.Protocol,
                "receive_data",
                "websockets.protocol.Protocol.receive_data",
                ours.receive_data,
            ),
            (frames.Frame, "serialize", "websockets.frames.Frame.serialize", ours.serialize),
            *(
                (sys.modules[module], "apply_mask", f"{module}.apply_mask", apply_mask)
                for module in modules
                if module in sys.modules and not ours.their_masks
            ),
        ]
        return [
            _Change(owner, name, label, vars(owner)[name], new) for owner, name, label, new in replacements
        ]
    except (AttributeError, ImportError, KeyError) as exc:
        raise AdapterError(
            f"websockets {found} is not built as wsfast knows it ({SUPPORTED}): {exc}; install such a"
            " version, or a newer wsfast"
        ) from exc


def _try_out() -> None:
    """Send frames through connections that are none: a hook that does nothing must not stay unseen."""
    from websockets.protocol import Protocol, Side

    from ._websockets_frames import their_masks

    for side in Side:
        sender, reader = Protocol(Side.CLIENT if side is Side.SERVER else Side.SERVER), Protocol(side)
        sender.send_text(b"first")
        sender.send_binary(bytes(300))
        sender.send_ping(b"ping")
        sender.send_text(b"fir", fin=False)
        sender.send_continuation(b"st", fin=True)
        sent = [
            (1, b"first", True),
            (2, bytes(300), True),
            (9, b"ping", True),
            (1, b"fir", False),
            (0, b"st", True),
        ]
        wire = b"".join(sender.data_to_send())
        for piece in (wire[:1], wire[1:200], wire[200:]):
            reader.receive_data(piece)
        frames: list[Any] = reader.events_received()
        received = [(int(frame.opcode), bytes(frame.data), frame.fin) for frame in frames]
        reached = hasattr(reader, "_wsfast") or (their_masks and side is Side.SERVER)
        if received != sent or not reached:
            raise AdapterError(
                f"websockets {version()} does not behave as wsfast knows it ({SUPPORTED}); nothing was"
                " changed: install such a version, or a newer wsfast"
            )


def _apply(changes: list[_Change]) -> None:
    for change in changes:
        setattr(change.owner, change.name, change.new)


def _revert(changes: list[_Change]) -> None:
    for change in changes:
        setattr(change.owner, change.name, change.old)
