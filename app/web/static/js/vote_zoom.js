// Zoom of the vote page: both pictures at once, at the same place of each. A click goes in where it is, and out again; the
// pointer, or a finger, moves both.
const ZOOMS = [1, 2, 3, 4];

const set = (booth, zoom) => {
  booth.style.setProperty("--zoom", zoom);
  booth.toggleAttribute("data-zoomed", zoom > 1);
};
const zoomOf = (booth) => Number(booth.style.getPropertyValue("--zoom") || 1);

export const fit = (booth) => set(booth, 1);

export function zoomBy(booth, direction) {
  const at = ZOOMS.indexOf(zoomOf(booth)) + direction;
  set(booth, ZOOMS[Math.min(Math.max(at, 0), ZOOMS.length - 1)]);
}

function look(booth, { clientX, clientY }, pane) {
  const { left, top, width, height } = pane.getBoundingClientRect();
  booth.style.setProperty("--x", `${share((clientX - left) / width)}%`);
  booth.style.setProperty("--y", `${share((clientY - top) / height)}%`);
}

const share = (value) => Math.min(100, Math.max(0, value * 100));

// zoomed() is told whenever somebody looks closer.
export function listenForZoom(booth, zoomed) {
  booth.addEventListener("click", (event) => {
    const pane = event.target.closest("[data-pane]");
    if (!pane) return;
    look(booth, event, pane);
    set(booth, zoomOf(booth) > 1 ? 1 : 3);
    if (zoomOf(booth) > 1) zoomed();
  });
  booth.addEventListener("pointermove", (event) => {
    const pane = event.target.closest("[data-pane]");
    if (pane && zoomOf(booth) > 1) look(booth, event, pane);
  });
}
