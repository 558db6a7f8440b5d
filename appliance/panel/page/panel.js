// The device's panel: shows the device's own state and presses its buttons.
// Nothing here decides anything: a press goes to the device, and what the device then says is shown.

const BEAT_LIMIT = 6000; // ms without any message after which the last state counts for nothing
const RETRY = 1500;

const $ = (id) => document.getElementById(id);

const LED = {
  live: { text: "LIVE", icon: "#i-mic" },
  muted: { text: "MUTED", icon: "#i-mic-off" },
  off: { text: "NOT IN A CALL", icon: "#i-off" },
  fault: { text: "FAULT", icon: "#i-fault" },
  unknown: { text: "NO CONTACT", icon: "#i-fault" },
};

const CLOSERS = {
  start: "the device, until it knows its state",
  room: "a person in this room",
  latch: "the switch on the device",
  cover: "the privacy cover of the device",
  software: "software on the device",
  remote: "a moderator",
  watchdog: "the device's own safety check",
  lease: "the device's own safety check",
  unplugged: "the device, which has none",
};

const STATUS = {
  starting: () => "Starting.",
  idle: () => "Not in a room.",
  joining: (s) => `Joining room ${s.room}.`,
  in_room: (s) => `In room ${s.room}.`,
  reconnecting: (s) => `Reconnecting to room ${s.room}.`,
  updating: () => "Updating: no call until that is over.",
  fault: () => "Fault.",
};

let socket = null;
let state = null; // the device's last word, null while it cannot be heard
let silence = 0;
let refusalTimer = 0;

// ---- the live socket ------------------------------------------------------------------------

function connect() {
  const url = new URL("api/live", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(url);
  socket = mine;
  mine.onmessage = (message) => {
    if (mine !== socket) return;
    listenOn();
    const news = JSON.parse(message.data);
    if (news.state) {
      const first = state === null;
      state = news.state;
      render();
      if (first) showPicture();
    } else if (news.error) {
      refuse(news.error);
    }
  };
  mine.onclose = () => {
    if (mine === socket) lost();
  };
  listenOn();
}

function listenOn() {
  clearTimeout(silence);
  silence = setTimeout(lost, BEAT_LIMIT);
}

function lost() {
  clearTimeout(silence);
  const dead = socket;
  socket = null;
  dead?.close();
  state = null;
  render();
  showPicture();
  setTimeout(connect, RETRY);
}

function tell(command) {
  if (state !== null && socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
}

// ---- keys: down and up, as on the device ------------------------------------------------------

function bindKey(key, name) {
  let down = false;
  let released = -Infinity;
  const press = () => {
    if (down || key.disabled) return;
    down = true;
    key.classList.add("down");
    tell({ press: name });
  };
  const release = () => {
    if (!down) return;
    down = false;
    released = performance.now();
    key.classList.remove("down");
    tell({ release: name });
  };
  const isKey = (event) => event.key === " " || event.key === "Enter";
  key.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    key.setPointerCapture(event.pointerId);
    press();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    key.addEventListener(end, release);
  }
  key.addEventListener("keydown", (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  key.addEventListener("keyup", (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    release();
  });
  // Assistive technology clicks without any finger or key.
  key.addEventListener("click", () => {
    if (down || performance.now() - released < 400) return;
    press();
    release();
  });
  key.addEventListener("contextmenu", (event) => event.preventDefault());
}

// ---- what is shown ----------------------------------------------------------------------------

function sentence(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function why(s) {
  if (s === null) return "The device does not answer. Its own LED tells the truth; this page does not.";
  const closers = sentence(s.closers.map((party) => CLOSERS[party] ?? party));
  switch (s.tally) {
    case "live": return "Sound leaves this room.";
    case "muted": return `No sound leaves this room. Closed by ${closers || "the device"}.`;
    case "fault": return "The device cannot vouch for its microphone. Act as if it were live.";
    default: return "Nothing leaves this room.";
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function icon(name, className = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon ${className}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", name);
  svg.append(use);
  return svg;
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function render() {
  dispatchEvent(new CustomEvent("device-state", { detail: state }));
  const s = state;
  const tally = s === null ? "unknown" : s.tally;
  $("led").dataset.tally = tally;
  setText($("led-text"), LED[tally].text);
  setText($("led-why"), why(s));
  $("led-icon").setAttribute("href", LED[tally].icon);
  renderKey($("mute"), s, s?.mic_open, "microphone", "#i-mic");
  renderKey($("camera"), s, s?.camera_open, "camera", "#i-cam");
  $("volume").disabled = s === null;
  $("layout").disabled = s === null;
  renderCall(s);
  if (s === null) {
    setText($("status"), "Trying again by itself.");
    return;
  }
  document.title = `${LED[tally].text} · ${s.name}`;
  setText($("name"), s.name);
  setText($("where"), s.room ? `room ${s.room} on ${s.hub}` : s.hub);
  const status = (STATUS[s.status] ?? (() => s.status))(s);
  setText($("status"), s.status_reason ? `${status} ${s.status_reason}` : status);
  renderVolume(s);
  renderLayouts(s);
  renderMembers(s);
  renderErrors(s);
  renderStats(s);
}

function renderKey(key, s, open, thing, image) {
  key.disabled = s === null;
  if (s === null) key.classList.remove("down");
  key.querySelector("use").setAttribute("href", open === false ? `${image}-off` : image);
  // Everywhere: the icon is what is now, the words are what the key does.
  const [close, free] = thing === "camera" ? ["Turn camera off", "Turn camera on"] : ["Mute", "Unmute"];
  const covered = thing === "camera" && s !== null && s.camera_closers.includes("cover");
  const words = covered ? "Camera covered" : open === false ? free : close;
  setText(key.querySelector("span"), words);
  // The visible words come first, so that a voice command finds the key by them.
  key.setAttribute("aria-label", thing === "camera" ? words : `${words} microphone`);
}

// Outside a call, and on a visit, the own room is one key away.
function renderCall(s) {
  const outside = s === null || s.status === "idle" || s.status === "updating";
  $("home").disabled = s === null || !(outside || s.visiting);
  setText($("home"), s?.visiting ? "Back to our room" : "Join our room");
  $("hang-up").disabled = outside;
  $("invitation").disabled = $("visit-go").disabled = s === null;
}

function visit(event) {
  event.preventDefault();
  const invitation = $("invitation").value.trim();
  if (!invitation) {
    $("invitation").focus();
    return;
  }
  $("invitation").value = ""; // it may hold a token
  tell({ visit: invitation });
}

function renderVolume(s) {
  if (document.activeElement !== $("volume")) $("volume").value = s.volume;
  setText($("volume-value"), String(s.volume));
}

function renderLayouts(s) {
  const names = s.layouts.includes(s.layout) || !s.layout ? s.layouts : [s.layout, ...s.layouts];
  for (const node of document.querySelectorAll(".layout-row")) node.hidden = s.layouts.length === 0;
  const select = $("layout");
  if ([...select.options].map((option) => option.value).join() !== names.join()) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  }
  select.value = s.layout;
}

function renderMembers(s) {
  const rows = s.members.map((member) => {
    const row = element("li");
    const own = member.id === s.member_id ? " (this device)" : "";
    row.append(element("span", "who", `${member.name || "No name"}${own}`));
    if (member.talking) row.append(element("span", "talking", "talking"));
    if (member.audio_muted) {
      row.append(icon("#i-mic-off", "off"), element("span", "hidden-text", "microphone muted"));
    }
    if (member.video_muted) {
      row.append(icon("#i-cam-off", "off"), element("span", "hidden-text", "camera off"));
    }
    return row;
  });
  if (rows.length === 0) rows.push(element("li", "quiet", "Nobody is in the room."));
  const list = $("members");
  const fresh = document.createElement("ul");
  fresh.append(...rows);
  if (fresh.innerHTML !== list.innerHTML) list.replaceChildren(...fresh.children);
}

function renderErrors(s) {
  $("errors").hidden = s.errors.length === 0;
  $("errors").replaceChildren(...s.errors.map((text) => element("li", "", text)));
}

function renderStats(s) {
  const figures = [["Canvas", `${s.canvas_fps.toFixed(1)} pictures/s`]];
  if (s.joined_ms !== null) figures.push(["Joined in", `${Math.round(s.joined_ms)} ms`]);
  for (const [name, value] of Object.entries(s.stats)) {
    const shown = typeof value === "number" && !Number.isInteger(value) ? value.toFixed(1) : value;
    figures.push([name.replaceAll("_", " "), String(shown)]);
  }
  $("stats").replaceChildren(
    ...figures.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]),
  );
}

function refuse(text) {
  $("refusal").hidden = false;
  setText($("refusal"), text);
  clearTimeout(refusalTimer);
  refusalTimer = setTimeout(() => { $("refusal").hidden = true; }, 8000);
  if (state !== null) render(); // puts a refused layout back
}

// ---- the picture: an endless answer, so it runs only while someone can see it ----------------------

let source = "screen";

function showPicture() {
  const image = $("picture");
  const seen = state !== null && !document.hidden;
  image.classList.toggle("dark", !seen);
  if (!seen) image.removeAttribute("src");
  else image.src = `${source}.mjpg?${Date.now()}`;
}

function choosePicture(name) {
  source = name;
  $("show-screen").setAttribute("aria-pressed", String(name === "screen"));
  $("show-self").setAttribute("aria-pressed", String(name === "self"));
  setText($("picture-title"), name === "screen" ? "Screen" : "Own camera");
  $("picture").alt = name === "screen" ? "What the device's screen shows" : "What the device's camera sends";
  showPicture();
}

bindKey($("mute"), "mute");
bindKey($("camera"), "camera");
bindKey($("hang-up"), "hang_up");
$("home").addEventListener("click", () => tell({ home: true }));
$("visit").addEventListener("submit", visit);
$("volume").addEventListener("input", () => {
  setText($("volume-value"), $("volume").value);
  tell({ volume: Number($("volume").value) });
});
$("layout").addEventListener("change", () => tell({ layout: $("layout").value }));
$("show-screen").addEventListener("click", () => choosePicture("screen"));
$("show-self").addEventListener("click", () => choosePicture("self"));
document.addEventListener("visibilitychange", showPicture);

connect();
