// The caption's editor. What is typed is kept in this browser after each pause, by photo and by the caption it started
// from, until the server has it: nothing typed is lost to a fast key, a dead network, an ended sign-in or a colleague.
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { compare, draw } from "./diff.js";
import { comeBack, go, send, undo } from "./desk.js";

const PAUSE_MS = 400;
const PREFIX = "packshot-draft:";
let pause = 0;

function here() {
  const section = document.querySelector("[data-caption]");
  const photo = section.closest("[data-photo]");
  const text = section.querySelector("[data-text]");
  return { section, text, photo: photo.dataset.photo, name: photo.dataset.name, address: photo.dataset.address,
    next: photo.dataset.next, caption: section.dataset.caption, key: `${PREFIX}${photo.dataset.photo}:${section.dataset.caption}` };
}

// Drafts --------------------------------------------------------------------------------------------------------------
function keep(at) {
  const { text, key } = at;
  if (text.value === text.defaultValue) return localStorage.removeItem(key);
  try {
    localStorage.setItem(key, JSON.stringify({ text: text.value, base: text.defaultValue, at: Date.now() }));
  } catch {
    return say(at, "This browser keeps no draft: its storage is full or switched off.");
  }
  const now = new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return say(at, `draft saved ${now}`);
}

function draft(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

// A draft that began from a caption which is not the current one any more.
function olderDraft({ photo, key }) {
  const keys = Object.keys(localStorage).filter((other) => other.startsWith(`${PREFIX}${photo}:`) && other !== key);
  return keys.map((other) => [other, draft(other)]).find(([, kept]) => kept) ?? [null, null];
}

function say({ section }, sentence) {
  section.querySelector("[data-draft]").textContent = sentence;
}

// What the page shows -------------------------------------------------------------------------------------------------
function settle() {
  const at = here();
  const kept = draft(at.key);
  if (kept && kept.text !== at.text.value) {
    at.text.value = kept.text;
    say(at, "your draft, not saved yet");
  }
  const [key, older] = olderDraft(at);
  if (older) showBoth(at, key, older);
  fit(at.text);
  showDiff(at);
  if (location.hash === "#text") {
    history.replaceState(null, "", location.pathname + location.search);
    focusEnd(at.text);
  }
}

function showDiff({ section, text }) {
  const { machine } = section.dataset;
  const pieces = machine && machine.trim() !== text.value.trim() ? compare(machine, text.value) : null;
  section.querySelector("[data-diff-box]").hidden = !pieces;
  if (pieces) draw(section.querySelector("[data-diff]"), pieces);
}

function fit(text) {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 260)}px`;
}

// Both texts and the one they came from, side by side.
function showBoth(at, key, older) {
  const place = at.section.querySelector("[data-conflict]");
  const part = (title, words) => {
    const box = document.createElement("div");
    const head = document.createElement("h3");
    const body = document.createElement("p");
    head.textContent = title;
    body.textContent = words || "nothing";
    box.append(head, body);
    return box;
  };
  const button = (label, run) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "btn small", textContent: label });
    made.addEventListener("click", () => {
      localStorage.removeItem(key);
      place.hidden = true;
      run();
    });
    return made;
  };
  const said = document.createElement("p");
  said.className = "strong";
  said.textContent = "This caption was changed while you wrote yours. Nothing of yours is lost.";
  const row = Object.assign(document.createElement("div"), { className: "row wrap" });
  row.append(
    button("Put mine in the editor", () => { at.text.value = older.text; keep(at); fit(at.text); showDiff(at); at.text.focus(); }),
    button("Drop mine", () => {}),
  );
  place.replaceChildren(said, part("Now", at.text.defaultValue), part("Yours", older.text), part("Both came from", older.base), row);
  place.hidden = false;
}

// Saving --------------------------------------------------------------------------------------------------------------
function save(isNext) {
  const at = here();
  clearTimeout(pause);
  keep(at);
  const text = at.text.value;
  const fields = { text, expected_id: at.caption || null };
  at.text.blur();
  send(async () => {
    try {
      await post(`/images/${at.photo}/captions`, fields, { keepalive: text.length < 20_000 });
      localStorage.removeItem(at.key);
      toast(`Saved the caption of ${at.name}`, { label: "Undo", key: "z", run: undo });
      if (!isNext) await go(at.address, { push: false, isFresh: true });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      await comeBack(at.photo, `${at.name}: ${error.message}`);
    }
  });
  if (isNext) go(at.next);
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-text]")) return;
  const at = here();
  fit(at.text);
  clearTimeout(pause);
  pause = setTimeout(() => {
    keep(at);
    showDiff(at);
  }, PAUSE_MS);
});

document.addEventListener("keydown", (event) => {
  if (!event.target.matches("[data-text]") || event.isComposing) return;
  const isControl = event.ctrlKey || event.metaKey;
  if (event.key === "Escape") event.target.blur();
  else if (isControl && event.key === "Enter") save(true);
  else if (isControl && event.key.toLowerCase() === "s") keep(here());
  else return;
  event.preventDefault();
});

document.addEventListener("submit", async (event) => {
  const isRecaption = event.target.matches("[data-recaption]");
  if (!isRecaption && !event.target.matches("[data-caption-form]")) return;
  event.preventDefault();
  event.stopPropagation();
  if (isRecaption) await recaption(event.target);
  else save(event.submitter?.dataset.save === "next");
}, true);

async function recaption(form) {
  const said = form.querySelector("[data-recaption-said]");
  try {
    const { job_id: job } = await post(form.getAttribute("action"));
    const box = Object.assign(document.createElement("div"), { textContent: "asked" });
    box.dataset.job = `/jobs/${job}`;
    said.replaceChildren(box);
    said.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    said.textContent = error.message;
  }
}

function focusEnd(text) {
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}

// Pressed by its key.
document.addEventListener("click", (event) => {
  if (event.target.matches("[data-text]") && event.detail === 0) focusEnd(event.target);
});

document.addEventListener("swapped", (event) => {
  if (event.target.matches("[data-desk]")) settle();
});
settle();
