"""The one place that chooses between the compiled backend and its pure-Python twin.

``WSFAST_EXTENSION``: unset (or empty) uses C if it is there, ``0`` never does, ``1`` requires it.
``WSFAST_ISA``: the name of the kernel set to use; ``python`` asks for the twin.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, whose import would take longer than that of all of wsfast

__all__ = [
    "REBUILD",
    "Channel",
    "Endpoint",
    "FrameDecoder",
    "MessageDecoder",
    "MessageQueue",
    "MessageTaker",
    "Utf8Validator",
    "apply_mask",
    "apply_mask_into",
    "available_isas",
    "backend",
    "decode_utf8",
    "encode_frame",
    "find_head_end",
    "is_utf8",
    "isa",
    "mask_key",
    "missing_extension",
    "new_timer",
    "parse_header",
    "set_fields",
    "set_timer",
    "split_frames",
    "split_head",
    "take_messages",
]

#: The command that makes an installation with the compiled backend out of one without, given a compiler.
REBUILD = "WSFAST_EXTENSION=1 pip install --force-reinstall --no-cache-dir --no-binary wsfast wsfast"

#: Why the compiled backend is not in use although it was not ruled out; ``None`` otherwise.
missing_extension: ImportError | None = None


def _cannot(message: str) -> ImportError:
    """Make the error of an environment that asks for what is not there."""
    # With the name of the package `python -m wsfast` says it in one line; without, runpy's traceback.
    return ImportError(message, name=__package__)


def _want_extension() -> bool | None:
    """Read both variables; ``None`` means "if it is there"."""
    extension = os.environ.get("WSFAST_EXTENSION", "")
    if extension not in ("", "0", "1"):
        raise _cannot(f"WSFAST_EXTENSION must be 0, 1 or unset, not {extension!r}")
    forced_isa = os.environ.get("WSFAST_ISA", "")
    if forced_isa == "python":
        if extension == "1":
            raise _cannot("WSFAST_ISA=python contradicts WSFAST_EXTENSION=1")
        return False
    if forced_isa:
        if extension == "0":
            raise _cannot(
                f"WSFAST_ISA={_printable(forced_isa)} needs the compiled backend, which WSFAST_EXTENSION=0"
                " rules out; available: python"
            )
        return True
    return {"": None, "0": False, "1": True}[extension]


def _printable(value: str) -> str:
    """Write bytes of the environment that are not text as escapes, for messages that go anywhere."""
    return value.encode("utf-8", "backslashreplace").decode()


if TYPE_CHECKING:
    backend: str
    from . import _fallback as _impl
else:
    _wanted = _want_extension()
    if _wanted is not False:
        try:
            # Not `from . import`: only this form tells a missing module from a broken one.
            import wsfast._speedups as _impl

            backend = "c"
        except ModuleNotFoundError as exc:
            if exc.name != f"{__package__}._speedups":
                raise
            if _wanted:
                _asked = os.environ.get("WSFAST_ISA") or ""
                _asked = f"WSFAST_ISA={_printable(_asked)}" if _asked else "WSFAST_EXTENSION=1"
                raise _cannot(
                    f"{_asked} needs the compiled backend, which this installation of wsfast does not"
                    f" have; available: python. Install a platform wheel, or build it: {REBUILD}"
                ) from exc
            missing_extension = exc
            _wanted = False
        except ImportError as exc:
            # The module is there, and refuses WSFAST_ISA; one that cannot be loaded has a name already.
            if exc.name is None:
                exc.name = __package__
            raise
    if _wanted is False:
        from . import _fallback as _impl

        backend = "python"

Channel = _impl.Channel
Endpoint = _impl.Endpoint
FrameDecoder = _impl.FrameDecoder
MessageDecoder = _impl.MessageDecoder
MessageQueue = _impl.MessageQueue
MessageTaker = _impl.MessageTaker
Utf8Validator = _impl.Utf8Validator
apply_mask = _impl.apply_mask
apply_mask_into = _impl.apply_mask_into
available_isas = _impl.available_isas
decode_utf8 = _impl.decode_utf8
encode_frame = _impl.encode_frame
find_head_end = _impl.find_head_end
is_utf8 = _impl.is_utf8
isa: str = _impl.isa
mask_key = _impl.mask_key
new_timer = _impl.new_timer
parse_header = _impl.parse_header
set_fields = _impl.set_fields
set_timer = _impl.set_timer
split_frames = _impl.split_frames
split_head = _impl.split_head
take_messages = _impl.take_messages
