// The launch page: whatever is chosen or typed shows what follows at once, in place; 1, 2 and 3 go to a choice; knobs and
// limits left as derived are not sent. Without scripts the same forms do the same by loading the page anew.
import { onKey } from "./keys.js";
import { morph } from "./morph.js";
import { getFragment, Refusal } from "./net.js";
import { toast } from "./toast.js";

const TYPED_MS = 500;
const page = document.querySelector("[data-launch]");
const form = (name) => document.getElementById(name);
let asking = null, typed = 0;

/** The address of what the page shows as chosen and typed. */
function address() {
  return withLimits(new URLSearchParams(new FormData(form("choices"))));
}

function withLimits(fields) {
  for (const name of ["max_amount", "max_time"]) {
    const field = form("go").elements[name];
    if (field?.value.trim() && field.value !== field.dataset.derived) fields.set(name, field.value);
  }
  return `/runs/new?${fields}`;
}

/** Show what follows from an address. A later wish takes the place of an earlier one. */
function show(to) {
  clearTimeout(typed);
  asking?.abort.abort();
  const abort = new AbortController();
  page.setAttribute("aria-busy", "true");
  const done = load(to, abort.signal).catch((error) => {
    if (error.name === "AbortError") return;
    // What the page says is still what was chosen before.
    form("choices").reset();
    toast(error instanceof Refusal ? error.message : "Packshot's answer was not understood; reload the page.");
  }).finally(() => {
    if (asking?.abort !== abort) return;
    asking = null;
    page.removeAttribute("aria-busy");
  });
  asking = { abort, done };
  return done;
}

async function load(to, signal) {
  const fresh = new DOMParser().parseFromString(await getFragment(to, { signal }), "text/html");
  signal.throwIfAborted();
  for (const unscripted of fresh.querySelectorAll("noscript")) unscripted.replaceChildren(); // parsed as if there were none
  const place = document.activeElement, name = place?.name;
  morph(page, fresh.querySelector("[data-launch]"));
  document.querySelector(".foot").replaceChildren(...fresh.querySelector(".foot").childNodes);
  history.replaceState(null, "", to);
  page.dispatchEvent(new CustomEvent("swapped", { bubbles: true }));
  if (!name || document.activeElement === place) return;
  page.querySelector(`[name="${CSS.escape(name)}"]:not([type=hidden])`)?.focus({ preventScroll: true });
}

const isLimit = (field) => field.form?.id === "go" && field.dataset.derived !== undefined;

document.addEventListener("change", ({ target }) => {
  if (isLimit(target) || (target.form === form("choices") && ["radio", "checkbox"].includes(target.type))) show(address());
});

document.addEventListener("input", ({ target }) => {
  if (!isLimit(target)) return;
  clearTimeout(typed);
  typed = setTimeout(() => show(address()), TYPED_MS);
});

// Before any other script hears of it: what is shown in place is not sent.
document.addEventListener("submit", (event) => {
  const { target, submitter } = event;
  const take = (run) => {
    event.preventDefault();
    event.stopPropagation();
    return run();
  };
  if (submitter?.dataset.apply !== undefined) take(() => show(address()));
  else if (target.id === "choices") take(() => show(address()));
  else if (target.matches("[data-knobs]")) take(() => show(knobs(target)));
  else if (target.id === "go" && asking) take(() => goAfter(asking.done, target, submitter));
}, { capture: true });

/** Pressed while the page was being brought up to date: it goes if the press still means the same. */
async function goAfter(done, target, submitter) {
  const meant = submitter?.getAttribute("formaction") ?? target.action;
  await done;
  const means = submitter?.getAttribute("formaction") ?? target.action;
  if (means === meant && submitter?.isConnected && !submitter.disabled) target.requestSubmit(submitter);
}

function knobs(of) {
  const fields = new URLSearchParams(new FormData(of));
  for (const field of of.querySelectorAll("[data-derived]")) {
    if (field.value === field.dataset.derived && !field.closest(".knob.on")) fields.delete(field.name);
  }
  return withLimits(fields);
}

onKey((event, name) => {
  const chosen = document.querySelector(`[data-choice="${CSS.escape(name)}"] input:checked`);
  chosen?.focus();
  return Boolean(chosen);
});

// A preflight that failed or was stopped is told by the page as a whole.
document.addEventListener("job-over", (event) => {
  if (event.detail.state !== "done") show(location.pathname + location.search);
});
