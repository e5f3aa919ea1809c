// Why a photo was measured so, drawn over it: shown and hidden by one key, on the desk and beside the grid. The choice is kept.
const KEPT = "packshot-why";
const page = document.documentElement;

function draw() {
  const isOn = localStorage.getItem(KEPT) === "on";
  page.toggleAttribute("data-why", isOn);
  for (const button of document.querySelectorAll("[data-evidence]")) {
    if (button.getAttribute("aria-pressed") === String(isOn)) continue;
    button.classList.toggle("on", isOn);
    button.setAttribute("aria-pressed", String(isOn));
  }
  // Drawn by the server only where somebody looks.
  if (!isOn) return;
  for (const picture of document.querySelectorAll("image[data-drawn]:not([href])")) {
    picture.setAttribute("href", picture.dataset.drawn);
  }
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-evidence]")) return;
  localStorage.setItem(KEPT, localStorage.getItem(KEPT) === "on" ? "off" : "on");
  draw();
});

// Another photo comes into these places.
for (const place of document.querySelectorAll("[data-desk], [data-browse]")) {
  new MutationObserver(draw).observe(place, { childList: true, subtree: true });
}
draw();
