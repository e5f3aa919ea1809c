// What the text contradicts of its picture, as it stands now.
import { postFragment, swap, Refusal } from "./net.js";

let asking = null;

export async function claim({ text, kind }) {
  asking?.abort();
  asking = new AbortController();
  const place = document.querySelector("[data-claims]");
  place.dataset.of = kind;
  try {
    const html = await postFragment(place.dataset.claims, { text: text.value }, { signal: asking.signal });
    if (place.isConnected) swap(place, html);
  } catch (error) {
    // Without an answer the section keeps what it said of the last text.
    if (error.name !== "AbortError" && !(error instanceof Refusal)) throw error;
  }
}
