// The viewer over the grid: pictures of one prompt and seed, one of them steered with the keys.
// Its whole state is in the address after #, so a copied link shows the same view.

import { listen } from "./hands.js";
import { Wall } from "./wall.js";
import { MODES } from "./wall_labels.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
const GROUNDS = ["mid", "light", "black"];
const MOST_PANES = 8;
// Where the slider of each mode stands at first: the line of a swipe, how much of B an onion shows, how much a difference is
// raised, each from 0 to 100.
const USUAL = { swipe: 50, onion: 50, difference: 30 };

/**
 * cells: a SheetCells. leave(row, column) is told which cell was looked at last.
 * Columns are places in a row; A is the baseline that B is compared with, `pins` are those kept beside them.
 */
export class Viewer {
  constructor(page, cells, leave) {
    this.box = page.querySelector("[data-viewer]");
    this.grid = page.querySelector("[data-behind]");
    this.cells = cells;
    this.leave = leave;
    this.wall = new Wall(this.box, cells, (row) => this.change({ row }));
    this.state = { row: 0, a: 0, b: 0, pins: [], mode: "side", ...USUAL, zoom: 1, x: 50, y: 50, ground: "mid" };
    this.isFlickering = this.cameFromGrid = false;
    listen(this);
    this.followAddress();
  }

  get isOpen() { return !this.box.hidden; }

  /** Show the cell as B, beside the baseline. */
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

  /** There are more pictures than before. */
  renew() {
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
    const row = this.cells.rowAt(wanted.row);
    if (row < 0) {
      if (this.isOpen) this.conceal();
      return;
    }
    const column = (key) => Math.max(0, this.cells.columnAt(key));
    const within = (text, low, high, usual) => (Number.isFinite(parseFloat(text)) ? inside(parseFloat(text), low, high) : usual);
    const pins = (wanted.with ?? "").split(",").map((key) => this.cells.columnAt(key)).filter((place) => place >= 0);
    const shares = Object.entries(USUAL).map(([mode, usual]) => [mode, within(wanted[mode], 0, 100, usual)]);
    this.state = {
      row, a: column(wanted.a), b: column(wanted.b), pins: [...new Set(pins)].slice(0, MOST_PANES - 2),
      mode: MODES.includes(wanted.mode) ? wanted.mode : "side", ...Object.fromEntries(shares),
      zoom: within(wanted.zoom, 1, 8, 1), x: within(wanted.x, 0, 100, 50), y: within(wanted.y, 0, 100, 50),
      ground: GROUNDS.includes(wanted.ground) ? wanted.ground : "mid",
    };
    this.reveal();
  }

  address() {
    const { row, a, b, pins, mode, zoom, x, y, ground } = this.state;
    const key = (column) => this.cells.columns[column].key;
    const words = { row: this.cells.row(row).key, a: key(a), b: key(b) };
    if (pins.length) words.with = pins.map(key).join(",");
    if (mode !== "side") Object.assign(words, { mode, [mode]: Math.round(this.state[mode]) });
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
    this.change({
      row: inside(this.state.row + rows, 0, this.cells.height - 1),
      b: inside(this.state.b + columns, 0, this.cells.width - 1),
    });
  }

  stepA(columns) { this.change({ a: inside(this.state.a + columns, 0, this.cells.width - 1) }); }

  /** Keep B's column beside the others, or no more. */
  pin() {
    const { b, pins } = this.state;
    if (pins.includes(b)) this.change({ pins: pins.filter((column) => column !== b) });
    else if (pins.length < MOST_PANES - 2) this.change({ pins: [...pins, b].sort((one, other) => one - other) });
  }

  zoomBy(direction, at = {}) {
    const here = ZOOMS.findIndex((zoom) => zoom >= this.state.zoom);
    this.change({ ...at, zoom: ZOOMS[inside(here + direction, 0, ZOOMS.length - 1)] });
  }

  nextGround() { this.change({ ground: GROUNDS[(GROUNDS.indexOf(this.state.ground) + 1) % GROUNDS.length] }); }

  flicker(isOn) {
    if (this.isFlickering === isOn) return;
    this.isFlickering = isOn;
    this.show();
  }

  show() {
    const { x, y, zoom, ground } = this.state;
    document.documentElement.dataset.stage = ground; // roles.css knows light and black, and is mid for the rest
    for (const [name, value] of Object.entries({ zoom, x: `${x}%`, y: `${y}%` })) this.box.style.setProperty(`--${name}`, value);
    this.wall.show({ ...this.state, isFlickering: this.isFlickering });
    this.box.querySelector("[data-copy]").dataset.copy = location.href;
  }
}

const inside = (value, low, high) => Math.min(Math.max(value, low), high);
