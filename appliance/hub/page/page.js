// The hub's page: shows a room to whoever opens it, and lets them in as a guest.

import { canPlay, openTracks } from "./media.js";
import { Room, RoomError } from "./roomlet.js";

const $ = (id) => document.getElementById(id);
const KINDS = ["audio", "video"];
const NAMES = { audio: "microphone", video: "camera" };
const RETRY = [2000, 4000]; // ms between attempts to reach a hub that does not answer

let current = null; // the Room that is shown
let visit = 0; // counts what the visitor asked for, so that late answers to older wishes are dropped
let retryTimer = 0;

const roomName = () =>
  new URLSearchParams(location.search).get("room") || decodeURIComponent(location.hash.slice(1));

// ---- words ------------------------------------------------------------------------------------------

const HANGUPS = {
  16: ["You are no longer in the room.", "Someone removed you, or the room was closed."],
  21: ["The room does not let you in.", "It is locked or full. Try again later."],
  88: ["This browser and the hub have no sound or video format in common.", "Use a current browser."],
  102: ["Sound and picture were lost for too long.", "Check the network, then try again."],
};

// What happened and what to do now.
function explain(error) {
  switch (error.code) {
    case "room_not_open":
      return ["This room is not open to guests.", "Ask its host to open it, or choose another room."];
    case "codec":
      return [error.message, "Use a current Chrome, Edge, Firefox or Safari."];
    case "lost":
    case "timeout":
      return ["The hub does not answer.", "Trying again by itself."];
    case "hangup":
      return HANGUPS[error.cause] ?? ["The hub ended the call.", error.message];
    case "404":
      return ["There is no such room.", "Check the address."];
    case "403":
      return ["The hub does not allow this.", error.message];
    case "-32002":
      return ["The hub does not accept this visit any more.", "Try again to get a new pass."];
    default:
      return ["Something went wrong.", error.message || String(error)];
  }
}

function explainDevice(kind, error) {
  const thing = NAMES[kind];
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `The browser may not use your ${thing}. Allow it beside the page's address, then switch it on.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `There is no ${thing} that can be used. Plug one in, then switch it on.`;
    case "NotReadableError":
    case "AbortError":
      return `Your ${thing} is in use by another program. Close that, then switch it on.`;
    case "NotSupportedError":
      return `Browsers give the ${thing} to https pages and localhost only. Open this page that way.`;
    default:
      return `Your ${thing} cannot be used: ${error.message}`;
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function say(state, text) {
  $("state").dataset.state = state;
  setText($("state-text"), text);
}

function cover(text, next = "", again = false) {
  $("cover").hidden = !text;
  setText($("cover-text"), text);
  setText($("cover-next"), next);
  $("again").hidden = !again;
}

function notice(text) {
  $("notice").hidden = !text;
  setText($("notice"), text);
}

// ---- coming and going -------------------------------------------------------------------------------

async function pass(name, audience) {
  let answer;
  try {
    answer = await fetch(`guest/${encodeURIComponent(roomName())}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name, audience }),
    });
  } catch {
    throw new RoomError("lost", "The hub does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body.token;
  if (answer.status >= 500) throw new RoomError("lost", "The hub does not answer.");
  const { code = answer.status, message } = body.errors?.[0] ?? {};
  throw new RoomError(code, message);
}

function signalingUrl() {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url.href;
}

const NO_ROOM = new Set(["room_not_open", "404"]); // what the page can show nothing of

// Shows the room as one of the audience, and goes on trying while the hub does not answer.
async function watch({ again = false } = {}) {
  const mine = ++visit;
  clearTimeout(retryTimer);
  swap(null);
  showForms(true);
  if (!again) {
    say("connecting", "Connecting.");
    cover("Connecting to the room.");
  }
  try {
    if (!canPlay()) throw new RoomError("codec", "This browser plays neither H.264 nor VP8 video.");
    const room = follow(new Room({ url: signalingUrl(), token: await pass("", true) }));
    if (mine !== visit) return;
    swap(room);
    await room.join();
  } catch (error) {
    if (mine !== visit) return;
    swap(null);
    closed(error);
    if (error.code !== "lost" && error.code !== "timeout") return;
    const [least, most] = RETRY;
    $("state").dataset.state = "connecting";
    $("again").hidden = true;
    retryTimer = setTimeout(watch, least + (most - least) * Math.random(), { again: true });
  }
}

// Takes part with what camera and microphone there are; what was shown stays until that works.
async function join(name, kinds) {
  const mine = ++visit;
  clearTimeout(retryTimer);
  notice("");
  $("join-button").disabled = true;
  const { tracks, failures } = await openTracks(kinds);
  let room = null;
  try {
    room = follow(new Room({ url: signalingUrl(), token: await pass(name, false), tracks }));
    if (mine !== visit) throw new RoomError("hangup", "");
    await room.join();
    if (mine !== visit) throw new RoomError("hangup", "");
    notice(failures.map(({ kind, error }) => explainDevice(kind, error)).join(" "));
    swap(room);
    shown(room);
    showForms(false);
    sound(true);
    $("mute-audio").focus();
    await offerLayouts(room);
  } catch (error) {
    if (room !== null && room !== current) room.leave();
    for (const track of Object.values(tracks)) track?.stop();
    if (mine !== visit) return;
    notice(explain(error).join(" "));
    if (current === null) watch();
  } finally {
    $("join-button").disabled = false;
  }
}

function leave() {
  notice("");
  watch().then(() => $("guest-name").focus());
}

function swap(room) {
  const old = current;
  current = room;
  if (old !== null && old !== room) old.leave();
  if (room === null) $("canvas").srcObject = null;
  renderMembers();
}

// Hears all that a room tells, as long as it is the one that is shown.
function follow(room) {
  const on = (name, heard) =>
    room.addEventListener(name, (event) => { if (room === current) heard(event.detail); });
  let wasLive = false; // a room that never was is the affair of who tried to join
  room.addEventListener("state", ({ detail }) => { wasLive ||= detail.state === "live"; });
  on("state", ({ state, error }) => {
    if (state === "live") {
      shown(room);
    } else if (state === "reconnecting") {
      say("reconnecting", `Reconnecting. ${error.message}`);
      cover("Reconnecting.", `${error.message} Trying again by itself.`);
    } else if (state === "closed" && wasLive) {
      swap(null);
      showForms(true);
      // A pass that ran out is no reason to bother who only looks on.
      if (error?.code === "-32002") watch();
      else if (error) closed(error);
    }
  });
  on("stream", (stream) => show(stream));
  on("members", renderMembers);
  on("layout.changed", () => renderLayout(room));
  room.addEventListener("warning", ({ detail }) => notice(explain(detail).join(" ")));
  return room;
}

function closed(error) {
  const [what, next] = explain(error);
  cover(what, next, true);
  if (NO_ROOM.has(String(error.code))) {
    say("closed", "Not in a room.");
    showChoice();
  } else {
    say("closed", `${what} ${next}`);
  }
}

function shown(room) {
  cover("");
  if ($("canvas").srcObject !== room.stream) show(room.stream);
  say("live", room.me ? `Live. You are in the room as ${room.me.name}.` : "Live. You are watching.");
  renderMembers();
}

function show(stream) {
  const video = $("canvas");
  video.srcObject = stream;
  $("sound").hidden = false;
  // With sound it may play only once the visitor has touched the page.
  video.play().catch(() => { sound(false); });
}

function sound(on) {
  const video = $("canvas");
  video.muted = !on;
  $("sound").querySelector("use").setAttribute("href", on ? "#i-sound" : "#i-sound-off");
  $("sound").classList.toggle("primary", !on);
  setText($("sound").querySelector("span"), on ? "Turn sound off" : "Turn sound on");
  if (on) video.play().catch(() => { if (!video.muted) sound(false); });
}

// ---- what is shown ------------------------------------------------------------------------------------

function showForms(watching) {
  $("join").hidden = !watching;
  $("call").hidden = watching;
  $("pick").hidden = true;
  withPanels(true);
}

// Without a room there is none to join, and no device in it.
function showChoice() {
  $("join").hidden = $("call").hidden = true;
  $("pick").hidden = false;
  withPanels(false);
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", name);
  svg.append(use);
  return svg;
}

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function mark(name, words) {
  const box = element("span", "");
  box.append(icon(name), element("span", "hidden-text", words));
  return box;
}

// A row is made once and then only changed, so that a button in it keeps the focus.
function makeRow(id) {
  const row = element("li", "");
  const parts = {
    who: element("span", "who"),
    talking: element("span", "talking", "talking"),
    mute: element("button", "", "Mute"),
    audio: mark("#i-mic-off", "microphone muted"),
    video: mark("#i-cam-off", "camera off"),
  };
  parts.mute.type = "button";
  parts.mute.addEventListener("click", () => {
    current?.request("video.member.audio_mute", { member_id: id })
      .catch((error) => notice(explain(error).join(" ")));
  });
  row.append(...Object.values(parts));
  return Object.assign(row, { parts, memberId: id });
}

function describe(member) {
  const owner = current.members.get(member.parent_id)?.name;
  const name = member.name || "No name";
  if (member.type === "screen") return `Screen of ${owner ?? name}`;
  if (member.type === "device" && owner) return `${name} (device of ${owner})`;
  return member.id === current.memberId ? `${name} (you)` : name;
}

function renderMembers() {
  const list = $("members");
  const members = [...(current?.members.values() ?? [])].filter((one) => one.type !== "audience");
  setText($("count"), members.length ? `(${members.length})` : "");
  const rows = new Map([...list.children].map((row) => [row.memberId, row]));
  const wanted = members.map((member) => {
    const row = rows.get(member.id) ?? makeRow(member.id);
    const { who, talking, mute, audio, video } = row.parts;
    setText(who, describe(member));
    talking.hidden = !member.talking;
    audio.hidden = !member.audio_muted;
    video.hidden = !member.video_muted;
    const other = member.id !== current.memberId && member.parent_id !== current.memberId;
    mute.hidden = member.audio_muted || !other || !current.may("room.member.audio_mute");
    mute.setAttribute("aria-label", `Mute ${describe(member)}`);
    return row;
  });
  if (wanted.length === 0) wanted.push(element("li", "nobody", current ? "Nobody is here yet." : "Not known."));
  const same = wanted.every((row, at) => row === list.children[at]);
  if (!same || wanted.length !== list.children.length) list.replaceChildren(...wanted);
  renderButtons();
}

function renderButtons() {
  const me = current?.me;
  for (const kind of KINDS) {
    const button = $(`mute-${kind}`);
    const muted = me?.[`${kind}_muted`] ?? false;
    const [close, open] = kind === "audio" ? ["Mute", "Unmute"] : ["Turn camera off", "Turn camera on"];
    setText(button.querySelector("span"), muted ? open : close);
    const image = kind === "audio" ? "#i-mic" : "#i-cam";
    button.querySelector("use").setAttribute("href", muted ? `${image}-off` : image);
    button.classList.toggle("closed", muted);
  }
}

async function offerLayouts(room) {
  $("layout-box").hidden = true;
  if (!room.may("room.set_layout") || !room.may("room.list_available_layouts")) return;
  const { layouts } = await room.request("video.list_available_layouts");
  if (room !== current) return;
  $("layout").replaceChildren(...layouts.map((name) => new Option(name, name)));
  $("layout-box").hidden = false;
  renderLayout(room);
}

function renderLayout(room) {
  $("layout").value = room.layout?.name ?? room.session.layout_name;
}

async function toggle(kind) {
  const room = current;
  if (!room?.me) return;
  const button = $(`mute-${kind}`);
  button.disabled = true;
  try {
    await room.setMuted(kind, !room.me[`${kind}_muted`]);
    notice("");
  } catch (error) {
    notice(error instanceof DOMException ? explainDevice(kind, error) : explain(error).join(" "));
  } finally {
    button.disabled = false;
    renderMembers();
    button.focus();
  }
}

// ---- the demo's panels beside the room ---------------------------------------------------------------

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

let hasRoom = false;

function withPanels(wanted) {
  hasRoom = wanted;
  const shown = hasRoom && $("panels").childElementCount > 0;
  $("panels").hidden = !shown;
  document.querySelector("main").classList.toggle("demo", shown);
}

async function showPanels() {
  const answer = await fetch("demo.json").catch(() => null);
  if (!answer?.ok) return;
  const { panels } = await answer.json();
  $("panels").replaceChildren(...panels.map(({ name, url }) => {
    const card = element("section", "card panel");
    card.append(element("h2", "", `Panel of ${name}`));
    card.setAttribute("aria-label", `Panel of ${name}`);
    const host = new URL(url).hostname;
    if (LOOPBACK.test(host) && !LOOPBACK.test(location.hostname)) {
      // It is served to its own machine only, which this browser does not run on.
      card.append(element("p", "", `Open ${url} on the machine that runs the demo.`));
      return card;
    }
    const frame = document.createElement("iframe");
    frame.title = `Panel of ${name}`;
    frame.src = url;
    card.append(frame);
    return card;
  }));
  withPanels(hasRoom);
}

// ---- beginning ----------------------------------------------------------------------------------------

function begin() {
  const name = roomName();
  setText($("room-name"), name);
  document.title = name ? `${name} · Roomlet` : "Roomlet";
  notice("");
  if (name) {
    watch();
    return;
  }
  visit += 1;
  swap(null);
  showChoice();
  say("none", "No room is chosen.");
  cover("Which room?", "Give its name below.");
}

$("pick").addEventListener("submit", (event) => {
  event.preventDefault();
  location.search = new URLSearchParams({ room: $("pick-room").value });
});
$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  join($("guest-name").value.trim() || "Guest", KINDS.filter((kind) => $(`with-${kind}`).checked));
});
$("again").addEventListener("click", () => watch());
$("sound").addEventListener("click", () => sound($("canvas").muted));
$("leave").addEventListener("click", leave);
for (const kind of KINDS) $(`mute-${kind}`).addEventListener("click", () => toggle(kind));
$("layout").addEventListener("change", () => {
  const room = current;
  room?.request("video.set_layout", { name: $("layout").value }).catch((error) => {
    notice(explain(error).join(" "));
    renderLayout(room);
  });
});
addEventListener("hashchange", begin);
addEventListener("pagehide", () => current?.leave());
addEventListener("pageshow", (event) => { if (event.persisted) begin(); });

showPanels();
begin();
