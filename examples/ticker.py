"""A trading ticker and its subscribers on ``websockets``, sped up by one line.

The server sends quotes to every subscriber; at the end the subscribers say how many they got and how
much CPU time that took. Compare::

    python examples/ticker.py
    python examples/ticker.py --stock
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

import wsfast

SYMBOLS = ["ACME", "GLOBEX", "INITECH", "UMBRELLA", "HOOLI"]


def quotes(count: int) -> list[str]:
    """Quotes as JSON, about 100 bytes each; always the same ones."""
    rng = random.Random(1)
    prices = dict.fromkeys(SYMBOLS, 100.0)
    result = []
    for number in range(count):
        symbol = rng.choice(SYMBOLS)
        prices[symbol] *= 1 + rng.uniform(-0.001, 0.001)
        bid = round(prices[symbol], 2)
        quote = {"type": "quote", "id": number, "symbol": symbol, "bid": bid, "ask": round(bid + 0.01, 2)}
        result.append(json.dumps({**quote, "size": rng.randrange(1, 500)}))
    return result


async def subscriber(uri: str) -> int:
    count = 0
    async with connect(uri, compression=None) as connection:
        async for _ in connection:
            count += 1
    return count


async def main(count: int, subscribers: int) -> None:
    ticks = quotes(count)
    everybody: set[ServerConnection] = set()
    complete = asyncio.Event()

    async def publish(connection: ServerConnection) -> None:
        everybody.add(connection)
        if len(everybody) == subscribers:
            for number, tick in enumerate(ticks):
                broadcast(everybody, tick)
                if number % 100 == 0:
                    await asyncio.sleep(0)
            complete.set()
        await complete.wait()

    async with serve(publish, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        start = time.process_time()
        counts = await asyncio.gather(*(subscriber(f"ws://127.0.0.1:{port}/") for _ in range(subscribers)))
        used = time.process_time() - start
    print(f"{sum(counts)} quotes to {subscribers} subscribers, {used:.2f} s of CPU time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A ticker and its subscribers.")
    parser.add_argument("--stock", action="store_true", help="without wsfast")
    parser.add_argument("--quotes", type=int, default=20_000)
    parser.add_argument("--subscribers", type=int, default=4)
    options = parser.parse_args()
    if not options.stock:
        wsfast.install("websockets")
    asyncio.run(main(options.quotes, options.subscribers))
