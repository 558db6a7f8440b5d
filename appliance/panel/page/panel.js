// The device's panel: shows the device's own state and presses its buttons.
// Nothing here decides anything: a press goes to the device, and what the device then says is shown.
// Each part of the page is a module; here is what belongs to none.

import "./call.js";
import "./config.js";
import "./devices.js";
import "./figures.js";
import "./light.js";
import "./log.js";
import "./meetings.js";
import "./members.js";
import "./picture.js";
import "./session.js";
import "./stats.js";
import "./volume.js";
import { $, element, setText } from "./dom.js";
import { connect, hear } from "./live.js";

const STATUS = {
  starting: () => "Starting",
  idle: () => "Not in a room",
  joining: (s) => `Joining room ${s.room}`,
  in_room: (s) => `In room ${s.room}`,
  reconnecting: (s) => `Reconnecting to room ${s.room}`,
  updating: () => "Updating, no call until that is over",
  fault: () => "Fault",
};

let refusalTimer = 0;

function renderErrors(s) {
  $("errors").hidden = s.errors.length === 0;
  $("errors").replaceChildren(...s.errors.map((text) => element("li", "", text)));
}

hear("state", (s) => {
  if (s === null) {
    setText($("status"), "Trying again by itself.");
    return;
  }
  setText($("name"), s.name);
  setText($("where"), s.room ? `room ${s.room} on ${s.hub}` : s.hub);
  const status = (STATUS[s.status] ?? (() => s.status))(s);
  // What stands among the faults already is not said twice.
  const reason = s.errors.includes(s.status_reason) ? "" : s.status_reason;
  const text = reason ? `${status}: ${reason}` : status;
  setText($("status"), text.endsWith("?") ? text : `${text}.`);
  renderErrors(s);
});

function forgetRefusal() {
  clearTimeout(refusalTimer);
  $("refusal").hidden = true;
}

hear("error", (text) => {
  $("refusal").hidden = false;
  setText($("refusal"), text);
  clearTimeout(refusalTimer);
  refusalTimer = setTimeout(forgetRefusal, 8000);
});

// It answered what was wanted before.
hear("act", forgetRefusal);

connect();
