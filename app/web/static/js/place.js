// Where one is in the grid, kept with the page's entry in the browser's history: the photo at the top, how far it is
// scrolled past, and the current one. Going back or loading again finds the same place, however far down it was.
const ROWS_GAP = 6;

// { first, past, photo } of this entry, or null.
export const kept = () => history.state?.grid ?? null;

export function keep(grid) {
  if (grid.closest("[aria-busy]")) return; // what is here is not this entry's any more, or not yet
  const top = grid.getBoundingClientRect().top;
  const first = [...grid.querySelectorAll("[data-tile]")].find((tile) => tile.getBoundingClientRect().bottom + ROWS_GAP > top);
  if (!first) return;
  const past = Math.round(top - first.getBoundingClientRect().top);
  const photo = grid.querySelector(".tile.cur")?.dataset.tile;
  history.replaceState({ ...history.state, grid: { first: Number(first.dataset.place), past, photo } }, "");
}

// Scroll to where it was; false when the photo at the top is not here.
export function scrollBack(grid, { first, past }) {
  const tile = grid.querySelector(`[data-tile][data-place="${first}"]`);
  if (!tile) return false;
  grid.scrollTop += tile.getBoundingClientRect().top - grid.getBoundingClientRect().top + past;
  return true;
}
