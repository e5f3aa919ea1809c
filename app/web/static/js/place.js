// Where one is in the grid, kept with the page's entry in the browser's history: the photo at the top, how far it is
// scrolled past, and the current one. Going back or loading again finds the same place, however far down it was.
const ROWS_GAP = 6;

// { first, past, photo, place } of this entry, or null: `place` is the photo's own.
export const kept = () => history.state?.grid ?? null;

export function keep(grid) {
  if (grid.closest("[aria-busy]")) return; // what is here is not this entry's any more, or not yet
  const top = grid.getBoundingClientRect().top;
  const first = [...grid.querySelectorAll("[data-tile]")].find((tile) => tile.getBoundingClientRect().bottom + ROWS_GAP > top);
  if (!first) return;
  const past = Math.round(top - first.getBoundingClientRect().top);
  const { photo, place } = grid.dataset.current ? JSON.parse(grid.dataset.current) : {};
  history.replaceState({ ...history.state, grid: { first: Number(first.dataset.place), past, photo, place } }, "");
}
