// A link from another site opens this page without the cookie. Asked from here it is sent along.
const answer = await fetch("api/session", { cache: "no-store" });
if (answer.ok) location.replace("./");
