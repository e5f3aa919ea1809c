// data-range: a histogram with two handles. Its address with the whole range is data-address, without any data-free.
// Each handle is a slider over its own part of the range, up to the other one, so that neither lies on the other; at rest
// they meet halfway between their values.
const handlesOf = (box) => [...box.querySelectorAll("[data-handle]")];
const topOf = (box) => Number(box.dataset.top);
const ends = (box) => handlesOf(box).map((handle) => Number(handle.value));

function move(box) {
  const [low, high] = ends(box);
  box.querySelectorAll("rect:not(.hit)").forEach((bar, place, bars) => {
    const middle = ((place + 0.5) / bars.length) * topOf(box);
    bar.classList.toggle("in", middle >= low && middle <= high);
  });
  const said = box.closest("[data-facet]").querySelector(".range");
  if (said) said.textContent = topOf(box) === 100 ? `${low} to ${high} %` : `${low.toFixed(2)} to ${high.toFixed(2)}`;
}

// Where the two parts meet; the handle that is used may go as far as the other one.
function share(box, used = null) {
  const [low, high] = handlesOf(box);
  const [from, to] = ends(box);
  const step = Number(low.step);
  const between = Math.min(to, Math.max(from, Math.round((from + to) / 2 / step) * step));
  const meet = used === low ? to : used === high ? from : Number(between.toFixed(2));
  bound(box, low, 0, meet);
  bound(box, high, meet, topOf(box));
}

function bound(box, handle, from, to) {
  const { value } = handle;
  Object.assign(handle, { min: from, max: to });
  handle.value = value;
  handle.style.setProperty("--from", (from / topOf(box)) * 100);
  handle.style.setProperty("--to", (to / topOf(box)) * 100);
}

function addressOf(box) {
  const [low, high] = ends(box);
  if (low <= 0 && high >= topOf(box)) return box.dataset.free;
  const url = new URL(box.dataset.address, location.href);
  const whole = `${box.dataset.range}:0..${topOf(box)}`;
  url.searchParams.set("q", url.searchParams.get("q").replace(whole, `${box.dataset.range}:${low}..${high}`));
  return url.href;
}

function settle() {
  for (const box of document.querySelectorAll("[data-range]")) {
    share(box, document.activeElement?.closest("[data-handle]"));
    for (const handle of handlesOf(box)) handle.hidden = false;
  }
}

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
