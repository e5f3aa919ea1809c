// Pictures of the viewer, each in an element of its own and decoded ahead; the oldest are let go.

const KEPT = 48; // of 1,024 px about 200 MB decoded

export class Pictures {
  constructor() { this.kept = new Map(); }

  /** The picture of a cell for a side of the viewer: { element, ready, isReady, hasFailed }. One that failed is tried anew. */
  at(side, cell) {
    const key = `${side} ${cell.full}`;
    let picture = this.kept.get(key);
    if (picture?.hasFailed) picture = undefined;
    this.kept.delete(key); // put back below as the newest
    picture ??= fetched(cell);
    this.kept.set(key, picture);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return picture;
  }
}

function fetched(cell) {
  const element = new Image();
  Object.assign(element, { decoding: "sync", draggable: false, alt: cell.name, src: cell.full });
  const picture = { element, isReady: false, hasFailed: false };
  picture.ready = element.decode().catch(() => { picture.hasFailed = true; }).then(() => { picture.isReady = true; });
  return picture;
}
