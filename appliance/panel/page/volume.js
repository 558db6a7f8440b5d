// Loudspeaker volume, and the layout where this device may choose it.

import { $, setText } from "./dom.js";
import { hear, tell } from "./live.js";

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

let state = null;

hear("state", (s) => {
  state = s;
  $("volume").disabled = s === null;
  $("layout").disabled = s === null;
  if (s === null) return;
  renderVolume(s);
  renderLayouts(s);
});
hear("error", () => {
  if (state !== null) renderLayouts(state); // puts a refused layout back
});
$("volume").addEventListener("input", () => {
  setText($("volume-value"), $("volume").value);
  tell({ volume: Number($("volume").value) });
});
$("layout").addEventListener("change", () => tell({ layout: $("layout").value }));
