"""The loopback part of ``python -m wsfast bench``: a server on ``websockets``, before and after install().

Two servers run in processes of their own, one with the drop-in. This process is the client of both, on
plain sockets and with wsfast's codec, so that its own work is small and the same for both. Blocks of
messages go to one and the other in turn.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import FrameDecoder, Opcode, encode_frame

__all__ = ["measure"]

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TIMEOUT = 30.0


class _Client:
    """A WebSocket client that does what is needed here and no more."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = FrameDecoder("client")
        self.socket.sendall(_HANDSHAKE.format(path=path).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._receive()
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"the server refused the connection: {head[:80]!r}")

    def _receive(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def next(self) -> bytes:
        """The payload of the next message; pings of the server are passed over."""
        while True:
            for frame in self.decoder.feed(self._receive()):
                if frame.opcode < Opcode.CLOSE:
                    return frame.payload

    def cpu(self) -> float:
        """The CPU time of the server, in seconds, once it has dealt with all that was sent."""
        self.socket.sendall(encode_frame(Opcode.TEXT, "cpu?", mask=True))
        return float(self.next())

    def close(self) -> None:
        """Close, and see to it that the server has done so too."""
        self.socket.sendall(encode_frame(Opcode.CLOSE, b"\x03\xe8", mask=True))
        with self.socket:
            while self.socket.recv(4096):
                pass


@contextlib.contextmanager
def _server(*flags: str) -> Iterator[int]:
    """Run a server process; its port."""
    environ = dict(os.environ)
    # This wsfast, also when it is run from its checkout.
    environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parents[2]), *filter(None, [environ.get("PYTHONPATH")])]
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "wsfast.cli.echo_server", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ,
        text=True,
        # Ctrl-C is for this process, which ends the servers by closing their input.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes to the server")
    try:
        line = process.stdout.readline()
        if not line:
            raise ConnectionError("the server process did not start")
        yield int(line)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _ping_pong(client: _Client, size: int, count: int) -> float:
    """One message at a time, there and back; seconds that passed."""
    payload = b"x" * size
    frame = encode_frame(Opcode.TEXT, payload, mask=True)
    start = time.perf_counter()
    for _ in range(count):
        client.socket.sendall(frame)
        answer = client.next()
    passed = time.perf_counter() - start
    if answer != payload:
        raise ValueError("the server sent back something else")
    return passed


def _stream(client: _Client, size: int, count: int) -> float:
    """Message after message, none comes back."""
    wire = encode_frame(Opcode.TEXT, b"x" * size, mask=True) * count
    start = time.perf_counter()
    client.socket.sendall(wire)
    return time.perf_counter() - start


def measure(quick: bool, progress: Callable[[str], object]) -> list[dict[str, Any]]:
    """Measure; one entry for each kind of traffic and size.

    Returns:
        Entries with ``traffic`` and ``bytes``; the server's CPU time per message in seconds,
        ``cpu_before`` and ``cpu_after``, and for round trips how many there are a second,
        ``rate_before`` and ``rate_after``: the best of several blocks each.

    """
    blocks = 4 if quick else 8
    cases: list[tuple[str, str, Callable[[_Client, int, int], float], int, int]] = [
        ("streaming in", "/sink", _stream, 64, 10_000 if quick else 20_000),
        ("streaming in", "/sink", _stream, 4096, 2000 if quick else 4000),
        ("round trips", "/echo", _ping_pong, 64, 800 if quick else 1500),
        ("round trips", "/echo", _ping_pong, 4096, 800 if quick else 1500),
    ]
    results = []
    with _server() as before, _server("--install") as after, contextlib.ExitStack() as sockets:
        for traffic, path, send, size, count in cases:
            clients = [_Client(port, path) for port in (before, after)]
            for client in clients:
                # If this ends early, the servers must not wait for an answer to their goodbye.
                sockets.enter_context(client.socket)
            best_cpu = [float("inf")] * 2
            best_time = [float("inf")] * 2
            for block in range(blocks + 1):
                progress(f"loopback, {traffic}, {size} B: block {block} of {blocks}")
                for i, client in enumerate(clients):
                    start = client.cpu()
                    passed = send(client, size, count if block else count // 10)
                    used = client.cpu() - start
                    if block:  # the first warms up
                        best_cpu[i] = min(best_cpu[i], used / count)
                        best_time[i] = min(best_time[i], passed / count)
            for client in clients:
                client.close()
            result = {
                "traffic": traffic,
                "bytes": size,
                "cpu_before": best_cpu[0],
                "cpu_after": best_cpu[1],
            }
            if send is _ping_pong:
                result["rate_before"] = 1 / best_time[0]
                result["rate_after"] = 1 / best_time[1]
            results.append(result)
    return results
