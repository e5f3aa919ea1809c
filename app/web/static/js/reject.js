// data-reject: X opens the reasons, 1 to 9 choose one, X again rejects without one, Esc closes.
import { onKey } from "./keys.js";

const open = () => document.querySelector("[data-reject][open]");

onKey((event, name) => {
  const menu = open();
  if (!menu) return false;
  if (name === "x") menu.querySelector("[data-reject-plain]").click();
  else if (name === "Esc") menu.open = false;
  else return false;
  return true;
});

document.addEventListener("click", (event) => {
  const menu = open();
  if (menu && !menu.contains(event.target)) menu.open = false;
});
