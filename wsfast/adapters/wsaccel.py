"""Make ``import wsaccel`` mean :mod:`wsfast.compat.wsaccel`, whether or not ``wsaccel`` is installed.

Some WebSocket libraries use ``wsaccel`` if they find it when they are imported: gevent-websocket and lomond
for UTF-8, older autobahn for UTF-8 and masks. They need no adapter of their own then, but this has to come
before them: what they have imported already stays as it is.

``sys.modules`` is what is replaced, in this process only; no file of an installed ``wsaccel`` is touched.
Calls are not counted: that would take longer than the work on a small message.
"""

from __future__ import annotations

import sys

from ._seams import Counts, Host, Seam

__all__ = ["HOST"]


class _Module(Host):
    """A host that need not be installed: the module takes its place."""

    __slots__ = ()

    @property
    def stands_in(self) -> bool:
        """It takes the place of the module, if there is one."""
        return True

    def version(self) -> str:
        """Return the version whose calls the module has."""
        return self.newest


def _seams(strict: bool) -> list[Seam]:
    from ..compat import wsaccel
    from ..compat.wsaccel import utf8validator, xormask

    modules = {"wsaccel": wsaccel, "wsaccel.utf8validator": utf8validator, "wsaccel.xormask": xormask}
    return [
        Seam(sys.modules, name, module, added=True, place="sys.modules") for name, module in modules.items()
    ]


HOST = _Module(
    name="wsaccel",
    package="wsaccel",
    distribution="wsaccel",
    oldest="0.6.7",
    newest="0.6.7",
    seams=_seams,
    counts=Counts(),
)
