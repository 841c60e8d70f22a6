"""What is tried with every peer, in both directions: a table, and how a row of it is carried out."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from link import LIMIT, Link, Peer

from wsfast import State
from wsfast.asyncio import ConnectionClosed, connect, serve

__all__ = ["GROUPS", "ROLES", "SCENARIOS", "Scenario", "try_out"]

#: What wsfast is.
ROLES = ("server", "client")
#: Seconds for one scenario: what hangs is a fault, and nothing takes a tenth of it.
TIMEOUT = 60.0

CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю"
CJK = "我能吞下玻璃而不伤身体。いろはにほへと 나는 유리를 먹을 수 있어요"
EMOJI = "🎉👩‍👩‍👧‍👦🇺🇦 🏳️‍🌈\U0010ffff\x00é"
#: 1 MiB each; compressed, the second is a third as long, and the first next to nothing.
LONG_TEXT = "Grüße, " * 116_508 + "last"
LONG_BINARY = bytes(random.Random(1).choices(b"wsfast", k=1 << 20))

MESSAGES: dict[str, str | bytes] = {
    "ASCII": "Hello, world",
    "Cyrillic": CYRILLIC,
    "CJK": CJK,
    "emoji": EMOJI,
    "empty text": "",
    "binary": bytes(range(256)) * 3,
    "empty binary": b"",
    "1 MiB text": LONG_TEXT,
    "1 MiB binary": LONG_BINARY,
}
#: Codes and reasons; a peer is asked for the last row, too.
ENDS: list[tuple[int | None, str]] = [
    (1000, ""),
    (1000, "до свидания 👋"),
    (1001, "going away"),
    (3000, "Grüße"),
    (4999, "再见" * 20),
    (None, ""),
]

Body = Callable[[Any, Link], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A row of the table.

    Attributes:
        name: of the row.
        group: a row of the report.
        body: gets our end and the peer's.
        needs: what the peer's API must have; see :attr:`link.Peer.lacks`.
        deflate: whether messages are compressed.

    """

    name: str
    group: str
    body: Body
    needs: frozenset[str] = frozenset()
    deflate: bool = False


# ---- Messages ------------------------------------------------------------------------------------------


def there_and_back(message: str | bytes) -> Body:
    async def body(ours: Any, theirs: Link) -> None:
        for _ in range(2):  # the second time with what a compressor remembers
            await ours.send(message)
            same(await theirs.recv(), message)
            await theirs.send(message)
            same(await ours.recv(), message)

    return body


async def many(ours: Any, theirs: Link) -> None:
    messages = [f"{number} {CYRILLIC}" if number % 2 else bytes([number]) * number for number in range(100)]
    for message in messages:
        await ours.send(message)
    for message in messages:
        same(await theirs.recv(), message)
    for message in messages:
        await theirs.send(message)
    for message in messages:
        same(await ours.recv(), message)


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def fragments_from_them(text: bool) -> Body:
    async def body(ours: Any, theirs: Link) -> None:
        data = (CJK + EMOJI).encode() if text else bytes(range(256))
        for size in (1, 5, 1000):
            # Of a text, most pieces are cut inside of a character.
            await theirs.send_fragments(pieces_of(data, size), text)
            same(await ours.recv(), data.decode() if text else data)
        await theirs.send("whole")
        same(await ours.recv(), "whole")

    return body


def fragments_from_us(text: bool) -> Body:
    async def body(ours: Any, theirs: Link) -> None:
        whole: Any = CJK + EMOJI if text else bytes(range(256))
        for size in (1, 5, 1000):
            await ours.send([whole[start : start + size] for start in range(0, len(whole), size)])
            same(await theirs.recv(), whole)
        await ours.send(["", "a", "", "b", ""])
        same(await theirs.recv(), "ab")
        await ours.send("whole")
        same(await theirs.recv(), "whole")

    return body


# ---- Pings and the end ---------------------------------------------------------------------------------


async def ping_from_us(ours: Any, theirs: Link) -> None:
    for payload in (b"", b"\x00\xff", bytes(125)):
        receiving = asyncio.ensure_future(theirs.recv())  # some libraries answer while somebody receives
        if not await (await ours.ping(payload)) > 0:
            raise AssertionError("it took no time")
        await ours.send("after")
        same(await receiving, "after")


async def ping_from_them(ours: Any, theirs: Link) -> None:
    for payload in (b"a", b"\x00\xff", bytes(125)):
        await theirs.ping(payload)
    await theirs.send("after")
    same(await ours.recv(), "after")


def close_from_us(code: int, reason: str) -> Body:
    async def body(ours: Any, theirs: Link) -> None:
        await ours.close(code, reason)
        same(await theirs.ended(), (code, reason))
        # Half of the libraries answer every code with 1000.
        same((ours.state, ours.close_code in (code, 1000)), (State.CLOSED, True))

    return body


def close_from_them(code: int | None, reason: str) -> Body:
    async def body(ours: Any, theirs: Link) -> None:
        await theirs.send("last")
        await theirs.close(code, reason)
        same(await ours.recv(), "last")
        try:
            await ours.recv()
        except ConnectionClosed as exc:
            closed = exc
        if closed.received is None or closed.sent is None or not closed.received_first:
            raise AssertionError(f"no closing handshake: {closed}")
        wanted = (1005 if code is None else code, reason)
        same((closed.received.code, closed.received.reason), wanted)
        await ours.wait_closed()
        same((ours.close_code, ours.close_reason), wanted)
        # aiohttp calls every end that it began itself 1000.
        same((await theirs.ended())[0] in (wanted[0], 1000), True)

    return body


def same(got: Any, wanted: Any) -> None:
    if got != wanted or type(got) is not type(wanted):
        raise AssertionError(f"{got!r:.200} instead of {wanted!r:.200}")


# ---- The table -----------------------------------------------------------------------------------------


def scenarios() -> Iterator[Scenario]:
    for deflate in (False, True):
        needs = frozenset({"deflate"} if deflate else ())
        how = "compressed" if deflate else "plain"
        for name, message in MESSAGES.items():
            long = ", 1 MiB" if "MiB" in name else ""
            kind = "text" if isinstance(message, str) else "binary"
            yield Scenario(f"{name}, {how}", f"{kind}{long}, {how}", there_and_back(message), needs, deflate)
        yield Scenario(f"many, {how}", f"100 under way, {how}", many, needs, deflate)
        for text in (True, False):
            kind = "text" if text else "binary"
            name, group = f"{kind} fragments from them, {how}", f"fragments from the peer, {how}"
            yield Scenario(name, group, fragments_from_them(text), needs | {"fragments"}, deflate)
            name, group = f"{kind} fragments from us, {how}", f"fragments from wsfast, {how}"
            yield Scenario(name, group, fragments_from_us(text), needs, deflate)
    yield Scenario("ping from us", "ping from wsfast", ping_from_us)
    yield Scenario("ping from them", "ping from the peer", ping_from_them, frozenset({"ping"}))
    for code, reason in ENDS:
        name = f"{code or 'without a code'}{' ' + reason[:12] if reason else ''}"
        if code is not None:
            yield Scenario(f"we close {name}", "closing by wsfast", close_from_us(code, reason))
        wanted = {None: {"close without a code"}, 1001: {"close 1001"}}.get(code, set())
        yield Scenario(
            f"they close {name}", "closing by the peer", close_from_them(code, reason), frozenset(wanted)
        )


SCENARIOS = list(scenarios())
GROUPS = list(dict.fromkeys(each.group for each in SCENARIOS))


# ---- Both ends -----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def we_serve(peer: Peer, deflate: bool) -> AsyncIterator[tuple[Any, Link]]:
    ends: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(ws: Any) -> None:
        ends.put_nowait(ws)
        await ws.wait_closed()

    compression = "deflate" if deflate else None
    async with serve(handler, "127.0.0.1", 0, compression=compression, max_size=LIMIT) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with peer.client(uri, deflate) as theirs:
            yield await ends.get(), theirs


@contextlib.asynccontextmanager
async def we_connect(peer: Peer, deflate: bool) -> AsyncIterator[tuple[Any, Link]]:
    compression = "deflate" if deflate else None
    options: dict[str, Any] = {"compression": compression, "max_size": LIMIT, "proxy": None}
    async with peer.server(deflate) as (uri, accept), connect(uri, **options) as ours:
        yield ours, await accept()


async def carry_out(scenario: Scenario, peer: Peer, role: str) -> None:
    both = we_serve if role == "server" else we_connect
    async with both(peer, scenario.deflate) as (ours, theirs):
        agreed = ours.response.headers.get("Sec-WebSocket-Extensions") or ""
        same("permessage-deflate" in agreed, scenario.deflate)
        same(theirs.deflate, scenario.deflate)
        await scenario.body(ours, theirs)


def try_out(scenario: Scenario, peer: Peer, role: str) -> None:
    """Carry out a scenario on an event loop of its own.

    Raises:
        Exception: what went wrong.

    """
    asyncio.run(asyncio.wait_for(carry_out(scenario, peer, role), TIMEOUT))


def lacking(scenario: Scenario, peer: Peer, role: str) -> frozenset[str]:
    """Return what the peer's API would have to have, and does not."""
    return (scenario.needs | {"client" if role == "server" else "server"}) & peer.lacks
