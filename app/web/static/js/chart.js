// Lines over steps as SVG: a thin raw line, a smoothed line on top, open circles for measured points, labels at the ends.

const NS = "http://www.w3.org/2000/svg";
const TOP = 10, BOTTOM = 24, LEFT = 40, LABEL_HEIGHT = 15;
const number = new Intl.NumberFormat("en-GB");

/**
 * Draw into `svg` at its present size.
 * series: [{points: [[x, y], ...], tone, label?, smooth?, dots?}] - `tone` is a class of parts.css, `smooth` the readings
 * in one mean, `dots` open circles; options: xMax, fromZero, now (x of the dotted line), right (px kept for labels),
 * digits (decimals of a label's value).
 */
export function draw(svg, series, options) {
  const width = svg.clientWidth || svg.parentElement.clientWidth, height = svg.clientHeight || 190;
  const lines = series.map((one) => ({ ...one, mean: one.smooth ? smoothed(one.points, one.smooth) : one.points }));
  const range = extent(lines, options.fromZero);
  const frame = { left: LEFT, right: width - (options.right ?? 14), top: TOP, bottom: height - BOTTOM };
  const x = (value) => frame.left + (value / Math.max(1, options.xMax)) * (frame.right - frame.left);
  const y = (value) => frame.bottom - ((value - range.low) / (range.high - range.low)) * (frame.bottom - frame.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  axes(svg, frame, x, y, range, options.xMax);
  const inside = add(svg, "g", { "clip-path": clip(svg, frame) });
  for (const one of lines) drawLine(inside, one, x, y);
  if (options.now) add(svg, "line", { class: "now", x1: x(options.now), x2: x(options.now), y1: frame.top, y2: frame.bottom });
  endLabels(svg, lines, x, y, frame, options.digits ?? 3);
  if (range.above > range.high) {
    const note = `first readings, up to ${range.above.toPrecision(3)}, are above the frame`;
    text(svg, frame.right - 4, frame.top + 10, note, "end halo");
  }
}

/** The mean of up to `count` readings around each. */
export function smoothed(points, count) {
  const half = Math.floor(count / 2);
  let sum = 0, from = 0, to = 0;
  return points.map(([step], i) => {
    while (to < Math.min(points.length, i + half + 1)) sum += points[to++][1];
    while (from < i - half) sum -= points[from++][1];
    return [step, sum / (to - from)];
  });
}

/** Round values between low and high, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * power >= rough) * power;
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) found.push(value);
  return { step, values: found };
}

function extent(lines, fromZero) {
  // The first readings of a fresh model are far above the rest and would flatten it; what is cut off is said in words.
  const settled = lines.flatMap((one) => (one.smooth ? one.mean.slice(Math.ceil(one.mean.length * 0.04)) : one.mean));
  const values = settled.map((point) => point[1]);
  if (values.length === 0) return { low: 0, high: 1, above: 0 };
  const max = Math.max(...values), min = Math.min(...values);
  const room = (max - min || Math.abs(max) || 1) * 0.12;
  const { step } = ticks(fromZero ? 0 : min - room, max + room, 4);
  const low = fromZero ? 0 : Math.max(0, Math.floor((min - room) / step) * step);
  const above = lines.reduce((top, one) => one.points.reduce((best, point) => Math.max(best, point[1]), top), max);
  return { low, high: Math.ceil((max + room) / step) * step, above: lines.some((one) => one.smooth) ? above : 0 };
}

function axes(svg, frame, x, y, range, xMax) {
  const levels = ticks(range.low, range.high, 4);
  const digits = Math.max(0, -Math.floor(Math.log10(levels.step)));
  for (const value of levels.values) {
    add(svg, "line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) });
    text(svg, frame.left - 6, y(value) + 4, value.toFixed(digits), "end");
  }
  const room = Math.max(2, Math.floor((frame.right - frame.left) / 90));
  for (const value of ticks(0, xMax, room).values) {
    add(svg, "line", { class: "axis", x1: x(value), x2: x(value), y1: frame.bottom, y2: frame.bottom + 4 });
    text(svg, x(value), frame.bottom + 18, number.format(value), "mid");
  }
}

function drawLine(parent, one, x, y) {
  const path = (points) => points.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join(" ");
  if (one.smooth) add(parent, "polyline", { class: `raw ${one.tone}`, points: path(one.points) });
  add(parent, "polyline", { class: `line ${one.tone}`, points: path(one.mean) });
  if (!one.dots) return;
  for (const point of one.points) add(parent, "circle", { class: "dot", cx: x(point[0]), cy: y(point[1]), r: 3.5 });
}

function endLabels(svg, lines, x, y, frame, digits) {
  const ends = lines.filter((one) => one.label && one.mean.length).map((one) => ({ one, end: one.mean.at(-1) }));
  const places = ends.map(({ one, end }) => ({ one, end, at: Math.max(frame.top + 4, y(end[1]) + 4) }));
  places.sort((a, b) => a.at - b.at);
  places.forEach((place, i) => { if (i) place.at = Math.max(place.at, places[i - 1].at + LABEL_HEIGHT); });
  // Pushed below the frame by the ones above, they move up together.
  for (let i = places.length - 1, limit = frame.bottom + 4; i >= 0; i--, limit -= LABEL_HEIGHT) {
    places[i].at = Math.min(places[i].at, limit);
  }
  for (const { one, end, at } of places) {
    const label = text(svg, x(end[0]) + 10, at, "", "halo");
    add(label, "tspan", { class: "k" }).textContent = end[1].toFixed(digits);
    label.append(` ${one.label}`);
  }
}

function clip(svg, frame) {
  const id = `clip-${svg.id}`;
  const path = add(add(svg, "defs", {}), "clipPath", { id });
  add(path, "rect", { x: frame.left - 6, y: frame.top - 6, width: frame.right - frame.left + 12, height: frame.bottom - frame.top + 12 });
  return `url(#${id})`;
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
