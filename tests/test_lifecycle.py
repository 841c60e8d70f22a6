"""Decoders and validators that are set up twice, not at all, or while they are at work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from implementations import Implementation

from wsfast.errors import ProtocolError

IN_USE = "the decoder is in use by another call"
NOT_SET_UP = "__init__() was not called"

both = pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])


def contents(events: list[Any]) -> list[bytes]:
    return [event if isinstance(event, bytes) else event.payload for event in events]


class TestSetUpAgain:
    @both
    def test_starts_anew(self, backend: Implementation, messages: bool) -> None:
        decoder = backend.decoder(messages, "client", max_size=10)
        decoder.feed(b"\x02\x05ab")
        view = decoder.get_buffer()
        decoder.__init__("server")
        assert (decoder.role, decoder.max_size) == ("server", 1 << 20)
        view[:3] = b"???"
        with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\) before it$"):
            decoder.buffer_updated(1)
        assert contents(decoder.feed(b"\x82\x83\0\0\0\0xyz")) == [b"xyz"]
        with pytest.raises(ProtocolError):
            decoder.feed(b"\x83")
            decoder.feed(b"\x80")
        decoder.__init__("client")
        assert contents(decoder.feed(b"\x82\x01x")) == [b"x"]

    @both
    @pytest.mark.parametrize(
        ("arguments", "options", "error"),
        [
            (("peer",), {"max_size": 1}, ValueError),
            ((None,), {}, TypeError),
            (("server",), {"max_size": -1}, ValueError),
            (("server",), {"max_size": "1"}, TypeError),
            ((), {}, TypeError),
        ],
    )
    def test_a_failure_changes_nothing(
        self, backend: Implementation, messages: bool, arguments: Any, options: Any, error: type[Exception]
    ) -> None:
        decoder = backend.decoder(messages, "client", max_size=9)
        decoder.feed(b"\x82\x05ab")
        view = decoder.get_buffer()
        with pytest.raises(error):
            decoder.__init__(*arguments, **options)
        assert (decoder.role, decoder.max_size) == ("client", 9)
        view[:3] = b"cde"
        assert contents(decoder.buffer_updated(3)) == [b"abcde"]
        with pytest.raises(ProtocolError, match=r"exceeds the limit of 9 bytes"):
            decoder.feed(b"\x82\x0a")

    def test_from_inflate(self, backend: Implementation) -> None:
        """The error is one like any other that inflate raises."""

        def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
            decoder.__init__("server")
            return piece

        decoder = backend.MessageDecoder("client", inflate=inflate)
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(b"\x81\x01x\xc1\x00")
        assert str(caught.value) == f"cannot inflate message: {IN_USE}"
        assert (caught.value.code, caught.value.events) == (1002, ["x"])
        assert type(caught.value.__cause__) is RuntimeError
        assert decoder.role == "client"
        with pytest.raises(ProtocolError, match=f"input after an error: cannot inflate message: {IN_USE}$"):
            decoder.feed(b"")

    @both
    def test_from_an_index(self, backend: Implementation, messages: bool) -> None:
        class Index:
            def __index__(self) -> int:
                decoder.__init__("server")
                return 3

        decoder = backend.decoder(messages, "client")
        view = decoder.get_buffer()
        view[:3] = b"\x82\x01x"
        with pytest.raises(RuntimeError, match=f"^{IN_USE}$"):
            decoder.buffer_updated(Index())
        assert decoder.role == "client"
        assert contents(decoder.buffer_updated(3)) == [b"x"]


class TestNotSetUp:
    @both
    def test_decoders(self, backend: Implementation, messages: bool) -> None:
        kind = backend.MessageDecoder if messages else backend.FrameDecoder

        class Forgetful(kind):  # type: ignore[misc, valid-type]
            def __init__(self, anything: object) -> None:
                pass

        def failed() -> Any:
            decoder = kind.__new__(kind)
            with pytest.raises(ValueError):
                decoder.__init__("peer")
            with pytest.raises(ValueError):
                decoder.__init__("server", max_size=-1)
            return decoder

        makers: list[Callable[[], Any]] = [lambda: kind.__new__(kind), lambda: Forgetful(1), failed]
        for make in makers:
            decoder = make()
            calls: list[Callable[[], object]] = [
                lambda decoder=decoder: decoder.feed(b"\x82\x00"),  # type: ignore[misc]
                lambda decoder=decoder: decoder.feed(bytearray()),  # type: ignore[misc]
                lambda decoder=decoder: decoder.get_buffer(),  # type: ignore[misc]
                lambda decoder=decoder: decoder.buffer_updated(0),  # type: ignore[misc]
            ]
            for call in calls * 2:
                with pytest.raises(RuntimeError) as caught:
                    call()
                assert type(caught.value) is RuntimeError
                assert str(caught.value) == NOT_SET_UP
            assert decoder.role is None
            assert decoder.max_size is None
            kind.__init__(decoder, "client")
            assert contents(decoder.feed(b"\x82\x01x")) == [b"x"]

    def test_validators(self, backend: Implementation) -> None:
        class Forgetful(backend.Utf8Validator):  # type: ignore[misc, name-defined]
            def __init__(self, anything: object) -> None:
                pass

        for make in (lambda: backend.Utf8Validator.__new__(backend.Utf8Validator), lambda: Forgetful(1)):
            assert make().complete is True
            validator = make()
            for piece, valid, complete in [
                (b"", True, True),
                (b"a\xc3", True, False),
                (b"\xa9", True, True),
                (b"\xff", False, False),
                (b"a", False, False),
            ]:
                assert (validator.feed(piece), validator.complete) == (valid, complete)
            validator.reset()
            assert validator.complete is True

    def test_validators_take_no_arguments(self, backend: Implementation) -> None:
        for arguments, options in ((("x",), {}), ((b"",), {}), ((), {"data": b""})):
            with pytest.raises(TypeError):
                backend.Utf8Validator(*arguments, **options)


@pytest.mark.thread_unsafe(reason="all decoders of the process share the spare buffers")
@both
def test_the_object_behind_a_lent_view(backend: Implementation, messages: bool) -> None:
    """Whoever has had a view has its `obj`: that leads to no later loan, of whichever decoder."""
    decoders = [backend.decoder(messages, "client") for _ in range(3)]
    behind = []
    for decoder in decoders * 3:
        view = decoder.get_buffer()
        behind.append(view.obj)
        view[:4] = b"\x82\x02ok"
        assert contents(decoder.buffer_updated(4)) == [b"ok"]
    views = [decoder.get_buffer() for decoder in decoders]
    for view in views:
        view[:4] = b"\x82\x02ok"
    current = [id(view.obj) for view in views]
    for exporter in behind:
        if id(exporter) in current:  # the compiled backend lends the same one, which knows who asks
            continue
        try:
            with memoryview(exporter) as old:
                old[:4] = b"\x82\x02no"
        except BufferError:
            pass
    if backend.name == "python":
        assert not {id(exporter) for exporter in behind} & set(current)
    assert [contents(decoder.buffer_updated(4)) for decoder in decoders] == [[b"ok"]] * 3


class Lacking(ProtocolError):
    def __init__(self) -> None:  # no code, no events
        pass


class Mute(ProtocolError):
    def __str__(self) -> str:
        raise ValueError("no words")


class Locked(ProtocolError):
    @property
    def code(self) -> int:
        raise OSError("no code")

    @code.setter
    def code(self, value: object) -> None:
        pass


class Coded(ProtocolError):
    def __init__(self, code: Any) -> None:
        super().__init__("coded", code)


@pytest.mark.parametrize(
    ("make", "text", "code"),
    [
        (Lacking, "", 1002),
        (lambda: Mute("unheard", 1009), "", 1009),
        (lambda: Locked("locked"), "locked", 1002),
        (lambda: Coded("1009"), "coded", 1002),
        (lambda: Coded(None), "coded", 1002),
        (lambda: Coded(7), "coded", 1002),
        (lambda: Coded(True), "coded", 1002),
        (lambda: Coded(2**70), "coded", 1002),
        (lambda: Coded(4000), "coded", 4000),
    ],
    ids=["lacking", "mute", "locked", "str", "None", "small", "bool", "huge", "fine"],
)
def test_odd_errors_of_inflate(
    backend: Implementation, make: Callable[[], ProtocolError], text: str, code: int
) -> None:
    raised = make()

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        raise raised

    decoder = backend.MessageDecoder("client", inflate=inflate)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(b"\x81\x01x\xc1\x00")
    assert caught.value is raised
    assert raised.events == ["x"]
    for _ in range(2):
        with pytest.raises(ProtocolError) as again:
            decoder.feed(b"\x81\x01x")
        assert str(again.value) == f"the decoder takes no input after an error: {text}"
        assert again.value.code == code


def test_an_error_of_inflate_that_cannot_be_told(backend: Implementation) -> None:
    class Interrupting(ProtocolError):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        raise Interrupting("x")

    decoder = backend.MessageDecoder("client", inflate=inflate)
    with pytest.raises(KeyboardInterrupt):
        decoder.feed(b"\xc1\x00")
    with pytest.raises(ProtocolError, match=r"^the decoder takes no input after an error: "):
        decoder.feed(b"\x81\x01x")


class Liar(int):
    """Is 7 but for its true value."""

    def _seven(self, *_: object) -> int:
        return 7

    def _yes(self, _: object) -> bool:
        return True

    __int__ = __index__ = __and__ = __rand__ = __or__ = __ror__ = __add__ = __hash__ = __trunc__ = _seven
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = _yes

    def __str__(self) -> str:
        return "seven"

    def __repr__(self) -> str:
        return "seven"

    def __format__(self, _: str) -> str:
        return "seven"


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="int.__index__() asks the subclass there")
class TestNumbersThatLie:
    """What counts is the value that int itself has."""

    def test_opcode(self, backend: Implementation) -> None:
        for opcode in (0, 1, 2, 8, 9, 10):
            assert backend.encode_frame(Liar(opcode), b"") == bytes((0x80 | opcode, 0))
        for opcode in (3, 7, 11, -1, 2**70 + 1):
            with pytest.raises(ValueError, match=rf"10 \(PONG\), not {opcode}$"):
                backend.encode_frame(Liar(opcode), b"")
        with pytest.raises(ValueError, match=r"^ping frame cannot be fragmented"):
            backend.encode_frame(Liar(9), b"", fin=False)

    def test_offset(self, backend: Implementation) -> None:
        for offset in (0, 1, 2, 6, 2**70 + 3):
            buffer = bytearray(4)
            backend.apply_mask_into(buffer, b"abcd", Liar(offset))
            assert buffer == (b"abcd" * 2)[offset % 4 :][:4]
        with pytest.raises(ValueError, match=r"^offset must be 0 or more, not -3$"):
            backend.apply_mask_into(bytearray(4), b"abcd", Liar(-3))
        header = backend.parse_header(b"\x83\x00\x81\x05", Liar(2))
        assert (header.opcode, header.length) == (1, 5)
        with pytest.raises(ValueError, match=r"^offset must be 0 or more, not -3$"):
            backend.parse_header(b"\x83\x00\x81\x05", Liar(-3))

    @both
    def test_max_size(self, backend: Implementation, messages: bool) -> None:
        decoder = backend.decoder(messages, "client", max_size=Liar(4))
        assert contents(decoder.feed(b"\x82\x04abcd")) == [b"abcd"]
        with pytest.raises(ProtocolError, match=r"of 5 bytes exceeds the limit of 4 bytes"):
            decoder.feed(b"\x82\x05")
        with pytest.raises(ValueError, match=r"no limit, not -1$"):
            backend.decoder(messages, "client", max_size=Liar(-1))
        decoder = backend.decoder(messages, "client", max_size=Liar(2**70))
        assert decoder.feed(b"\x82\x7f\x7f" + b"\xff" * 7) == []

    @both
    def test_nbytes(self, backend: Implementation, messages: bool) -> None:
        decoder = backend.decoder(messages, "client")
        assert len(decoder.get_buffer(Liar(3))) >= 65536
        view = decoder.get_buffer()
        view[:6] = b"\x82\x01x\x83\x00\x00"
        with pytest.raises(ValueError, match=r", not -3$"):
            decoder.buffer_updated(Liar(-3))
        assert contents(decoder.buffer_updated(Liar(3))) == [b"x"]
