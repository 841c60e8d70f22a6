"""Puts a case to an endpoint over a socket, and judges by what comes back alone.

The endpoint is an echo program; which library it uses, nobody here knows.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from corpus import SUBPROTOCOLS, Case, agreement_fault, parse_extensions, split_head
from notation import Assembler, Event, accept_value, frames, sendable

#: What an endpoint may say to a peer that broke a rule, beside the code that fits best (RFC 6455 §7.1.7:
#: the close frame is a SHOULD).
FAILURE_CODES = (1002, 1003, 1007, 1008, 1009, 1010, 1011)


class Failed(Exception):
    """The endpoint did what the case does not allow. The text is short, and the same for the same fault."""


class NotApplicable(Exception):
    """The case cannot be put to this endpoint, which is no fault of it."""


@dataclass
class Link:
    """A connection to the endpoint, and what it has sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    patience: float
    assembler: Assembler = field(default_factory=lambda: Assembler("server"))
    events: list[Event] = field(default_factory=list)
    ended: bool = False

    async def head(self) -> bytes | None:
        """The endpoint's head, in full; None when the connection ends before."""
        try:
            return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), self.patience)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.LimitOverrunError:
            raise Failed("an endless answer") from None
        except asyncio.TimeoutError:
            raise Failed("no answer") from None

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def until(self, done: Callable[[], bool]) -> None:
        """Read until `done`, or the end, or for as long as patience lasts."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        while not self.ended and not done():
            try:
                data = await asyncio.wait_for(self.reader.read(1 << 20), deadline - loop.time())
            except asyncio.TimeoutError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self.ended = True
            self.events += self.assembler.feed(data)

    def messages(self) -> list[Event]:
        return [event for event in self.events if event.kind in ("text", "binary")]

    def pongs(self) -> list[bytes]:
        return [event.payload for event in self.events if event.kind == "pong"]

    def close(self) -> Event | None:
        return next((event for event in self.events if event.kind == "close"), None)


def same_messages(found: list[Event], wanted: list[Event]) -> bool:
    return [(e.kind, e.payload) for e in found] == [(e.kind, e.payload) for e in wanted]


# ---- Frames ----------------------------------------------------------------------------------------


async def judge_frames(case: Case, link: Link, events: list[Event]) -> None:
    """Compare what the endpoint does with what the events call for: echoes, pongs, its close frame."""
    echoes = [event for event in events if event.kind in ("text", "binary")]
    pings = [event.payload for event in events if event.kind == "ping"]
    end = events[-1] if events and events[-1].kind in ("close", "fail") else None

    def settled() -> bool:
        if end is not None:
            return link.close() is not None
        return len(link.messages()) >= len(echoes) and (not pings or pings[-1] in link.pongs()[-1:])

    await link.until(settled)
    close = link.close()
    if link.assembler.faults:
        raise Failed(link.assembler.faults[0])
    found = link.messages()
    # A message that is under way while the connection is closed may be lost; a wrong one never comes.
    if not same_messages(found, echoes[: len(found)]):
        if end is not None and end.kind == "fail":
            raise Failed("accepted")
        raise Failed("a wrong message came back")
    remaining = iter(pings)
    if not all(pong in remaining for pong in link.pongs()):
        raise Failed("accepted" if end is not None and end.kind == "fail" else "a wrong pong")
    if end is None:
        if len(found) < len(echoes):
            raise Failed(closed_with(close, link, "a message got lost"))
        if pings and pings[-1:] != link.pongs()[-1:]:
            raise Failed(closed_with(close, link, "no pong"))
        return
    accepted = case.accept or []
    if close is None:
        if not link.ended and "wait" in accepted:
            return
        if not link.ended:
            raise Failed("goes on" if end.kind == "fail" else "the close frame is not answered")
        if end.kind == "close" and "drop" not in accepted:
            raise Failed("the connection is dropped without a close frame")
    elif end.kind == "fail":
        if close.code not in (accepted or [end.code]):
            theirs = end_of_stream(case)
            if theirs and close.code in (theirs, 1000, 1005):
                raise Failed("accepted")
            raise Failed(f"closed with {close.code}")
    elif close.code != end.code and (
        close.code in FAILURE_CODES or (not sendable(close.code) and close.code != 1005)
    ):
        raise Failed(f"closed with {close.code}")
    if "F18" in case.rules and case.role == "server":
        await link.until(lambda: False)
        if not link.ended:
            raise Failed("TCP is not closed")


def end_of_stream(case: Case) -> int:
    """The code of a close frame that the endpoint should have refused; 0 for a case without."""
    last = data_of(case)
    sent = [event for event in Assembler(case.role).feed(last) if event.kind == "close"]
    return sent[0].code if sent else 0


def closed_with(close: Event | None, link: Link, otherwise: str) -> str:
    if close is not None:
        return f"closed with {close.code}"
    return "the connection is dropped" if link.ended else otherwise


async def judge_alive(case: Case, link: Link) -> None:
    """An open connection echoes a message."""
    link.send(frames('text "live"', case.role))
    await judge_frames(case, link, [Event("text", b"live")])


def use_extensions(link: Link, role: str, answer: str) -> None:
    """Read what the endpoint sends as was agreed."""
    agreed = dict(parse_extensions(answer)[0][1]) if answer else None
    if agreed is not None:
        window = int(agreed.get(f"{role}_max_window_bits") or 15)
        takeover = f"{role}_no_context_takeover" not in agreed
        link.assembler = Assembler(role, window=window, takeover=takeover)
    else:
        link.assembler = Assembler(role)


# ---- Servers ---------------------------------------------------------------------------------------


def offer_for(case: Case) -> str:
    """An offer to which case.deflate is the answer."""
    if not case.deflate:
        return ""
    parts = case.deflate.split("; ")
    return "; ".join("client_max_window_bits" if part.startswith("client_max") else part for part in parts)


async def try_server(case: Case, port: int, patience: float) -> None:
    """Put a case to the server at that port.

    Raises:
        Failed: it does not do what the case expects.
        NotApplicable: it does not negotiate what the case needs.

    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    link = Link(reader, writer, patience)
    try:
        with contextlib.suppress(ConnectionError):
            if case.is_handshake:
                await try_server_handshake(case, link)
            else:
                await try_server_frames(case, link, port)
    finally:
        writer.transport.abort()


async def try_server_frames(case: Case, link: Link, port: int) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    offer = offer_for(case)
    lines = [
        "GET /chat HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *([f"Sec-WebSocket-Extensions: {offer}"] if offer else []),
    ]
    link.send("\r\n".join([*lines, "", ""]).encode())
    head = await link.head()
    first, fields, _ = split_head(head or b"")
    if " 101 " not in first + " ":
        raise Failed("a plain handshake is refused")
    answer = dict(fields).get("sec-websocket-extensions", "")
    if offer and not answer:
        raise NotApplicable("permessage-deflate is declined")
    if not offer and answer:
        raise Failed("an extension that was not offered")
    if "client_no_context_takeover" in answer and "client_no_context_takeover" not in offer:
        raise NotApplicable("the server wants no context takeover")
    use_extensions(link, "server", answer)
    link.send(data_of(case))
    await judge_frames(case, link, case.events)


def data_of(case: Case) -> bytes:
    return b"".join(piece for piece in case.script if isinstance(piece, bytes))


async def try_server_handshake(case: Case, link: Link) -> None:
    link.send(case.head() + data_of(case))
    accept = case.accept or []
    try:
        head = await link.head()
    except Failed:
        if "wait" in accept:
            return
        raise
    if head is None:
        if "drop" in accept:
            return
        raise Failed("dropped without an answer")
    first, fields, _ = split_head(head)
    values = dict(fields)
    status = int([*first.split(" "), "0", "0"][1])
    if case.expect == "reject":
        if status == 101 and "101-alive" in accept:
            await judge_alive(case, link)
        else:
            judge_rejection(case, status, values)
        return
    if status != 101:
        if "decline" in accept and 200 <= status < 600 and status != 500:
            return
        raise Failed(f"status {status}")
    key = next((line for line in case.set or [] if line.lower().startswith("sec-websocket-key:")), "")
    key = key.partition(":")[2].strip() or "dGhlIHNhbXBsZSBub25jZQ=="
    if values.get("sec-websocket-accept") != accept_value(key):
        raise Failed("a wrong Sec-WebSocket-Accept")
    if values.get("upgrade", "").lower() != "websocket" or values.get("connection", "").lower() != "upgrade":
        raise Failed("a wrong Upgrade or Connection")
    for line in [*(case.response or []), *(case.response_any or [])]:
        name = line.lower().partition(":")[0]
        if name == "sec-websocket-protocol":
            allowed = [li.lower().partition(":")[2].strip() for li in case.response_any or [line]]
            if values.get(name, "").lower() not in allowed:
                raise Failed(f"Sec-WebSocket-Protocol: {values.get(name, 'missing')}")
    for name in case.absent or []:
        if name.lower() in values:
            raise Failed(f"{name}: {values[name.lower()]}")
    answer = values.get("sec-websocket-extensions", "")
    if answer:
        fault = agreement_fault(case.offers, answer)
        if fault and "any" not in accept:
            raise Failed(f"a wrong agreement: {fault}" if case.agreed else "agrees")
    use_extensions(link, "server", answer)
    if case.events:
        await judge_frames(case, link, case.events)
    else:
        await judge_alive(case, link)


def judge_rejection(case: Case, status: int, values: dict[str, str]) -> None:
    accept = case.accept or []
    if status == 101:
        without = next((item[12:] for item in accept if str(item).startswith("101-without ")), None)
        if "101" in accept or (without is not None and without.lower() not in values):
            return
        raise Failed("accepted")
    if 400 <= status < 500 or status in (501, 505):
        if case.response and status not in (400, 404) and "sec-websocket-version" not in values:
            raise Failed(f"status {status} without Sec-WebSocket-Version")
        if case.response and status in (400, 404) and "13" not in values.get("sec-websocket-version", ""):
            raise Failed(f"status {status} without Sec-WebSocket-Version")
        return
    if "http" in accept and status in (200, 204, 301, 302):
        return
    raise Failed(f"status {status}")


# ---- Clients ---------------------------------------------------------------------------------------


class ClientCases:
    """A server to which clients come, one for each case: the target of the request is its number."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Case, float, asyncio.Future[None]]] = []
        self.port = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0, limit=1 << 22)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def run(self, case: Case, connect: Callable[[str], None], patience: float) -> None:
        """Have a client connect for that case, and judge it."""
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((case, patience, result))
        connect(f"ws://127.0.0.1:{self.port}/{len(self.waiting) - 1}")
        try:
            await asyncio.wait_for(result, 4 * patience + 2)
        except asyncio.TimeoutError:
            raise Failed("no connection") from None

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer, 1.0)
        result = None
        try:
            with contextlib.suppress(ConnectionError):
                first, fields, _ = split_head(await link.head() or b"\r\n\r\n")
                number = [*first.split(" "), "", ""][1][1:]
                if number.isdigit() and int(number) < len(self.waiting):
                    case, link.patience, result = self.waiting[int(number)]
                    await self.serve(case, link, first, fields)
        except (Failed, NotApplicable) as error:
            if result is not None and not result.done():
                result.set_exception(error)
        finally:
            if result is not None and not result.done():
                result.set_result(None)
            writer.transport.abort()

    async def serve(self, case: Case, link: Link, first: str, fields: list[tuple[str, str]]) -> None:
        values = dict(fields)
        key = values.get("sec-websocket-key", "")
        if not request_is_right(first, fields):
            raise Failed("a wrong request")
        offers = [value for name, value in fields if name == "sec-websocket-extensions"]
        offered = {name: dict(parameters) for value in offers for name, parameters in parse_extensions(value)}
        deflate = offered.get("permessage-deflate")
        if case.is_handshake:
            await self.serve_handshake(case, link, key, deflate)
            return
        answer = ""
        if case.deflate:
            if deflate is None:
                raise NotApplicable("permessage-deflate is not offered")
            answer = case.deflate
            if "client_max_window_bits" in answer and "client_max_window_bits" not in deflate:
                raise NotApplicable("client_max_window_bits is not offered")
        use_extensions(link, "client", answer)
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_value(key)}",
            *([f"Sec-WebSocket-Extensions: {answer}"] if answer else []),
        ]
        link.send("\r\n".join([*lines, "", ""]).encode())
        link.send(data_of(case))
        await judge_frames(case, link, case.events)

    async def serve_handshake(
        self, case: Case, link: Link, key: str, deflate: dict[str, str | None] | None
    ) -> None:
        if deflate is None and case.offers and case.expect == "accept":
            raise NotApplicable("permessage-deflate is not offered")
        if case.needs and (deflate is None or case.needs not in deflate):
            raise NotApplicable(f"{case.needs} is not offered")
        answer = case.offers[0] if case.offers and case.expect == "accept" else ""
        use_extensions(link, "client", answer)
        accept = case.accept or []
        link.send(case.head(key) + data_of(case))
        if case.eof:
            with contextlib.suppress(OSError):
                link.writer.write_eof()
        if case.events:
            await judge_frames(case, link, case.events)
            return
        if case.expect == "accept":
            try:
                await judge_alive(case, link)
            except Failed:
                if "reject" not in accept:
                    raise
            return
        if not case.eof:
            link.send(frames('text "live"', case.role))
        await link.until(lambda: bool(link.events))
        if link.messages() and "open" not in accept:
            raise Failed("accepted")


def request_is_right(first: str, fields: list[tuple[str, str]]) -> bool:
    """Whether a client's request has what RFC 6455 §4.1 demands."""
    values = dict(fields)
    try:
        key = base64.b64decode(values.get("sec-websocket-key", ""), validate=True)
    except ValueError:
        return False
    return (
        first.startswith("GET /")
        and first.endswith(" HTTP/1.1")
        and values.get("host", "").startswith("127.0.0.1:")
        and values.get("upgrade", "").lower() == "websocket"
        and "upgrade" in [item.strip().lower() for item in values.get("connection", "").split(",")]
        and len(key) == 16
        and values.get("sec-websocket-version") == "13"
        and [item.strip() for item in values.get("sec-websocket-protocol", "").split(",")]
        == list(SUBPROTOCOLS)
    )
