// How network, media and machine do: the last two minutes in small plots.

import { $, element } from "./dom.js";
import { bindCard, hear } from "./live.js";
import { Plot } from "./plot.js";

const groups = [
  ["Network", [
    new Plot("Round trip", "ms", 0, 20, [["to the room server and back", "round_trip_ms"]]),
    new Plot("Packets lost", "%", 1, 2, [["on the way in", "lost_in_percent"], ["on the way out", "lost_out_percent"]]),
    new Plot("Bit rate", "kbit/s", 0, 100, [["in", "down_kbps"], ["out", "up_kbps"]]),
    new Plot("Unevenness (jitter)", "ms", 1, 10, [["sound", "audio_jitter_ms"], ["picture", "video_jitter_ms"]]),
  ]],
  ["Sound and picture", [
    new Plot("Pictures", "a second", 1, 10, [["of the room", "canvas_fps"], ["of the camera", "camera_fps"]]),
    new Plot("Gaps in the sound", "", 0, 1, [["microphone", "microphone_xruns"], ["loudspeaker", "speaker_xruns"]]),
  ]],
  ["Machine", [
    new Plot("Processor", "% of a core", 0, 100, [["this program", "cpu_percent"]]),
    new Plot("Temperature", "°C", 0, 50, [["warmest sensor", "temperature_c"]]),
  ]],
];
const plots = groups.flatMap(([, some]) => some);

let samples = [];

bindCard("stats", $("stats-card"));
$("plots").append(
  ...groups.flatMap(([title, some]) => [element("h3", "", title), ...some.map((plot) => plot.node)]),
);

hear("stats", (news) => {
  samples = [...(news.anew ? [] : samples), ...news.samples].slice(-news.kept);
  for (const plot of plots) plot.draw(samples, news.kept);
  const { received, sent, microphone_xruns, speaker_xruns } = news.now;
  const facts = [
    ["Picture of the room", received ?? "none"],
    ["Picture that is sent", sent ?? "none"],
    ["Gaps at the microphone since it was opened", microphone_xruns],
    ["Gaps at the loudspeaker since it was opened", speaker_xruns],
  ];
  $("facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", String(value))]),
  );
  const seconds = Math.round(news.every * Math.max(0, samples.length - 1));
  $("stats-note").textContent = samples.length ? `The last ${seconds} s.` : "The first figures come in a moment.";
});
