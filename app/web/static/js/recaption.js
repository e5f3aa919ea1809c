// Asking a captioner again, for what is picked in the grid, in one request. Captions come when a worker has written them;
// nothing changes here meanwhile.
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { forgetCard } from "./card.js";
import { trouble } from "./trouble.js";

export async function recaption(address, picks, tiles) {
  const isOne = picks.count === 0;
  if (isOne && !tiles.length) return;
  trouble("");
  try {
    const q = isOne ? `id:${tiles[0].dataset.tile}` : picks.query;
    const said = await post(address, { q, expected_count: picks.count || 1 });
    toast(said.sentence);
    tiles.forEach((tile) => forgetCard(tile));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}
