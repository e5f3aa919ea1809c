// The catalog's filter without a reload. Links with data-filter, the search field, the order and the histograms ask for the
// page's inside and swap it; the address follows, so that it can be kept, shared and gone back to. The rail on the
// right jumps.
import { getFragment, swap, Refusal } from "./net.js";
import { remember } from "./facets.js";
import { keep, kept, scrollBack } from "./place.js";

const box = document.querySelector("[data-browse]");
const BEFORE = 60; // half of what is fetched at once: the window is full on both sides
let asking = null;
let shown = ""; // the address whose photos are here

// Show what this address shows; `at` is the place to begin at, where it is not the address's own. True when it is shown.
// The facets stay as they were opened, ordered, scrolled and focused.
export async function show(address, { push = true, at = null } = {}) {
  asking?.abort();
  asking = new AbortController();
  const url = new URL(address, location.href);
  if (push) keep(box.querySelector("[data-grid]"));
  box.setAttribute("aria-busy", "true");
  let html;
  try {
    html = await getFragment(inside(url, at), { signal: asking.signal });
  } catch (error) {
    if (error.name === "AbortError") return false;
    if (!(error instanceof Refusal)) throw error;
    box.removeAttribute("aria-busy");
    trouble(error.message);
    return false;
  }
  if (push) history.pushState(null, "", url);
  const back = remember(box);
  swap(box, html);
  box.removeAttribute("aria-busy");
  copyAround(box);
  back();
  return true;
}

// Show the photo at a place of this list, from 1, with whole rows before it.
export function showAround(place) {
  const tiles = box.querySelector("[data-tiles]");
  const columns = tiles ? getComputedStyle(tiles).gridTemplateColumns.split(" ").length : 1;
  const rows = Math.min(Math.floor(BEFORE / columns), Math.floor((place - 1) / columns));
  return show(location.href, { push: false, at: place - rows * columns });
}

// Back in this entry of the history: the same photo at the top.
export async function comeBack(place = kept()) {
  const grid = box.querySelector("[data-grid]");
  if (!place || location.hash || scrollBack(grid, place)) return;
  if (await showAround(place.first)) scrollBack(box.querySelector("[data-grid]"), place);
}

// Fetch the same page again and take over only its counts: the facets, the sentence, what would be frozen.
export async function recount() {
  const fresh = new DOMParser().parseFromString(await getFragment(inside(new URL(location.href))), "text/html");
  const back = remember(box);
  for (const part of box.querySelectorAll("[data-part]")) {
    const same = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (same) swap(part, same.innerHTML);
  }
  const grid = box.querySelector("[data-grid]");
  grid.dataset.total = fresh.querySelector("[data-grid]").dataset.total;
  copyAround(fresh);
  back();
  grid.dispatchEvent(new CustomEvent("recounted", { bubbles: true }));
}

export function trouble(sentence) {
  const place = box.querySelector("[data-trouble]");
  if (!place) return;
  place.textContent = sentence;
  place.hidden = !sentence;
}

function inside(url, at = null) {
  const asked = new URL(url);
  asked.hash = "";
  if (at) asked.searchParams.set("at", at);
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
  show(link.href.baseVal ?? link.href);
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
  if (!(await show(`${box.dataset.browse}?${asked}`)) || !isSearch) return;
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
// An address that only got another part after # is the same page.
addEventListener("popstate", async () => {
  if (location.pathname + location.search === shown) return;
  const place = kept();
  if (await show(location.href, { push: false })) await comeBack(place);
});

// The rail: a jump by a click between its numbers.
box.addEventListener("click", (event) => {
  const rail = event.target.closest("[data-scrub]");
  if (!rail || event.target.closest("a")) return;
  const bounds = rail.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (event.clientY - bounds.top) / bounds.height));
  const asked = new URL(location.href);
  asked.searchParams.set("at", Math.max(1, Math.round(share * Number(box.querySelector("[data-grid]").dataset.total))));
  show(asked);
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
