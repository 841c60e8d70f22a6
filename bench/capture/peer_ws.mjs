// Node's `ws` library as a recorded peer: node peer_ws.mjs PLAN.json
// The plan and the report are described in capture.py. The report goes to standard output.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { WebSocket, WebSocketServer } from "ws";

const { version } = createRequire(import.meta.url)("ws/package.json");
const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const sent = [];

function log(kind, data) {
  sent.push([kind, data.length, createHash("sha256").update(data).digest("hex")]);
}

function ping(socket, payload) {
  log("ping", Buffer.from(payload));
  socket.ping(payload);
  return 1;
}

/** Queue every step in order; return how many pongs to wait for. */
function send(socket) {
  let pings = 0;
  for (const step of plan.steps) {
    if (step.kind === "ping") {
      pings += ping(socket, step.data);
    } else if (step.kind === "binary") {
      const data = Buffer.from(step.data, "base64");
      log("binary", data);
      socket.send(data);
    } else if (step.fragments) {
      step.fragments.forEach((part, index) => {
        if (index === 1 && step.ping_inside) pings += ping(socket, step.ping_inside);
        socket.send(part, { fin: index === step.fragments.length - 1 });
      });
      log("text", Buffer.from(step.fragments.join("")));
    } else {
      log("text", Buffer.from(step.data));
      socket.send(step.data);
    }
  }
  return pings;
}

/** Send everything, receive everything, then close as the client or be closed. */
function run(socket) {
  const finished = new Promise((resolve) => socket.on("close", resolve));
  let messages = plan.expect;
  let pongs = send(socket);
  const check = () => {
    if (messages > 0 || pongs > 0 || plan.role !== "client") return;
    const code = Buffer.alloc(2);
    code.writeUInt16BE(plan.close_code);
    log("close", Buffer.concat([code, Buffer.from(plan.close_reason)]));
    socket.close(plan.close_code, plan.close_reason);
  };
  socket.on("message", () => { messages -= 1; check(); });
  socket.on("pong", () => { pongs -= 1; check(); });
  return finished;
}

function report() {
  console.log(JSON.stringify({ version, sent }));
}

const options = { perMessageDeflate: false, maxPayload: 0 };
if (plan.role === "client") {
  const socket = new WebSocket(plan.url, options);
  socket.on("open", () => run(socket).then(report));
} else {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, ...options });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (socket) => run(socket).then(() => server.close(report)));
}
