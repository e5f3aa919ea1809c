// The launch page: a choice shows what follows at once; 1, 2 and 3 go to a choice; knobs left as derived are not sent.
import { onKey } from "./keys.js";

const choices = document.getElementById("choices");

document.addEventListener("change", (event) => {
  if (event.target.form === choices && ["radio", "checkbox"].includes(event.target.type)) choices.requestSubmit();
});

document.querySelector("[data-knobs]")?.addEventListener("submit", (event) => {
  for (const field of event.target.querySelectorAll("[data-derived]")) {
    field.disabled = field.value === field.dataset.derived && !field.closest(".knob.on");
  }
});

// Coming back by the browser's history finds the fields usable.
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("[data-derived]")) field.disabled = false;
});

onKey((event, name) => {
  const chosen = document.querySelector(`[data-choice="${CSS.escape(name)}"] input:checked`);
  chosen?.focus();
  return Boolean(chosen);
});

// A preflight that failed or was stopped is told by the page as a whole.
document.addEventListener("job-over", (event) => {
  if (event.detail.state !== "done") location.reload();
});
