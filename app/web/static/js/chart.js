// Lines as SVG: a thin raw line, a smoothed line on top, open circles for measured points, labels at the ends of the lines.
// A null among the values is a gap: no line crosses it.

import { loss, tick } from "./figures.js";

const NS = "http://www.w3.org/2000/svg";
const TOP = 10, BOTTOM = 24, LEFT = 40, LABEL_HEIGHT = 15, LABEL_GAP = 10;
const number = new Intl.NumberFormat("en-GB");
const isTold = (value) => value !== null && value !== undefined;

/**
 * Draw into `svg` at its present size.
 * series: [{x: [...], mean: [...], low?, high?, tone, label?, smooth?, dots?}] - `low` and `high` bound what a point sums
 * up, `tone` is a class of parts.css, `smooth` the points in one mean, `dots` open circles.
 * options: xMax; seconds: the x axis is time; log: positive values on a logarithmic axis, else it starts at 0; limit: a
 * limit, drawn red; now: x of the dotted line; joins: x of small marks; right: px kept for labels.
 * Returns the least and greatest value, or null when there is nothing to draw.
 */
export function draw(svg, series, options) {
  const width = svg.clientWidth, height = svg.clientHeight;
  const lines = series.map((given) => ({ ...given, line: given.smooth ? smoothed(given.mean, given.smooth) : given.mean }));
  const [least, greatest] = bounds(lines);
  svg.replaceChildren();
  if (least === Infinity || !width) return null;
  const scale = options.log ? logarithmic(least, greatest) : fromZero(Math.max(greatest, options.limit ?? 0));
  const right = Math.max(options.right ?? 14, labelWidth(svg, lines) + LABEL_GAP + 2);
  const frame = { left: LEFT, right: width - Math.min(right, width / 2), top: TOP, bottom: height - BOTTOM };
  const x = (value) => frame.left + (value / Math.max(1e-9, options.xMax)) * (frame.right - frame.left);
  const y = (value) => frame.bottom - scale.share(value) * (frame.bottom - frame.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  axes(svg, frame, x, y, scale.ticks, options);
  if (options.limit) add(svg, "line", { class: "limit-line", x1: frame.left, x2: frame.right, y1: y(options.limit), y2: y(options.limit) });
  for (const at of options.joins ?? []) add(svg, "line", { class: "join", x1: x(at), x2: x(at), y1: frame.top, y2: frame.bottom });
  for (const curve of lines) drawLine(svg, curve, x, y);
  if (options.now) add(svg, "line", { class: "now", x1: x(options.now), x2: x(options.now), y1: frame.top, y2: frame.bottom });
  endLabels(svg, lines, x, y, frame);
  return [least, greatest];
}

function bounds(lines) {
  let least = Infinity, greatest = -Infinity;
  for (const curve of lines) {
    for (const values of [curve.low ?? curve.mean, curve.high ?? curve.mean]) {
      for (const value of values) {
        if (!isTold(value)) continue;
        if (value < least) least = value;
        if (value > greatest) greatest = value;
      }
    }
  }
  return [least, greatest];
}

/** The geometric mean of up to `count` points around each, gaps left out: what the eye would draw on a log axis. */
export function smoothed(values, count) {
  return values.map((_, i) => {
    const half = Math.min(Math.floor(count / 2), i); // at the steep start, no more after it than before it
    let sum = 0, measured = 0;
    if (![values[i - 1], values[i], values[i + 1]].some(isTold)) return null; // three in a row are a gap, not chance
    for (let near = i - half; near <= i + half && near < values.length; near++) {
      if (isTold(values[near])) { sum += Math.log(Math.max(values[near], 1e-12)); measured++; }
    }
    return measured ? Math.exp(sum / measured) : null;
  });
}

function logarithmic(least, greatest) {
  const min = Math.max(1e-9, least), max = Math.max(min, greatest), room = (max / min) ** 0.04 * 1.01;
  const low = Math.log(min / room), high = Math.log(max * room);
  const marks = max / min < 4 ? ticks(min / room, max * room, 4).values : decades(min / room, max * room);
  return { share: (value) => (Math.log(Math.max(value, 1e-9)) - low) / (high - low), ticks: marks };
}

const MOST_TICKS = 7;

/** 1, 2, 5 of each power of ten; only the powers where those would be too many, and only some where even they are. */
function decades(low, high) {
  const powers = [], first = Math.floor(Math.log10(low)), every = Math.ceil((Math.log10(high) - first) / MOST_TICKS);
  for (let power = first; power <= Math.log10(high); power += Math.max(1, every)) powers.push(power);
  const of = powers.length > 3 ? [1] : [1, 2, 5];
  return powers.flatMap((power) => of.map((n) => n * 10 ** power)).filter((value) => value >= low && value <= high);
}

function fromZero(greatest) {
  const { values: marks, step } = ticks(0, greatest * 1.05, 3);
  const top = marks.at(-1) ?? 0;
  if (top < greatest) marks.push(top + step);
  const high = marks.at(-1) || 1;
  return { share: (value) => value / high, ticks: marks };
}

/** Round values between low and high, about `count` of them. */
export function ticks(low, high, count, of = [1, 2, 5, 10]) {
  const rough = (high - low) / count || 1;
  const power = of.at(-1) === 10 ? 10 ** Math.floor(Math.log10(rough)) : 1;
  const step = (of.find((n) => n * power >= rough) ?? of.at(-1)) * power;
  const marks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) marks.push(i * step + 0); // + 0: no -0
  return { step, values: marks };
}

const SPANS = [1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

function clock(seconds) {
  const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
  if (hours) return minutes ? `${hours} h ${String(minutes).padStart(2, "0")}` : `${hours} h`;
  return minutes ? (seconds % 60 ? `${minutes} m ${seconds % 60}` : `${minutes} m`) : `${seconds} s`;
}

function axes(svg, frame, x, y, levels, options) {
  for (const value of levels) {
    add(svg, "line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) });
    text(svg, frame.left - 6, y(value) + 4, tick(value), "end");
  }
  const room = Math.max(2, Math.floor((frame.right - frame.left) / 90));
  for (const value of ticks(0, options.xMax, room, options.seconds ? SPANS : undefined).values) {
    add(svg, "line", { class: "axis", x1: x(value), x2: x(value), y1: frame.bottom, y2: frame.bottom + 4 });
    text(svg, x(value), frame.bottom + 18, options.seconds ? clock(value) : number.format(value), "mid");
  }
}

/** A path through the values, lifted over gaps; a value between two gaps is a dot. */
function path(xs, values, x, y) {
  let shape = "", isDown = false;
  for (let i = 0; i < values.length; i++) {
    if (!isTold(values[i])) { isDown = false; continue; }
    const at = `${x(xs[i]).toFixed(1)},${y(values[i]).toFixed(1)}`;
    shape += isDown ? `L${at}` : `M${at}h0`;
    isDown = true;
  }
  return shape;
}

/** What the points sum up: up and down between the bounds of each, so that a spike of one step is seen. */
function span(curve, x, y) {
  const xs = curve.x.flatMap((value) => [value, value]);
  return path(xs, curve.low.flatMap((value, i) => (i % 2 ? [curve.high[i], value] : [value, curve.high[i]])), x, y);
}

function drawLine(parent, curve, x, y) {
  if (curve.low || curve.smooth) {
    const raw = curve.low ? span(curve, x, y) : path(curve.x, curve.mean, x, y);
    add(parent, "path", { class: `raw ${curve.tone}`, d: raw });
  }
  add(parent, "path", { class: `line ${curve.tone}`, d: path(curve.x, curve.line, x, y) });
  if (!curve.dots) return;
  curve.x.forEach((value, i) => add(parent, "circle", { class: "dot", cx: x(value), cy: y(curve.mean[i]), r: 3.5 }));
}

/** How wide the widest label is: whatever a figure grows to, it stays inside the drawing. */
function labelWidth(svg, lines) {
  const widths = lines.filter((curve) => curve.label).map((curve) => {
    const last = curve.line.findLast(isTold);
    return last === undefined ? 0 : measured(svg, `${loss(last)} ${curve.label}`);
  });
  return Math.max(0, ...widths);
}

function measured(svg, words) {
  const node = text(svg, 0, 0, words, "halo");
  node.style.fontWeight = 600;
  const width = node.getComputedTextLength();
  node.remove();
  return width;
}

function endLabels(svg, lines, x, y, frame) {
  const ends = lines.filter((curve) => curve.label).map((curve) => ({ curve, last: curve.line.findLastIndex(isTold) }));
  const places = ends.filter(({ last }) => last >= 0).map(({ curve, last }) => (
    { curve, x: curve.x.at(-1), value: curve.line[last], at: Math.max(frame.top + 4, y(curve.line[last]) + 4) }));
  places.sort((a, b) => a.at - b.at);
  places.forEach((place, i) => { if (i) place.at = Math.max(place.at, places[i - 1].at + LABEL_HEIGHT); });
  // Pushed below the frame by the ones above, they move up together.
  for (let i = places.length - 1, limit = frame.bottom + 4; i >= 0; i--, limit -= LABEL_HEIGHT) {
    places[i].at = Math.min(places[i].at, limit);
  }
  for (const place of places) {
    const label = text(svg, x(place.x) + LABEL_GAP, place.at, "", "halo");
    add(label, "tspan", { class: "k" }).textContent = loss(place.value);
    label.append(` ${place.curve.label}`);
  }
}

function text(parent, x, y, words, kind) {
  const node = add(parent, "text", { class: kind, x, y });
  node.textContent = words;
  return node;
}

function add(parent, name, attributes) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}
