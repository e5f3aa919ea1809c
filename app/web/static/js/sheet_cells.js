// A sheet's cells as the page holds them: every row and column of the shown view, in few bytes (views/gallery.py has the form).
// Columns are known by their keys and rows by theirs; places in both count from 0.

export class SheetCells {
  constructor(told) { this.take(told); }

  static read(grid) { return new SheetCells(JSON.parse(grid.querySelector("[data-cells]").textContent)); }

  take(told) {
    this.told = told;
    this.columns = told.columns.map(([key, label, name, kind, loss]) => ({ key, label, name, kind, loss }));
    this.rowPlaces = new Map(told.rows.map(([key], place) => [key, place]));
    this.hits = new Set(told.hits);
    this.spread();
  }

  // Give each waiting cell its reason.
  spread() {
    this.reasons = this.columns.map((_, column) => {
      const reasons = new Map();
      const runs = this.told.waits[column].flatMap(([why, count]) => Array(count).fill(why));
      this.told.cells.forEach((line, row) => { if (line[column] === 0) reasons.set(row, runs.shift() ?? ""); });
      return reasons;
    });
  }

  get height() { return this.told.rows.length; }
  get width() { return this.columns.length; }
  rowAt(key) { return this.rowPlaces.get(key) ?? -1; }
  columnAt(key) { return this.columns.findIndex((column) => column.key === key); }

  row(place) {
    const [key, prompt, seed] = this.told.rows[place];
    const [text, category] = this.told.prompts[prompt];
    return { key, text, category, seed };
  }

  // A cell: its picture's addresses, or why there is none.
  cell(row, column) {
    const { key, name, kind, loss } = this.columns[column];
    const number = this.told.cells[row][column];
    const cell = { key, name, loss, kind, id: null, full: null, thumb: null, why: "", wrong: [], isHit: false };
    if (number > 0) {
      const here = `/${kind}/${number}`;
      const [, wrong] = (kind === "samples" && this.told.said[number]) || [0, []];
      const full = kind === "images" ? `${here}/view` : here;
      Object.assign(cell, { id: number, full, thumb: `${here}/thumb`, wrong, isHit: this.isHit(kind, number) });
    } else cell.why = number === 0 ? this.reasons[column].get(row) : this.told.whys[-1 - number];
    return cell;
  }

  isHit(kind, number) { return kind === "samples" && this.hits.has(number); }

  // What a page asks with for what came since.
  get asking() { return `since=${this.told.newest}&held=${this.told.held}`; }

  // Take in what came since. The rows of the view stay as they are: a row that the filter would pick now comes with a reload.
  renew({ whole, cells, waits, newest, held }) {
    if (whole) {
      const places = new Map(whole.rows.map(([key], place) => [key, place]));
      if (this.told.rows.every(([key]) => places.has(key)) && whole.rows.length === this.told.rows.length) {
        this.take(whole);
        return;
      }
      this.told = { ...this.told, newest: whole.newest, held: whole.held };
      return;
    }
    for (const [key, column, number] of cells) {
      const row = this.rowAt(key);
      if (row >= 0) this.told.cells[row][column] = number;
    }
    Object.assign(this.told, { waits, newest, held });
    this.spread();
  }
}
