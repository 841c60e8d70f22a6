"""An echo server and its client on ``wsproto``, over loopback sockets, sped up by one line.

wsproto has no sockets of its own: both ends here read and write their own, as hypercorn, uvicorn or
trio-websocket do. It ends by itself, and tells how many frames went through wsfast::

    python examples/hosts/wsproto_echo.py
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

import wsfast
from wsfast.adapters import counts

MESSAGES = ["Hello", "Grüße 🎉", "a longer one, " * 5000]


def events(connection: WSConnection, sock: socket.socket) -> Iterator[Event]:
    """Yield what arrives until the closing handshake is done."""
    while True:
        yield from connection.events()
        if connection.state is ConnectionState.CLOSED:
            return
        # None tells it that the stream has ended.
        connection.receive_data(sock.recv(65536) or None)


def serve(listener: socket.socket) -> None:
    """Send back what one client sends; the parts of a message as they come."""
    sock, _ = listener.accept()
    connection = WSConnection(ConnectionType.SERVER)
    with sock:
        for event in events(connection, sock):
            if isinstance(event, Request):
                sock.sendall(connection.send(AcceptConnection(extensions=[PerMessageDeflate()])))
            elif isinstance(event, Message):
                sock.sendall(connection.send(event))
            elif isinstance(event, Ping | CloseConnection):
                sock.sendall(connection.send(event.response()))


def talk(host: str, port: int) -> None:
    """Send messages, and show what comes back."""
    connection = WSConnection(ConnectionType.CLIENT)
    with socket.create_connection((host, port)) as sock:
        sock.sendall(connection.send(Request(host, "/", extensions=[PerMessageDeflate()])))
        waiting = list(MESSAGES)
        text = ""
        for event in events(connection, sock):
            if isinstance(event, TextMessage):
                text += event.data
                if not event.message_finished:
                    continue
                print(f"client: {len(text)} characters came back: {text[:20]!r}")
                if text != waiting.pop(0):
                    raise SystemExit("not what was sent")
                text = ""
            if isinstance(event, AcceptConnection | TextMessage):
                answer = TextMessage(waiting[0]) if waiting else CloseConnection(1000, "bye")
                sock.sendall(connection.send(answer))
            elif isinstance(event, CloseConnection):
                print(f"client: closed with {int(event.code)} {event.reason}")


def main() -> None:
    """Switch wsfast on, and run both ends."""
    wsfast.install("wsproto")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        talk(*listener.getsockname())
        server.join()
    print(f"frames: {counts('wsproto')}")


if __name__ == "__main__":
    main()
