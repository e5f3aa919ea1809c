// The rules of a catalog: while a limit is dragged or a choice made, what it would change is counted and shown. Nothing is
// kept before "Save"; what is tried lives in the address, so that a reload or a colleague finds it.
import { getFragment, swap, Refusal } from "./net.js";

const form = document.querySelector("[data-rules]");
let asking = null;

function asked() {
  const fields = new URLSearchParams(new FormData(form));
  fields.delete("csrf");
  fields.delete("expected_id");
  return fields;
}

// Count again, for the newest question only; an answer that comes late is for nobody.
async function count() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const place = form.querySelector('[data-part="changes"]');
  const fields = asked();
  history.replaceState(null, "", `${form.dataset.rules}?${fields}`);
  place.setAttribute("aria-busy", "true");
  try {
    const html = await getFragment(`${form.dataset.rules}?${fields}&part=counts`, { signal: mine.signal });
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of form.querySelectorAll("[data-part]")) {
      const same = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (same) swap(part, same.innerHTML);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refusal)) throw error;
    place.textContent = error.message;
  }
  if (mine === asking) place.removeAttribute("aria-busy");
}

// The line and the bars follow the hand at once.
function draw(limit, value) {
  const highest = Number(limit.querySelector("[data-handle]").max);
  const bars = [...limit.querySelectorAll("rect")];
  bars.forEach((bar, place) => bar.classList.toggle("in", ((place + 0.5) / bars.length) * highest < value));
  const line = limit.querySelector("[data-line]");
  for (const end of ["x1", "x2"]) line.setAttribute(end, String((value / highest) * bars.length * 10));
}

form.addEventListener("input", (event) => {
  const limit = event.target.closest("[data-limit]");
  if (limit) {
    const number = limit.querySelector("input[type=number]");
    const handle = limit.querySelector("[data-handle]");
    if (event.target === handle) number.value = Number(handle.value).toFixed((handle.step.split(".")[1] ?? "").length);
    else handle.value = number.value;
    const value = Number(number.value);
    if (number.value !== "" && value >= 0 && value <= Number(handle.max)) draw(limit, value);
  }
  count();
});

for (const handle of form.querySelectorAll("[data-handle]")) handle.hidden = false;
