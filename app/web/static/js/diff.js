// Word by word: what was taken out of one text and put in to make another. Long equal parts become an ellipsis.
const MOST_WORDS = 400;
const AROUND = 3;

// Pieces of [kind, words] with kind "same", "del" or "ins"; null when the texts are too long to compare at once.
export function compare(before, after) {
  const a = words(before), b = words(after);
  if (a.length > MOST_WORDS || b.length > MOST_WORDS) return null;
  // Longest common subsequence, by the usual table.
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const pieces = [];
  const add = (kind, word) => {
    if (pieces.at(-1)?.[0] === kind) pieces.at(-1)[1].push(word);
    else pieces.push([kind, [word]]);
  };
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add("same", a[i++]); j++; }
    else if (j >= b.length || (i < a.length && table[i + 1][j] >= table[i][j + 1])) add("del", a[i++]);
    else add("ins", b[j++]);
  }
  return pieces;
}

export function draw(place, pieces) {
  place.replaceChildren(...pieces.flatMap(([kind, list], at) => {
    if (kind === "same") return [shorten(list, at > 0, at < pieces.length - 1), " "];
    const node = document.createElement(kind);
    node.textContent = list.join(" ");
    return [node, " "];
  }));
}

const words = (text) => text.split(/\s+/).filter(Boolean);

function shorten(list, hasBefore, hasAfter) {
  const head = hasBefore ? AROUND : 0, tail = hasAfter ? AROUND : 0;
  if (list.length <= head + tail + 1) return list.join(" ");
  return [...list.slice(0, head), "…", ...list.slice(list.length - tail)].join(" ");
}
