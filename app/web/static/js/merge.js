// Two texts that came from one, put together by words. What one of them changed is taken; where both changed the same
// words, or put words in at the same place, somebody has to choose.
import { edited, editsOf, textOf, wordsOf } from "./words.js";

// Pieces in order: { kind: "same" | "mine" | "theirs" | "both", words }, or { kind: "clash", base, mine, theirs }.
export function merge(base, mine, theirs) {
  const before = wordsOf(base);
  const by = (who, text) => editsOf(before, wordsOf(text)).map((edit) => ({ ...edit, who }));
  const edits = [...by("mine", mine), ...by("theirs", theirs)].sort((one, other) => one.from - other.from || one.to - other.to);
  const pieces = [];
  let at = 0;
  for (const group of together(edits)) {
    if (group.from > at) pieces.push({ kind: "same", words: before.slice(at, group.from) });
    pieces.push(piece(before, group));
    at = group.to;
  }
  if (at < before.length) pieces.push({ kind: "same", words: before.slice(at) });
  return pieces;
}

// Edits of the same words, or that put words in where others were changed.
function together(edits) {
  const groups = [];
  for (const edit of edits) {
    const last = groups.at(-1);
    const puts = (each) => each.from === each.to;
    const meets = last && (edit.from < last.to || (edit.from === last.to && (puts(edit) || puts(last))));
    if (meets) {
      last.to = Math.max(last.to, edit.to);
      last.edits.push(edit);
    } else groups.push({ from: edit.from, to: edit.to, edits: [edit] });
  }
  return groups;
}

function piece(before, { from, to, edits }) {
  const of = (who) => edited(before, from, to, edits.filter((edit) => edit.who === who));
  const [mine, theirs] = [of("mine"), of("theirs")];
  if (!edits.some((edit) => edit.who === "theirs")) return { kind: "mine", words: mine, base: before.slice(from, to) };
  if (!edits.some((edit) => edit.who === "mine")) return { kind: "theirs", words: theirs, base: before.slice(from, to) };
  if (textOf(mine) === textOf(theirs)) return { kind: "both", words: mine, base: before.slice(from, to) };
  return { kind: "clash", base: before.slice(from, to), mine, theirs };
}

// The merged text, with "mine" or "theirs" for each clash in order.
export function mergedText(pieces, choices = []) {
  let clash = 0;
  return textOf(pieces.flatMap((each) => (each.kind === "clash" ? each[choices[clash++]] : each.words)));
}
