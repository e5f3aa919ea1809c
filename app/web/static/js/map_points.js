// The points of a map as they are sent: numbers, one after the other (app/selection/map_points.py).

export async function fetchPoints(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`points: ${answer.status}`);
  return unpack(await answer.arrayBuffer());
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
  return { count, ids, places, chosen, colourings, codes };
}

// Which points lie inside of a polygon, by the even-odd rule. `isShown(i)` leaves out what the legend hides.
export function countInside({ count, places }, corners, isShown) {
  if (corners.length < 3) return 0;
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  let inside = 0;
  for (let i = 0; i < count; i += 1) {
    const x = places[2 * i];
    const y = places[2 * i + 1];
    if (x < left || x > right || y < low || y > high || !isShown(i)) continue;
    let is = false;
    for (let k = 0, before = corners.length - 1; k < corners.length; before = k, k += 1) {
      if (ys[k] > y !== ys[before] > y && x < ((xs[before] - xs[k]) * (y - ys[k])) / (ys[before] - ys[k]) + xs[k]) is = !is;
    }
    inside += is;
  }
  return inside;
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
