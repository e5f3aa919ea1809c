// The grid's detail pane: the card of the current photo, fetched a moment after it stopped moving.
import { getFragment, swap, Refusal } from "./net.js";

const WAIT_MS = 80;
const box = document.querySelector("[data-browse]");
const cards = new Map();
let waiting = 0;

// Show what is known of a photo, unless another one is the current one by then.
export function showCard(tile, current) {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const id = tile.dataset.tile;
    try {
      if (!cards.has(id)) cards.set(id, await getFragment(`/images/${id}/card`));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return;
    }
    if (current() !== id) return;
    const pane = box.querySelector("[data-card]");
    swap(pane, cards.get(id));
    pane.scrollTo(0, 0);
    leadToEditor(tile);
  }, cards.has(tile.dataset.tile) ? 0 : WAIT_MS);
}

export function leadToEditor(tile) {
  const edit = box.querySelector("[data-card] [data-edit]");
  if (edit && tile) edit.href = `${tile.href}#text`;
}

export const forgetCard = (tile) => cards.delete(tile.dataset.tile);
