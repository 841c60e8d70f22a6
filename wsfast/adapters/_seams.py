"""What adapters share: how a library is looked at, changed, and changed back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from . import AdapterError

__all__ = ["AdapterError", "Counts", "Host", "Patch", "Seam"]

_MISSING: Any = object()


class Seam(NamedTuple):
    """One attribute of a library that an adapter replaces.

    Attributes:
        owner: the class or module that has the attribute, or a ``dict``.
        name: of the attribute; the key in a ``dict``.
        new: what takes its place. A function takes the place of a function with the same parameters.
        followers: names of modules that import the attribute by name; they need not be loaded.
        added: whether the owner itself need not have the attribute: a method that it inherits, say.
        place: where the owner is found, for people, if it does not know its own name.

    """

    owner: Any
    name: str
    new: Any
    followers: tuple[str, ...] = ()
    added: bool = False
    place: str = ""

    def __str__(self) -> str:
        if isinstance(self.owner, type):
            return f"{self.owner.__module__}.{self.owner.__qualname__}.{self.name}"
        if isinstance(self.owner, dict):
            return f"{self.place}[{self.name!r}]"
        return f"{self.place or self.owner.__name__}.{self.name}"

    @property
    def current(self) -> Any:
        """What is there now."""
        return _attributes(self.owner).get(self.name, _MISSING)


class Counts:
    """How many data frames of a host's connections went through wsfast, and how many did not.

    For tests and the curious. Threads that count at once may lose some.

    Attributes:
        fast: frames that wsfast decoded or built.
        slow: frames that were left to the library's own code.

    """

    __slots__ = ("fast", "slow")

    def __init__(self) -> None:
        self.fast = self.slow = 0

    def __repr__(self) -> str:
        return f"Counts(fast={self.fast}, slow={self.slow})"


class Host(NamedTuple):
    """A library that there is an adapter for; each adapter's module has one as ``HOST``.

    Attributes:
        name: as :func:`wsfast.install` takes it.
        package: the name by which it is imported.
        distribution: the name by which it is installed.
        oldest: the oldest version that the adapter was tested with.
        newest: the newest one. Newer ones are tried; what matters is whether the seams are there.
        seams: imports what it needs of the library and says what to replace, with ``strict`` as given to
            :func:`wsfast.install`. It may raise ``AttributeError`` or ``ImportError`` for what is missing.
        try_out: called when all is in place; it raises :class:`AdapterError` if that had no effect.
        counts: what went through wsfast.
        strict: what ``strict=True`` brings, for people; empty where it makes no difference.

    """

    name: str
    package: str
    distribution: str
    oldest: str
    newest: str
    seams: Callable[[bool], Iterable[Seam]]
    counts: Counts
    try_out: Callable[[], None] | None = None
    strict: str = ""

    @property
    def stands_in(self) -> bool:
        """Whether the library need not be installed, because what wsfast has stands in for it."""
        return False

    @property
    def supported(self) -> str:
        """What a person is told of the versions that the adapter is known to work with."""
        return f"{self.oldest} to {self.newest}"

    def version(self) -> str:
        """Return the version of the installed library; raise ``ImportError`` if there is none."""
        # What is loaded knows best; it may come from another folder than what is installed.
        found = getattr(sys.modules.get(self.package), "__version__", None)
        if isinstance(found, str):
            return found
        from importlib.metadata import PackageNotFoundError, version

        from . import is_loaded

        try:
            return version(self.distribution)
        except PackageNotFoundError:
            if is_loaded(self.package):
                return "of unknown version"
            raise ModuleNotFoundError(f"{self.distribution} is not installed", name=self.package) from None

    def plan(self, strict: bool = False) -> list[str]:
        """Say, one line each, what an installation replaces; raise :class:`AdapterError` as it would."""
        return [str(seam) for seam in self.check(strict, force=False)]

    def check(self, strict: bool, force: bool) -> list[Seam]:
        """List what to replace; nothing is changed yet.

        Raises:
            AdapterError: the library is missing, too old, or not as this adapter knows it. ``force``
                leaves only what cannot work: no library, no such class or module.

        """
        absent = f"{self.name} is not installed: pip install '{self.distribution}>={self.oldest}'"
        try:
            found = self.version()
        except ImportError as exc:
            raise AdapterError(absent) from exc
        advice = f"pip install --upgrade '{self.distribution}>={self.oldest}'"
        if not force and found[:1].isdecimal() and _numbers(found) < _numbers(self.oldest):
            raise AdapterError(
                f"{self.name} {found} is too old, wsfast knows {self.supported}: {advice}"
                " (force=True tries all the same)"
            )
        unknown = (
            f"{self.name} {found} is not built as wsfast knows it ({self.supported}): {{}}; install such a"
            " version, or a newer wsfast (force=True tries all the same)"
        )
        try:
            seams = list(self.seams(strict))
        except Exception as exc:
            if isinstance(exc, ModuleNotFoundError) and exc.name == self.package:
                raise AdapterError(absent) from exc
            known = isinstance(exc, (AttributeError, ImportError, KeyError, TypeError))
            raise AdapterError(unknown.format(exc if known else repr(exc))) from exc
        if not force:
            for seam in seams:
                if problem := _problem(seam, self.package):
                    raise AdapterError(unknown.format(problem))
        return seams


class Patch:
    """What an installation did to a library, to be undone."""

    def __init__(self, host: Host, strict: bool = False, force: bool = False) -> None:
        """Check the library and change it; after an error it is as it was."""
        self.host = host
        self.strict = strict
        # In the order in which they were done: the place, what was there, and what is there now.
        self._done: list[tuple[Seam, Any]] = []
        seams = host.check(strict, force)
        try:
            for seam in seams:
                self._replace(seam)
            if host.try_out is not None and not force:
                self._try_out(host.try_out)
        except BaseException:
            self._revert()
            raise

    def _try_out(self, try_out: Callable[[], None]) -> None:
        try:
            try_out()
        except AdapterError:
            raise
        except Exception as exc:
            host = self.host
            raise AdapterError(
                f"{host.name} {host.version()} does not work with wsfast in it ({host.supported}), by"
                f" {type(exc).__name__}: {exc}; nothing was changed. If a part of it has been"
                " reloaded, reload the rest, too"
            ) from exc

    def _replace(self, seam: Seam) -> None:
        old = seam.current
        _set(seam.owner, seam.name, seam.new)
        self._done.append((seam, old))
        for name in seam.followers:
            module = sys.modules.get(name)
            if module is not None and vars(module).get(seam.name, _MISSING) is old:
                setattr(module, seam.name, seam.new)

    def undo(self) -> None:
        """Put back what was there, the same objects.

        What the library itself has made anew since, by ``importlib.reload()``, is left alone.

        Raises:
            AdapterError: something else has been put in place of wsfast since; nothing is changed then.

        """
        for seam, old in self._done:
            now = seam.current
            if now is not seam.new and now is not old and not _is_reloaded(old, now):
                raise AdapterError(
                    f"{seam} has been replaced by something else since wsfast was installed: undo that first"
                )
        self._revert()

    @property
    def labels(self) -> list[str]:
        """What was replaced, one line each."""
        return [str(seam) for seam, _ in self._done]

    @property
    def in_place(self) -> bool:
        """Whether nothing of it has been undone by reloading the library."""
        return all(seam.current is seam.new and not _is_stale(seam.owner) for seam, _ in self._done)

    def _revert(self) -> None:
        for seam, old in reversed(self._done):
            if seam.current is seam.new:
                _set(seam.owner, seam.name, old)
            # Whoever imported it by name in the meantime got ours.
            for name in seam.followers:
                module = sys.modules.get(name)
                if module is not None and vars(module).get(seam.name, _MISSING) is seam.new:
                    _set(module, seam.name, old)
        self._done.clear()


def _attributes(owner: Any) -> Mapping[str, Any]:
    return owner if isinstance(owner, dict) else vars(owner)


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, dict):
        if value is _MISSING:
            del owner[name]
        else:
            owner[name] = value
    elif value is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, to compare."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _problem(seam: Seam, package: str) -> str | None:
    """Say what is unexpected about the place of a seam."""
    old = seam.current
    if old is _MISSING:
        return None if seam.added else f"{seam} is missing"
    home = _home(old)
    if home and home.partition(".")[0] != package:
        return f"{seam} comes from {home}: something else has replaced it"
    if isinstance(seam.new, FunctionType) and isinstance(old, FunctionType):
        expected, found = _parameters(seam.new), _parameters(old)
        if expected != found:
            return f"{seam} takes ({', '.join(found)}), not ({', '.join(expected)})"
    return None


def _home(value: Any) -> str:
    """Return the name of the module that made a function or class; empty if that cannot be told."""
    home = getattr(value, "__module__", None) or getattr(value, "__name__", None)
    return home if isinstance(home, str) and isinstance(value, (type, FunctionType)) else ""


def _parameters(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    return code.co_varnames[:count]


def _is_stale(owner: Any) -> bool:
    """Tell whether the library has another class by now where it had this one."""
    module = sys.modules.get(owner.__module__) if isinstance(owner, type) else None
    return getattr(module, owner.__name__, owner) is not owner if module else False


def _is_reloaded(old: Any, now: Any) -> bool:
    """Tell whether the library has made again what was there before, or has it back."""
    return now is old or (
        now is not _MISSING
        and type(now) is type(old)
        and getattr(now, "__module__", "") == getattr(old, "__module__", None)
        and getattr(now, "__qualname__", "") == getattr(old, "__qualname__", None)
    )
