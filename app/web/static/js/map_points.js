// The points of a map as they are sent: numbers, one after the other (app/selection/map_points.py).

import { getBytes } from "./net.js";

export async function fetchPoints(address) {
  return unpack(await getBytes(address));
}

export function unpack(bytes) {
  const [count, length] = new Uint32Array(bytes, 0, 2);
  const colourings = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  let at = 8 + length;
  const ids = new Float64Array(bytes, at, count);
  at += 8 * count;
  const places = new Float32Array(bytes, at, 2 * count);
  at += 8 * count;
  const chosen = new Uint8Array(bytes, at, count);
  at += count;
  const codes = colourings.map((_, place) => new Uint8Array(bytes, at + place * count, count));
  // Of a map with very many photos only some are drawn.
  const placed = colourings[0].counts.reduce((sum, value) => sum + value, 0);
  return { count, placed, ids, places, chosen, colourings, codes };
}

// A lasso that grows corner by corner, and how many points lie inside of it by the even-odd rule. Each new edge is
// followed once over all points, and only the edge that closes the lasso is followed again when they are counted: a
// hundred thousand points times a thousand corners would be no frame's work.
export class Lasso {
  constructor({ count, places }) {
    this.count = count;
    this.places = places;
    this.corners = [];
    this.crossed = new Uint8Array(count); // 1 where an odd number of edges lies to the right
  }

  push(corner) {
    if (this.corners.length) this.#follow(this.corners.at(-1), corner, (i) => { this.crossed[i] ^= 1; });
    this.corners.push(corner);
  }

  // `isShown(i)` leaves out what the legend hides.
  inside(isShown) {
    if (this.corners.length < 3) return 0;
    let inside = 0;
    for (let i = 0; i < this.count; i += 1) if (this.crossed[i] && isShown(i)) inside += 1;
    this.#follow(this.corners.at(-1), this.corners[0], (i) => { if (isShown(i)) inside += this.crossed[i] ? -1 : 1; });
    return inside;
  }

  // Every point whose ray to the right crosses the edge.
  #follow([x1, y1], [x2, y2], cross) {
    if (y1 === y2) return;
    const { places, count } = this;
    const [low, high, right, slope] = [Math.min(y1, y2), Math.max(y1, y2), Math.max(x1, x2), (x2 - x1) / (y2 - y1)];
    for (let i = 0; i < count; i += 1) {
      const y = places[2 * i + 1];
      const x = places[2 * i];
      if (y >= low && y < high && x < right && x < slope * (y - y1) + x1) cross(i);
    }
  }
}

// The point nearest to a place, no farther than `reach`; -1 for none.
export function nearestTo({ count, places }, x, y, reach, isShown) {
  let best = -1;
  let least = reach * reach;
  for (let i = 0; i < count; i += 1) {
    const dx = places[2 * i] - x;
    const dy = places[2 * i + 1] - y;
    const apart = dx * dx + dy * dy;
    if (apart < least && isShown(i)) {
      best = i;
      least = apart;
    }
  }
  return best;
}
