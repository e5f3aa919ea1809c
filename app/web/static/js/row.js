// What was decided on this page and how much waits, for photos that were fetched before that was known.
import { pending } from "./pending.js";

// photo -> what was decided here
export const made = new Map(pending().map(({ photo, mark }) => [photo, mark]));
const fetched = new WeakMap(); // article -> how many answers had come when it was asked for
let newest = null; // what waits, as the newest answer told it: { waiting } of the catalog, or { queue } that was answered in
let answers = 0;

// The marks on the photos beside this one.
export function markStrip(box) {
  for (const [photo, verdict] of made) {
    const drawn = document.querySelector(`template[data-mark-of="${verdict}"]`);
    const place = box.querySelector(`[data-cell="${photo}"] [data-mark]`);
    if (!place) continue;
    place.dataset.was ??= place.innerHTML;
    place.replaceChildren(...(drawn ? [document.importNode(drawn.content, true)] : []));
  }
}

// A decision that never left: its photo is marked as before.
export function unmark(box, photo) {
  made.delete(photo);
  const place = box.querySelector(`[data-cell="${photo}"] [data-mark]`);
  if (place?.dataset.was !== undefined) place.innerHTML = place.dataset.was;
}

// Called as an article is asked for; what it gives is called with the article when it is there.
export function stamp() {
  const asked = answers;
  return (article) => fetched.set(article, asked);
}

// Numbers that are older than the newest answer are those of that answer.
export function freshen(box, article) {
  if (newest && (fetched.get(article) ?? -1) < answers) draw(box, newest);
}

function draw(box, { waiting, queue }) {
  if (waiting) drawWaiting(box, waiting);
  if (queue) drawQueue(box, queue);
}

// How much waits, all numbers of it from one answer: { contradicted, doubted, unseen, needs_work, total, photos }.
function drawWaiting(box, waiting) {
  const section = box.querySelector("[data-queue]");
  if (!section) return;
  const numbers = { ...waiting, not_seen: waiting.contradicted + waiting.doubted + waiting.unseen };
  for (const part of section.querySelectorAll("[data-waiting]")) {
    part.textContent = numbers[part.dataset.waiting].toLocaleString("en-GB");
  }
  const tiers = [...section.querySelectorAll("[data-tier]")];
  const first = tiers.find((part) => waiting[part.dataset.tier]) ?? tiers.at(-1);
  for (const part of tiers) part.hidden = part !== first;
  drawBar(section, 1 - waiting.total / Math.max(waiting.photos, 1));
}

// How far a queue that was handed out is: { id, left }.
function drawQueue(box, { id, left }) {
  const section = box.querySelector(`[data-handed-out="${id}"]`);
  if (!section) return;
  const photos = Number(section.dataset.photos);
  section.querySelector("[data-left]").textContent = left.toLocaleString("en-GB");
  section.querySelector("[data-done]").textContent = (photos - left).toLocaleString("en-GB");
  drawBar(section, 1 - left / Math.max(photos, 1));
}

function drawBar(section, share) {
  section.querySelector(".bar rect").setAttribute("width", (share * 100).toFixed(2));
}

// An act was taken back: the newest answer is not true any more.
export function forgetQueue() {
  newest = null;
}

// What waits, of the answer to a decision; answers to anything else tell nothing of it.
export function takeIn(box, { waiting, queue }) {
  if (!waiting && !queue) return;
  answers += 1;
  newest = { waiting, queue };
  draw(box, newest);
}
