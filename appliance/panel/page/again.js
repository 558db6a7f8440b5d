// Loads the page anew where a part of it did not come. A panel that has many pages open refuses
// some of their connections, and a page that lacks one of its scripts would say NO CONTACT for ever.

const LATER = 3000; // ms; until then others have let go of theirs

addEventListener("error", ({ target }) => {
  const lacking = target instanceof HTMLScriptElement || target.rel === "stylesheet";
  if (lacking) setTimeout(() => location.reload(), LATER);
}, true);
