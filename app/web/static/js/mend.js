// The page that mends a photo: fields, handles and brush change one edits; each change can be taken back; saving has a
// worker make the picture, while the page stays. What is drawn here is a preview, at the size of the view.
import { drawFrame, drawResult, frameOf, maskOfOutline, maskOfPicture, painted, toView } from "./mend_picture.js";
import { cropping } from "./mend_crop.js";
import { saving } from "./mend_save.js";

const form = document.querySelector("[data-mend]");
const find = (name) => form.querySelector(name);
const base = find("[data-base]");
const result = find("[data-result]");
const EDGES = ["left", "top", "right", "bottom"];
const STEPS_AT_MOST = 60;
const field = (name) => form.elements[name];

let view = null;
let measured = null; // the mask as it was measured
let edits = null;
let stroke = null; // points of the one that is being painted
let [past, future] = [[], []];
let [tool, isAdding, showsBefore] = ["crop", true, false];

// The edits and its fields ------------------------------------------------------------------------------------------
function fromFields() {
  const number = (name, otherwise) => (Number.isFinite(field(name).valueAsNumber) ? field(name).valueAsNumber : otherwise);
  const crop = EDGES.map((edge, at) => Math.min(1, Math.max(0, number(edge, at < 2 ? 0 : 100) / 100)));
  const isCrop = crop[0] < crop[2] && crop[1] < crop[3];
  return {
    ...edits,
    turns: ((number("turns", 0) % 4) + 4) % 4,
    angle: Math.min(45, Math.max(-45, number("angle", 0))),
    crop: isCrop ? crop : edits.crop,
    white: field("white").checked,
  };
}

function toFields() {
  field("turns").value = edits.turns;
  field("angle").value = edits.angle;
  find("[data-angle]").value = edits.angle;
  EDGES.forEach((edge, at) => (field(edge).value = +(edits.crop[at] * 100).toFixed(3)));
  field("white").checked = edits.white;
  find("[data-no-mask]").hidden = Boolean(edits.mask);
  find('[data-step="undo"]').disabled = !past.length;
  find('[data-step="redo"]').disabled = !future.length;
}

function draw() {
  const shown = stroke ? { ...edits, mask: withStroke() } : edits;
  drawFrame(base, view, shown, tool === "brush");
  drawResult(result, view, showsBefore ? { ...edits, white: false, turns: 0, angle: 0, crop: [0, 0, 1, 1] } : shown);
  find("[data-after-word]").textContent = showsBefore ? "Before" : "After";
  const [width, height] = frameOf({ width: +form.dataset.width, height: +form.dataset.height }, edits.turns);
  const [left, top, right, bottom] = edits.crop;
  const size = [Math.round(right * width) - Math.round(left * width), Math.round(bottom * height) - Math.round(top * height)];
  find("[data-size]").textContent = showsBefore ? "as taken in" : `${size.map((px) => px.toLocaleString("en")).join(" × ")} px`;
  crop.place(edits.crop);
}

// Change the edits as one step that can be taken back; `isOne` goes on with the step before, as a drag does.
function change(next, isOne = false) {
  if (!isOne) past = [...past.slice(1 - STEPS_AT_MOST), edits];
  [edits, future] = [next, []];
  toFields();
  draw();
}

function step(from, to) {
  if (!from.length) return;
  to.push(edits);
  edits = from.pop();
  toFields();
  draw();
}

// Turned by quarters, the crop turns along.
function turn(by) {
  const [left, top, right, bottom] = edits.crop;
  const turned = by > 0 ? [1 - bottom, left, 1 - top, right] : [top, 1 - right, bottom, 1 - left];
  change({ ...edits, turns: (edits.turns + by + 4) % 4, crop: turned });
}

// The largest crop of this shape about the middle of the one there is.
function shape(ratio) {
  const [width, height] = frameOf(view, edits.turns);
  const [left, top, right, bottom] = edits.crop;
  const wide = Math.min((right - left) * width, (bottom - top) * height * ratio);
  const [half, tall] = [wide / width / 2, wide / ratio / height / 2];
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  change({ ...edits, crop: [x - half, y - tall, x + half, y + tall] });
}

// Brush --------------------------------------------------------------------------------------------------------------
const brushPx = () => ((find("[data-brush]").valueAsNumber / 100) * Math.max(view.width, view.height)) / 2;
const withStroke = () => painted(edits.mask, stroke, brushPx(), isAdding, [view.width, view.height]);

function pointOf(event) {
  const box = base.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  return toView(view, edits, x * base.width, y * base.height);
}

base.addEventListener("pointerdown", (event) => {
  if (tool !== "brush" || !view || event.button) return;
  base.setPointerCapture(event.pointerId);
  stroke = [pointOf(event)];
  draw();
});
base.addEventListener("pointermove", (event) => {
  if (!stroke) return;
  stroke.push(pointOf(event));
  requestAnimationFrame(() => stroke && draw());
});
for (const end of ["pointerup", "pointercancel"]) {
  base.addEventListener(end, () => {
    if (!stroke) return;
    const mask = withStroke();
    stroke = null;
    change({ ...edits, mask, isPainted: true });
  });
}

// Buttons and fields -------------------------------------------------------------------------------------------------
function press(group, chosen) {
  form.querySelectorAll(`[data-${group}]`).forEach((button) => {
    const isOn = button.dataset[group] === chosen;
    button.classList.toggle("on", isOn);
    button.setAttribute("aria-pressed", isOn);
  });
}

function use(name) {
  tool = name;
  form.dataset.toolNow = name;
  press("tool", name);
  draw();
}

form.addEventListener("click", (event) => {
  const { dataset } = event.target.closest("button") ?? {};
  if (!dataset || !view) return;
  if (dataset.tool) use(dataset.tool);
  if (dataset.turn) turn(+dataset.turn);
  if (dataset.ratio) shape(+dataset.ratio);
  if ("whole" in dataset) change({ ...edits, crop: [0, 0, 1, 1] });
  if ("forget" in dataset) change({ ...edits, mask: measured, isPainted: false });
  if (dataset.step === "undo") step(past, future);
  if (dataset.step === "redo") step(future, past);
  if (dataset.paint) {
    const isSame = isAdding === (dataset.paint === "add");
    isAdding = isSame && dataset.paint === "remove" ? true : dataset.paint === "add";
    press("paint", isAdding ? "add" : "remove");
    if (tool !== "brush") use("brush");
  }
  if ("before" in dataset) {
    showsBefore = !showsBefore;
    find("[data-before]").setAttribute("aria-pressed", showsBefore);
    find("[data-before]").classList.toggle("on", showsBefore);
    draw();
  }
});
form.addEventListener("change", (event) => {
  if (view && event.target.name && event.target.type !== "hidden") change(fromFields());
});
find("[data-angle]").addEventListener("input", (event) => {
  if (view) change({ ...edits, angle: event.target.valueAsNumber }, past.at(-1)?.angle !== edits.angle && past.length > 0);
});

// The beginning ------------------------------------------------------------------------------------------------------
const saved = saving(form, () => view && edits);
const crop = cropping(find("[data-crop]"), base, {
  get: () => edits.crop,
  set: (edges, isOne) => change({ ...edits, crop: edges }, isOne),
});

async function load(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
}

async function begin() {
  const loaded = await load(form.dataset.view);
  measured = maskOfOutline(form.dataset.outline, loaded.naturalWidth, loaded.naturalHeight);
  const [isPainted, newest] = [field("keeps_mask").value === "true", find("[data-newest]").dataset.newestMask];
  if (isPainted && newest) {
    const drawn = await load(`${form.dataset.mask}?m=${newest}`);
    saved.mask = maskOfPicture(drawn, loaded.naturalWidth, loaded.naturalHeight);
  }
  view = loaded;
  edits = { turns: 0, angle: 0, crop: [0, 0, 1, 1], white: false, mask: saved.mask ?? measured, isPainted: saved.mask !== null };
  edits = fromFields();
  toFields();
  use("crop");
  form.dataset.ready = "";
  await saved.follow();
}

begin().catch(() => saved.say("The picture cannot be shown. Reload the page to try again."));
