"""Arrays of NumPy as bytes: it exports buffers, and refuses to, in its own ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from implementations import Implementation

numpy: Any = pytest.importorskip("numpy")

KEY = b"\x01\x02\x03\x04"


def whole(data: bytes) -> Any:
    return numpy.frombuffer(data, numpy.uint8)


def strided(data: bytes) -> Any:
    array = numpy.full(2 * len(data), 0xEE, numpy.uint8)[::2]
    array[:] = whole(data)
    return array


def backwards(data: bytes) -> Any:
    return whole(data[::-1])[::-1]


def fortran(data: bytes) -> Any:
    """In two dimensions, columns first."""
    rows = 2 if len(data) % 2 == 0 else 1
    return numpy.asfortranarray(whole(data).reshape(rows, -1))


def transposed(data: bytes) -> Any:
    columns = 2 if len(data) % 2 == 0 else 1
    return numpy.ascontiguousarray(whole(data).reshape(-1, columns).T).T


def signed(data: bytes) -> Any:
    return strided(data).view(numpy.int8)


LAYOUTS = [whole, strided, backwards, fortran, transposed, signed]


CALLS: dict[str, tuple[str, bytes, Callable[[Implementation, Any], object]]] = {
    "apply_mask data": ("data", b"Hello there!", lambda impl, value: impl.apply_mask(value, KEY)),
    "apply_mask mask": ("mask", b"abcd", lambda impl, value: impl.apply_mask(bytes(9), value)),
    "apply_mask_into mask": (
        "mask",
        b"abcd",
        lambda impl, value: impl.apply_mask_into(bytearray(9), value),
    ),
    "is_utf8": ("data", "né".encode() * 9, lambda impl, value: impl.is_utf8(value)),
    "decode_utf8": ("data", "né".encode() * 10, lambda impl, value: impl.decode_utf8(value)),
    "Utf8Validator": ("data", "né".encode() * 10, lambda impl, value: impl.Utf8Validator().feed(value)),
    "parse_header": ("data", b"\x82\xfe\x01\x00abcd", lambda impl, value: impl.parse_header(value)),
    "FrameDecoder": (
        "data",
        b"\x82\x04abcd\x8a\x02xy",
        lambda impl, value: impl.FrameDecoder("client").feed(value),
    ),
    "MessageDecoder": (
        "data",
        b"\x82\x04abcd\x81\x02xy",
        lambda impl, value: impl.MessageDecoder("client").feed(value),
    ),
    "encode_frame payload": ("payload", b"Hello there!", lambda impl, value: impl.encode_frame(2, value)),
    "encode_frame mask": ("mask", b"abcd", lambda impl, value: impl.encode_frame(2, b"Hello", mask=value)),
    "inflate": (
        "inflated message",
        b"Hello there!",
        lambda impl, value: impl.MessageDecoder("client", inflate=lambda *_: value).feed(b"\xc2\x00"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", CALLS)
def test_layouts(backend: Implementation, call: str, layout: Callable[[bytes], Any]) -> None:
    _, data, function = CALLS[call]
    array = layout(data)
    assert array.tobytes() == data
    assert function(backend, array) == function(backend, data)


@pytest.mark.parametrize("call", CALLS)
def test_wide_items(backend: Implementation, call: str) -> None:
    name, _, function = CALLS[call]
    for array in (
        numpy.arange(8, dtype=numpy.int32),
        numpy.arange(8, dtype=numpy.int32)[::2],
        numpy.asfortranarray(numpy.arange(8, dtype=numpy.int32).reshape(2, 4)),
    ):
        with pytest.raises(TypeError) as caught:
            function(backend, array)
        assert str(caught.value) == (
            f"{name} must be a buffer of single bytes, not of 4-byte items"
            " (memoryview(...).cast('B') gives their bytes)"
        )


@pytest.mark.parametrize("call", CALLS)
def test_what_numpy_does_not_export(backend: Implementation, call: str) -> None:
    _, _, function = CALLS[call]
    dates = numpy.arange(8).astype("datetime64[s]")
    for array in (dates, dates[::2]):
        # NumPy's own error, where it has to say what the items are; or theirs, for their width.
        with pytest.raises(
            (TypeError, ValueError), match=r"cannot include dtype 'M' in a buffer|not of 8-byte items"
        ):
            function(backend, array)


def test_in_place(backend: Implementation) -> None:
    array = numpy.zeros((3, 4), numpy.uint8)
    backend.apply_mask_into(array, KEY, 1)
    assert array.tobytes() == b"\x02\x03\x04\x01" * 3
    for view in (array[:, ::2], array.T, array[::-1]):
        with pytest.raises(BufferError, match=r"^buffer must be contiguous$"):
            backend.apply_mask_into(view, KEY)
    array.flags.writeable = False
    for view in (array, array.T):
        with pytest.raises(BufferError, match=r"^buffer must be writable$"):
            backend.apply_mask_into(view, KEY)
    with pytest.raises(TypeError, match=r"^buffer must be a buffer of single bytes, not of 4-byte items"):
        backend.apply_mask_into(numpy.zeros(4, numpy.int32)[::2], KEY)
    assert array.tobytes() == b"\x02\x03\x04\x01" * 3
