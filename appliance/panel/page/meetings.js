// The meeting that is booked.  Its key works the keys of the call: what joins a room is said once.

import { $ } from "./dom.js";
import { hear } from "./live.js";

const HEADS = { next: "Next meeting", soon: "Next meeting", now: "Meeting", ended: "Ended meeting" };

let meeting = {};

hear("state", (state) => {
  meeting = state?.meeting ?? {};
  $("meeting").hidden = !meeting.title;
  if (!meeting.title) return;
  $("meeting-title").textContent = HEADS[meeting.when] ?? HEADS.next;
  const where = meeting.room ? `, in ${meeting.room}` : "";
  $("meeting-text").textContent = `${meeting.at} to ${meeting.until}: ${meeting.title}${where}`;
  const there = state.room === meeting.room || (!meeting.room && !state.visiting);
  const joined = there && ["joining", "in_room", "reconnecting"].includes(state.status);
  $("meeting-join").hidden = !meeting.join || meeting.when === "next" || joined;
});

$("meeting-join").addEventListener("click", () => {
  if (meeting.join === "visit") {
    $("invitation").value = meeting.room;
    $("visit").requestSubmit();
  } else {
    $("home").click();
  }
});
