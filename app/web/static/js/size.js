// How large photos are in the grid: a slider, and + and -. Kept in this browser.
const KEPT = "packshot-tile";
const USUAL = 100;
const slider = () => document.querySelector("[data-size]");

function setSize(px) {
  const { min, max } = slider();
  const size = Math.min(Math.max(px, Number(min)), Number(max));
  localStorage.setItem(KEPT, size);
  draw();
  dispatchEvent(new Event("resized"));
}

const sizeOf = () => Number(localStorage.getItem(KEPT)) || USUAL;

function draw() {
  document.documentElement.style.setProperty("--tile", `${sizeOf()}px`);
  const field = slider();
  if (!field) return;
  field.hidden = false;
  field.value = sizeOf();
  field.setAttribute("aria-valuetext", `${sizeOf()} pixels`);
}

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-size]")) setSize(Number(event.target.value));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-resize]");
  if (button) setSize(sizeOf() + Number(button.dataset.resize) * 24);
});
document.addEventListener("swapped", draw);
draw();
