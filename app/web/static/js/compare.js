// The comparison's grid: arrow keys move between cells, Enter opens the viewer, empty cells fill while they are drawn.
// Attached to [data-compare]. Without it the cells are links to their pictures.

import { SheetCells } from "./sheet_cells.js";
import { SheetRows } from "./sheet_rows.js";
import { Viewer } from "./viewer.js";

const LOOK_AGAIN_MS = 3000;
const REST_MS = 200;
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const KEYS = new Set([...Object.keys(STEPS), "Home", "End", "PageUp", "PageDown"]);

function attach(page) {
  listenToFilters(page);
  const grid = page.querySelector("[data-grid]");
  if (!grid) return; // a filter that picks no rows
  const cells = SheetCells.read(grid);
  const rows = new SheetRows(grid, cells);
  const viewer = new Viewer(page, cells, (row, column) => rows.focus(row, column));

  grid.addEventListener("click", (event) => {
    const link = event.target.closest("[data-cell]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    viewer.open(...rows.placeOf(link));
  });
  grid.addEventListener("keydown", (event) => {
    const link = event.target.closest("[data-cell]");
    if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); link.click(); return; }
    if (!KEYS.has(event.key)) return;
    event.preventDefault();
    rows.focus(...moved(rows, cells, link, event.key));
  });
  // The keys work from the start: with nothing focused, an arrow goes to the reachable cell and Enter opens it.
  document.addEventListener("keydown", (event) => {
    if (event.target !== document.body || viewer.isOpen || event.ctrlKey || event.metaKey || event.altKey) return;
    const link = grid.querySelector('[data-cell][tabindex="0"]');
    if (!link || !(KEYS.has(event.key) || event.key === "Enter")) return;
    event.preventDefault();
    if (event.key === "Enter") link.click(); else link.focus();
  });
  grid.addEventListener("focusin", (event) => {
    const link = event.target.closest("[data-cell]");
    if (link) makeReachable(grid, link);
  });
  grid.querySelectorAll("[data-cell]").forEach((link) => { link.tabIndex = -1; });
  makeReachable(grid, rows.linkAt(rows.top, 0));
  keepPlace(grid, rows, cells, viewer);
  if (page.dataset.live === "1") setTimeout(() => lookAgain(page, rows, cells, viewer), LOOK_AGAIN_MS);
}

// Where a key leads from a cell: row and column.
function moved(rows, cells, link, key) {
  const [row, column] = rows.placeOf(link);
  const inside = (place, size) => Math.min(Math.max(place, 0), size - 1);
  if (key === "Home") return [row, 0];
  if (key === "End") return [row, cells.width - 1];
  const high = link.closest("[data-row]").offsetHeight;
  const page = Math.max(1, Math.floor(rows.grid.clientHeight / high) - 1);
  const [down, right] = STEPS[key] ?? [key === "PageUp" ? -page : page, 0];
  return [inside(row + down, cells.height), inside(column + right, cells.width)];
}

/** One cell is reached by Tab; the arrows do the rest. */
function makeReachable(grid, link) {
  grid.querySelectorAll('[data-cell][tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
  link.tabIndex = 0;
}

// The row at the upper edge stands in the address, so that a copied link and Back lead to it.
function keepPlace(grid, rows, cells, viewer) {
  if (rows.isWhole) return;
  const asked = cells.rowAt(new URLSearchParams(location.hash.slice(1)).get("top"));
  if (asked >= 0) grid.scrollTop = asked * rows.high;
  let resting = 0;
  grid.addEventListener("scroll", () => {
    clearTimeout(resting);
    resting = setTimeout(() => {
      if (!grid.querySelector('[data-cell][tabindex="0"]')) makeReachable(grid, rows.linkAt(rows.top, 0));
      if (!viewer.isOpen) history.replaceState(history.state, "", placed(rows.top ? `#top=${cells.row(rows.top).key}` : ""));
    }, REST_MS);
  }, { passive: true });
}

const placed = (hash) => location.pathname + location.search + hash;

// A choice shows its rows at once; the address keeps only what was chosen.
function listenToFilters(page) {
  const form = page.querySelector("[data-narrow]");
  form?.addEventListener("change", () => {
    const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    location.assign(`${form.getAttribute("action")}${asked.size ? `?${asked}` : ""}`);
  });
}

async function lookAgain(page, rows, cells, viewer) {
  const { changes } = page.dataset;
  const address = `${changes}${changes.includes("?") ? "&" : "?"}${cells.asking}`;
  const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.ok) {
    const fresh = await answer.json();
    cells.renew(fresh);
    rows.renew();
    viewer.renew();
    const progress = new DOMParser().parseFromString(fresh.progress, "text/html").querySelector("[data-progress]");
    page.querySelector("[data-progress]").replaceWith(progress);
    if (!fresh.isLive) { page.dataset.live = "0"; return; }
  }
  setTimeout(() => lookAgain(page, rows, cells, viewer), LOOK_AGAIN_MS);
}

document.querySelectorAll("[data-compare]").forEach(attach);
