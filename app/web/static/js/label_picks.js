// Labels and tags in the grid: for the current photo, the picked ones, or all by filter, by the menu of the bar, in one
// request.
import "./labels.js";
import { awaited, outdated, picks, recountSoon, targets, undo } from "./grid.js";
import { sayUnderWay } from "./operations.js";
import { isComposing } from "./keys.js";
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { trouble } from "./trouble.js";

document.addEventListener("submit", (event) => {
  if (!["label", "tagged"].includes(event.submitter?.name) || !event.target.matches("[data-bulk]")) return;
  event.preventDefault();
  event.stopPropagation();
  const asked = label(event.submitter, event.target);
  awaited(asked);
}, true);

// Enter in a text is that text's own button, and not the first one of the bar.
document.addEventListener("keydown", (event) => {
  if (isComposing(event)) return;
  const strip = event.key === "Enter" && event.target.matches("[data-bulk] input:not([type=checkbox])") && event.target.closest(".strip");
  if (!strip) return;
  event.preventDefault();
  strip.querySelector("button").click();
});

async function label(button, form) {
  const tiles = targets();
  if (!tiles.length && !picks.count) return;
  const isOne = !picks.isAll && picks.count === 0;
  const text = `text-${button.value.split(":")[0]}`;
  trouble("");
  try {
    const said = await post(button.formAction, {
      ...(button.name === "label" ? { label: button.value, [text]: form.elements[text]?.value } : { tag: form.elements.tag.value }),
      q: isOne ? `id:${picks.current.dataset.tile}` : picks.query,
      expected_count: isOne ? 1 : picks.count,
      takes: form.elements.takes.checked ? "1" : null,
      replaces: form.elements.replaces.checked ? "1" : null,
    });
    if (sayUnderWay(said)) return;
    outdated(tiles);
    toast(said.sentence, said.changed === 0 ? null : { label: "Undo", key: "z", run: undo });
    recountSoon();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}
