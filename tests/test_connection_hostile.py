"""wsfast.Connection among objects and hooks of an application that do what they should not."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from handshakes import GOOD
from implementations import Implementation
from streams import frame

import wsfast
from wsfast import Close, Deflate, InvalidState, PreparedMessage, Request, Response, State
from wsfast.compression import set_zlib_backend

IN_USE = r"^the decoder is in use by another call$"


def established(impl: Implementation, role: str = "server", **options: Any) -> Any:
    return impl.Connection.established(role, **options)


# ---- Calls from within ------------------------------------------------------------------------------


def test_receiving_from_within(impl: Implementation) -> None:
    server = established(impl)

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        for call in (lambda: server.receive_data(b""), server.get_buffer, server.receive_eof):
            with pytest.raises(RuntimeError, match=IN_USE):
                call()
        return b"fine"

    server._open(inflate)
    assert server.receive_data(frame(1, b"x", rsv=4)) == ["fine"]
    assert server.state is State.OPEN


class Zlib:
    """The standard library's, with a call of somebody else's in each compression."""

    Z_SYNC_FLUSH = zlib.Z_SYNC_FLUSH
    error = zlib.error
    decompressobj = staticmethod(zlib.decompressobj)
    hook: Callable[[], object] | None = None

    def compressobj(self, **options: Any) -> Any:
        theirs = zlib.compressobj(**options)

        def compress(data: Any) -> bytes:
            if self.hook is not None:
                hook, self.hook = self.hook, None
                hook()
            return theirs.compress(data)

        return SimpleNamespace(compress=compress, flush=theirs.flush)


@pytest.fixture
def hooked() -> Any:
    module: Any = Zlib()
    set_zlib_backend(module)
    yield module
    set_zlib_backend(zlib)


CALLS: dict[str, Callable[[Any], object]] = {
    "a message": lambda server: server.send_text("y" * 200),
    "not compressed": lambda server: server.send_text("y", compress=False),
    "a fragment": lambda server: server.send_binary(b"y", fin=False, compress=False),
    "prepared": lambda server: server.send_prepared(PreparedMessage("y" * 200)),
}


@pytest.mark.thread_unsafe(reason="set_zlib_backend() is for the whole process")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("outer", ["whole", "fragment", "prepared"])
def test_sending_from_within(impl: Implementation, hooked: Any, outer: str, call: str) -> None:
    """Two messages must not come out as one; the one under way goes on."""
    server = established(impl, extensions="permessage-deflate", compression=Deflate())
    client = established(impl, "client", extensions="permessage-deflate")

    def hook() -> None:
        with pytest.raises(RuntimeError, match=r"^the connection is in use by another call$"):
            CALLS[call](server)

    hooked.hook = hook
    if outer == "prepared":
        sent = server.send_prepared(PreparedMessage("x" * 200))
    elif outer == "whole":
        sent = server.send_text("x" * 200)
    else:
        sent = server.send_text("x" * 150, fin=False) + server.send_text("x" * 50)
    assert hooked.hook is None
    sent += server.send_text("z" * 200)
    assert client.receive_data(sent) == ["x" * 200, "z" * 200]


# ---- zlib changes during the handshake ---------------------------------------------------------------


class Coarse(Zlib):
    """A zlib that knows three levels."""

    def compressobj(self, **options: Any) -> Any:
        if options.get("level", 1) > 3:
            raise ValueError("Bad compression level")
        return super().compressobj(**options)


@pytest.mark.thread_unsafe(reason="set_zlib_backend() is for the whole process")
@pytest.mark.parametrize("role", ["client", "server"])
def test_zlib_is_chosen_when_the_connection_is_made(impl: Implementation, role: str) -> None:
    client = impl.Connection("client", "ws://h/", compression=Deflate(level=9))
    server = impl.Connection("server", compression=Deflate(level=9))
    coarse: Any = Coarse()
    set_zlib_backend(coarse)
    try:
        with pytest.raises(ValueError, match=r"^level must be 0 to 3 with Coarse, not 9$"):
            impl.Connection(role, "ws://h/" if role == "client" else None, compression=Deflate(level=9))
        (request,) = server.receive_data(client.data_to_send())
        assert isinstance(request, Request)
        (response,) = client.receive_data(server.accept())
        assert isinstance(response, Response)
        assert client.receive_data(server.send_text("x" * 200)) == ["x" * 200]
        assert server.receive_data(client.send_text("x" * 200)) == ["x" * 200]
    finally:
        set_zlib_backend(zlib)


# ---- Exceptions from within --------------------------------------------------------------------------


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("next_call", ["receive_data", "receive_eof"])
@pytest.mark.parametrize("state", ["open", "closing"])
def test_an_interruption(impl: Implementation, state: str, next_call: str) -> None:
    """Nothing that was decoded is lost, and the connection has failed: where it was is not known."""
    server = established(impl)

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        raise Stop

    server._open(inflate)
    if state == "closing":
        assert server.close() == b"\x88\x02\x03\xe8"
    with pytest.raises(Stop):
        server.receive_data(frame(1, b"before") + frame(1, b"x", rsv=4) + frame(1, b"behind"))
    assert (server.state, server.close_code) == (State.CLOSING, 1006)
    assert (str(server.error), server.error.code) == ("interrupted by Stop", 1011)
    assert server.should_close
    with pytest.raises(InvalidState):
        server._continues = 0
        server.data_to_send()
        server.send_text("x")
    events = server.receive_eof() if next_call == "receive_eof" else server.receive_data(frame(1, b"later"))
    assert events == ["before", Close(1011, "interrupted by Stop", server.error)]
    assert server.receive_data(frame(1, b"later")) == []
    assert server.receive_eof() == []
    assert server.state is State.CLOSED


def test_what_an_interruption_sends(impl: Implementation) -> None:
    server = established(impl)

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        raise Stop

    server._open(inflate)
    with pytest.raises(Stop):
        server.receive_data(frame(1, b"x", rsv=4))
    assert server.data_to_send() == b"\x88\x15\x03\xf3interrupted by Stop"
    assert server.close(1011) == b""


# ---- Subclasses of Connection ------------------------------------------------------------------------


def test_an_override_sees_each_event_once(impl: Implementation) -> None:
    seen: list[Any] = []

    class Mine(impl.Connection):  # type: ignore[misc, name-defined]
        def receive_data(self, data: Any) -> Any:
            events = super().receive_data(data)
            seen.extend(events)
            return events

    # The client gets the response and the first frames in one read.
    client = Mine("client", "ws://h/")
    server = impl.Connection("server")
    server.receive_data(client.data_to_send())
    client.receive_data(server.accept() + server.send_text("1") + server.send_text("2"))
    assert seen[1:] == ["1", "2"]
    assert isinstance(seen[0], Response)
    # The server gets frames behind the request, before it answers.
    seen.clear()
    early = Mine("server")
    early.receive_data(GOOD + frame(1, b"1"))
    early.accept()
    early.receive_data(frame(1, b"2"))
    assert seen[1:] == ["1", "2"]
    # Or never gets around to it before the end.
    seen.clear()
    early = Mine("server")
    early.receive_data(GOOD + frame(1, b"1"))
    early.accept()
    assert early.receive_eof() == ["1", Close(1006)]
    assert len(seen) == 1


NO_STATE = "'Connection' object has no attribute 'state'"
UNINITIALISED: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "receive_data": (lambda c: c.receive_data(b""), RuntimeError, "__init__() was not called"),
    "receive_eof": (lambda c: c.receive_eof(), RuntimeError, "__init__() was not called"),
    "get_buffer": (lambda c: c.get_buffer(), RuntimeError, "__init__() was not called"),
    "send_text": (lambda c: c.send_text("x"), AttributeError, NO_STATE),
    "send_binary": (lambda c: c.send_binary(b""), AttributeError, NO_STATE),
    "ping": (lambda c: c.ping(), AttributeError, NO_STATE),
}


@pytest.mark.parametrize("call", UNINITIALISED)
def test_uninitialised(impl: Implementation, call: str) -> None:
    function, error, message = UNINITIALISED[call]
    connection = impl.Connection.__new__(impl.Connection)
    with pytest.raises(error) as caught:
        function(connection)
    assert type(caught.value) is error
    assert str(caught.value) == message


# ---- Subclasses of str and int -----------------------------------------------------------------------


class Text(str):
    """Says in every way but its characters that it is something else."""

    def encode(self, *args: Any) -> bytes:
        return b"\xff\r\n\r\n"

    def __str__(self) -> str:
        return "a\r\nb"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "a\r\nInjected: yes"

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Any:
        return iter("\r\n")

    def __getitem__(self, index: Any) -> str:
        return "\r"

    def __hash__(self) -> int:
        return hash(str.__str__(self))


class Code(int):
    def to_bytes(self, *args: Any, **options: Any) -> bytes:
        return b"\x00\x00"

    def __int__(self) -> int:
        return 5

    def __index__(self) -> int:
        return 6

    def __str__(self) -> str:
        return "7"


SENT: dict[str, tuple[Callable[[Any], bytes], bytes]] = {
    "text": (lambda c: c.send_text(Text("hey")), b"\x81\x03hey"),
    "message": (lambda c: c.send_message(Text("hey")), b"\x81\x03hey"),
    "fragment": (lambda c: c.send_text(Text("hey"), fin=False), b"\x01\x03hey"),
    "prepared": (lambda c: c.send_prepared(PreparedMessage(Text("hey"))), b"\x81\x03hey"),
    "ping": (lambda c: c.ping(Text("hey")), b"\x89\x03hey"),
    "pong": (lambda c: c.pong(Text("hey")), b"\x8a\x03hey"),
    "close": (lambda c: c.close(Code(1000), Text("hey")), b"\x88\x05\x03\xe8hey"),
}


@pytest.mark.parametrize("kind", SENT)
def test_what_is_sent_is_the_value(impl: Implementation, kind: str) -> None:
    send, expected = SENT[kind]
    server = established(impl)
    assert send(server) == expected
    if kind == "close":
        assert server.close_sent == Close(1000, "hey")
        assert type(server.close_sent.reason) is str
        assert type(server.close_sent.code) is not Code


@pytest.mark.parametrize("fin", [True, False])
def test_compressed_text_is_the_value(impl: Implementation, fin: bool) -> None:
    server = established(impl, extensions="permessage-deflate")
    client = established(impl, "client", extensions="permessage-deflate")
    sent = server.send_text(Text("hey" * 100), fin)
    if not fin:
        sent += server.send_text("")
    assert client.receive_data(sent) == ["hey" * 100]


def test_close_codes_of_a_subclass(impl: Implementation) -> None:
    with pytest.raises(ValueError, match=r"^code must be one of .*, not 1005 \(RFC 6455 §7\.4\)$"):
        established(impl).close(Code(1005))
    with pytest.raises(ValueError, match=r"^a reason needs a code before it"):
        established(impl).close(None, Text("hey"))


def test_heads_have_the_characters_that_were_checked(impl: Implementation) -> None:
    client = impl.Connection(
        "client",
        Text("ws://user:secret@h/chat?x"),
        subprotocols=[Text("proto")],
        headers=[(Text("X-Name"), Text("value"))],
        origin=Text("https://o"),
    )
    request = client.data_to_send()
    assert b"Injected" not in request
    assert request.count(b"\r\n") == 11
    assert request.startswith(b"GET /chat?x HTTP/1.1\r\nHost: h\r\n")
    for field in (b"X-Name: value", b"Sec-WebSocket-Protocol: proto", b"Origin: https://o"):
        assert field + b"\r\n" in request

    server = impl.Connection("server", subprotocols=["proto"])
    (event,) = server.receive_data(request)
    assert isinstance(event, Request)
    response = server.accept(Text("proto"), headers={Text("X-Name"): Text("value")})
    assert b"Injected" not in response
    assert b"Sec-WebSocket-Protocol: proto\r\n" in response
    assert b"X-Name: value\r\n" in response
    assert type(server.subprotocol) is str

    server = impl.Connection("server")
    server.receive_data(GOOD)
    response = server.reject(403, {Text("X-Name"): Text("value")}, Text("hey"))
    assert response.endswith(b"X-Name: value\r\n\r\nhey")


# ---- Wrong arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body(impl: Implementation, status: int) -> None:
    server = impl.Connection("server")
    server.receive_data(GOOD)
    with pytest.raises(ValueError, match=rf"^body must be empty with status {status} \(RFC 9110 §6\.4\.1\)$"):
        server.reject(status, body="x")
    assert server.reject(status).startswith(f"HTTP/1.1 {status} ".encode())


def test_subprotocol_of_an_established_connection(impl: Implementation) -> None:
    with pytest.raises(TypeError, match=r"^subprotocol must be a str, not int$"):
        established(impl, subprotocol=5)
    with pytest.raises(ValueError, match=r"^subprotocol must be a token, without ' ' at index 1"):
        established(impl, subprotocol="a b")
    assert established(impl, subprotocol="chat").subprotocol == "chat"
    assert wsfast.Connection.established("client").subprotocol is None
