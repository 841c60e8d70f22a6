"""Captured wire streams of real WebSocket peers, to test and measure decoders with.

The streams are in bench/data/ of the source, whose README.md says how they were captured, and are
installed as the package ``wsfast._traffic``. Importing ``wsfast`` does not read any of them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .frames import Frame, Opcode

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable

__all__ = ["Stream", "control_digest", "digest", "load"]


@dataclass(frozen=True)
class Stream:
    """What one peer sent over one connection, from the end of the handshake to the close frame.

    Attributes:
        name: ``<peer>-<content>-<direction>``, as in ``"chromium-chat-c2s"``.
        description: what the messages are.
        peer: the program that sent the stream: ``"websockets"``, ``"ws"`` or ``"chromium"``.
        peer_version: its version.
        direction: ``"c2s"``, from a client and masked, or ``"s2c"``, from a server and not masked.
        role: the side that reads the stream, as :class:`wsfast.MessageDecoder` takes it.
        kinds: how many messages of each kind are in it: text, binary, ping, pong, close.
        payload_bytes: size in bytes of the text (as UTF-8) and binary messages together.
        wire_bytes: size in bytes of the stream.
        sha256: hash of the stream.
        digest: what :func:`digest` gives for the decoded stream.
        control_digest: what :func:`control_digest` gives for it.

    """

    name: str
    description: str
    peer: str
    peer_version: str
    direction: Literal["c2s", "s2c"]
    role: Literal["server", "client"]
    kinds: dict[str, int] = field(hash=False)
    payload_bytes: int
    wire_bytes: int
    sha256: str
    digest: str
    control_digest: str

    @property
    def content(self) -> str:
        """The kind of content, the middle of the name: ``"ticker"``, ``"json-4k"`` ..."""
        return self.name[len(self.peer) + 1 : -len(self.direction) - 1]

    @property
    def messages(self) -> int:
        """How many text and binary messages are in the stream."""
        return self.kinds["text"] + self.kinds["binary"]

    @cached_property
    def wire(self) -> bytes:
        """The bytes of the stream, unpacked and checked at the first use.

        Raises:
            ValueError: the installed file is damaged.

        """
        wire = gzip.decompress(_folder().joinpath(f"{self.name}.bin.gz").read_bytes())
        if hashlib.sha256(wire).hexdigest() != self.sha256:
            raise ValueError(f"captured stream {self.name} is damaged: its SHA-256 is not {self.sha256}")
        return wire


def load(names: Iterable[str] | None = None) -> list[Stream]:
    """Return the captured streams, sorted by name; their bytes are read when they are asked for.

    Args:
        names: names of the streams to return, in this order; ``None`` for all of them.

    Raises:
        ValueError: there is no stream of such a name.

    """
    index = json.loads(_folder().joinpath("index.json").read_text("utf-8"))
    streams = {entry["name"]: Stream(**entry) for entry in index["streams"]}
    if names is None:
        return list(streams.values())
    chosen = list(names)
    for name in chosen:
        if name not in streams:
            raise ValueError(f"no captured stream is named {name!r}; there are {', '.join(streams)}")
    return [streams[name] for name in chosen]


def digest(events: Iterable[object]) -> str:
    """Return the digest of the messages among ``events``; compare it to :attr:`Stream.digest`.

    Args:
        events: what a decoder made of the stream. Each ``str`` is a text message and each ``bytes``
            a binary one; anything else is passed over, so that control frames may be among them.

    """
    lines = []
    for event in events:
        if isinstance(event, str):
            lines.append(_line("text", event.encode()))
        elif isinstance(event, (bytes, bytearray)):
            lines.append(_line("binary", event))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def control_digest(events: Iterable[object]) -> str:
    """Return the digest of the control frames among ``events``; compare it to :attr:`Stream.control_digest`.

    Args:
        events: what :class:`wsfast.MessageDecoder` made of the stream. Pings count first, then pongs,
            then the close frame: where a pong lands between messages is chance.

    """
    frames = [event for event in events if isinstance(event, Frame)]
    lines = [
        _line(opcode.name.lower(), frame.payload)
        for opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE)
        for frame in frames
        if frame.opcode == opcode
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _line(kind: str, payload: bytes | bytearray) -> str:
    return f"{kind} {len(payload)} {hashlib.sha256(payload).hexdigest()}\n"


def _folder() -> Traversable | Path:
    """The installed package of streams, or bench/data/ when wsfast is run from its checkout."""
    try:
        package: Any = import_module("wsfast._traffic")
    except ModuleNotFoundError:
        folder = Path(__file__).resolve().parent.parent / "bench" / "data"
        if not (folder / "index.json").is_file():
            raise FileNotFoundError(
                "the captured streams are missing: neither wsfast._traffic nor bench/data/ is there"
            ) from None
        return folder
    return resources.files(package)
