// Where photos lie in the grid. Only those around what is seen are in the page; empty space above and below stands for the
// others, so that the scroll bar tells the place. Places count from 1.
const GAP = 6;
const TALLEST = 8_000_000; // px; Firefox cuts what is taller than 17 million. A longer list is laid out to scale.

export class Layout {
  constructor(grid) {
    this.grid = grid;
    this.holder = grid.querySelector("[data-tiles]");
    this.total = Number(grid.dataset.listed);
    this.page = Number(grid.dataset.page);
    this.ids = []; // numbers of the photos that were seen, by place
    this.top = 1; // the place of the photo at the upper edge
    this.measure();
  }

  get first() { return Number(this.holder.firstElementChild.dataset.place); }
  get last() { return Number(this.holder.lastElementChild.dataset.place); }
  get rows() { return Math.ceil(this.total / this.columns); }
  get isToScale() { return this.rows * this.row > TALLEST; }
  get side() { return this.row - GAP; }

  measure() {
    // It may stand in a column that there is no more, which would make one.
    if (this.lead) this.lead.style.gridColumnStart = "";
    const widths = getComputedStyle(this.holder).gridTemplateColumns.split(" ").map(parseFloat);
    this.columns = widths.length;
    this.row = (widths[0] || 100) + GAP;
  }

  rowOf(place) { return Math.floor((place - 1) / this.columns); }
  isHere(place) { return place >= this.first && place <= this.last; }
  /** The tile at a place; null where it is not here, or the photo is gone. */
  tileAt(place) {
    const tile = this.holder.children[place - this.first];
    return tile?.matches("[data-tile]") ? tile : null;
  }

  /** The numbers of the photos from one place to another, or null where one was never seen. */
  known(from, to) {
    const ids = this.ids.slice(from, to + 1);
    return ids.length === to - from + 1 && !ids.includes(undefined) ? ids : null;
  }

  /** Space for what is not here, and the first photo in its column. */
  lay() {
    const above = this.rowOf(this.first);
    const here = this.rowOf(this.last) - above + 1;
    this.grid.style.setProperty("--row", `${this.row}px`);
    const space = Math.max(0, Math.min(this.rows * this.row, TALLEST) - here * this.row);
    const share = this.rows > here ? above / (this.rows - here) : 0;
    this.grid.querySelector("[data-above]").style.height = `${space * share}px`;
    this.grid.querySelector("[data-below]").style.height = `${space * (1 - share)}px`;
    const lead = this.holder.firstElementChild;
    if (this.lead && this.lead !== lead) this.lead.style.gridColumnStart = "";
    lead.style.gridColumnStart = String(((this.first - 1) % this.columns) + 1);
    this.lead = lead;
  }

  /** Change what is here, and keep what is seen where it is. */
  still(change) {
    const seen = this.tileAt(this.seen().from);
    const before = seen?.getBoundingClientRect().top;
    change();
    this.lay();
    if (seen?.isConnected) this.scrollBy(seen.getBoundingClientRect().top - before);
  }

  scrollBy(px) {
    if (Math.abs(px) >= 1) this.grid.scrollTop += px;
  }

  /** Bring the photo at a place to the upper edge, or `past` px beyond it; where it is not here, where it will lie. */
  scrollTo(place, past = 0) {
    const tile = this.holder.children[place - this.first];
    const { clientHeight, scrollHeight } = this.grid;
    if (!tile && this.isToScale) {
      const share = this.rowOf(place) / Math.max(1, this.rows - clientHeight / this.row);
      this.grid.scrollTop = share * (scrollHeight - clientHeight);
      return;
    }
    const rows = tile ? 0 : this.rowOf(place) - this.rowOf(this.first);
    const top = (tile ?? this.holder).getBoundingClientRect().top + rows * this.row;
    this.scrollBy(top - this.grid.getBoundingClientRect().top + past);
  }

  /** The places that are seen now, in whole rows. */
  seen() {
    const { clientHeight, scrollTop, scrollHeight } = this.grid;
    const past = this.grid.getBoundingClientRect().top - this.holder.getBoundingClientRect().top;
    const isAway = past < -clientHeight || past > this.holder.offsetHeight;
    const high = clientHeight / this.row;
    const share = scrollTop / Math.max(1, scrollHeight - clientHeight);
    const row = this.isToScale && isAway ? share * (this.rows - high) : this.rowOf(this.first) + past / this.row;
    const inside = (place) => Math.min(Math.max(place, 1), this.total);
    return {
      from: inside(Math.floor(Math.max(0, row)) * this.columns + 1),
      to: inside(Math.ceil(row + high) * this.columns),
    };
  }
}
