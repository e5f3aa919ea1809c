// Judging captions: a sentence that is clicked, or taken by its digit, goes into one's own caption; a key votes.
import { getFragment, post, swap, Refusal } from "./net.js";

const box = document.querySelector("[data-judging]");
const own = () => box.querySelector("[data-own]");

box.addEventListener("click", (event) => {
  const sentence = event.target.closest("[data-sentence]");
  if (!sentence || !own()) return;
  const { sentence: text } = sentence.dataset;
  const isTaken = sentence.getAttribute("aria-pressed") === "true";
  const before = own().value;
  own().value = isTaken ? before.replace(text, "").replace(/\s+/g, " ").trim() : `${before} ${text}`.trim();
  sentence.setAttribute("aria-pressed", String(!isTaken));
});

box.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-vote]")) return;
  event.preventDefault();
  const fields = new FormData(form);
  fields.set("choice", event.submitter.value);
  let trouble = form.querySelector("[data-trouble-here]");
  try {
    const { next } = await post(form.getAttribute("action"), fields);
    swap(box, await getFragment(next));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble ??= form.appendChild(Object.assign(document.createElement("p"), { className: "say drop" }));
    trouble.dataset.troubleHere = "";
    trouble.textContent = error.other ? `${error.message} It says: ${error.other}` : error.message; // what was written stays
  }
});
