// Which photos lie from one to another in a list, also where none of them was ever here.
import { getJson, Refusal } from "./net.js";
import { trouble } from "./trouble.js";

// { ids, is_left_out } as app/selection/ranges.py tells it; null when the answer was no.
export async function askRange({ query, sort, catalog }, from, to) {
  trouble("");
  try {
    return await getJson(`/catalogs/${catalog}/range?${new URLSearchParams({ from, to, q: query, sort })}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
    return null;
  }
}
