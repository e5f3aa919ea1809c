// Notes on the photo on the desk: asked with one key, and swapped as they change.
import { postFragment, swap, Refusal } from "./net.js";

const place = () => document.querySelector("[data-notes]");

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-note]")) return;
  event.preventDefault();
  event.stopPropagation();
  const here = place();
  const trouble = document.querySelector("[data-trouble]");
  let refusal = "";
  try {
    swap(here, await postFragment(form.getAttribute("action"), new FormData(form)));
    here.querySelector("details").open = true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refusal = error.message; // what was typed stays in the field
  }
  trouble.textContent = refusal;
  trouble.hidden = !refusal;
}, true);

// The key opens the section and puts the cursor where the question goes.
document.addEventListener("toggle", (event) => {
  if (event.target.matches("[data-notes-box]") && event.target.open && event.target.dataset.asked) {
    event.target.querySelector("textarea")?.focus();
  }
}, true);
document.addEventListener("click", (event) => {
  const summary = event.target.closest("[data-notes-box] > summary");
  if (summary) summary.parentElement.dataset.asked = "1";
});
