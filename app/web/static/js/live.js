// While a job or another person changes photos, counts and sentence follow; the photos stay where they are.
import { getJson, Refusal } from "./net.js";
import { recount } from "./browse.js";

const EVERY_MS = 3000;
const box = document.querySelector("[data-browse]");
let isLooking = false;

async function look() {
  // Nothing moves away from under a pointer that is held down.
  if (isLooking || document.hidden || box.querySelector("[data-part]:active")) return;
  isLooking = true;
  try {
    const { mark } = await getJson(`${box.dataset.browse}/changes`);
    if (mark !== box.querySelector("[data-grid]").dataset.change) await recount();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // it is asked again soon
  } finally {
    isLooking = false;
  }
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
look();
