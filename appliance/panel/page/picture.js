// The picture: an endless answer, so it runs only while someone can see it.

import { $, setText } from "./dom.js";
import { hear } from "./live.js";

let source = "screen";
let heard = false;

function showPicture() {
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
document.addEventListener("visibilitychange", showPicture);
