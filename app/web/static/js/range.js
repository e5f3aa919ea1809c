// data-range: a histogram with two handles. Its address with the whole range is data-address, without any data-free.
// Each handle is a slider over its own part of the range, up to the other one, so that neither lies on the other; at rest
// they meet halfway between their values.
const handlesOf = (box) => [...box.querySelectorAll("[data-handle]")];
const topOf = (box) => Number(box.dataset.top);
const bottomOf = (box) => Number(box.dataset.bottom);
const reachOf = (box) => topOf(box) - bottomOf(box);
const ends = (box) => handlesOf(box).map((handle) => Number(handle.value));

function move(box) {
  const [low, high] = ends(box);
  box.querySelectorAll("rect:not(.hit)").forEach((bar, place, bars) => {
    const middle = bottomOf(box) + ((place + 0.5) / bars.length) * reachOf(box);
    bar.classList.toggle("in", middle >= low && middle <= high);
  });
  const said = box.closest("[data-facet]").querySelector(".range");
  const { places, unit } = box.dataset;
  if (said) said.textContent = `${low.toFixed(places)} to ${high.toFixed(places)}${unit}`;
}

// Where the two parts meet; the handle that is used may go as far as the other one.
function share(box, used = null) {
  const [low, high] = handlesOf(box);
  const [from, to] = ends(box);
  const step = Number(low.step);
  const between = Math.min(to, Math.max(from, Math.round((from + to) / 2 / step) * step));
  const meet = used === low ? to : used === high ? from : Number(between.toFixed(2));
  bound(box, low, bottomOf(box), meet);
  bound(box, high, meet, topOf(box));
}

function bound(box, handle, from, to) {
  const { value } = handle;
  Object.assign(handle, { min: from, max: to });
  handle.value = value;
  handle.style.setProperty("--from", ((from - bottomOf(box)) / reachOf(box)) * 100);
  handle.style.setProperty("--to", ((to - bottomOf(box)) / reachOf(box)) * 100);
}

function addressOf(box) {
  const [low, high] = ends(box);
  if (low <= bottomOf(box) && high >= topOf(box)) return box.dataset.free;
  const { range, bottom, most } = box.dataset;
  const url = new URL(box.dataset.address, location.href);
  // The last bar has what lies beyond the histogram's end.
  const chosen = `${range}:${low}..${high >= topOf(box) ? most : high}`;
  url.searchParams.set("q", url.searchParams.get("q").replace(`${range}:${bottom}..${most}`, chosen));
  return url.href;
}

function settle() {
  for (const box of document.querySelectorAll("[data-range]")) {
    share(box, document.activeElement?.closest("[data-handle]"));
    for (const handle of handlesOf(box)) handle.hidden = false;
  }
}

// Bars that are dragged over are a range, from the first to the last one.
let swept = null; // { box, from, to } in shares of the whole
const shareAt = (box, event) => {
  const bounds = box.querySelector("svg").getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - bounds.left) / bounds.width));
};
const barsOf = (box) => box.querySelectorAll("rect.hit").length;

function sweep(event) {
  swept.to = shareAt(swept.box, event);
  const [from, to] = [swept.from, swept.to].sort((a, b) => a - b);
  const count = barsOf(swept.box);
  const [low, high] = handlesOf(swept.box);
  const [bottom, reach] = [bottomOf(swept.box), reachOf(swept.box)];
  for (const handle of [low, high]) bound(swept.box, handle, bottom, topOf(swept.box));
  low.value = bottom + (Math.floor(from * count) / count) * reach;
  high.value = bottom + (Math.min(count, Math.floor(to * count) + 1) / count) * reach;
  move(swept.box);
}

document.addEventListener("pointerdown", (event) => {
  const box = event.target.closest?.("svg.hist") && event.target.closest("[data-range]");
  if (!box || event.button) return;
  swept = { box, from: shareAt(box, event), isDrag: false };
});
document.addEventListener("pointermove", (event) => {
  if (swept && !event.buttons) swept = null; // let go of outside of the window
  if (!swept) return;
  const bar = 1 / barsOf(swept.box);
  swept.isDrag ||= Math.abs(shareAt(swept.box, event) - swept.from) > bar / 2;
  if (swept.isDrag) sweep(event);
});
document.addEventListener("pointerup", () => {
  if (!swept?.isDrag) swept = null;
});
document.addEventListener("dragstart", (event) => {
  if (event.target.closest?.("svg.hist")) event.preventDefault();
});
// A press on one bar is its link; a drag is none. Its click comes after all else.
document.addEventListener("click", (event) => {
  if (!swept) return;
  const { box } = swept;
  swept = null;
  event.preventDefault();
  event.stopPropagation();
  box.dispatchEvent(new CustomEvent("ranged", { bubbles: true, detail: addressOf(box) }));
}, { capture: true });

const boxOf = (event) => event.target.closest?.("[data-range]");
for (const kind of ["pointerdown", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const box = boxOf(event);
    if (box && event.target.matches("[data-handle]")) share(box, event.target);
  });
}
document.addEventListener("focusout", (event) => {
  const box = boxOf(event);
  if (box) share(box);
});
document.addEventListener("input", (event) => {
  const box = boxOf(event);
  if (box) move(box);
});
document.addEventListener("change", (event) => {
  const box = boxOf(event);
  if (box) box.dispatchEvent(new CustomEvent("ranged", { bubbles: true, detail: addressOf(box) }));
});
document.addEventListener("swapped", settle);
settle();
