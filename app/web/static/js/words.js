// Texts as words, each with the space before it, and what was changed between two: the words of Chinese and Japanese are
// their characters, for nothing stands between them.
const WORD = / ?(?:[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}\p{M}'’_-]+|\S)/gu;
const MOST_CELLS = 16_000_000; // of the table: 4,000 words against 4,000

export const wordsOf = (text) => (text.trim() ? ` ${text.trim().replace(/\s+/g, " ")}`.match(WORD) : []);
export const textOf = (words) => words.join("").trim();

// What makes one list of words of another: [{ from, to, words }], each in place of before[from..to), in order and apart by
// at least one word that both have.
export function editsOf(before, after) {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const a = before.slice(head, before.length - tail), b = after.slice(head, after.length - tail);
  if (!a.length && !b.length) return [];
  if (a.length * b.length > MOST_CELLS) return [{ from: head, to: head + a.length, words: b }];
  // Longest common subsequence, by the usual table.
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const edits = [];
  let open = null;
  const edit = (at) => (open ??= edits[edits.push({ from: at, to: at, words: [] }) - 1]);
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { open = null; i++; j++; }
    else if (j >= b.length || (i < a.length && table[i + 1][j] >= table[i][j + 1])) edit(head + i).to = head + ++i;
    else edit(head + i).words.push(b[j++]);
  }
  return edits;
}

// Words of `before` from one place to another with edits in them.
export function edited(before, from, to, edits) {
  const words = [];
  let at = from;
  for (const edit of edits) {
    words.push(...before.slice(at, edit.from), ...edit.words);
    at = edit.to;
  }
  return [...words, ...before.slice(at, to)];
}
