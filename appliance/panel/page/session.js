// Who came in by a PIN can go out again; where the session has ended, the page asks for the PIN.

import { hear } from "./live.js";

let asking = false;
let known = false;

async function look() {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch("api/session", { cache: "no-store" });
    if (answer.status === 401) location.replace("login");
    else if (answer.ok) {
      document.getElementById("log-out").hidden = !(await answer.json()).pin;
      known = true;
    }
  } catch {
    // The device is away, which the page says already.
  } finally {
    asking = false;
  }
}

hear("state", (state) => {
  if (state === null || !known) look();
});
hear("beat", () => {
  if (!known) look();
});

look();
