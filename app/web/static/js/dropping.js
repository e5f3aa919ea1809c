// Files dropped on any page lead to take-in with the files kept: on its own page into the form that is there, elsewhere
// into the same form in a dialog, for a browser lets go of dropped files when it leaves the page.
import { getFragment, Refusal } from "./net.js";
import { entriesOf } from "./picking.js";
import { toast } from "./toast.js";

let isOurs = false; // a picture of this page being dragged is nobody's file
addEventListener("dragstart", () => { isOurs = true; });
addEventListener("dragend", () => { isOurs = false; });

const hasFiles = (event) => !isOurs && document.body.dataset.person && [...event.dataTransfer.types].includes("Files");
const mark = (isOver) => document.body.classList.toggle("dropping", isOver);

addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  const mayTakeIn = "takesIn" in document.body.dataset;
  event.dataTransfer.dropEffect = mayTakeIn ? "copy" : "none"; // and the browser does not open the file instead
  mark(mayTakeIn);
});
addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  mark(false);
  const entries = entriesOf(event.dataTransfer);
  if (!entries.length) return;
  try {
    const form = document.querySelector("[data-intake]") ?? (await openForm());
    form.dispatchEvent(new CustomEvent("entries", { detail: entries }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    toast(error.message);
  }
});

async function openForm() {
  const catalog = /^\/catalogs\/(\d+)/.exec(location.pathname)?.[1];
  const html = await getFragment(`/intakes?part=form${catalog ? `&catalog_id=${catalog}` : ""}`);
  const { attach } = await import("./take_in.js");
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = new URL("../css/intakes.css", import.meta.url);
  document.head.append(sheet);
  const dialog = document.createElement("dialog");
  dialog.className = "dialog take-in";
  dialog.setAttribute("aria-label", "Take in photos");
  dialog.innerHTML = html;
  // What is on its way is not ended by a press beside the dialog or Esc; "Stop" ends it.
  dialog.addEventListener("cancel", (event) => dialog.querySelector("[data-stop]:not([hidden])") && event.preventDefault());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  const form = dialog.querySelector("[data-intake]");
  attach(form);
  dialog.showModal();
  return form;
}
