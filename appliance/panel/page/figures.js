// Figures of the device in words, each with the name under which programs know it as its title.

import { $, element } from "./dom.js";
import { hear } from "./live.js";

function count(value) {
  return value.toLocaleString("en");
}

function to(digits, unit) {
  return (value) => `${value.toFixed(digits)} ${unit}`;
}

function bytes(value) {
  const [size, unit] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([least]) => value >= least) ?? [1, "B"];
  return `${(value / size).toFixed(size > 1 ? 1 : 0)} ${unit}`;
}

function time(seconds) {
  const [size, unit] = [[3600, "h"], [60, "min"]].find(([least]) => seconds >= 2 * least) ?? [1, "s"];
  return `${Math.round(seconds / size)} ${unit}`;
}

const ms = to(0, "ms");

const GROUPS = [
  ["Call", [
    ["joined_ms", "From joining to the first picture", ms],
    ["round_trip_ms", "To the room server and back", to(1, "ms")],
    ["bytes_received", "Received", bytes],
    ["bytes_sent", "Sent", bytes],
  ]],
  ["Sound", [
    ["audio_packets_received", "Packets received", count],
    ["audio_packets_lost", "Packets lost on the way in", count],
    ["audio_sent_lost_percent", "Lost on the way out lately", to(1, "%")],
    ["audio_jitter_ms", "Jitter: how unevenly packets come", to(1, "ms")],
    ["audio_delay_ms", "Wait that evens out the jitter", ms],
    ["audio_hold_ms", "Held back for the picture", ms],
    ["audio_underruns", "Gaps for want of packets", count],
    ["microphone_xruns", "Gaps at the microphone", count],
    ["speaker_xruns", "Gaps at the loudspeaker", count],
  ]],
  ["Picture", [
    ["canvas_fps", "Pictures of the room shown", to(1, "a second")],
    ["video_frames", "Pictures of the room so far", count],
    ["video_errors", "Pictures that could not be read", count],
    ["video_packets_received", "Packets received", count],
    ["video_packets_lost", "Packets lost on the way in", count],
    ["video_sent_lost_percent", "Lost on the way out lately", to(1, "%")],
    ["video_jitter_ms", "Jitter: how unevenly packets come", to(1, "ms")],
    ["video_hold_ms", "Held back for the sound", ms],
  ]],
  ["Calendar", [
    ["calendar_age_seconds", "Last read before", time],
    ["calendar_next_seconds", "Next meeting in", time],
  ]],
];
const NAMED = new Set(GROUPS.flatMap(([, figures]) => figures.map(([name]) => name)));

let state = null; // the device's last word

function list(title, figures) {
  const pairs = figures.flatMap(([name, words, value]) => {
    const term = element("dt", "", words);
    term.title = name;
    return [term, element("dd", "", value)];
  });
  const terms = element("dl", "stats");
  terms.append(...pairs);
  return figures.length ? [element("h3", "", title), terms] : [];
}

function render() {
  if (state === null || !$("figures-card").open) return;
  const values = { ...state.stats, canvas_fps: state.canvas_fps, joined_ms: state.joined_ms };
  const groups = GROUPS.map(([title, figures]) => [
    title,
    figures
      .filter(([name]) => Number.isFinite(values[name]))
      .map(([name, words, say]) => [name, words, say(values[name])]),
  ]);
  // What a newer device tells is shown before this page has words for it.
  const others = Object.keys(values).filter((name) => !NAMED.has(name));
  groups.push(["Others", others.map((name) => [name, name.replaceAll("_", " "), String(values[name])])]);
  $("figures").replaceChildren(...groups.flatMap(([title, figures]) => list(title, figures)));
}

$("figures-card").addEventListener("toggle", render);
hear("state", (s) => {
  state = s ?? state;
  render();
});
