// Keys. A button or link that carries data-key="a" is pressed by that key; inert while somebody types or a dialog is open.
// Names: a letter as typed, "Space", "Enter", "Esc", "Left", "Right", "Up", "Down"; "Shift+Left", "Ctrl+z".
// A key that is held acts once; only those that move go on moving. "g" and then a letter goes to a place of the rail.
import "./keys_list.js";
import { meant } from "./own_keys.js";

const NAMES = { " ": "Space", Escape: "Esc", ArrowLeft: "Left", ArrowRight: "Right", ArrowUp: "Up", ArrowDown: "Down" };
const MOVES = new Set(["Left", "Right", "Up", "Down", "j", "k", "PageUp", "PageDown"]);
const MAY_REPEAT = new Set([...MOVES, "Tab", "Ctrl++", "Ctrl+=", "Ctrl+-"]);
const GO_WITHIN_MS = 1500;
let goUntil = 0;

// The key as it was pressed. A letter of another alphabet goes by its place: "ф" is where "a" is.
export function typedName(event) {
  const { key } = event;
  const isElsewhere = key.length === 1 && /^Key[A-Z]$/.test(event.code) && !/^[\u0000-\u024f]$/.test(key);
  const name = NAMES[key] ?? (isElsewhere ? event.code[3].toLowerCase() : key.length === 1 ? key.toLowerCase() : key);
  // Shift is part of what a character key types already ("?", "+").
  const shift = event.shiftKey && (event.key.length > 1 || /^[a-z]$/i.test(event.key)) ? "Shift+" : "";
  return (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "") + shift + name;
}

// The usual key of what the person meant; empty for a key that has lost its act.
export const nameOf = (event) => meant(typedName(event));

// Whether a key belongs to an input method for Chinese, Japanese or Korean. Where the Enter that ends a composition comes after
// the composition's end, it still has the number 229.
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

// Whether a key belongs to the element it is pressed in. A slider takes only the keys that move it.
export function isTyping(target, name = "") {
  if (target.isContentEditable) return true;
  if (target.matches?.("[type=range]")) return MOVES.has(name.replace("Shift+", "")) || name === "Home" || name === "End";
  return target.matches?.("input, textarea, select") && !target.matches("[type=checkbox], [type=radio], [type=button]");
}

// Handle keys in a script: run(event, name) returns true when it took the key. Asked before data-key buttons.
const handlers = [];
export function onKey(run) {
  handlers.push(run);
}

function isShown(element) {
  return !element.disabled && !element.closest("[inert]") && element.checkVisibility();
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

// A held key repeats itself. Before anything else on the page hears of it: it presses no button and decides nothing again.
document.addEventListener("keydown", (event) => {
  const name = nameOf(event);
  if (!event.repeat || isComposing(event) || isTyping(event.target, name) || MAY_REPEAT.has(name.replace("Shift+", ""))) return;
  event.stopImmediatePropagation();
  event.preventDefault();
}, { capture: true });

document.addEventListener("keydown", (event) => {
  const name = nameOf(event);
  if (event.defaultPrevented || isComposing(event) || isTyping(event.target, name)) return;
  if (document.querySelector("dialog[open]")) return;
  // Space and Enter on a focused control belong to that control.
  if ((name === "Space" || name === "Enter") && event.target.closest("a, button, summary, [role=checkbox]")) return;
  if (performance.now() < goUntil) {
    goUntil = 0;
    const place = document.querySelector(`[data-go="${CSS.escape(typedName(event))}"]`);
    if (place) {
      event.preventDefault();
      place.click();
      return;
    }
  }
  if (handlers.some((run) => run(event, name)) || (name && press(name))) {
    event.preventDefault();
  } else if (name === "?") {
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("keys-asked"));
  } else if (name === "g") {
    goUntil = performance.now() + GO_WITHIN_MS;
  }
});
