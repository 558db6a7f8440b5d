// The call: into the own room, into another one, and out.

import { $, setText } from "./dom.js";
import { bindKey } from "./light.js";
import { hear, tell } from "./live.js";

// Outside a call, and on a visit, the own room is one key away.
function renderCall(s) {
  const outside = s === null || s.status === "idle" || s.status === "updating";
  $("home").disabled = s === null || !(outside || s.visiting);
  setText($("home"), s?.visiting ? "Back to our room" : "Join our room");
  $("hang-up").disabled = outside;
  $("invitation").disabled = $("visit-go").disabled = s === null;
}

function visit(event) {
  event.preventDefault();
  const invitation = $("invitation").value.trim();
  if (!invitation) {
    $("invitation").focus();
    return;
  }
  $("invitation").value = ""; // it may hold a token
  tell({ visit: invitation });
}

hear("state", renderCall);
bindKey($("hang-up"), "hang_up");
$("home").addEventListener("click", () => tell({ home: true }));
$("visit").addEventListener("submit", visit);
