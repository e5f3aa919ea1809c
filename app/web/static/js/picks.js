// Which photos of the grid are meant: the current one, those picked, or all by filter but a few. Arrows and J K move, Space
// picks, Home, End and the Page keys too, Shift extends, Ctrl A takes all by filter, Esc lets go. What is picked and current
// need not be in the page: a range reaches over photos that were never fetched. Without a script the tiles are plain links.
import { nameOf, onKey } from "./keys.js";
import { isHere, known, reach, shape, tileAt } from "./scroll.js";

const WORDS = {
  kept: "kept", rejected: "rejected", needs_work: "needs work", "": "not seen yet",
  "suggested-kept": "not seen yet, a rule suggests to keep it", "suggested-rejected": "not seen yet, a rule suggests to reject it",
  "suggested-needs_work": "not seen yet, a rule suggests to look at it",
};
const wide = matchMedia("(min-width: 1200px)");

export class Picks {
  /**
   * changed() is called after each change, moved(tile) when another photo is the current one; askRange(from, to) answers
   * { ids, is_left_out }: the photos from one to another by their numbers, or, where these are fewer, all the others.
   */
  constructor(box, { changed, moved, askRange }) {
    Object.assign(this, { box, changed, moved, askRange, isAll: false, picked: new Set(), except: new Set() });
    const isFor = Boolean(box.querySelector("[data-bulk]")); // who only looks has nothing to do with what is picked
    Object.assign(this, { isFor, currentId: null, currentPlace: 1, anchor: null, asking: null });
    // Space and Enter belong to a focused link, and here the grid takes Space.
    box.addEventListener("keydown", (event) => {
      if (event.target.closest("[data-tile]") && this.press(nameOf(event))) event.preventDefault();
    });
    onKey((event, name) => this.press(name));
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("dblclick", (event) => {
      const tile = event.target.closest("[data-tile]");
      if (tile) location.assign(tile.href);
    });
  }

  /** The photos that are in the page. */
  get tiles() { return [...this.box.querySelectorAll("[data-tile]")]; }
  get grid() { return this.box.querySelector("[data-grid]"); }
  get total() { return Number(this.grid.dataset.total); }
  /** How many photos the list had when it was asked for. Their places stay, whatever was decided on them since. */
  get listed() { return Number(this.grid.dataset.listed); }
  get current() { return this.find(this.currentId); }
  get count() { return this.isAll ? Math.max(0, this.total - this.except.size) : this.picked.size; }

  /** What is picked, in the filter language. */
  get query() {
    if (!this.isAll) return `id:${[...this.picked].join(",")}`;
    const { query } = this.grid.dataset;
    return this.except.size ? `${query ? `(${query}) ` : ""}-id:${[...this.except].join(",")}` : query;
  }

  has(id) { return this.isAll ? !this.except.has(id) : this.picked.has(id); }
  find(id) { return id === null ? null : this.box.querySelector(`[data-tile="${CSS.escape(id)}"]`); }

  /** After new tiles came: make them answer, and keep what is picked. `wanted` is { photo, place } to be the current one. */
  settle(wanted = null) {
    const holder = this.box.querySelector("[data-tiles]");
    if (!holder) return;
    holder.setAttribute("role", "listbox");
    holder.setAttribute("aria-multiselectable", "true");
    holder.setAttribute("aria-label", "Photos");
    if (this.currentId === null) {
      // Back from the desk, the photo that was there is the current one.
      const there = this.find(location.hash.replace("#photo-", "") || null);
      const first = there ?? this.find(this.grid.dataset.near ?? null) ?? (wanted?.photo ? null : this.tiles[0]);
      this.currentId = first?.dataset.tile ?? wanted?.photo ?? null;
      this.currentPlace = Number(first?.dataset.place ?? wanted?.place ?? 1);
      there?.scrollIntoView({ block: "center" });
    }
    this.draw();
  }

  /** Another filter: nothing is picked any more. */
  forget() {
    Object.assign(this, { isAll: false, currentId: null, currentPlace: 1, anchor: null, asking: null });
    this.picked.clear();
    this.except.clear();
  }

  /** Show what is picked and current, on these tiles or on all. */
  draw(tiles = this.tiles) {
    const { listed } = this;
    // The current photo has left the list: the one at its place is it now.
    const instead = this.current ? null : this.tiles.find((tile) => Number(tile.dataset.place) === this.currentPlace);
    if (instead) this.currentId = instead.dataset.tile;
    const { currentId, current } = this;
    for (const tile of tiles) {
      const { tile: id, place, verdict, name } = tile.dataset;
      const isPicked = this.has(id);
      tile.setAttribute("role", "option");
      tile.setAttribute("aria-selected", String(isPicked));
      const copies = tile.querySelector("[data-copies]");
      const more = copies ? `, ${copies.textContent}: ${copies.title}` : "";
      tile.setAttribute("aria-label", `photo ${place} of ${listed}, ${WORDS[verdict]}, ${name}${more}`);
      tile.tabIndex = id === currentId ? 0 : -1;
      tile.classList.toggle("sel", isPicked);
      tile.classList.toggle("cur", id === currentId);
    }
    // Tab finds the grid also where the current photo is scrolled out of the page.
    if (!current && this.tiles.length) this.tiles[0].tabIndex = 0;
    this.grid.dataset.current = JSON.stringify({ photo: currentId, place: this.currentPlace });
    this.changed();
  }

  /** Make a photo the current one; with `extend`, pick all from the anchor to it. */
  go(tile, { extend = false, focus = true } = {}) {
    if (!tile) return;
    const before = this.current;
    if (extend && this.isFor) this.anchor ??= { id: this.currentId, place: this.currentPlace };
    else this.anchor = null;
    this.currentId = tile.dataset.tile;
    this.currentPlace = Number(tile.dataset.place);
    this.draw([before, tile].filter(Boolean));
    if (extend && this.isFor) this.pickRange();
    if (focus) tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
    this.moved(tile);
  }

  /** Pick all from the anchor to the current photo. Where one between was never seen, the server says which they are. */
  pickRange() {
    const { anchor, currentId, currentPlace } = this;
    const ids = known(Math.min(anchor.place, currentPlace), Math.max(anchor.place, currentPlace));
    if (ids) return this.take({ ids: ids.filter(Boolean) });
    const asked = this.askRange(anchor.id, currentId).then((range) => {
      if (this.asking === asked && range) this.take(range);
    }).finally(() => {
      if (this.asking === asked) this.asking = null;
      this.changed();
    });
    this.asking = asked;
    this.changed();
  }

  /** Pick these, or all by filter but these. */
  take({ ids, is_left_out: isLeftOut = false }) {
    this.asking = null;
    this.isAll = isLeftOut;
    const some = new Set(ids.map(String));
    this.picked = isLeftOut ? new Set() : some;
    this.except = isLeftOut ? some : new Set();
    this.draw();
  }

  toggle(tile) {
    const id = tile.dataset.tile;
    const some = this.isAll ? this.except : this.picked;
    if (!some.delete(id) && this.isFor) some.add(id);
    if (this.isAll && !this.count) return this.none();
    this.draw();
  }

  all() { if (this.isFor) this.take({ ids: [], is_left_out: true }); }
  none() { this.take({ ids: [] }); }

  remember() { return this.isAll ? { ids: [...this.except], is_left_out: true } : { ids: [...this.picked] }; }

  step(columns, rows, extend) { return this.goTo(this.currentPlace + columns + rows * shape().perRow, extend); }

  /** Go to the photo at a place, wherever it is; beyond the ends, to the first or last one; over places that are empty. */
  async goTo(wanted, extend = false) {
    const way = wanted < this.currentPlace ? -1 : 1;
    let place = Math.min(Math.max(wanted, 1), this.listed);
    let tile = tileAt(place) ?? (await reach(place));
    while (!tile && isHere(place)) tile = tileAt((place += way));
    this.go(tile, { extend });
  }

  press(name) {
    if (!this.tiles.length) return false;
    const extend = name.startsWith("Shift+");
    const key = name.replace("Shift+", "");
    const steps = { Right: [1, 0], Left: [-1, 0], Down: [0, 1], Up: [0, -1], j: [1, 0], k: [-1, 0] };
    if (steps[key]) this.step(...steps[key], extend);
    else if (key === "PageDown" || key === "PageUp") this.step(0, (key === "PageDown" ? 1 : -1) * shape().perPage, extend);
    else if (key === "Home") this.goTo(1, extend);
    else if (key === "End") this.goTo(this.listed, extend);
    else if (name === "Space") this.current ? this.toggle(this.current) : this.goTo(this.currentPlace);
    else if (name === "Ctrl+a") this.all();
    else if (name === "Esc" && this.count) this.none();
    else if (name === "Enter" && document.activeElement === document.body && this.current) location.assign(this.current.href);
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
