"""Pages for the programs: each serves its own, from the port that its WebSocket connections come to."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from wsfast import Request
from wsfast.asyncio import Answer, ServerConnection, broadcast

__all__ = ["Site", "is_echo", "reply"]

HERE = Path(__file__).parent
#: Where the page connects to.
WEBSOCKET = "/ws"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
INLINE = re.compile(r"<script[^>]*>(.+?)</script>", re.S)
#: What the page measures round trips by; the rest of the text is its own clock, and goes back as it came.
ECHO = '{"type":"echo"'


class Site:
    """Answers requests for a program's page and what belongs to it; for ``process_request`` of ``serve``.

    Only the files named here are served, so that no request can name another.
    """

    def __init__(self, page: str) -> None:
        self._files = {"/": page, "/plots.js": "plots.js", "/style.css": "style.css"}
        # Read once: no request waits for a disk. As text: browsers hash a script with the line ends of HTML.
        self._bodies = {target: (HERE / name).read_text("utf-8") for target, name in self._files.items()}
        hashes = " ".join(f"'sha256-{_hash(script)}'" for script in INLINE.findall(self._bodies["/"]))
        self._headers = {
            # The script in the page runs because of its hash: whatever else gets into the page does not.
            "Content-Security-Policy": f"default-src 'none'; script-src 'self' {hashes}; style-src 'self'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }

    def __call__(self, ws: ServerConnection, request: Request) -> Answer | None:
        target = request.target.partition("?")[0]
        if target == WEBSOCKET:
            if request.error is None and not _same_origin(request):
                # A page of somebody else's would speak for whoever looks at it (RFC 6455 §10.2).
                return ws.respond(403, "Connections are taken from this server's own page.\n")
            return None
        if target == "/health":
            return ws.respond(200, "well\n", {"Cache-Control": "no-store"})
        if target in self._files:
            kind = TYPES[Path(self._files[target]).suffix]
            headers = {**self._headers, "Content-Type": f"{kind}; charset=utf-8"}
            return ws.respond(200, self._bodies[target], headers)
        return ws.respond(404, f"There is a page at / and a WebSocket at {WEBSOCKET}.\n")


def is_echo(message: str | bytes) -> bool:
    """Tell whether a message is only to be sent back."""
    return isinstance(message, str) and message.startswith(ECHO)


def reply(ws: ServerConnection, message: str | bytes) -> None:
    """Answer from a callback, which cannot wait: who does not read the answers gets no more of them."""
    broadcast([ws], message, slow="skip")


def _same_origin(request: Request) -> bool:
    """Tell whether a request comes from our page, or from a program, which has no origin.

    The server does not know by which names and ports it is reached through a balancer; the Host field does.
    """
    return request.origin is None or urlsplit(request.origin).netloc == request.host


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
