"""The content that the peers send while they are recorded: made up here, the same on every run.

Every function takes the number of messages and draws from a generator seeded with its own name, so
that a change to one kind of content leaves the others as they are.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CONTENTS", "FRAME_SIDE", "chat", "json_documents", "long_chat", "rendered_frame", "ticker"]

FRAME_SIDE = 512
"""Width and height in pixels of the rendered frame: 512 x 512 RGBA pixels are 1 MiB."""

SENTENCES: dict[str, Any] = json.loads(Path(__file__).with_name("sentences.json").read_text("utf-8"))
NAMES: dict[str, list[str]] = SENTENCES.pop("names")
ALPHABETS = {
    "english": "ascii",
    "russian": "cyrillic",
    "greek": "cyrillic",
    "chinese": "cjk",
    "japanese": "cjk",
    "korean": "cjk",
}
SYMBOLS = ["GBP-JPY", "EUR-USD", "DOGE-USD", "ADA-USD", "SOL-USD", "XMR-USD", "ETH-EUR", "BTC-EUR"]


def compact(value: object) -> str:
    """Write JSON as programs send it: no spaces, non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def price(rng: random.Random, around: float) -> str:
    return f"{around * rng.uniform(0.995, 1.005):.2f}"


def quantity(rng: random.Random) -> str:
    return f"{rng.expovariate(2):.5f}"


# --- ticker -----------------------------------------------------------------------------------------


def ticker(count: int) -> list[str]:
    """Trades, quotes, candles and heartbeats of an exchange feed: ASCII JSON of 64 to 300 bytes."""
    rng = random.Random("ticker")
    now = 1_790_000_000_000
    sequence = 48_120_004
    updates = []
    for _ in range(count):
        now += rng.randrange(1, 90)
        sequence += 1
        updates.append(ticker_update(rng, now, sequence))
    return [compact(update) for update in updates]


def ticker_update(rng: random.Random, now: int, sequence: int) -> dict[str, object]:
    symbol = rng.choice(SYMBOLS)
    around = 10.0 * 4.0 ** SYMBOLS.index(symbol)
    kind = rng.choices(["heartbeat", "trade", "quote", "match", "candle"], [1, 10, 8, 4, 2])[0]
    if kind == "heartbeat":
        return {"type": "heartbeat", "sequence": sequence, "time": now, "symbol": symbol}
    if kind == "trade":
        return {
            "e": "trade",
            "t": now,
            "s": symbol,
            "i": sequence,
            "p": price(rng, around),
            "q": quantity(rng),
            "m": rng.random() < 0.5,
        }
    if kind == "quote":
        return {
            "type": "quote",
            "symbol": symbol,
            "bid": [price(rng, around * 0.999), quantity(rng)],
            "ask": [price(rng, around * 1.001), quantity(rng)],
            "sequence": sequence,
        }
    if kind == "match":
        return {
            "type": "match",
            "trade_id": sequence,
            "maker_order_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "taker_order_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "side": rng.choice(["buy", "sell"]),
            "size": quantity(rng),
            "price": price(rng, around),
            "product_id": symbol,
            "sequence": sequence,
            "time": now,
        }
    return {
        "channel": "candles",
        "symbol": symbol,
        "interval": "1m",
        "open": price(rng, around),
        "high": price(rng, around * 1.006),
        "low": price(rng, around * 0.994),
        "close": price(rng, around),
        "volume": f"{rng.uniform(1, 900):.5f}",
        "trades": rng.randrange(1, 400),
        "start": now - now % 60_000,
        "closed": False,
    }


# --- chat -------------------------------------------------------------------------------------------


def sentence(rng: random.Random, language: str) -> str:
    names = NAMES[ALPHABETS.get(language, "latin")]
    template: str = rng.choice(SENTENCES[language])
    return template.format(
        n=rng.randrange(2, 60),
        t=f"{rng.randrange(7, 23)}:{rng.randrange(0, 60, 5):02}",
        who=rng.choice(names),
    )


def chat(count: int) -> list[str]:
    """Chat messages in ten languages and emoji, each 2 to 500 bytes of UTF-8."""
    rng = random.Random("chat")
    languages = list(SENTENCES)
    weights = [4 if language == "english" else 1 for language in languages]
    lines: list[str] = []
    while len(lines) < count:
        [language] = rng.choices(languages, weights)
        line = " ".join(sentence(rng, language) for _ in range(rng.choice([1, 1, 1, 2, 3])))
        if len(line.encode()) <= 500:
            lines.append(line)
    return lines


def long_chat(languages: Sequence[str], size: int = 16 * 1024) -> Callable[[int], list[str]]:
    """Messages of ``size`` bytes of UTF-8 each: the log of a room where these languages are spoken."""

    def make(count: int) -> list[str]:
        rng = random.Random(f"long chat {languages}")
        return [log(rng) for _ in range(count)]

    def log(rng: random.Random) -> str:
        data = bytearray()
        while len(data) < size:
            data += sentence(rng, rng.choice(languages)).encode() + b"\n"
        text = data[:size].decode(errors="ignore")
        return text + "." * (size - len(text.encode()))

    return make


# --- JSON documents ---------------------------------------------------------------------------------


def json_documents(size: int) -> Callable[[int], list[str]]:
    """Order books (ASCII) and lists of accounts (names with non-ASCII letters), in turn.

    Each is as long as fits into ``size`` bytes of UTF-8.
    """

    def make(count: int) -> list[str]:
        rng = random.Random(f"json {size}")
        return [fill(size, order_book(rng) if index % 2 == 0 else accounts(rng)) for index in range(count)]

    return make


Document = tuple[dict[str, Any], list[Any], Callable[[], object]]


def fill(size: int, document: Document) -> str:
    """Add entries to the list inside ``document`` while it stays within ``size`` bytes."""
    envelope, entries, new_entry = document
    length = len(compact(envelope).encode())
    while True:
        entry = new_entry()
        length += len(compact(entry).encode()) + 1
        if length > size:
            return compact(envelope)
        entries.append(entry)


def order_book(rng: random.Random) -> Document:
    symbol = rng.choice(SYMBOLS)
    around = rng.uniform(10, 60_000)
    levels: list[Any] = []
    envelope = {"type": "snapshot", "symbol": symbol, "sequence": rng.randrange(10**9), "levels": levels}

    def level() -> object:
        step = len(levels) // 2 + 1
        side = "bid" if len(levels) % 2 else "ask"
        shift = -step if side == "bid" else step
        return [side, f"{around + shift * 0.05:.2f}", quantity(rng), rng.randrange(1, 30)]

    return envelope, levels, level


def accounts(rng: random.Random) -> Document:
    items: list[Any] = []
    envelope = {"status": "ok", "page": rng.randrange(1, 90), "per_page": 500, "items": items}

    def account() -> object:
        [alphabet] = rng.choices(["latin", "cyrillic", "cjk"], [8, 1, 1])
        name = rng.choice(NAMES[alphabet])
        return {
            "id": str(uuid.UUID(int=rng.getrandbits(128))),
            "name": name,
            "email": f"user{rng.randrange(10**6)}@example.org",
            "created_at": f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T08:00:00Z",
            "balance": round(rng.uniform(0, 10_000), 2),
            "verified": rng.random() < 0.8,
            "tags": rng.sample(["new", "pro", "eu", "us", "beta", "trial", "staff"], rng.randrange(4)),
            "note": sentence(rng, "english") if rng.random() < 0.3 else None,
        }

    return envelope, items, account


# --- binary -----------------------------------------------------------------------------------------


def rendered_frame(count: int) -> list[bytes]:
    """Frames of a small game, 512 x 512 RGBA pixels: sky, chequered ground, shaded balls, score board."""
    return [render(0.4 + 0.3 * index) for index in range(count)]


def render(time: float) -> bytes:
    side = FRAME_SIDE
    horizon = side * 5 // 11
    pixels = bytearray()
    for y in range(side):
        if y < horizon:
            shade = y * 100 // horizon
            pixels += bytes((70 + shade, 130 + shade, 240, 255)) * side
            continue
        depth = 40 * side / (y - horizon + 12)
        fog = min(depth / 1200, 0.8)
        colours = [
            bytes((*(int(part * (1 - fog) + 200 * fog) for part in tile), 255))
            for tile in ((60, 140, 70), (230, 225, 190))
        ]
        for x in range(side):
            column = math.floor((x - side / 2) * depth / 9000)
            row = math.floor(depth / 60 + time)
            pixels += colours[(column + row) & 1]
    balls = ((150, 300, 70, (220, 60, 50)), (330, 260, 45, (60, 90, 220)), (410, 380, 60, (240, 190, 40)))
    for centre_x, centre_y, radius, colour in balls:
        draw_ball(pixels, centre_x, centre_y + int(12 * math.sin(time + radius)), radius, colour)
    draw_bits(pixels, 24, 20, random.Random(f"score {time:.1f}"))
    return bytes(pixels)


def draw_ball(pixels: bytearray, x: int, y: int, radius: int, colour: tuple[int, int, int]) -> None:
    for dy in range(-radius, radius + 1):
        half = math.isqrt(radius * radius - dy * dy)
        for dx in range(-half, half + 1):
            height = math.sqrt(max(radius * radius - dx * dx - dy * dy, 0)) / radius
            light = min(max(height * 0.75 - (dx + dy) / radius * 0.3, 0.15), 1)
            # A renderer for the web quantises light to a few steps, as here.
            light = round(light * 14) / 14
            at = ((y + dy) * FRAME_SIDE + x + dx) * 4
            pixels[at : at + 3] = bytes(int(part * light) for part in colour)


def draw_bits(pixels: bytearray, x: int, y: int, rng: random.Random) -> None:
    """Letters, as far as a codec is concerned: blocks of 4 x 4 pixels, on or off."""
    for row in range(7):
        for column in range(60):
            if column % 6 and rng.random() < 0.5:
                for line in range(4):
                    at = ((y + row * 4 + line) * FRAME_SIDE + x + column * 4) * 4
                    pixels[at : at + 16] = b"\xff\xff\xff\xff" * 4


CONTENTS: dict[str, tuple[str, Callable[[int], Sequence[str | bytes]]]] = {
    "ticker": ("trades and quotes of an exchange as JSON, 64-300 B", ticker),
    "chat": ("chat in ten languages and emoji, 2-500 B", chat),
    "chat-ascii-16k": ("a chat log in English, 16 KiB", long_chat(["english"])),
    "chat-cyrillic-16k": ("a chat log in Russian and Greek, 16 KiB", long_chat(["russian", "greek"])),
    "chat-cjk-16k": (
        "a chat log in Chinese, Japanese and Korean, 16 KiB",
        long_chat(["chinese", "japanese", "korean"]),
    ),
    "chat-mixed-16k": ("a chat log in ten languages and emoji, 16 KiB", long_chat(list(SENTENCES))),
    "json-4k": ("order books and account lists as JSON, 4 KiB", json_documents(4 * 1024)),
    "json-64k": ("order books and account lists as JSON, 64 KiB", json_documents(64 * 1024)),
    "binary-1m": ("a rendered game frame, 512 x 512 RGBA pixels, 1 MiB", rendered_frame),
}
"""Name of the content: what it is, and the function that makes so many messages of it."""
