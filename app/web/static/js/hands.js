// Keys, buttons and the pointer of the viewer.

import { MODES } from "./wall_labels.js";

const REPEATS = /^(Shift\+)?Arrow|^[-+=]$/;

export function listen(viewer) {
  const keys = {
    ArrowLeft: () => viewer.step(-1, 0), ArrowRight: () => viewer.step(1, 0),
    ArrowUp: () => viewer.step(0, -1), ArrowDown: () => viewer.step(0, 1),
    "Shift+ArrowUp": () => viewer.stepA(-1), "Shift+ArrowDown": () => viewer.stepA(1),
    ...Object.fromEntries(MODES.map((mode, place) => [place + 1, () => viewer.change({ mode })])), p: () => viewer.pin(),
    "+": () => viewer.zoomBy(1), "=": () => viewer.zoomBy(1), "-": () => viewer.zoomBy(-1),
    0: () => viewer.nextGround(), " ": () => viewer.flicker(true), Escape: () => viewer.close(),
  };
  document.addEventListener("keydown", (event) => {
    if (!viewer.isOpen || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input") && event.key.startsWith("Arrow")) return;
    if (event.target.matches?.("button, a") && [" ", "Enter"].includes(event.key)) return;
    const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
    const does = keys[name];
    if (!does) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // the same keys mean other things in the grid behind
    if (!event.repeat || REPEATS.test(name)) does();
  }, { capture: true });
  document.addEventListener("keyup", (event) => { if (event.key === " ") viewer.flicker(false); });
  addEventListener("blur", () => viewer.flicker(false));
  addEventListener("hashchange", () => viewer.followAddress());
  new ResizeObserver(() => viewer.isOpen && viewer.wall.measure()).observe(viewer.box);
  listenToButtons(viewer);
  listenToPointer(viewer);
}

function listenToButtons(viewer) {
  const on = (selector, does) => {
    for (const button of viewer.box.querySelectorAll(selector)) {
      button.addEventListener("click", (event) => {
        does(button, event);
        if (event.detail > 0 && viewer.isOpen) viewer.box.focus(); // by pointer: the keys stay the viewer's
      });
    }
  };
  on("[data-mode-button]", (button) => viewer.change({ mode: button.dataset.modeButton }));
  on("[data-ground-button]", (button) => viewer.change({ ground: button.dataset.groundButton }));
  on("[data-zoom]", (button) => viewer.zoomBy(Number(button.dataset.zoom)));
  on("[data-leave]", () => viewer.close());
  on("[data-step-button]", (button, event) => {
    const column = [...viewer.box.querySelectorAll("[data-step-button]")].indexOf(button);
    viewer.change(event.shiftKey ? { a: column } : { b: column });
  });
  on("[data-pin]", () => viewer.pin());
  const mixing = viewer.box.querySelector("[data-swipe]");
  mixing.addEventListener("input", () => viewer.change({ [viewer.state.mode]: Number(mixing.value) }));
  const slider = viewer.box.querySelector("[data-slider]");
  slider?.addEventListener("input", () => viewer.change({ b: Number(slider.value) }));
  const flicker = viewer.box.querySelector("[data-flicker]");
  flicker.addEventListener("pointerdown", (event) => { flicker.setPointerCapture(event.pointerId); viewer.flicker(true); });
  flicker.addEventListener("lostpointercapture", () => viewer.flicker(false));
  flicker.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); viewer.flicker(true); } });
}

function listenToPointer(viewer) {
  const stage = viewer.box.querySelector("[data-stage]");
  stage.addEventListener("wheel", (event) => {
    const frame = event.target.closest("[data-frame]")?.getBoundingClientRect();
    if (!frame || event.ctrlKey || event.deltaY === 0) return;
    event.preventDefault();
    const at = { x: share((event.clientX - frame.left) / frame.width), y: share((event.clientY - frame.top) / frame.height) };
    viewer.zoomBy(event.deltaY < 0 ? 1 : -1, viewer.state.zoom === 1 ? at : {});
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest("[data-frame]")?.getBoundingClientRect();
    if (!frame || event.target.matches("input, button")) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    const start = { ...viewer.state };
    const isSwiping = start.mode === "swipe" && start.zoom === 1;
    const move = (now) => {
      if (isSwiping) { viewer.change({ swipe: share((now.clientX - frame.left) / frame.width) }); return; }
      const free = Math.max(0.001, start.zoom - 1);
      viewer.change({
        x: share(start.x / 100 - (now.clientX - event.clientX) / frame.width / free),
        y: share(start.y / 100 - (now.clientY - event.clientY) / frame.height / free),
      });
    };
    if (isSwiping) move(event);
    stage.addEventListener("pointermove", move);
    stage.addEventListener("lostpointercapture", () => stage.removeEventListener("pointermove", move), { once: true });
  });
}

const share = (value) => Math.min(100, Math.max(0, value * 100));
