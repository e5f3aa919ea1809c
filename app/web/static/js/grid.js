// Deciding in the grid: on the current photo, on the picked ones, or on all by filter, in one request. Marks change at
// once and change back when the answer is no. The detail pane follows the current photo.
import { post, getFragment, swap, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { recount, show, trouble } from "./browse.js";
import { Picks } from "./picks.js";
import { onKey } from "./keys.js";

const box = document.querySelector("[data-browse]");
const WAIT_MS = 80;
const picks = new Picks(box, { changed: sayHowMany, moved: showCard });
const format = (count) => count.toLocaleString("en-GB");

function sayHowMany() {
  const form = box.querySelector("[data-bulk]");
  const { count, total } = picks;
  form.querySelector("[data-bulk-said]").textContent =
    picks.isAll ? `All ${format(total)} selected`
    : count ? `${format(count)} selected of ${format(total)}`
    : total ? "1 photo"
    : "No photo";
  form.querySelector("[data-bulk-total]").textContent = format(total);
  form.querySelector("[data-bulk-all]").hidden = picks.isAll || total < 2;
  form.querySelector("[data-bulk-none]").hidden = !count;
}

// Decisions -----------------------------------------------------------------------------------------------------------
function mark(tile, verdict) {
  tile.dataset.verdict = verdict;
  const drawn = document.querySelector(`template[data-mark-of="${verdict}"]`);
  tile.querySelector("[data-mark]").replaceChildren(...(drawn ? [document.importNode(drawn.content, true)] : []));
}

// A suggestion that is accepted becomes a decision; a photo without one stays as it is.
function markAfter(tile, value) {
  if (value === "suggested") return tile.dataset.verdict.replace("suggested-", "");
  return value.split(":")[0];
}

function targets() {
  if (picks.isAll) return picks.tiles;
  if (picks.count) return [...picks.picked].map((id) => picks.find(id)).filter(Boolean);
  return picks.current ? [picks.current] : [];
}

// The request: one photo says which decision it has seen, many say how many they are.
function request(verdict) {
  if (!picks.isAll && picks.count === 0) {
    const { tile, decision } = picks.current.dataset;
    return [`/images/${tile}/decisions`, { verdict, expected_id: decision }];
  }
  const q = picks.isAll ? picks.grid.dataset.query : `id:${[...picks.picked].join(",")}`;
  return [`/catalogs/${picks.grid.dataset.catalog}/decisions`, { verdict, q, expected_count: picks.count }];
}

async function decide(value) {
  const tiles = targets();
  if (!tiles.length) return;
  const [address, fields] = request(value);
  const before = tiles.map((tile) => [tile, tile.dataset.verdict]);
  const isOne = !picks.isAll && picks.count === 0;
  tiles.forEach((tile) => mark(tile, markAfter(tile, value)));
  trouble("");
  if (isOne) picks.step(1, 0, false);
  else picks.none();
  try {
    const said = await post(address, fields);
    if (isOne) tiles[0].dataset.decision = said.decision_id;
    tiles.forEach((tile) => cards.delete(tile.dataset.tile));
    toast(said.sentence, { label: "Undo", key: "z", run: undo });
    picks.draw();
    recountSoon();
  } catch (error) {
    before.forEach(([tile, verdict]) => mark(tile, verdict));
    picks.go(tiles[0]);
    if (!(error instanceof Refusal)) throw error;
    trouble(isOne ? `${tiles[0].dataset.name}: ${error.message}` : error.message);
  }
}

async function undo() {
  try {
    const said = await post("/undo");
    toast(said.sentence);
    const tile = said.count === 1 ? picks.find(String(said.image_id)) : null;
    if (tile) {
      mark(tile, said.mark);
      tile.dataset.decision = said.decision_id;
      cards.delete(tile.dataset.tile);
      picks.go(tile);
      recountSoon();
    } else if (said.count) show(location.href, { push: false });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble(error.message);
  }
}

onKey((event, name) => name === "Ctrl+z" && Boolean(undo()));

let counting = 0;
function recountSoon() {
  clearTimeout(counting);
  counting = setTimeout(() => recount().catch(() => {}), 300);
}

box.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-bulk]")) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.querySelector("[data-reject]").open = false;
  decide(event.submitter.value);
});

box.addEventListener("click", (event) => {
  if (event.target.closest("[data-bulk-all]")) picks.all();
  if (event.target.closest("[data-bulk-none]")) picks.none();
  if (event.target.closest("[data-undo]")) undo();
});

// The detail pane -----------------------------------------------------------------------------------------------------
const cards = new Map();
let waiting = 0;

function showCard(tile) {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const id = tile.dataset.tile;
    try {
      if (!cards.has(id)) cards.set(id, await getFragment(`/images/${id}/card`));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return;
    }
    if (picks.currentId !== id) return;
    const pane = box.querySelector("[data-card]");
    swap(pane, cards.get(id));
    pane.scrollTo(0, 0);
    leadToEditor(tile);
  }, cards.has(tile.dataset.tile) ? 0 : WAIT_MS);
}

function leadToEditor(tile) {
  const edit = box.querySelector("[data-card] [data-edit]");
  if (edit && tile) edit.href = `${tile.href}#text`;
}

let known = null;
function settle() {
  const holder = box.querySelector("[data-tiles]");
  if (holder !== known) picks.forget();
  const isNew = holder !== known;
  known = holder;
  picks.settle();
  sayHowMany();
  if (!isNew || !picks.current) return;
  if (picks.current === picks.tiles[0]) leadToEditor(picks.current);
  else showCard(picks.current);
}
box.addEventListener("swapped", (event) => {
  if (!event.target.closest("[data-card], [data-part]")) settle();
});
box.addEventListener("recounted", () => picks.draw());
settle();
