// The comparison's grid: arrow keys move between cells, Enter opens the viewer, empty cells fill while they are drawn.
// Attached to [data-compare]. Without it the cells are links to their pictures.

import { Viewer } from "./viewer.js";

const LOOK_AGAIN_MS = 3000;
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] };

function attach(page) {
  const grid = page.querySelector("[data-grid]");
  if (!grid) return; // a category without rows
  const viewer = new Viewer(page, readSheet(grid), (row, column) => focusCell(grid, row, column));

  grid.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-cell]");
    if (!cell || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const [row, column] = placeOf(grid, cell);
    viewer.open(row, column);
  });
  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("[data-cell]");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); cell.click(); return; }
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, column] = placeOf(grid, cell);
    focusCell(grid, row + step[0], column + step[1]);
  });
  // The keys work from the start: with nothing focused, an arrow goes to the reachable cell and Enter opens it.
  document.addEventListener("keydown", (event) => {
    if (event.target !== document.body || viewer.isOpen || event.ctrlKey || event.metaKey || event.altKey) return;
    const cell = grid.querySelector('[data-cell][tabindex="0"]');
    if (!cell || !(event.key in STEPS || event.key === "Enter")) return;
    event.preventDefault();
    if (event.key === "Enter") cell.click(); else cell.focus();
  });
  grid.addEventListener("focusin", (event) => {
    const cell = event.target.closest("[data-cell]");
    if (cell) makeReachable(grid, cell);
  });
  grid.querySelectorAll("[data-cell]").forEach((cell) => { cell.tabIndex = -1; });
  const first = grid.querySelector("[data-cell]");
  if (first) makeReachable(grid, first);
  if (page.dataset.live === "1") setTimeout(() => lookAgain(page, grid, viewer), LOOK_AGAIN_MS);
}

/** What the rows hold: [{key, text, category, seed, cells: [{step, id, why}]}]. */
function readSheet(grid) {
  return [...grid.querySelectorAll("[data-row]")].map((row) => ({
    key: row.dataset.row, text: row.dataset.text, category: row.dataset.category, seed: row.dataset.seed,
    cells: [...row.querySelectorAll("[data-cell]")].map((cell) => ({
      step: Number(cell.dataset.step), id: cell.dataset.sample ?? null, why: cell.dataset.why ?? "",
    })),
  }));
}

const rowsOf = (grid) => [...grid.querySelectorAll("[data-row]")];
const cellsOf = (row) => [...row.querySelectorAll("[data-cell]")];

function placeOf(grid, cell) {
  const row = cell.closest("[data-row]");
  return [rowsOf(grid).indexOf(row), cellsOf(row).indexOf(cell)];
}

function focusCell(grid, row, column) {
  const rows = rowsOf(grid);
  const cells = cellsOf(rows[Math.min(Math.max(row, 0), rows.length - 1)]);
  const cell = cells[Math.min(Math.max(column, 0), cells.length - 1)];
  cell.focus({ preventScroll: true });
  cell.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** One cell is reached by Tab; the arrows do the rest. */
function makeReachable(grid, cell) {
  grid.querySelectorAll('[data-cell][tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
  cell.tabIndex = 0;
}

async function lookAgain(page, grid, viewer) {
  const answer = await fetch(page.dataset.rows, { headers: { "X-Fragment": "1" } }).catch(() => null);
  if (answer?.ok) {
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const cell of grid.querySelectorAll("[data-why]")) {
      const row = cell.closest("[data-row]").dataset.row;
      const now = fresh.querySelector(`[data-row="${row}"] [data-cell][data-step="${cell.dataset.step}"]`);
      if (!now || now.outerHTML === cell.outerHTML) continue;
      const hadFocus = cell === document.activeElement;
      now.tabIndex = cell.tabIndex;
      cell.replaceWith(now);
      if (hadFocus) now.focus({ preventScroll: true });
    }
    const progress = fresh.querySelector("[data-progress]");
    if (progress) page.querySelector("[data-progress]").replaceWith(progress);
    viewer.renew(readSheet(grid));
    if (!fresh.querySelector('[data-live="1"]')) { page.dataset.live = "0"; return; }
  }
  setTimeout(() => lookAgain(page, grid, viewer), LOOK_AGAIN_MS);
}

document.querySelectorAll("[data-compare]").forEach(attach);
