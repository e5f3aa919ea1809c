// The catalog's filter without a reload. Links with data-filter, the search field, the order and the histograms ask for the
// page's inside and swap it; the address follows, so that it can be kept, shared and gone back to. Photos behind the last
// one are fetched when they come near; the rail on the right jumps.
import { getFragment, swap, Refusal } from "./net.js";

const box = document.querySelector("[data-browse]");
let asking = null;

// Show what this address shows. The facets stay as they were opened, scrolled and focused.
export async function show(address, { push = true } = {}) {
  asking?.abort();
  asking = new AbortController();
  const url = new URL(address, location.href);
  box.setAttribute("aria-busy", "true");
  let html;
  try {
    html = await getFragment(inside(url), { signal: asking.signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    box.removeAttribute("aria-busy");
    trouble(error.message);
    return;
  }
  if (push) history.pushState(null, "", url);
  const back = remember();
  swap(box, html);
  box.removeAttribute("aria-busy");
  copyAround(box);
  back();
}

// Fetch the same page again and take over only its counts: the facets, the sentence, what would be frozen.
export async function recount() {
  const fresh = new DOMParser().parseFromString(await getFragment(inside(new URL(location.href))), "text/html");
  const back = remember();
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

function inside(url) {
  const asked = new URL(url);
  asked.hash = "";
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

function remember() {
  const pane = box.querySelector(".facets");
  const top = pane?.scrollTop ?? 0;
  const open = new Map([...box.querySelectorAll("[data-facet]")].map((facet) => [facet.dataset.facet, facet.open]));
  const more = new Set([...box.querySelectorAll("[data-facet]:has(.more[open])")].map((facet) => facet.dataset.facet));
  const active = document.activeElement;
  const facet = active?.closest("[data-facet]")?.dataset.facet;
  const label = active?.querySelector(".cut")?.textContent;
  const name = active?.name || active?.dataset?.handle;
  return () => {
    for (const panel of box.querySelectorAll("[data-facet]")) {
      panel.open = open.get(panel.dataset.facet) ?? panel.open;
      if (more.has(panel.dataset.facet)) panel.querySelector(".more")?.setAttribute("open", "");
    }
    box.querySelector(".facets")?.scrollTo(0, top);
    if (facet && label) {
      const links = [...box.querySelectorAll(`[data-facet="${facet}"] [data-filter]`)];
      links.find((link) => link.querySelector(".cut")?.textContent === label)?.focus();
    } else if (facet && name) box.querySelector(`[data-facet="${facet}"] [data-handle="${name}"]`)?.focus();
    else if (name) box.querySelector(`[name="${CSS.escape(name)}"]`)?.focus();
  };
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

box.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-search]");
  if (!form) return;
  event.preventDefault();
  event.stopPropagation();
  const { q, sort } = Object.fromEntries(new FormData(form));
  const asked = new URLSearchParams();
  if (q.trim()) asked.set("q", q);
  if (sort !== "newest") asked.set("sort", sort);
  show(`${box.dataset.browse}?${asked}`);
});

box.addEventListener("change", (event) => {
  if (event.target.matches("[data-sort]")) event.target.form.requestSubmit();
});
// Emptying a search field by its cross fires only this.
box.addEventListener("search", (event) => event.target.form?.requestSubmit(), true);
box.addEventListener("ranged", (event) => show(event.detail));
addEventListener("popstate", () => show(location.href, { push: false }));

// The next photos -----------------------------------------------------------------------------------------------------
let near = null;

// Seen from the grid: it is what scrolls, so only its own margin reaches ahead.
function watchNext() {
  near?.disconnect();
  near = new IntersectionObserver(
    (seen) => seen.filter((entry) => entry.isIntersecting).forEach((entry) => fetchNext(entry.target)),
    { root: box.querySelector("[data-grid]"), rootMargin: "1200px" },
  );
  box.querySelectorAll("[data-next]").forEach((link) => near.observe(link));
}

async function fetchNext(link) {
  near.unobserve(link);
  try {
    const html = await getFragment(link.dataset.next);
    if (!link.isConnected) return;
    const holder = link.parentElement;
    link.insertAdjacentHTML("beforebegin", html);
    link.remove();
    holder.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  } catch (error) {
    // The link stays: pressing it opens the next page.
    if (!(error instanceof Refusal)) throw error;
  }
}

// The rail: where the grid is, and a jump by a click between its numbers ----------------------------------------------
function follow() {
  const grid = box.querySelector("[data-grid]");
  const rail = box.querySelector("[data-scrub]");
  const tile = grid?.querySelector("[data-tile]");
  if (!rail || !tile) return;
  const row = tile.getBoundingClientRect().height + 6;
  const columns = Math.max(1, Math.round(tile.parentElement.clientWidth / row));
  const place = Number(rail.dataset.first) - 1 + Math.floor(grid.scrollTop / row) * columns;
  const seen = Math.ceil(grid.clientHeight / row) * columns;
  const total = Math.max(Number(grid.dataset.total), 1);
  const thumb = rail.querySelector("[data-thumb]");
  thumb.hidden = false;
  thumb.style.top = `${Math.min(100, (place / total) * 100)}%`;
  thumb.style.height = `max(8px, ${Math.min(100, (seen / total) * 100)}%)`;
}

box.addEventListener("click", (event) => {
  const rail = event.target.closest("[data-scrub]");
  if (!rail || event.target.closest("a")) return;
  const bounds = rail.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (event.clientY - bounds.top) / bounds.height));
  const asked = new URL(location.href);
  asked.searchParams.set("at", Math.max(1, Math.round(share * Number(box.querySelector("[data-grid]").dataset.total))));
  show(asked);
});

function settle() {
  watchNext();
  box.querySelector("[data-grid]")?.addEventListener("scroll", follow, { passive: true });
  follow();
}
document.addEventListener("swapped", settle);
addEventListener("resize", follow);
settle();
