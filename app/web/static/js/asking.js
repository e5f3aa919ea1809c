// The captioner, asked again for the photo on the desk.
import { post, Refusal } from "./net.js";

async function recaption(form) {
  const said = form.querySelector("[data-recaption-said]");
  try {
    const { job_id: job } = await post(form.getAttribute("action"));
    const box = Object.assign(document.createElement("div"), { textContent: "asked" });
    box.dataset.job = `/jobs/${job}`;
    said.replaceChildren(box);
    said.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    said.textContent = error.message;
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-recaption]")) return;
  event.preventDefault();
  event.stopPropagation();
  recaption(event.target);
}, true);
