// Labels by key: a letter goes to its set, a digit gives the label, Esc leaves the set. Only the set in use shows digits, so
// that two sets never claim one key. On the desk each set is a form of its own; in the grid they are the bar's menu.
import { getFragment, post, Refusal } from "./net.js";
import { onKey, typedName } from "./keys.js";
import { toast } from "./toast.js";

const menu = () => document.querySelector("[data-labels-menu]");
const inUse = () => document.querySelector("[data-strip].in-use");

function use(strip) {
  inUse()?.classList.remove("in-use");
  strip?.classList.add("in-use");
  const text = strip?.querySelector("input[name^=text-]");
  if (text) text.focus();
  else strip?.scrollIntoView({ block: "nearest" });
}

onKey((event, name) => {
  const strip = inUse();
  const typed = typedName(event); // labels go by what is written beside them, whatever the person's own keys are
  const digit = /^[0-9]$/.test(typed) && strip?.querySelector(`[data-digit="${typed}"]`);
  if (digit && strip.checkVisibility()) {
    digit.click();
    return true;
  }
  const box = menu();
  if (name === "Esc" && (strip || box?.open)) {
    use(null);
    if (box) box.open = false;
    return true;
  }
  const other = /^[a-z]$/.test(typed) && document.querySelector(`[data-strip][data-letter="${typed}"]`);
  if (!other || other.closest("[inert]")) return false;
  if (box) box.open = true;
  use(other);
  return true;
});

document.addEventListener("click", (event) => {
  const strip = event.target.closest("[data-strip]");
  if (strip) use(strip);
  const box = menu();
  if (box?.open && !box.contains(event.target)) box.open = false;
});

// One photo on the desk. Pressed again, a label is taken away. The strips come back as they are now.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-label-one]")) return;
  event.preventDefault();
  event.stopPropagation();
  const { submitter } = event;
  const letter = form.dataset.letter;
  const trouble = document.querySelector("[data-trouble]");
  const fields = new FormData(form);
  fields.set("label", submitter.value);
  if (submitter.dataset.on === "1") fields.set("takes", "1");
  let refusal = "";
  try {
    const said = await post(form.getAttribute("action"), fields);
    const undo = { label: "Undo", key: "z", run: () => document.querySelector("[data-undo]")?.click() };
    toast(said.sentence, said.changed === 0 ? null : undo);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refusal = error.message;
  }
  trouble.textContent = refusal;
  trouble.hidden = !refusal;
  if (form.isConnected) await refresh(form, letter);
}, true);

async function refresh(form, letter) {
  const html = await getFragment(location.href);
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-labels]");
  const old = form.closest("[data-labels]");
  if (!fresh || !old?.isConnected) return;
  old.replaceWith(document.importNode(fresh, true));
  document.activeElement?.blur?.();
  use(letter ? document.querySelector(`[data-strip][data-letter="${letter}"]`) : null);
  if (document.activeElement?.matches("input[name^=text-]")) document.activeElement.blur();
}
