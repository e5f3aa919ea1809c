// toast("Rejected Brown shoes: blurred", { label: "Undo", key: "z", run: undo }): what happened, lower left, for 8 seconds;
// it stays while it is hovered or focused. The newest takes the place of the older. Errors are not toasts.
const STAYS_MS = 8000;
let timer = 0;

// Put it there for a while; leaving takes it away.
function stay(region, box) {
  clearTimeout(timer);
  const leave = () => {
    clearTimeout(timer);
    timer = setTimeout(() => dismiss(box), STAYS_MS);
  };
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", leave);
  box.addEventListener("focusin", () => clearTimeout(timer));
  box.addEventListener("focusout", leave);
  region.replaceChildren(box);
  leave();
}

export function toast(text, action = null) {
  const region = document.getElementById("toasts");
  if (!region) return;
  const box = document.createElement("div");
  box.className = "toast";
  const words = document.createElement("span");
  words.textContent = text;
  box.append(words);
  if (action) box.append(button(action, box));
  stay(region, box);
}

// What the form that led here did comes with the page. It is put there anew, for nobody is read what was there before.
const brought = document.querySelector("#toasts .toast");
if (brought) {
  brought.remove();
  requestAnimationFrame(() => stay(document.getElementById("toasts"), brought));
}

export function dismiss(box = document.querySelector(".toast")) {
  box?.remove();
}

function button(action, box) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn small";
  made.textContent = action.label;
  if (action.key) {
    made.dataset.key = action.key;
    const kbd = document.createElement("kbd");
    kbd.textContent = action.key.length === 1 ? action.key.toUpperCase() : action.key;
    made.append(" ", kbd);
  }
  made.addEventListener("click", () => {
    dismiss(box);
    action.run();
  });
  return made;
}
