// What points are coloured by: a colour and a shape for each value, how many have it, and which are shown.

const WORDS = { unseen: "Not seen yet", kept: "Kept", rejected: "Rejected", needs_work: "Needs work" };
const ROLES = { unseen: "--ink-3", kept: "--keep", rejected: "--drop", needs_work: "--work" };
const RAMP = ["--act", "--clay", "--teal", "--plum", "--keep", "--work", "--drop", "--ink-3", "--bar-off"];
const SHAPES = { unseen: 0, kept: 0, rejected: 1, needs_work: 2 };
const DRAWN = [
  '<circle cx="6" cy="6" r="4"/>', '<path d="M2 2l8 8M10 2l-8 8" fill="none" stroke-width="2"/>', '<path d="M6 1l5 9H1z"/>',
  '<path d="M2 2h8v8H2z"/>', '<path d="M6 0l5 6-5 6-5-6z"/>',
];

// A role of the stylesheet as [r, g, b] of 0 to 1, whatever way its colour is written.
function channels(role) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const spot = document.body.appendChild(document.createElement("i"));
  spot.style.color = `var(${role})`;
  probe.fillStyle = getComputedStyle(spot).color;
  spot.remove();
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => value / 255);
}

export class Legend {
  constructor(box, points, changed) {
    this.points = points;
    this.place = 0;
    this.hidden = new Set();
    this.list = box.querySelector("[data-legend-list]");
    const select = box.querySelector("[data-colour]");
    box.hidden = false;
    const turn = () => {
      this.place = points.colourings.findIndex(({ key }) => key === select.value);
      this.hidden.clear();
      this.draw();
      changed();
    };
    select.addEventListener("change", turn);
    this.list.addEventListener("change", ({ target }) => {
      if (target.checked) this.hidden.delete(Number(target.value));
      else this.hidden.add(Number(target.value));
      changed();
    });
    this.draw();
  }

  get coloured() {
    return this.points.colourings[this.place];
  }

  get codes() {
    return this.points.codes[this.place];
  }

  role(value, number) {
    return this.coloured.key === "decision" ? ROLES[value] : RAMP[number];
  }

  shape(value, number) {
    return this.coloured.key === "decision" ? SHAPES[value] : number % DRAWN.length;
  }

  isShown = (i) => !this.hidden.has(this.codes[i]);

  // For the painter: nine colours, nine shapes, and what is not selected.
  get paint() {
    const { values } = this.coloured;
    const colours = Array.from({ length: 9 }, (_, number) =>
      number < values.length
        ? [...channels(this.role(values[number], number)), this.hidden.has(number) ? 0 : 1]
        : [0, 0, 0, 0]);
    const shapes = Array.from({ length: 9 }, (_, number) => (number < values.length ? this.shape(values[number], number) : 0));
    return [this.codes, colours, shapes, [...channels("--bar-off"), 0.35]];
  }

  // What is hidden, as terms of the filter language: a lasso takes what is seen.
  get terms() {
    const { key, values } = this.coloured;
    const quoted = (value) => (value === "no category" ? "none" : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);
    const hidden = values.filter((_, number) => this.hidden.has(number));
    if (!hidden.length) return "";
    if (!hidden.includes("other categories")) return `-${key}:${hidden.map(quoted).join(",")}`;
    const shown = values.filter((_, number) => !this.hidden.has(number));
    return shown.length ? `${key}:${shown.map(quoted).join(",")}` : "id:0";
  }

  draw() {
    const { values, counts } = this.coloured;
    const lines = values.map((value, number) => {
      const line = document.createElement("li");
      line.innerHTML = `<label><input type="checkbox" checked value="${number}"><svg viewBox="0 0 12 12" aria-hidden="true">
        ${DRAWN[this.shape(value, number)]}</svg><span class="cut"></span><span class="n"></span></label>`;
      const colour = `var(${this.role(value, number)})`;
      Object.assign(line.querySelector("svg").style, { fill: colour, stroke: colour });
      line.querySelector(".cut").textContent = WORDS[value] ?? value[0].toUpperCase() + value.slice(1);
      line.querySelector(".n").textContent = counts[number].toLocaleString("en-GB");
      return line;
    });
    this.list.replaceChildren(...lines);
  }
}
