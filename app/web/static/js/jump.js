// Jumping in the grid: to the photo of a number that was typed, and by the numbers on the rail.
import { bringUp } from "./scroll.js";

export function jumping(box, picks) {
  box.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-jump]")) return;
    event.preventDefault();
    event.stopPropagation();
    const place = Number(event.target.querySelector("[data-jump-to]").value.replace(/\D/g, ""));
    if (place) picks.goTo(place);
  });
  box.addEventListener("click", (event) => {
    const field = event.target.closest("[data-jump-to]");
    const link = event.target.closest("[data-to]");
    if (field && event.detail === 0) {
      field.focus(); // by its key
      field.select();
    }
    if (!link) return;
    event.preventDefault();
    bringUp(Number(link.dataset.to));
  });
  const show = () => box.querySelectorAll("[data-jump]").forEach((form) => { form.hidden = false; });
  box.addEventListener("swapped", show);
  show();
}
