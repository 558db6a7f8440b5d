// The last lines of the device's log, and each new one.

import { $, element, setText } from "./dom.js";
import { bindCard, hear } from "./live.js";

const KEPT = 500; // lines on the page
const LEVELS = ["debug", "info", "warning", "error"];

let last = 0;

function rank(level) {
  const found = LEVELS.indexOf(level);
  return found < 0 ? LEVELS.length - 1 : found; // critical, and what nobody knows
}

function row(line) {
  const node = element("div", `line ${LEVELS[rank(line.level)]}`);
  const at = new Date(line.time * 1000);
  const time = element("time", "", at.toLocaleTimeString([], { hour12: false }));
  time.dateTime = at.toISOString();
  time.title = `${at.toLocaleString()}, ${line.logger}`;
  node.append(time, " ", element("b", "", line.level), " ", element("span", "", line.text));
  node.dataset.rank = rank(line.level);
  return node;
}

function filter() {
  const least = Number($("log-level").value);
  let shown = 0;
  for (const node of $("log").children) {
    node.hidden = Number(node.dataset.rank) < least;
    if (!node.hidden) shown += 1;
  }
  const count = $("log").children.length;
  const hidden = count - shown;
  setText($("log-note"), hidden ? `${shown} of ${count} lines.` : `${count} lines.`);
}

bindCard("log", $("log-card"));
$("log-level").addEventListener("change", filter);

// Another socket may lead to another run of the device, whose lines are counted anew.
hear("cards", () => {
  last = 0;
  $("log").setAttribute("aria-live", "off");
  $("log").replaceChildren();
});

hear("log", ({ lines, missed }) => {
  const list = $("log");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
  const fresh = lines.filter((line) => line.number > last);
  if (missed && fresh.length === lines.length) {
    const gap = element("div", "line gap", `${missed} lines are missing here: too many at once`);
    gap.dataset.rank = LEVELS.length;
    list.append(gap);
  }
  list.append(...fresh.map(row));
  last = Math.max(last, ...fresh.map((line) => line.number));
  while (list.children.length > KEPT) list.firstChild.remove();
  filter();
  if (atEnd) list.scrollTop = list.scrollHeight;
  // What was there before is not read out.
  setTimeout(() => list.setAttribute("aria-live", "polite"), 0);
});
