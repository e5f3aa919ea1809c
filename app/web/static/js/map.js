// The map of a catalog: moving over it, looking at a point, and drawing a lasso, whose photos become a filter.
import { onKey } from "./keys.js";
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { fetchPoints, Lasso, nearestTo } from "./map_points.js";
import { Painter } from "./map_gl.js";
import { Legend } from "./map_legend.js";
import { placeLabels } from "./map_labels.js";
import { View } from "./map_view.js";

const stage = document.querySelector("[data-map]");
const STEP = 60; // CSS pixels that an arrow moves the map
const MOST_CORNERS = 1000;
const REACH = 10;

function leave(canvas, said) {
  said.hidden = false;
  for (const part of [canvas, stage.querySelector(".map-tools"), stage.querySelector("#map-said")]) part.hidden = true;
}

async function start() {
  const canvas = stage.querySelector("[data-canvas]");
  const painter = Painter.on(canvas);
  if (!painter) return leave(canvas, stage.querySelector("[data-none]"));
  let points;
  try {
    points = await fetchPoints(stage.dataset.map);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const said = stage.querySelector("[data-failed]");
    said.querySelector("span").textContent = error.message;
    return leave(canvas, said);
  }
  painter.take(points);
  const legend = new Legend(document.querySelector("[data-legend]"), points, paint);
  const view = new View(canvas);
  const { toScreen, toMap } = view;
  let mode = stage.dataset.lassos ? "lasso" : "move"; // who only looks has no lasso
  let lasso = new Lasso(points); // the one that is being drawn; its corners are in the map's 0 to 1
  const drop = () => { lasso = new Lasso(points); };
  let drag = null;
  let waiting = 0;
  let isStale = true; // the picture is of another view, or in other colours

  function paint() {
    painter.colourBy(...legend.paint);
    redraw();
  }

  function redraw() {
    isStale = true;
    refresh();
  }

  // Draws the lasso anew, and of the points what is not there yet.
  function refresh() {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      if (isStale) {
        painter.draw(view);
        placeLabels(stage, toScreen);
      } else painter.more();
      isStale = false;
      drawLasso();
      if (!painter.isWhole) refresh();
    });
  }

  function drawLasso() {
    const { corners } = lasso;
    const drawn = corners.map(([x, y]) => toScreen(x, y).map((value) => value.toFixed(1)).join(","));
    stage.querySelector("[data-lasso] polygon").setAttribute("points", drawn.join(" "));
    const [left, top] = view.middle;
    const isByKeys = mode === "lasso" && document.activeElement === canvas && canvas.matches(":focus-visible");
    stage.querySelector("[data-lasso] .cross").setAttribute(
      "d", isByKeys ? `M${left - 8} ${top}h16M${left} ${top - 8}v16` : "");
    const counting = stage.querySelector("[data-counting]");
    counting.hidden = corners.length < 3;
    if (counting.hidden) return;
    const inside = lasso.inside(legend.isShown).toLocaleString("en-GB");
    counting.textContent = points.count < points.placed ? `${inside} of those drawn so far` : `${inside} so far`;
    const [x, y] = toScreen(...corners.at(-1));
    counting.style.translate = `${Math.max(0, x - 90)}px ${Math.max(0, y - 40)}px`;
  }

  async function close(event) {
    const drawn = lasso.corners;
    drop();
    refresh();
    if (drawn.length < 3) return;
    const way = event.shiftKey && !event.isByKeys ? "add" : event.altKey ? "take" : "new";
    const q = [stage.dataset.query, way === "add" ? "" : legend.terms].filter(Boolean).join(" ");
    try {
      const said = await post(stage.dataset.lassos, { corners: drawn.map((pair) => pair.join(",")).join(" "), q, way });
      location.assign(`${stage.dataset.page}?q=${encodeURIComponent(said.query)}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      toast(error.message);
    }
  }

  const tip = stage.querySelector("[data-tip]");
  function look(left, top) {
    const found = nearestTo(points, ...toMap(left, top), REACH / view.scale, legend.isShown);
    tip.hidden = found < 0;
    if (found >= 0) {
      const id = points.ids[found];
      if (tip.dataset.photo !== String(id)) tip.querySelector("img").src = `/images/${id}/thumb?m=now`;
      tip.dataset.photo = id;
      const { values } = legend.coloured;
      tip.querySelector("span").textContent = `photo ${id}, ${values[legend.codes[found]].replace("_", " ")}`;
      tip.style.translate = `${Math.min(left + 12, canvas.clientWidth - 130)}px ${Math.min(top + 12, canvas.clientHeight - 150)}px`;
    }
    return found;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { left: event.offsetX, top: event.offsetY, x: view.x, y: view.y, isFar: false };
    drop();
    if (mode === "lasso") lasso.push(toMap(event.offsetX, event.offsetY));
  });
  canvas.addEventListener("pointermove", (event) => {
    const { offsetX, offsetY } = event;
    if (!drag) return void look(offsetX, offsetY);
    tip.hidden = true;
    drag.isFar ||= Math.hypot(offsetX - drag.left, offsetY - drag.top) > 4;
    if (mode === "move") {
      view.x = drag.x - (offsetX - drag.left) / view.scale;
      view.y = drag.y + (offsetY - drag.top) / view.scale;
      return void redraw();
    }
    if (lasso.corners.length < MOST_CORNERS) lasso.push(toMap(offsetX, offsetY));
    refresh();
  });
  canvas.addEventListener("pointerup", (event) => {
    const wasFar = drag?.isFar;
    drag = null;
    if (wasFar) return void (mode === "lasso" && close(event));
    drop();
    refresh();
    const found = look(event.offsetX, event.offsetY);
    if (found >= 0) location.assign(`/images/${points.ids[found]}?q=${encodeURIComponent(stage.dataset.query)}`);
  });
  canvas.addEventListener("pointercancel", () => { drag = null; drop(); refresh(); });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoom(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
    redraw();
  }, { passive: false });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, refresh);

  stage.addEventListener("click", ({ target }) => {
    const asked = target.closest("[data-mode]")?.dataset.mode;
    if (asked) {
      mode = asked;
      stage.toggleAttribute("data-moves", mode === "move");
      for (const button of stage.querySelectorAll("[data-mode]")) {
        button.classList.toggle("on", button.dataset.mode === mode);
        button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
      }
      redraw();
    }
    const way = target.closest("[data-zoom]")?.dataset.zoom;
    if (!way) return;
    if (way === "whole") view.whole();
    else view.zoom(way === "in" ? 1.5 : 1 / 1.5);
    redraw();
  });

  const MOVES = { Left: [-1, 0], Right: [1, 0], Up: [0, 1], Down: [0, -1] };
  onKey((event, name) => {
    if (name === "Esc" && lasso.corners.length) drop();
    else if (document.activeElement !== canvas) return false;
    else if (MOVES[name]) [view.x, view.y] = [view.x + MOVES[name][0] * STEP / view.scale, view.y + MOVES[name][1] * STEP / view.scale];
    else if (name === "Enter" && mode === "lasso") lasso.push([view.x, view.y]);
    else if (name === "Shift+Enter" && mode === "lasso") close({ ...event, isByKeys: true });
    else return false;
    redraw();
    return true;
  });

  // A GPU that slept, or was taken by others, has lost the points.
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => location.reload());
  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  view.whole();
  paint();
  stage.dataset.ready = "1";
}

if (stage) start();
