// Signaling: JSON-RPC over one WebSocket, with replies, acks, pings and deadlines.

const REQUEST_LIMIT = 10_000; // ms; times as the official client has them
const PING_LIMIT = 20_000; // the server pings each 10 s

export class RoomError extends Error {
  // `code` is the server's, or one of ours: lost, timeout (both pass), codec, media, hangup.
  constructor(code, message) {
    super(message || `The server answered with code ${code}.`);
    this.name = "RoomError";
    this.code = String(code);
  }
}

// crypto.randomUUID exists on secure pages only; a page on the LAN may be a plain one.
export function uuid() {
  const random = (digit) => (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4))));
  return "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) => random(+digit).toString(16));
}

// The result of a reply as the protocol nests it; throws what it refuses.
function unwrap(frame) {
  if (frame.error) throw new RoomError(frame.error.code, frame.error.message);
  const result = frame.result ?? {};
  if (result.code !== undefined && !/^2\d\d$/.test(result.code)) {
    throw new RoomError(result.code, result.message);
  }
  return result.result?.jsonrpc ? unwrap(result.result) : result.result ?? result;
}

/**
 * One connection. `onEvent(type, params, event)` gets each event after it was acked, `onClose()` the
 * end; requests under way then fail with the code lost.
 */
export class Socket {
  #ws;
  #pending = new Map();
  #silence = 0;
  #onEvent;

  constructor(url, { onEvent, onClose }) {
    this.#onEvent = onEvent;
    this.#ws = new WebSocket(url);
    this.opened = new Promise((resolve, reject) => {
      this.#ws.onopen = resolve;
      this.#ws.onclose = () => {
        clearTimeout(this.#silence);
        const error = new RoomError("lost", "The connection to the hub is lost.");
        reject(error);
        for (const { reject: fail } of this.#pending.values()) fail(error);
        this.#pending.clear();
        onClose();
      };
    });
    this.opened.catch(() => {}); // heard by whoever waits for it
    this.#ws.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  get isOpen() {
    return this.#ws.readyState === WebSocket.OPEN;
  }

  close() {
    this.#ws.close();
  }

  async request(method, params) {
    if (!this.isOpen) throw new RoomError("lost", "There is no connection to the hub.");
    const id = uuid();
    const frame = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.#send({ id, method, params });
    const timer = setTimeout(() => {
      this.#pending.get(id)?.reject(new RoomError("timeout", "The hub does not answer."));
      this.close();
    }, REQUEST_LIMIT);
    try {
      return unwrap(await frame);
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  #send(frame) {
    if (this.isOpen) this.#ws.send(JSON.stringify({ jsonrpc: "2.0", ...frame }));
  }

  #receive(frame) {
    const { id, method, params } = frame;
    if (!method) {
      this.#pending.get(id)?.resolve(frame);
    } else if (method === "signalwire.event") {
      this.#send({ id, result: {} });
      this.#onEvent(params.event_type, params.params ?? {}, params);
    } else if (method === "signalwire.ping") {
      this.#send({ id, result: { timestamp: params?.timestamp } });
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => this.close(), PING_LIMIT);
    } else if (method === "signalwire.disconnect") {
      this.#send({ id, result: {} });
    }
  }
}
