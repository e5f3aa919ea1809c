// Find and replace: what would change is looked up again while one types, and shown before anything is. Ticks are kept while
// the list is narrowed or grows. The search lives in the address, so that a reload or a colleague finds it.
import { onKey } from "./keys.js";
import { getFragment, swap, Refusal } from "./net.js";

const PAUSE_MS = 250;
const form = document.querySelector("[data-replace]");
const list = form.querySelector('[data-part="groups"]');
// What a person ticked or left out: captions, and whole groups, by their numbers and keys.
const lines = new Map();
const groups = new Map();
let asking = null;
let pause = 0;
let show = new URLSearchParams(location.search).get("show") ?? "all";

function asked() {
  const fields = new URLSearchParams(new FormData(form));
  for (const name of ["csrf", "expected", "shown", "on", "gshown", "gon"]) fields.delete(name);
  return fields;
}

// Look again, for the newest question only; an answer that comes late is for nobody.
async function look() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const fields = asked();
  if (show !== "all") fields.set("show", show);
  history.replaceState(null, "", `${form.dataset.replace}?${fields}`);
  list.setAttribute("aria-busy", "true");
  try {
    const html = await getFragment(`${form.dataset.replace}?${fields}&part=page`, { signal: mine.signal });
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of form.querySelectorAll("[data-part]")) {
      const same = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (same) swap(part, same.innerHTML);
    }
    form.elements.expected.value = fresh.querySelector("[name=expected]").value;
    keep();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    list.textContent = error.message;
  }
  if (mine === asking) list.removeAttribute("aria-busy");
}

// The boxes as they were ticked, and the number on the button.
function keep() {
  for (const group of list.querySelectorAll("[data-group]")) {
    const box = group.querySelector("[name=gon]");
    if (box && groups.has(box.value)) box.checked = groups.get(box.value);
    for (const row of group.querySelectorAll("[data-line]")) {
      const tick = row.querySelector("[name=on]");
      if (!tick) continue;
      if (lines.has(tick.value)) tick.checked = lines.get(tick.value);
      else tick.checked = box.checked && row.dataset.fate === "changes";
      row.classList.toggle("left_out", !tick.checked && row.dataset.fate !== "doubted");
    }
  }
  count();
}

// What changes: what the server would change, and what was ticked or left out since.
const seen = new Map();
function count() {
  let total = Number(form.elements.expected.value);
  for (const group of list.querySelectorAll("[data-group]")) seen.set(group.dataset.group, Number(group.dataset.ticked));
  let left = 0;
  for (const [key, on] of groups) if (!on) left += seen.get(key) ?? 0;
  for (const [number, on] of lines) {
    const { fate, group } = lines.facts.get(number);
    const usual = fate === "changes" && groups.get(group) !== false;
    if (on && fate !== "changes") total += 1;
    else left += usual - on;
  }
  total -= left;
  form.querySelector("[data-left]").textContent = left.toLocaleString("en-GB");
  for (const place of form.querySelectorAll("[data-count]")) place.textContent = total.toLocaleString("en-GB");
  const noun = form.querySelector("[data-noun]");
  if (noun) noun.textContent = total === 1 ? "caption" : "captions";
  const go = form.querySelector("[data-apply]");
  if (go) go.disabled = total < 1;
  return total;
}
lines.facts = new Map();

form.addEventListener("input", (event) => {
  const { target } = event;
  if (target.name === "on") {
    const row = target.closest("[data-line]");
    lines.set(target.value, target.checked);
    lines.facts.set(target.value, { fate: row.dataset.fate, group: row.closest("[data-group]").dataset.group });
    keep();
  } else if (target.name === "gon") {
    groups.set(target.value, target.checked);
    for (const [number, { group }] of lines.facts) if (group === target.value) lines.delete(number);
    keep();
  } else {
    // Another search: what was ticked in the last one means nothing in it.
    lines.clear();
    groups.clear();
    seen.clear();
    clearTimeout(pause);
    pause = setTimeout(look, target.type === "checkbox" ? 0 : PAUSE_MS);
  }
});

form.addEventListener("click", async (event) => {
  const chip = event.target.closest('[data-part="shows"] a');
  if (chip) {
    event.preventDefault();
    show = new URL(chip.href).searchParams.get("show");
    look();
  }
  const more = event.target.closest("[data-more]");
  if (!more) return;
  const rows = more.closest("[data-group]").querySelector("[data-rows]");
  const fields = asked();
  const asks = { show, part: "group", group: more.dataset.more, after: rows.children.length };
  for (const [name, value] of Object.entries(asks)) fields.set(name, value);
  const held = rows.children.length;
  rows.insertAdjacentHTML("beforeend", await getFragment(`${form.dataset.replace}?${fields}`));
  if (rows.children.length === held || rows.children.length >= Number(more.closest("[data-group]").dataset.size)) more.remove();
  keep();
  rows.children[held]?.querySelector("input[type=checkbox]")?.focus();
});

// A form sends what is in the page; what was picked and is not there now goes along.
form.addEventListener("submit", (event) => {
  if (event.submitter?.hasAttribute("data-apply")) {
    form.elements.expected.value = count();
    for (const [number, on] of lines) {
      if (!form.querySelector(`[data-line="${number}"]`)) send("shown", "on", number, on);
    }
    for (const [key, on] of groups) {
      if (!form.querySelector(`[name=gon][value="${key}"]`)) send("gshown", "gon", key, on);
    }
  } else {
    event.preventDefault();
    clearTimeout(pause);
    look();
  }
});

function send(shown, on, value, isOn) {
  for (const name of isOn ? [shown, on] : [shown]) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
}

form.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    const go = form.querySelector("[data-apply]");
    if (!event.repeat && go && !go.disabled) form.requestSubmit(go);
  }
});

// Beside a field: up and down through the captions, Space ticks as everywhere, Enter opens the desk.
onKey((event, name) => {
  const boxes = [...list.querySelectorAll("[data-line] [name=on]")];
  const here = boxes.indexOf(document.activeElement);
  if (name === "ArrowDown" || name === "ArrowUp") return step(boxes, here + (name === "ArrowDown" ? 1 : here < 0 ? boxes.length : -1));
  if (name === "n") {
    const behind = (box) => document.activeElement.compareDocumentPosition(box) & Node.DOCUMENT_POSITION_FOLLOWING;
    return step([...list.querySelectorAll(".doubted [name=on]")].filter(behind), 0);
  }
  if (name === "Enter" && here >= 0) {
    location.assign(boxes[here].closest("[data-line]").querySelector("a").href);
    return true;
  }
  return false;
});

function step(boxes, place) {
  boxes[Math.min(Math.max(place, 0), boxes.length - 1)]?.focus();
  return boxes.length > 0;
}
