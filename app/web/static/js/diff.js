// Word by word: what was taken out of one text and put in to make another. Long equal parts become an ellipsis.
import { editsOf, textOf, wordsOf } from "./words.js";

const AROUND = 3;

// Pieces of [kind, words] with kind "same", "del" or "ins".
export function compare(before, after) {
  const words = wordsOf(before);
  const pieces = [];
  const add = (kind, list) => list.length && pieces.push([kind, list]);
  let at = 0;
  for (const edit of editsOf(words, wordsOf(after))) {
    add("same", words.slice(at, edit.from));
    add("del", words.slice(edit.from, edit.to));
    add("ins", edit.words);
    at = edit.to;
  }
  add("same", words.slice(at));
  return pieces;
}

export function draw(place, pieces, { isWhole = false } = {}) {
  place.replaceChildren(...pieces.flatMap(([kind, list], at) => {
    const space = list[0].startsWith(" ") ? " " : "";
    if (kind === "same") return [space, isWhole ? textOf(list) : shorten(list, at > 0, at < pieces.length - 1)];
    const node = document.createElement(kind);
    node.textContent = textOf(list);
    return [space, node];
  }));
}

function shorten(list, hasBefore, hasAfter) {
  const head = hasBefore ? AROUND : 0, tail = hasAfter ? AROUND : 0;
  if (list.length <= head + tail + 1) return textOf(list);
  return [textOf(list.slice(0, head)), "…", textOf(list.slice(list.length - tail))].join(" ").trim();
}
