"""What ``connect``, ``load`` and ``serve`` have in common: options, and how they say what went wrong."""

from __future__ import annotations

import argparse
from typing import Any

from ._output import say

__all__ = [
    "SHARED_HELP",
    "add_max_size",
    "add_options",
    "client_options",
    "complain",
    "explain",
    "natural",
    "port",
    "positive",
    "printable",
    "seconds",
]

SHARED_HELP = """\
URI is ws://HOST[:PORT]/PATH or wss://...; user:password@ in it becomes Basic authorization. Proxies are
taken from the environment (https_proxy, no_proxy, ...).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a client."""
    parser.add_argument("uri", metavar="URI", help="where to connect to")
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        type=_header,
        help="a field for the request; may be given several times",
    )
    parser.add_argument(
        "-s",
        "--subprotocol",
        metavar="NAME",
        action="append",
        default=[],
        help="a subprotocol to offer, the best first; may be given several times",
    )
    parser.add_argument("--origin", metavar="ORIGIN", help="the Origin field, as browsers send it")
    parser.add_argument(
        "--compress", action="store_true", help="offer permessage-deflate (by default nothing is compressed)"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="with wss://, take any certificate: for tests only"
    )
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, default=10.0, help="for connecting (by default %(default)g s)"
    )
    add_max_size(parser)


def add_max_size(parser: argparse.ArgumentParser) -> None:
    """Add the option that a server has, too."""
    parser.add_argument(
        "--max-size",
        metavar="BYTES",
        type=natural,
        default=1 << 20,
        help="of a message received, 0 for no limit (by default 1 MiB)",
    )


def client_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return them as ``wsfast.asyncio.connect`` takes them."""
    found: dict[str, Any] = {
        "additional_headers": options.header,
        "subprotocols": options.subprotocol,
        "origin": options.origin,
        "compression": "deflate" if options.compress else None,
        "open_timeout": options.timeout,
        "max_size": options.max_size or None,
    }
    if options.insecure and options.uri.lower().startswith("wss:"):
        import ssl

        found["ssl"] = context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return found


def explain(error: BaseException) -> str:
    """Say what went wrong, and what helps where that is known; a peer's words do not command the terminal."""
    import ssl

    from ..asyncio import InvalidStatus

    if isinstance(error, InvalidStatus) and error.response.body:
        body = error.response.body[:200].decode("utf-8", "replace").strip()
        return printable(f"{error}: {body}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}: the certificate cannot be trusted; --insecure takes it all the same"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: no server listens there"
    return printable(str(error) or type(error).__name__)


def complain(command: str, error: BaseException) -> int:
    """Print it, and return the exit code for it: 2 for what can only come of wrong arguments."""
    say(f"python -m wsfast {command}: {explain(error)}")
    # Certificates that cannot be trusted are both.
    return 2 if isinstance(error, (TypeError, ValueError)) and not isinstance(error, OSError) else 1


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would take for commands."""
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not 'NAME: VALUE'")
    return name.strip(), value.strip()


def seconds(text: str) -> float:
    """Convert an argument; ``inf`` is one, too."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def natural(text: str) -> int:
    """Convert an argument to an integer that is not negative."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return value


def port(text: str) -> int:
    """Convert an argument to the number of a port."""
    value = natural(text)
    if value > 65535:
        raise argparse.ArgumentTypeError("there are ports up to 65535")
    return value


def positive(text: str) -> int:
    """Convert an argument to an integer above 0."""
    value = natural(text)
    if not value:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return value
