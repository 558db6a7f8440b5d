// The picture: an endless answer, so it runs only while someone can see it.

import { $, setText } from "./dom.js";
import { hear } from "./live.js";

const AGAIN = 2000; // ms, and up to as many more, so that pages do not ask in step

let source = "screen";
let heard = false;
let again = 0;

function showPicture() {
  clearTimeout(again);
  const image = $("picture");
  const seen = heard && !document.hidden;
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

hear("state", (s) => {
  if (heard === (s !== null)) return;
  heard = s !== null;
  showPicture();
});
$("show-screen").addEventListener("click", () => choosePicture("screen"));
$("show-self").addEventListener("click", () => choosePicture("self"));
$("picture").addEventListener("error", () => {
  clearTimeout(again);
  again = setTimeout(showPicture, AGAIN * (1 + Math.random()));
});
document.addEventListener("visibilitychange", showPicture);
