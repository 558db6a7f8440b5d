// Figures of the device under their own names.

import { $, element } from "./dom.js";
import { hear } from "./live.js";

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

hear("state", (s) => {
  if (s !== null) renderStats(s);
});
