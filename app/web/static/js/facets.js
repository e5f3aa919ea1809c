// The facets: folded as this browser keeps them, searched where they are long, with the histograms that were chosen. They keep
// still while their inside is swapped: as they were opened, ordered, scrolled, focused and searched.
import { getFragment, Refusal } from "./net.js";

const KEPT = "packshot-facets"; // which facets are open, where that is not as usual
const COOKIE = "packshot-measures"; // the server counts only what is shown
const WAIT_MS = 150;
const folded = JSON.parse(localStorage.getItem(KEPT) ?? "{}");

export function remember(box) {
  const top = box.querySelector(".facets")?.scrollTop ?? 0;
  const facets = [...box.querySelectorAll("[data-facet]")];
  const orders = new Map(facets.map((facet) => [facet.dataset.facet, namesOf(facet)]));
  const sought = new Map([...box.querySelectorAll("[data-find]")].map((field) => [field.dataset.find, field.value]));
  const more = new Set([...box.querySelectorAll("[data-facet]:has(.more[open])")].map((facet) => facet.dataset.facet));
  const active = document.activeElement;
  const facet = active?.closest("[data-facet]")?.dataset.facet;
  const label = active?.querySelector(".cut")?.textContent;
  const name = active?.name || active?.dataset?.handle;
  const { find, measure } = active?.dataset ?? {};
  return () => {
    for (const panel of box.querySelectorAll("[data-facet]")) {
      order(panel, orders.get(panel.dataset.facet) ?? []);
      if (more.has(panel.dataset.facet)) panel.querySelector(".more")?.setAttribute("open", "");
    }
    for (const field of box.querySelectorAll("[data-find]")) {
      field.value = sought.get(field.dataset.find) ?? "";
      if (field.value) findChoices(field);
    }
    box.querySelector(".facets")?.scrollTo(0, top);
    if (find) box.querySelector(`[data-find="${find}"]`)?.focus();
    else if (measure !== undefined) box.querySelector(`[data-measure][value="${active.value}"]`)?.focus();
    else if (facet && label) {
      const links = [...box.querySelectorAll(`[data-facet="${facet}"] [data-filter]`)];
      links.find((link) => link.querySelector(".cut")?.textContent === label)?.focus();
    } else if (facet && name) box.querySelector(`[data-facet="${facet}"] [data-handle="${name}"]`)?.focus();
    else if (name) box.querySelector(`[name="${CSS.escape(name)}"]`)?.focus();
  };
}

const choicesOf = (facet) => [...facet.querySelectorAll("li:has([role=checkbox])")];
const nameOf = (choice) => choice.querySelector(".cut").textContent;
const namesOf = (facet) => choicesOf(facet).map(nameOf);

// A choice stays where it was, though the server sorts by counts: what one is about to press does not move away.
function order(facet, names) {
  const choices = choicesOf(facet);
  const places = choices.map((choice) => choice.parentElement);
  const rank = (choice) => (names.includes(nameOf(choice)) ? names.indexOf(nameOf(choice)) : names.length);
  choices.sort((a, b) => rank(a) - rank(b)).forEach((choice, place) => places[place].append(choice));
}

// Folding -------------------------------------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const facet = event.target.closest("[data-facet] > summary")?.parentElement;
  if (!facet) return;
  folded[facet.dataset.facet] = !facet.open; // it opens or closes after this
  localStorage.setItem(KEPT, JSON.stringify(folded));
});

function settle() {
  for (const facet of document.querySelectorAll("[data-facet]")) facet.open = folded[facet.dataset.facet] ?? facet.open;
  for (const part of document.querySelectorAll("[data-find-box], [data-measures]")) part.hidden = false;
}
document.addEventListener("swapped", settle);
settle();

// Finding -------------------------------------------------------------------------------------------------------------
let waiting = 0;
document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-find]")) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => findChoices(event.target), WAIT_MS);
});

async function findChoices(field) {
  const box = field.closest("[data-browse]");
  const { query, sort } = box.querySelector("[data-grid]").dataset;
  const asked = new URLSearchParams({ q: query, sort, find: field.value });
  try {
    const html = await getFragment(`${box.dataset.browse}/facets/${field.dataset.find}?${asked}`);
    if (asked.get("find") !== field.value || !field.isConnected) return;
    field.closest("[data-facet]").querySelector("[data-choices]").innerHTML = html;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

// Histograms ----------------------------------------------------------------------------------------------------------
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-measure]")) return;
  const shown = [...document.querySelectorAll("[data-measure]:checked")].map((choice) => choice.value);
  document.cookie = `${COOKIE}=${shown.join(".")}; path=/; samesite=lax; max-age=31536000`;
  event.target.dispatchEvent(new CustomEvent("measures", { bubbles: true }));
});
