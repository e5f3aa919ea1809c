// Completions in the filter field, as one types: keys, and values with their counts, at the cursor. Arrows choose, Tab or
// Enter takes, Esc closes. Where the filter was not understood, the place is selected.
import { isComposing } from "./keys.js";
import { getJson } from "./net.js";

const box = document.querySelector("[data-browse]");
const WAIT_MS = 120;
let asking = null;
let waiting = 0;
let offered = { start: 0, end: 0, choices: [] };
let current = -1;

const field = () => box.querySelector("input.query");
const list = () => box.querySelector("#completions");

function close() {
  clearTimeout(waiting);
  asking?.abort();
  offered = { start: 0, end: 0, choices: [] };
  current = -1;
  if (!list()) return;
  list().replaceChildren();
  list().hidden = true;
  field().setAttribute("aria-expanded", "false");
  field().removeAttribute("aria-activedescendant");
}

async function ask() {
  const input = field();
  asking?.abort();
  asking = new AbortController();
  const asked = new URLSearchParams({ q: input.value, at: [...input.value.slice(0, input.selectionStart)].length });
  try {
    const answer = await getJson(`${box.dataset.browse}/completions?${asked}`, { signal: asking.signal });
    if (document.activeElement === input) draw(answer);
  } catch (error) {
    if (error.name !== "AbortError") close();
  }
}

function draw(answer) {
  offered = answer;
  current = -1;
  field().removeAttribute("aria-activedescendant");
  list().replaceChildren(...answer.choices.map(line));
  list().hidden = !answer.choices.length;
  field().setAttribute("aria-expanded", String(Boolean(answer.choices.length)));
}

function line({ text, hint, count }, place) {
  const item = document.createElement("li");
  item.id = `completion-${place}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  const parts = [["mono", text], ["cut", hint], ["n", count === null ? "" : count.toLocaleString("en-GB")]];
  for (const [name, words] of parts) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = words;
    item.append(span);
  }
  return item;
}

function move(step) {
  const items = [...list().children];
  current = (current + step + items.length + (current < 0 && step < 0 ? 1 : 0)) % items.length;
  items.forEach((item, place) => item.setAttribute("aria-selected", String(place === current)));
  field().setAttribute("aria-activedescendant", items[current].id);
  items[current].scrollIntoView({ block: "nearest" });
}

// Places are counted in characters as Python counts them; a field counts an emoji as two.
function take(place) {
  const input = field();
  const letters = [...input.value];
  const { text } = offered.choices[place];
  const isWhole = !text.endsWith(":");
  const before = letters.slice(0, offered.start).join("") + text + (isWhole ? " " : "");
  const behind = letters.slice(offered.end).join("");
  input.value = before + (isWhole ? behind.trimStart() : behind);
  input.setSelectionRange(before.length, before.length);
  close();
  if (!isWhole) ask();
}

box.addEventListener("input", (event) => {
  if (event.target !== field() || event.isComposing) return;
  clearTimeout(waiting);
  waiting = setTimeout(ask, WAIT_MS);
});
// Before the grid's own keys, and only where there is something to choose from.
box.addEventListener("keydown", (event) => {
  if (event.target !== field() || !offered.choices.length || isComposing(event)) return;
  const isMove = event.key === "ArrowDown" || event.key === "ArrowUp";
  const isTake = (event.key === "Enter" && current >= 0) || (event.key === "Tab" && !event.shiftKey);
  if (isMove) move(event.key === "ArrowDown" ? 1 : -1);
  else if (isTake) take(Math.max(current, 0));
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
  event.stopPropagation();
}, true);
box.addEventListener("focusout", (event) => event.target === field() && close());
box.addEventListener("submit", close, true);
// By pointer: the field keeps the focus.
box.addEventListener("pointerdown", (event) => {
  const item = event.target.closest("#completions [role=option]");
  if (!item) return;
  event.preventDefault();
  take([...list().children].indexOf(item));
});

// The place at which a filter was not understood, marked in the field.
function mark() {
  const input = field();
  if (!input?.dataset.wrong) return;
  const letters = [...input.value];
  const place = (count) => letters.slice(0, Number(count)).join("").length;
  input.setSelectionRange(place(input.dataset.wrong), place(input.dataset.wrongEnd));
  delete input.dataset.wrong; // once: from then on the cursor is where it was put
}
box.addEventListener("focusin", (event) => event.target === field() && mark());
