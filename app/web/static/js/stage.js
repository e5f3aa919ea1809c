// The stage of the desk: the subject's box, pixels one to one, and the grey around the photo. Each choice is kept.
const GROUNDS = ["mid", "light", "black"];
const KEPT = { box: "packshot-box", ground: "packshot-ground" };
const page = document.documentElement;
let isClose = false; // pixels one to one, for one photo only

function setGround(ground) {
  page.dataset.stage = ground;
  localStorage.setItem(KEPT.ground, ground);
  draw();
}

function draw() {
  const isBoxOn = localStorage.getItem(KEPT.box) === "on";
  // A drawing has no property `hidden`, only the attribute.
  for (const part of document.querySelectorAll('[data-overlay="box"]')) part.toggleAttribute("hidden", !isBoxOn || isClose);
  press('[data-toggle="box"]', isBoxOn);
  press('[data-toggle="pixels"]', isClose);
  for (const button of document.querySelectorAll("[data-ground]")) {
    button.setAttribute("aria-pressed", String(button.dataset.ground === (page.dataset.stage ?? "mid")));
  }
}

function press(selector, isOn) {
  const button = document.querySelector(selector);
  button?.classList.toggle("on", isOn);
  button?.setAttribute("aria-pressed", String(isOn));
}

function setClose(isOn) {
  const plate = document.querySelector("[data-plate]");
  const picture = plate.querySelector("[data-picture]");
  isClose = isOn;
  picture.dataset.view ??= picture.getAttribute("src");
  picture.src = isOn ? document.querySelector('[data-toggle="pixels"]').dataset.original : picture.dataset.view;
  plate.classList.toggle("close", isOn);
  if (isOn) {
    picture.decode().catch(() => {}).then(() => {
      plate.scrollTo((plate.scrollWidth - plate.clientWidth) / 2, (plate.scrollHeight - plate.clientHeight) / 2);
    });
  }
  draw();
}

document.addEventListener("click", (event) => {
  const toggle = event.target.closest("[data-toggle]");
  if (toggle?.dataset.toggle === "box") {
    localStorage.setItem(KEPT.box, localStorage.getItem(KEPT.box) === "on" ? "off" : "on");
    draw();
  } else if (toggle) setClose(!isClose);
  const ground = event.target.closest("[data-ground]");
  if (ground) setGround(ground.dataset.ground);
  if (event.target.closest("[data-ground-next]")) {
    setGround(GROUNDS[(GROUNDS.indexOf(page.dataset.stage ?? "mid") + 1) % GROUNDS.length]);
  }
});

// Seen one to one, the photo is pulled about.
document.addEventListener("pointerdown", (event) => {
  const plate = event.target.closest("[data-plate].close");
  if (!plate || event.button || event.pointerType === "touch") return; // a finger scrolls by itself
  event.preventDefault();
  plate.setPointerCapture(event.pointerId);
  const pull = (moved) => plate.scrollBy(-moved.movementX, -moved.movementY);
  plate.addEventListener("pointermove", pull);
  plate.addEventListener("lostpointercapture", () => plate.removeEventListener("pointermove", pull), { once: true });
});

document.addEventListener("swapped", () => {
  isClose = false;
  draw();
});
const kept = localStorage.getItem(KEPT.ground);
if (GROUNDS.includes(kept)) page.dataset.stage = kept;
draw();
