// Lines over steps as SVG: a thin raw line, a smoothed line on top, open circles for measured points, labels at the ends.

const NS = "http://www.w3.org/2000/svg";
const TOP = 10, BOTTOM = 24, LEFT = 40, LABEL_HEIGHT = 15;
const number = new Intl.NumberFormat("en-GB");

/**
 * Draw into `svg` at its present size.
 * series: [{points: [[x, y], ...], tone, label?, smooth?, dots?}] - `tone` is a class of parts.css, `smooth` the readings
 * in one mean, `dots` open circles; options: xMax, log (positive values on a logarithmic axis; else it starts at 0),
 * now (x of the dotted line), right (px kept for labels).
 */
export function draw(svg, series, options) {
  const width = svg.clientWidth, height = svg.clientHeight;
  const lines = series.map((one) => ({ ...one, mean: one.smooth ? smoothed(one.points, one.smooth) : one.points }));
  const values = lines.flatMap((one) => one.points.map((point) => point[1]));
  if (!values.length || !width) return;
  const scale = options.log ? logarithmic(values) : fromZero(values);
  const frame = { left: LEFT, right: width - (options.right ?? 14), top: TOP, bottom: height - BOTTOM };
  const x = (value) => frame.left + (value / Math.max(1, options.xMax)) * (frame.right - frame.left);
  const y = (value) => frame.bottom - scale.share(value) * (frame.bottom - frame.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  axes(svg, frame, x, y, scale.ticks, options.xMax);
  for (const one of lines) drawLine(svg, one, x, y);
  if (options.now) add(svg, "line", { class: "now", x1: x(options.now), x2: x(options.now), y1: frame.top, y2: frame.bottom });
  endLabels(svg, lines, x, y, frame);
}

/** The geometric mean of up to `count` readings around each: what the eye would draw through them on this axis. */
export function smoothed(points, count) {
  const logs = points.map((point) => Math.log(Math.max(point[1], 1e-12)));
  return points.map(([step], i) => {
    const half = Math.min(Math.floor(count / 2), i); // at the steep start, no more after it than before it
    const near = logs.slice(i - half, i + half + 1);
    return [step, Math.exp(near.reduce((sum, value) => sum + value, 0) / near.length)];
  });
}

function logarithmic(values) {
  const min = Math.max(1e-9, Math.min(...values)), max = Math.max(...values), room = (max / min) ** 0.04 * 1.01;
  const low = Math.log(min / room), high = Math.log(max * room);
  const marks = max / min < 4 ? ticks(min / room, max * room, 4).values : decades(min / room, max * room);
  return { share: (value) => (Math.log(Math.max(value, 1e-9)) - low) / (high - low), ticks: marks };
}

/** 1, 2, 5 of each power of ten; only the powers where those would be too many. */
function decades(low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) powers.push(power);
  const of = powers.length > 3 ? [1] : [1, 2, 5];
  return powers.flatMap((power) => of.map((n) => n * 10 ** power)).filter((value) => value >= low && value <= high);
}

function fromZero(values) {
  const { values: marks, step } = ticks(0, Math.max(...values) * 1.05, 4);
  const high = (marks.at(-1) ?? 0) + (marks.at(-1) < Math.max(...values) ? step : 0);
  return { share: (value) => value / high, ticks: marks };
}

/** Round values between low and high, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) found.push(i * step + 0); // + 0: no -0
  return { step, values: found };
}

function axes(svg, frame, x, y, levels, xMax) {
  for (const value of levels) {
    add(svg, "line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) });
    text(svg, frame.left - 6, y(value) + 4, String(Number(value.toPrecision(3))), "end");
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

function endLabels(svg, lines, x, y, frame) {
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
    add(label, "tspan", { class: "k" }).textContent = end[1].toFixed(3);
    label.append(` ${one.label}`);
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
