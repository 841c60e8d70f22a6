"""Live video: frames as binary messages, drawn on a canvas. Slow viewers get fewer frames, not later ones.

Run it, and open the page it tells of::

    python examples/programs/video.py

A frame is its number (uint32, little-endian) and a byte for each pixel; the palette is in the first message,
in JSON. A viewer answers each frame with its number, in decimal. Who has not answered --window frames gets no
more of them until it does, and sees by the numbers how many it missed. That bounds what is on its way, in the
buffers of systems and proxies, too, where the server cannot look.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import struct
import time
from collections import deque
from collections.abc import Iterable

import pages
import running
from measures import Rate, Samples

from wsfast.asyncio import ServerConnection, broadcast, serve

WIDTH, HEIGHT = 320, 180
HEAD = struct.Struct("<I")
FRAME = HEAD.size + WIDTH * HEIGHT
#: How long the waves are tabulated; frames take pieces of that.
PERIOD = 512


class Picture:
    """Makes frames of moving waves, and a ball that bounces: in Python, and fast.

    A row of a wave is a slice of a table. Rows of several waves are added as large integers: all pixels at
    once, without a carry from one to the next, since the waves together stay below 256.
    """

    def __init__(self) -> None:
        self._waves = [
            _wave(amplitude, cycles) * 4 for amplitude, cycles in ((60, 2), (70, 3), (50, 5), (70, 1))
        ]

    def frame(self, number: int) -> bytes:
        level, falling, rising, upright = self._waves
        rows = range(HEIGHT)
        layers = (
            _rows(level, ((number * 2 + int(40 * math.sin((y + number) / 30))) % PERIOD for y in rows)),
            _rows(falling, ((y + number * 3) % PERIOD for y in rows)),
            _rows(rising, ((number - y * 2) % PERIOD for y in rows)),
            b"".join([upright[(y * 2 + number * 4) % PERIOD :][:1] * WIDTH for y in rows]),
        )
        total = sum(int.from_bytes(layer, "little") for layer in layers)
        pixels = bytearray(total.to_bytes(WIDTH * HEIGHT, "little"))
        self._draw_ball(pixels, number)
        return bytes(pixels)

    def _draw_ball(self, pixels: bytearray, number: int) -> None:
        radius = 14
        x = radius + _bounce(number * 3, WIDTH - 2 * radius)
        y = radius + _bounce(number * 2, HEIGHT - 2 * radius)
        for row in range(-radius, radius):
            half = math.isqrt(radius * radius - row * row)
            begin = (y + row) * WIDTH + x - half
            pixels[begin : begin + 2 * half] = b"\xff" * (2 * half)


def _wave(amplitude: int, cycles: int) -> bytes:
    turn = 2 * math.pi * cycles / PERIOD
    return bytes(round(amplitude * (1 + math.sin(turn * x)) / 2) for x in range(PERIOD))


def _rows(table: bytes, starts: Iterable[int]) -> bytes:
    return b"".join([table[start : start + WIDTH] for start in starts])


def _bounce(position: int, size: int) -> int:
    position %= 2 * size
    return min(position, 2 * size - position)


def palette() -> list[int]:
    """Return 256 colours, 0xRRGGBB; they come around, but for the last, which is white."""
    colours = []
    for index in range(255):
        turn = 2 * math.pi * index / 255
        red, green, blue = (
            int(127.5 * (1 + math.sin(turn * k + shift))) for k, shift in ((1, 4), (2, 5), (1, 1))
        )
        colours.append(red << 16 | green // 2 << 8 | blue)
    return [*colours, 0xFFFFFF]


class Video:
    """The viewers, and which of them are ready for another frame."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._fps: int = options.fps
        self._window: int = options.window
        # The numbers of the frames that a viewer has not answered, in order.
        self._unanswered: dict[ServerConnection, deque[int]] = {}
        self._sent, self._missed = Rate(), 0
        # Seconds that it takes to make a frame.
        self._making = Samples()

    def on_connect(self, ws: ServerConnection) -> None:
        about = {"type": "video", "width": WIDTH, "height": HEIGHT, "fps": self._fps, "window": self._window}
        ws.send_nowait(json.dumps({**about, "palette": palette()}))
        self._unanswered[ws] = deque()

    def on_close(self, ws: ServerConnection) -> None:
        self._unanswered.pop(ws, None)

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        if pages.is_echo(message):
            pages.reply(ws, message)
            return
        unanswered = self._unanswered[ws]
        if isinstance(message, str) and message.isascii() and message.isdigit():
            number = int(message)
            if number in unanswered:
                # It stands for those before it, too.
                while unanswered.popleft() != number:
                    pass
                return
        pages.reply(
            ws, json.dumps({"type": "error", "text": "answer each frame with its number, in decimal"})
        )

    async def run(self) -> None:
        """Make frames for those who look, until it is cancelled."""
        picture = Picture()
        start = told = time.perf_counter()
        for number in itertools.count():
            await asyncio.sleep(max(start + number / self._fps - time.perf_counter(), 0))
            now = time.perf_counter()
            if now - told >= 1:
                told = now
                self._tell()
            late = now - start - number / self._fps
            if late > 1:
                # The machine slept: go on from here instead of hurrying.
                start += late
            ready = [ws for ws, unanswered in self._unanswered.items() if len(unanswered) < self._window]
            self._missed += len(self._unanswered) - len(ready)
            if not ready:
                continue
            frame = HEAD.pack(number) + picture.frame(number)
            self._making.add(time.perf_counter() - now)
            self._send(number, frame, ready)

    def _send(self, number: int, frame: bytes, ready: list[ServerConnection]) -> None:
        for ws in ready:
            self._unanswered[ws].append(number)
        # Slow ones are not among these: whom this closes has answered frames before it could have them.
        self._sent.add(broadcast(ready, frame, slow="close").sent)

    def _tell(self) -> None:
        """Tell the viewers how it goes."""
        making = {key: round(value * 1000, 2) for key, value in self._making.summary().items()}
        stats = {"type": "stats", "viewers": len(self._unanswered), "sent": round(self._sent.take())}
        broadcast(self._unanswered, json.dumps({**stats, "missed": self._missed, "making": making}))


async def main(options: argparse.Namespace) -> None:
    video = Video(options)
    async with serve(
        **running.listening(options),
        on_message=video.on_message,
        on_connect=video.on_connect,
        on_close=video.on_close,
        process_request=pages.Site("video.html"),
        # Compressing a frame takes ten times as long as making it.
        compression=None,
        max_size=1024,
        write_limit=options.window * FRAME,
    ) as server:
        await running.beside(video.run(), running.until_stopped(server, "video"))


if __name__ == "__main__":
    parser = running.arguments(__doc__, 8004)
    parser.add_argument("--fps", type=int, default=30, help="frames a second (%(default)s)")
    parser.add_argument(
        "--window",
        type=int,
        default=4,
        help="how many frames a viewer may leave unanswered; a long round trip needs more (%(default)s)",
    )
    running.run(parser, main)
