// The light and the two keys under it: down and up, as on the device.

import { $, setText } from "./dom.js";
import { hear, tell } from "./live.js";

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
  config: "the device at its start, as configured",
  latch: "the switch on the device",
  cover: "the privacy cover of the device",
  software: "software on the device",
  remote: "a moderator",
  watchdog: "the device's own safety check",
  lease: "the device's own safety check",
  unplugged: "the device, which has none",
};

export function bindKey(key, name) {
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

function sentence(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function why(s) {
  if (s === null) return "The device does not answer. Its own LED tells the truth; this page does not.";
  const closers = sentence(s.closers.map((party) => CLOSERS[party] ?? party));
  switch (s.tally) {
    case "live":
      // The light tells of the gate: nobody can say for sure that nothing gets through.
      return s.status === "reconnecting"
        ? "The microphone is open, but the room is not connected."
        : "Sound leaves this room.";
    case "muted": return `No sound leaves this room. Closed by ${closers || "the device"}.`;
    case "fault": return "The device cannot vouch for its microphone. Act as if it were live.";
    default: return "Nothing leaves this room.";
  }
}

// Where a press opens nothing: what holds the camera, for the faults under the keys say why.
function heldWords(s, thing) {
  if (s === null || thing !== "camera") return null;
  if (s.camera_closers.includes("cover")) return "Camera covered";
  return s.camera_closers.includes("watchdog") ? "Camera held closed" : null;
}

// Before a call nothing is open, and a press means what opens with it.
const opensByItself = (closers) => closers.length === 1 && closers[0] === "start";

function renderKey(key, s, open, thing, image) {
  key.disabled = s === null;
  if (s === null) key.classList.remove("down");
  key.querySelector("use").setAttribute("href", open === false ? `${image}-off` : image);
  // Everywhere: the icon is what is now, the words are what the key does.
  const [close, free] = thing === "camera" ? ["Turn camera off", "Turn camera on"] : ["Mute", "Unmute"];
  const joins = thing !== "camera" && s?.press_joins === true;
  const closers = (thing === "camera" ? s?.camera_closers : s?.closers) ?? [];
  const closed = open === false && !opensByItself(closers);
  const words = joins ? "Join" : heldWords(s, thing) ?? (closed ? free : close);
  setText(key.querySelector("span"), words);
  // The visible words come first, so that a voice command finds the key by them.
  const object = thing === "camera" ? "" : joins ? " the call" : " microphone";
  key.setAttribute("aria-label", words + object);
}

hear("state", (s) => {
  const tally = s === null ? "unknown" : s.tally;
  $("led").dataset.tally = tally;
  setText($("led-text"), LED[tally].text);
  setText($("led-why"), why(s));
  $("led-icon").setAttribute("href", LED[tally].icon);
  renderKey($("mute"), s, s?.mic_open, "microphone", "#i-mic");
  renderKey($("camera"), s, s?.camera_open, "camera", "#i-cam");
  if (s !== null) document.title = `${LED[tally].text} · ${s.name}`;
});

bindKey($("mute"), "mute");
bindKey($("camera"), "camera");
