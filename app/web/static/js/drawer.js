// [data-drawer-open="facets"] lays that pane over the page, where the window is too narrow for both. Everything else is
// inert meanwhile, so Tab stays in the pane; Esc, [data-drawer-close] and a wider window close it, and the focus goes back.
import { onKey } from "./keys.js";

const wide = matchMedia("(min-width: 900px)");
const box = document.querySelector("[data-browse]");

const paneOf = () => (box.dataset.drawer ? document.getElementById(box.dataset.drawer) : null);

// Whatever does not hold the pane, on every level up to the page.
function around(pane) {
  const others = [];
  for (let part = pane; part !== document.body; part = part.parentElement) {
    others.push(...[...part.parentElement.children].filter((other) => other !== part && other.id !== "toasts"));
  }
  return others;
}

function draw() {
  const pane = paneOf();
  for (const part of document.querySelectorAll("[data-beneath]")) {
    part.inert = false;
    delete part.dataset.beneath;
  }
  for (const opener of document.querySelectorAll("[data-drawer-open]")) opener.setAttribute("aria-expanded", String(Boolean(pane)));
  if (!pane) return;
  pane.setAttribute("role", "dialog");
  pane.setAttribute("aria-modal", "true");
  for (const part of around(pane).filter((part) => !part.inert)) {
    part.inert = true;
    part.dataset.beneath = "";
  }
}

function open(id) {
  box.dataset.drawer = id;
  draw();
  paneOf().querySelector("h2").focus();
}

function close() {
  const pane = paneOf();
  if (!pane) return;
  pane.setAttribute("role", "complementary");
  pane.removeAttribute("aria-modal");
  delete box.dataset.drawer;
  draw();
  document.querySelector(`[data-drawer-open="${pane.id}"]`)?.focus();
}

// Links, so that the pane opens and closes without a script; buttons with one.
function settle() {
  for (const act of document.querySelectorAll("[data-drawer-open], [data-drawer-close]")) act.setAttribute("role", "button");
  draw();
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-drawer-open]");
  const closer = event.target.closest("[data-drawer-close]");
  if (!opener && !closer) return;
  event.preventDefault();
  if (opener) open(opener.dataset.drawerOpen);
  else close();
});
onKey((event, name) => name === "Esc" && Boolean(paneOf()) && (close(), true));
wide.addEventListener("change", close);
document.addEventListener("swapped", settle);
settle();
