// The desk. The next photos are fetched and decoded beforehand, so that a key shows the next one on the following frame.
// A decision is sent after the page has moved on; when the answer is no, the page goes back to that photo and says why.
import { post, getFragment, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { isTyping, onKey } from "./keys.js";

const box = document.querySelector("[data-desk]");
const AHEAD = 3;
const PAST = 5;
const ready = new Map(); // address -> the article, built and decoded
const coming = new Map(); // address -> the promise of it
const made = new Map(); // photo -> what was decided here, for strips that were fetched before
let sending = Promise.resolve();
let turn = 0;

const article = () => box.firstElementChild;
const isPhoto = (address) => new URL(address, location.href).pathname.startsWith("/images/");

// Fetching ahead ------------------------------------------------------------------------------------------------------
function prepare(address) {
  if (ready.has(address)) return Promise.resolve(ready.get(address));
  if (!coming.has(address)) {
    const fetched = getFragment(address).then(async (html) => {
      const made = document.createRange().createContextualFragment(html).querySelector("article");
      await made.querySelector("[data-picture]").decode().catch(() => {}); // a broken file still has its page
      ready.set(address, made);
      return made;
    });
    coming.set(address, fetched);
    fetched.catch(() => {}).finally(() => coming.delete(address));
  }
  return coming.get(address);
}

function fetchAhead() {
  const behind = [...box.querySelectorAll("[data-cell].to-come")].slice(0, AHEAD);
  const wanted = new Set([article().dataset.next, ...behind.map((cell) => cell.getAttribute("href"))].filter(isPhoto));
  for (const address of ready.keys()) if (!wanted.has(address)) ready.delete(address);
  for (const address of wanted) prepare(address).catch(() => {});
}

// Moving --------------------------------------------------------------------------------------------------------------
export async function go(address, { push = true, isFresh = false } = {}) {
  if (!isPhoto(address)) {
    await sending;
    location.assign(address);
    return;
  }
  const mine = ++turn;
  if (isFresh) ready.delete(address);
  let next = ready.get(address);
  if (!next) {
    try {
      next = await prepare(address);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (mine === turn) trouble(error.message);
      return;
    }
  }
  if (mine !== turn) return;
  ready.delete(address);
  bringPast(next);
  box.replaceChildren(next);
  if (push && location.pathname + location.search !== address) history.pushState(null, "", address);
  settle();
  box.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

// A photo that was fetched before this one was decided does not know it as the one before.
function bringPast(next) {
  const here = box.querySelector(".cell.here");
  const cells = next.querySelector(".cells");
  const isThere = (cell) => cells.querySelector(`[data-cell="${cell.dataset.cell}"]`);
  const past = [...box.querySelectorAll(".cell.past"), here];
  if (isThere(here) || past.some((cell) => cell.dataset.cell === next.dataset.photo)) return;
  cells.querySelectorAll(".past").forEach((cell) => cell.remove());
  cells.prepend(...past.slice(-PAST).map((cell) => {
    const copy = cell.cloneNode(true);
    copy.classList.replace("here", "past");
    copy.removeAttribute("aria-current");
    return copy;
  }));
  const before = next.querySelector('[data-step="previous"]');
  before.href = here.getAttribute("href");
  before.hidden = false;
}

function settle() {
  const { name } = article().dataset;
  document.title = `${name} · Packshot`;
  const crumb = document.querySelector('[data-copy-of="crumb"]');
  if (crumb) crumb.textContent = name;
  for (const [photo, verdict] of made) {
    const drawn = document.querySelector(`template[data-mark-of="${verdict}"]`);
    const place = box.querySelector(`[data-cell="${photo}"] [data-mark]`);
    place?.replaceChildren(...(drawn ? [document.importNode(drawn.content, true)] : []));
  }
  const cells = box.querySelector(".cells");
  const here = cells.querySelector(".here");
  cells.scrollLeft = here.offsetLeft - cells.clientWidth / 3;
  fetchAhead();
}

// Where the photo lies in the row that is walked now.
function addressOf(photo) {
  return `/images/${photo}${location.search}`;
}

// Deciding ------------------------------------------------------------------------------------------------------------
function decide(value, mark = value.split(":")[0]) {
  const { photo, name, decision, next } = article().dataset;
  made.set(photo, mark);
  trouble("");
  send(async () => {
    try {
      const said = await post(`/images/${photo}/decisions`, { verdict: value, expected_id: decision }, { keepalive: true });
      toast(said.sentence, { label: "Undo", key: "z", run: undo });
      const count = box.querySelector("[data-waiting]");
      if (count) count.textContent = said.waiting.toLocaleString("en-GB");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      made.delete(photo);
      await comeBack(photo, `${name}: ${error.message}`);
    }
  });
  go(next);
}

// One after the other, in the order of the keys.
export function send(run) {
  sending = sending.then(run, run);
  return sending;
}

// Return to a photo whose change was refused; somebody who is typing is only told.
export async function comeBack(photo, sentence) {
  trouble(sentence);
  if (!isTyping(document.activeElement)) await go(addressOf(photo), { isFresh: true });
}

export function undo() {
  return send(async () => {
    try {
      const said = await post("/undo");
      toast(said.sentence);
      if (said.image_id === null) return;
      made.delete(String(said.image_id));
      await go(addressOf(said.image_id), { isFresh: true });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      trouble(error.message);
    }
  });
}

onKey((event, name) => name === "Ctrl+z" && Boolean(undo()));

export function trouble(sentence) {
  const place = document.querySelector("[data-trouble]");
  place.textContent = sentence;
  place.hidden = !sentence;
}

document.addEventListener("submit", (event) => {
  const isDecision = event.target.matches("[data-decide]");
  if (!isDecision && !event.target.matches("[data-undo-form]")) return;
  event.preventDefault();
  event.stopPropagation();
  if (isDecision) decide(event.submitter.value, event.submitter.dataset.mark);
  else undo();
}, true);

box.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-step], a[data-cell]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  trouble("");
  go(link.getAttribute("href"));
});

addEventListener("popstate", () => go(location.pathname + location.search, { push: false }));
settle();
