// Names of clusters beside their middles, the largest first; one that would lie on another, or outside, is left out.

const GAP = 4;

export function placeLabels(stage, toScreen) {
  const taken = [];
  const labels = [...stage.querySelectorAll("[data-labels] > a")];
  labels.sort((one, other) => Number(other.dataset.n) - Number(one.dataset.n));
  const { clientWidth: width, clientHeight: height } = stage;
  for (const label of labels) {
    label.hidden = false;
    const [x, y] = toScreen(Number(label.dataset.x), Number(label.dataset.y));
    const box = { left: x + 8, top: y - 14, right: x + 8 + label.offsetWidth, bottom: y - 14 + label.offsetHeight };
    const isOn = box.left >= 0 && box.top >= 44 && box.right <= width && box.bottom <= height - 24;
    const isFree = taken.every((other) => box.right + GAP < other.left || other.right + GAP < box.left
      || box.bottom + GAP < other.top || other.bottom + GAP < box.top);
    label.hidden = !(isOn && isFree);
    if (label.hidden) continue;
    taken.push(box);
    label.style.translate = `${box.left}px ${box.top}px`;
  }
}
