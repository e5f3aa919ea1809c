// The grid's scrolling: photos near what is seen are fetched, those far behind are dropped, so that a million are as quick
// as a hundred. What was seen once comes back as it was listed, whatever was decided since.
import { ask, fetchTiles, fit, moved, placed, rest, stop, stopIfPassed } from "./tile_requests.js";
import { Layout } from "./layout.js";
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
  if (!asked.isHere(wanted)) {
    const last = Math.min(asked.total, Math.max(1, wanted - asked.page / 2) + asked.page - 1);
    const middle = -Math.floor((asked.grid.clientHeight - asked.row) / 2);
    await replace(asked, Math.max(1, last - asked.page + 1), last, () => asked.scrollTo(wanted, middle));
  }
  return asked === list ? asked.tileAt(wanted) : null;
}

/** Bring a place to the upper edge, or `past` px beyond it. */
export async function bringUp(place, past = 0) {
  if (!list) return;
  await reach(place);
  if (list?.isHere(place)) list.scrollTo(place, past);
}

// Put the photos from one place to another, a page at most, in place of what is here.
async function replace(asked, from, to, scroll, signal = null) {
  const tiles = await fetchTiles(asked, from, to, signal);
  if (!tiles || asked !== list) return Boolean(signal?.aborted);
  const seen = asked.seen();
  asked.holder.replaceChildren(...tiles);
  asked.lay();
  scroll(seen);
  changed(asked);
  return true;
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
  const { first, last, page, total } = asked;
  if (isFar(asked)) {
    // What is scrolled past in between is never asked for.
    await rest();
    if (asked !== list || !isFar(asked)) return true;
    const { from, to } = asked.seen();
    const end = Math.min(to, from + page - 1);
    const inside = (place) => Math.min(Math.max(place, from), end);
    const scroll = (seen) => asked.isToScale && asked.scrollTo(inside(seen.from));
    return ask(from, end, 0, (signal) => replace(asked, from, end, scroll, signal));
  }
  const { from, to } = asked.seen();
  const ahead = Math.max(page, to - from) / 2;
  const more = (low, high) => ask(low, high, page, (signal) => extend(asked, low, high, signal));
  if (last < total && to > last) return more(last + 1, Math.min(total, last + page));
  if (first > 1 && from - ahead < first) return more(Math.max(1, first - page), first - 1);
  if (last < total && to + ahead > last) return more(last + 1, Math.min(total, last + page));
  return false;
}

const isFar = (asked) => {
  const { from, to } = asked.seen();
  return to < asked.first - asked.page || from > asked.last + asked.page;
};

async function extend(asked, from, to, signal) {
  const { first, last } = asked;
  const tiles = await fetchTiles(asked, from, to, signal);
  if (!tiles) return signal.aborted;
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
  stopIfPassed(seen);
  fill();
}

function scrolled() {
  moved();
  follow();
}

// Other columns: the same photo stays at the upper edge.
function reshape() {
  if (!list?.holder.isConnected) return;
  const { columns, row, top } = list;
  list.measure();
  list.lay();
  if (columns === list.columns && row === list.row) return follow();
  [...list.holder.children].forEach((tile) => fit(list, tile));
  list.scrollTo(top);
  follow();
}
const sized = new ResizeObserver(reshape);
addEventListener("resized", reshape);

function settle() {
  const grid = box.querySelector("[data-grid]");
  if (list?.grid === grid) return;
  sized.disconnect();
  stop();
  list = grid?.querySelector("[data-tile]") ? new Layout(grid) : null;
  grid?.querySelectorAll("[data-plain]").forEach((link) => link.remove());
  if (!list) return;
  [...list.holder.children].forEach((tile) => placed(list, Number(tile.dataset.place), tile));
  list.lay();
  grid.addEventListener("scroll", scrolled, { passive: true });
  sized.observe(grid);
}
document.addEventListener("swapped", settle);
settle();
