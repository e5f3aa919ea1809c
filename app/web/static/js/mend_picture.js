// The pictures of the page that mends: the photo as taken in, the mask over it, and what edits makes of them.
// Edits: { turns, angle, crop: [left, top, right, bottom], white, mask }. Masks are canvases whose alpha is the product;
// one that was drawn is never painted on again, so steps back share them. Everything is in px of the view.

const PAPER = "#fff";
const TINT = "rgb(214 20 120 / .5)";

export function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return canvas;
}

// The mask inside an outline, told as a path in thousandths of the frame.
export function maskOfOutline(outline, width, height) {
  if (!outline) return null;
  const mask = blank(width, height);
  const pen = mask.getContext("2d");
  pen.scale(width / 1000, height / 1000);
  pen.fillStyle = PAPER;
  pen.fill(new Path2D(outline), "evenodd");
  return mask;
}

// A grey picture as a mask: what is light is product.
export function maskOfPicture(picture, width, height) {
  const mask = blank(width, height);
  const pen = mask.getContext("2d");
  pen.drawImage(picture, 0, 0, mask.width, mask.height);
  const pixels = pen.getImageData(0, 0, mask.width, mask.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    pixels.data[at + 3] = pixels.data[at];
    pixels.data.fill(255, at, at + 3);
  }
  pen.putImageData(pixels, 0, 0);
  return mask;
}

// A mask as a grey PNG, 255 where the product is.
export function pngOf(mask) {
  const flat = blank(mask.width, mask.height);
  const pen = flat.getContext("2d");
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, flat.width, flat.height);
  pen.drawImage(mask, 0, 0);
  return new Promise((done) => flat.toBlob(done, "image/png"));
}

// A copy of a mask with one stroke more, through points in px of the view.
export function painted(mask, points, radius, isAdding, size) {
  const fresh = blank(...size);
  const pen = fresh.getContext("2d");
  if (mask) pen.drawImage(mask, 0, 0);
  pen.globalCompositeOperation = isAdding ? "source-over" : "destination-out";
  pen.lineCap = pen.lineJoin = "round";
  pen.lineWidth = 2 * radius;
  pen.strokeStyle = PAPER;
  pen.beginPath();
  points.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (points.length === 1) pen.lineTo(points[0][0] + 0.01, points[0][1]);
  pen.stroke();
  return fresh;
}

// Width and height of the frame that a crop is told in.
export const frameOf = (view, turns) => (turns % 2 ? [view.height, view.width] : [view.width, view.height]);

function intoFrame(pen, view, { turns, angle }) {
  const [width, height] = frameOf(view, turns);
  pen.translate(width / 2, height / 2);
  pen.rotate((angle * Math.PI) / 180);
  pen.rotate((turns * Math.PI) / 2);
  pen.translate(-view.width / 2, -view.height / 2);
}

// A point of the frame as one of the view.
export function toView(view, edits, x, y) {
  const [width, height] = frameOf(view, edits.turns);
  const turn = -((edits.angle * Math.PI) / 180 + (edits.turns * Math.PI) / 2);
  const [dx, dy] = [x - width / 2, y - height / 2];
  return [
    dx * Math.cos(turn) - dy * Math.sin(turn) + view.width / 2,
    dx * Math.sin(turn) + dy * Math.cos(turn) + view.height / 2,
  ];
}

function cutOut(view, mask) {
  const cut = blank(view.width, view.height);
  const pen = cut.getContext("2d");
  pen.drawImage(view, 0, 0);
  pen.globalCompositeOperation = "destination-in";
  pen.drawImage(mask, 0, 0, cut.width, cut.height);
  return cut;
}

// The whole frame: the photo turned and straightened, and what is not product tinted where the mask is looked at.
export function drawFrame(canvas, view, edits, showsMask) {
  [canvas.width, canvas.height] = frameOf(view, edits.turns);
  const pen = canvas.getContext("2d");
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  intoFrame(pen, view, edits);
  pen.drawImage(view, 0, 0);
  if (!showsMask) return;
  const tint = blank(view.width, view.height);
  const brush = tint.getContext("2d");
  brush.fillStyle = TINT;
  brush.fillRect(0, 0, tint.width, tint.height);
  brush.globalCompositeOperation = "destination-out";
  if (edits.mask) brush.drawImage(edits.mask, 0, 0);
  pen.drawImage(tint, 0, 0);
}

// What the edits makes of the photo.
export function drawResult(canvas, view, edits) {
  const [width, height] = frameOf(view, edits.turns);
  const [left, top, right, bottom] = edits.crop;
  canvas.width = Math.max(1, Math.round((right - left) * width));
  canvas.height = Math.max(1, Math.round((bottom - top) * height));
  const pen = canvas.getContext("2d");
  pen.fillStyle = PAPER;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.translate(-left * width, -top * height);
  intoFrame(pen, view, edits);
  pen.drawImage(edits.white && edits.mask ? cutOut(view, edits.mask) : view, 0, 0);
}
