// The configuration in force, each value with its source; and the program begun anew.

import { $, element, setText } from "./dom.js";
import { bindCard, hear, tell } from "./live.js";

const WANTED = {
  all: () => true,
  set: (one) => one.source !== "built-in",
  here: (one) => one.here,
};

let told = null; // the device's last word
let others = 0; // in the call, beside this device

function row(one) {
  const node = element("div", one.here ? "here" : "");
  const value = element("dd", "");
  value.append(element("code", "", one.value), element("span", "quiet", one.source));
  node.append(element("dt", "", one.key), value);
  return node;
}

function takeBack(key) {
  const node = element("li", "");
  const button = element("button", "act", "Take back");
  button.type = "button";
  button.setAttribute("aria-label", `Take back: ${key}`);
  button.addEventListener("click", () => {
    for (const one of $("changes").querySelectorAll("button")) one.disabled = true;
    tell({ withdraw: key });
  });
  node.append(element("code", "", key), button);
  return node;
}

function render() {
  if (told === null) return;
  const wanted = WANTED[$("config-show").value];
  const nodes = [];
  for (const [section, values] of grouped(told.values)) {
    const rows = values.filter(wanted).map(row);
    if (rows.length === 0) continue;
    const list = element("dl", "values");
    list.append(...rows);
    nodes.push(element("h3", "", section), list);
  }
  if (nodes.length === 0) nodes.push(element("p", "quiet", "Nothing of that kind."));
  $("config").replaceChildren(...nodes);
  $("changes-part").hidden = told.changes.length === 0;
  $("changes").replaceChildren(...told.changes.map(takeBack));
  renderRestart();
}

function grouped(values) {
  const sections = new Map();
  for (const one of values) {
    if (!sections.has(one.section)) sections.set(one.section, []);
    sections.get(one.section).push(one);
  }
  return sections;
}

// ---- restart: asked once, then done --------------------------------------------------------------

function renderRestart() {
  const hindrance = told === null ? "" : told.hindrance;
  $("restart").disabled = told === null || hindrance !== "";
  setText($("restart-note"), hindrance);
}

function question() {
  if (others === 0) return "The device is away for some seconds. Begin the program anew?";
  const who = others === 1 ? "Somebody else is" : `${others} others are`;
  return `${who} in the call, and will neither see nor hear this room for some seconds. Begin the program anew?`;
}

function askRestart(asking) {
  $("restart-sure").hidden = !asking;
  $("restart").hidden = asking;
  setText($("restart-question"), asking ? question() : "");
  $(asking ? "restart-no" : "restart").focus();
}

bindCard("config", $("config-card"));
bindCard("config", $("service-card"));
$("config-show").addEventListener("change", render);
$("restart").addEventListener("click", () => askRestart(true));
$("restart-no").addEventListener("click", () => askRestart(false));
$("restart-yes").addEventListener("click", () => {
  tell({ restart: { sure: others > 0 } });
  askRestart(false);
});
hear("config", (news) => {
  told = news;
  render();
});
hear("error", render);
hear("state", (s) => {
  others = s === null ? 0 : s.members.filter((one) => one.id !== s.member_id).length;
  if (s === null) {
    told = null;
    renderRestart();
  }
});
