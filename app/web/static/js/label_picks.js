// Labelling in the grid: the current photo, the picked ones, or all by filter, by the menu of the bar, in one request.
import "./labels.js";
import { awaited, outdated, picks, recountSoon, targets, undo } from "./grid.js";
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { trouble } from "./trouble.js";

document.addEventListener("submit", (event) => {
  if (event.submitter?.name !== "label" || !event.target.matches("[data-bulk]")) return;
  event.preventDefault();
  event.stopPropagation();
  const asked = label(event.submitter, event.target);
  awaited(asked);
}, true);

async function label(button, form) {
  const tiles = targets();
  if (!tiles.length) return;
  const isOne = !picks.isAll && picks.count === 0;
  const text = `text-${button.value.split(":")[0]}`;
  trouble("");
  try {
    const said = await post(button.formAction, {
      label: button.value,
      [text]: form.elements[text]?.value,
      q: isOne ? `id:${picks.current.dataset.tile}` : picks.query,
      expected_count: isOne ? 1 : picks.count,
      takes: form.elements.takes.checked ? "1" : null,
      replaces: form.elements.replaces.checked ? "1" : null,
    });
    outdated(tiles);
    toast(said.sentence, { label: "Undo", key: "z", run: undo });
    recountSoon();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}
