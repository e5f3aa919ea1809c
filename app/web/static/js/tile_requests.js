// Requests for tiles of the grid: which photos lie from one place to another, and what becomes of a request that nobody
// waits for any more.
import { getFragment, Refusal } from "./net.js";
import { trouble } from "./trouble.js";

const RESTED_MS = 80; // the steps of a wheel, and of a bar that is dragged, lie closer together
let scrolledAt = 0; // ms, of the page's clock
let underWay = null; // the places that are asked for, with those near them, and what stops the request

export const moved = () => { scrolledAt = performance.now(); };
export const stop = () => underWay?.stop.abort();

/** Wait until nobody has scrolled for a moment: what is scrolled past is never asked for. */
export async function rest() {
  for (let left; (left = scrolledAt + RESTED_MS - performance.now()) > 0; ) {
    await new Promise((resolve) => setTimeout(resolve, left));
  }
}

/** A request that is stopped as soon as what it asks for, and `near` places around, were scrolled past. */
export async function ask(from, to, near, request) {
  const stop = new AbortController();
  underWay = { from: from - near, to: to + near, stop };
  try {
    return await request(stop.signal);
  } finally {
    underWay = null;
  }
}

export function stopIfPassed({ from, to }) {
  if (underWay && (to < underWay.from || from > underWay.to)) underWay.stop.abort();
}

function addressOf(asked, from, to) {
  const { query, sort } = asked.grid.dataset;
  const url = new URL(`${asked.grid.closest("[data-browse]").dataset.browse}/tiles`, location.href);
  for (const [name, value] of [["q", query], ["sort", sort], ["at", from], ["size", to - from + 1]]) url.searchParams.set(name, value);
  const ids = asked.known(from, to);
  if (ids) ids.filter(Boolean).forEach((id) => url.searchParams.append("id", id));
  else if (asked.ids[from - 1]) url.searchParams.set("after", asked.ids[from - 1]);
  else if (asked.ids[to + 1]) url.searchParams.set("before", asked.ids[to + 1]);
  return url;
}

/** The tiles from one place to another; null when the answer was no, or nobody waits for it any more. A photo that is gone
    leaves its place empty. */
export async function fetchTiles(asked, from, to, signal) {
  const url = addressOf(asked, from, to);
  let html;
  try {
    html = await getFragment(url, { signal });
  } catch (error) {
    if (error.name === "AbortError") return null;
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
    return null;
  }
  const fresh = [...document.createRange().createContextualFragment(html).querySelectorAll("[data-tile]")];
  const had = asked.known(from, to);
  const here = new Set([...asked.holder.children].map((tile) => tile.dataset.tile));
  const isKept = (tile) => Boolean(had) || !here.has(tile.dataset.tile);
  const places = new Map();
  fresh.filter(isKept).forEach((tile, index, all) => {
    if (had) places.set(from + had.indexOf(tile.dataset.tile), tile);
    else places.set(url.searchParams.has("before") ? to - all.length + 1 + index : from + index, tile);
  });
  return Array.from({ length: to - from + 1 }, (_, index) => placed(asked, from + index, places.get(from + index)));
}

export function placed(asked, place, tile = null) {
  const shown = tile ?? document.createElement("span");
  if (!tile) {
    shown.className = "tile gone";
    shown.role = "presentation";
  }
  shown.dataset.place = place;
  asked.ids[place] = tile?.dataset.tile ?? null;
  fit(asked, shown);
  return shown;
}

/** A photo is asked for in the size in which it is shown. */
export function fit(asked, tile) {
  const picture = tile.querySelector("img");
  if (picture) picture.sizes = `${Math.ceil(asked.side)}px`;
}
