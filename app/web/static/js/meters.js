// How many tokens the text is to each encoder, as it stands; and in the text itself, where an encoder stops reading: under
// the field lies the same text, unseen, with what is cut off marked in it.
import { postFragment, swap, Refusal } from "./net.js";

let asking = null;

// Ask, and mark where the text is cut off. What is asked again meanwhile is asked alone.
export async function weigh(panel, text) {
  const place = panel.querySelector("[data-meters]");
  asking?.abort();
  asking = new AbortController();
  const weighed = text.value;
  try {
    const html = await postFragment("/captions/tokens", { text: weighed }, { signal: asking.signal });
    if (!place.isConnected || text.value !== weighed) return;
    swap(place, html);
    mark(panel, text);
  } catch (error) {
    // Without an answer the meters keep what they said of the last text.
    if (error.name !== "AbortError" && !(error instanceof Refusal)) throw error;
  }
}

const cutsOf = (panel) =>
  [...panel.querySelectorAll("[data-kept]")].map((row) => Number(row.dataset.kept)).sort((one, other) => one - other);

function mark(panel, text) {
  const mirror = panel.querySelector("[data-mirror]");
  const { value } = text;
  const cuts = [...new Set(cutsOf(panel))].filter((cut) => cut < value.length);
  const parts = cuts.map((cut, at) => {
    const span = document.createElement("span");
    span.className = "beyond";
    span.textContent = value.slice(cut, cuts[at + 1] ?? value.length);
    return span;
  });
  // A last line that is empty has no height of its own.
  mirror.replaceChildren(value.slice(0, cuts[0] ?? value.length), ...parts, "\u200b");
  follow(panel, text);
}

// Until the answer comes: the marks go with the words that they stood at.
export function shift(panel, text) {
  const mirror = panel.querySelector("[data-mirror]");
  const spans = [...mirror.querySelectorAll(".beyond")];
  if (!spans.length) return;
  const before = mirror.textContent.length - 1;
  const grown = text.value.length - before;
  const rows = [...panel.querySelectorAll("[data-kept]")];
  const at = text.selectionEnd - Math.max(grown, 0);
  for (const row of rows.filter((each) => at <= Number(each.dataset.kept))) {
    row.dataset.kept = Math.max(0, Number(row.dataset.kept) + grown);
  }
  mark(panel, text);
}

document.addEventListener("scroll", ({ target }) => {
  if (target.matches?.("[data-text]")) follow(target.closest("[data-caption]"), target);
}, { capture: true, passive: true });

export function follow(panel, text) {
  const mirror = panel.querySelector("[data-mirror]");
  mirror.scrollTop = text.scrollTop;
}
