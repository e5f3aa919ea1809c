// The viewer over the grid: two pictures of one prompt and seed, one of them steered with the keys.
// Its whole state is in the address after #, so a copied link shows the same view.

import { listen } from "./hands.js";
import { Wall } from "./wall.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
const GROUNDS = ["mid", "light", "black"];

/**
 * sheet: see readSheet in compare.js. leave(row, column) is told which cell was looked at last.
 * Columns are places in a row, 0 the base; A is what B is compared with.
 */
export class Viewer {
  constructor(page, sheet, leave) {
    this.box = page.querySelector("[data-viewer]");
    this.grid = page.querySelector("[data-behind]");
    this.sheet = sheet;
    this.leave = leave;
    this.wall = new Wall(this.box, (row) => this.change({ row }));
    this.state = { row: 0, a: 0, b: 0, mode: "side", swipe: 50, zoom: 1, x: 50, y: 50, ground: "mid" };
    this.isFlickering = this.cameFromGrid = false;
    listen(this);
    this.followAddress();
  }

  get isOpen() { return !this.box.hidden; }

  /** Show the cell as B, beside the base. */
  open(row, column) {
    Object.assign(this.state, { row, b: column });
    history.pushState(null, "", this.address());
    this.cameFromGrid = true;
    this.reveal();
  }

  close() {
    this.conceal();
    if (this.cameFromGrid) history.back();
    else history.replaceState(null, "", location.pathname + location.search);
    this.cameFromGrid = false;
  }

  conceal() {
    this.box.hidden = true;
    this.grid.inert = false;
    this.leave(this.state.row, this.state.b);
  }

  /** The sheet has more pictures than before. */
  renew(sheet) {
    this.sheet = sheet;
    if (this.isOpen) this.show();
  }

  reveal() {
    this.box.hidden = false;
    this.grid.inert = true;
    this.box.focus({ preventScroll: true });
    this.show();
  }

  followAddress() {
    const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const row = this.sheet.findIndex((line) => line.key === wanted.row);
    if (row < 0) {
      if (this.isOpen) this.conceal();
      return;
    }
    const column = (step) => this.sheet[row].cells.findIndex((cell) => String(cell.step) === step);
    const within = (text, low, high, usual) => Math.min(high, Math.max(low, Number(text ?? usual) || usual));
    this.state = {
      row, a: Math.max(0, column(wanted.a)), b: Math.max(0, column(wanted.b)),
      mode: wanted.mode === "swipe" ? "swipe" : "side", swipe: within(wanted.swipe, 0, 100, 50),
      zoom: within(wanted.zoom, 1, 8, 1), x: within(wanted.x, 0, 100, 50), y: within(wanted.y, 0, 100, 50),
      ground: GROUNDS.includes(wanted.ground) ? wanted.ground : "mid",
    };
    this.reveal();
  }

  address() {
    const { row, a, b, mode, swipe, zoom, x, y, ground } = this.state;
    const cells = this.sheet[row].cells;
    const words = { row: this.sheet[row].key, a: cells[a].step, b: cells[b].step };
    if (mode === "swipe") Object.assign(words, { mode, swipe: Math.round(swipe) });
    if (zoom > 1) Object.assign(words, { zoom, x: Math.round(x), y: Math.round(y) });
    if (ground !== "mid") words.ground = ground;
    return `#${new URLSearchParams(words)}`;
  }

  change(values) {
    Object.assign(this.state, values);
    history.replaceState(null, "", this.address());
    this.show();
  }

  step(rows, columns) {
    const row = Math.min(Math.max(this.state.row + rows, 0), this.sheet.length - 1);
    const b = Math.min(Math.max(this.state.b + columns, 0), this.sheet[row].cells.length - 1);
    this.change({ row, b });
  }

  stepA(columns) {
    this.change({ a: Math.min(Math.max(this.state.a + columns, 0), this.sheet[this.state.row].cells.length - 1) });
  }

  zoomBy(direction) {
    const at = ZOOMS.findIndex((zoom) => zoom >= this.state.zoom);
    this.change({ zoom: ZOOMS[Math.min(Math.max(at + direction, 0), ZOOMS.length - 1)] });
  }

  nextGround() { this.change({ ground: GROUNDS[(GROUNDS.indexOf(this.state.ground) + 1) % GROUNDS.length] }); }

  flicker(isOn) {
    if (this.isFlickering === isOn) return;
    this.isFlickering = isOn;
    this.show();
  }

  show() {
    const { row, a, b, mode, zoom, x, y, swipe, ground } = this.state;
    const line = this.sheet[row];
    Object.assign(this.box.dataset, { mode, flicker: this.isFlickering ? "1" : "0" });
    document.documentElement.dataset.stage = ground; // roles.css knows light and black, and is mid for the rest
    for (const [name, value] of Object.entries({ zoom, x: `${x}%`, y: `${y}%`, swipe: `${swipe}%` })) {
      this.box.style.setProperty(`--${name}`, value);
    }
    this.wall.hang("a", line.cells[a], "A");
    this.wall.hang("b", line.cells[this.isFlickering ? 0 : b], "B");
    this.wall.write({
      prompt: line.text, category: line.category, seed: `seed ${line.seed}`,
      place: `${row + 1} of ${this.sheet.length}`, zoom: zoom === 1 ? "Fit" : `${zoom}×`,
    });
    this.wall.mark(a, b, mode, ground);
    this.wall.strip(this.sheet, row, b);
    this.box.querySelector("[data-swipe]").value = swipe;
    this.wall.fetchAhead(this.sheet, row, a, b);
    this.wall.measure(zoom);
    this.box.querySelector("[data-copy]").dataset.copy = location.href;
  }
}
