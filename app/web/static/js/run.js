// The run page: draws its charts over steps, time or pictures, and follows the run's events without missing any.
// Attached to [data-run], whose value is the run's address; the curves lie inside as JSON.

import { draw } from "./chart.js";
import { duration } from "./clock.js";
import { grow } from "./curves.js";
import { loss } from "./figures.js";
import { onKey } from "./keys.js";
import { morph } from "./morph.js";
import { readable } from "./readout.js";
import { followLog } from "./run_log.js";
import { lost, read } from "./ticking.js";

const REFRESH_MS = 2000, MOST_POINTS = 1200, LOOK_AGAIN_MS = 15000, ANSWERS_MS = 10000, GIB = 2 ** 30;
const AXES = ["step", "time", "pictures"], KEPT = "packshot-run-axis";
const number = new Intl.NumberFormat("en-GB");
const last = (values) => values.findLast((value) => value !== null);

function attach(page) {
  let curves = JSON.parse(page.querySelector("[data-curves]").textContent);
  let axis = kept(), pending = 0, drawing = 0, isReloading = false, seen = curves.last_seq;

  const show = () => {
    drawing = 0;
    charts(page, curves, axis);
  };
  const redraw = () => { drawing ||= requestAnimationFrame(show); };

  const turn = (to) => {
    axis = to;
    try { localStorage.setItem(KEPT, axis); } catch { /* kept for this page only */ }
    for (const button of page.querySelectorAll("[data-axis]")) {
      button.classList.toggle("on", button.dataset.axis === axis);
      button.setAttribute("aria-pressed", String(button.dataset.axis === axis));
    }
    show();
  };

  const refresh = async () => {
    pending = 0;
    const asked = { headers: { "X-Fragment": "1" }, signal: AbortSignal.timeout(ANSWERS_MS) };
    const answer = await fetch(`${page.dataset.run}/live`, asked).catch(() => null);
    if (!answer?.ok) return lost();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const root = fresh.querySelector("[data-live]");
    // Ended, or begun again, it is another page: other panels in another order.
    if (page.dataset.live !== root.dataset.live) return location.reload();
    page.dataset.seconds = root.dataset.seconds;
    page.dataset.drawing = root.dataset.drawing;
    for (const part of fresh.querySelectorAll("[data-part]")) replace(page, part);
    page.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
    read();
    redraw();
  };

  // An event makes it look at once; without one it still looks now and then, so that a reading is never old.
  const lookAgain = async () => {
    await new Promise((done) => setTimeout(done, page.dataset.drawing === "1" ? REFRESH_MS : LOOK_AGAIN_MS));
    await refresh();
    lookAgain();
  };

  // Asks again until what it got reaches up to the newest event told meanwhile.
  const reload = async () => {
    if (isReloading) return;
    isReloading = true;
    const answer = await fetch(`${page.dataset.run}/curves`).catch(() => null);
    isReloading = false;
    if (!answer?.ok) return;
    curves = await answer.json();
    if (curves.last_seq < seen) return reload();
    seen = curves.last_seq;
    redraw();
  };

  const take = (event) => {
    if (event.seq <= seen) return; // told twice around a cut
    const isNext = event.seq === seen + 1;
    seen = event.seq;
    if (!isNext || curves.axes.step.length >= MOST_POINTS) reload();
    else if (!isReloading && grow(curves, event)) redraw();
    pending ||= setTimeout(refresh, REFRESH_MS);
  };

  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-axis]");
    if (button) turn(button.dataset.axis);
  });
  onKey((event, name) => {
    if (name === "t") turn(AXES[(AXES.indexOf(axis) + 1) % AXES.length]);
    else if (name === "p" || name === "l") go(page.querySelector(name === "p" ? "[data-samples]" : "[data-events]"));
    else return false;
    return true;
  });
  new ResizeObserver(redraw).observe(page.querySelector("#loss"));
  turn(axis);
  followLog(page);
  if (page.dataset.live === "1") follow(page, () => seen, take, refresh);
  lookAgain();
}

function kept() {
  try { return AXES.find((axis) => axis === localStorage.getItem(KEPT)) ?? "step"; } catch { return "step"; }
}

/** All charts on one axis. */
function charts(page, curves, axis) {
  const xs = curves.axes[axis], looks = curves.validation;
  const end = { step: Number(page.dataset.steps), time: Number(page.dataset.seconds), pictures: Number(page.dataset.pictures) }[axis];
  const newest = Math.max(0, xs.at(-1) ?? 0, looks.axes[axis].at(-1) ?? 0);
  const shared = { xMax: Math.max(end, newest) || 1, seconds: axis === "time", joins: curves.joins.map((join) => join[axis]) };
  const put = (id, series, options = {}) => {
    const svg = page.querySelector(`#${id}`);
    const isThere = series.some((line) => line.mean.some((value) => value !== null));
    svg.parentElement.dataset.empty = isThere ? "0" : "1";
    const range = draw(svg, series, { ...shared, ...options });
    readable(svg, sayer(curves, id, axis, series));
    return range;
  };
  const bands = curves.bands.map((band, i) => (
    { x: xs, ...band, tone: `b${curves.bands.length - i}`, label: curves.names[i], smooth: 10 }));
  const now = page.dataset.live === "1" && xs.length ? newest : undefined;
  const range = put("loss", bands, { log: true, now, right: 120 });
  const bounds = range?.map(loss).join(" to ");
  page.querySelector("[data-range]").textContent = range ? `log scale, ${bounds} · ` : "";
  put("validation", [{ x: looks.axes[axis], mean: looks.mean, tone: "", dots: looks.mean.length <= 40 }], { log: true });
  put("speed", [{ x: xs, ...curves.speed, tone: "b3" }]);
  const gib = curves.memory.mean.map((bytes) => (bytes === null ? null : bytes / GIB));
  const total = Number(page.querySelector("#memory").dataset.total);
  put("memory", [{ x: xs, mean: gib, tone: "b4" }], { limit: total || undefined });
  heads(page, curves, looks, gib);
}

const WRITES = {
  loss, validation: loss, speed: (value) => `${value.toFixed(1)}`, memory: (value) => `${value.toFixed(1)} GiB`,
};
const LABELS = { validation: "validation loss", speed: "pictures/s", memory: "" };

/** A chart's points in words: the step, where it stands on the axis shown, and the value of each curve. */
function sayer(curves, id, axis, series) {
  const axes = id === "validation" ? curves.validation.axes : curves.axes;
  const more = { step: () => "", time: (i) => `, ${duration(axes.time[i])}`,
    pictures: (i) => `, ${number.format(axes.pictures[i])} pictures` }[axis];
  const write = (value) => (value === null || value === undefined ? "none" : WRITES[id](value));
  return (i) => [`Step ${number.format(axes.step[i])}${more(i)}`,
    ...series.map((line) => [line.label ?? LABELS[id], write(line.mean[i]), line.tone])];
}

/** The present values stand in the panels' heads. */
function heads(page, curves, looks, gib) {
  const place = (name) => page.querySelector(`[data-newest="${name}"]`);
  const say = (name, value) => { if (value !== undefined) place(name).firstElementChild.textContent = value; };
  say("validation", looks.mean.length ? loss(looks.mean.at(-1)) : undefined);
  if (looks.mean.length) place("validation").lastElementChild.textContent = `at step ${number.format(looks.axes.step.at(-1))}`;
  say("speed", last(curves.speed.high ? curves.speed.mean.slice(-1) : curves.speed.mean)?.toFixed(1));
  say("memory", last(gib)?.toFixed(1));
}

/** A part is brought up to date in place; the log, while somebody reads it, keeps itself. */
function replace(page, part) {
  const old = page.querySelector(`[data-part="${part.dataset.part}"]`);
  if (!old || (part.dataset.part === "log" && old.querySelector("details[open]"))) return;
  old.hidden = part.hidden;
  morph(old, part);
}

function go(panel) {
  panel?.scrollIntoView({ block: "nearest" });
  panel?.focus({ preventScroll: true });
}

function follow(page, seen, take, refresh) {
  const source = new EventSource(`${page.dataset.run}/events?after=${seen()}`);
  let wasCut = false;
  source.addEventListener("open", () => {
    say(page, "live");
    if (wasCut) refresh();
    wasCut = false;
  });
  source.addEventListener("error", () => {
    lost();
    wasCut = true;
    say(page, source.readyState === EventSource.CLOSED ? "lost" : "again");
  });
  source.addEventListener("run_event", (message) => take({ ...JSON.parse(message.data), seq: Number(message.lastEventId) }));
  source.addEventListener("over", () => { source.close(); refresh(); });
}

const WORDS = { live: "live, nothing missed", again: "reconnecting; nothing will be missed", lost: "not live; reload the page" };

function say(page, state) {
  const place = page.querySelector("[data-connection]");
  if (place) { place.dataset.connection = state; place.lastElementChild.textContent = WORDS[state]; }
}

document.querySelectorAll("[data-run]").forEach(attach);
