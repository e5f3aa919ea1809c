// Both texts and the one they came from, and the two put together by words. Where both changed the same words, a choice.
import { compare, draw } from "./diff.js";
import { merge, mergedText } from "./merge.js";
import { textOf } from "./words.js";

const WRITTEN = { mine: "yours", theirs: "theirs", both: "both wrote this" };
const TAKEN = { mine: "you took it out", theirs: "they took it out", both: "both took it out" };

function element(tag, values, ...inside) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...inside);
  return made;
}

// A text, with what it changed of the one that both came from.
function part(title, base, words) {
  const body = element("p", {});
  if (base && words && base !== words) draw(body, compare(base, words), { isWhole: true });
  else body.textContent = words || "nothing";
  return element("div", { className: "side-of" }, element("h3", {}, title), body);
}

/**
 * older: { text, base }, the draft; current: the text that stands now; word: what it is called; author: who wrote it.
 * take(text) is called with a text to put in the editor, or with null to drop mine.
 */
export function showBoth(place, { current, author, older, word }, take) {
  const done = (text) => {
    place.hidden = true;
    take(text);
  };
  const button = (label, text, look = "") => {
    const made = element("button", { type: "button", className: `btn small ${look}` }, label);
    made.addEventListener("click", () => done(typeof text === "function" ? text() : text));
    return made;
  };
  const pieces = merge(older.base, older.text, current);
  const choices = pieces.filter((piece) => piece.kind === "clash").map(() => null);
  const merged = button("Put both in the editor", () => mergedText(pieces, choices), "main");
  const left = element("p", { className: "t11 mute" });
  const settle = () => {
    const open = choices.filter((choice) => choice === null).length;
    merged.disabled = open > 0;
    left.textContent = open ? `Both changed the same words at ${open === 1 ? "one place" : `${open} places`}: choose there.` : "";
    left.hidden = !open;
  };
  const together = element("p", { className: "merged" });
  drawMerged(together, pieces, choices, settle);
  settle();
  place.replaceChildren(
    element("p", { className: "strong" }, `This ${word} was changed while you wrote yours. Nothing of yours is lost.`),
    part(author ? `Now, by ${author}` : "Now", older.base, current),
    part("Yours", older.base, older.text),
    part("Both came from", "", older.base),
    element("div", { className: "side-of" }, element("h3", {}, "Both together"), together, left),
    element("div", { className: "row wrap" }, merged, button("Put mine in the editor", older.text), button("Drop mine", null)),
  );
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" }); // where one of two texts is to be chosen, it does not lie out of sight
}

function drawMerged(place, pieces, choices, chosen) {
  let clash = 0;
  for (const piece of pieces) {
    if (piece.kind === "clash") {
      place.append(" ", choice(piece, clash++, choices, chosen));
      continue;
    }
    const words = textOf(piece.words);
    const space = piece.words[0]?.startsWith(" ") ? " " : "";
    if (piece.kind === "same") place.append(space, words);
    else if (words) place.append(space, element("ins", { title: WRITTEN[piece.kind] }, words));
    else place.append(" ", element("del", { title: TAKEN[piece.kind] }, textOf(piece.base)));
  }
}

function choice(piece, at, choices, chosen) {
  const group = element("span", { className: "choice", role: "group", ariaLabel: "Yours or theirs" });
  for (const who of ["mine", "theirs"]) {
    const words = textOf(piece[who]) || "nothing";
    const made = element("button", { type: "button", className: "pick", title: who === "mine" ? "yours" : "theirs" }, words);
    made.setAttribute("aria-pressed", "false");
    made.addEventListener("click", () => {
      choices[at] = who;
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === made));
      chosen();
    });
    group.append(made);
  }
  return group;
}
