// The caption's editor. What is typed is kept in this browser after each pause, by photo and by the caption it started
// from, until the server has it: nothing typed is lost to a fast key, a dead network, an ended sign-in or a colleague.
import { getFragment, post, postFragment, swap, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { compare, draw } from "./diff.js";
import { comeBack, forgetReady, go, send, trouble } from "./desk.js";
import { undo } from "./decide.js";
import { showBoth } from "./conflict.js";
import { draft, dropDraft, keepDraft, keyOf, olderDraft } from "./drafts.js";
import { isComposing, isTyping, onKey } from "./keys.js";

const PAUSE_MS = 400;
let pause = 0;

function here() {
  const section = document.querySelector("[data-caption]");
  const photo = section.closest("[data-photo]");
  const text = section.querySelector("[data-text]");
  return { section, text, photo: photo.dataset.photo, name: photo.dataset.name, address: photo.dataset.address,
    next: photo.dataset.next, caption: section.dataset.caption, key: keyOf(photo.dataset.photo, section.dataset.caption) };
}

function keep(at) {
  if (!keepDraft(at.key, at.text)) say(at, "This browser keeps no draft: its storage is full or switched off.");
  else if (at.text.value !== at.text.defaultValue) say(at, `draft saved ${now()}`);
}

const now = () => new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

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
  const [key, older] = olderDraft(at.photo, at.key);
  if (older) {
    showBoth(at.section.querySelector("[data-conflict]"), at.text.defaultValue, older, (text) => {
      dropDraft(key);
      if (text === null) return;
      at.text.value = text;
      keep(at);
      settle();
      at.text.focus();
    });
  }
  fit(at.text);
  showDiff(at);
  if (at.text.value !== at.text.defaultValue) claim(at);
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

// Saving --------------------------------------------------------------------------------------------------------------
function save(isNext) {
  const at = here();
  clearTimeout(pause);
  keep(at);
  const text = at.text.value;
  const fields = { text, expected_id: at.caption || null };
  if (isNext) at.text.blur();
  send(async () => {
    try {
      const caption = await post(`/images/${at.photo}/captions`, fields, { keepalive: text.length < 20_000 });
      dropDraft(at.key);
      toast(`Saved the caption of ${at.name}`, { label: "Undo", key: "z", run: undo });
      if (!isNext) await stay(at, text, caption);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (at.text.isConnected) keep(at);
      const sentence = `${at.name}: ${error.message}`;
      if (error.status === 0 && !isNext) trouble(sentence);
      else await comeBack(at.photo, sentence, at.text);
    }
  });
  if (isNext) go(at.next);
}

// Saved and still here: what was typed meanwhile goes on from the saved caption, and what the page says of it follows.
async function stay(at, sent, caption) {
  forgetReady(at.address);
  if (here().section !== at.section) return;
  at.section.dataset.caption = caption.caption_id;
  at.text.defaultValue = sent; // as it was typed: the caption itself lost its double spaces
  const expected = at.section.querySelector("[data-expected]");
  if (expected) expected.value = caption.caption_id;
  const saved = here();
  keep(saved);
  if (at.text.value === sent) say(saved, `saved ${now()}`);
  const html = await getFragment(at.address);
  const fresh = document.createRange().createContextualFragment(html);
  for (const part of ["[data-author]", "[data-tokens]", "[data-history]", ".decided"]) {
    const old = at.text.closest("article").querySelector(part);
    const isOpen = old.open;
    old.replaceWith(fresh.querySelector(part));
    if (isOpen) at.text.closest("article").querySelector(part).open = true;
  }
  at.section.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

// What the text contradicts, as it stands now.
let asking = null;
async function claim(at) {
  asking?.abort();
  asking = new AbortController();
  const place = document.querySelector("[data-claims]");
  try {
    const html = await postFragment(place.dataset.claims, { text: at.text.value }, { signal: asking.signal });
    if (place.isConnected) swap(place, html);
  } catch (error) {
    // Without an answer the section keeps what it said of the last text.
    if (error.name !== "AbortError" && !(error instanceof Refusal)) throw error;
  }
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-text]")) return;
  const at = here();
  fit(at.text);
  clearTimeout(pause);
  pause = setTimeout(() => {
    keep(at);
    showDiff(at);
    claim(at);
  }, PAUSE_MS);
});

document.addEventListener("keydown", (event) => {
  if (!event.target.matches("[data-text]") || isComposing(event)) return;
  const isControl = event.ctrlKey || event.metaKey;
  const isEnter = isControl && event.key === "Enter";
  const isSave = isControl && event.key.toLowerCase() === "s";
  if (event.key !== "Escape" && !isEnter && !isSave) return;
  event.preventDefault();
  if (event.repeat) return;
  if (event.key === "Escape") event.target.blur();
  else save(isEnter);
});
// The same beside the text: the browser's own "save page" would look like saving and keep nothing.
onKey((event, name) => name === "Ctrl+s" && !isTyping(event.target) && (save(false), true));

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
  text.scrollIntoView({ block: "nearest" });
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
