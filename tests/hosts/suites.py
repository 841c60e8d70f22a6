"""The test suites of other libraries that run_suites.py runs: where they are and how they are started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["SUITES", "Suite"]


@dataclass(frozen=True)
class Suite:
    """One library's own tests.

    Attributes:
        hosts: what is installed of wsfast's adapters, several with spaces between.
        library: the requirement that names the library and its version.
        needs: what else its tests need, as requirements.
        arguments: pytest's.
        files: what is taken from the source distribution, so that its modules do not stand before the
            installed ones; nothing if the tests are installed with the library.
        repository: where the tests are if the source distribution has none.
        environ: variables that its tests go by.

    """

    hosts: str
    library: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    repository: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return self.library.partition("==")[0]

    @property
    def version(self) -> str:
        return self.library.partition("==")[2]


#: Of a project's own settings: none. They ask for coverage, random order and plugins that are not needed.
PLAIN = ("-o", "addopts=")
UVICORN = (
    "websockets", "wsproto", "h11", "h2", "httptools", "uvloop", "pytest-mock", "pytest-asyncio",
    "anyio", "trio", "httpx", "httpx2", "trustme", "cryptography", "a2wsgi", "watchfiles",
    "python-dotenv", "PyYAML", "pytest-xdist",
)  # fmt: skip
AUTOBAHN = ("--pyargs", "autobahn.websocket.test", "autobahn.nvx.test")

SUITES = {
    "websockets": Suite(
        hosts="websockets",
        library="websockets==17.4",
        needs=("trio", "python-socks[asyncio]", "mitmproxy", "werkzeug", "cryptography"),
        arguments=(*PLAIN, "tests"),
        files=("tests",),
        repository="https://github.com/python-websockets/websockets",
        environ={"WEBSOCKETS_TESTS_TIMEOUT_FACTOR": "10"},
    ),
    "uvicorn": Suite(
        hosts="uvicorn",
        library="uvicorn==0.54.0",
        needs=UVICORN,
        arguments=(*PLAIN, "-p", "no:asyncio", "-p", "no:trio", "tests/protocols/test_websocket.py"),
        files=("tests",),
        environ={
            "SUITE_REPLACE": "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
            " wsfast.adapters.uvicorn:WebSocketProtocol"
        },
    ),
    "uvicorn over websockets and wsproto": Suite(
        hosts="websockets wsproto",
        library="uvicorn==0.54.0",
        needs=UVICORN,
        arguments=(*PLAIN, "-p", "no:asyncio", "-p", "no:trio", "tests/protocols/test_websocket.py"),
        files=("tests",),
    ),
    "wsproto": Suite(
        hosts="wsproto", library="wsproto==1.3.2", arguments=(*PLAIN, "tests"), files=("tests",)
    ),
    "hypercorn": Suite(
        hosts="wsproto hypercorn",
        library="hypercorn==0.18.0",
        needs=("wsproto", "pytest-asyncio", "pytest-trio", "httpx", "trio", "h2"),
        arguments=(*PLAIN, "tests/protocol", "tests/e2e"),
        files=("tests",),
    ),
    "trio-websocket": Suite(
        hosts="wsproto",
        library="trio-websocket==0.12.2",
        needs=("wsproto", "pytest-trio", "trustme", "yarl", "attrs"),
        arguments=(*PLAIN, "-p", "no:asyncio", "-o", "trio_mode=true", "tests"),
        files=("tests",),
    ),
    "httpx-ws": Suite(
        hosts="wsproto",
        library="httpx-ws==0.9.0",
        needs=(
            "wsproto", "websockets", "starlette", "uvicorn", "anyio", "trio", "pytest-mock",
            "python-multipart",
        ),
        arguments=(*PLAIN, "-p", "no:asyncio", "-p", "no:trio", "tests"),
        files=("tests",),
    ),
    "simple-websocket": Suite(
        hosts="wsproto",
        library="simple-websocket==1.1.0",
        needs=("wsproto",),
        arguments=(*PLAIN, "tests"),
        files=("tests",),
    ),
    "websocket-client": Suite(
        hosts="websocket-client",
        library="websocket-client==1.9.2",
        needs=("python-socks",),
        arguments=("--pyargs", "websocket.tests"),
    ),
    "autobahn on Twisted": Suite(
        hosts="autobahn",
        library="autobahn==26.10.2",
        needs=("twisted", "pytest-asyncio"),
        arguments=AUTOBAHN,
        environ={"USE_TWISTED": "1"},
    ),
    "autobahn on asyncio": Suite(
        hosts="autobahn",
        library="autobahn==26.10.2",
        needs=("twisted", "pytest-asyncio"),
        arguments=AUTOBAHN,
        environ={"USE_ASYNCIO": "1"},
    ),
    "tornado": Suite(
        hosts="tornado",
        library="tornado==6.6.1",
        arguments=("--pyargs", "tornado.test.websocket_test"),
    ),
    "aiohttp": Suite(
        hosts="aiohttp",
        library="aiohttp==3.14.5",
        needs=(
            "pytest-mock", "pytest-xdist", "pytest-timeout", "pytest-codspeed", "blockbuster",
            "trustme", "re-assert", "proxy.py", "freezegun", "time-machine", "coverage", "pytest-cov",
            "isal", "zlib-ng", "brotli", "uvloop", "gunicorn", "python-on-whales", "setuptools-git",
        ),
        arguments=(
            *PLAIN,
            "tests/test_websocket_parser.py", "tests/test_websocket_writer.py",
            "tests/test_websocket_handshake.py", "tests/test_websocket_data_queue.py",
            "tests/test_web_websocket.py", "tests/test_web_websocket_functional.py",
            "tests/test_client_ws.py", "tests/test_client_ws_functional.py",
        ),
        files=("tests", "setup.cfg"),
    ),
}  # fmt: skip
