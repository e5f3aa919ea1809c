// The list of this page's keys, opened by "?" or [data-keys-open]. Its lines come from what carries the keys: data-key with
// data-key-word, its name or its words; data-key-info where a script alone knows the key; then the hints of the foot.
import { pressed } from "./own_keys.js";

const SHOWN = { Left: "←", Right: "→", Up: "↑", Down: "↓", PageUp: "Page ↑", PageDown: "Page ↓" };

// "Ctrl+z" as the keys to press together.
function chord(name) {
  return name.split(/\+(?=.)/).map((key) => SHOWN[key] ?? (key.length === 1 ? key.toUpperCase() : key));
}

function wordOf(element) {
  if (element.dataset.keyWord) return element.dataset.keyWord;
  if (element.ariaLabel) return element.ariaLabel;
  const copy = element.cloneNode(true);
  copy.querySelectorAll("kbd").forEach((kbd) => kbd.remove());
  return copy.textContent.trim();
}

// What can be pressed now: a reason for rejecting has no key before its menu is open.
const isThere = (element) => element.checkVisibility();

// Lines of [chords, words]; a line has several chords where either of them will do.
function lines() {
  const rows = [];
  for (const element of document.querySelectorAll("[data-key], [data-key-info]")) {
    const { key, keyInfo } = element.dataset;
    if (!keyInfo && !isThere(element)) continue;
    rows.push([(keyInfo ?? key).split(" ").map(pressed).map(chord), keyInfo ? element.textContent.trim() : wordOf(element)]);
  }
  const known = new Set(rows.flatMap(([chords]) => chords.map((keys) => keys.join(" "))));
  for (const hint of document.querySelectorAll(".foot .key-hint")) {
    const keys = [...hint.querySelectorAll("kbd")].map((kbd) => kbd.textContent);
    if (keys[0] === "?" || known.has(keys.join(" ")) || keys.every((key) => known.has(key))) continue;
    rows.push([[keys], hint.lastChild.textContent.trim()]);
  }
  return rows;
}

function add(list, chords, word) {
  const term = document.createElement("dt");
  chords.forEach((keys, place) => {
    if (place) term.append("or");
    for (const key of keys) {
      const kbd = document.createElement("kbd");
      kbd.textContent = key;
      term.append(kbd);
    }
  });
  const what = document.createElement("dd");
  what.textContent = word;
  list.append(term, what);
}

function listOf(id, title, rows) {
  const heading = document.createElement("h3");
  heading.textContent = title;
  heading.id = id;
  const list = document.createElement("dl");
  list.className = "keys-list";
  list.setAttribute("aria-labelledby", id);
  for (const [chords, word] of rows) add(list, chords, word);
  return rows.length ? [heading, list] : [];
}

function openList() {
  const dialog = document.getElementById("keys");
  if (!dialog || dialog.open) return;
  const places = [...document.querySelectorAll("[data-go]")];
  dialog.querySelector("[data-keys-list]").replaceChildren(
    ...listOf("keys-here", "On this page", lines()),
    ...listOf("keys-everywhere", "Everywhere", [
      ...places.map((place) => [[["G", place.dataset.go.toUpperCase()]], `go to ${place.dataset.goName}`]),
      [[["?"]], "this list"],
      [[["Esc"]], "close"],
    ]),
  );
  dialog.showModal();
}

document.addEventListener("keys-asked", openList);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys-open]")) openList();
});
