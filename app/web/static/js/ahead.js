// The row of photos on the desk, of articles that were fetched before it went on: what came behind, what lies before.
import { getFragment } from "./net.js";
import { stamp } from "./row.js";

const PAST = 5;

// In a queue a photo comes into one's hands as another leaves them. Each is asked for as soon as an answer has made room
// for it, and put at the end of all rows that are there: the key that leads to it is pressed photos later.
export async function extend(box, ready, most) {
  const { queueId, photo } = box.firstElementChild.dataset;
  const coming = box.querySelectorAll("[data-cell].to-come");
  if (!queueId || coming.length >= most) return;
  const last = coming.length ? coming[coming.length - 1].dataset.cell : photo;
  const mark = stamp();
  const html = await getFragment(`/desk?queue_id=${queueId}&behind=${last}`);
  const built = document.createRange().createContextualFragment(html).querySelector("article.dsk");
  if (!built) return; // nothing more is free
  await built.querySelector("[data-picture]").decode().catch(() => {});
  mark(built);
  const here = box.firstElementChild;
  if (here.dataset.queueId !== queueId || built.dataset.photo === here.dataset.photo) return;
  ready.set(built.dataset.address, built);
  for (const each of [here, ...ready.values()]) if (each !== built) bringNext(each, built);
}

function bringNext(row, next) {
  const cells = row.querySelector(".cells");
  if (cells.querySelector(`[data-cell="${next.dataset.photo}"]`)) return;
  const copy = next.querySelector(".cell.here").cloneNode(true);
  copy.classList.replace("here", "to-come");
  copy.removeAttribute("aria-current");
  cells.append(copy);
  const address = new URL(row.dataset.next, location.href);
  if (address.pathname.startsWith("/images/")) return;
  row.dataset.next = next.dataset.address;
  row.querySelector('[data-step="next"]').href = next.dataset.address;
  for (const field of row.querySelectorAll('.decide [name="next"]')) field.value = next.dataset.address;
}

// A photo that was fetched before this one was decided does not know it as the one before.
export function bringPast(box, next) {
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
