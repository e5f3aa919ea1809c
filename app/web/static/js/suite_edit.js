// The editor of a suite: prompts added, moved and removed. Without this, places are typed and three rows are empty.
const form = document.querySelector("[data-suite-edit]");
const rows = form.querySelector("[data-rows]");
const said = form.querySelector("[data-said]");
const isFilled = (row) => row.querySelector("[name=text]").value.trim() !== "";

// The empty rows are for pages without a script; one of them is the model of a new row.
const model = [...rows.children].find((row) => !isFilled(row)).cloneNode(true);
for (const row of [...rows.children]) if (!isFilled(row)) row.remove();
for (const acts of [...rows.querySelectorAll("[data-acts]"), model.querySelector("[data-acts]")]) acts.hidden = false;
form.querySelector("[data-add]").hidden = false;

function number() {
  [...rows.children].forEach((row, index) => { row.querySelector("[name=order]").value = index + 1; });
}

function tell(sentence) {
  said.textContent = sentence;
  changed = true;
}

let changed = false;
form.addEventListener("input", () => { changed = true; });
form.addEventListener("submit", () => { changed = false; });
window.addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });

form.querySelector("[data-add]").addEventListener("click", () => {
  const row = model.cloneNode(true);
  row.querySelector("[name=category]").value = rows.lastElementChild?.querySelector("[name=category]").value ?? "";
  rows.append(row);
  number();
  row.querySelector("[name=text]").focus();
  tell("A prompt was added at the end.");
});

rows.addEventListener("change", (event) => {
  if (event.target.name !== "order") return;
  const place = (row) => Number(row.querySelector("[name=order]").value) || Infinity;
  const row = event.target.closest("[data-row]");
  const others = [...rows.children].filter((each) => each !== row);
  rows.insertBefore(row, others.find((each) => place(each) >= place(row)) ?? null);
  number();
  event.target.focus();
});

rows.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move], [data-remove]");
  if (!button) return;
  const row = button.closest("[data-row]");
  if ("remove" in button.dataset) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    tell("The prompt was removed.");
    (next?.querySelector("[data-remove]") ?? form.querySelector("[data-add]")).focus();
  } else {
    const beside = button.dataset.move === "1" ? row.nextElementSibling : row.previousElementSibling;
    if (beside) button.dataset.move === "1" ? beside.after(row) : beside.before(row);
    button.focus();
    tell("The prompt was moved.");
  }
  number();
});
