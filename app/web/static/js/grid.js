// Deciding in the grid: on the current photo, on the picked ones, or on all by filter, in one request. Marks change at
// once and change back when the answer is no. The detail pane follows the current photo.
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { comeBack, recount, show } from "./browse.js";
import { jumping } from "./jump.js";
import { kept } from "./place.js";
import { trouble } from "./trouble.js";
import "./live.js";
import "./size.js";
import { deliver, pending, takeBack } from "./pending.js";
import { Picks } from "./picks.js";
import { askRange } from "./ranges.js";
import { tally } from "./tally.js";
import { onKey } from "./keys.js";
import { followOperations, sayUnderWay } from "./operations.js";
import { forgetCard, leadToEditor, showCard } from "./card.js";

const box = document.querySelector("[data-browse]");
export const picks = new Picks(box, { changed: sayHowMany, moved: shown, askRange: (from, to) => askRange(picks.grid.dataset, from, to) });
let inPane = null; // the photo whose card is in the pane, or on its way there
const format = (count) => count.toLocaleString("en-GB");

function shown(tile) {
  inPane = tile.dataset.tile;
  showCard(tile, () => picks.currentId);
}

function sayHowMany() {
  tally(box.querySelector("[data-bulk]"), picks);
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

// The photos in the page that are meant.
export function targets() {
  if (picks.count) return picks.tiles.filter((tile) => picks.has(tile.dataset.tile));
  return picks.current ? [picks.current] : [];
}

// The request: one photo says which decision it has seen, many say how many they are.
function request(verdict) {
  if (picks.count === 0) {
    const { tile, decision } = picks.current.dataset;
    return [`/images/${tile}/decisions`, { verdict, expected_id: decision }];
  }
  return [`/catalogs/${picks.grid.dataset.catalog}/decisions`, { verdict, q: picks.query, expected_count: picks.count }];
}

// A decision on one photo, or on those picked, waits for the network where there is none. All by filter does not: who
// knows what the filter gives by then.
async function sent(address, fields, tiles) {
  if (picks.isAll) return post(address, fields);
  if (picks.count) {
    const href = location.pathname + `?q=${encodeURIComponent(fields.q)}`;
    return deliver({ address, fields, name: `${format(picks.count)} photos`, photo: null, href });
  }
  const [{ dataset, href }] = tiles;
  const photo = { name: dataset.name, photo: dataset.tile, href: new URL(href).pathname };
  return deliver({ address, fields, ...photo, mark: markAfter(tiles[0], fields.verdict) });
}

let sending = Promise.resolve(); // an act is taken back once it was answered, else the one before it would be
export const awaited = (asked) => { sending = asked.catch(() => {}); };

async function decide(value) {
  await picks.asking;
  const tiles = targets();
  // Nothing is decided of a photo that nobody sees: it is shown first.
  if (!tiles.length && !picks.count) return void picks.goTo(picks.currentPlace);
  const [address, fields] = request(value);
  const before = tiles.map((tile) => [tile, tile.dataset.verdict]);
  const isOne = picks.count === 0;
  const picked = picks.remember();
  const asked = sent(address, fields, tiles);
  sending = asked.catch(() => {});
  tiles.forEach((tile) => mark(tile, markAfter(tile, value)));
  trouble("");
  if (isOne) picks.step(1, 0, false);
  else picks.none();
  try {
    const said = await asked;
    if (!said || sayUnderWay(said)) return;
    if (isOne) tiles[0].dataset.decision = said.decision_id;
    outdated(tiles);
    toast(said.sentence, said.changed === 0 ? null : { label: "Undo", key: "z", run: undo });
    picks.draw();
    recountSoon();
  } catch (error) {
    before.forEach(([tile, verdict]) => mark(tile, verdict));
    if (isOne) picks.go(tiles[0]);
    picks.take(picked);
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
    if (sayUnderWay(said)) return;
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

onKey((event, name) => name === "Ctrl+z" && Boolean(box.querySelector("[data-undo]")) && Boolean(undo()));

let counting = 0;
export function recountSoon() {
  clearTimeout(counting);
  counting = setTimeout(() => recount().catch(() => {}), 300);
}

followOperations(box, picks, targets);
box.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-bulk]")) return;
  event.preventDefault();
  event.stopPropagation();
  for (const menu of event.target.querySelectorAll("details")) menu.open = false;
  decide(event.submitter.value);
});

box.addEventListener("click", (event) => {
  if (event.target.closest("[data-bulk-all]")) picks.all();
  if (event.target.closest("[data-bulk-none]")) picks.none();
  if (event.target.closest("[data-undo]")) undo();
});

jumping(box, picks);
box.addEventListener("searched", () => picks.go(picks.current ?? picks.tiles[0]));

let known = null;
function settle() {
  const holder = box.querySelector("[data-tiles]");
  if (holder !== known) picks.forget();
  const isNew = holder !== known;
  known = holder;
  picks.settle(kept());
  for (const entry of pending()) {
    const tile = entry.photo && picks.find(entry.photo);
    if (tile) mark(tile, entry.mark);
  }
  sayHowMany();
  if (!picks.current || (!isNew && picks.currentId === inPane)) return;
  // A new list comes with the card of its first photo.
  if (isNew && picks.current === picks.tiles[0]) leadToEditor(picks.current);
  else showCard(picks.current, () => picks.currentId);
  inPane = picks.currentId;
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
