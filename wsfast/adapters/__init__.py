"""Put wsfast to work inside other WebSocket libraries, without a change to the applications that use them.

One module here adapts one host library; nothing is imported before :func:`install` asks for it::

    import wsfast

    wsfast.install("websockets")

What an adapter replaces, it replaces in the installed library, for this process only, and
:func:`uninstall` puts back the very objects that were there.
"""

from __future__ import annotations

# Not threading, and importlib only when needed: they would double the time that this module takes.
from _thread import RLock

from ..errors import WSFastError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol

    class Adapter(Protocol):
        """What a module of this package offers."""

        #: What a person is told of the versions that the adapter is known to work with.
        SUPPORTED: str

        def version(self) -> str:
            """Return the version of the host library, or raise ``ImportError``."""

        def plan(self) -> list[str]:
            """Say, one line each, what :meth:`install` would replace; raise as it would."""

        def install(self) -> None:
            """Replace; raise :class:`AdapterError` and leave everything as it was if that cannot be."""

        def uninstall(self) -> None:
            """Put back."""


__all__ = ["HOSTS", "AdapterError", "Installation", "adapter", "install", "installed", "uninstall"]

#: The libraries that there is an adapter for.
HOSTS = ("websockets",)

_lock = RLock()
_installed: dict[str, Adapter] = {}
# The call that each of them is the work of, so that no other undoes it.
_done_by: dict[str, Installation] = {}


class AdapterError(WSFastError):
    """A host library cannot be adapted: it is missing, too old, or not as the adapter knows it."""


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
            mine = [host for host in self.hosts if _done_by.get(host) is self]
            if mine:
                uninstall(*mine)


def install(*hosts: str) -> Installation:
    """Make the named libraries use wsfast in this process. Doing it twice is doing it once.

    Connections that are open already go on, and use wsfast from their next read.

    Args:
        hosts: names of libraries, such as ``"websockets"``. None at all stands for every library of
            :data:`HOSTS` that is installed; those that are not are passed over.

    Returns:
        An object that undoes, at the end of a ``with`` block, what this call did.

    Raises:
        ValueError: there is no adapter of such a name.
        AdapterError: a named library is not installed, is too old, or lacks a hook; the message says
            what to do. Nothing is then changed, in no library.

    """
    with _lock:
        done: list[str] = []
        try:
            for host in _named(hosts) or [host for host in HOSTS if _is_importable(host)]:
                if host not in _installed:
                    module = adapter(host)
                    module.install()
                    _installed[host] = module
                    done.append(host)
        except BaseException:
            if done:
                uninstall(*reversed(done))
            raise
        installation = Installation(tuple(done))
        _done_by.update(dict.fromkeys(done, installation))
        return installation


def uninstall(*hosts: str) -> None:
    """Put the named libraries back as they were; with no name, all that were installed.

    A library that is not adapted is left alone. Connections that are open go on, without wsfast.

    Raises:
        ValueError: there is no adapter of such a name.
        AdapterError: somebody else has since replaced what the adapter had put in place.

    """
    with _lock:
        for host in _named(hosts) or list(_installed):
            if host in _installed:
                _installed[host].uninstall()
                del _installed[host]
                _done_by.pop(host, None)


def installed() -> tuple[str, ...]:
    """Return the names of the libraries that use wsfast now, in the order of their installation."""
    with _lock:
        return tuple(_installed)


def adapter(host: str) -> Adapter:
    """Return the module that adapts ``host``; the library itself need not be installed.

    Raises:
        ValueError: there is none.

    """
    from importlib import import_module

    _named((host,))
    return import_module(f"{__name__}.{host}")


def _is_importable(host: str) -> bool:
    """Tell whether a library is installed here, without importing it."""
    from importlib.util import find_spec

    try:
        return find_spec(host) is not None
    except ImportError:
        return False
    except ValueError:  # a module without a spec stands in for it in sys.modules
        return True


def _named(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Check names, all before the first is acted on."""
    for host in hosts:
        if host not in HOSTS:
            raise ValueError(f"there is no adapter for {host!r}; there is one for: {', '.join(HOSTS)}")
    return hosts
