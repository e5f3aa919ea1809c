// Why a photo was measured so, drawn over it: shown and hidden by one key, on the desk and beside the grid; all that was found,
// or one signal. Both choices are kept.
const KEPT = "packshot-why";
const KEPT_SIGNAL = "packshot-why-of";
const page = document.documentElement;
let shownHere = null; // the signal whose evidence is shown while its line is hovered or focused; nothing of it is kept

// The signal to show; of a photo that was not measured so far, all.
function chosen(select) {
  const kept = shownHere ?? localStorage.getItem(KEPT_SIGNAL) ?? "";
  return [...select.options].some((option) => option.value === kept) ? kept : "";
}

function drawOver(caps, isOn) {
  const select = caps.querySelector("[data-why-of]");
  const signal = chosen(select);
  select.value = signal;
  const says = caps.querySelector("[data-says-why]");
  const { says: said = "", swatch = "" } = select.selectedOptions[0].dataset;
  says.toggleAttribute("hidden", !signal);
  says.querySelector("i").toggleAttribute("hidden", !swatch);
  says.querySelector("i").style.background = swatch;
  if (says.lastElementChild.textContent !== said) says.lastElementChild.textContent = said;
  for (const part of caps.parentElement.querySelectorAll(".evidence [data-of]")) {
    part.toggleAttribute("hidden", !part.dataset.of.split(" ").includes(signal || "all"));
  }
  // Drawn by the server only where somebody looks.
  const picture = caps.parentElement.querySelector("image[data-drawn]");
  if (!isOn || picture.hasAttribute("hidden")) return;
  const address = picture.dataset.drawn + (signal ? `?of=${signal}` : "");
  if (picture.getAttribute("href") === address) return;
  // Another element, for a picture goes on showing its old pixels until the new ones have come.
  const fresh = picture.cloneNode();
  fresh.setAttribute("href", address);
  picture.replaceWith(fresh);
}

function draw() {
  const isKeptOn = localStorage.getItem(KEPT) === "on";
  const isOn = isKeptOn || shownHere !== null;
  page.toggleAttribute("data-why", isOn);
  for (const button of document.querySelectorAll("[data-evidence]")) {
    if (button.getAttribute("aria-pressed") === String(isKeptOn)) continue;
    button.classList.toggle("on", isKeptOn);
    button.setAttribute("aria-pressed", String(isKeptOn));
  }
  for (const caps of document.querySelectorAll(".caps.evidence")) drawOver(caps, isOn);
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-evidence]")) return;
  localStorage.setItem(KEPT, localStorage.getItem(KEPT) === "on" ? "off" : "on");
  draw();
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-why-of]")) return;
  localStorage.setItem(KEPT_SIGNAL, event.target.value);
  draw();
});

// What a caption is contradicted by, or borne out by, is drawn while one looks at its line.
function showHere(event) {
  const line = event.type === "focusout" || event.type === "pointerout" ? event.relatedTarget : event.target;
  const signal = line?.closest?.("[data-why-here]")?.dataset.whyHere ?? null;
  if (signal === shownHere) return;
  shownHere = signal;
  draw();
}
for (const kind of ["pointerover", "pointerout", "focusin", "focusout"]) document.addEventListener(kind, showHere);
document.addEventListener("swapped", () => {
  if (shownHere === null || document.querySelector("[data-why-here]:is(:hover, :focus)")) return;
  shownHere = null;
  draw();
});

// Another photo comes into these places.
for (const place of document.querySelectorAll("[data-desk], [data-browse]")) {
  new MutationObserver(draw).observe(place, { childList: true, subtree: true });
}
draw();
