// What the pages share: a connection that comes back, and plots of its messages and round trips.

/** Element by its id. */
export const at = (id) => document.getElementById(id);

/** An element with a text, which is never taken for HTML. */
export function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = kind;
  return made;
}

/** A value of a colour in style.css, which knows of dark and light. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Give a canvas as many pixels as it is shown with, and return its context and size, in CSS pixels. */
export function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** The latest values of something, as a line on a canvas. */
export class Plot {
  constructor(canvas, { unit = "", size = 120, name = "accent", zero = true, digits = 0 } = {}) {
    Object.assign(this, { canvas, unit, size, name, zero, digits, values: [] });
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > this.size) this.values.shift();
  }

  clear() {
    this.values.length = 0;
  }

  draw() {
    const { context, width, height } = prepare(this.canvas);
    const values = this.values;
    if (values.length === 0) return;
    let low = this.zero ? 0 : Math.min(...values);
    let high = Math.max(...values);
    // A flat line is in the middle, not at an end of a scale of nothing.
    if (high - low < 1e-9) [low, high] = [this.zero ? 0 : low - 1, high + 1];
    high += (high - low) * 0.1;
    const top = 20;
    const y = (value) => top + (height - top - 2) * (1 - (value - low) / (high - low));
    const x = (index) => (index / (this.size - 1)) * width;

    context.font = "12px system-ui, DejaVu Sans, sans-serif";
    context.fillStyle = colour("faint");
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    for (const part of [0, 0.5, 1]) {
      const level = Math.round(top + (height - top - 2) * part) + 0.5;
      context.beginPath();
      context.moveTo(0, level);
      context.lineTo(width, level);
      context.stroke();
    }
    const show = (value) => `${value.toFixed(this.digits)}${this.unit && ` ${this.unit}`}`;
    context.textAlign = "right";
    context.fillText(`max ${show(Math.max(...values))}`, width, 12);
    context.textAlign = "left";
    context.fillStyle = colour("text");
    context.fillText(show(values[values.length - 1]), 0, 12);

    const offset = this.size - values.length;
    context.strokeStyle = colour(this.name);
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    values.forEach((value, index) => context.lineTo(x(index + offset), y(value)));
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(x(offset), height);
    context.globalAlpha = 0.12;
    context.fillStyle = colour(this.name);
    context.fill();
    context.globalAlpha = 1;
  }
}

const LOOK = 250; // milliseconds between points of the plots

/**
 * A WebSocket connection to the page's own server. It connects again when it is lost, counts messages, and
 * measures round trips: the server sends back what begins like an echo, with the time that stands in it.
 *
 * Plots are drawn on the canvases #rate and #latency, and the state is told in #state.
 */
export class Link {
  constructor({ message, open = () => {}, close = () => {} }) {
    Object.assign(this, { message, open, close });
    this.rate = new Plot(at("rate"), { unit: "messages/s" });
    this.latency = new Plot(at("latency"), { unit: "ms", digits: 2, name: "good" });
    this.count = 0;
    this.total = 0;
    this.delay = 500;
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      this.rate.add((this.count * 1000) / (now - last));
      this.count = 0;
      last = now;
      this.send(JSON.stringify({ type: "echo", at: now }));
      this.rate.draw();
      this.latency.draw();
    }, LOOK);
    this.connect();
  }

  connect() {
    this.show("connecting");
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.delay = 500;
      this.show("connected", "open");
      this.open();
    };
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = ({ code, reason }) => {
      // Longer each time, and not at the same moment for all pages of a server that restarts.
      const wait = this.delay * (0.5 + Math.random());
      this.delay = Math.min(this.delay * 2, 15000);
      this.show(`closed (${code}${reason && ` ${reason}`}): again in ${(wait / 1000).toFixed(1)} s`);
      this.close();
      setTimeout(() => this.connect(), wait);
    };
  }

  receive(data) {
    if (typeof data === "string" && data.startsWith('{"type":"echo"')) {
      this.latency.add(performance.now() - JSON.parse(data).at);
      return;
    }
    this.count += 1;
    this.total += 1;
    this.message(typeof data === "string" ? JSON.parse(data) : data);
  }

  /** Send if there is a connection; whether there is one. */
  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(message);
    return true;
  }

  show(text, kind = "") {
    at("state").textContent = text;
    at("state").className = kind;
  }
}
