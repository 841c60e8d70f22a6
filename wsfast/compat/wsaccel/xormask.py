"""Masks as ``wsaccel.xormask`` has them, on :func:`wsfast.apply_mask`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._backend import apply_mask

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["XorMaskerNull", "XorMaskerSimple", "createXorMasker"]


class XorMaskerNull:
    """A mask that changes nothing.

    Args:
        mask: is not looked at.

    """

    __slots__ = ("_pointer",)

    def __init__(self, mask: object = None) -> None:
        self._pointer = 0

    def pointer(self) -> int:
        """Return how many bytes have been processed."""
        return self._pointer

    def reset(self) -> None:
        """Begin a new payload."""
        self._pointer = 0

    def process(self, data: Any) -> Any:
        """Return ``data`` itself."""
        self._pointer += len(data)
        return data


class XorMaskerSimple:
    """A payload that is masked or unmasked piece by piece.

    Args:
        mask: the masking key, a bytes-like object of 4 bytes.

    Raises:
        ValueError: it does not have 4 bytes.
        TypeError: it is not bytes-like.

    """

    __slots__ = ("_key", "_pointer")

    def __init__(self, mask: Buffer) -> None:
        if type(mask) is not bytes:
            mask = memoryview(mask).tobytes()
        if len(mask) != 4:
            raise ValueError("mask should be 4byte.")
        self._key = mask
        self._pointer = 0

    def pointer(self) -> int:
        """Return how many bytes have been processed."""
        return self._pointer

    def reset(self) -> None:
        """Begin a new payload."""
        self._pointer = 0

    def process(self, data: Buffer | None) -> bytes:
        """Mask or unmask the next bytes of the payload.

        Args:
            data: any bytes-like object. It is not changed.

        Returns:
            A new ``bytes`` object of the same length.

        Raises:
            TypeError: ``data`` is not bytes-like.

        """
        if data is None:
            return b""  # as wsaccel
        pointer = self._pointer
        phase = pointer & 3
        result = apply_mask(data, self._key if not phase else self._key[phase:] + self._key[:phase])
        self._pointer = pointer + len(result)
        return result


def createXorMasker(mask: Buffer, len: int | None = None) -> XorMaskerSimple:
    """Return a new :class:`XorMaskerSimple`; ``len`` is not looked at."""
    return XorMaskerSimple(mask)
