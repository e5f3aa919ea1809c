// The run page: draws its charts, and follows the run's news without missing any.
// Attached to [data-run]; the curves lie beside it as JSON, the news comes from the address in data-news.

import { draw } from "./chart.js";

const REFRESH_MS = 2000, MOST_POINTS = 1200;
const number = new Intl.NumberFormat("en-GB");

function attach(page) {
  let curves = JSON.parse(page.querySelector("[data-curves]").textContent);
  let pending = 0, drawing = 0;

  const show = () => {
    drawing = 0;
    const steps = Number(page.dataset.steps), isLive = page.dataset.live === "1";
    const last = Math.max(0, ...curves.bands.map((points) => points.at(-1)?.[0] ?? 0));
    const bands = curves.bands.map((points, i) => ({
      points, tone: `b${curves.bands.length - i}`, label: curves.names[i], smooth: 10,
    }));
    newest(page, "validation", curves.validation, (point) => [point[1].toFixed(3), `at step ${number.format(point[0])}`]);
    newest(page, "speed", curves.speed, (point) => [point[1].toFixed(1), ""]);
    page.dataset.empty = curves.speed.length || curves.validation.length ? "0" : "1";
    const now = isLive && last ? last : undefined;
    draw(page.querySelector("#loss"), bands, { xMax: steps, log: true, now, right: 120 });
    draw(page.querySelector("#validation"), [{ points: curves.validation, tone: "", dots: true }], { xMax: steps, log: true });
    draw(page.querySelector("#speed"), [{ points: curves.speed, tone: "b3" }], { xMax: steps });
  };
  const redraw = () => { drawing ||= requestAnimationFrame(show); };

  const refresh = async () => {
    pending = 0;
    const answer = await fetch(page.dataset.parts, { headers: { "X-Fragment": "1" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = page.querySelector(`[data-part="${part.dataset.part}"]`);
      // A dialog that is open, or a button just reached with the Tab key, is not pulled from under the person.
      if (old && !old.contains(document.activeElement)) old.replaceWith(part);
    }
    page.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
    page.dataset.live = fresh.querySelector("[data-live]")?.dataset.live ?? page.dataset.live;
    say(page, page.dataset.live === "1" ? "live" : "over");
    redraw();
  };

  const reload = async () => {
    const answer = await fetch(page.dataset.curvesAt);
    if (answer.ok) { curves = await answer.json(); redraw(); }
  };

  const take = (event) => {
    if (event.kind === "started") cutBack(curves, event.step);
    if (event.kind === "step") {
      event.loss_by_band.forEach((loss, band) => { if (loss !== null) curves.bands[band].push([event.step, loss]); });
      curves.speed.push([event.step, event.images_per_s]);
      if (curves.speed.length > MOST_POINTS) reload();
    }
    if (event.kind === "validation") curves.validation.push([event.step, event.loss]);
    redraw();
    pending ||= setTimeout(refresh, REFRESH_MS);
  };

  new ResizeObserver(redraw).observe(page.querySelector("#loss"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  show();
  const log = page.querySelector(".logtail");
  log.scrollTop = log.scrollHeight;
  if (page.dataset.live === "1") follow(page, curves.last_seq, take, refresh);
}

/** The present value stands in the panel's head. */
function newest(page, name, points, words) {
  const place = page.querySelector(`[data-newest="${name}"]`);
  if (!place || !points.length) return;
  const [value, note] = words(points.at(-1));
  place.firstElementChild.textContent = value;
  place.lastElementChild.textContent = note;
}

function follow(page, lastSeq, take, refresh) {
  const source = new EventSource(`${page.dataset.news}?after=${lastSeq}`);
  source.addEventListener("open", () => say(page, "live"));
  source.addEventListener("error", () => say(page, source.readyState === EventSource.CLOSED ? "lost" : "again"));
  source.addEventListener("news", (message) => take({ seq: Number(message.lastEventId), ...JSON.parse(message.data) }));
  source.addEventListener("over", () => { source.close(); refresh(); });
}

/** A trainer that went on from an earlier checkpoint tells later steps again. */
function cutBack(curves, step) {
  const keep = (points) => points.filter((point) => point[0] <= step);
  curves.bands = curves.bands.map(keep);
  curves.speed = keep(curves.speed);
  curves.validation = keep(curves.validation);
}

const WORDS = {
  live: "live, nothing missed", again: "reconnecting; nothing will be missed", lost: "not live; reload the page", over: "",
};

function say(page, state) {
  const place = page.querySelector("[data-connection]");
  if (place) { place.dataset.connection = state; place.lastElementChild.textContent = WORDS[state]; }
}

document.querySelectorAll("[data-run]").forEach(attach);
