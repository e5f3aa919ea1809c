// The captions' editor. What is typed is kept in this browser after each pause, by photo, kind and the caption it started
// from, until the server has it: nothing typed is lost to a fast key, a dead network, an ended sign-in or a colleague.
import { getFragment, post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { comeBack, forgetReady, go, send, trouble } from "./desk.js";
import { undo } from "./decide.js";
import { claim } from "./claims.js";
import { showBoth } from "./conflict.js";
import { draft, dropDraft, keepDraft, keyOf, olderDraft } from "./drafts.js";
import { markDrafts, onKind, panel, show, showOwn } from "./kinds.js";
import { follow, shift, weigh } from "./meters.js";
import { isComposing, isTyping, onKey } from "./keys.js";
import { showDiff } from "./versions.js";

const PAUSE_MS = 400;
const REST_MS = 200; // on a photo, before its tokens are asked for
let pause = 0;
let resting = 0;

function here() {
  const section = panel();
  const photo = section.closest("[data-photo]").dataset;
  const text = section.querySelector("[data-text]");
  const { caption, kind, word, address } = section.dataset;
  return { section, text, photo: photo.photo, name: photo.name, next: photo.next, address, row: photo.address, caption, kind, word,
    key: keyOf(photo.photo, kind, caption) };
}

// By the caption that it goes on from now: it may have been saved since it was typed.
function keep(at) {
  const key = keyOf(at.photo, at.kind, at.section.dataset.caption);
  if (!keepDraft(key, at.text)) say(at, "This browser keeps no draft: its storage is full or switched off.");
  else if (at.text.value !== at.text.defaultValue) say(at, `draft saved ${now()}`);
  markDrafts();
}

const now = () => new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

function say({ section }, sentence) {
  section.querySelector("[data-draft]").textContent = sentence;
}

// What the page shows -------------------------------------------------------------------------------------------------
function settle() {
  const at = here();
  if (!at.text) return; // somebody who only looks
  const kept = draft(at.key);
  if (kept && kept.text !== at.text.value) {
    at.text.value = kept.text;
    say(at, "your draft, not saved yet");
  }
  const [key, older] = olderDraft(at.photo, at.kind, at.key);
  if (older) {
    const both = { current: at.text.defaultValue, author: at.section.dataset.writer, older, word: at.word };
    showBoth(at.section.querySelector("[data-conflict]"), both, (text) => {
      dropDraft(key);
      markDrafts();
      if (text === null) return;
      at.text.value = text;
      keep(at);
      settle();
      at.text.focus();
    });
  }
  fit(at.text);
  showDiff(at);
  // What is said of the long caption as it was saved is in the page.
  if (at.text.value !== at.text.defaultValue || document.querySelector("[data-claims]").dataset.of !== at.kind) claim(at);
  const isOver = at.section.querySelector(".meter.over, [data-meters] > p");
  clearTimeout(resting);
  if (isOver || at.text.value !== at.text.defaultValue) resting = setTimeout(weigh, REST_MS, at.section, at.text);
  if (location.hash === "#text") {
    history.replaceState(null, "", location.pathname + location.search);
    focusEnd(at.text);
  }
}

function fit(text) {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 260)}px`;
  follow(panel(), text);
}

// Saving --------------------------------------------------------------------------------------------------------------
function save(isNext) {
  const at = here();
  clearTimeout(pause);
  keep(at);
  const text = at.text.value;
  const fields = { text, kind: at.kind, expected_id: at.caption || null };
  if (isNext) at.text.blur();
  send(async () => {
    try {
      const caption = await post(`/images/${at.photo}/captions`, fields, { keepalive: text.length < 20_000 });
      dropDraft(at.key);
      markDrafts();
      trouble("");
      toast(`Saved the ${at.word} of ${at.name}`, caption.changed === 0 ? null : { label: "Undo", key: "z", run: undo });
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
  forgetReady(at.row);
  at.section.dataset.caption = caption.caption_id;
  at.text.defaultValue = sent; // as it was typed: the caption itself lost its double spaces
  const expected = at.section.querySelector("[data-expected]");
  if (expected) expected.value = caption.caption_id;
  keep(at);
  if (here().section !== at.section) return;
  if (at.text.value === sent) say(at, `saved ${now()}`);
  const html = await getFragment(at.address);
  const fresh = document.createRange().createContextualFragment(html);
  const article = at.text.closest("article");
  if (!article) return; // another kind is shown by now
  for (const part of ["[data-author]", "[data-versions-box]", "[data-beside]", "[data-history]", ".decided"]) {
    const [old, made] = [article, fresh].map((each) => each.querySelector(part));
    if (!old || !made) continue; // not told in a blind pass
    const isOpen = old.open ?? old.querySelector("details")?.open;
    old.replaceWith(made);
    const details = made.matches("details") ? made : made.querySelector("details");
    if (isOpen && details) details.open = true;
  }
  at.section.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-text]")) return;
  const at = here();
  fit(at.text);
  shift(at.section, at.text);
  clearTimeout(pause);
  pause = setTimeout(() => {
    keep(at);
    if (!at.section.isConnected) return;
    showDiff(at);
    claim(at);
    weigh(at.section, at.text);
  }, PAUSE_MS);
});
// A page that is left before the pause is over: for another one, or for signing in again.
addEventListener("pagehide", () => here().text && keep(here()));

onKind((kind) => {
  if (here().text) keep(here());
  show(kind);
  settle();
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

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-caption-form]")) return;
  event.preventDefault();
  event.stopPropagation();
  save(event.submitter?.dataset.save === "next");
}, true);

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
  if (event.target.matches("[data-desk]")) begin();
});

function begin() {
  document.querySelector("[data-claims]").dataset.of ??= "long";
  showOwn();
  settle();
}
begin();
