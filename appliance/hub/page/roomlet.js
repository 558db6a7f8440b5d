// A small client of the room protocol: one WebSocket for signaling, one RTCPeerConnection for media.
//
//   const room = new Room({ url, token });            // to look on
//   const room = new Room({ url, token, tracks });    // to take part: tracks = { audio, video }
//   room.addEventListener("state", (e) => ...);       // e.detail = { state, error }
//   await room.join();
//
// Events: "state"; "stream" (room.stream is new); "members"; every event of the room by its name
// without "video.", such as "layout.changed", with the payload as detail; "warning" (an Error).
// States: idle, connecting, live, reconnecting, closed. What ends a room is a RoomError with a code.

import { gathered, inOrderOf, openTrack, withoutNames } from "./media.js";
import { RoomError, Socket, uuid } from "./signaling.js";

export { RoomError };

const CALL_LIMIT = 20_000; // ms, as the official client has it
const KINDS = ["audio", "video"]; // in this order in every offer

const passes = (error) => error.code === "lost" || error.code === "timeout";
const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Room extends EventTarget {
  state = "idle";
  authorization = {};
  session = {};
  members = new Map();
  memberId = "";
  layout = null;
  stream = null;
  #url;
  #token;
  #tracks; // null for one who only looks on
  #socket = null;
  #protocol;
  #authorizationState;
  #iceServers = [];
  #pc = null;
  #callId = uuid();
  #nodeId;
  #waiting = {}; // what a call in the making waits for: answered, subscribed
  #open = { audio: false, video: false }; // what the user has opened; nobody else opens it
  #recovering = false;

  constructor({ url, token, tracks = null }) {
    super();
    this.#url = url;
    this.#token = token;
    this.#tracks = tracks && { audio: tracks.audio ?? null, video: tracks.video ?? null };
    for (const kind of KINDS) this.#open[kind] = Boolean(tracks?.[kind]);
  }

  get me() {
    return this.members.get(this.memberId);
  }

  may(permission) {
    return this.authorization.room?.scopes?.includes(permission) ?? false;
  }

  /** Resolves once in the room; throws a RoomError, after which the room is closed. */
  async join() {
    this.#become("connecting");
    try {
      await this.#connect();
      await this.#call();
      this.#become("live");
    } catch (error) {
      this.#end(error);
      throw error;
    }
  }

  /** Leaves for good. The bye goes out at once, so this works in a page that is being closed. */
  leave() {
    if (this.#socket?.isOpen && this.#pc) {
      this.#verto("verto.bye", { dialogParams: this.#dialog(), cause: "NORMAL_CLEARING", causeCode: "16" })
        .catch(() => {});
    }
    this.#end(null);
  }

  /** An RPC of the room, such as ("video.set_layout", { name }). */
  async request(method, params = {}) {
    if (!this.#socket) throw new RoomError("lost", "There is no connection to the hub.");
    return this.#socket.request(method, { room_session_id: this.session.id, ...params });
  }

  /** Mutes or unmutes oneself; `kind` is audio or video. A muted camera is really off. */
  async setMuted(kind, muted) {
    if (muted) this.#shut(kind);
    else if (!this.#isLive(kind)) this.#tracks[kind] = await openTrack(kind);
    this.#open[kind] = !muted;
    try {
      await this.request(`video.member.${kind}_${muted ? "mute" : "unmute"}`, { member_id: this.memberId });
    } catch (error) {
      if (!muted) this.#shut(kind);
      throw error;
    }
    if (!this.#open[kind]) return;
    this.#tracks[kind].enabled = true;
    await this.#sender(kind)?.replaceTrack(this.#tracks[kind]);
  }

  #isLive(kind) {
    return this.#tracks?.[kind]?.readyState === "live";
  }

  #sender(kind) {
    return this.#pc?.getTransceivers()[KINDS.indexOf(kind)]?.sender;
  }

  // The microphone stays claimed, since asking for it again takes time; a camera shows that it is on.
  #shut(kind) {
    this.#open[kind] = false;
    if (!this.#isLive(kind)) return;
    this.#tracks[kind].enabled = false;
    if (kind === "audio") return;
    this.#tracks[kind].stop();
    this.#sender(kind)?.replaceTrack(null);
  }

  // The hub's word closes at once; it opens nothing that the user has not opened.
  #obey(kinds) {
    for (const kind of this.#tracks && this.me ? kinds : []) {
      const muted = this.me[`${kind}_muted`];
      if (muted) this.#shut(kind);
      else if (!this.#open[kind]) {
        this.setMuted(kind, true).catch((error) => this.#emit("warning", error));
      }
    }
  }

  // ---- connection ---------------------------------------------------------------------------------

  // Gives whether the hub still knows us from before.
  async #connect() {
    const socket = new Socket(this.#url, {
      onEvent: (type, params, event) => this.#receive(type, params, event),
      onClose: () => {
        if (socket !== this.#socket) return;
        this.#fail(new RoomError("lost", "The connection to the hub is lost."));
        this.#recover("The connection to the hub is lost.");
      },
    });
    this.#socket = socket;
    await socket.opened;
    const before = this.#protocol;
    const hello = () => socket.request("signalwire.connect", {
      version: { major: 3, minor: 0, revision: 0 },
      event_acks: true,
      agent: "roomlet-page/1",
      authentication: { jwt_token: this.#token },
      ...(this.#protocol && { protocol: this.#protocol, authorization_state: this.#authorizationState }),
    });
    let result;
    try {
      result = await hello();
    } catch (error) {
      if (error.message !== "Requester validation failed" || !this.#protocol) throw error;
      this.#protocol = undefined;
      result = await hello();
    }
    this.authorization = result.authorization ?? {};
    this.#iceServers = result.ice_servers ?? [];
    this.#protocol = result.protocol;
    return before !== undefined && result.protocol === before;
  }

  async #recover(cause) {
    if (this.#recovering || !["live", "reconnecting"].includes(this.state)) return;
    this.#recovering = true;
    this.#become("reconnecting", new RoomError("lost", cause));
    for (let attempt = 0; this.state === "reconnecting"; attempt += 1) {
      await delay(attempt ? 1000 + 3000 * Math.random() : 200 + 800 * Math.random());
      if (this.state !== "reconnecting") break;
      try {
        const known = this.#socket?.isOpen || (await this.#connect());
        // The hub sends what was missed; media that still flow are left alone.
        if (!known || this.#pc?.connectionState !== "connected") await this.#call();
        if (this.state === "reconnecting") this.#become("live");
      } catch (error) {
        if (!passes(error)) this.#end(error);
      }
    }
    this.#recovering = false;
  }

  #become(state, error = null) {
    this.state = state;
    this.#emit("state", { state, error });
  }

  #end(error) {
    if (this.state === "closed") return;
    const [socket, pc] = [this.#socket, this.#pc];
    this.#socket = this.#pc = null;
    socket?.close();
    pc?.close();
    for (const track of Object.values(this.#tracks ?? {})) track?.stop();
    this.#fail(error ?? new RoomError("hangup", "You left."));
    this.members.clear();
    this.#become("closed", error);
  }

  #fail(error) {
    for (const { reject } of Object.values(this.#waiting)) reject(error);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // ---- call ---------------------------------------------------------------------------------------

  // A known call id keeps its member and gets new media.
  async #call() {
    const old = this.#pc;
    const pc = (this.#pc = new RTCPeerConnection({ iceServers: this.#iceServers }));
    old?.close();
    this.stream = new MediaStream();
    pc.ontrack = ({ track }) => this.stream.addTrack(track);
    pc.onconnectionstatechange = () => {
      if (pc === this.#pc && pc.connectionState === "failed") this.#recover("Sound and picture are lost.");
    };
    const direction = this.#tracks ? "sendrecv" : "recvonly";
    for (const kind of KINDS) {
      pc.addTransceiver(this.#isLive(kind) ? this.#tracks[kind] : kind, { direction });
    }
    const ready = gathered(pc);
    await pc.setLocalDescription();
    await ready;
    if (pc !== this.#pc) throw new RoomError("lost", "The call was given up.");
    const news = ["answered", "subscribed"].map((what) =>
      new Promise((resolve, reject) => { this.#waiting[what] = { resolve, reject }; }));
    const timer = setTimeout(() => {
      this.#fail(new RoomError("timeout", "The hub does not let the call begin."));
    }, CALL_LIMIT);
    const params = { dialogParams: this.#dialog(), sdp: withoutNames(pc.localDescription.sdp) };
    try {
      await Promise.all([this.#verto("verto.invite", params), ...news]);
    } finally {
      clearTimeout(timer);
      this.#waiting = {};
    }
    this.#emit("stream", this.stream);
  }

  #dialog() {
    return {
      callID: this.#callId,
      remote_caller_id_name: "Outbound Call",
      remote_caller_id_number: "",
      caller_id_name: "",
      caller_id_number: "",
      attach: false,
      reattaching: false,
      screenShare: false,
      additionalDevice: false,
      userVariables: {},
      pingSupported: true,
      version: 1000,
    };
  }

  #verto(method, params) {
    return this.#message({ jsonrpc: "2.0", id: uuid(), method, params }, { callID: this.#callId });
  }

  #message(message, envelope = {}) {
    return this.#socket.request("video.message", { message, node_id: this.#nodeId, ...envelope });
  }

  // ---- events -------------------------------------------------------------------------------------

  #receive(type, params, event) {
    if (type === "signalwire.authorization.state") {
      this.#authorizationState = params.authorization_state;
    } else if (type === "webrtc.message") {
      this.#nodeId = event.node_id ?? this.#nodeId;
      this.#verted(params).catch((error) => this.#waiting.answered?.reject(error));
    } else if (type?.startsWith("video.")) {
      this.#happened(type.slice("video.".length), params);
    }
  }

  async #verted({ id, method, params }) {
    if (params?.callID !== this.#callId || !this.#pc) return;
    if (method === "verto.ping") {
      await this.#verto("verto.pong", params);
      return;
    }
    const acked = this.#message({ jsonrpc: "2.0", id, result: { method } });
    acked.catch(() => {}); // a lost ack is the lost socket's affair
    if (method === "verto.bye") {
      const error = new RoomError("hangup", params.cause);
      error.cause = String(params.causeCode ?? "");
      this.#end(error);
    } else if ((method === "verto.answer" || method === "verto.media") && params.sdp) {
      await this.#answered(this.#pc, params.sdp);
    }
    if (method === "verto.answer") this.#waiting.answered?.resolve();
  }

  async #answered(pc, answer) {
    if (pc.signalingState !== "have-local-offer") return;
    const sdp = inOrderOf(pc.localDescription.sdp, answer);
    try {
      await pc.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      throw new RoomError("media", `The browser does not take the hub's answer: ${error.message}`);
    }
    const video = pc.getTransceivers()[KINDS.indexOf("video")];
    if (!["recvonly", "sendrecv"].includes(video.currentDirection)) {
      this.#emit("warning", new RoomError("codec", "Browser and hub have no video format in common."));
    }
  }

  #happened(name, params) {
    const { member } = params;
    if (name === "room.subscribed") {
      if (params.call_id !== this.#callId) return;
      this.session = params.room_session;
      this.memberId = params.member_id;
      this.members = new Map(params.room_session.members.map((one) => [one.id, one]));
      this.#obey(KINDS);
      this.#waiting.subscribed?.resolve();
    } else if (name === "room.updated") {
      Object.assign(this.session, params.room_session);
    } else if (name === "layout.changed") {
      this.layout = params.layout;
    } else if (name === "member.left") {
      this.members.delete(member.id);
    } else if (member?.id && (name === "member.joined" || this.members.has(member.id))) {
      this.members.set(member.id, { ...this.members.get(member.id), ...member });
      if (member.id === this.memberId) {
        this.#obey(KINDS.filter((kind) => member.updated?.includes(`${kind}_muted`)));
      }
    }
    this.#emit(name, params);
    if (member || name === "room.subscribed") this.#emit("members", this.members);
  }
}
