// What was changed: by the text in the editor, and by each version of a caption of the one it was made from.
import { compare, draw } from "./diff.js";

// What the text in the editor changed of the captioner's.
export function showDiff({ section, text }) {
  const { machine } = section.dataset;
  const pieces = machine && machine.trim() !== text.value.trim() ? compare(machine, text.value) : null;
  section.querySelector("[data-diff-box]").hidden = !pieces;
  if (pieces) draw(section.querySelector("[data-diff]"), pieces);
}

document.addEventListener("toggle", (event) => {
  if (!event.target.matches("[data-versions]") || !event.target.open) return;
  for (const words of event.target.querySelectorAll("[data-from]")) {
    draw(words, compare(words.dataset.from, words.textContent), { isWhole: true });
    delete words.dataset.from;
  }
}, true);
