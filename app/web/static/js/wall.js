// What hangs in the viewer. A picture and all that is said of it change in one frame, once every picture of the scene is
// decoded: none is ever seen under another's label, nor beside one of another prompt.

import { Pictures } from "./pictures.js";
import { mark, strip, write } from "./wall_labels.js";

const LATE_MS = 150;
const ACROSS = [1, 1, 2, 3, 4, 3, 3, 4, 4]; // panes side by side, by how many there are

export class Wall {
  /** choose(row) is called when a small picture is clicked. */
  constructor(box, cells, choose) {
    this.box = box;
    this.cells = cells;
    this.choose = choose;
    this.pictures = new Pictures();
    this.asked = this.painted = 0;
    this.scene = null;
  }

  /** The panes of a scene: A, those kept beside it, B; with A in place of B while it flickers. */
  panes({ row, a, b, pins, mode, isFlickering }) {
    const beside = mode === "side" ? pins.filter((column) => column !== a && column !== b) : [];
    const pane = (side, letter, column) => ({ side, letter, cell: this.cells.cell(row, column) });
    return [
      pane("a", "A", a), ...beside.map((column, place) => pane(`p${place}`, "", column)), pane("b", "B", isFlickering ? a : b),
    ];
  }

  /** Show a scene as soon as its pictures are there; one that was asked for before a newer one was painted is dropped. */
  async show(scene) {
    this.asked += 1;
    const turn = this.asked;
    const panes = this.panes(scene);
    const hung = panes.map(({ side, cell }) => (cell.id ? this.pictures.at(side, cell) : null));
    const late = hung.filter((picture) => picture && !picture.isReady);
    if (late.length) {
      const telling = setTimeout(() => { if (turn === this.asked) this.box.dataset.waiting = "1"; }, LATE_MS);
      await Promise.all(late.map((picture) => picture.ready));
      clearTimeout(telling);
      if (turn < this.painted) return;
    }
    this.paint(scene, panes, hung);
    this.painted = turn;
    if (turn !== this.asked) return;
    delete this.box.dataset.waiting;
    this.fetchAhead(scene);
  }

  paint(scene, panes, hung) {
    this.scene = scene;
    const { mode, isFlickering } = scene;
    Object.assign(this.box.dataset, { mode, flicker: isFlickering ? "1" : "0" });
    this.lay(panes.map(({ side }) => side));
    panes.forEach((pane, place) => this.hang(pane, hung[place]));
    write(this.box, this.cells, scene, panes);
    mark(this.box, scene);
    strip(this.box, this.cells, scene, this.choose);
    this.measure(scene.zoom);
  }

  /** As many panes as there are pictures, in their order. */
  lay(sides) {
    const holder = this.box.querySelector("[data-panes]");
    holder.style.setProperty("--across", ACROSS[sides.length]);
    holder.querySelectorAll("[data-pane]").forEach((pane) => { if (!sides.includes(pane.dataset.pane)) pane.remove(); });
    const last = holder.querySelector('[data-pane="b"]');
    for (const side of sides) {
      if (holder.querySelector(`[data-pane="${side}"]`)) continue;
      const pane = holder.querySelector('[data-pane="a"]').cloneNode(true);
      pane.dataset.pane = side;
      holder.insertBefore(pane, last);
    }
  }

  hang({ side, letter, cell }, picture) {
    const pane = this.box.querySelector(`[data-pane="${side}"]`);
    const isThere = picture !== null && !picture.hasFailed;
    const wall = pane.querySelector("[data-wall]");
    if (wall.firstChild !== (isThere ? picture.element : null)) wall.replaceChildren(...(isThere ? [picture.element] : []));
    const why = pane.querySelector("[data-missing]");
    why.hidden = isThere;
    why.textContent = picture?.hasFailed ? "This picture could not be loaded." : cell.why;
    const name = document.createElement("b");
    name.textContent = letter;
    pane.querySelector("[data-label]").replaceChildren(...(letter ? [name, ` ${cell.name}`] : [cell.name]));
  }

  /** Load what the next key may ask for: the neighbours of B, the rows before and after, and the baseline. */
  fetchAhead({ row, a, b }) {
    const columns = this.cells.width <= 8 ? [...Array(this.cells.width).keys()] : [b + 1, b - 1, b + 2, b - 2];
    const near = columns.sort((one, other) => Math.abs(one - b) - Math.abs(other - b)).map((column) => ["b", row, column]);
    near.splice(2, 0, ["b", row + 1, b], ["a", row + 1, a], ["b", row - 1, b], ["a", row - 1, a], ["b", row, a]);
    for (const [side, line, column] of near) {
      if (line < 0 || line >= this.cells.height || column < 0 || column >= this.cells.width) continue;
      const cell = this.cells.cell(line, column);
      if (cell.id) this.pictures.at(side, cell);
    }
  }

  /** Say how large the picture is and how much it is enlarged. */
  measure(zoom = this.scene?.zoom ?? 1) {
    const image = this.box.querySelector('[data-pane="b"] img');
    const note = this.box.querySelector("[data-size]");
    if (!image?.naturalWidth) { note.textContent = ""; return; }
    this.box.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    const times = (image.clientWidth / image.naturalWidth) * zoom;
    const scale = times > 1.05 ? `enlarged ${times.toFixed(1)}×` : `at ${Math.round(times * 100)} %`;
    note.textContent = `${image.naturalWidth} × ${image.naturalHeight} px, ${scale}`;
  }
}
