// data-job="/jobs/12": ask for the fragment every second until the job is over; then follow data-done-href when it is
// done, or reload, unless data-stays: its page hears "job-over". A failed or cancelled job stays on the page.
// data-follows: what the page says beside it, kept up to date.
import { morph } from "./morph.js";
import { getFragment, postFragment, swap, Refusal } from "./net.js";

const EVERY_MS = 1000;

function settle(box) {
  const state = box.querySelector("[data-state]")?.dataset.state;
  if (state === "done" && box.dataset.stays === undefined) {
    if (box.dataset.doneHref) location.assign(box.dataset.doneHref);
    else location.reload();
  }
  box.dispatchEvent(new CustomEvent("job-over", { bubbles: true, detail: { state } }));
}

function watch(box) {
  if (box.dataset.watched || box.querySelector("[data-over]")) return;
  box.dataset.watched = "1";
  const ask = async () => {
    if (!box.isConnected) return;
    try {
      const html = await getFragment(box.dataset.job);
      // A press of "Stop" that is under way must not lose its button.
      if (!box.querySelector("[aria-busy]")) swap(box, html);
      await follow();
    } catch (error) {
      if (!(error instanceof Refusal) || (error.status >= 400 && error.status < 500)) return;
    }
    if (box.querySelector("[data-over]")) settle(box);
    else setTimeout(ask, EVERY_MS);
  };
  setTimeout(ask, EVERY_MS);
}

async function follow() {
  const parts = document.querySelectorAll("[data-follows]");
  if (!parts.length) return;
  const fresh = new DOMParser().parseFromString(await getFragment(location.href), "text/html");
  const now = fresh.querySelectorAll("[data-follows]");
  parts.forEach((part, place) => now[place] && morph(part, now[place]));
}

const watchAll = () => document.querySelectorAll("[data-job]").forEach(watch);
document.addEventListener("swapped", watchAll);
watchAll();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-job-cancel]");
  if (!button) return;
  button.setAttribute("aria-busy", "true");
  const box = button.closest("[data-job]");
  try {
    swap(box, await postFragment(button.dataset.jobCancel));
  } finally {
    button.removeAttribute("aria-busy");
  }
});
