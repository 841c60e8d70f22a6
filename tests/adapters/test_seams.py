"""What all adapters share, on a made-up library: when it is changed, how it is checked and put back."""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from installing import install

import wsfast
from wsfast import adapters
from wsfast.adapters._seams import AdapterError, Counts, Host, Seam

pytestmark = pytest.mark.thread_unsafe(reason="install() changes the library for the whole process")

SOURCE = """\
__version__ = "2.5"

class Base:
    def close(self):
        return "base"

class Codec(Base):
    def decode(self, data, *, final=True):
        return f"theirs {data}"

def mask(data):
    return f"theirs {data}"

CHOICE = {"auto": "theirs"}
"""


def decode(self: Any, data: str, *, final: bool = True) -> str:
    return f"ours {data}"


def mask(data: str) -> str:
    return f"ours {data}"


def close(self: Any) -> str:
    return "ours"


def seams(strict: bool) -> list[Seam]:
    madeup = importlib.import_module("madeup")
    return [
        Seam(madeup.Codec, "decode", decode),
        Seam(madeup.Codec, "close", close, added=True),
        Seam(madeup, "mask", mask, followers=("madeup_user",)),
        Seam(madeup.CHOICE, "auto", "strictly ours" if strict else "ours", place="madeup.CHOICE"),
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the library is, which nobody has imported."""
    (tmp_path / "madeup.py").write_text(SOURCE)
    (tmp_path / "madeup_user.py").write_text("from madeup import mask\n")
    monkeypatch.syspath_prepend(tmp_path)
    use(monkeypatch, Host("madeup", "madeup", "madeup", "2.0", "2.4", seams, Counts()))
    hooks = list(sys.meta_path)
    yield tmp_path
    wsfast.uninstall()
    assert sys.meta_path == hooks
    for name in ("madeup", "madeup_user"):
        sys.modules.pop(name, None)


def use(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    adapter: Any = ModuleType("wsfast.adapters.madeup")
    adapter.HOST = host
    monkeypatch.setitem(sys.modules, "wsfast.adapters.madeup", adapter)
    monkeypatch.setattr(adapters, "HOSTS", {"madeup": "madeup"})


@pytest.fixture
def library(folder: Path) -> Any:
    return importlib.import_module("madeup")


def state(library: Any) -> list[str]:
    codec = library.Codec()
    return [codec.decode("x"), codec.close(), library.mask("x"), library.CHOICE["auto"]]


STOCK = ["theirs x", "base", "theirs x", "theirs"]
OURS = ["ours x", "ours", "ours x", "ours"]


def test_there_and_back(library: Any) -> None:
    before = [vars(library.Codec)["decode"], library.mask]
    with install("madeup") as done:
        assert done.hosts == wsfast.installed() == ("madeup",)
        assert state(library) == OURS
        assert adapters.plan("madeup") == [
            "madeup.Codec.decode",
            "madeup.Codec.close",
            "madeup.mask",
            "madeup.CHOICE['auto']",
        ]
    assert state(library) == STOCK
    assert before == [vars(library.Codec)["decode"], library.mask]
    assert "close" not in vars(library.Codec)
    assert adapters.plan("madeup")[0] == "madeup.Codec.decode"


def test_a_folder_of_that_name_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "madeup").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    use(monkeypatch, Host("madeup", "madeup", "madeup", "2.0", "2.4", seams, Counts()))
    for loaded in (False, True):
        assert ("madeup" in sys.modules) == loaded
        assert not adapters.is_importable("madeup")
        assert not adapters.is_loaded("madeup")
        with install() as done:
            assert done.hosts == ()
        importlib.import_module("madeup")
    with pytest.raises(AdapterError, match=r"^madeup is not installed: pip install 'madeup>=2\.0'$"):
        install("madeup")
    sys.modules.pop("madeup", None)


def test_who_imports_by_name_before_or_meanwhile(library: Any) -> None:
    user = importlib.import_module("madeup_user")
    with install("madeup"):
        assert user.mask is mask
    assert user.mask is library.mask
    del sys.modules["madeup_user"]
    with install("madeup"):
        user = importlib.import_module("madeup_user")
        assert user.mask is mask
    assert user.mask is library.mask


def test_import_order_does_not_matter(folder: Path) -> None:
    """Nothing is imported for a library that nobody names; it is changed as soon as somebody imports it."""
    with install() as done:
        assert done.hosts == wsfast.installed() == ("madeup",)
        assert "madeup" not in sys.modules
        assert install().hosts == ()
        library = importlib.import_module("madeup")
        assert library.__spec__ is not None
        assert "exec_module" not in vars(library.__spec__.loader)
        assert state(library) == OURS
        assert install().hosts == install("madeup").hosts == ()
        assert wsfast.installed() == ("madeup",)
    assert state(library) == STOCK


def test_uninstalled_before_it_is_imported(folder: Path) -> None:
    install()
    wsfast.uninstall("madeup")
    assert wsfast.installed() == ()
    assert state(importlib.import_module("madeup")) == STOCK


def test_naming_imports(folder: Path) -> None:
    install()
    assert install("madeup").hosts == ()
    assert state(sys.modules["madeup"]) == OURS


def test_an_import_that_fails(folder: Path) -> None:
    (folder / "madeup.py").write_text("1 / 0")
    install()
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("madeup")
    (folder / "madeup.py").write_text(SOURCE + "# whole now\n")
    importlib.invalidate_caches()
    assert state(importlib.import_module("madeup")) == OURS


def test_imported_in_several_threads(folder: Path) -> None:
    install()
    found: list[Any] = []
    barrier = threading.Barrier(4)

    def work(name: str) -> None:
        barrier.wait()
        if name:
            install(name)
        found.append(state(importlib.import_module("madeup")))

    threads = [threading.Thread(target=work, args=[name]) for name in ("", "", "madeup", "madeup")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [OURS] * 4
    assert wsfast.installed() == ("madeup",)


def test_installed_in_several_threads(library: Any) -> None:
    barrier = threading.Barrier(8)
    done: list[tuple[str, ...]] = []

    def work() -> None:
        barrier.wait()
        done.append(install("madeup").hosts)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == [()] * 7 + [("madeup",)]
    assert state(library) == OURS
    wsfast.uninstall()
    assert state(library) == STOCK


def test_reloaded(library: Any) -> None:
    """Reloading undoes it, as it undoes any change; installing again does it again."""
    install("madeup")
    importlib.reload(library)
    assert state(library) == ["theirs x", "base", "theirs x", "theirs"]
    assert install("madeup").hosts == ()
    assert state(library) == OURS
    importlib.reload(library)
    wsfast.uninstall("madeup")
    assert state(library) == STOCK
    assert wsfast.installed() == ()


def test_strict(library: Any) -> None:
    install("madeup", strict=True)
    assert library.CHOICE["auto"] == "strictly ours"
    assert install("madeup").hosts == ()
    wsfast.uninstall()
    install("madeup")
    with pytest.raises(AdapterError, match=r"^madeup is installed already, and not strictly: uninstall it"):
        install("madeup", strict=True)
    assert library.CHOICE["auto"] == "ours"


def somebody_else(self: Any, data: str, *, final: bool = True) -> str:
    return "somebody else's"


def test_changed_by_somebody_else_before(library: Any) -> None:
    library.Codec.decode = somebody_else
    with pytest.raises(AdapterError) as caught:
        wsfast.install("madeup") if wsfast.backend == "c" else adapters.host("madeup").check(False, False)
    assert str(caught.value) == (
        "madeup 2.5 is not built as wsfast knows it (2.0 to 2.4): madeup.Codec.decode comes from"
        f" {__name__}: something else has replaced it; install such a version, or a newer wsfast"
        " (force=True tries all the same)"
    )
    assert wsfast.installed() == ()
    with install("madeup", force=True):
        assert state(library) == OURS
    assert vars(library.Codec)["decode"] is somebody_else


def test_changed_by_somebody_else_since(library: Any) -> None:
    install("madeup")
    library.Codec.decode = somebody_else
    with pytest.raises(AdapterError, match=r"^madeup\.Codec\.decode has been replaced by something else"):
        wsfast.uninstall()
    assert wsfast.installed() == ("madeup",)
    assert library.mask is mask  # nothing was undone
    library.Codec.decode = decode
    wsfast.uninstall()
    assert state(library) == STOCK


def no_decode(library: Any) -> None:
    del library.Codec.decode


def no_codec(library: Any) -> None:
    del library.Codec


def other_parameters(library: Any) -> None:
    def decode(self: Any, data: str, limit: int) -> str:
        return ""

    decode.__module__ = "madeup"
    library.Codec.decode = decode


@pytest.mark.skipif(wsfast.backend == "python", reason="force is what the twin needs")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (no_decode, "madeup.Codec.decode is missing"),
        (no_codec, "module 'madeup' has no attribute 'Codec'"),
        (other_parameters, "madeup.Codec.decode takes (self, data, limit), not (self, data, final)"),
    ],
)
def test_an_unknown_shape(library: Any, change: Callable[[Any], None], problem: str) -> None:
    change(library)
    message = (
        f"madeup 2.5 is not built as wsfast knows it (2.0 to 2.4): {problem}; install such a version, or a"
        " newer wsfast (force=True tries all the same)"
    )
    with pytest.raises(AdapterError) as caught:
        wsfast.install("madeup")
    assert str(caught.value) == message
    # Unnamed it is passed over.
    with pytest.warns(adapters.AdapterWarning) as warned:
        assert wsfast.install().hosts == ()
    assert [str(warning.message) for warning in warned] == [message]
    assert library.mask("x") == "theirs x"
    if change is not no_codec:
        with wsfast.install("madeup", force=True):
            assert library.Codec().decode("x") == "ours x"


@pytest.mark.skipif(wsfast.backend == "python", reason="force is what the twin needs")
def test_an_unknown_shape_found_at_the_import(folder: Path) -> None:
    (folder / "madeup.py").write_text('__version__ = "1.9"\n')
    wsfast.install()
    with pytest.warns(adapters.AdapterWarning, match=r"^madeup 1\.9 is too old, wsfast knows 2\.0 to 2\.4"):
        importlib.import_module("madeup")
    assert wsfast.installed() == ()


def test_nothing_is_left_of_a_failure(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def try_out() -> None:
        assert state(library) == OURS
        raise AdapterError("it has no effect")

    use(monkeypatch, Host("madeup", "madeup", "madeup", "2.0", "2.4", seams, Counts(), try_out))
    if wsfast.backend == "c":
        with pytest.raises(AdapterError, match=r"^it has no effect$"):
            wsfast.install("madeup")
    assert state(library) == STOCK
    assert wsfast.installed() == ()


def test_whatever_goes_wrong_is_an_adapter_error(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def try_out() -> None:
        raise StopIteration("odd")

    def odd_seams(strict: bool) -> list[Seam]:
        raise StopIteration("odd")

    ways = (
        (seams, try_out, "madeup 2.5 does not work with wsfast in it (2.0 to 2.4), by StopIteration: odd; "),
        (odd_seams, None, "madeup 2.5 is not built as wsfast knows it (2.0 to 2.4): StopIteration('odd'); "),
    )
    for found, tried, message in ways:
        use(monkeypatch, Host("madeup", "madeup", "madeup", "2.0", "2.4", found, Counts(), tried))
        if wsfast.backend == "c":
            with pytest.raises(AdapterError) as caught:
                wsfast.install("madeup")
            assert str(caught.value).startswith(message)
            assert isinstance(caught.value.__cause__, StopIteration)
        assert state(library) == STOCK


def test_names() -> None:
    with pytest.raises(ValueError, match=r"^there is no adapter for 'picows': its codec is compiled whole"):
        wsfast.install("picows")
    for function in (adapters.host, adapters.counts, adapters.plan):
        with pytest.raises(ValueError, match=r"^there is no adapter for 'socketio'; there is one for: "):
            function("socketio")


@pytest.mark.skipif(wsfast.backend == "c", reason="about the twin")
def test_the_twin_refuses(library: Any) -> None:
    for hosts in ((), ("madeup",)):
        with pytest.raises(AdapterError, match=r"compiled backend is not in use here .* would not make"):
            wsfast.install(*hosts)
    assert state(library) == STOCK


def test_no_warning_without_a_reason(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        install()
        importlib.import_module("madeup")
