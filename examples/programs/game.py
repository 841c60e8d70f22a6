"""Pong for two, sixty times a second: the server plays, browsers send keys and draw.

Run it, and open the page it tells of in two windows::

    python examples/programs/game.py

Whoever comes waits for a second player. A client at /ws sends one byte when a key goes down or up: 0 to stay,
1 to move up, 2 to move down. In each tick it gets the state as 22 bytes, little-endian: number of the tick
(uint32); ball's x and y, left and right paddle's y (float32; the field is 1 by 1); both scores (uint8). What
happens rarely comes as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import random
import struct
import time

import pages
import running
from measures import Samples

from wsfast.asyncio import ServerConnection, broadcast, serve

TICKS = 60
STATE = struct.Struct("<IffffBB")
#: Lengths of a field that is 1 wide and 1 high; speeds are lengths a tick.
PADDLE_HEIGHT, PADDLE_SPEED, PADDLE_X = 0.2, 0.02, 0.03
BALL_SIZE, BALL_SPEED, BALL_FASTER = 0.02, 0.01, 1.04
BALL_FASTEST = 2.5 * BALL_SPEED
#: Radians, off a paddle's end.
STEEPEST = 1.0
WINS_AT = 9
#: Ticks before the ball leaves the middle.
PAUSE = TICKS
MOVES = {b"\0": 0, b"\1": -1, b"\2": 1}
USAGE = "send one byte: 0 to stay, 1 to move up, 2 to move down"


class Match:
    """Two players and the ball."""

    def __init__(self, left: ServerConnection, right: ServerConnection) -> None:
        self.players = [left, right]
        self.moves = [0, 0]
        self._paddles = [0.5, 0.5]
        self._scores = [0, 0]
        self._tick = 0
        self._serve(random.choice((-1, 1)))

    def _serve(self, direction: int) -> None:
        """Put the ball into the middle; it goes left or right."""
        angle = random.uniform(-0.6, 0.6)
        self._ball = [0.5, 0.5]
        self._speed = [direction * BALL_SPEED * math.cos(angle), BALL_SPEED * math.sin(angle)]
        self._wait = PAUSE

    def step(self) -> int | None:
        """Play one tick.

        Returns:
            The side that has won now: 0 is left, 1 is right; ``None`` while the match goes on.

        """
        self._tick += 1
        half = PADDLE_HEIGHT / 2
        for side in (0, 1):
            moved = self._paddles[side] + self.moves[side] * PADDLE_SPEED
            self._paddles[side] = min(max(moved, half), 1 - half)
        if self._wait:
            self._wait -= 1
            return None
        for axis in (0, 1):
            self._ball[axis] += self._speed[axis]
        x, y = self._ball
        if not BALL_SIZE / 2 < y < 1 - BALL_SIZE / 2:
            self._speed[1] = math.copysign(self._speed[1], 0.5 - y)
        side = 0 if x < 0.5 else 1
        # How far it is from the goal line, whichever it is.
        depth = x if side == 0 else 1 - x
        coming = (self._speed[0] < 0) is (side == 0)
        if coming and depth <= PADDLE_X + BALL_SIZE / 2:
            offset = (y - self._paddles[side]) / (half + BALL_SIZE / 2)
            if abs(offset) <= 1 and depth > 0:
                self._bounce(side, offset)
            elif depth < -BALL_SIZE:
                self._scores[1 - side] += 1
                self._serve(1 if side else -1)
                if self._scores[1 - side] == WINS_AT:
                    self._scores = [0, 0]
                    self._wait = 3 * PAUSE
                    return 1 - side
        return None

    def _bounce(self, side: int, offset: float) -> None:
        """Send the ball back: faster, and the steeper the further from the paddle's middle it was hit."""
        speed = min(math.hypot(*self._speed) * BALL_FASTER, BALL_FASTEST)
        angle = offset * STEEPEST
        self._speed = [(1 if side == 0 else -1) * speed * math.cos(angle), speed * math.sin(angle)]

    def state(self) -> bytes:
        return STATE.pack(self._tick, *self._ball, *self._paddles, *self._scores)


class Game:
    """The matches, who waits for one, and the clock."""

    def __init__(self) -> None:
        self._matches: set[Match] = set()
        self._match_of: dict[ServerConnection, Match] = {}
        # A dict is a set in order.
        self._waiting: dict[ServerConnection, None] = {}
        # Seconds from when a tick was due to when it was done.
        self._late = Samples(size=5 * TICKS)

    def on_connect(self, ws: ServerConnection) -> None:
        if not self._waiting:
            self._waiting[ws] = None
            tell(ws, type="waiting")
            return
        other = next(iter(self._waiting))
        del self._waiting[other]
        match = Match(other, ws)
        self._matches.add(match)
        for player, side in zip(match.players, ("left", "right"), strict=True):
            self._match_of[player] = match
            tell(
                player,
                type="start",
                side=side,
                ticks=TICKS,
                paddle=PADDLE_HEIGHT,
                ball=BALL_SIZE,
                wins=WINS_AT,
            )

    def on_close(self, ws: ServerConnection) -> None:
        self._waiting.pop(ws, None)
        match = self._match_of.pop(ws, None)
        if match is None:
            return
        self._matches.discard(match)
        for other in match.players:
            # Not if both are gone.
            if self._match_of.pop(other, None) is not None:
                tell(other, type="left")
                self.on_connect(other)

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        if pages.is_echo(message):
            pages.reply(ws, message)
            return
        move = MOVES.get(message) if isinstance(message, bytes) else None
        match = self._match_of.get(ws)
        if move is None:
            tell(ws, type="error", text=USAGE)
        elif match is None:
            tell(ws, type="error", text="there is nobody to play with yet")
        else:
            match.moves[match.players.index(ws)] = move

    async def run(self) -> None:
        """Play all matches, tick by tick, until it is cancelled."""
        start = time.perf_counter()
        for number in itertools.count(1):
            due = start + number / TICKS
            # Without this a machine that is too slow would never let the event loop read.
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            for match in list(self._matches):
                self._play(match)
            late = time.perf_counter() - due
            self._late.add(late)
            if late > 1:
                # The machine slept: go on from here instead of playing fast.
                start += late
            if number % TICKS == 0:
                jitter = {key: round(value * 1000, 3) for key, value in self._late.summary().items()}
                for match in self._matches:
                    broadcast(match.players, dump(type="jitter", matches=len(self._matches), **jitter))

    def _play(self, match: Match) -> None:
        winner = match.step()
        # A state says everything: who reads slowly misses nothing by missing some.
        broadcast(match.players, match.state(), slow="skip")
        if winner is not None:
            for side, player in enumerate(match.players):
                tell(player, type="over", won=side == winner)


def tell(ws: ServerConnection, **fields: object) -> None:
    pages.reply(ws, dump(**fields))


def dump(**fields: object) -> str:
    return json.dumps(fields)


async def main(options: argparse.Namespace) -> None:
    game = Game()
    async with serve(
        **running.listening(options),
        on_message=game.on_message,
        on_connect=game.on_connect,
        on_close=game.on_close,
        process_request=pages.Site("game.html"),
        # For states of 22 bytes, compressing would take longer than all the rest.
        compression=None,
        max_size=1024,
    ) as server:
        await running.beside(game.run(), running.until_stopped(server, "game"))


if __name__ == "__main__":
    running.run(running.arguments(__doc__, 8003), main)
