// What went wrong in the grid, in a sentence below it; an empty one takes it away.
export function trouble(sentence) {
  const place = document.querySelector("[data-browse] [data-trouble]");
  if (!place) return;
  place.textContent = sentence;
  place.hidden = !sentence;
}
