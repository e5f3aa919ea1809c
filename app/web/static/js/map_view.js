// What of the map is seen: its place in the middle of the canvas, of 0 to 1, and CSS pixels for its whole side.

const [FARTHEST, NEAREST] = [60, 60_000];

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    Object.assign(this, { x: 0.5, y: 0.5, scale: 1 });
  }

  get middle() {
    return [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
  }

  toScreen = (x, y) => [this.middle[0] + (x - this.x) * this.scale, this.middle[1] - (y - this.y) * this.scale];

  toMap = (left, top) => [this.x + (left - this.middle[0]) / this.scale, this.y - (top - this.middle[1]) / this.scale];

  whole() {
    const { clientWidth, clientHeight } = this.canvas;
    Object.assign(this, { x: 0.5, y: 0.5, scale: Math.max(80, Math.min(clientWidth, clientHeight) - 90) });
  }

  // What lies under `left`, `top` stays there.
  zoom(factor, [left, top] = this.middle) {
    const [x, y] = this.toMap(left, top);
    this.scale = Math.min(NEAREST, Math.max(FARTHEST, this.scale * factor));
    this.x = x - (left - this.middle[0]) / this.scale;
    this.y = y + (top - this.middle[1]) / this.scale;
  }
}
