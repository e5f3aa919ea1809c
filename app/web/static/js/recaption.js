// Asking a captioner again, for what is picked in the grid, in one request. Captions come when a worker has written them;
// nothing changes here meanwhile.
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { forgetCard } from "./card.js";

export async function recaption(address, picks, tiles, trouble) {
  if (!tiles.length) return;
  const isOne = !picks.isAll && picks.count === 0;
  const ids = isOne ? [tiles[0].dataset.tile] : [...picks.picked];
  trouble("");
  try {
    const q = picks.isAll ? picks.grid.dataset.query : `id:${ids.join(",")}`;
    const said = await post(address, { q, expected_count: isOne ? 1 : picks.count });
    toast(said.sentence);
    tiles.forEach((tile) => forgetCard(tile));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}
