// Which photos of the grid are meant: the current one, those picked, or all by filter. Arrows and J K move, Space picks,
// Shift extends, Ctrl A takes all by filter, Esc lets go. Without a script the tiles are plain links.
import { isTyping, nameOf, onKey } from "./keys.js";

const WORDS = {
  kept: "kept", rejected: "rejected", needs_work: "needs work", "": "not seen yet",
  "suggested-kept": "not seen yet, a rule suggests to keep it", "suggested-rejected": "not seen yet, a rule suggests to reject it",
  "suggested-needs_work": "not seen yet, a rule suggests to look at it",
};
const wide = matchMedia("(min-width: 1200px)");

export class Picks {
  /** changed() is called after each change, moved(tile) when another photo is the current one. */
  constructor(box, { changed, moved }) {
    Object.assign(this, { box, changed, moved, picked: new Set(), isAll: false, currentId: null, anchorId: null });
    box.addEventListener("keydown", (event) => {
      if (event.target.closest("[data-tile]") && this.press(nameOf(event))) event.preventDefault();
    });
    onKey((event, name) => !isTyping(event.target) && this.press(name));
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("dblclick", (event) => {
      const tile = event.target.closest("[data-tile]");
      if (tile) location.assign(tile.href);
    });
  }

  get tiles() { return [...this.box.querySelectorAll("[data-tile]")]; }
  get grid() { return this.box.querySelector("[data-grid]"); }
  get total() { return Number(this.grid.dataset.total); }
  get current() { return this.find(this.currentId); }
  get count() { return this.isAll ? this.total : this.picked.size; }

  find(id) { return id === null ? null : this.box.querySelector(`[data-tile="${CSS.escape(id)}"]`); }

  /** After new tiles came: make them answer, and keep what is picked. */
  settle() {
    const holder = this.box.querySelector("[data-tiles]");
    if (!holder) return;
    holder.setAttribute("role", "listbox");
    holder.setAttribute("aria-multiselectable", "true");
    holder.setAttribute("aria-label", "Photos");
    if (!this.current) {
      // Back from the desk, the photo that was there is the current one.
      const there = this.find(location.hash.replace("#photo-", "") || null);
      this.currentId = (there ?? this.tiles[0])?.dataset.tile ?? null;
      there?.scrollIntoView({ block: "center" });
    }
    this.draw();
  }

  /** Another filter: nothing is picked any more. */
  forget() {
    Object.assign(this, { isAll: false, currentId: null, anchorId: null });
    this.picked.clear();
  }

  /** Show what is picked and current, on these tiles or on all. */
  draw(tiles = this.tiles) {
    const { total } = this;
    for (const tile of tiles) {
      const { tile: id, place, verdict, name } = tile.dataset;
      const isPicked = this.isAll || this.picked.has(id);
      tile.setAttribute("role", "option");
      tile.setAttribute("aria-selected", String(isPicked));
      tile.setAttribute("aria-label", `photo ${place} of ${total}, ${WORDS[verdict]}, ${name}`);
      tile.tabIndex = id === this.currentId ? 0 : -1;
      tile.classList.toggle("sel", isPicked);
      tile.classList.toggle("cur", id === this.currentId);
    }
    this.changed();
  }

  /** Make a photo the current one; with `extend`, pick all from the anchor to it. */
  go(tile, { extend = false, focus = true } = {}) {
    if (!tile) return;
    const before = this.current;
    if (extend) {
      this.anchorId ??= this.currentId;
      const ids = this.tiles.map((tile) => tile.dataset.tile);
      const [from, to] = [ids.indexOf(this.anchorId), ids.indexOf(tile.dataset.tile)].sort((a, b) => a - b);
      this.isAll = false;
      this.picked = new Set(ids.slice(from, to + 1));
    } else this.anchorId = null;
    this.currentId = tile.dataset.tile;
    // A grid may hold thousands of tiles; a step changes two.
    this.draw(extend ? this.tiles : [before, tile].filter(Boolean));
    if (focus) tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
    this.moved(tile);
  }

  toggle(tile) {
    if (this.isAll) this.picked = new Set(this.tiles.map((tile) => tile.dataset.tile));
    this.isAll = false;
    const id = tile.dataset.tile;
    if (!this.picked.delete(id)) this.picked.add(id);
    this.draw();
  }

  all() {
    this.isAll = true;
    this.picked.clear();
    this.draw();
  }

  none() {
    this.isAll = false;
    this.picked.clear();
    this.draw();
  }

  step(columns, rows, extend) {
    const tiles = this.tiles;
    const here = tiles.indexOf(this.current);
    const secondRow = tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
    const perRow = secondRow > 0 ? secondRow : tiles.length;
    const wanted = Math.min(Math.max(here + columns + rows * perRow, 0), tiles.length - 1);
    this.go(tiles[wanted], { extend });
  }

  press(name) {
    if (!this.tiles.length) return false;
    const extend = name.startsWith("Shift+");
    const key = name.replace("Shift+", "");
    const steps = { Right: [1, 0], Left: [-1, 0], Down: [0, 1], Up: [0, -1], j: [1, 0], k: [-1, 0] };
    if (steps[key]) this.step(...steps[key], extend);
    else if (name === "Space") this.toggle(this.current);
    else if (name === "Ctrl+a") this.all();
    else if (name === "Esc" && this.count) this.none();
    else if (name === "Enter" && document.activeElement === document.body) location.assign(this.current.href);
    else return false;
    return true;
  }

  click(event) {
    const tile = event.target.closest("[data-tile]");
    // Keyboards and narrow windows, where there is no detail pane, open the photo.
    if (!tile || event.detail === 0 || event.button) return;
    if (event.target.closest("[data-pick]")) this.toggle(tile);
    else if (event.ctrlKey || event.metaKey) {
      this.toggle(tile);
      this.go(tile);
    } else if (event.shiftKey) this.go(tile, { extend: true });
    else if (wide.matches) {
      this.none();
      this.go(tile);
    } else return;
    event.preventDefault();
  }
}
