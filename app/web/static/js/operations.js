// Acts on many photos beside decisions: assigning what is picked, and how an act is said that a worker does. Pages are
// shown anew when it is begun and when it is over.
import { getJson, post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { show } from "./browse.js";
import { trouble } from "./trouble.js";

const showAnew = () => show(location.href, { push: false });

async function tried(act) {
  trouble("");
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}

export function undoOf(operation) {
  const run = () => tried(async () => {
    const said = await post(`/operations/${operation}/undo`);
    await showAnew();
    toast(said.sentence);
  });
  return { label: "Undo", key: "z", run };
}

// Many photos are changed by a worker: the bar shows how far it is. True where that is so.
export function sayUnderWay(said) {
  if (said.job_id) showAnew().then(() => toast(said.sentence));
  return Boolean(said.job_id);
}

const assign = (button, picks, tiles) => tried(async () => {
  const isOne = !picks.isAll && picks.count === 0;
  const q = isOne ? `id:${tiles[0].dataset.tile}` : picks.query;
  const said = await post(button.formAction, { q, person_id: button.value, expected_count: isOne ? 1 : picks.count });
  if (sayUnderWay(said)) return;
  await showAnew();
  toast(said.sentence, said.changed ? undoOf(said.operation_id) : null);
});

// data-operation="12": when its job is over, the page is shown anew and what was done is said.
export function followOperations(box, picks, targets) {
  box.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "person_id") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    event.submitter.closest("details").open = false;
    const tiles = targets();
    if (tiles.length || picks.count) assign(event.submitter, picks, tiles);
  });
  box.addEventListener("job-over", async ({ target }) => {
    const { operation } = target.dataset;
    if (!operation) return;
    const said = await getJson(`/operations/${operation}`);
    await showAnew();
    toast(said.sentence, said.may_undo ? undoOf(operation) : null);
  });
}
