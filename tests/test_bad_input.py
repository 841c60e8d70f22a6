"""Wrong arguments: a clear error, the same in every backend, and nothing changed by it."""

from __future__ import annotations

import array
import ctypes
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from implementations import Implementation

from wsfast.errors import ProtocolError

KEY = b"\x01\x02\x03\x04"
PYPY = sys.implementation.name == "pypy"
FLOATS = array.array("d", [1.0, 2.0])


def released() -> memoryview:
    view = memoryview(bytearray(b"abcd"))
    view.release()
    return view


WIDE = (
    "{} must be a buffer of single bytes, not of N-byte items (memoryview(...).cast('B') gives their bytes)"
)
OPCODES = "opcode must be one of 0 (CONTINUATION), 1 (TEXT), 2 (BINARY), 8 (CLOSE), 9 (PING), 10 (PONG), not "

# What each argument that takes bytes says to each value that it does not take: {} is its name.
NOT_BYTES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "None": (lambda: None, TypeError, "{} must be a bytes-like object, not NoneType"),
    "str": (lambda: "text", TypeError, "{} must be a bytes-like object, not str"),
    "int": (lambda: 4, TypeError, "{} must be a bytes-like object, not int"),
    "float": (lambda: 1.5, TypeError, "{} must be a bytes-like object, not float"),
    "list": (lambda: [1, 2, 3, 4], TypeError, "{} must be a bytes-like object, not list"),
    "object": (object, TypeError, "{} must be a bytes-like object, not object"),
    "class": (lambda: bytes, TypeError, "{} must be a bytes-like object, not type"),
    "floats": (
        lambda: FLOATS,
        TypeError,
        WIDE.replace("N", "8"),
    ),
    "shorts": (
        lambda: array.array("h", [1, 2]),
        TypeError,
        WIDE.replace("N", "2"),
    ),
    "every other float": (
        lambda: memoryview(FLOATS)[::2],
        TypeError,
        WIDE.replace("N", "8"),
    ),
    "struct": (
        lambda: (ctypes.c_int32 * 3)(),
        TypeError,
        WIDE.replace("N", "4"),
    ),
    "released view": (released, ValueError, "operation forbidden on released memoryview object"),
}

CALLS: dict[str, tuple[str, Callable[[Implementation, Any], object]]] = {
    "apply_mask data": ("data", lambda impl, value: impl.apply_mask(value, KEY)),
    "apply_mask mask": ("mask", lambda impl, value: impl.apply_mask(b"abcde", value)),
    "apply_mask_into buffer": ("buffer", lambda impl, value: impl.apply_mask_into(value, KEY)),
    "apply_mask_into mask": ("mask", lambda impl, value: impl.apply_mask_into(bytearray(9), value)),
    "is_utf8": ("data", lambda impl, value: impl.is_utf8(value)),
    "decode_utf8": ("data", lambda impl, value: impl.decode_utf8(value)),
    "Utf8Validator": ("data", lambda impl, value: impl.Utf8Validator().feed(value)),
    "parse_header": ("data", lambda impl, value: impl.parse_header(value)),
    "FrameDecoder": ("data", lambda impl, value: impl.FrameDecoder("server").feed(value)),
    "MessageDecoder": ("data", lambda impl, value: impl.MessageDecoder("client").feed(value)),
    "encode_frame payload": ("payload", lambda impl, value: impl.encode_frame(2, value)),
    "encode_frame mask": ("mask", lambda impl, value: impl.encode_frame(2, b"", mask=value)),
}


@pytest.mark.parametrize("value", NOT_BYTES)
@pytest.mark.parametrize("call", CALLS)
def test_not_bytes(impl: Implementation, call: str, value: str) -> None:
    name, function = CALLS[call]
    make, error, message = NOT_BYTES[value]
    message = message.format(name)
    if "must be a bytes-like object" in message:
        if call == "encode_frame payload":
            if value == "str":
                return
            message = message.replace("a bytes-like", "a str or a bytes-like")
        if call == "encode_frame mask":
            message = f"mask must be True, False or 4 bytes, not {type(make()).__name__}"
    with pytest.raises(error) as caught:
        function(impl, make())
    assert type(caught.value) is error
    assert str(caught.value) == message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 6, 7, 8, 64])
def test_mask_lengths(impl: Implementation, n: int) -> None:
    message = f"^mask must contain 4 bytes, not {n}$"
    for key in (bytes(n), bytearray(n), memoryview(bytes(2 * n))[::2]):
        for data in (b"", b"Hello", bytes(5000)):
            with pytest.raises(ValueError, match=message):
                impl.apply_mask(data, key)
            buffer = bytearray(data)
            with pytest.raises(ValueError, match=message):
                impl.apply_mask_into(buffer, key)
            assert buffer == data
            buffer.append(0)  # not exported any more
            with pytest.raises(ValueError, match=message):
                impl.encode_frame(2, data, mask=key)


class TestApplyMaskInto:
    def test_read_only(self, impl: Implementation) -> None:
        data = b"abc"
        for buffer in (
            data,
            memoryview(data),
            memoryview(bytearray(data)).toreadonly(),
            memoryview(data)[::2],
        ):
            with pytest.raises(BufferError, match=r"^buffer must be writable$"):
                impl.apply_mask_into(buffer, KEY)

    def test_not_contiguous(self, impl: Implementation) -> None:
        data = bytearray(b"abcdefgh")
        for step in (2, -1):
            refused = pytest.raises(BufferError, match=r"^buffer must be contiguous$")
            with memoryview(data) as whole, whole[::step] as view, refused:
                impl.apply_mask_into(view, KEY)
        assert data == b"abcdefgh"
        data.append(1)

    @pytest.mark.parametrize(
        ("offset", "error", "message"),
        [
            (-1, ValueError, "offset must be 0 or more, not -1"),
            (-(2**70), ValueError, f"offset must be 0 or more, not -{2**70}"),
            (1.0, TypeError, "offset must be an int, not float"),
            ("1", TypeError, "offset must be an int, not str"),
            (None, TypeError, "offset must be an int, not NoneType"),
        ],
    )
    def test_offset(self, impl: Implementation, offset: Any, error: type[Exception], message: str) -> None:
        buffer = bytearray(b"abcd" * 10)
        with pytest.raises(error) as caught:
            impl.apply_mask_into(buffer, KEY, offset)
        assert str(caught.value) == message
        assert buffer == b"abcd" * 10
        buffer.append(0)

    def test_the_first_wrong_argument_is_named(self, impl: Implementation) -> None:
        for arguments, message in [
            ((None, None, None), "buffer must be a bytes-like object, not NoneType"),
            ((FLOATS, None, None), "buffer must be a buffer of single bytes, not of 8-byte"),
            ((memoryview(b"abcd")[::2], b"", -1), "buffer must be writable"),
            ((bytearray(3), None, -1), "mask must be a bytes-like object, not NoneType"),
            ((bytearray(3), b"abc", -1), "mask must contain 4 bytes, not 3"),
            ((bytearray(3), KEY, -1), "offset must be 0 or more, not -1"),
        ]:
            with pytest.raises((TypeError, ValueError, BufferError), match=r"^" + re.escape(message)):
                impl.apply_mask_into(*arguments)

    def test_the_first_wrong_argument_of_apply_mask_is_named(self, impl: Implementation) -> None:
        with pytest.raises(TypeError, match=r"^data must be"):
            impl.apply_mask(None, None)
        with pytest.raises(TypeError, match=r"^data must be"):
            impl.apply_mask("abc", b"abc")


class TestParseHeader:
    @pytest.mark.parametrize(
        ("offset", "error", "message"),
        [
            (-1, ValueError, "offset must be 0 or more, not -1"),
            (-(2**70), ValueError, f"offset must be 0 or more, not -{2**70}"),
            (1.5, TypeError, "'float' object cannot be interpreted as an integer"),
            ("1", TypeError, "'str' object cannot be interpreted as an integer"),
            (None, TypeError, "'NoneType' object cannot be interpreted as an integer"),
        ],
    )
    def test_offset(self, impl: Implementation, offset: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error) as caught:
            impl.parse_header(b"\x81\x00", offset)
        assert str(caught.value) == message


class TestEncodeFrame:
    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            (("1",), {}, TypeError, "opcode must be an int, not str"),
            ((1.0,), {}, TypeError, "opcode must be an int, not float"),
            ((None,), {}, TypeError, "opcode must be an int, not NoneType"),
            (
                (3,),
                {},
                ValueError,
                OPCODES + "3",
            ),
            (
                (-1,),
                {},
                ValueError,
                OPCODES + "-1",
            ),
            (
                (2**70 + 1,),
                {},
                ValueError,
                OPCODES + str(2**70 + 1),
            ),
            (
                (9,),
                {"fin": False},
                ValueError,
                "ping frame cannot be fragmented: fin must be true (RFC 6455 §5.5)",
            ),
            (
                (8,),
                {"fin": 0},
                ValueError,
                "close frame cannot be fragmented: fin must be true (RFC 6455 §5.5)",
            ),
            (
                (10,),
                {"rsv1": True},
                ValueError,
                "pong frame cannot be compressed: rsv1 must be false (RFC 7692 §6.1)",
            ),
            (
                (9, bytes(126)),
                {},
                ValueError,
                "payload of a ping frame must be at most 125 bytes, not 126 (RFC 6455 §5.5)",
            ),
            (
                (8, "é" * 63),
                {"mask": True},
                ValueError,
                "payload of a close frame must be at most 125 bytes, not 126 (RFC 6455 §5.5)",
            ),
            ((1, None), {}, TypeError, "payload must be a str or a bytes-like object, not NoneType"),
            ((1, b""), {"mask": None}, TypeError, "mask must be True, False or 4 bytes, not NoneType"),
            ((1, b""), {"mask": 1}, TypeError, "mask must be True, False or 4 bytes, not int"),
            ((1, b""), {"mask": 0}, TypeError, "mask must be True, False or 4 bytes, not int"),
            ((1, b""), {"mask": "abcd"}, TypeError, "mask must be True, False or 4 bytes, not str"),
            # The first wrong argument is named.
            ((3, None), {"mask": None, "fin": False}, ValueError, "opcode must be one of 0 (CONTINUATION), "),
            ((9, None), {"mask": None, "fin": False}, ValueError, "ping frame cannot be fragmented"),
            ((9, None), {"mask": None}, TypeError, "payload must be a str"),
            ((9, bytes(200)), {"mask": None}, ValueError, "payload of a ping frame must be at most"),
            ((9, "x" * 200), {"mask": b"abc"}, ValueError, "payload of a ping frame must be at most"),
        ],
    )
    def test_errors(
        self, impl: Implementation, arguments: Any, options: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error) as caught:
            impl.encode_frame(*arguments, **options)
        assert type(caught.value) is error
        if len(message) > 60 or "mask must" in message or "opcode must be an" in message:
            assert str(caught.value) == message
        else:
            assert str(caught.value).startswith(message)


class TestDecoderOptions:
    @pytest.mark.parametrize("messages", [False, True])
    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            (
                ("peer",),
                {},
                ValueError,
                "role must be 'client' or 'server', the side that this process plays, not 'peer'",
            ),
            (
                ("",),
                {},
                ValueError,
                "role must be 'client' or 'server', the side that this process plays, not ''",
            ),
            ((None,), {}, TypeError, "role must be a str, not NoneType"),
            ((b"server",), {}, TypeError, "role must be a str, not bytes"),
            ((True,), {}, TypeError, "role must be a str, not bool"),
            (
                ("server",),
                {"max_size": -1},
                ValueError,
                "max_size must be 0 or more, or None for no limit, not -1",
            ),
            (("server",), {"max_size": "1"}, TypeError, "max_size must be an int or None, not str"),
            (("server",), {"max_size": 1.5}, TypeError, "max_size must be an int or None, not float"),
            (("no",), {"max_size": -1}, ValueError, "role must be 'client' or"),
        ],
    )
    def test_errors(
        self,
        impl: Implementation,
        messages: bool,
        arguments: Any,
        options: Any,
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error) as caught:
            impl.decoder(messages, *arguments, **options)
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("messages", [False, True])
    def test_attributes(self, impl: Implementation, messages: bool) -> None:
        for max_size in (0, 5, None, 2**63 - 1, 2**70):
            decoder = impl.decoder(messages, "server", max_size=max_size)
            assert decoder.role == "server"
            assert decoder.max_size == max_size
            for name, value in (("role", "client"), ("max_size", 3)):
                with pytest.raises(AttributeError):
                    setattr(decoder, name, value)
        assert impl.decoder(messages, "client").role == "client"
        assert impl.decoder(messages, "client").max_size == 1 << 20

    def test_options_are_keywords(self, impl: Implementation) -> None:
        for decoder in (impl.FrameDecoder, impl.MessageDecoder):
            with pytest.raises(TypeError):
                decoder("server", 100)
            with pytest.raises(TypeError):
                decoder()
            with pytest.raises(TypeError):
                decoder("server", limit=100)
        with pytest.raises(TypeError):
            impl.MessageDecoder("server", rsv1=True)
        with pytest.raises(TypeError):
            impl.FrameDecoder("server", inflate=None)


@pytest.mark.parametrize("messages", [False, True], ids=["frames", "messages"])
class TestDecoderInput:
    def test_a_wrong_argument_does_not_end_the_input(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        decoder.feed(b"\x82\x05ab")
        for value in (None, "cde", FLOATS):
            with pytest.raises(TypeError):
                decoder.feed(value)
        with pytest.raises(ValueError, match="released"):
            decoder.feed(released())
        with pytest.raises(TypeError):
            decoder.get_buffer("x")
        with pytest.raises(TypeError):
            decoder.buffer_updated(None)
        (event,) = decoder.feed(b"cde")
        assert event == (b"abcde" if messages else (2, b"abcde", True, False, False, False))

    def test_no_input_after_an_error(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client")
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(b"\x82\x01x\x83\x00")
        assert str(caught.value) == "reserved opcode 0x3 (RFC 6455 §5.2)"
        assert len(caught.value.events) == 1
        refusal = "the decoder takes no input after an error: reserved opcode 0x3 (RFC 6455 §5.2)"
        for _ in range(2):
            calls: list[Callable[[], object]] = [
                lambda: decoder.feed(b""),
                lambda: decoder.feed(b"\x82\x00"),
                lambda: decoder.get_buffer(),
                lambda: decoder.buffer_updated(0),
            ]
            for call in calls:
                with pytest.raises(ProtocolError) as again:
                    call()
                assert (str(again.value), again.value.code, again.value.events) == (refusal, 1002, [])
        assert (decoder.role, decoder.max_size) == ("client", 1 << 20)

    def test_the_code_stays(self, impl: Implementation, messages: bool) -> None:
        decoder = impl.decoder(messages, "client", max_size=4)
        for message in (
            "message too big: a frame of 5 bytes exceeds the limit of 4 bytes (RFC 6455 §10.4)",
            "the decoder takes no input after an error: message too big: a frame of 5 bytes exceeds the limit"
            " of 4 bytes (RFC 6455 §10.4)",
        ):
            with pytest.raises(ProtocolError) as caught:
                decoder.feed(b"\x82\x05")
            assert (str(caught.value), caught.value.code) == (message, 1009)

    def test_the_buffer_is_free_after_the_call(self, impl: Implementation, messages: bool) -> None:
        for data in (b"\x82\x02ab\x82", b"\x82\x02ab\x83\x00"):
            buffer = bytearray(data * 20_000)
            decoder = impl.decoder(messages, "client", max_size=None)
            try:
                decoder.feed(buffer)
            except ProtocolError as error:
                kept = error  # its traceback leads to frames that may have held a view
                buffer.clear()
                assert kept.code == 1002
            buffer.clear()


@pytest.mark.skipif(PYPY, reason="a bytearray can be resized while it is exported: views keep what they had")
def test_resizing_what_is_being_read(impl: Implementation) -> None:
    """The bytearray that is decoded is exported: it cannot be resized from within."""
    stream = bytearray(b"\xc1\x01x" * 10)
    tried = []

    def inflate(piece: bytes, final: bool, max_length: int) -> bytes:
        with pytest.raises(BufferError):
            stream.clear()
        tried.append(piece)
        return piece

    decoder = impl.MessageDecoder("client", inflate=inflate)
    assert decoder.feed(stream) == ["x"] * 10
    assert tried == [b"x"] * 10
    stream.clear()


def test_errors_of_an_index(impl: Implementation) -> None:
    class Broken:
        def __index__(self) -> int:
            raise OSError("no index today")

    calls: list[Callable[[], object]] = [
        lambda: impl.parse_header(b"\x81\x00", Broken()),
        lambda: impl.FrameDecoder("server").get_buffer(Broken()),
        lambda: impl.FrameDecoder("server").buffer_updated(Broken()),
    ]
    for call in calls:
        with pytest.raises(OSError, match=r"^no index today$"):
            call()
