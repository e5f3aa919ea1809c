// The grid's scrolling: photos near what is seen are fetched, those far behind are dropped, so that a million are as quick
// as a hundred. What was seen once comes back as it was listed, whatever was decided since.
import { getFragment, Refusal } from "./net.js";
import { Layout } from "./layout.js";
import { trouble } from "./trouble.js";
import { showRail } from "./rail.js";

const box = document.querySelector("[data-browse]");
let list = null; // the layout of the list that is shown
let isFilling = false;

/** The numbers of the photos from one place to another, or null where one was never seen. */
export const known = (from, to) => list?.known(from, to) ?? null;

/** The tile at a place; null where it is not here, or the photo is gone. */
export const tileAt = (place) => list?.tileAt(place) ?? null;

/** Whether a place is in the page, be it empty. */
export const isHere = (place) => Boolean(list?.isHere(place));

/** How many photos lie in a row, and how many whole rows are seen at once. */
export const shape = () => ({
  perRow: list.columns,
  perPage: Math.max(1, Math.floor(list.grid.clientHeight / list.row)),
});

/** The photo at a place: its tile, fetched where it is not here; null where it is gone or cannot be had. */
export async function reach(place) {
  const wanted = Math.min(Math.max(place, 1), list.total);
  const asked = list;
  if (!asked.isHere(wanted)) await replace(asked, wanted, (high) => asked.scrollTo(wanted, -Math.floor(high / 2)));
  return asked === list ? asked.tileAt(wanted) : null;
}

/** Bring a place to the upper edge, or `past` px beyond it. */
export async function bringUp(place, past = 0) {
  if (!list) return;
  await reach(place);
  if (list?.isHere(place)) list.scrollTo(place, past);
}

// Put the page around a place in place of what is here.
async function replace(asked, place, scroll) {
  const last = Math.min(asked.total, Math.max(1, place - asked.page / 2) + asked.page - 1);
  const tiles = await fetchTiles(asked, Math.max(1, last - asked.page + 1), last);
  if (!tiles || asked !== list) return false;
  asked.holder.replaceChildren(...tiles);
  asked.lay();
  scroll(asked.grid.clientHeight - asked.row);
  changed(asked);
  return true;
}

function addressOf(asked, from, to) {
  const { query, sort } = asked.grid.dataset;
  const url = new URL(`${box.dataset.browse}/tiles`, location.href);
  for (const [name, value] of [["q", query], ["sort", sort], ["at", from]]) url.searchParams.set(name, value);
  const ids = asked.known(from, to);
  if (ids) ids.filter(Boolean).forEach((id) => url.searchParams.append("id", id));
  else if (asked.ids[from - 1]) url.searchParams.set("after", asked.ids[from - 1]);
  else if (asked.ids[to + 1]) url.searchParams.set("before", asked.ids[to + 1]);
  return url;
}

// The tiles from one place to another; null when the answer was no. A photo that is gone leaves its place empty.
async function fetchTiles(asked, from, to) {
  const url = addressOf(asked, from, to);
  let html;
  try {
    html = await getFragment(url);
  } catch (error) {
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

function placed(asked, place, tile = null) {
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

// A photo is asked for in the size in which it is shown.
function fit(asked, tile) {
  const picture = tile.querySelector("img");
  if (picture) picture.sizes = `${Math.ceil(asked.side)}px`;
}

// What is missing near what is seen, one page after the other.
async function fill() {
  if (isFilling || !list) return;
  isFilling = true;
  try {
    while (list && (await fillOnce(list)));
  } finally {
    isFilling = false;
  }
}

async function fillOnce(asked) {
  const { from, to } = asked.seen();
  const { first, last, page, total } = asked;
  const ahead = Math.max(page, to - from) / 2;
  if (to < first - page || from > last + page) {
    return replace(asked, from, () => asked.isToScale && asked.scrollTo(from));
  }
  if (first > 1 && from - ahead < first) return extend(asked, Math.max(1, first - page), first - 1);
  if (last < total && to + ahead > last) return extend(asked, last + 1, Math.min(total, last + page));
  return false;
}

async function extend(asked, from, to) {
  const { first, last } = asked;
  const tiles = await fetchTiles(asked, from, to);
  if (!tiles) return false;
  // Somebody jumped meanwhile.
  if (asked !== list || asked.first !== first || asked.last !== last) return true;
  asked.still(() => {
    if (from < first) asked.holder.prepend(...tiles);
    else asked.holder.append(...tiles);
  });
  drop(asked);
  changed(asked);
  return true;
}

// Photos more than two pages away from what is seen.
function drop(asked) {
  const { from, to } = asked.seen();
  const far = (tile) => Number(tile.dataset.place) < from - 2 * asked.page || Number(tile.dataset.place) > to + 2 * asked.page;
  const dropped = [...asked.holder.children].filter(far);
  if (dropped.length && dropped.length < asked.holder.children.length) asked.still(() => dropped.forEach((tile) => tile.remove()));
}

function changed(asked) {
  asked.holder.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  follow();
}

function follow() {
  if (!list) return;
  const seen = list.seen();
  list.top = seen.from;
  showRail(seen, list.total);
  fill();
}

// Other columns: the same photo stays at the upper edge.
function reshape() {
  if (!list?.holder.isConnected) return;
  const { columns, row, top } = list;
  list.measure();
  list.lay();
  if (columns === list.columns && row === list.row) return follow();
  [...list.holder.children].forEach((tile) => fit(list, tile));
  if (top >= list.first && top <= list.last) list.scrollTo(top);
  follow();
}
const sized = new ResizeObserver(reshape);
addEventListener("resized", reshape);

function settle() {
  const grid = box.querySelector("[data-grid]");
  if (list?.grid === grid) return;
  sized.disconnect();
  list = grid?.querySelector("[data-tile]") ? new Layout(grid) : null;
  grid?.querySelectorAll("[data-plain]").forEach((link) => link.remove());
  if (!list) return;
  [...list.holder.children].forEach((tile) => placed(list, Number(tile.dataset.place), tile));
  list.lay();
  grid.addEventListener("scroll", follow, { passive: true });
  sized.observe(grid);
}
document.addEventListener("swapped", settle);
settle();
