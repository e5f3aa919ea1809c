// Deciding in the grid: on the current photo, on the picked ones, or on all by filter, in one request. Marks change at
// once and change back when the answer is no. The detail pane follows the current photo.
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { comeBack, recount, show, showAround, trouble } from "./browse.js";
import { fetchMore } from "./scroll.js";
import { kept } from "./place.js";
import { deliver, pending, takeBack } from "./pending.js";
import { Picks } from "./picks.js";
import { onKey } from "./keys.js";
import { recaption } from "./recaption.js";
import { forgetCard, leadToEditor, showCard } from "./card.js";

const box = document.querySelector("[data-browse]");
export const picks = new Picks(box, { changed: sayHowMany, moved: (tile) => showCard(tile, () => picks.currentId), reach });
const format = (count) => count.toLocaleString("en-GB");

function sayHowMany() {
  const form = box.querySelector("[data-bulk]");
  const { count, total } = picks;
  form.querySelector("[data-bulk-said]").textContent =
    picks.isAll ? `All ${format(total)} selected`
    : count ? `${format(count)} selected of ${format(total)}`
    : total ? "1 photo"
    : "No photo";
  form.inert = false;
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

export function targets() {
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

// A decision on one photo, or on those picked, waits for the network where there is none. All by filter does not: who
// knows what the filter gives by then.
async function sent(address, fields, tiles) {
  if (picks.isAll) return post(address, fields);
  const [{ dataset, href }] = tiles;
  const isOne = picks.count === 0;
  const entry = isOne
    ? { name: dataset.name, photo: dataset.tile, href: new URL(href).pathname, mark: markAfter(tiles[0], fields.verdict) }
    : { name: `${format(picks.count)} photos`, photo: null, href: location.pathname + `?q=${encodeURIComponent(fields.q)}` };
  return deliver({ address, fields, ...entry });
}

let sending = Promise.resolve(); // an act is taken back once it was answered, else the one before it would be
export const awaited = (asked) => { sending = asked.catch(() => {}); };

async function decide(value) {
  const tiles = targets();
  if (!tiles.length) return;
  const [address, fields] = request(value);
  const before = tiles.map((tile) => [tile, tile.dataset.verdict]);
  const isOne = !picks.isAll && picks.count === 0;
  const picked = picks.remember();
  const asked = sent(address, fields, tiles);
  sending = asked.catch(() => {});
  tiles.forEach((tile) => mark(tile, markAfter(tile, value)));
  trouble("");
  if (isOne) picks.step(1, 0, false);
  else picks.none();
  try {
    const said = await asked;
    if (!said) return;
    if (isOne) tiles[0].dataset.decision = said.decision_id;
    outdated(tiles);
    toast(said.sentence, { label: "Undo", key: "z", run: undo });
    picks.draw();
    recountSoon();
  } catch (error) {
    before.forEach(([tile, verdict]) => mark(tile, verdict));
    picks.go(tiles[0]);
    picks.pickAgain(picked);
    if (!(error instanceof Refusal)) throw error;
    trouble(isOne ? `${tiles[0].dataset.name}: ${error.message}` : error.message);
  }
}

// What is known of these photos has changed; the one in the pane is shown anew.
export function outdated(tiles) {
  tiles.forEach((tile) => forgetCard(tile));
  if (tiles.includes(picks.current)) showCard(picks.current, () => picks.currentId);
}

export async function undo() {
  await sending;
  const unsent = await takeBack();
  if (unsent?.refusal) return; // it was not done, and the bar says so
  if (unsent) {
    toast(`${unsent.name}: taken back before it was sent`);
    return void show(location.href, { push: false });
  }
  try {
    const said = await post("/undo");
    toast(said.sentence);
    const tile = said.count === 1 ? picks.find(String(said.image_id)) : null;
    if (tile) {
      mark(tile, said.mark);
      tile.dataset.decision = said.decision_id;
      forgetCard(tile);
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
export function recountSoon() {
  clearTimeout(counting);
  counting = setTimeout(() => recount().catch(() => {}), 300);
}

box.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-bulk]")) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.querySelector("[data-reject]").open = false;
  if (event.submitter.name === "recaption") recaption(event.submitter.formAction, picks, targets(), trouble);
  else decide(event.submitter.value);
});

box.addEventListener("click", (event) => {
  if (event.target.closest("[data-bulk-all]")) picks.all();
  if (event.target.closest("[data-bulk-none]")) picks.none();
  if (event.target.closest("[data-undo]")) undo();
});

// Moving to a photo that is not here: behind the last one its page is fetched, anywhere else the list begins anew.
async function reach(place) {
  const last = picks.tiles.at(-1);
  const first = Number(picks.tiles[0].dataset.place);
  const isNext = place > Number(last.dataset.place) && place - Number(last.dataset.place) <= picks.tiles.length;
  if (isNext) await fetchMore();
  else await showAround(place);
  const there = picks.tiles.find((tile) => tile.dataset.place === String(place));
  picks.go(there ?? picks.tiles.at(place < first ? 0 : -1));
}

box.addEventListener("searched", () => picks.go(picks.current ?? picks.tiles[0]));

let known = null;
function settle() {
  const holder = box.querySelector("[data-tiles]");
  if (holder !== known) picks.forget();
  const isNew = holder !== known;
  known = holder;
  picks.settle(kept()?.photo);
  for (const entry of pending()) {
    const tile = entry.photo && picks.find(entry.photo);
    if (tile) mark(tile, entry.mark);
  }
  sayHowMany();
  if (!isNew || !picks.current) return;
  if (picks.current === picks.tiles[0]) leadToEditor(picks.current);
  else showCard(picks.current, () => picks.currentId);
}
box.addEventListener("swapped", (event) => {
  if (!event.target.closest("[data-card], [data-part]")) settle();
});
box.addEventListener("recounted", () => picks.draw());
document.addEventListener("refused", () => show(location.href, { push: false }));
document.addEventListener("delivered", ({ detail: { entry } }) => {
  outdated(entry.photo ? [picks.find(entry.photo)].filter(Boolean) : picks.tiles);
  recountSoon();
});
settle();
comeBack();
