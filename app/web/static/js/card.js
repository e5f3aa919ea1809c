// The grid's detail pane: the card of the current photo, fetched a moment after it stopped moving.
import { getFragment, swap, Refusal } from "./net.js";

const WAIT_MS = 80;
const box = document.querySelector("[data-browse]");
const cards = new Map(); // by photo: its card, there or asked for
let waiting = 0;

// Show what is known of a photo, unless another one is the current one by then.
export function showCard(tile, current) {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const id = tile.dataset.tile;
    if (!cards.has(id)) cards.set(id, getFragment(`/images/${id}/card`));
    const asked = cards.get(id);
    let card;
    try {
      card = await asked;
    } catch (error) {
      if (cards.get(id) === asked) cards.delete(id);
      if (!(error instanceof Refusal)) throw error;
      return;
    }
    if (current() !== id) return;
    // Forgotten while it was on its way: it tells what was.
    if (cards.get(id) !== asked) return void showCard(tile, current);
    const pane = box.querySelector("[data-card]");
    swap(pane, card);
    pane.scrollTo(0, 0);
    leadToEditor(tile);
  }, cards.has(tile.dataset.tile) ? 0 : WAIT_MS);
}

export function leadToEditor(tile) {
  const edit = box.querySelector("[data-card] [data-edit]");
  if (edit && tile) edit.href = `${tile.href}#text`;
}

export const forgetCard = (tile) => cards.delete(tile.dataset.tile);
