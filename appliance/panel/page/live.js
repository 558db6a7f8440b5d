// The live socket: what the device says, and what is said to it.
// `hear` tells a part of the page of each piece of news of one kind; the state is null while the
// device cannot be heard.

const BEAT_LIMIT = 6000; // ms without any message after which the last state counts for nothing
const RETRY = 1500; // ms, give or take half of it, so that pages do not come back in step

const news = new EventTarget();
const cards = new Map(); // of each card the parts of the page that show its news
let offered = new Set();
let socket = null;
let silence = 0;
let hearing = false;

export function hear(kind, handler) {
  news.addEventListener(kind, (event) => handler(event.detail));
}

function spread(kind, detail) {
  news.dispatchEvent(new CustomEvent(kind, { detail }));
}

// Each begins an act of the person at the page, except a release, which ends one.
export function tell(command) {
  if (!hearing || socket?.readyState !== WebSocket.OPEN) return;
  if (!("release" in command)) spread("act", command);
  socket.send(JSON.stringify(command));
}

export function connect() {
  const url = new URL("api/live", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(url);
  socket = mine;
  mine.onmessage = (message) => {
    if (mine !== socket) return;
    listenOn();
    for (const [kind, detail] of Object.entries(JSON.parse(message.data))) {
      if (kind === "state") hearing = true;
      if (kind === "cards") offer(detail);
      spread(kind, detail);
      if (kind === "cards") askForCards();
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
  hearing = false;
  offered = new Set();
  spread("state", null);
  setTimeout(connect, RETRY * (0.5 + Math.random()));
}

// ---- cards: a card's news come only while somebody looks at it -----------------------------------

function offer(names) {
  offered = new Set(names);
  for (const part of document.querySelectorAll("[data-card]")) {
    part.hidden = !offered.has(part.dataset.card);
  }
}

function seen(name) {
  return !document.hidden && cards.get(name).some((details) => details.open);
}

function ask(name, wanted) {
  if (!offered.has(name) || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify(wanted ? { show: name } : { hide: name }));
}

function askForCards() {
  for (const name of cards.keys()) if (seen(name)) ask(name, true);
}

// The same card may be bound to several parts of the page.
export function bindCard(name, details) {
  cards.set(name, [...(cards.get(name) ?? []), details]);
  details.addEventListener("toggle", () => ask(name, seen(name)));
}

document.addEventListener("visibilitychange", () => {
  for (const name of cards.keys()) ask(name, seen(name));
});
