"""Chat rooms with names, history and who is here, in a page of their own.

Run it, and open the page it tells of in two windows::

    python examples/programs/chat.py

As several processes, over which people are spread and meet all the same (it needs a Redis)::

    python examples/programs/chat.py --processes 2 --broker redis://127.0.0.1:6379

A client speaks JSON at /ws: {"type": "join", "room": ..., "name": ...}, then {"type": "say", "text": ...}.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
import time
import unicodedata
from typing import Any

import pages
import running
from broker import Broker, BrokerLost, make_broker

from wsfast.asyncio import ServerConnection, broadcast, serve

HISTORY = 50
MAX_NAME = 24
MAX_TEXT = 500
#: Bytes of a message from a client: 500 characters in JSON's longest spelling, and some.
MAX_MESSAGE = 8192
#: Bytes that may wait for somebody who reads slowly. Beyond, the connection is closed: in a chat nothing is
#: skipped, and who connects again gets the history.
MAX_WAITING = 1 << 20
#: Seconds between a process's words about who is there, and until those of one that fell silent are void.
HEARTBEAT, GONE = 5.0, 15.0

#: Control characters, halves of surrogate pairs, separators of lines; and what turns the direction of text.
UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

PROCESS = f"{os.getpid():x}-{time.time_ns():x}"
numbers = itertools.count(1)


class BadInput(ValueError):
    """What a client sent makes no sense; the text tells it why."""


class Room:
    """What one process knows of a room: its own people, the others' names, the latest messages."""

    def __init__(self, name: str, broker: Broker) -> None:
        self.name = name
        self.members: dict[ServerConnection, str] = {}
        self.loaded: asyncio.Task[None] | None = None
        self._topic = f"chat:{name}"
        self._broker = broker
        # By their ids: one may come by itself and in the broker's history.
        self._history: dict[str, dict[str, Any]] = {}
        # Of each other process: the names there, and when it was heard of.
        self._elsewhere: dict[str, tuple[list[str], float]] = {}

    @property
    def people(self) -> list[str]:
        there = (names for names, _ in self._elsewhere.values())
        return sorted({*self.members.values(), *itertools.chain.from_iterable(there)})

    async def open(self) -> None:
        await self._broker.subscribe(self._topic, self._on_event)
        await self.catch_up()
        await self.tell("ask")

    async def catch_up(self) -> None:
        """Take from the broker's history what did not come by itself."""
        for message in await self._broker.history(self._topic):
            self._said(json.loads(message))

    async def close(self) -> None:
        await self._broker.unsubscribe(self._topic)

    async def enter(self, ws: ServerConnection, name: str) -> None:
        if name in self.people:
            raise BadInput(f"{name} is here already: take another name")
        people, history = sorted([*self.people, name]), list(self._history.values())
        ws.send_nowait(dump(type="welcome", room=self.name, you=name, people=people, history=history))
        self.members[ws] = name
        # If that fails, the next heartbeat tells it.
        with contextlib.suppress(BrokerLost):
            await self.tell("here", joined=name)

    async def leave(self, ws: ServerConnection) -> None:
        name = self.members.pop(ws, None)
        if name is not None:
            await self.tell("here", left=name)

    async def say(self, ws: ServerConnection, text: str) -> None:
        said = {"type": "said", "id": f"{PROCESS}-{next(numbers)}", "name": self.members[ws], "text": text}
        await self._broker.publish(self._topic, dump(**said, at=time.time()).encode(), keep=HISTORY)

    async def tell(self, kind: str, **change: str) -> None:
        """Tell the other processes who is here; "ask" wants to know the same from them."""
        names = list(self.members.values())
        event = dump(type=kind, process=PROCESS, names=names, **change)
        await self._broker.publish(self._topic, event.encode())

    def forget_silent(self) -> None:
        now = time.monotonic()
        for process, (names, heard) in list(self._elsewhere.items()):
            if now - heard > GONE:
                del self._elsewhere[process]
                self._people_changed({"left": ", ".join(names)} if names else {})

    def notice(self, text: str) -> None:
        broadcast(list(self.members), dump(type="notice", text=text), slow="close")

    def _on_event(self, message: bytes) -> None:
        event = json.loads(message)
        if event["type"] == "said":
            self._said(event)
            return
        if event["process"] != PROCESS:
            names = self._elsewhere.get(event["process"], ([], 0))[0]
            self._elsewhere[event["process"]] = event["names"], time.monotonic()
            if event["type"] == "ask":
                spawn(self.tell("here"))
            if names == event["names"]:
                return
        self._people_changed({key: event[key] for key in ("joined", "left") if key in event})

    def _said(self, event: dict[str, Any]) -> None:
        if event["id"] in self._history:
            return
        self._history[event["id"]] = event
        if len(self._history) > HISTORY:
            del self._history[next(iter(self._history))]
        broadcast(list(self.members), dump(**event), slow="close")

    def _people_changed(self, change: dict[str, str]) -> None:
        broadcast(list(self.members), dump(type="people", people=self.people, **change), slow="close")


class Chat:
    """The rooms of this process, and the conversation with each client."""

    def __init__(self, url: str) -> None:
        self._rooms: dict[str, Room] = {}
        self.broker = make_broker(url, self._on_broker)

    async def talk(self, ws: ServerConnection) -> None:
        """Serve one connection."""
        room: Room | None = None
        try:
            async for message in ws:
                if pages.is_echo(message):
                    await ws.send(message)
                    continue
                try:
                    request = parse(message)
                    if request["type"] == "join" and room is None:
                        room = await self._join(ws, request)
                    elif request["type"] == "join":
                        raise BadInput("you have joined already: connect again for another room")
                    elif room is None:
                        raise BadInput("join first")
                    else:
                        await room.say(ws, text_of(request, "text", MAX_TEXT, lines=True))
                except (BadInput, BrokerLost) as error:
                    await ws.send(dump(type="error", text=str(error)))
        finally:
            if room is not None:
                await self._leave(ws, room)

    async def _join(self, ws: ServerConnection, request: dict[str, Any]) -> Room:
        name = text_of(request, "name", MAX_NAME)
        title = text_of(request, "room", MAX_NAME).lower()
        if not re.fullmatch(r"[\w -]+", title):
            raise BadInput("room must be letters, digits, spaces, - and _")
        room = self._rooms.get(title)
        if room is None:
            room = self._rooms[title] = Room(title, self.broker)
            room.loaded = asyncio.ensure_future(room.open())
        try:
            # One opens the room, the others wait for that.
            if room.loaded is not None:
                await asyncio.shield(room.loaded)
            await room.enter(ws, name)
        except BaseException:
            await self._close_if_empty(room)
            raise
        return room

    async def _leave(self, ws: ServerConnection, room: Room) -> None:
        # If that fails, the next heartbeat tells it, or that there are none any more.
        with contextlib.suppress(BrokerLost):
            await room.leave(ws)
        await self._close_if_empty(room)

    async def _close_if_empty(self, room: Room) -> None:
        if not room.members and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            await room.close()

    def _on_broker(self, there: bool, text: str) -> None:
        for room in self._rooms.values():
            room.notice(text)
        if there:
            spawn(self._catch_up())

    async def _catch_up(self) -> None:
        for room in list(self._rooms.values()):
            await room.catch_up()
            await room.tell("ask")

    async def heartbeat(self) -> None:
        """Tell the other processes who is here, now and then, and forget those that do not."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            for room in list(self._rooms.values()):
                room.forget_silent()
                try:
                    await room.tell("here")
                except BrokerLost:
                    break


def parse(message: str | bytes) -> dict[str, Any]:
    try:
        request = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or request.get("type") not in ("join", "say"):
        raise BadInput('send {"type": "join", "room": ..., "name": ...} or {"type": "say", "text": ...}')
    return request


def text_of(request: dict[str, Any], key: str, longest: int, lines: bool = False) -> str:
    """Return a text that can be shown: of some length, without what controls how other text is shown."""
    text = request.get(key)
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{key} must be a text that is not empty")
    text = text.strip()
    if len(text) > longest:
        raise BadInput(f"{key} must be at most {longest} characters, not {len(text)}")
    for character in text:
        if lines and character == "\n":
            continue
        if unicodedata.category(character) in UNSHOWN or character in TURNING:
            raise BadInput(f"{key} must not have the control character U+{ord(character):04X}")
    return text


def dump(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


tasks: set[asyncio.Task[None]] = set()


def spawn(work: Any) -> None:
    """Run a coroutine on the side; that the broker is lost is told elsewhere."""

    async def run() -> None:
        with contextlib.suppress(BrokerLost):
            await work

    task = asyncio.ensure_future(run())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def main(options: argparse.Namespace) -> None:
    chat = Chat(options.broker)
    where = running.listening(options)
    site = pages.Site("chat.html")
    async with serve(
        chat.talk, **where, process_request=site, max_size=MAX_MESSAGE, write_limit=MAX_WAITING
    ) as server:
        await running.beside(chat.heartbeat(), running.until_stopped(server, "chat"))
    await chat.broker.close()


if __name__ == "__main__":
    parser = running.arguments(__doc__, 8001)
    running.broker_arguments(parser)
    running.run(parser, main)
