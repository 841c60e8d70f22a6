// Node's `ws` library as a peer: node peer_ws.mjs, in the folder where npm has installed it.
// A line of JSON on standard input is a call; one on standard output is what came of it. node_peer.py makes them.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { WebSocket, WebSocketServer } from "ws";

const PATIENCE = 60_000;
const ends = [];
const servers = [];

/** Promises of things to come, in order; whoever asks waits for the next. */
class Queue {
  ready = [];
  waiting = [];

  put(item) {
    const waiter = this.waiting.shift();
    if (waiter) waiter(item);
    else this.ready.push(item);
  }

  get() {
    if (this.ready.length) return Promise.resolve(this.ready.shift());
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing came")), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Begin to listen at once: messages may be behind the handshake. */
function add(socket) {
  const end = { socket, messages: new Queue(), pongs: new Queue() };
  socket.on("message", (data, binary) => {
    end.messages.put({ binary, data: data.toString("base64") });
  });
  socket.on("pong", (data) => end.pongs.put(data.toString("base64")));
  socket.on("error", () => {});
  end.closed = new Promise((resolve) => {
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString("utf8") }));
  });
  return ends.push(end) - 1;
}

function describe(link) {
  return { link, deflate: "permessage-deflate" in ends[link].socket._extensions };
}

const calls = {
  async version() {
    const { version } = createRequire(import.meta.url)("ws/package.json");
    return { version, node: process.versions.node };
  },
  async connect({ uri, deflate }) {
    const socket = new WebSocket(uri, { perMessageDeflate: deflate && { threshold: 0 } });
    const link = add(socket);
    await new Promise((resolve, reject) => {
      socket.on("open", resolve);
      socket.on("error", reject);
    });
    return describe(link);
  },
  async listen({ deflate }) {
    const options = { host: "127.0.0.1", port: 0, perMessageDeflate: deflate && { threshold: 0 } };
    const server = new WebSocketServer(options);
    const accepted = new Queue();
    server.on("connection", (socket) => accepted.put(add(socket)));
    await new Promise((resolve) => server.on("listening", resolve));
    return { server: servers.push({ server, accepted }) - 1, port: server.address().port };
  },
  async accept({ server }) {
    return describe(await servers[server].accepted.get());
  },
  async stop({ server }) {
    servers[server].server.close();
    servers[server].server.clients.forEach((socket) => socket.terminate());
    return {};
  },
  async send({ link, data, binary }) {
    const bytes = Buffer.from(data, "base64");
    ends[link].socket.send(bytes, { binary });
    return {};
  },
  async fragments({ link, pieces, binary }) {
    pieces.forEach((piece, index) => {
      ends[link].socket.send(Buffer.from(piece, "base64"), { binary, fin: index === pieces.length - 1 });
    });
    return {};
  },
  async receive({ link }) {
    return ends[link].messages.get();
  },
  async ping({ link, data }) {
    ends[link].socket.ping(Buffer.from(data, "base64"));
    return { pong: await ends[link].pongs.get() };
  },
  async close({ link, code, reason }) {
    if (code === null) ends[link].socket.close();
    else ends[link].socket.close(code, reason);
    return {};
  },
  async ended({ link }) {
    return ends[link].closed;
  },
  async drop({ link }) {
    ends[link].socket.terminate();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = await inTime(calls[call](options));
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
