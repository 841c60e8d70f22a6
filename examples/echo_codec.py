"""An echo server on wsfast's codec alone: the transport reads straight into the decoder's buffer.

``MessageDecoder`` takes care of frames, masks, fragments, UTF-8 and limits; the handshake and the few
rules on control frames are here, to see. Any client will do::

    python examples/echo_codec.py
    python -m websockets ws://127.0.0.1:8766/
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib

import wsfast
from wsfast import Frame, Opcode

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_REQUEST = 16 * 1024


class Echo(asyncio.BufferedProtocol):
    """One connection: first the HTTP request, then frames."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.request = bytearray()
        self.buffer = bytearray(MAX_REQUEST)
        self.decoder: wsfast.MessageDecoder | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> bytearray | memoryview:
        return self.buffer if self.decoder is None else self.decoder.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        try:
            if self.decoder is None:
                self.shake_hands(bytes(self.buffer[:nbytes]))
            else:
                self.answer(self.decoder.buffer_updated(nbytes))
        except wsfast.ProtocolError as error:
            # What came before the fault was right, and is answered first.
            self.answer(error.events)
            self.close(error.code.to_bytes(2, "big"))

    def shake_hands(self, data: bytes) -> None:
        self.request += data
        head, end, rest = bytes(self.request).partition(b"\r\n\r\n")
        if not end:
            if len(self.request) > MAX_REQUEST:
                self.transport.abort()
            return
        headers = {}
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        key = headers.get(b"sec-websocket-key")
        if headers.get(b"upgrade", b"").lower() != b"websocket" or key is None:
            self.transport.write(
                b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
            )
            self.transport.close()
            return
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.decoder = wsfast.MessageDecoder("server")
        self.answer(self.decoder.feed(rest))

    def answer(self, events: list[str | bytes | Frame]) -> None:
        out = []
        for event in events:
            if isinstance(event, str):
                out.append(wsfast.encode_frame(Opcode.TEXT, event))
            elif isinstance(event, bytes):
                out.append(wsfast.encode_frame(Opcode.BINARY, event))
            elif event.opcode == Opcode.PING:
                out.append(wsfast.encode_frame(Opcode.PONG, event.payload))
            elif event.opcode == Opcode.CLOSE:
                self.transport.writelines(out)
                self.close(event.payload)
                return
        self.transport.writelines(out)

    def close(self, payload: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(wsfast.encode_frame(Opcode.CLOSE, payload))
            self.transport.close()


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    async with server:
        port = server.sockets[0].getsockname()[1]
        print(f"echo on ws://127.0.0.1:{port}/, wsfast {wsfast.__version__} ({wsfast.isa})", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An echo server.")
    parser.add_argument("--port", type=int, default=8766, help="0 takes any free one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args().port))
