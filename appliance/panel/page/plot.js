// A small plot of one or two figures over time: lines in an SVG, and the same in words.

import { element, setText } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 44;
const SVG = "http://www.w3.org/2000/svg";

// The next 1, 2 or 5 with noughts: a top that stays where it is while figures waver.
function top(most, least) {
  const value = Math.max(most, least);
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= value);
}

function path(values, kept, most) {
  let d = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) {
      pen = false;
      return;
    }
    const x = ((kept - values.length + index) * WIDTH) / (kept - 1);
    const y = HEIGHT - 1 - (value * (HEIGHT - 2)) / most;
    d += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    // A single sample is a dot.
    if (!pen && (values[index + 1] ?? null) === null) d += "h.1";
    pen = true;
  });
  return d;
}

// `series` are [name in words, name in a sample]; `least` is the lowest top of the scale.
export class Plot {
  constructor(title, unit, digits, least, series) {
    this.unit = unit;
    this.digits = digits;
    this.least = least;
    this.node = element("div", "plot");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    this.scale = element("span", "scale");
    this.scale.setAttribute("aria-hidden", "true");
    const head = element("div", "head");
    head.append(element("h4", "", title), this.scale);
    const frame = element("div", "curve");
    frame.append(svg);
    const list = element("dl", "");
    this.series = series.map(([name, key], index) => {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("class", `s${index}`);
      svg.append(line);
      const value = element("dd", "");
      const span = element("dd", "hidden-text");
      const term = element("dt", `s${index}`, name);
      term.title = key;
      const pair = element("div", "");
      pair.append(term, value, span);
      list.append(pair);
      return { key, line, value, span };
    });
    this.node.append(head, frame, list);
  }

  say(value) {
    return value === null ? "unknown" : `${value.toFixed(this.digits)} ${this.unit}`.trim();
  }

  draw(samples, kept) {
    const all = this.series.map(({ key }) => samples.map((one) => one[key] ?? null));
    const known = all.flat().filter((value) => value !== null);
    this.node.hidden = known.length === 0;
    const most = top(Math.max(0, ...known), this.least);
    setText(this.scale, `0–${most} ${this.unit}`.trim());
    this.series.forEach(({ line, value, span }, index) => {
      const values = all[index];
      line.setAttribute("d", path(values, kept, most));
      setText(value, this.say(values.at(-1) ?? null));
      const own = values.filter((one) => one !== null);
      setText(span, own.length < 2 ? ""
        : `, from ${this.say(Math.min(...own))} to ${this.say(Math.max(...own))} lately`);
    });
  }
}
