// What was decided on this page and how much waits, for photos that were fetched before that was known.
import { pending } from "./pending.js";

// photo -> what was decided here
export const made = new Map(pending().map(({ photo, mark }) => [photo, mark]));
const fetched = new WeakMap(); // article -> how many answers had come when it was asked for
let newest = null; // the queue as the newest answer told it
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
  if (newest && (fetched.get(article) ?? -1) < answers) drawQueue(box, newest);
}

// How much waits, all numbers of it from one answer: { contradicted, doubted, unseen, needs_work, total, photos }.
function drawQueue(box, waiting) {
  const section = box.querySelector("[data-queue]");
  if (!section) return;
  const numbers = { ...waiting, not_seen: waiting.contradicted + waiting.doubted + waiting.unseen };
  for (const part of section.querySelectorAll("[data-waiting]")) {
    part.textContent = numbers[part.dataset.waiting].toLocaleString("en-GB");
  }
  const tiers = [...section.querySelectorAll("[data-tier]")];
  const first = tiers.find((part) => waiting[part.dataset.tier]) ?? tiers.at(-1);
  for (const part of tiers) part.hidden = part !== first;
  const share = 1 - waiting.total / Math.max(waiting.photos, 1);
  section.querySelector(".bar rect").setAttribute("width", (share * 100).toFixed(2));
}

// An act was taken back: the newest answer is not true any more.
export function forgetQueue() {
  newest = null;
}

export function takeIn(box, waiting) {
  answers += 1;
  newest = waiting;
  drawQueue(box, waiting);
}
