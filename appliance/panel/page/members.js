// Who is in the room.

import { $, element, icon } from "./dom.js";
import { hear } from "./live.js";

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

hear("state", (s) => {
  if (s !== null) renderMembers(s);
});
