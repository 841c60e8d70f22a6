"""The websocket-client drop-in against the library itself: the same bytes must do the same."""

from __future__ import annotations

import logging
import os
import random
import select
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import wsfast
from wsfast import _fallback, adapters

pytest.importorskip("websocket._abnf")

import websocket
from implementations import compiled_module
from installing import FORCE, install
from linear import by_the_clock, check_linear
from websocket import ABNF, WebSocket
from websocket._abnf import continuous_frame, frame_buffer
from websocket_client_wire import BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, Script, unmasked, wire

from wsfast.adapters import _websocket_client_frames as fast

HOST = adapters.host("websocket-client")
pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")


@pytest.fixture(autouse=True, params=["python"] if compiled_module is None else ["python", "c"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs on both backends, and starts and ends uninstalled."""
    module: Any = _fallback if request.param == "python" else compiled_module
    for name in ("Utf8Validator", "apply_mask", "decode_utf8", "encode_frame", "is_utf8"):
        monkeypatch.setattr(fast, name, getattr(module, name))
    yield
    wsfast.uninstall()


CALLS: dict[str, Callable[[Any], Any]] = {
    "recv": lambda ws: ws.recv(),
    "next": lambda ws: next(ws),
    "data": lambda ws: ws.recv_data(),
    "data_control": lambda ws: ws.recv_data(control_frame=True),
    "data_frame": lambda ws: ws.recv_data_frame(True),
    "frame": lambda ws: ws.recv_frame(),
}
OPTIONS = [{}, {"skip_utf8_validation": True}, {"fire_cont_frame": True}, {"enable_multithread": False}]


def shown(value: Any) -> Any:
    if isinstance(value, ABNF):
        state = {name: item for name, item in vars(value).items() if name != "get_mask_key"}
        return {name: (type(item).__name__, item) for name, item in state.items()}
    if isinstance(value, tuple):
        return tuple(map(shown, value))
    return type(value).__name__, value


def run(
    pieces: Iterable[bytes | BaseException], call: str, options: dict[str, Any], limit: int = 60
) -> list[Any]:
    """Receive until the connection is lost; tell everything that an application can see."""
    sock = Script(pieces)
    ws: Any = WebSocket(**options)
    ws.sock, ws.connected = sock, True
    seen: list[Any] = []
    for _ in range(limit):
        try:
            seen.append(shown(CALLS[call](ws)))
        except BaseException as exc:
            seen.append((type(exc), str(exc)))
        # Not a byte more must have been read: a program may wait for the socket before it receives.
        seen.append((sock.taken, ws.connected, ws.sock is None, sock.closed))
        if ws.sock is None:
            break
    seen.append(unmasked(b"".join(sock.sent)))
    return seen


def assert_same(
    pieces: list[bytes | BaseException], calls: Iterable[str] = CALLS, options: Any = OPTIONS
) -> None:
    for option in options:
        for call in calls:
            wsfast.uninstall()
            stock = run(pieces, call, option)
            install("websocket-client")
            assert run(pieces, call, option) == stock, (call, option)
    wsfast.uninstall()


def conversation() -> bytes:
    """A bit of everything that is legal, the close frame and what comes too late."""
    text = "Grüße".encode()
    return b"".join(
        [
            wire(TEXT, b"Hello"),
            wire(BINARY),
            wire(TEXT),
            wire(TEXT, text[:3], fin=False),
            wire(PING, b"are you there?"),
            wire(CONT, b"", fin=False),
            wire(CONT, text[3:]),
            wire(PONG, b"yes"),
            wire(BINARY, bytes(range(126))),
            wire(TEXT, text),
            wire(BINARY, b"", fin=False),
            wire(CONT, b"x" * 125),
            wire(CLOSE, b"\x03\xe8bye"),
            wire(TEXT, b"too late"),
        ]
    )


def random_cuts(rng: random.Random, data: bytes, most: int = 6) -> list[bytes | BaseException]:
    places = sorted(rng.choices(range(len(data) + 1), k=rng.randrange(most)))
    return [data[i:j] for i, j in zip([0, *places], [*places, len(data)], strict=True) if i < j]


# ---- Receiving -----------------------------------------------------------------------------------


def test_whole_and_byte_by_byte() -> None:
    data = conversation()
    assert_same([data])
    assert_same([bytes([byte]) for byte in data])


def test_every_cut() -> None:
    data = conversation()
    for place in range(1, len(data)):
        assert_same([data[:place], data[place:]], ["recv", "data_frame"], [{}])


@pytest.mark.parametrize(
    "exception",
    [TimeoutError("timed out"), BlockingIOError(11, "again"), OSError("no"), KeyboardInterrupt()],
)
def test_interrupted_everywhere(exception: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout in the middle of a frame: the next call goes on there."""

    class Ready:
        def register(self, sock: Any, events: int) -> None:
            assert sock.gettimeout() is None

        def select(self, timeout: float | None) -> list[int]:
            return [1]

        def close(self) -> None:
            pass

    monkeypatch.setattr("selectors.DefaultSelector", Ready)
    data = conversation() + wire(TEXT, b"x" * 300) + wire(BINARY, bytes(20000)) + b"\x81"
    places = [*range(0, len(conversation()) + 6, 2), len(data) - 30000, len(data) - 2, len(data)]
    for place in places:
        pieces: list[bytes | BaseException] = [data[:place], exception, data[place:]]
        assert_same([piece for piece in pieces if piece], ["recv", "data_frame"], [{}])


@pytest.mark.parametrize("timeout", [None, 0, 5.0])
def test_sockets_that_answer_strangely(timeout: float | None) -> None:
    for odd in (None, 5, bytearray(b"ab"), memoryview(b"ab")):
        for before in (b"", b"\x81", b"\x81\x02", b"\x81\x02a", b"\x81\x7e", b"\x81\x7e\x00\x90abc"):
            stock: list[Any] = []
            ours: list[Any] = []
            for seen in (stock, ours):
                ws: Any = WebSocket()
                ws.sock = Script([*([before] if before else []), odd, b"\x81\x01b"], timeout)  # type: ignore[list-item]
                if seen is ours:
                    install("websocket-client")
                for _ in range(2):
                    try:
                        seen.append(shown(ws.recv()))
                    except Exception as exc:
                        seen.append((type(exc), str(exc)))
                seen.append(ws.sock is None)
                wsfast.uninstall()
            assert ours == stock, (odd, before)


TEXTS = [
    b"plain",
    "Grüße, 世界, 🌍".encode(),
    b"\xff",
    b"ab\xffcd",
    b"cut \xc3",
    b"cut \xf0\x9f",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe0\x80",
    b"x" * 200 + b"\xe2\x82",
    b"y" * 20000 + b"\xfe",
    "ü".encode() * 40000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:8]))
def test_text(text: bytes) -> None:
    tail = wire(TEXT, b"next")
    assert_same([wire(TEXT, text) + tail])
    assert_same([wire(BINARY, text) + tail])
    for place in (0, 1, len(text) // 2, len(text) - 1):
        assert_same([wire(TEXT, text[:place], fin=False) + wire(CONT, text[place:]) + tail])
    assert_same([wire(CLOSE, b"\x03\xe8" + text[:100]) + tail])


def test_first_bytes() -> None:
    """Every first byte, and lengths of every form."""
    for begun in (b"", wire(TEXT, b"begun", fin=False)):
        for first in range(256):
            if first & 0x70 not in (0, 0x10, 0x20, 0x40):
                continue
            for rest in (
                b"\x00",
                b"\x03abc",
                b"\x83" + KEY + b"abc",
                b"\x7e\x00\x02\x03\xe8",
                b"\x7e\x00\x80" + bytes(128),
            ):
                data = begun + bytes([first]) + rest + wire(TEXT, b"next")
                options = [{}, {"fire_cont_frame": True}] if begun else [{}]
                assert_same([data], ["recv", "data_frame"], options)


@pytest.mark.parametrize("form", [126, 127])
@pytest.mark.parametrize("size", [0, 5, 125, 126, 127, 65535, 65536])
def test_length_forms(form: int, size: int) -> None:
    if form == 126 and size > 65535:
        return
    for opcode in (TEXT, BINARY, PING):
        data = wire(opcode, b"x" * size, form=form) + wire(TEXT, b"next")
        assert_same([data], ["recv", "data_control"], [{}])
        assert_same([data[:1], data[1:3], data[3:9], data[9:]], ["recv", "data_control"], [{}])


def test_declared_and_never_sent() -> None:
    for length in (5, 300, 70_000, 1 << 31, (1 << 63) - 1, 1 << 63):
        assert_same([wire(TEXT, b"few", length=length)], ["recv", "frame"], [{}])


def test_random_damage(rng: random.Random) -> None:
    data = conversation() + wire(TEXT, b"y" * 300)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.choice([0, 1, 1, 2])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        option = rng.choice(OPTIONS)
        assert_same(random_cuts(rng, bytes(damaged)), ["recv", "data_control", "frame"], [option])


# ---- Real sockets --------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[Any, socket.socket]]:
    """A connection and the other end of its socket."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    ours.settimeout(20)
    ws: Any = WebSocket()
    ws.sock, ws.connected = ours, True
    with ours, theirs:
        yield ws, theirs


@pytest.mark.parametrize("size", [0, 1, 125, 126, 16384, 16385, 65535, 65536, 100_000, 3_000_000])
def test_sizes(size: int, pair: Any, run_thread: Any) -> None:
    ws, theirs = pair
    text = ("Grüße, " * (size // 8 + 1))[:size]
    data = os.urandom(size)
    install("websocket-client")
    before = HOST.counts.fast
    run_thread(lambda: theirs.sendall(wire(TEXT, text.encode()) * 2 + wire(BINARY, data) * 2))
    assert ws.recv() == text
    assert ws.recv_data() == (TEXT, text.encode())
    received = ws.recv()
    assert type(received) is bytes
    assert received == data
    opcode, frame = ws.recv_data_frame()
    assert (opcode, type(frame.data), frame.data) == (BINARY, bytes, data)
    assert HOST.counts.fast - before == 4


@pytest.fixture
def run_thread() -> Iterator[Callable[[Callable[[], object]], None]]:
    import threading

    threads: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("size", [10, 20_000, 200_000])
@pytest.mark.parametrize("where", ["both", "uninstalled"])
def test_timeout_in_a_payload(size: int, where: str, pair: Any, run_thread: Any) -> None:
    """What has arrived of a frame is not lost, also when wsfast is uninstalled meanwhile."""
    ws, theirs = pair
    install("websocket-client")
    ws.settimeout(0.02)
    text = "ü" * (size // 2)
    data = wire(TEXT, text.encode())
    for part in (data[:1], data[1:7], data[7 : size // 2]):
        theirs.sendall(part)
        with pytest.raises(websocket.WebSocketTimeoutException):
            ws.recv()
    if where == "uninstalled":
        wsfast.uninstall()
    ws.settimeout(20)
    run_thread(lambda: theirs.sendall(data[size // 2 if size // 2 > 7 else 7 :] + wire(TEXT, b"next")))
    assert ws.recv() == text
    assert ws.recv() == "next"


@pytest.mark.parametrize("size", [10, 300, 20_000, 200_000])
def test_end_in_a_payload(size: int, pair: Any) -> None:
    ws, theirs = pair
    install("websocket-client")
    theirs.sendall(wire(TEXT, b"x" * size)[:-1])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(
        websocket.WebSocketConnectionClosedException, match=r"Connection to remote host was lost\."
    ):
        ws.recv()
    assert ws.sock is None
    assert not ws.connected
    with pytest.raises(websocket.WebSocketConnectionClosedException, match=r" is (already )?closed"):
        ws.recv()


def test_long_payload_that_has_to_be_waited_for(run_thread: Any) -> None:
    """As sockets may have it that are not blocking for a moment."""

    class Moody(socket.socket):
        turn = 0

        def recv_into(self, *args: Any) -> int:
            self.turn += 1
            if self.turn % 2:
                raise BlockingIOError(11, "again")
            return super().recv_into(*args)

    Moody.__module__ = "socket"
    ours, theirs = socket.socketpair()
    payload = os.urandom(300_000)
    ws: Any = WebSocket()
    install("websocket-client")
    with Moody(fileno=ours.detach()) as moody, theirs:
        moody.settimeout(20)
        ws.sock = moody
        run_thread(lambda: theirs.sendall(wire(BINARY, payload) + wire(TEXT, b"next")))
        assert ws.recv() == payload
        assert ws.recv() == "next"
        assert moody.turn >= 3


def test_select_sees_every_message(pair: Any) -> None:
    """One message for each time that the socket is readable, as many programs have it."""
    ws, theirs = pair
    install("websocket-client")
    theirs.sendall(wire(TEXT, b"x") * 50 + wire(BINARY, bytes(300)) * 50)
    count = 0
    while select.select([ws.sock], [], [], 0)[0]:
        ws.recv()
        count += 1
    assert count == 100


def test_counts(pair: Any) -> None:
    ws, theirs = pair
    install("websocket-client")
    fast_before, slow_before = HOST.counts.fast, HOST.counts.slow
    for _ in range(100):
        theirs.sendall(wire(TEXT, b"a") + wire(BINARY, b"f", fin=False) + wire(PING) + wire(CONT, b"g"))
        assert ws.recv() == "a"
        assert ws.recv() == b"fg"
        ws.send("answer")
        theirs.recv(1000)
    assert HOST.counts.fast - fast_before == 400
    assert HOST.counts.slow == slow_before
    theirs.sendall(wire(TEXT, b"a", masked=True))
    assert ws.recv() == "a"
    assert HOST.counts.slow == slow_before + 1


@by_the_clock
def test_fragments_take_linear_time() -> None:
    install("websocket-client")
    piece = bytes(4096)

    def prepare(count: int) -> Callable[[], object]:
        data = [wire(BINARY, piece, fin=False)] + [wire(CONT, piece, fin=False)] * count + [wire(CONT)]
        ws: Any = WebSocket()
        ws.sock = Script(data[::-1])
        ws.sock.recv = lambda size: b""

        def add() -> None:
            cont = continuous_frame(False, False)
            for index in range(count):
                cont.add(ABNF(0, 0, 0, 0, BINARY if not index else CONT, 0, piece))
            assert len(cont.extract(ABNF())[1].data) == count * 4096

        return add

    check_linear(prepare, 300)


# ---- Sending -------------------------------------------------------------------------------------


def fixed(count: int) -> bytes:
    return (KEY * count)[:count]


PAYLOADS: list[Any] = [
    "", "text", "Grüße", "x" * 126, "x" * 70_000, "\ud800",
    b"", b"bytes", b"x" * 65536, bytearray(b"array"), memoryview(b"view"), memoryview(b"abcd")[::2],
    None, 5, ["a"],
]  # fmt: skip


@pytest.mark.parametrize("takes", [1 << 30, 3])
@pytest.mark.parametrize("own_key", [False, True])
def test_sending(takes: int, own_key: bool) -> None:
    def attempt(payload: Any, opcode: Any) -> Any:
        ws: Any = WebSocket(get_mask_key=fixed if own_key else None)
        ws.sock = Script([])
        ws.sock.takes = takes
        try:
            result: Any = ws.send(payload, opcode)
        except Exception as exc:
            result = type(exc), str(exc)
        sent = b"".join(ws.sock.sent)
        return result, sent if own_key else unmasked(sent)

    for payload in PAYLOADS:
        if takes == 3 and isinstance(payload, (str, bytes)) and len(payload) > 1000:
            continue
        for opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG, 3, 1.0, None):
            wsfast.uninstall()
            stock = attempt(payload, opcode)
            install("websocket-client")
            assert attempt(payload, opcode) == stock, (payload, opcode)


def test_format() -> None:
    def attempt(*args: Any) -> Any:
        frame = ABNF(*args)
        try:
            return unmasked(frame.format()) if frame.mask_value == 1 else frame.format()
        except Exception as exc:
            return type(exc), str(exc)

    payloads = [b"", b"bytes", b"x" * 126, "latin \xff", "wide ü\u1234", bytearray(b"array"), None]
    for payload in payloads:
        for opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG, 3, True):
            for fin, rsv1, rsv2, masked in [
                (1, 0, 0, 1),
                (0, 0, 0, 1),
                (1, 1, 0, 1),
                (1, 0, 1, 1),
                (1, 0, 0, 0),
                (2, 0, 0, 1),
                (True, False, 0, True),
            ]:
                args = fin, rsv1, rsv2, 0, opcode, masked, payload
                wsfast.uninstall()
                stock = attempt(*args)
                install("websocket-client")
                assert attempt(*args) == stock, args


def test_mask() -> None:
    for key in (KEY, "abcd", b"abc", b"", b"abcde"):
        for data in (b"", b"Hello", b"x" * 1000, "latin \xff", bytearray(b"array"), None, "\u1234"):
            results = []
            for _ in range(2):
                try:
                    results.append(ABNF.mask(key, data))  # type: ignore[arg-type]
                except Exception as exc:
                    results.append((type(exc), str(exc)))  # type: ignore[arg-type]
                install("websocket-client")
            assert results[0] == results[1], (key, data)
            wsfast.uninstall()


def test_keys_are_not_repeated() -> None:
    install("websocket-client")
    ws: Any = WebSocket()
    ws.sock = Script([])
    for _ in range(1000):
        ws.send("x")
    assert len({frame[2:6] for frame in ws.sock.sent}) > 990


def test_random_numbers_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaces os.urandom, or sets a function for masking keys, gets those keys."""
    install("websocket-client")
    ws: Any = WebSocket()
    ws.sock = Script([])
    with monkeypatch.context() as patch:
        patch.setattr(os, "urandom", fixed)
        ws.send("x")
        assert ABNF.create_frame("x", TEXT).format() == ws.sock.sent[0]
    ws.set_mask_key(fixed)
    ws.send("x")
    assert ws.sock.sent[0] == ws.sock.sent[1] == wire(TEXT, b"x", masked=True)


@pytest.mark.parametrize("timeout", [None, 0, 5.0])
def test_sending_to_a_socket_that_raises(timeout: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class NeverReady:
        def register(self, sock: Any, events: int) -> None:
            pass

        def select(self, timeout: float | None) -> list[int]:
            return [1]

        def close(self) -> None:
            pass

    monkeypatch.setattr("selectors.DefaultSelector", NeverReady)
    exceptions = [
        TimeoutError("timed out"),
        BlockingIOError(11, "again"),
        OSError("no"),
        OSError(32, "pipe"),
        ValueError("x"),
    ]
    for exception in exceptions:
        results = []
        for _ in range(2):
            ws: Any = WebSocket()
            ws.sock = Script([], timeout)
            raising = [exception]
            send = ws.sock.send

            def once(data: bytes, raising: list[Exception] = raising, send: Any = send) -> Any:
                if raising:
                    raise raising.pop()
                return send(data)

            ws.sock.send = once
            try:
                results.append((ws.send("x"), unmasked(b"".join(ws.sock.sent))))
            except Exception as exc:
                results.append((type(exc), str(exc)))  # type: ignore[arg-type]
            install("websocket-client")
        assert results[0] == results[1], exception
        wsfast.uninstall()


def test_sending_much(pair: Any, run_thread: Any) -> None:
    """A socket with a timeout takes a large message in parts."""
    ws, theirs = pair
    install("websocket-client")
    ws.settimeout(20)
    payload = os.urandom(5_000_000)
    run_thread(lambda: ws.send_bytes(payload))
    received = bytearray()
    while len(received) < len(payload) + 14:
        received += theirs.recv(1 << 20)
    assert wsfast.apply_mask(received[14:], received[10:14]) == payload


# ---- What applications override ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["recv_frame", "recv_data_frame", "recv_data", "_recv", "send_frame", "_send"]
)
@pytest.mark.parametrize("on", ["class", "instance"])
def test_methods_of_subclasses_are_called(name: str, on: str) -> None:
    calls = []

    class Mine(WebSocket):
        pass

    def method(self: Any, *args: Any) -> Any:
        calls.append(name)
        return getattr(WebSocket, name)(self, *args)

    if on == "class":
        setattr(Mine, name, method)
    install("websocket-client")
    ws: Any = Mine()
    if on == "instance":
        setattr(ws, name, method.__get__(ws))
        if name == "_recv":
            ws.frame_buffer.recv = ws._recv
    ws.sock = Script([wire(TEXT, b"a") + wire(PING) + wire(TEXT, b"b")])
    assert [ws.recv(), ws.recv()] == ["a", "b"]
    ws.send("c")
    assert calls


def test_trace(caplog: pytest.LogCaptureFixture) -> None:
    logs = []
    websocket.enableTrace(True, logging.NullHandler())
    try:
        for _ in range(2):
            with caplog.at_level(logging.DEBUG, "websocket"):
                caplog.clear()
                ws: Any = WebSocket(get_mask_key=fixed)
                ws.sock = Script([wire(TEXT, b"a") + wire(BINARY, b"b", fin=False) + wire(CONT)])
                assert [ws.recv(), ws.recv()] == ["a", b"b"]
                ws.send("c")
                logs.append(
                    [record.getMessage() for record in caplog.records if "Rcv raw" not in record.getMessage()]
                )
            install("websocket-client")
    finally:
        websocket.enableTrace(False)
    assert logs[0] == logs[1] != []


# ---- Strict --------------------------------------------------------------------------------------

STRICT = {
    "masked": wire(TEXT, b"x", masked=True),
    "masked-ping": wire(PING, b"x", masked=True),
    "length-126": wire(TEXT, b"x", form=126),
    "length-127": wire(BINARY, b"x" * 300, form=127),
    "length-127-ping": wire(PING, b"x", form=127),
    "length-cut": wire(BINARY, b"x" * 70000, form=127, length=1 << 63),
    "pong-fragmented": wire(PONG, b"", fin=False),
    "close-fragmented": wire(CLOSE, b"", fin=False),
    "pong-long": wire(PONG, b"x" * 126),
    "text-cut": wire(TEXT, b"abc\xc3"),
    "fragments-cut": wire(TEXT, b"abc", fin=False) + wire(CONT, b"\xc3"),
    "reason-cut": wire(CLOSE, b"\x03\xe8abc\xc3"),
}  # fmt: skip


@pytest.mark.parametrize("call", ["recv", "data"])
@pytest.mark.parametrize("name", STRICT)
def test_strict(name: str, call: str) -> None:
    data = wire(TEXT, b"first") + STRICT[name]
    for pieces in ([data], [bytes([byte]) for byte in data[:200]] + [data[200:]]):
        install("websocket-client", strict=True)
        seen = run([piece for piece in pieces if piece], call, {}, limit=2)
        fault = seen[2][0]
        expected = (
            websocket.WebSocketPayloadException
            if name in ("text-cut", "fragments-cut")
            else websocket.WebSocketProtocolException
        )
        assert fault is expected, seen
        wsfast.uninstall()
        lax = run([data], call, {}, limit=2)
        if name != "length-cut":
            assert lax[2][0] not in (
                websocket.WebSocketPayloadException,
                websocket.WebSocketProtocolException,
            )


def test_strict_refuses_for_good() -> None:
    install("websocket-client", strict=True)
    ws: Any = WebSocket()
    ws.sock = Script([wire(TEXT, b"x", form=126) + wire(TEXT, b"next")])
    for _ in range(3):
        with pytest.raises(websocket.WebSocketProtocolException, match="shortest form"):
            ws.recv()


def test_strict_takes_what_is_legal() -> None:
    stock = run([conversation()], "data_control", {})
    install("websocket-client", strict=True)
    assert run([conversation()], "data_control", {}) == stock


# ---- Installing ----------------------------------------------------------------------------------


def places() -> dict[str, Any]:
    found = {}
    for owner in (
        WebSocket,
        ABNF,
        frame_buffer,
        continuous_frame,
        websocket._core,
        websocket._abnf,
        websocket._utils,
    ):
        found.update({f"{owner.__name__}.{name}": value for name, value in vars(owner).items()})
    return found


def test_reversible() -> None:
    for strict in (False, True):
        before = places()
        with install("websocket-client", strict=strict) as done:
            assert done.hosts == ("websocket-client",)
            during = places()
            changed = {name for name in before if before[name] is not during[name]}
            plan = {
                name.removeprefix("websocket.").partition(".")[2]
                for name in adapters.plan("websocket-client")
            }
            assert {
                "WebSocket.recv",
                "WebSocket.send",
                "frame_buffer.recv_frame",
                "ABNF.format",
            } <= changed & plan
        after = places()
        assert before.keys() == after.keys()
        assert all(before[name] is after[name] for name in before)


def test_open_connections(pair: Any) -> None:
    ws, theirs = pair
    for number in range(40):
        if number % 2:
            install("websocket-client")
        else:
            wsfast.uninstall()
        theirs.sendall(wire(TEXT, b"whole") + wire(TEXT, b"be", fin=False) + wire(CONT, b"g", fin=False))
        assert ws.recv() == "whole"
        for _ in range(2):
            frame = ws.recv_frame()
            ws.cont_frame.add(frame)
        if number % 3:
            wsfast.uninstall()
        else:
            install("websocket-client")
        theirs.sendall(wire(CONT, b"u", fin=False) + wire(CONT, b"n"))
        assert ws.recv() == "begun"
        ws.send("x" * number)
        assert unmasked(theirs.recv(100)) == [(0x81, b"x" * number)]


RELOAD = """
import importlib, socket, sys
import websocket, wsfast
from websocket import _abnf, _core, _utils
def talk():
    ours, theirs = socket.socketpair()
    ws = _core.WebSocket()
    ws.sock = ours
    theirs.sendall(bytes([0x81, 2]) + b"hi" + bytes([1, 1]) + b"h" + bytes([0x80, 1]) + b"o")
    before = wsfast.adapters.counts("websocket-client").fast
    received = [ws.recv(), ws.recv()]
    ws.send("x")
    ours.close(), theirs.close()
    return *received, wsfast.adapters.counts("websocket-client").fast - before
stock = _core.WebSocket.recv
wsfast.install("websocket-client", force=True)
print(talk())
for modules in ([_core], [_utils], [_abnf], [_utils, _abnf, _core]):
    for module in modules:
        importlib.reload(module)
    talk()
    wsfast.install("websocket-client", force=True)
    print(talk())
wsfast.uninstall()
print(talk(), _core.WebSocket.recv.__module__)
"""


def test_reload(run_python: Callable[..., Any]) -> None:
    done = run_python(RELOAD)
    assert done.stdout.splitlines() == ["('hi', 'ho', 4)"] * 5 + ["('hi', 'ho', 0) websocket._core"]


@pytest.mark.skipif(FORCE, reason="force tries it all the same")
def test_hook_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A future version that names the hooks the same and does not call them is found out."""
    before = places()
    stock = WebSocket.recv

    def deaf(self: Any, *args: Any, **kwargs: Any) -> None:
        initialize(self, *args, **kwargs)
        self.recv = stock.__get__(self)
        self.frame_buffer.recv_frame = recv_frame.__get__(self.frame_buffer)

    initialize, recv_frame = WebSocket.__init__, frame_buffer.recv_frame
    with monkeypatch.context() as patch:
        patch.setattr(WebSocket, "__init__", deaf)
        with pytest.raises(adapters.AdapterError, match="nothing was changed"):
            install("websocket-client")
    assert all(before[name] is value for name, value in places().items())
