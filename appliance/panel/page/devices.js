// Which camera, microphone and loudspeaker are used, the choice of others, and how loud it is there.

import { $, element, setText } from "./dom.js";
import { bindCard, hear, tell } from "./live.js";

const NAMES = { camera: "Camera", microphone: "Microphone", speaker: "Loudspeaker" };
const SILENCE = -60; // dBFS at the left end of a meter
const WORDS_EVERY = 500; // ms; figures that change faster cannot be read

let told = null; // the device's last word
let inCall = false;
let worded = 0;

const parts = new Map(Object.keys(NAMES).map((kind) => [kind, row(kind)]));

function row(kind) {
  const select = element("select", "choice");
  select.id = `device-${kind}`;
  const label = element("label", "", NAMES[kind]);
  label.htmlFor = select.id;
  const note = element("p", "quiet");
  note.id = `device-${kind}-note`;
  select.setAttribute("aria-describedby", note.id);
  const back = element("button", "act", "Use what the configuration says");
  back.type = "button";
  back.hidden = true;
  back.setAttribute("aria-label", `${NAMES[kind]}: use what the configuration says`);
  const node = element("div", "device");
  node.append(label, select, note, back);
  select.addEventListener("change", () => {
    const { backend, id } = JSON.parse(select.value);
    ask(kind, { kind, backend, device: id });
  });
  back.addEventListener("click", () => ask(kind, { kind, device: null }));
  $("devices").append(node);
  return { select, note, back, node };
}

function ask(kind, choice) {
  const part = parts.get(kind);
  const { select, back, note } = part;
  // What is disabled loses the focus, and gets it back afterwards.
  part.focused = [select, back].find((node) => node === document.activeElement);
  select.disabled = back.disabled = true;
  setText(note, "Changing …");
  tell({ choose: choice });
}

function key(device) {
  return JSON.stringify({ backend: device.backend, id: device.id });
}

function label(device, all) {
  const twice = all.filter((one) => one.label === device.label).length > 1;
  return twice ? `${device.label} (${device.id})` : device.label;
}

function remark(one) {
  if (one.error) return one.error;
  if (key(one.used) !== key(one.wanted)) {
    return `${one.wanted.label} is not there; this one stands in.`;
  }
  if (!one.changed) return "";
  return told.lasting
    ? "Chosen here, above what the configuration says."
    : "Chosen here, until the program ends.";
}

function render() {
  if (told === null) return;
  for (const one of told.kinds) {
    const part = parts.get(one.kind);
    const { select, note, back, focused } = part;
    const options = one.devices.map((device) => new Option(label(device, one.devices), key(device)));
    const fresh = element("select");
    fresh.append(...options);
    if (fresh.innerHTML !== select.innerHTML) select.replaceChildren(...options);
    select.value = key(one.used);
    select.disabled = told.fixed;
    back.disabled = false;
    back.hidden = !one.changed;
    if (focused) (focused === back && !back.hidden ? back : select).focus();
    part.focused = undefined;
    setText(note, told.fixed ? "This device was begun for one call with these devices." : remark(one));
  }
}

// ---- levels -----------------------------------------------------------------------------------

function words(level) {
  if (level === null) return "no sound";
  return level < SILENCE ? "silent" : `${level.toFixed(0)} dBFS`;
}

const MICROPHONE = {
  sent: () => "sent to the room",
  held: () => "heard by this page only: nothing of it is sent",
  closed: () => (inCall ? "the microphone is closed while it is muted" : "the microphone is closed outside a call"),
  failed: () => "the microphone does not work",
};

function show(name, level, state) {
  const meter = $(`level-${name}`);
  meter.value = level === null ? SILENCE : Math.max(SILENCE, level);
  meter.setAttribute("aria-valuetext", words(level));
  meter.classList.toggle("idle", state !== "sent");
}

bindCard("devices", $("devices-card"));
bindCard("levels", $("devices-card"));
hear("state", (s) => { inCall = s !== null && !["idle", "updating"].includes(s.status); });
hear("devices", (news) => {
  told = news;
  render();
});
hear("error", render);
hear("levels", ({ microphone, speaker, microphone_state: state }) => {
  show("microphone", microphone, state);
  show("speaker", speaker, "sent");
  setText($("level-microphone-note"), MICROPHONE[state]());
  const now = performance.now();
  if (now - worded < WORDS_EVERY) return;
  worded = now;
  setText($("level-microphone-value"), words(microphone));
  setText($("level-speaker-value"), words(speaker));
});
