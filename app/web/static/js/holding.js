// Signs of life: what a person holds stays theirs while they do something on the desk; without any it goes to others.
import { post } from "./net.js";

const EVERY_MS = 60_000;
let isAlive = true;

for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "input"]) {
  addEventListener(kind, () => { isAlive = true; }, { passive: true, capture: true });
}

setInterval(() => {
  if (!isAlive || document.hidden) return;
  isAlive = false;
  post("/desk/holds").catch(() => {}); // away for a while: what runs out is told by the photo that is shown next
}, EVERY_MS);
