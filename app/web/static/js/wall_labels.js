// What the viewer says of the scene that hangs: its prompt, its columns, its buttons, and the prompts around it.

export const MODES = ["side", "swipe", "onion", "difference"];
const RAISED_AT_MOST = 16;
const ENDS = { swipe: ["A", "B"], onion: ["A", "B"], difference: ["×1", `×${RAISED_AT_MOST}`] };
const SLIDES = {
  swipe: "Where A ends and B begins", onion: "How much of B is seen over A", difference: "How much the difference is raised",
};
const AROUND = 5;

/** How much a difference is raised for a place of its slider, 0 to 100. */
export const raised = (share) => 1 + Math.round((share / 100) * (RAISED_AT_MOST - 1));

export function write(box, cells, scene, panes) {
  const { row, mode, zoom } = scene;
  const line = cells.row(row);
  const [a, b] = [panes[0].cell, panes.at(-1).cell];
  const say = {
    prompt: line.text, category: line.category, seed: `seed ${line.seed}`, place: `${row + 1} of ${cells.height}`,
    zoom: zoom === 1 ? "Fit" : `${zoom}×`, low: ENDS[mode]?.[0] ?? "", high: ENDS[mode]?.[1] ?? "",
  };
  for (const [name, words] of Object.entries(say)) box.querySelector(`[data-say="${name}"]`).textContent = words;
  for (const [side, cell] of [["a", a], ["b", b]]) {
    box.querySelector(`[data-name="${side}"]`).textContent = cell.name;
    box.querySelector(`[data-loss="${side}"]`).textContent = cell.loss || "not measured";
  }
  const both = box.querySelector("[data-both]");
  both.hidden = mode !== "difference" || !a.id || !b.id;
  both.textContent = `${a.name} − ${b.name}, ×${raised(scene.difference)}`;
  const slider = box.querySelector("[data-swipe]");
  if (mode in SLIDES) {
    slider.value = scene[mode];
    slider.setAttribute("aria-label", SLIDES[mode]);
  }
  box.style.setProperty("--swipe", `${scene.swipe}%`);
  box.style.setProperty("--onion", scene.onion / 100);
  box.style.setProperty("--raised", raised(scene.difference));
}

export function mark(box, { a, b, pins, mode, ground }) {
  box.querySelectorAll("[data-step-button]").forEach((button, column) => {
    button.classList.toggle("a", column === a);
    button.classList.toggle("b", column === b);
    button.classList.toggle("pin", pins.includes(column));
    button.setAttribute("aria-current", column === b ? "true" : "false");
    const letters = [column === a && "A", column === b && "B", pins.includes(column) && "•"];
    button.querySelector("i").textContent = letters.filter(Boolean).join(" ");
  });
  const slider = box.querySelector("[data-slider]");
  if (slider) {
    slider.value = b;
    slider.setAttribute("aria-valuetext", box.querySelectorAll("[data-step-button]")[b].textContent.trim());
  }
  press(box.querySelector("[data-pin]"), pins.includes(b));
  for (const button of box.querySelectorAll("[data-mode-button]")) press(button, button.dataset.modeButton === mode);
  for (const button of box.querySelectorAll("[data-ground-button]")) press(button, button.dataset.groundButton === ground);
}

function press(button, isOn) {
  button.classList.toggle("on", isOn);
  button.setAttribute("aria-pressed", String(isOn));
}

/** Small pictures of the prompts around this one, as B draws them. Those that stay are left as they are. */
export function strip(box, cells, { row, b }, choose) {
  const holder = box.querySelector("[data-strip]");
  const from = Math.max(0, Math.min(row - AROUND, cells.height - 2 * AROUND - 1));
  const there = new Map([...holder.children].map((button) => [button.dataset.shot, button]));
  const shots = [];
  for (let place = from; place <= Math.min(from + 2 * AROUND, cells.height - 1); place += 1) {
    const { key, text, seed } = cells.row(place);
    const { thumb } = cells.cell(place, b);
    const shot = there.get(`${key} ${thumb}`) ?? made(`${key} ${thumb}`, thumb, `${text} · seed ${seed}`);
    shot.className = place === row ? "shot here" : "shot";
    shot.setAttribute("aria-label", `Prompt ${place + 1}: ${text}, seed ${seed}`);
    shot.onclick = () => choose(place);
    shots.push(shot);
  }
  holder.replaceChildren(...shots);
}

function made(name, thumb, title) {
  const button = Object.assign(document.createElement("button"), { type: "button", title });
  button.dataset.shot = name;
  if (thumb) button.append(Object.assign(new Image(42, 42), { src: thumb, alt: "" }));
  return button;
}
