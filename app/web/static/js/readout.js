// The values of a chart at the pointer, or at the arrow keys: a line through the nearest point, a circle on each curve,
// and a box that says step and values. A focused chart is a slider over its points: Left and Right, with Shift ten at once,
// Home, End, Esc. Attached to each chart after it is drawn; it keeps its point while the chart is drawn anew.

import { drawing, mark } from "./chart.js";

const shown = new WeakMap(); // chart -> { at: the x of its point, say }

/** Let a chart be read. `say(i)` gives the words of point i: [head, [label, value, tone], ...]. */
export function readable(svg, say) {
  const isNew = !shown.has(svg);
  const state = shown.get(svg) ?? { at: null };
  state.say = say;
  shown.set(svg, state);
  if (isNew) attach(svg, state);
  if (state.at !== null) put(svg, state, nearest(xs(svg), state.at));
  else if (xs(svg).length) tell(svg, xs(svg).length - 1, say);
}

const xs = (svg) => drawing(svg)?.xs ?? [];

function nearest(values, at) {
  let best = 0;
  values.forEach((value, i) => { if (Math.abs(value - at) < Math.abs(values[best] - at)) best = i; });
  return best;
}

function attach(svg, state) {
  svg.setAttribute("role", "slider");
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("aria-valuemin", "0");
  const here = () => nearest(xs(svg), state.at ?? Infinity);
  const follow = (event) => {
    const plot = drawing(svg);
    if (plot) put(svg, state, nearest(plot.xs, plot.at(event.clientX - svg.getBoundingClientRect().left)));
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", () => { if (document.activeElement !== svg) clear(svg, state); });
  svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) put(svg, state, xs(svg).length - 1); });
  svg.addEventListener("blur", () => clear(svg, state));
  svg.addEventListener("keydown", (event) => {
    const last = xs(svg).length - 1, step = event.shiftKey ? 10 : 1;
    const place = state.at === null ? last : here();
    const to = { ArrowLeft: place - step, ArrowDown: place - step, ArrowRight: place + step, ArrowUp: place + step,
      PageDown: place - 10, PageUp: place + 10, Home: 0, End: last }[event.key];
    if (event.key === "Escape") clear(svg, state);
    else if (to !== undefined && last >= 0) put(svg, state, Math.min(last, Math.max(0, to)));
    else return;
    event.preventDefault();
  });
}

function tell(svg, i, say) {
  const [head, ...values] = say(i);
  svg.setAttribute("aria-valuemax", String(xs(svg).length - 1));
  svg.setAttribute("aria-valuenow", String(i));
  svg.setAttribute("aria-valuetext", [head, ...values.map(([label, value]) => `${label} ${value}`)].join(", "));
}

function put(svg, state, i) {
  const plot = drawing(svg);
  if (!plot || i < 0 || plot.xs[i] === undefined) return;
  state.at = plot.xs[i];
  tell(svg, i, state.say);
  const left = mark(svg, i);
  const box = boxOf(svg), [head, ...values] = state.say(i);
  const title = document.createElement("b");
  title.textContent = head;
  box.replaceChildren(title, ...values.map(([label, value, tone]) => {
    const row = document.createElement("span");
    row.className = tone ? `tone ${tone}` : "";
    const figure = document.createElement("b");
    figure.textContent = value;
    row.append(figure, ` ${label}`);
    return row;
  }));
  box.hidden = false;
  const offset = svg.getBoundingClientRect().left - svg.parentElement.getBoundingClientRect().left;
  const isRight = left > svg.clientWidth / 2;
  box.style.left = isRight ? "" : `${offset + left + 10}px`;
  box.style.right = isRight ? `${svg.parentElement.clientWidth - offset - left + 10}px` : "";
}

function clear(svg, state) {
  state.at = null;
  mark(svg, null);
  boxOf(svg).hidden = true;
}

function boxOf(svg) {
  let box = svg.parentElement.querySelector(":scope > .readout");
  if (!box) {
    box = document.createElement("div");
    box.className = "readout t12";
    box.setAttribute("aria-hidden", "true"); // the slider says the same
    box.hidden = true;
    svg.parentElement.append(box);
  }
  return box;
}
