"""wsfast.compat.wsaccel: as wsaccel, and in its place."""

from __future__ import annotations

import array
import random
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from implementations import Implementation
from installing import install

import wsfast
from wsfast import adapters
from wsfast.compat.wsaccel import utf8validator, xormask

RunPython = Callable[..., Any]
thread_unsafe = pytest.mark.thread_unsafe(reason="install() changes sys.modules for the whole process")


@pytest.fixture(autouse=True)
def ours(backend: Implementation, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(utf8validator, "is_utf8", backend.is_utf8)
    monkeypatch.setattr(utf8validator, "_Validator", backend.Utf8Validator)
    monkeypatch.setattr(xormask, "apply_mask", backend.apply_mask)
    yield
    wsfast.uninstall()


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as exc:
        return type(exc)


# ---- Validator -----------------------------------------------------------------------------------

VALID: list[bytes] = [text.encode() for text in ("a", "ü", "€", "\ud7ff", "\ue000", "🌍", "\U0010ffff")]
WRONG = [
    b"\x80",
    b"\xc0\xaf",
    b"\xc1",
    b"\xe0\x80",
    b"\xed\xa0",
    b"\xf0\x80",
    b"\xf4\x90",
    b"\xf5",
    b"\xff",
    b"\xe2\x28",
]


# Some of these completes whatever can be completed.
REST = [mark * count for count in range(4) for mark in (b"\x80", b"\xbf")]


def is_beginning(data: bytes) -> bool:
    """Whether some valid text begins like that, by Python's own decoder."""
    for rest in REST:
        try:
            (data + rest).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def reference(pieces: list[bytes]) -> list[tuple[bool, bool, int, int]]:
    """The quads, by trying every beginning."""
    data = b"".join(pieces)
    good = next((size for size in range(len(data)) if not is_beginning(data[: size + 1])), len(data))
    results = []
    start, total = 0, 0
    for piece in pieces:
        end = start + len(piece)
        if end <= good:
            total = end
            whole = not data[:end] or outcome(data[:end].decode) is not UnicodeDecodeError
            results.append((True, whole, len(piece), end))
        elif not piece:
            results.append((True, False, 0, total))
        else:
            index = max(0, good - start)
            total += index if start <= good else 0
            results.append((False, False, index if start <= good else 0, total))
        start = end
    return results


def cut(data: bytes, *places: int) -> list[bytes]:
    return [data[i:j] for i, j in zip((0, *places), (*places, len(data)), strict=True)]


def cases() -> Iterator[list[bytes]]:
    for first, second in product([*VALID, b""], [*VALID, *WRONG, b""]):
        data = first + second + b"x"
        for place in range(len(data) + 1):
            yield cut(data, place)
        yield [data[i : i + 1] for i in range(len(data))]
    for long in (b"x" * 100, "ü".encode() * 50):
        for end in (b"", *WRONG, *VALID):
            for place in (1, 51, len(long) - 1, len(long), len(long) + len(end)):
                yield cut(long + end, place)


def test_validate_by_pieces() -> None:
    for pieces in cases():
        validator = utf8validator.Utf8Validator()
        for _ in range(2):
            assert [validator.validate(piece) for piece in pieces] == reference(pieces), pieces
            validator.reset()


def test_validate_random(rng: random.Random) -> None:
    for _ in range(500):
        data = b"".join(rng.choices([*VALID, *VALID, *VALID, *WRONG], k=rng.randrange(8)))
        pieces = cut(data, *sorted(rng.choices(range(len(data) + 1), k=3)))
        validator = utf8validator.Utf8Validator()
        assert [validator.validate(piece) for piece in pieces] == reference(pieces), pieces


def test_as_wsaccel_validates() -> None:
    real = pytest.importorskip("wsaccel.utf8validator")
    for pieces in cases():
        theirs, mine = real.Utf8Validator(), utf8validator.Utf8Validator()
        for piece in pieces:
            assert mine.validate(piece) == theirs.validate(piece), pieces
            assert mine.i == theirs.i
        theirs, mine = real.Utf8Validator(), utf8validator.Utf8Validator()
        for byte in b"".join(pieces)[-20:]:
            state = theirs.decode(byte)
            assert mine.decode(byte) == mine.state == theirs.state == state, pieces
            if state == real.Utf8Validator.UTF8_REJECT:
                break
            if state == real.Utf8Validator.UTF8_ACCEPT:
                assert mine.codepoint == theirs.codepoint, pieces
    for name in ("UTF8_ACCEPT", "UTF8_REJECT"):
        assert getattr(utf8validator.Utf8Validator, name) == getattr(real.Utf8Validator, name)


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: array.array("B", data)])
def test_bytes_like(kind: Callable[[bytes], Any]) -> None:
    validator = utf8validator.Utf8Validator()
    assert validator.validate(kind(b"ab\xc3")) == (True, False, 3, 3)
    assert validator.validate(ba=kind(b"\xbcx\xff")) == (False, False, 2, 5)
    assert xormask.XorMaskerSimple(kind(b"abcd")).process(kind(b"\0\0\0\0\0")) == b"abcda"


@pytest.mark.parametrize("value", ["text", None, 5, [1, 2]])
def test_not_bytes_like(value: Any) -> None:
    with pytest.raises(TypeError):
        utf8validator.Utf8Validator().validate(value)
    with pytest.raises(TypeError):
        xormask.XorMaskerSimple(value)
    if value is not None:
        with pytest.raises(TypeError):
            xormask.XorMaskerSimple(b"abcd").process(value)


# ---- Masks ---------------------------------------------------------------------------------------


def masks(module: Any) -> list[Any]:
    """What a module of wsaccel's name does, to compare."""
    seen: list[Any] = []
    makers: list[Callable[[], Any]] = [
        lambda: module.XorMaskerSimple(b"abcd"),
        lambda: module.createXorMasker(b"abcd"),
        lambda: module.createXorMasker(bytearray(b"abcd"), 5),
        lambda: module.createXorMasker(mask=b"abcd", len=5000),
        lambda: module.XorMaskerNull(),
        lambda: module.XorMaskerNull(b"abcd"),
    ]
    for make in makers:
        masker = make()
        seen.append(type(masker).__name__)
        for data in (b"", b"x", b"Hello", b"x" * 1000, bytearray(b"abc"), b"z" * 7):
            seen += [masker.process(data), masker.pointer()]
        seen += [masker.reset(), masker.pointer(), masker.process(b"Hello")]
    for call in (
        lambda: module.XorMaskerSimple(b"abc"),
        lambda: module.XorMaskerSimple(b"abcde"),
        lambda: module.XorMaskerSimple(b""),
        lambda: module.XorMaskerSimple("abcd"),
        lambda: module.XorMaskerSimple(),
        lambda: module.XorMaskerSimple(b"abcd").process(None),
        lambda: module.XorMaskerSimple(b"abcd").process("text"),
        lambda: module.createXorMasker(b"ab"),
        lambda: module.XorMaskerNull(b"abcd", 3),
        lambda: module.XorMaskerNull().process(5),
    ):
        seen.append(outcome(call))
    return seen


def test_masks() -> None:
    seen = masks(xormask)
    assert seen[:5] == ["XorMaskerSimple", b"", 0, bytes([ord("x") ^ ord("a")]), 1]
    masker = xormask.XorMaskerSimple(b"abcd")
    pieces = [b"x" * size for size in (1, 2, 3, 64, 5)]
    assert b"".join(map(masker.process, pieces)) == wsfast.apply_mask(b"".join(pieces), b"abcd")


def test_as_wsaccel_masks() -> None:
    assert masks(xormask) == masks(pytest.importorskip("wsaccel.xormask"))


def test_names_as_wsaccel_has_them() -> None:
    for module in (utf8validator, xormask):
        real = pytest.importorskip(f"wsaccel.{module.__name__.rpartition('.')[2]}")
        theirs = {name for name in vars(real) if not name.startswith("_")}
        assert theirs == set(module.__all__)
        for name in theirs - {"createXorMasker"}:
            public = {attribute for attribute in dir(getattr(real, name)) if not attribute.startswith("_")}
            assert public <= set(dir(getattr(module, name)))


# ---- In its place --------------------------------------------------------------------------------


@thread_unsafe
def test_import() -> None:
    names = ["wsaccel", "wsaccel.utf8validator", "wsaccel.xormask"]
    before = {name: sys.modules.get(name) for name in names}
    with install("wsaccel") as done:
        assert done.hosts == ("wsaccel",)
        from wsaccel.utf8validator import Utf8Validator
        from wsaccel.xormask import XorMaskerSimple

        assert Utf8Validator is utf8validator.Utf8Validator
        assert XorMaskerSimple is xormask.XorMaskerSimple
        assert adapters.plan("wsaccel") == [f"sys.modules[{name!r}]" for name in names]
        assert install("wsaccel").hosts == ()
    after = {name: sys.modules.get(name) for name in names}
    # What was there is there again; an installed wsaccel may have been imported meanwhile.
    assert all(after[name] is before[name] for name in names if before[name] is not None)
    assert all(module is None or "wsfast" not in str(module) for module in after.values())


HIDDEN = """
import sys, importlib.abc
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "wsaccel":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
import wsfast
"""


def test_without_wsaccel(run_python: RunPython) -> None:
    done = run_python(
        HIDDEN
        + """
print("wsaccel" in wsfast.install(force=True).hosts)
wsfast.uninstall()
with wsfast.install("wsaccel", force=True):
    from wsaccel.xormask import createXorMasker
    import wsaccel.utf8validator
    print(createXorMasker.__module__, wsaccel.utf8validator.__name__)
print([name for name in sys.modules if name.startswith("wsaccel")])
try:
    import wsaccel.xormask
except ImportError as exc:
    print(exc)
"""
    )
    assert done.stdout.splitlines() == [
        "False",
        "wsfast.compat.wsaccel.xormask wsfast.compat.wsaccel.utf8validator",
        "[]",
        "No module named 'wsaccel'",
    ]


def test_installed_wsaccel_imported_later(run_python: RunPython) -> None:
    pytest.importorskip("wsaccel")
    done = run_python(
        """
import sys, wsfast
with wsfast.install(force=True) as done:
    print("wsaccel" in done.hosts, "wsaccel" in sys.modules)
    from wsaccel.xormask import createXorMasker
    print(createXorMasker.__module__)
del createXorMasker
from wsaccel.xormask import createXorMasker
print(createXorMasker.__module__)
"""
    )
    assert done.stdout.split() == ["True", "False", "wsfast.compat.wsaccel.xormask", "wsaccel.xormask"]


# How each library asks for it; and what it then uses.
USERS = {
    "geventwebsocket.utf8validator": "Utf8Validator",
    "lomond.utf8validator": "Utf8Validator",
    "websocket._utils": "Utf8Validator",
    "websocket._abnf": "XorMaskerSimple",
}


@pytest.mark.parametrize("module", USERS)
def test_libraries_that_ask_for_it(module: str, run_python: RunPython) -> None:
    pytest.importorskip(module.partition(".")[0])
    done = run_python(
        f"""
import warnings
warnings.simplefilter("ignore")
import wsfast
wsfast.install("wsaccel", force=True)
import {module} as user
print(user.{USERS[module]}.__module__)
if {module!r}.startswith("websocket."):
    print(user.validate_utf8(b"ok"), user.validate_utf8(b"\\xff"))
else:
    print(user.Utf8Validator().validate(b"ok\\xff"))
"""
    )
    name, result = done.stdout.splitlines()
    assert name.startswith("wsfast.compat.wsaccel.")
    assert result in ("True False", "(False, False, 2, 2)")
