// A box over a picture whose edges are dragged by mouse, finger or arrow keys. Edges are shares of the picture:
// left, top, right, bottom. Shift moves ten times as far.
const EDGES = ["left", "top", "right", "bottom"];
const STEP = 0.005;
const LEAST = 0.01;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// The edges, moved by dx and dy; of the whole box where none is named. They stay inside, and in their order.
function moved(edges, names, dx, dy) {
  if (!names.length) {
    const [x, y] = [Math.min(1 - edges[2], Math.max(-edges[0], dx)), Math.min(1 - edges[3], Math.max(-edges[1], dy))];
    return [edges[0] + x, edges[1] + y, edges[2] + x, edges[3] + y];
  }
  const next = [...edges];
  for (const name of names) {
    const at = EDGES.indexOf(name);
    const [low, high] = at < 2 ? [0, edges[at + 2] - LEAST] : [edges[at - 2] + LEAST, 1];
    next[at] = Math.min(high, Math.max(low, edges[at] + (at % 2 ? dy : dx)));
  }
  return next;
}

// `box` lies over `picture`; `crop.get()` tells the edges, `crop.set(edges, isOne)` changes them.
export function cropping(box, picture, crop) {
  let drag = null;
  const whole = box.querySelector('[data-handle=""]');
  const namesOf = (target) => (target.dataset.handle ?? "").split(" ").filter(Boolean);

  box.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    box.setPointerCapture(event.pointerId);
    drag = { names: namesOf(event.target), x: event.clientX, y: event.clientY, edges: crop.get(), isOne: false };
    event.preventDefault();
    (event.target.closest("button") ?? whole).focus();
  });
  box.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { width, height } = picture.getBoundingClientRect();
    crop.set(moved(drag.edges, drag.names, (event.clientX - drag.x) / width, (event.clientY - drag.y) / height), drag.isOne);
    drag.isOne = true;
  });
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => (drag = null));
  box.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const by = STEP * (event.shiftKey ? 10 : 1);
    crop.set(moved(crop.get(), namesOf(event.target), arrow[0] * by, arrow[1] * by), event.repeat);
  });

  function place([left, top, right, bottom]) {
    const [at, around] = [picture.getBoundingClientRect(), box.parentElement.getBoundingClientRect()];
    box.hidden = false;
    box.style.left = `${at.left - around.left + left * at.width}px`;
    box.style.top = `${at.top - around.top + top * at.height}px`;
    box.style.width = `${(right - left) * at.width}px`;
    box.style.height = `${(bottom - top) * at.height}px`;
  }
  new ResizeObserver(() => box.hidden || place(crop.get())).observe(box.parentElement);
  return { place };
}
