// The rail beside the grid: where one is in the whole list, and a jump to any place by pressing or dragging.
const box = document.querySelector("[data-browse]");
const rail = () => box.querySelector("[data-scrub]");
const format = (count) => count.toLocaleString("en-GB");

export function showRail({ from, to }, total) {
  const thumb = rail()?.querySelector("[data-thumb]");
  if (!thumb) return;
  const share = (to - from + 1) / total;
  thumb.hidden = share >= 1;
  thumb.style.top = `min(${((from - 1) / total) * 100}%, 100% - 8px)`;
  thumb.style.height = `max(8px, ${Math.min(1, share) * 100}%)`;
  const there = rail().querySelector("[data-there]");
  there.textContent = format(from);
  there.style.top = thumb.style.top;
}

function drag(event) {
  const bounds = rail().getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (event.clientY - bounds.top) / bounds.height));
  const grid = box.querySelector("[data-grid]");
  grid.scrollTop = share * (grid.scrollHeight - grid.clientHeight);
}

function setHeld(isHeld) {
  rail().classList.toggle("held", isHeld);
  rail().querySelector("[data-there]").hidden = !isHeld;
}

box.addEventListener("pointerdown", (event) => {
  const held = event.target.closest("[data-scrub]");
  if (!held || event.button || event.target.closest("a")) return;
  held.setPointerCapture(event.pointerId);
  setHeld(true);
  drag(event);
});
box.addEventListener("pointermove", (event) => {
  if (rail()?.hasPointerCapture(event.pointerId)) drag(event);
});
box.addEventListener("lostpointercapture", (event) => {
  if (event.target.matches?.("[data-scrub]")) setHeld(false);
});
