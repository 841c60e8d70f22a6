"""From bytes to those who call recv(): the same results, in the same order, as without wsfast."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from implementations import compiled_module
from installing import install

import wsfast
from wsfast import _fallback, encode_frame

pytest.importorskip("websockets")

import websockets.asyncio.connection
import websockets.exceptions
import websockets.sync.connection
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.protocol import Protocol, Side, State
from websockets.version import version

from wsfast.adapters import _websockets_deflate as fast_deflate
from wsfast.adapters import _websockets_frames as fast

if tuple(int(number) for number in version.split(".")[:2]) < (16, 0):
    pytest.skip("connections are left alone before 16.0", allow_module_level=True)

from wsfast.adapters import _websockets_asyncio as fast_asyncio
from wsfast.adapters import _websockets_sync as fast_sync

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
KEY = b"\x37\xfa\x21\x3d"
SERVER, CLIENT = Side.SERVER, Side.CLIENT
SIDES = [pytest.param(SERVER, id="server"), pytest.param(CLIENT, id="client")]
WRITING = {"write", "write_eof", "close"}
Connection: Any = websockets.asyncio.connection.Connection


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("FrameDecoder", "apply_mask", "encode_frame", "take_messages"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    for ours in (fast_asyncio, fast_sync):
        monkeypatch.setattr(ours, "encode_frame", module.encode_frame)
    monkeypatch.setattr(fast_deflate, "decode_utf8", module.decode_utf8)
    monkeypatch.setattr(fast, "their_masks", False)
    yield
    wsfast.uninstall()


class Transport:
    """What a connection needs of one; it takes down what is done to it."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.connection: Any = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.log.append((name, *args))

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None:
        self.log.append("abort")
        asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)


def connect(side: Side, log: list[Any], *, deflate: bool = False, **options: Any) -> Any:
    """An open connection without a network."""
    protocol = Protocol(side, max_size=options.pop("max_size", 2**20))
    if deflate:
        protocol.extensions = [PerMessageDeflate(False, False, 12, 12)]
    connection = Connection(protocol, ping_interval=None, close_timeout=None, **options)
    transport = Transport(log)
    transport.connection = connection
    connection.connection_made(transport)
    del log[:]
    return connection


class Peer:
    """Writes frames for a side to receive."""

    def __init__(self, side: Side, deflate: bool) -> None:
        self.mask: Any = KEY if side is SERVER else False
        self.deflater = zlib.compressobj(wbits=-12) if deflate else None

    def frame(self, opcode: int, payload: bytes, **options: Any) -> bytes:
        return encode_frame(opcode, payload, mask=self.mask, **options)

    def message(self, opcode: int, payload: bytes, pieces: int = 1) -> bytes:
        rsv1 = self.deflater is not None
        if self.deflater is not None:
            payload = (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        edges = [len(payload) * i // pieces for i in range(pieces + 1)]
        return b"".join(
            self.frame(0 if start else opcode, payload[start:end], fin=i == pieces - 1, rsv1=rsv1 and not i)
            if not (i and not start)
            else self.frame(0, payload[start:end], fin=i == pieces - 1)
            for i, (start, end) in enumerate(pairwise(edges))
        )


def random_stream(rng: random.Random, side: Side, deflate: bool, damaged: bool) -> bytes:
    peer = Peer(side, deflate)
    texts = ["", "a", "Grüße 🎉", "x" * 125, "y" * 300, "é" * 2000, "z" * 20_000]
    parts = []
    for _ in range(rng.randrange(1, 14)):
        kind = rng.randrange(12)
        text = rng.choice(texts).encode()
        if kind < 5:
            parts.append(peer.message(1, text))
        elif kind < 7:
            parts.append(peer.message(2, text))
        elif kind == 7:
            parts.append(peer.message(rng.choice([1, 2]), text, rng.randrange(2, 5)))
        elif kind == 8:
            parts.append(peer.frame(9, b"ping") * rng.randrange(1, 3))
        elif kind == 9:
            parts.append(peer.frame(10, b"pong"))
        elif kind == 10:
            parts.append(Peer(side, False).message(1, text))  # uncompressed, which is legal too
        elif rng.random() < 0.3:
            parts.append(peer.message(1, b"not \xff UTF-8"))
    if rng.random() < 0.4:
        parts.append(peer.frame(8, b"\x03\xe8bye"))
    data = bytearray(b"".join(parts))
    if damaged and data:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def random_cuts(rng: random.Random, data: bytes) -> list[bytes]:
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(8)))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]


async def read(connection: Any, calls: list[Any], log: list[Any]) -> None:
    """Make the calls one after another; take down what comes of them."""
    for call in calls:
        try:
            if call == "iterate":
                async for message in connection:
                    log.append(("for", message))
            elif call == "cancel":
                task = asyncio.ensure_future(connection.recv())
                await asyncio.sleep(0)
                task.cancel()
                log.append((await asyncio.gather(task, return_exceptions=True))[0].__class__.__name__)
            elif isinstance(call, tuple):
                log.append([piece async for piece in connection.recv_streaming(*call)])
            else:
                log.append(await connection.recv(call))
        except (websockets.exceptions.ConcurrencyError, ConnectionClosed) as exc:
            log.append((type(exc), str(exc), repr(exc.__cause__)))


async def play(
    connection: Any, pieces: list[bytes], calls: list[Any], log: list[Any], late: bool
) -> list[Any]:
    reader = None if late else asyncio.ensure_future(read(connection, calls, log))
    for piece in pieces:
        connection.data_received(piece)
        for _ in range(4):
            await asyncio.sleep(0)
    if reader is None:
        reader = asyncio.ensure_future(read(connection, calls, log))
        await asyncio.sleep(0)
    connection.eof_received()
    if not connection.connection_lost_waiter.done():
        connection.connection_lost(None)
    await asyncio.wait_for(reader, 20)
    log.append((connection.protocol.state, connection.close_code, repr(connection.protocol.parser_exc)))
    return log


def sorted_out(log: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """What was done to the writing side of the transport, to the reading side, and what was read."""
    of_transport = [
        entry for entry in log if entry == "abort" or (type(entry) is tuple and entry[0] in WRITING)
    ]
    pauses = [entry for entry in log if entry in (("pause_reading",), ("resume_reading",))]
    return of_transport, pauses, [e for e in log if e not in of_transport and e not in pauses]


def random_calls(rng: random.Random) -> list[Any]:
    if rng.random() < 0.3:
        return ["iterate"]
    choices: list[Any] = [None, None, None, False, True, (), (False,), (True,)]
    if rng.random() < 0.3:
        choices += ["cancel"]
    return [rng.choice(choices) for _ in range(rng.randrange(1, 20))]


@pytest.mark.parametrize("damaged", [False, True], ids=["intact", "damaged"])
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("side", SIDES)
def test_the_same_as_without_wsfast(
    side: Side,
    deflate: bool,
    damaged: bool,
    exhaustive: bool,
    rng: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Behind a block with BFINAL the library is wrong; that has tests of its own.
    blocks = mock.Mock(wraps=fast_deflate.Stream._go_on)
    monkeypatch.setattr(fast_deflate.Stream, "_go_on", lambda *args: blocks(*args))

    async def main() -> None:
        for number in range(3000 if exhaustive else 60):
            pieces = random_cuts(rng, random_stream(rng, side, deflate, damaged))
            calls = random_calls(rng)
            late = rng.random() < 0.5
            options = {
                "max_queue": rng.choice([None, 0, 1, 4, 16, (3, 1)]),
                "max_size": rng.choice([2**20, 2**20, 10_000, 200, None]),
            }
            logs: list[list[Any]] = []
            blocks.reset_mock()
            for installed in (False, True):
                if installed:
                    install("websockets")
                log: list[Any] = []
                connection = connect(side, log, deflate=deflate, **options)
                assert (type(connection.recv_messages) is fast_asyncio.Assembler) == installed
                with mock.patch("secrets.token_bytes", lambda n: KEY):
                    logs.append(await play(connection, pieces, calls, log, late))
                wsfast.uninstall()
            if not blocks.called:
                # Within one read, an answer may go out later than messages that came behind its question.
                assert sorted_out(logs[0]) == sorted_out(logs[1]), (
                    f"{number}: {pieces} {calls} {options} {late}"
                )

    asyncio.run(main())


@pytest.mark.parametrize("side", SIDES)
def test_every_split(side: Side) -> None:
    peer = Peer(side, False)
    data = (
        peer.message(1, b"one")
        + peer.frame(9, b"?")
        + peer.message(2, b"\xff" * 126)
        + peer.message(1, "zwölf".encode(), 3)
        + peer.message(1, b"last")
        + peer.frame(8, b"\x03\xe8")
    )

    async def main() -> None:
        histories = []
        for installed in (False, True):
            if installed:
                install("websockets")
            history = []
            for place in range(len(data) + 1):
                log: list[Any] = []
                connection = connect(side, log)
                with mock.patch("secrets.token_bytes", lambda n: KEY):
                    await play(connection, [data[:place], data[place:]], ["iterate"], log, False)
                history.append(log)
            histories.append(history)
        assert histories[0] == histories[1]

    asyncio.run(main())


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("side", SIDES)
def test_nearly_all_frames_take_the_fast_path(side: Side, deflate: bool) -> None:
    peer = Peer(side, deflate)
    data = b"".join(
        peer.message(1, b"text") + peer.message(2, bytes(5000)) + peer.frame(9, b"ping") for _ in range(500)
    )

    async def main() -> None:
        install("websockets")
        counts = wsfast.adapters.counts("websockets")
        counts.fast = counts.slow = 0
        connection = connect(side, [], deflate=deflate, max_queue=None)
        # Whole messages must be in the queue, not frames: that is what makes it fast.
        for start in range(0, len(data), 65_536):
            connection.data_received(data[start : start + 65_536])
        kinds = [type(item) for item in connection.recv_messages.frames.queue]
        assert len(kinds) == 1000
        assert sum(kind in (str, bytes) for kind in kinds) >= 950
        assert counts.fast >= 1000
        assert counts.slow <= 50

    asyncio.run(main())


# ---- Who looks on is not passed by ---------------------------------------------------------------


def test_replaced_methods_are_called() -> None:
    data = Peer(SERVER, False).message(1, b"hello")

    async def main() -> None:
        install("websockets")
        connection = connect(SERVER, [])
        with mock.patch.object(connection, "process_event") as process_event:
            connection.data_received(data)
        process_event.assert_called_once()
        with mock.patch.object(Connection, "process_event", autospec=True) as process_event:
            connection.data_received(data)
        process_event.assert_called_once()
        with mock.patch.object(connection.recv_messages, "put") as put:
            connection.data_received(data)
        put.assert_called_once()
        with mock.patch.object(connection.recv_messages, "get", mock.AsyncMock(return_value="mine")):
            assert await connection.recv() == "mine"
        with mock.patch.object(connection, "recv", mock.AsyncMock(return_value="mine too")):
            connection.data_received(data)
            async for message in connection:
                assert message == "mine too"
                break
        for name in ("send_text", "send_frame", "data_to_send"):
            with mock.patch.object(connection.protocol, name, wraps=getattr(connection.protocol, name)) as it:
                await connection.send("hello")
            it.assert_called()
        for name in ("send_data", "drain", "send_context"):
            with mock.patch.object(connection, name, wraps=getattr(connection, name)) as it:
                await connection.send("hello")
            it.assert_called()

    asyncio.run(main())


def test_overridden_methods_are_called() -> None:
    seen = []

    class Mine(websockets.asyncio.connection.Connection):
        def process_event(self, event: Any) -> None:
            seen.append(event.opcode)
            super().process_event(event)

    async def main() -> None:
        install("websockets")
        with mock.patch(f"{__name__}.Connection", Mine):
            connection = connect(SERVER, [])
        connection.data_received(Peer(SERVER, False).message(1, b"hello"))
        assert seen == [1]
        assert await connection.recv() == "hello"

    asyncio.run(main())


# ---- Out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("side", SIDES)
def test_what_is_sent_is_the_same(side: Side, deflate: bool) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = [
        ("text", {}),
        ("Grüße", {"text": False}),
        (b"bytes", {}),
        (b"text", {"text": True}),
        (bytearray(b"array"), {}),
        (memoryview(b"view"), {"text": True}),
        ("y" * 70_000, {}),
        (b"", {}),
        (["frag", "ments"], {}),
        ({"a": "dict"}, {}),
        (5, {}),
        ("after", {}),
        ("surrogate \ud800", {}),
        ("too late", {}),
    ]

    async def history() -> list[Any]:
        log: list[Any] = []
        connection = connect(side, log, deflate=deflate)
        with mock.patch("secrets.token_bytes", lambda n: KEY):
            for message, options in calls:
                try:
                    await asyncio.wait_for(connection.send(message, **options), 10)
                except Exception as exc:
                    log.append((type(exc), str(exc), repr(exc.__cause__)))
        log.append(connection.state is State.CLOSED)
        return log

    stock = asyncio.run(history())
    install("websockets")
    assert asyncio.run(history()) == stock


@pytest.mark.parametrize("side", SIDES)
def test_the_direct_way_out_is_the_same(side: Side) -> None:
    # With the key generator replaced, the connection's own way is taken; here it is not.
    async def sent() -> Any:
        log: list[Any] = []
        connection = connect(side, log)
        for message in ("text", b"bytes", "ü" * 300, b"x" * 70_000):
            await connection.send(message)
        reader = Protocol(CLIENT if side is SERVER else SERVER)
        for name, data in log:
            assert name == "write"
            reader.receive_data(data)
        return reader.events_received()

    stock = asyncio.run(sent())
    install("websockets")
    with mock.patch.object(Protocol, "send_frame", side_effect=AssertionError) as send_frame:
        fast_kind = fast._SEND_FRAME
        try:
            fast._SEND_FRAME = send_frame
            assert asyncio.run(sent()) == stock
        finally:
            fast._SEND_FRAME = fast_kind


def test_a_transport_that_fails() -> None:
    async def outcome() -> Any:
        log: list[Any] = []
        connection = connect(SERVER, log)
        connection.transport.write = mock.Mock(side_effect=OSError("gone"))
        with pytest.raises(ConnectionClosed) as raised:
            await asyncio.wait_for(connection.send("hello"), 10)
        return (type(raised.value), str(raised.value), repr(raised.value.__cause__), log)

    stock = asyncio.run(outcome())
    install("websockets")
    assert asyncio.run(outcome()) == stock


# ---- Faults of the library that are mended -------------------------------------------------------


def final_block(text: bytes) -> bytes:
    """A message in one block with BFINAL, and the zero byte behind it (RFC 7692 §7.2.3.4)."""
    packer = zlib.compressobj(wbits=-12)
    return packer.compress(text) + packer.flush() + b"\0"


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "bare"])
@pytest.mark.parametrize("takeover", [True, False], ids=["takeover", "no_takeover"])
@pytest.mark.parametrize("size", [5, 5000])
def test_messages_behind_a_final_block_are_not_lost(size: int, takeover: bool, padded: bool) -> None:
    peer = Peer(SERVER, False)
    rng = random.Random(size)
    texts = [rng.randbytes(size).hex().encode() for _ in range(3)]
    packed = [final_block(text)[: None if padded else -1] for text in texts]
    # Refers to what came before, when it may.
    packer = zlib.compressobj(wbits=-12, zdict=texts[-1][-4096:]) if takeover else zlib.compressobj(wbits=-12)
    packed.append((packer.compress(texts[-1]) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4])
    texts.append(texts[-1])

    async def main() -> None:
        for pieces in (1, 2):  # whole messages, and the library's own way for fragments
            connection = connect(SERVER, [])
            connection.protocol.extensions = [PerMessageDeflate(not takeover, False, 12, 12)]
            for data in packed:
                if pieces == 1:
                    connection.data_received(peer.frame(1, data, rsv1=True))
                else:
                    connection.data_received(peer.frame(1, data[:3], rsv1=True, fin=False))
                    connection.data_received(peer.frame(0, data[3:]))
            assert [await connection.recv() for _ in texts] == [text.decode() for text in texts]

    install("websockets")
    asyncio.run(main())


def test_limit_behind_a_final_block() -> None:
    async def main() -> None:
        connection = connect(SERVER, [], deflate=True, max_size=100)
        peer = Peer(SERVER, False)
        connection.data_received(peer.frame(1, final_block(b"a" * 100), rsv1=True))
        packer = zlib.compressobj(wbits=-12)
        two = packer.compress(b"b" * 60) + packer.flush()
        connection.data_received(peer.frame(1, two + final_block(b"b" * 41), rsv1=True))
        assert await connection.recv() == "a" * 100
        assert connection.protocol.close_sent.code == 1009

    install("websockets")
    asyncio.run(main())


def test_final_blocks_without_end_take_linear_time() -> None:
    def seconds(count: int) -> float:
        payload = b"\x03\x00" * count + b"\0"
        data = Peer(SERVER, False).frame(1, payload, rsv1=True)
        best = 60.0
        for _ in range(3):
            protocol = Protocol(SERVER)
            protocol.extensions = [PerMessageDeflate(False, False, 12, 12)]
            start = time.process_time()
            protocol.receive_data(data)
            best = min(best, time.process_time() - start)
            events: list[Any] = protocol.events_received()
            assert [frame.data for frame in events] == [b""]
        return best

    install("websockets")
    assert seconds(40_000) < 10 * seconds(10_000)


def test_pongs_do_not_pile_up_for_a_peer_that_does_not_read() -> None:
    async def main() -> None:
        log: list[Any] = []
        connection = connect(SERVER, log)
        peer = Peer(SERVER, False)
        connection.data_received(peer.frame(9, b"first"))
        assert log == [("write", b"\x8a\x05first")]
        connection.pause_writing()
        for number in range(1000):
            connection.data_received(peer.frame(9, b"%d" % number) + peer.message(1, b"between"))
        # In a message that never ends, too.
        connection.data_received(peer.frame(1, b"begun", fin=False) + peer.frame(9, b"last"))
        assert not [entry for entry in log[1:] if entry[0] == "write"]
        connection.resume_writing()
        assert log[-1] == ("write", b"\x8a\x04last")
        connection.data_received(peer.frame(9, b"again"))
        assert log[-1] == ("write", b"\x8a\x05again")

    install("websockets")
    asyncio.run(main())


# ---- On and off ----------------------------------------------------------------------------------


def test_messages_that_wait_survive_uninstalling() -> None:
    async def main() -> None:
        install("websockets")
        connection = connect(SERVER, [])
        peer = Peer(SERVER, False)
        connection.data_received(peer.message(1, b"one") + peer.message(2, b"two") + peer.message(1, b"3", 2))
        wsfast.uninstall()
        connection.data_received(peer.message(1, b"four") + peer.message(1, b"five"))
        assert [await connection.recv() for _ in range(3)] == ["one", b"two", "3"]
        assert [piece async for piece in connection.recv_streaming()] == ["four"]
        assert await connection.recv(decode=False) == b"five"

    asyncio.run(main())


def test_connections_that_are_open_are_taken_over() -> None:
    async def main() -> None:
        connection = connect(SERVER, [])
        peer = Peer(SERVER, False)
        connection.data_received(peer.message(1, b"one"))
        install("websockets")
        assert await connection.recv() == "one"
        connection.data_received(peer.message(1, b"two"))
        assert list(connection.recv_messages.frames.queue) == ["two"]
        assert await connection.recv() == "two"

    asyncio.run(main())
