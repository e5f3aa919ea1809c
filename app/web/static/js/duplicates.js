// Duplicates: one group is the current one, and one of its photos; the keys of the foot act on these.
import { onKey } from "./keys.js";

const list = document.querySelector("[data-groups]");
const groups = [...list.querySelectorAll("[data-group]")];
let at = Math.max(0, groups.findIndex((group) => `#${group.id}` === location.hash));
let photo = -1;

function photos() {
  return [...(groups[at]?.querySelectorAll("[data-photo]") ?? [])];
}

function show() {
  groups.forEach((group, place) => group.classList.toggle("now", place === at));
  for (const each of list.querySelectorAll(".picked")) each.classList.remove("picked");
  photos()[photo]?.classList.add("picked");
}

// The key of a photo that is picked comes before the group's.
function press(key) {
  const ofPhoto = photos()[photo]?.querySelector(`[data-photo-key="${key}"]`);
  const button = ofPhoto ?? groups[at]?.querySelector(`[data-group-key="${key}"]`);
  button?.click();
  return Boolean(button);
}

function move(step) {
  at = Math.min(groups.length - 1, Math.max(0, at + step));
  photo = -1;
  show();
  groups[at].scrollIntoView({ block: "nearest" });
}

onKey((event, name) => {
  if (groups.length === 0) return false;
  if (name === "Down" || name === "Up") move(name === "Down" ? 1 : -1);
  else if (name === "Left" || name === "Right") {
    photo = Math.min(photos().length - 1, Math.max(0, photo + (name === "Right" ? 1 : -1)));
    show();
  } else return ["a", "b", "d", "n", "Enter"].includes(name) && press(name);
  return true;
});

list.addEventListener("click", (event) => {
  const group = event.target.closest("[data-group]");
  if (!group) return;
  at = groups.indexOf(group);
  photo = photos().indexOf(event.target.closest("[data-photo]"));
  show();
});
show();
