"""A WebSocket protocol for uvicorn, over :class:`wsfast.Connection`.

Uvicorn takes any class for it: ``uvicorn app:app --ws wsfast.adapters.uvicorn:WebSocketProtocol``, or
``uvicorn.Config(app, ws=WebSocketProtocol)``. ``wsfast.install("uvicorn")`` makes it what ``--ws auto``, the
default, stands for. Nothing of uvicorn's own is used but its HTTP side; neither websockets nor wsproto is
needed.

It follows the RFCs as strictly as :class:`wsfast.Connection` does, with ``strict`` or without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._seams import AdapterError, Counts, Host, Seam

if TYPE_CHECKING:
    from ._uvicorn_protocol import WebSocketProtocol as WebSocketProtocol

__all__ = ["HOST", "WebSocketProtocol"]

_ADDRESS = "wsfast.adapters.uvicorn:WebSocketProtocol"


def __getattr__(name: str) -> Any:
    """Import the class when it is asked for: it needs uvicorn."""
    if name == "WebSocketProtocol":
        from ._uvicorn_protocol import WebSocketProtocol

        return WebSocketProtocol
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _seams(strict: bool) -> list[Seam]:
    from uvicorn import config
    from uvicorn.protocols import utils

    # What the class needs of uvicorn.
    for needed in ("ClientDisconnected", "get_client_addr", "get_local_addr", "get_path_with_query_string"):
        getattr(utils, needed)
    return [Seam(config.WS_PROTOCOLS, "auto", _ADDRESS, place="uvicorn.config.WS_PROTOCOLS")]


def _try_out() -> None:
    """A server that is about to start must find the class."""
    from uvicorn.config import Config

    config = Config(app=_no_application, ws="auto", log_config=None)
    config.load()
    from ._uvicorn_protocol import WebSocketProtocol

    found: Any = config.ws_protocol_class
    if found is not WebSocketProtocol:
        raise AdapterError(f"uvicorn takes {found!r} for --ws auto all the same")


async def _no_application(scope: Any, receive: Any, send: Any) -> None:
    """No application."""


HOST = Host(
    name="uvicorn",
    package="uvicorn",
    distribution="uvicorn",
    oldest="0.54",
    newest="0.54.0",
    seams=_seams,
    counts=Counts(),
    try_out=_try_out,
)
