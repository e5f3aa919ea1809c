// The grid's scrolling: photos behind the last one are fetched when they come near, and the rail says where one is.
import { getFragment, Refusal } from "./net.js";

const box = document.querySelector("[data-browse]");
// The photos behind the last one here.
export async function fetchMore() {
  const link = box.querySelector("[data-next]");
  if (link) await fetchNext(link);
}

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
    const holder = box.querySelector("[data-tiles]");
    const fresh = document.createRange().createContextualFragment(html);
    link.replaceWith(...fresh.querySelectorAll("[data-next]"));
    holder.append(...fresh.querySelectorAll("[data-tile]"));
    holder.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  } catch (error) {
    // The link stays: pressing it opens the next page.
    if (!(error instanceof Refusal)) throw error;
  }
}

function follow() {
  const grid = box.querySelector("[data-grid]");
  const rail = box.querySelector("[data-scrub]");
  const tile = grid?.querySelector("[data-tile]");
  if (!rail || !tile) return;
  const row = tile.getBoundingClientRect().height + 6;
  const columns = Math.max(1, Math.round(tile.parentElement.clientWidth / row));
  const place = Number(rail.dataset.first) - 1 + Math.floor(grid.scrollTop / row) * columns;
  const seen = Math.ceil(grid.clientHeight / row) * columns;
  const total = Math.max(Number(grid.dataset.listed), 1);
  const thumb = rail.querySelector("[data-thumb]");
  thumb.hidden = false;
  thumb.style.top = `${Math.min(100, (place / total) * 100)}%`;
  thumb.style.height = `max(8px, ${Math.min(100, (seen / total) * 100)}%)`;
}

function settle() {
  watchNext();
  box.querySelector("[data-grid]")?.addEventListener("scroll", follow, { passive: true });
  follow();
}
document.addEventListener("swapped", settle);
addEventListener("resize", follow);
settle();
