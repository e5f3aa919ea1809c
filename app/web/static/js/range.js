// data-range: a histogram with two handles. Its address with the whole range is data-address, without any data-free.
function move(box) {
  const [low, high] = ends(box);
  const top = Number(box.dataset.top);
  box.querySelectorAll("rect:not(.hit)").forEach((bar, place, bars) => {
    const middle = ((place + 0.5) / bars.length) * top;
    bar.classList.toggle("in", middle >= low && middle <= high);
  });
  const said = box.closest("[data-facet]").querySelector(".range");
  if (said) said.textContent = top === 100 ? `${low} to ${high} %` : `${low.toFixed(2)} to ${high.toFixed(2)}`;
}

function ends(box) {
  const values = [...box.querySelectorAll("[data-handle]")].map((handle) => Number(handle.value));
  return [Math.min(...values), Math.max(...values)];
}

function addressOf(box) {
  const [low, high] = ends(box);
  const top = Number(box.dataset.top);
  if (low <= 0 && high >= top) return box.dataset.free;
  const url = new URL(box.dataset.address, location.href);
  const whole = `${box.dataset.range}:0..${top}`;
  url.searchParams.set("q", url.searchParams.get("q").replace(whole, `${box.dataset.range}:${low}..${high}`));
  return url.href;
}

function settle() {
  for (const handle of document.querySelectorAll("[data-handle][hidden]")) handle.hidden = false;
}

document.addEventListener("input", (event) => {
  const box = event.target.closest("[data-range]");
  if (box) move(box);
});
document.addEventListener("change", (event) => {
  const box = event.target.closest("[data-range]");
  if (box) box.dispatchEvent(new CustomEvent("ranged", { bubbles: true, detail: addressOf(box) }));
});
document.addEventListener("swapped", settle);
settle();
