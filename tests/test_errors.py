"""ProtocolError, Frame and the enums: what callers do with them beside reading."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from implementations import Implementation

from wsfast.errors import ProtocolError, WSFastError
from wsfast.frames import CloseCode, Frame, FrameHeader, Opcode


class TestProtocolError:
    def test_attributes(self) -> None:
        error = ProtocolError("what is wrong")
        assert (str(error), error.code, error.events) == ("what is wrong", 1002, [])
        assert isinstance(error, WSFastError)
        assert isinstance(error, Exception)
        assert not isinstance(error, ValueError)
        error = ProtocolError("too big", 1009, ("a", b"b"))
        assert (error.code, error.events) == (1009, ["a", b"b"])

    def test_each_has_its_own_events(self) -> None:
        ProtocolError("one").events.append("x")
        assert ProtocolError("two").events == []

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle(self, protocol: int) -> None:
        error = ProtocolError("bad", 1007, ["text", b"bytes", Frame(Opcode.PING, b"x")])
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is ProtocolError
        assert (str(again), again.code, again.events) == (str(error), error.code, error.events)

    def test_copy(self) -> None:
        error = ProtocolError("bad", 1007, [["inner"]])
        for again in (copy.copy(error), copy.deepcopy(error)):
            assert (str(again), again.code, again.events) == ("bad", 1007, [["inner"]])
        assert copy.deepcopy(error).events[0] is not error.events[0]

    def test_of_a_decoder(self, impl: Implementation) -> None:
        for decoder in (impl.MessageDecoder("client"), impl.FrameDecoder("client")):
            with pytest.raises(ProtocolError) as caught:
                decoder.feed(b"\x89\x01p\x83\x00")
            error = caught.value
            assert type(error) is ProtocolError
            assert type(error.events) is list
            again = pickle.loads(pickle.dumps(error))
            assert (str(again), again.code) == ("reserved opcode 0x3 (RFC 6455 §5.2)", 1002)
            assert again.events == [Frame(Opcode.PING, b"p")]
            assert type(again.events[0].opcode) is Opcode
            assert error.__cause__ is None


class TestFrame:
    def test_defaults(self) -> None:
        assert Frame(Opcode.PING) == (9, b"", True, False, False, False)

    @pytest.mark.parametrize(
        ("payload", "code", "reason"),
        [(b"", 1005, ""), (b"\x03\xe8", 1000, ""), (b"\x0f\xa0" + "tschüß".encode(), 4000, "tschüß")],
    )
    def test_close(self, payload: bytes, code: int, reason: str) -> None:
        frame = Frame(Opcode.CLOSE, payload)
        assert (frame.close_code, frame.close_reason) == (code, reason)

    def test_pickle(self, impl: Implementation) -> None:
        (frame,) = impl.MessageDecoder("client").feed(b"\x89\x01p")
        header = impl.parse_header(b"\x89\x01p")
        for value, kind in ((frame, Frame), (header, FrameHeader)):
            again = pickle.loads(pickle.dumps(value))
            assert again == value
            assert type(again) is kind
            assert copy.deepcopy(value) == value

    @pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
    def test_decoders_are_not_copied(self, impl: Implementation, name: str) -> None:
        """Half a decoder would be worse than none."""
        decoder = getattr(impl, name)("client")
        decoder.feed(b"\x82\x05ab")
        for call in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=f"^cannot pickle '{name}' object$"):
                call(decoder)
        (event,) = decoder.feed(b"cde")
        assert event == b"abcde" or event.payload == b"abcde"

    def test_validators_are_not_copied(self, impl: Implementation) -> None:
        class Mine(impl.Utf8Validator):  # type: ignore[misc, name-defined]
            pass

        for kind in (impl.Utf8Validator, Mine):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with pytest.raises(TypeError, match=f"^cannot pickle '{kind.__name__}' object$"):
                    pickle.dumps(kind(), protocol)
            for call in (copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match=f"^cannot pickle '{kind.__name__}' object$"):
                    call(kind())


def test_sendable_close_codes() -> None:
    sendable = [code for code in range(-10, 70_000) if CloseCode.is_sendable(code)]
    assert sendable == [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "apply_mask",
            "apply_mask_into",
            "is_utf8",
            "decode_utf8",
            "Utf8Validator",
            "mask_key",
            "parse_header",
        ),
        *("encode_frame", "FrameDecoder", "MessageDecoder", "available_isas", "isa"),
    ],
)
def test_names(impl: Implementation, name: str) -> None:
    assert hasattr(impl, name)


def test_isas(impl: Implementation) -> None:
    assert impl.module.isa == impl.isa
    isas: Any = impl.available_isas()
    assert type(isas) is tuple
    assert impl.isa in isas
    assert isas[-1] in ("scalar", "python")
