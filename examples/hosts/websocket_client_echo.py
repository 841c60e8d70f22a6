"""websocket-client on wsfast: a client as its users write it, and a server to talk to, in one program.

The library has no server; this one is wsfast.Connection over a plain socket.

    pip install wsfast websocket-client
    python websocket_client_echo.py
"""

import socket
import threading

import websocket

import wsfast
from wsfast import adapters


def serve(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        connection = wsfast.Connection("server")
        while connection.state is not wsfast.State.CLOSED and (data := sock.recv(1 << 16)):
            for event in connection.receive_data(data):
                if isinstance(event, wsfast.Request):
                    sock.sendall(connection.accept())
                elif isinstance(event, (str, bytes)):
                    sock.sendall(connection.send_message(event))
            sock.sendall(connection.data_to_send())


def main() -> None:
    wsfast.install("websocket-client")  # the only line that a program needs
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        ws = websocket.create_connection(f"ws://127.0.0.1:{listener.getsockname()[1]}", timeout=10)
        ws.send("Hello")
        print("received", repr(ws.recv()))
        ws.send_bytes(bytes(range(3)))
        print("received", ws.recv())
        ws.send("Grüße " * 20_000)
        print("received", len(ws.recv()), "characters")
        ws.close()
        server.join()
    counts = adapters.counts("websocket-client")
    print(f"frames through wsfast: {counts.fast}, left to the library: {counts.slow}")


if __name__ == "__main__":
    main()
