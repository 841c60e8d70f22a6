"""Stock prices, a thousand updates a second, each a message of its own, and a page that draws them.

Run it, and open the page it tells of::

    python examples/programs/ticker.py

As several processes on one port, of which the first makes the prices (it needs a Redis)::

    python examples/programs/ticker.py --processes 2 --broker redis://127.0.0.1:6379

Updates that are due within the same few milliseconds go through the broker as one message of theirs; each
subscriber gets each update as a WebSocket message. One that reads too slowly misses some (--slow skip), or is
sent away (--slow close).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import time

import pages
import running
from broker import BrokerLost, make_broker
from measures import Rate

from wsfast.asyncio import ServerConnection, broadcast, serve

SYMBOLS = ["ACME", "GLOBEX", "INITECH", "UMBRELLA", "HOOLI", "STARK", "WAYNE", "WONKA"]
TOPIC = "ticker:prices"
#: Seconds between looks at what is due.
TURN = 0.005
#: Seconds of updates that are made up for after a pause; older ones are of no use to anyone.
LATEST = 0.5


class Feed:
    """Makes prices: random walks, numbered, so that who misses some can tell."""

    def __init__(self) -> None:
        self._prices = {symbol: random.uniform(50, 150) for symbol in SYMBOLS}
        self._number = 0

    def update(self) -> bytes:
        symbol = random.choice(SYMBOLS)
        price = self._prices[symbol] * (1 + random.gauss(0, 0.0006))
        # Pulled back to 100, so that a chart that runs for days still has a scale.
        self._prices[symbol] = price = price + (100 - price) * 0.0002
        self._number += 1
        return b'{"n":%d,"s":"%s","p":%.2f}' % (self._number, symbol.encode(), price)


class Ticker:
    """The subscribers of this process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._rate: int = options.rate
        self._slow: str = options.slow
        self._url: str = options.broker
        self._subscribers: set[ServerConnection] = set()
        self._updates = Rate()
        self._skipped = self._closed = 0

    def on_connect(self, ws: ServerConnection) -> None:
        ws.send_nowait(
            json.dumps({"type": "hello", "symbols": SYMBOLS, "rate": self._rate, "slow": self._slow})
        )
        self._subscribers.add(ws)

    def on_close(self, ws: ServerConnection) -> None:
        self._subscribers.discard(ws)

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        if pages.is_echo(message):
            pages.reply(ws, message)
        else:
            pages.reply(ws, json.dumps({"type": "error", "text": "there is nothing to ask for: just read"}))

    async def run(self, feeds: bool) -> None:
        """Hand out prices, and make them too if asked to, until it is cancelled."""
        broker = make_broker(self._url)
        try:
            # The broker's subscription is made later if it is not there now.
            with contextlib.suppress(BrokerLost):
                await broker.subscribe(TOPIC, self._on_prices)
            feed = Feed()
            start, made, told = time.perf_counter(), 0, 0.0
            while True:
                await asyncio.sleep(TURN)
                elapsed = time.perf_counter() - start
                if elapsed - told >= 1:
                    told = elapsed
                    self._tell()
                if not feeds:
                    continue
                due = int(elapsed * self._rate) - made
                made += due
                updates = [feed.update() for _ in range(min(due, int(self._rate * LATEST) + 1))]
                if updates:
                    # Prices that nobody gets are replaced by the next ones; the broker tells that it is lost.
                    with contextlib.suppress(BrokerLost):
                        await broker.publish(TOPIC, b"\n".join(updates))
        finally:
            await broker.close()

    def _on_prices(self, updates: bytes) -> None:
        for update in updates.decode().split("\n"):
            _, skipped, closed = broadcast(self._subscribers, update, slow=self._slow)
            self._updates.add()
            self._skipped += skipped
            self._closed += closed

    def _tell(self) -> None:
        """Tell the subscribers how it goes."""
        stats = {"type": "stats", "rate": round(self._updates.take()), "subscribers": len(self._subscribers)}
        stats |= {"skipped": self._skipped, "closed": self._closed}
        broadcast(self._subscribers, json.dumps(stats))


async def main(options: argparse.Namespace) -> None:
    ticker = Ticker(options)
    async with serve(
        **running.listening(options),
        on_message=ticker.on_message,
        on_connect=ticker.on_connect,
        on_close=ticker.on_close,
        process_request=pages.Site("ticker.html"),
        # For updates of 30 bytes, compressing would take longer than all the rest.
        compression=None,
        max_size=1024,
    ) as server:
        work = ticker.run(feeds=not options.no_feed)
        await running.beside(work, running.until_stopped(server, "ticker"))


if __name__ == "__main__":
    parser = running.arguments(__doc__, 8002)
    parser.add_argument(
        "--rate", type=int, default=1000, help="updates a second, of all symbols (%(default)s)"
    )
    parser.add_argument(
        "--slow",
        choices=["skip", "close"],
        default="skip",
        help="subscribers that read too slowly miss updates, or are sent away (%(default)s)",
    )
    running.broker_arguments(parser)
    parser.add_argument(
        "--no-feed", action="store_true", help="make no prices: hand out those of another process"
    )
    running.run(parser, main, others=("--no-feed",))
