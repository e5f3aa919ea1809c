// The facets keep still while their inside is swapped: as they were opened, ordered, scrolled and focused.
export function remember(box) {
  const pane = box.querySelector(".facets");
  const top = pane?.scrollTop ?? 0;
  const open = new Map([...box.querySelectorAll("[data-facet]")].map((facet) => [facet.dataset.facet, facet.open]));
  const orders = new Map([...box.querySelectorAll("[data-facet]")].map((facet) => [facet.dataset.facet, namesOf(facet)]));
  const more = new Set([...box.querySelectorAll("[data-facet]:has(.more[open])")].map((facet) => facet.dataset.facet));
  const active = document.activeElement;
  const facet = active?.closest("[data-facet]")?.dataset.facet;
  const label = active?.querySelector(".cut")?.textContent;
  const name = active?.name || active?.dataset?.handle;
  return () => {
    for (const panel of box.querySelectorAll("[data-facet]")) {
      order(panel, orders.get(panel.dataset.facet) ?? []);
      panel.open = open.get(panel.dataset.facet) ?? panel.open;
      if (more.has(panel.dataset.facet)) panel.querySelector(".more")?.setAttribute("open", "");
    }
    box.querySelector(".facets")?.scrollTo(0, top);
    if (facet && label) {
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
