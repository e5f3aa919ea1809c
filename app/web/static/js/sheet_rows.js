// The rows of a sheet that are in the page: those near what is seen, and the one that has the keyboard. All are of one height,
// so each has its place, and thousands of pictures cost no more than a screenful. A small sheet is there whole.

const AHEAD = 2; // rows above and below what is seen

export class SheetRows {
  constructor(grid, cells) {
    this.grid = grid;
    this.cells = cells;
    this.holder = grid.querySelector("[data-rows]");
    this.blank = grid.querySelector("[data-blank]").content;
    this.here = new Map([...this.holder.children].map((row) => [cells.rowAt(row.dataset.row), row]));
    this.isWhole = this.here.size === cells.height;
    grid.style.setProperty("--columns", grid.dataset.across);
    grid.querySelector("[data-plain]")?.remove();
    if (!this.isWhole) this.lay();
  }

  lay() {
    const first = Number(this.grid.dataset.first);
    this.grid.classList.add("virtual");
    this.measure();
    this.grid.scrollTop = first * this.high;
    this.grid.addEventListener("scroll", () => this.follow(), { passive: true });
    new ResizeObserver(() => { this.measure(); this.follow(); }).observe(this.grid);
    this.follow();
  }

  // The height of a row follows from the width of a cell; rows that are in the page move to their places.
  measure() {
    const high = this.holder.firstElementChild?.getBoundingClientRect().height || this.high || 140;
    if (high === this.high) return;
    const top = this.high ? this.grid.scrollTop / this.high : null;
    this.high = high;
    this.holder.style.height = `${high * this.cells.height}px`;
    for (const [place, row] of this.here) row.style.top = `${place * high}px`;
    if (top !== null) this.grid.scrollTop = top * high;
  }

  get top() { return this.isWhole ? 0 : Math.round(this.grid.scrollTop / this.high); }

  follow() {
    const past = this.grid.scrollTop;
    const from = Math.max(0, Math.floor(past / this.high) - AHEAD);
    const to = Math.min(this.cells.height - 1, Math.ceil((past + this.grid.clientHeight) / this.high) + AHEAD);
    for (const [place, row] of this.here) {
      if ((place < from || place > to) && !row.contains(document.activeElement)) {
        row.remove();
        this.here.delete(place);
      }
    }
    for (let place = from; place <= to; place += 1) this.bring(place);
  }

  bring(place) {
    const there = this.here.get(place);
    if (there) return there;
    const row = this.build(place);
    row.style.top = `${place * this.high}px`;
    this.here.set(place, row);
    // In the order of the sheet, for readers that go through the page.
    const next = [...this.holder.children].find((other) => Number(other.getAttribute("aria-rowindex")) > place + 2);
    this.holder.insertBefore(row, next ?? null);
    return row;
  }

  build(place) {
    const { key, text, category, seed } = this.cells.row(place);
    const row = document.createElement("div");
    row.className = "gr";
    row.dataset.row = key;
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", place + 2);
    const head = this.copy(".gp");
    head.querySelector(".tag").textContent = category;
    head.querySelector("small").textContent = `seed ${seed}`;
    Object.assign(head.querySelector("p"), { textContent: text, title: text });
    row.append(head, ...this.cells.columns.map((_, column) => this.buildCell(place, column)));
    return row;
  }

  buildCell(place, column) {
    const cell = this.cells.cell(place, column);
    const box = this.copy(cell.id ? '[role="gridcell"]:has(img)' : '[role="gridcell"]:not(:has(img))');
    const link = box.querySelector("[data-cell]");
    link.dataset.column = cell.key;
    link.tabIndex = -1;
    if (!cell.id) {
      link.dataset.why = link.textContent = cell.why;
      link.setAttribute("aria-label", `${cell.name}: ${cell.why}`);
      return box;
    }
    link.href = `/${cell.kind}/${cell.id}`;
    link.dataset[cell.kind === "images" ? "image" : "sample"] = cell.id;
    link.classList.toggle("hit", cell.isHit);
    const image = link.querySelector("img");
    image.alt = cell.name;
    image.src = cell.thumb;
    const wrong = link.querySelector(".wrong");
    wrong.hidden = cell.wrong.length === 0;
    wrong.textContent = cell.wrong.join(", ");
    return box;
  }

  copy(selector) { return this.blank.querySelector(selector).cloneNode(true); }

  placeOf(link) {
    const row = this.cells.rowAt(link.closest("[data-row]").dataset.row);
    return [row, this.cells.columnAt(link.dataset.column)];
  }

  // The link of a cell, brought in where it is not here.
  linkAt(row, column) {
    return this.bring(row).querySelector(`[data-cell][data-column="${CSS.escape(this.cells.columns[column].key)}"]`);
  }

  // Give a cell the keyboard and bring it into sight.
  focus(row, column) {
    const link = this.linkAt(row, column);
    link.focus({ preventScroll: true });
    link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // Cells that were empty, as they are now.
  renew() {
    for (const empty of this.holder.querySelectorAll("[data-why]")) {
      const [row, column] = this.placeOf(empty);
      const cell = this.cells.cell(row, column);
      if (!cell.id && cell.why === empty.dataset.why) continue;
      const hadFocus = empty === document.activeElement;
      const box = this.buildCell(row, column);
      const link = box.querySelector("[data-cell]");
      link.tabIndex = empty.tabIndex;
      empty.closest('[role="gridcell"]').replaceWith(box);
      if (hadFocus) link.focus({ preventScroll: true });
    }
  }
}
