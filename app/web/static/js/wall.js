// What hangs in the viewer: each picture in its own element, so that none is ever seen under another's label.

const KEPT_PICTURES = 96;

export class Wall {
  /** choose(row) is called when a small picture is clicked. */
  constructor(box, choose) {
    this.box = box;
    this.choose = choose;
    this.pictures = new Map();
    this.zoom = 1;
  }

  /** Put a cell's own picture on the wall, or the reason why there is none: never the one before under a new label. */
  hang(side, cell, letter) {
    const pane = this.box.querySelector(`[data-pane="${side}"]`);
    const wall = pane.querySelector("[data-wall]");
    wall.replaceChildren(...(cell.id ? [this.picture(side, cell)] : []));
    const why = pane.querySelector("[data-missing]");
    why.hidden = cell.id !== null;
    why.textContent = cell.why;
    pane.querySelector("[data-label]").replaceChildren(strong(letter), ` ${nameOf(cell.step)}`);
    const losses = this.box.querySelector(`[data-loss="${side}"]`);
    losses.textContent = this.box.querySelector(`[data-step-button="${cell.step}"]`)?.dataset.validation || "not measured";
    this.box.querySelector(`[data-name="${side}"]`).textContent = nameOf(cell.step);
  }

  picture(side, cell) {
    const key = `${side}${cell.id}`;
    let image = this.pictures.get(key);
    if (image) this.pictures.delete(key); // put back below as the newest
    else {
      image = new Image();
      image.decoding = "sync";
      image.draggable = false;
      image.addEventListener("load", () => this.measure());
      image.src = `/samples/${cell.id}`;
    }
    image.alt = nameOf(cell.step);
    this.pictures.set(key, image);
    if (this.pictures.size > KEPT_PICTURES) this.pictures.delete(this.pictures.keys().next().value);
    return image;
  }

  /** Load what the next key may ask for: the neighbours of B, the rows before and after, and the base. */
  fetchAhead(sheet, row, a, b) {
    for (const [rows, columns] of [[0, 1], [0, -1], [1, 0], [-1, 0]]) {
      const cells = sheet[row + rows]?.cells;
      const near = cells?.[b + columns];
      if (near?.id) this.picture("b", near).decode().catch(() => {});
      if (rows && cells?.[a]?.id) this.picture("a", cells[a]).decode().catch(() => {});
    }
    const base = sheet[row].cells[0];
    if (base.id) this.picture("b", base).decode().catch(() => {});
  }

  /** Say how large the picture is and how much it is enlarged. */
  measure(zoom = this.zoom) {
    this.zoom = zoom;
    const image = this.box.querySelector('[data-pane="b"] img');
    const note = this.box.querySelector("[data-size]");
    if (!image?.naturalWidth) { note.textContent = ""; return; }
    const times = (image.clientWidth / image.naturalWidth) * zoom;
    const scale = times > 1.05 ? `enlarged ${times.toFixed(1)}×` : `at ${Math.round(times * 100)} %`;
    note.textContent = `${image.naturalWidth} × ${image.naturalHeight} px, ${scale}`;
    this.box.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
  }

  write(words) {
    for (const [name, value] of Object.entries(words)) this.box.querySelector(`[data-say="${name}"]`).textContent = value;
  }

  mark(a, b, mode, ground) {
    const steps = [...this.box.querySelectorAll("[data-step-button]")];
    steps.forEach((button, column) => {
      button.classList.toggle("a", column === a);
      button.classList.toggle("b", column === b);
      button.setAttribute("aria-current", column === b ? "true" : "false");
      button.querySelector("i").textContent = [column === a && "A", column === b && "B"].filter(Boolean).join(" ");
    });
    for (const button of this.box.querySelectorAll("[data-mode-button]")) {
      const isOn = button.dataset.modeButton === mode;
      button.classList.toggle("on", isOn);
      button.setAttribute("aria-pressed", String(isOn));
    }
    for (const button of this.box.querySelectorAll("[data-ground-button]")) {
      const isOn = button.dataset.groundButton === ground;
      button.classList.toggle("on", isOn);
      button.setAttribute("aria-pressed", String(isOn));
    }
  }

  /** Small pictures of the prompts around this one, as B draws them. */
  strip(sheet, row, b) {
    const around = 5, from = Math.max(0, Math.min(row - around, sheet.length - 2 * around - 1));
    const near = sheet.slice(from, from + 2 * around + 1).map((one, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = from + i === row ? "shot here" : "shot";
      button.title = `${one.text} · seed ${one.seed}`;
      button.setAttribute("aria-label", `Prompt ${from + i + 1}: ${one.text}, seed ${one.seed}`);
      const { id } = one.cells[b];
      if (id) button.append(Object.assign(new Image(42, 42), { src: `/samples/${id}`, alt: "" }));
      button.addEventListener("click", () => this.choose(from + i));
      return button;
    });
    this.box.querySelector("[data-strip]").replaceChildren(...near);
  }
}

export const nameOf = (step) => (step === 0 ? "base" : `step ${step.toLocaleString("en-GB")}`);

function strong(words) {
  const node = document.createElement("b");
  node.textContent = words;
  return node;
}
