// Setting a key: press the button, then the key. Esc and Tab leave it as it was; a key that another act has can be swapped.
import { post, Refusal } from "./net.js";
import { isComposing, typedName } from "./keys.js";
import { obey, written } from "./own_keys.js";

let waiting = null; // the button whose key is waited for

const list = (inside) => inside.closest("[data-own-keys-list]");
const say = (place, ...parts) => place.querySelector("[data-key-said]").replaceChildren(...parts);

function wait(button) {
  leave();
  waiting = button;
  button.dataset.shown = button.textContent;
  button.textContent = "Press a key …";
  button.classList.add("on");
  say(list(button), "Press the new key; Esc leaves it as it was.");
}

function leave() {
  if (!waiting) return;
  waiting.textContent = waiting.dataset.shown;
  waiting.classList.remove("on");
  waiting = null;
}

async function send(place, address, fields) {
  try {
    const { list: html } = await post(address, fields);
    const fresh = document.createRange().createContextualFragment(html).firstElementChild;
    place.replaceWith(fresh);
    obey(fresh.dataset.meanings);
    if (fields.act) fresh.querySelector(`[data-set-key="${fields.act}"]`).focus();
    say(fresh, fields.act ? "Set." : "All keys are as usual again.");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say(place, error.message);
    if (error.status === 409) say(place, error.message, " ", swapButton(place, fields));
  }
}

function swapButton(place, fields) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn small";
  button.textContent = "Swap";
  button.addEventListener("click", () => send(place, "/keys", { ...fields, swap: "true" }));
  return button;
}

document.addEventListener("keydown", (event) => {
  if (!waiting || ["Shift", "Control", "Alt", "Meta", "CapsLock"].includes(event.key)) return;
  const button = waiting;
  const name = typedName(event);
  leave();
  if (name === "Tab" || name === "Shift+Tab") return say(list(button), "");
  event.preventDefault();
  event.stopImmediatePropagation();
  if (name === "Esc") return say(list(button), "");
  if (isComposing(event)) return say(list(button), "That key composes letters. Switch the input method off, and press it again.");
  say(list(button), `${written(name)} …`);
  send(list(button), "/keys", { act: button.dataset.setKey, key: name });
}, { capture: true });

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-set-key]");
  if (button) wait(button);
  else leave();
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-keys-back]")) return;
  event.preventDefault();
  event.stopPropagation();
  send(list(event.target), event.target.getAttribute("action"), {});
}, true);
