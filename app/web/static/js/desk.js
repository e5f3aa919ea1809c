// The desk. The next photos are fetched and decoded beforehand, so that a key shows the next one on the following frame.
// What is decided is sent after the page has moved on: decide.js.
import { getFragment, post, Refusal } from "./net.js";
import { isTyping } from "./keys.js";
import { isWaiting } from "./pending.js";
import { bringPast, extend } from "./ahead.js";
import { markStrip, stamp, freshen } from "./row.js";

const box = document.querySelector("[data-desk]");
const AHEAD = 5; // as many as are held for a person
const PAST = 5;
const ready = new Map(); // address -> the article, built and decoded
const coming = new Map(); // address -> the promise of it
const left = new Map(); // address -> the article that was shown last, for going back while nothing can be fetched
let wanted = null; // where to go as soon as Packshot answers again
let sending = Promise.resolve();
let extending = Promise.resolve();
let turn = 0;

export const article = () => box.firstElementChild;
const isPhoto = (address) => new URL(address, location.href).pathname.startsWith("/images/");

// Fetching ahead ------------------------------------------------------------------------------------------------------
function prepare(address) {
  if (ready.has(address)) return Promise.resolve(ready.get(address));
  if (!coming.has(address)) {
    const mark = stamp();
    const asked = getFragment(address).then(async (html) => {
      const built = document.createRange().createContextualFragment(html).querySelector("article");
      await built.querySelector("[data-picture]").decode().catch(() => {}); // a broken file still has its page
      mark(built);
      if (coming.get(address) === asked) ready.set(address, built); // not forgotten meanwhile
      return built;
    });
    coming.set(address, asked);
    asked.catch(() => {}).finally(() => coming.get(address) === asked && coming.delete(address));
  }
  return coming.get(address);
}

// The head of a queue, which is asked for where what was fetched ahead ends: the page stays, and another photo comes into it.
async function headOf(address) {
  if (new URL(address, location.href).pathname !== "/desk") return null;
  const html = await getFragment(address).catch(() => "");
  const built = document.createRange().createContextualFragment(html).querySelector("article.dsk");
  if (!built) return null; // nothing is left, or nobody answers: the page says so itself
  await built.querySelector("[data-picture]").decode().catch(() => {});
  ready.set(built.dataset.address, built);
  return built.dataset.address;
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
    if (isWaiting()) return away(address);
    const head = await headOf(address);
    if (!head) location.assign(address);
    else await go(head);
    return;
  }
  const mine = ++turn;
  if (isFresh) forgetReady(address);
  let next = ready.get(address);
  if (!next) {
    try {
      next = await prepare(address);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      next = error.status === 0 ? left.get(address) : null;
      if (!next && mine === turn) away(address, error);
      if (!next) return;
    }
  }
  if (mine !== turn) return;
  if (wanted) trouble("");
  wanted = null;
  ready.delete(address);
  left.delete(article().dataset.address);
  left.set(article().dataset.address, article());
  if (left.size > PAST) left.delete(left.keys().next().value);
  bringPast(box, next);
  box.replaceChildren(next);
  if (push && location.pathname + location.search !== address) history.pushState(null, "", address);
  settle();
  box.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

// What comes next cannot be shown now. Without an answer it is tried again once decisions get through.
function away(address, error = null) {
  const isOffline = !error || error.status === 0;
  wanted = isOffline ? address : null;
  markStrip(box); // decided, and still in sight
  trouble(isOffline ? "Packshot does not answer: the next photo is shown as soon as it does." : error.message);
}

export function comeThrough() {
  if (!wanted) return;
  trouble("");
  go(wanted);
}

function settle() {
  const { name } = article().dataset;
  document.title = `${name} · Packshot`;
  const crumb = document.querySelector('[data-copy-of="crumb"]');
  if (crumb) crumb.textContent = name;
  markStrip(box);
  const cells = box.querySelector(".cells");
  const here = cells.querySelector(".here");
  cells.scrollLeft = here.offsetLeft - cells.clientWidth / 3;
  freshen(box, article());
  fetchAhead();
  extending = Promise.all([extending, sending]).then(() => extend(box, ready, AHEAD)).catch(() => {}); // asked for again when needed
}

// What was fetched ahead of an address, or is on its way, is not true any more.
export function forgetReady(...addresses) {
  for (const each of addresses.length ? addresses : [...ready.keys(), ...coming.keys()]) {
    ready.delete(each);
    coming.delete(each);
  }
}

// Where the photo lies in the row that is walked now.
export function addressOf(photo) {
  return `/images/${photo}${location.search}`;
}

// One after the other, in the order of the keys.
export function send(run) {
  sending = sending.then(run, run);
  return sending;
}

// Return to a photo whose change was refused; somebody who is typing is only told.
export async function comeBack(photo, sentence, text = null) {
  trouble(sentence);
  const { activeElement } = document;
  if (isTyping(activeElement) && activeElement !== text) return;
  await go(addressOf(photo), { isFresh: true });
  trouble(sentence);
}

export function trouble(sentence) {
  const place = document.querySelector("[data-trouble]");
  place.textContent = sentence;
  place.hidden = !sentence;
}

box.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-step], a[data-cell]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  trouble("");
  // A photo of a queue that is skipped is put down: another one comes first, and somebody else may take it.
  if (link.dataset.skip) {
    const skipped = { image_id: article().dataset.photo };
    send(() => post(link.dataset.skip, skipped, { keepalive: true }).catch(() => {}));
  }
  go(link.getAttribute("href"));
});

addEventListener("online", comeThrough);
addEventListener("popstate", () => go(location.pathname + location.search, { push: false }));
settle();
