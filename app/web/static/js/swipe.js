// The desk under a finger: a swipe to the left shows the next photo, one to the right the photo before. Two fingers are the
// browser's, to look closer; while one looks closer, or one to one, a finger moves the picture and nothing else.
const FAR_PX = 56;
const WITHIN_MS = 700;
let start = null;

const isCloser = () => (window.visualViewport?.scale ?? 1) > 1.01;

addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "touch") return;
  const plate = event.target.closest?.("[data-plate]");
  const isSwipe = event.isPrimary && plate && !plate.matches(".close") && !isCloser() && !event.target.closest("select, button");
  start = isSwipe ? { x: event.clientX, y: event.clientY, at: event.timeStamp, id: event.pointerId } : null;
});

addEventListener("pointerup", (event) => {
  if (!start || event.pointerId !== start.id) return;
  const [across, down, ms] = [event.clientX - start.x, event.clientY - start.y, event.timeStamp - start.at];
  start = null;
  if (ms > WITHIN_MS || Math.abs(across) < FAR_PX || Math.abs(across) < 2 * Math.abs(down) || isCloser()) return;
  const link = document.querySelector(`[data-step="${across < 0 ? "next" : "previous"}"]`);
  if (link && !link.hidden) link.click();
});

addEventListener("pointercancel", () => { start = null; });

// Where the whole page is looked at more closely, a finger pans it in every direction.
window.visualViewport?.addEventListener("resize", () => document.documentElement.toggleAttribute("data-closer", isCloser()));
