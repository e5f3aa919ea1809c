// A captioner, asked about the photo on the desk: how far it is, and then what it wrote, beside what stands there.
import { article, forgetReady } from "./desk.js";
import { getFragment, post, Refusal } from "./net.js";

const fields = (form) => Object.fromEntries(new FormData(form, form.querySelector("[type=submit]")));

async function recaption(form) {
  const said = form.querySelector("[data-recaption-said]");
  const { address } = article().dataset;
  const also = [...form.querySelectorAll("[name=also]:checked")].map((each) => each.value).join(" ");
  said.textContent = "";
  try {
    await post(form.getAttribute("action"), { ...fields(form), also });
    await show(address);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    said.textContent = error.message;
  }
}

// What the page would say now, in place of what it says.
async function show(address) {
  const html = await getFragment(address);
  const fresh = document.createRange().createContextualFragment(html).querySelector("[data-beside]");
  forgetReady(address);
  const old = article().querySelector("[data-beside]");
  if (article().dataset.address !== address || !old || !fresh) return;
  const isOpen = old.querySelector(".asking")?.open;
  old.replaceWith(fresh);
  if (isOpen) fresh.querySelector(".asking").open = true;
  fresh.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-recaption]")) return;
  event.preventDefault();
  event.stopPropagation();
  recaption(event.target);
}, true);

document.addEventListener("job-over", ({ target }) => {
  if (target.closest("[data-beside]")) show(article().dataset.address).catch(() => {});
});

// Its words in the editor, to go on from; saved it is by the person, as all that is written there.
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-offer-edit]");
  if (!button) return;
  const text = button.closest("[data-kind]").querySelector("[data-text]");
  text.value = button.form.elements.text.value;
  text.dispatchEvent(new Event("input", { bubbles: true }));
  text.focus();
});

// Without this script there is nothing to press.
const offer = () => document.querySelectorAll("[data-offer-edit]").forEach((button) => { button.hidden = false; });
document.addEventListener("swapped", offer);
offer();
