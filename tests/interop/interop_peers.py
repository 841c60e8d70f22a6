"""All peers."""

from __future__ import annotations

from callback_peers import Autobahn, Picows
from link import Peer
from node_peer import Node
from python_peers import Aiohttp, Websockets
from threaded_peers import Chromium, WebsocketClient

__all__ = ["PEERS"]

PEERS: list[Peer] = [
    Websockets("websockets", "websockets", "websockets"),
    Aiohttp("aiohttp", "aiohttp", "aiohttp"),
    Picows("picows", "picows", "picows"),
    Websockets("picows.websockets", "picows", "picows.websockets"),
    Autobahn("autobahn", "autobahn", "autobahn.asyncio.websocket"),
    WebsocketClient("websocket-client", "websocket-client", "websocket"),
    Node(),
    Chromium(),
]
