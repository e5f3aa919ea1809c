// Asking a captioner again in the grid, for the current photo, the picked ones, or all by filter, in one request. Of many
// photos captions come when a worker has written them; nothing changes here meanwhile.
import { awaited, outdated, picks, recountSoon, targets } from "./grid.js";
import { post, Refusal } from "./net.js";
import { sayUnderWay, undoOf } from "./operations.js";
import { toast } from "./toast.js";
import { trouble } from "./trouble.js";

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.name !== "recaption" || !event.target.matches("[data-bulk]")) return;
  event.preventDefault();
  event.stopPropagation();
  button.closest("details").open = false;
  awaited(recaption(button, targets()));
}, true);

// A link that goes on with what is picked, where something is.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-picked]");
  if (!link || !picks.count) return;
  const address = new URL(link.href);
  address.searchParams.set("q", picks.query);
  link.href = address;
});

async function recaption(button, tiles) {
  if (!tiles.length && !picks.count) return;
  const isOne = picks.count === 0;
  trouble("");
  try {
    const said = await post(button.formAction, {
      q: isOne ? `id:${tiles[0].dataset.tile}` : picks.query,
      expected_count: picks.count || 1,
      replaces_people: button.form.elements.replaces_people.checked ? "1" : null,
      ...asking(button.form),
    });
    if (sayUnderWay(said)) return;
    outdated(tiles);
    toast(said.sentence, said.changed ? undoOf(said.operation_id) : null);
    recountSoon();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}

// How the captioner is asked, of those fields that the page has. What it writes besides comes as one word list.
function asking(form) {
  const asked = form.querySelector(".asking");
  if (!asked) return {};
  const field = (name) => asked.querySelector(`[name=${name}]`);
  return {
    from_facts: field("from_facts").checked ? "1" : null,
    length: field("length").value,
    style: field("style").value,
    facts: field("facts").checked ? "1" : null,
    also: [...asked.querySelectorAll("[name=also]:checked")].map((each) => each.value).join(" "),
    prompt: field("prompt").value,
  };
}
