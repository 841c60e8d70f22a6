"""Put wsfast to work inside other WebSocket libraries, without a change to the applications that use them.

One module here adapts one host library; nothing is imported before :func:`install` asks for it::

    import wsfast

    wsfast.install("websockets")

What an adapter replaces, it replaces in the installed library, for this process only, and
:func:`uninstall` puts back the very objects that were there.
"""

from __future__ import annotations

import sys

# Not threading, and importlib only when needed: they would double the time that this module takes.
from _thread import RLock

from .._backend import backend
from ..errors import WSFastError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import TracebackType
    from typing import Any

    from ._hook import ImportHook
    from ._seams import Counts, Host, Patch

__all__ = [
    "HOSTS",
    "NOT_ADAPTED",
    "AdapterError",
    "AdapterWarning",
    "Installation",
    "counts",
    "host",
    "install",
    "installed",
    "plan",
    "uninstall",
]

#: The libraries that there is an adapter for, as :func:`install` takes them, and how they are imported.
HOSTS = {
    "aiohttp": "aiohttp",
    "autobahn": "autobahn",
    "hypercorn": "hypercorn",
    "tornado": "tornado",
    "uvicorn": "uvicorn",
    "websocket-client": "websocket",
    "websockets": "websockets",
    "wsaccel": "wsaccel",
    "wsproto": "wsproto",
}

# What a library has its frames from, when that has an adapter too: it is adapted along with it.
_BUILT_ON = {"hypercorn": "wsproto"}

#: Libraries that somebody may ask for, and why there is nothing to replace in them.
NOT_ADAPTED = {
    "granian": "its WebSocket codec is compiled Rust, with no part to replace from Python",
    "picows": "its codec is compiled whole, with no part to replace from Python",
    "robyn": "its WebSocket codec is compiled Rust, with no part to replace from Python",
}

_lock = RLock()
_installed: dict[str, Patch] = {}
# Libraries that are to be adapted as soon as somebody imports them.
_awaited: dict[str, ImportHook] = {}
# The call that each of them is the work of, so that no other undoes it.
_done_by: dict[str, Installation] = {}


class AdapterError(WSFastError):
    """A host library cannot be adapted: it is missing, too old, or not as the adapter knows it."""


class AdapterWarning(RuntimeWarning):
    """A library that nobody named could not be adapted; it works as if wsfast were not there."""


class Installation:
    """What one call of :func:`install` did; as a context manager, undoes that on exit.

    What has been undone since, and perhaps done again by another call, is left alone.

    Attributes:
        hosts: the libraries that this call adapted; those that were adapted before are not among them.

    """

    __slots__ = ("hosts",)

    hosts: tuple[str, ...]

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = hosts

    def __repr__(self) -> str:
        return f"<wsfast.Installation {' '.join(self.hosts) or 'of nothing new'}>"

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            mine = [name for name in self.hosts if _done_by.get(name) is self]
            if mine:
                uninstall(*mine)


def install(*hosts: str, strict: bool = False, force: bool = False) -> Installation:
    """Make the named libraries use wsfast in this process. Doing it twice is doing it once.

    Where a library lets its peer break a rule of the RFCs, so it does with wsfast, unless ``strict``.
    Connections that are open go on as they are, or use wsfast from their next read: each library's page
    says which.

    Args:
        hosts: names of libraries, such as ``"websockets"``; they are imported. What one is built on
            (hypercorn on wsproto) comes along. None at all stands for
            every library of :data:`HOSTS` that is installed; those that are not loaded yet are adapted
            when they are imported, and one that cannot be is passed over with an
            :class:`AdapterWarning`.
        strict: whether peers are held to the RFCs where the library is laxer.
        force: try it with a version that the adapter does not know, and with wsfast's pure-Python
            backend, which is slower than what it replaces.

    Returns:
        An object that undoes, at the end of a ``with`` block, what this call did.

    Raises:
        ValueError: there is no adapter of such a name.
        AdapterError: a named library is not installed, is too old, lacks a hook, or has been changed by
            somebody else; it is installed already, but not ``strict``; or wsfast has no compiled
            backend here. The message says what to do. Nothing is then changed, in any library.

    """
    names = _with_bases(_named(hosts))
    _check_backend(force)
    for name in names:
        # Before the lock is taken: somebody may be importing it, and wait for the lock then.
        _import(name)
    with _lock:
        done: list[str] = []
        try:
            for name in names or HOSTS:
                if _install(name, bool(names), strict, force):
                    done.append(name)
        except BaseException:
            if done:
                uninstall(*reversed(done))
            raise
        installation = Installation(tuple(done))
        _done_by.update(dict.fromkeys(done, installation))
        return installation


def _check_backend(force: bool) -> None:
    if backend == "python" and not force:
        raise AdapterError(
            "wsfast's compiled backend is not in use here ('python -m wsfast info' says why), and its"
            " pure-Python one would not make other libraries faster: it takes 1.5 to 10 times as long as"
            " their own C code (force=True installs it all the same)"
        )


def install_when_imported(
    name: str, strict: bool, force: bool, on_error: Callable[[AdapterError], None]
) -> None:
    """Adapt one library, which need not be installed, as soon as somebody imports it.

    Raises:
        ValueError: there is no adapter of such a name.
        AdapterError: wsfast has no compiled backend here.

    """
    names = _with_bases(_named((name,)))
    _check_backend(force)
    with _lock:
        for name in names:
            if is_loaded(HOSTS[name]):
                _install(name, True, strict, force)
            elif name not in _awaited:
                _await(name, strict, force, on_error)


def _await(name: str, strict: bool, force: bool, on_error: Callable[[AdapterError], None]) -> None:
    from ._hook import ImportHook

    hook = ImportHook(HOSTS[name], lambda: _on_import(name, strict, force, on_error))
    _awaited[name] = hook
    sys.meta_path.insert(0, hook)


def _install(name: str, is_named: bool, strict: bool, force: bool) -> bool:
    """Adapt a library, now or when it is imported; tell whether that changed anything."""
    from ._seams import Patch

    patch = _installed.get(name)
    if patch is not None and patch.in_place:
        if strict and not patch.strict:
            raise AdapterError(f"{name} is installed already, and not strictly: uninstall it first")
        return False
    if not is_loaded(HOSTS[name]) and not is_named:
        if name in _awaited or not is_importable(HOSTS[name]):
            return False
        _await(name, strict, force, _warn)
        return True
    if patch is not None:  # the library was loaded anew
        patch.undo()
        del _installed[name]
    was_awaited = _forget_awaited(name)
    try:
        _installed[name] = Patch(host(name), strict, force)
    except AdapterError as exc:
        if is_named:
            raise
        _warn(exc)
        return False
    return patch is None and not was_awaited


def _on_import(name: str, strict: bool, force: bool, on_error: Callable[[AdapterError], None]) -> None:
    """Adapt a library that has just been imported; a library that cannot be is left as it is."""
    from ._seams import Patch

    with _lock:
        if not _forget_awaited(name) or name in _installed:
            return
        try:
            _installed[name] = Patch(host(name), strict, force)
        except AdapterError as exc:
            _done_by.pop(name, None)
            on_error(exc)


def _warn(error: AdapterError) -> None:
    import warnings

    warnings.warn(AdapterWarning(str(error)), stacklevel=4)


def _forget_awaited(name: str) -> bool:
    hook = _awaited.pop(name, None)
    if hook is None:
        return False
    hook.remove()
    return True


def uninstall(*hosts: str) -> None:
    """Put the named libraries back as they were; with no name, all that were installed.

    A library that is not adapted is left alone. Connections that are open keep what they have.

    Raises:
        ValueError: there is no adapter of such a name.
        AdapterError: somebody else has since replaced what the adapter had put in place.

    """
    names = _named(hosts)
    with _lock:
        for name in names or [*_installed, *_awaited]:
            if name in _installed:
                _installed[name].undo()
                del _installed[name]
            elif not _forget_awaited(name):
                continue
            _done_by.pop(name, None)


def installed() -> tuple[str, ...]:
    """Return the libraries that use wsfast now, or will when they are imported, in order of installation."""
    with _lock:
        return (*_installed, *_awaited)


def counts(name: str) -> Counts:
    """Return how many data frames of a library's connections went through wsfast, and how many did not.

    Raises:
        ValueError: there is no adapter of such a name.

    """
    return host(name).counts


def host(name: str) -> Host:
    """Return what the adapter for ``name`` says of itself; the library need not be installed.

    Raises:
        ValueError: there is no such adapter.

    """
    from importlib import import_module

    _named((name,))
    found: Host = import_module(f"{__name__}.{name.replace('-', '_')}").HOST
    return found


def plan(name: str, strict: bool = False) -> list[str]:
    """Say, one line each, what :func:`install` replaces in a library, which is imported for it.

    Raises:
        ValueError: there is no adapter of such a name.
        AdapterError: what :func:`install` would raise.

    """
    with _lock:
        patch = _installed.get(name)
    return host(name).plan(strict) if patch is None else patch.labels


def _import(name: str) -> None:
    from importlib import import_module

    try:
        import_module(HOSTS[name])
    except ModuleNotFoundError as exc:
        if exc.name != HOSTS[name]:
            raise
        # That it is not installed is said, with what to do, by Host.check().


def is_importable(package: str) -> bool:
    """Tell whether a library is installed here, without importing it."""
    from importlib.util import find_spec

    try:
        spec = find_spec(package)
    except ImportError:
        return False
    return spec is not None and not _is_mere_folder(spec)


def is_loaded(package: str) -> bool:
    """Tell whether a library has been imported."""
    module = sys.modules.get(package)
    spec = getattr(module, "__spec__", None)
    return module is not None and not (spec and _is_mere_folder(spec))


def _is_mere_folder(spec: ModuleSpec) -> bool:
    """Tell whether it is a folder that happens to have a library's name: a namespace package."""
    return spec.origin is None and spec.submodule_search_locations is not None


def _with_bases(names: tuple[str, ...]) -> tuple[str, ...]:
    """Put before each library what it is built on."""
    return tuple(dict.fromkeys(each for name in names for each in (_BUILT_ON.get(name, name), name)))


def _named(hosts: tuple[Any, ...]) -> tuple[str, ...]:
    """Check names, all before the first is acted on."""
    for name in hosts:
        if not isinstance(name, str):
            kind = type(name).__name__
            raise TypeError(f"the name of a library must be a str, not {kind}: install('a', 'b')")
        if name in HOSTS:
            continue
        known = f"there is one for: {', '.join(HOSTS)}"
        if name in NOT_ADAPTED:
            raise ValueError(f"there is no adapter for {name!r}: {NOT_ADAPTED[name]}; {known}")
        raise ValueError(f"there is no adapter for {name!r}; {known}")
    return hosts
