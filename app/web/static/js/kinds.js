// The kinds of captions over the editor. Every kind is in the page, so that a tab is there at once and without a network;
// which one is worked on stays from photo to photo.
import { hasDraft } from "./drafts.js";

const KEY = "packshot-kind";
let own = null; // the kind this person works on
try {
  own = sessionStorage.getItem(KEY);
} catch { /* this browser keeps nothing */ }

const section = () => document.querySelector("[data-kinds]");
const tabs = () => [...section().querySelectorAll("[data-kind-tab]")];

// The panel that is shown, with what was typed in it.
export const panel = () => section().querySelector("[data-caption]");

// The kind that this person works on, shown.
export function showOwn() {
  const address = new URL(location.href);
  if (address.searchParams.has("kind")) {
    choose(address.searchParams.get("kind"));
    address.searchParams.delete("kind");
    history.replaceState(null, "", address);
  }
  if (tabs().some((tab) => tab.dataset.kindTab === own)) show(own);
  markDrafts();
}

function choose(kind) {
  own = kind;
  try {
    sessionStorage.setItem(KEY, kind);
  } catch { /* this browser keeps nothing */ }
}

export function show(kind) {
  const there = panel();
  if (there.dataset.kind === kind) return;
  const store = section().querySelector(`template[data-panel-of="${kind}"]`);
  const next = store.content.querySelector("[data-caption]");
  store.dataset.panelOf = there.dataset.kind;
  there.replaceWith(next);
  store.content.append(there); // with what was typed, and where its draft is
  for (const tab of tabs()) {
    if (tab.dataset.kindTab === kind) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

export function markDrafts() {
  const { photo } = section().closest("[data-photo]").dataset;
  const { kind, caption } = panel().dataset;
  tabs().find((tab) => tab.dataset.kindTab === kind).classList.toggle("bare", !caption);
  for (const tab of tabs()) {
    tab.classList.toggle("drafted", hasDraft(photo, tab.dataset.kindTab));
    tab.title = hasDraft(photo, tab.dataset.kindTab) ? "a draft that is not saved yet" : "";
  }
}

// change(kind) is called for a tab that is pressed, and for the key that goes on to the next one.
export function onKind(change) {
  const pick = (kind) => {
    choose(kind);
    change(kind);
  };
  const next = () => {
    const all = tabs().map((tab) => tab.dataset.kindTab);
    pick(all[(all.indexOf(panel().dataset.kind) + 1) % all.length]);
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest("[data-kind-tab]");
    if (tab && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.button) {
      event.preventDefault();
      pick(tab.dataset.kindTab);
    } else if (event.target.closest("[data-kind-next]")) next();
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches("[data-text]") || event.isComposing || !event.altKey || event.key.toLowerCase() !== "t") return;
    event.preventDefault();
    if (event.repeat) return;
    next();
    panel().querySelector("[data-text]")?.focus();
  });
}
