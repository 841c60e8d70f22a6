"""install(), uninstall() and installed(): explicit, idempotent, reversible, loud."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from installing import FORCE, install

import wsfast
from wsfast import adapters
from wsfast.adapters._seams import Counts, Host, Seam

pytest.importorskip("websockets")

import websockets.frames
import websockets.protocol
import websockets.utils
import websockets.version

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")
RunPython = Callable[..., Any]
# What is masked is left to the library where wsfast's twin would be slower.
THEIR_MASKS = wsfast.backend == "python" and "websockets.speedups" in sys.modules


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    wsfast.uninstall()


def hooks() -> dict[str, object]:
    """The very objects that are in place."""
    places: list[Any] = [websockets.protocol.Protocol, websockets.frames.Frame, websockets.frames]
    names = ["websockets.speedups", "websockets.utils", "websockets.legacy.framing"]
    places += [sys.modules[name] for name in names if name in sys.modules]
    return {
        f"{place.__name__}.{name}": vars(place)[name]
        for place in places
        for name in ("receive_data", "serialize", "apply_mask", "parse", "recv_frame")
        if name in vars(place)
    }


def test_reversible_and_idempotent() -> None:
    before = hooks()
    assert wsfast.installed() == ()
    assert install("websockets").hosts == ("websockets",)
    assert wsfast.installed() == ("websockets",)
    during = hooks()
    assert during.keys() == before.keys()
    changed = [name for name in before if during[name] is not before[name]]
    expected = {"receive_data", "serialize"} | (set() if THEIR_MASKS else {"apply_mask"})
    assert {name.rpartition(".")[2] for name in changed} == expected
    assert install("websockets").hosts == ()
    assert hooks() == during
    for _ in range(2):
        wsfast.uninstall("websockets")
        assert wsfast.installed() == ()
        after = hooks()
        assert all(after[name] is before[name] for name in before)


def test_context_manager_undoes_only_its_own() -> None:
    before = hooks()
    with install() as outer:
        assert "websockets" in outer.hosts
        with install("websockets") as inner:
            assert inner.hosts == ()
            assert repr(inner) == "<wsfast.Installation of nothing new>"
        assert set(wsfast.installed()) == set(outer.hosts)
    assert wsfast.installed() == ()
    assert hooks() == before
    with pytest.raises(ZeroDivisionError), install("websockets"):
        raise ZeroDivisionError
    assert hooks() == before


def test_context_manager_leaves_a_later_installation_alone() -> None:
    before = hooks()
    stale = install("websockets")
    wsfast.uninstall("websockets")
    current = install("websockets")
    with stale:
        pass
    assert wsfast.installed() == ("websockets",)
    with current:
        pass
    assert wsfast.installed() == ()
    with current:  # nothing is left to undo
        pass
    assert hooks() == before


def test_payload_that_is_not_contiguous() -> None:
    """More lenient than the library, whose servers cannot send that."""
    frame = websockets.frames.Frame(websockets.frames.Opcode.BINARY, memoryview(b"abcdef")[::2])
    with install("websockets"):
        assert frame.serialize(mask=False) == b"\x82\x03ace"
        if THEIR_MASKS and sys.implementation.name == "pypy":
            return  # for want of strided buffers there, the library's C function raises
        assert frame.serialize(mask=True)[:2] == b"\x82\x83"


@pytest.mark.parametrize("function", [wsfast.install, wsfast.uninstall])
def test_unknown_host(function: Callable[..., Any]) -> None:
    known = ", ".join(adapters.HOSTS)
    with pytest.raises(TypeError) as wrong:
        wsfast.install(["websockets"])  # type: ignore[arg-type]
    assert str(wrong.value) == "the name of a library must be a str, not list: install('a', 'b')"
    with pytest.raises(ValueError, match=rf"there is no adapter for 'socketio'; there is one for: {known}"):
        function("websockets", "socketio")
    assert wsfast.installed() == ()


def test_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hooks()
    monkeypatch.setattr(websockets, "__version__", "12.0")
    if not FORCE:
        with pytest.raises(
            adapters.AdapterError, match=r"websockets 12\.0 is too old.*pip install --upgrade"
        ):
            install("websockets")
        assert hooks() == before
        with pytest.warns(adapters.AdapterWarning, match=r"websockets 12\.0 is too old"):
            install()
        assert hooks() == before
        assert "websockets" not in wsfast.installed()
    with install("websockets", force=True):
        assert hooks() != before


def test_missing_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(websockets.protocol.Protocol, "receive_data")
    with pytest.raises(adapters.AdapterError, match=r"is not built as wsfast knows it.*receive_data"):
        install("websockets")
    assert wsfast.installed() == ()


@pytest.mark.skipif(FORCE, reason="force tries it all the same")
def test_hook_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A future version that names the hooks the same and does not call them is found out."""

    stock = websockets.protocol.Protocol.receive_data
    initialize = websockets.protocol.Protocol.__init__

    def deaf(self: Any, *args: Any, **kwargs: Any) -> None:
        initialize(self, *args, **kwargs)
        self.receive_data = stock.__get__(self)

    before = hooks()
    with monkeypatch.context() as patch:
        patch.setattr(websockets.protocol.Protocol, "__init__", deaf)
        with pytest.raises(adapters.AdapterError, match="nothing was changed"):
            install("websockets")
    assert hooks() == before
    assert wsfast.installed() == ()


def test_not_overwriting_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    install("websockets")
    with monkeypatch.context() as patch:
        patch.setattr(websockets.frames.Frame, "serialize", lambda self, **kwargs: b"")
        with pytest.raises(adapters.AdapterError, match=r"Frame\.serialize has been replaced"):
            wsfast.uninstall("websockets")
        assert wsfast.installed() == ("websockets",)
    wsfast.uninstall("websockets")


def test_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def seams(strict: bool) -> list[Seam]:
        raise AttributeError("no such thing")

    broken: Any = ModuleType("broken")
    broken.HOST = Host("broken", "json", "json", "1.0", "2.0", seams, Counts())
    before = hooks()
    monkeypatch.setattr(adapters, "HOSTS", {"websockets": "websockets", "broken": "json"})
    monkeypatch.setitem(sys.modules, "wsfast.adapters.broken", broken)
    with pytest.raises(adapters.AdapterError, match=r"^broken 2.* is not built as wsfast knows it .*no such"):
        install("websockets", "broken")
    assert wsfast.installed() == ()
    assert hooks() == before


WITHOUT_WEBSOCKETS = """
import sys, importlib.abc
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "websockets":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
import wsfast
"""


def test_host_is_not_installed(run_python: RunPython) -> None:
    done = run_python(
        WITHOUT_WEBSOCKETS
        + """
print("websockets" in wsfast.install(force=True).hosts)
try:
    wsfast.install("websockets", force=True)
except wsfast.adapters.AdapterError as exc:
    print(exc)
"""
    )
    assert done.stdout.splitlines() == [
        "False",
        "websockets is not installed: pip install 'websockets>=13.0'",
    ]


def test_import_is_light(run_python: RunPython) -> None:
    done = run_python(
        """
import sys
before = {*sys.modules}
import wsfast.adapters
new = {*sys.modules} - before
print([name for name in new if name.split(".")[0] == "websockets" or name.startswith("wsfast.adapters.")])
print(*sorted(new & {"threading", "typing", "importlib.util", "asyncio", "inspect"}), wsfast.backend)
"""
    )
    nothing, *heavy = done.stdout.split()
    assert nothing == "[]"
    # The compiled backend exists for speed, also of its import; the twin makes use of typing.
    assert heavy in (["c"], ["typing", "python"])


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this CPython has a GIL")
@pytest.mark.parametrize("name", adapters.HOSTS)
def test_no_adapter_brings_the_gil_back(run_python: RunPython, name: str) -> None:
    if name != "wsaccel" and not adapters.is_importable(adapters.HOSTS[name]):
        pytest.skip(f"{name} is not installed")
    done = run_python(
        "import sys, importlib, wsfast\n"
        f"if {name != 'wsaccel'}: importlib.import_module({adapters.HOSTS[name]!r})\n"
        "before = sys._is_gil_enabled()\n"
        f"wsfast.install({name!r}, force={FORCE})\n"
        "print(before, sys._is_gil_enabled(), wsfast.installed()[-1])",
        # A library's own extension may.
        "-W",
        "ignore",
    )
    before, after, last = done.stdout.split()
    assert (after, last) == (before, name)


@pytest.mark.skipif(THEIR_MASKS, reason="apply_mask stays as it is")
def test_legacy_api_imported_meanwhile(run_python: RunPython) -> None:
    done = run_python(
        """
import warnings
warnings.simplefilter("ignore")
import wsfast, websockets.frames
stock = websockets.frames.apply_mask
with wsfast.install("websockets", force=True):
    import websockets.legacy.framing as framing
    print(framing.apply_mask is wsfast.apply_mask)
print(framing.apply_mask is stock, websockets.frames.apply_mask is stock)
with wsfast.install("websockets", force=True):
    print(framing.apply_mask is wsfast.apply_mask)
print(framing.apply_mask is stock)
"""
    )
    assert done.stdout.split() == ["True", "True", "True", "True", "True"]


def test_twin_leaves_masks_to_a_library_that_has_c(run_python: RunPython) -> None:
    pytest.importorskip("websockets.speedups")
    done = run_python(
        """
import wsfast
from websockets import frames, protocol
stock = frames.apply_mask
def talk(reader, sender):
    sender.send_text(b"Hello")
    sender.send_binary(bytes(70000))
    for data in sender.data_to_send():
        reader.receive_data(data)
    return hasattr(reader, "_wsfast"), [len(frame.data) for frame in reader.events_received()]
with wsfast.install("websockets", force=True):
    client, server = (protocol.Protocol(side) for side in (protocol.CLIENT, protocol.SERVER))
    print(frames.apply_mask is stock, talk(server, client), talk(client, server))
""",
        WSFAST_EXTENSION="0",
    )
    assert done.stdout == "True (False, [5, 70000]) (True, [5, 70000])\n"
