"""What carries messages between the processes of a program: nothing but a dict, or Redis.

A program publishes to a topic and is called back with what anyone publishes there, itself included. Another
broker (NATS, MQTT, PostgreSQL's NOTIFY) is a class with these five methods.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Broker", "BrokerLost", "LocalBroker", "RedisBroker", "make_broker"]

Callback = Callable[[bytes], object]
NOBODY = "wsfast:nobody"


class BrokerLost(ConnectionError):
    """The broker cannot be reached: what was to be published is not."""


class Broker(Protocol):
    """Carries messages by topic, in the order in which one publisher awaits publish() for each."""

    async def publish(self, topic: str, message: bytes, keep: int = 0) -> None:
        """Send a message to all that subscribe to a topic, and keep the latest ones.

        Args:
            topic: to publish to.
            message: any bytes.
            keep: how many messages of this topic history() returns, this one among them; 0 for not this.

        Raises:
            BrokerLost: it is not sent.

        """

    async def history(self, topic: str) -> list[bytes]:
        """Return the messages that were kept, oldest first. It raises BrokerLost, too."""

    async def subscribe(self, topic: str, callback: Callback) -> None:
        """Have a callback called with each message to a topic; one for a topic."""

    async def unsubscribe(self, topic: str) -> None:
        """Have it called no more."""

    async def close(self) -> None:
        """End it."""


class LocalBroker:
    """A broker for one process."""

    #: Topics that messages are kept of; the ones used longest ago are forgotten.
    MAX_TOPICS = 1000

    def __init__(self) -> None:
        self._callbacks: dict[str, Callback] = {}
        self._kept: OrderedDict[str, deque[bytes]] = OrderedDict()

    async def publish(self, topic: str, message: bytes, keep: int = 0) -> None:
        if keep:
            self._kept[topic] = deque([*self._kept.pop(topic, ()), message], keep)
            if len(self._kept) > self.MAX_TOPICS:
                self._kept.popitem(last=False)
        callback = self._callbacks.get(topic)
        if callback is not None:
            callback(message)

    async def history(self, topic: str) -> list[bytes]:
        return list(self._kept.get(topic, ()))

    async def subscribe(self, topic: str, callback: Callback) -> None:
        self._callbacks[topic] = callback

    async def unsubscribe(self, topic: str) -> None:
        self._callbacks.pop(topic, None)

    async def close(self) -> None:
        self._callbacks.clear()


class RedisBroker:
    """A broker for many processes: Redis pub/sub, and a list for each topic that messages are kept of.

    Pub/sub delivers at most once: what is published while a process has no connection to Redis does not
    reach that process. ``on_status`` is told of both ends of such a time, by whether Redis is there and a
    text for people.
    """

    #: Seconds that kept messages last without a new one.
    KEPT = 24 * 3600
    #: Seconds between attempts to connect again: doubled, from the first to the last.
    DELAYS = (0.25, 8.0)
    #: Seconds without a message after which Redis is asked whether it is there.
    SILENCE = 15.0
    #: Seconds to wait for a connection, and for Redis to confirm a subscription.
    TIMEOUT = 5.0

    def __init__(self, url: str, on_status: Callable[[bool, str], object]) -> None:
        try:
            from redis import asyncio as client
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ImportError:
            raise ImportError("--broker redis://... needs the redis package: pip install redis") from None
        self._on_status = on_status
        self._errors: tuple[type[Exception], ...] = (RedisError, OSError)
        # Nothing is tried twice by itself: what is published could arrive twice, and a loss go unseen.
        options = {"retry": Retry(NoBackoff(), 0), "socket_connect_timeout": self.TIMEOUT}
        pool: Any = client.BlockingConnectionPool
        self._redis: Any = client.Redis.from_pool(
            pool.from_url(url, max_connections=8, timeout=self.TIMEOUT, **options)
        )
        self._pubsub: Any = None
        self._callbacks: dict[str, Callback] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._lock = asyncio.Lock()
        self._there = True
        self._reader = asyncio.create_task(self._read())

    async def publish(self, topic: str, message: bytes, keep: int = 0) -> None:
        try:
            if not keep:
                await self._redis.publish(topic, message)
                return
            # In one transaction: the list has the order in which subscribers get the messages.
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(f"{topic}:kept", message).ltrim(f"{topic}:kept", -keep, -1)
                await pipe.expire(f"{topic}:kept", self.KEPT).publish(topic, message).execute()
        except self._errors as error:
            raise BrokerLost(f"the broker cannot be reached ({error})") from error

    async def history(self, topic: str) -> list[bytes]:
        try:
            kept: list[bytes] = await self._redis.lrange(f"{topic}:kept", 0, -1)
        except self._errors as error:
            raise BrokerLost(f"the broker cannot be reached ({error})") from error
        return kept

    async def subscribe(self, topic: str, callback: Callback) -> None:
        self._callbacks[topic] = callback
        confirmed = self._confirmed.setdefault(topic, asyncio.Event())
        try:
            await asyncio.wait_for(self._confirm(topic, confirmed), self.TIMEOUT)
        except asyncio.TimeoutError:
            raise BrokerLost("the broker does not answer; the subscription is made when it does") from None

    async def _confirm(self, topic: str, confirmed: asyncio.Event) -> None:
        async with self._lock:
            if self._pubsub is not None:
                # If that fails, the reader sees it, too, and subscribes to all topics again.
                with contextlib.suppress(*self._errors):
                    await self._pubsub.subscribe(topic)
        await confirmed.wait()

    async def unsubscribe(self, topic: str) -> None:
        self._callbacks.pop(topic, None)
        self._confirmed.pop(topic, None)
        async with self._lock:
            # Somebody may have subscribed again meanwhile.
            if self._pubsub is not None and topic not in self._callbacks:
                with contextlib.suppress(*self._errors):
                    await self._pubsub.unsubscribe(topic)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _read(self) -> None:
        """Receive what is published, over one connection after another."""
        delay = self.DELAYS[0]
        while True:
            pubsub = self._redis.pubsub()
            try:
                # Who subscribes meanwhile waits, and does so itself. The last topic is nobody's: there is
                # always something to subscribe to, and when that is confirmed, all are.
                async with self._lock:
                    await pubsub.subscribe(*self._callbacks, NOBODY)
                    self._pubsub = pubsub
                await self._deliver(pubsub)
            except self._errors as error:
                if self._there:
                    self._there, delay = False, self.DELAYS[0]
                    self._on_status(False, f"the broker is lost ({error}): connecting again")
                # What publish() would find out one by one, and fail each time.
                with contextlib.suppress(*self._errors):
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
            finally:
                self._pubsub = None
                for event in self._confirmed.values():
                    event.clear()
                with contextlib.suppress(*self._errors):
                    await pubsub.aclose()
            await asyncio.sleep(delay)
            delay = min(delay * 2, self.DELAYS[1])

    async def _deliver(self, pubsub: Any) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=self.SILENCE)
            if message is None:
                # A peer that is gone without a word is found out only by asking it.
                if asked:
                    raise ConnectionError("no answer to a ping")
                await pubsub.ping()
            asked = message is None
            if message is None or message["type"] not in ("message", "subscribe"):
                continue
            topic = message["channel"].decode()
            if message["type"] == "subscribe":
                if topic in self._confirmed:
                    self._confirmed[topic].set()
                if topic == NOBODY and not self._there:
                    self._there = True
                    self._on_status(True, "the broker is back")
            elif topic in self._callbacks:
                try:
                    self._callbacks[topic](message["data"])
                except Exception:
                    # Of another version of the program, say. The next message is not to suffer from it.
                    traceback.print_exc()


def make_broker(url: str, on_status: Callable[[bool, str], object] | None = None) -> Broker:
    """Make the broker that ``--broker`` names.

    Args:
        url: ``local`` or ``redis://...``; also ``rediss://`` and ``unix://``, as the redis package has them.
        on_status: is told when the broker is lost and back, beside standard error.

    """

    def status(there: bool, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        if on_status is not None:
            on_status(there, text)

    if url == "local":
        return LocalBroker()
    if url.partition("://")[0] not in ("redis", "rediss", "unix"):
        raise ValueError(f"--broker must be 'local' or redis://host:port, not {url!r}")
    return RedisBroker(url, status)
