// Keys. A button or link that carries data-key="a" is pressed by that key; inert while somebody types or a dialog is open.
// Names: a letter as typed, "Space", "Enter", "Esc", "Left", "Right", "Up", "Down"; "Shift+Left", "Ctrl+z".
// "?" lists the keys of the page; "g" and then a letter goes to a place of the rail.

const NAMES = { " ": "Space", Escape: "Esc", ArrowLeft: "Left", ArrowRight: "Right", ArrowUp: "Up", ArrowDown: "Down" };
const SHOWN = { Left: "←", Right: "→", Up: "↑", Down: "↓" };
const GO_WITHIN_MS = 1500;
let goUntil = 0;

export function nameOf(event) {
  const name = NAMES[event.key] ?? (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  // Shift is part of what a character key types already ("?", "+").
  const shift = event.shiftKey && (event.key.length > 1 || /^[a-z]$/i.test(event.key)) ? "Shift+" : "";
  return (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "") + shift + name;
}

export function isTyping(target) {
  if (target.isContentEditable) return true;
  return target.matches?.("input, textarea, select") && !target.matches("[type=checkbox], [type=radio], [type=button]");
}

// Handle keys in a script: run(event, name) returns true when it took the key. Asked before data-key buttons.
const handlers = [];
export function onKey(run) {
  handlers.push(run);
}

function isShown(element) {
  return !element.disabled && element.getClientRects().length > 0;
}

function press(name) {
  for (const element of document.querySelectorAll("[data-key]")) {
    if (element.dataset.key.split(" ").includes(name) && isShown(element)) {
      element.click();
      return true;
    }
  }
  return false;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const name = nameOf(event);
  // Space and Enter on a focused control belong to that control.
  if ((name === "Space" || name === "Enter") && event.target.closest("a, button, summary, [role=checkbox]")) return;
  if (performance.now() < goUntil) {
    goUntil = 0;
    const place = document.querySelector(`[data-go="${CSS.escape(name)}"]`);
    if (place) {
      event.preventDefault();
      place.click();
      return;
    }
  }
  if (handlers.some((run) => run(event, name)) || press(name)) {
    event.preventDefault();
  } else if (name === "?") {
    event.preventDefault();
    openList();
  } else if (name === "g") {
    goUntil = performance.now() + GO_WITHIN_MS;
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys-open]")) openList();
});

function rows() {
  const words = new Map();
  for (const element of document.querySelectorAll("[data-key]")) {
    const label = element.getAttribute("aria-label") || element.textContent;
    const kbd = element.querySelector("kbd")?.textContent ?? "";
    words.set(element.dataset.key, label.trim().replace(new RegExp(`\\s*${kbd.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`), ""));
  }
  for (const element of document.querySelectorAll("[data-key-info]")) words.set(element.dataset.keyInfo, element.textContent.trim());
  for (const hint of document.querySelectorAll(".foot .key-hint")) {
    const keys = [...hint.querySelectorAll("kbd")].map((kbd) => kbd.textContent);
    const word = hint.lastChild.textContent.trim();
    const name = keys.join(" ");
    if (name !== "?" && ![...words.keys()].some((key) => shown(key).join(" ").toLowerCase() === name.toLowerCase())) words.set(name, word);
  }
  return words;
}

function shown(key) {
  const names = key.split(" ").flatMap((chord) => chord.split(/\+(?=.)/));
  return names.map((name) => SHOWN[name] ?? (name.length === 1 ? name.toUpperCase() : name));
}

function add(list, keys, word) {
  const term = document.createElement("dt");
  for (const key of keys) {
    const kbd = document.createElement("kbd");
    kbd.textContent = key;
    term.append(kbd);
  }
  const what = document.createElement("dd");
  what.textContent = word;
  list.append(term, what);
}

function heading(list, text) {
  const title = document.createElement("h3");
  title.textContent = text;
  list.append(title);
}

function openList() {
  const dialog = document.getElementById("keys");
  if (!dialog || dialog.open) return;
  const list = document.createElement("dl");
  list.className = "keys-list";
  const own = rows();
  if (own.size) heading(list, "On this page");
  for (const [key, word] of own) add(list, shown(key), word);
  heading(list, "Everywhere");
  for (const place of document.querySelectorAll("[data-go]")) {
    add(list, ["G", place.dataset.go.toUpperCase()], `go to ${place.dataset.goName}`);
  }
  add(list, ["?"], "this list");
  add(list, ["Esc"], "close");
  dialog.querySelector("[data-keys-list]").replaceChildren(list);
  dialog.showModal();
}
