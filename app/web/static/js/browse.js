// The catalog's filter without a reload. Links with data-filter, the search field, the order and the histograms ask for the
// page's inside and swap it; the address follows, so that it can be kept, shared and gone back to.
import { getFragment, swap, Refusal } from "./net.js";
import { remember } from "./facets.js";
import { keep, kept } from "./place.js";
import { bringUp } from "./scroll.js";
import { trouble } from "./trouble.js";

const box = document.querySelector("[data-browse]");
let asking = null;
let shown = ""; // the address whose photos are here

// Show what this address shows; true when it is shown. The facets stay as they were opened, ordered, scrolled and focused,
// and the photo `near` stays where it is where the new list has it too.
export async function show(address, { push = true, near = anchor() } = {}) {
  asking?.abort();
  asking = new AbortController();
  const url = new URL(address, location.href);
  if (push) keep(box.querySelector("[data-grid]"));
  box.setAttribute("aria-busy", "true");
  let html;
  try {
    html = await getFragment(inside(url, near), { signal: asking.signal });
  } catch (error) {
    if (error.name === "AbortError") return false;
    if (!(error instanceof Refusal)) throw error;
    box.removeAttribute("aria-busy");
    trouble(error.message);
    return false;
  }
  if (push) history.pushState(null, "", url);
  const back = remember(box);
  const before = near && heightOf(near);
  swap(box, html);
  box.removeAttribute("aria-busy");
  copyAround(box);
  back();
  const grid = box.querySelector("[data-grid]");
  if (grid.dataset.near && before !== null) grid.scrollTop += heightOf(near) - before;
  return true;
}

// The photo that should stay where it is while the list around it changes: the current one where it is seen, else the one
// at the upper edge; none at the beginning.
function anchor() {
  const grid = box.querySelector("[data-grid]");
  const bounds = grid.getBoundingClientRect();
  const isSeen = (tile) => tile.getBoundingClientRect().bottom > bounds.top && tile.getBoundingClientRect().top < bounds.bottom;
  const current = grid.querySelector(".tile.cur");
  if (grid.scrollTop < 1 && (!current || current.dataset.place === "1")) return null;
  const seen = current && isSeen(current) ? current : [...grid.querySelectorAll("[data-tile]")].find(isSeen);
  return seen?.dataset.tile ?? null;
}

// How far below the grid's upper edge a photo lies, in px; null where it is not here.
function heightOf(id) {
  const tile = box.querySelector(`[data-tile="${id}"]`);
  return tile && tile.getBoundingClientRect().top - box.querySelector("[data-grid]").getBoundingClientRect().top;
}

// Back in this entry of the history: the same photo at the top. Back from the desk, the photo that was there.
export async function comeBack(place = kept()) {
  const there = location.hash.match(/^#photo-(\d+)$/)?.[1];
  if (there && heightOf(there) === null) await show(location.href, { push: false, near: there });
  else if (!there && place) await bringUp(place.first, place.past);
}

// Fetch the same page again and take over only its counts: the facets, the sentence, what would be frozen.
export async function recount() {
  const address = location.href;
  const fresh = new DOMParser().parseFromString(await getFragment(inside(new URL(address))), "text/html");
  if (address !== location.href || box.hasAttribute("aria-busy")) return; // another list by now
  const back = remember(box);
  for (const part of box.querySelectorAll("[data-part]")) {
    const same = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (same) swap(part, same.innerHTML);
  }
  const grid = box.querySelector("[data-grid]");
  grid.dataset.change = fresh.querySelector("[data-grid]").dataset.change;
  grid.dataset.total = fresh.querySelector("[data-grid]").dataset.total;
  copyAround(fresh);
  back();
  grid.dispatchEvent(new CustomEvent("recounted", { bubbles: true }));
}

function inside(url, near = null) {
  const asked = new URL(url);
  asked.hash = "";
  if (near) asked.searchParams.set("near", near);
  asked.searchParams.set("part", "grid");
  return asked;
}

// What the top bar shows belongs to the filter too; the fragment brings its new text in a template.
function copyAround(root) {
  for (const original of root.querySelectorAll("template[data-original]")) {
    const copy = document.querySelector(`[data-copy-of="${original.dataset.original}"]`);
    copy?.replaceChildren(document.importNode(original.content, true));
  }
}

box.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-filter]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  // A link inside a drawing has an address of its own kind.
  const url = new URL(link.href.baseVal ?? link.href, location.href);
  if ("keepsQuery" in link.dataset) {
    url.searchParams.set("q", box.querySelector("[data-grid]").dataset.query);
    show(url.href, { near: null });
  } else show(url.href);
});

// The key "/" presses the field.
box.addEventListener("click", (event) => {
  if (event.target.matches("input.query") && event.detail === 0) event.target.select();
});

// A choice looks like a check box and answers to Space like one.
box.addEventListener("keydown", (event) => {
  const choice = event.target.closest("[role=checkbox]");
  if (choice && event.key === " ") {
    event.preventDefault();
    choice.click();
  }
});

// What was searched for is there: the keys are the grid's again. A query that is not understood stays to be mended.
box.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-search]");
  if (!form) return;
  event.preventDefault();
  event.stopPropagation();
  const { q, sort } = Object.fromEntries(new FormData(form));
  const asked = new URLSearchParams();
  if (q.trim()) asked.set("q", q);
  if (sort !== "newest") asked.set("sort", sort);
  const isSearch = form.querySelector("input.query") === document.activeElement;
  // Another order begins at its beginning.
  const kept = sort === box.querySelector("[data-grid]").dataset.sort ? {} : { near: null };
  if (!(await show(`${box.dataset.browse}?${asked}`, kept)) || !isSearch) return;
  const isUnderstood = !box.querySelector("input.query[aria-invalid]");
  if (isUnderstood && box.querySelector("[data-tile]")) box.dispatchEvent(new CustomEvent("searched"));
  else box.querySelector("input.query").focus();
});

box.addEventListener("change", (event) => {
  if (event.target.matches("[data-sort]")) event.target.form.requestSubmit();
});
// Emptying a search field by its cross fires only this.
box.addEventListener("search", (event) => event.target.form?.requestSubmit(), true);
box.addEventListener("ranged", (event) => show(event.detail));
box.addEventListener("measures", () => recount());
// An address that only got another part after # is the same page.
addEventListener("popstate", async () => {
  if (location.pathname + location.search === shown) return;
  const place = kept();
  if (await show(location.href, { push: false, near: null })) await comeBack(place);
});

// Where one is, for coming back: after each scroll, and as the page is left.
let keeping = 0;
const keepPlace = () => keep(box.querySelector("[data-grid]"));
box.addEventListener("scroll", () => {
  clearTimeout(keeping);
  keeping = setTimeout(keepPlace, 120);
}, { capture: true, passive: true });
addEventListener("pagehide", keepPlace);

function settle() {
  shown = location.pathname + location.search;
}
document.addEventListener("swapped", settle);
settle();
