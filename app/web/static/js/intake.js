// data-intake: the take-in form. Chosen or dropped files go to the server a few at a time, with progress; then the form
// itself is sent with the name of the upload. Without this script the form sends its files in one request.
import { post, Refusal } from "./net.js";

const FILES_AT_ONCE = 16;
const BYTES_AT_ONCE = 24 * 1024 * 1024;
const form = document.querySelector("[data-intake]");
const words = form.querySelector("[data-drop-words]");
const zone = form.querySelector("[data-drop]");
const catalog = form.elements.catalog_id;
const number = new Intl.NumberFormat("en-GB");
let chosen = []; // { file, name }: name is the path below the chosen folder

const count = (n, noun) => `${number.format(n)} ${noun}${n === 1 ? "" : "s"}`;
const megabytes = (files) => files.reduce((sum, { file }) => sum + file.size, 0) / 1e6;
// What other programs leave beside photos, as app/intake/folders.py has it; no name holds a slash.
const passedOver = new Set(form.dataset.passedOver.split("/"));
const passedOverEnds = form.dataset.passedOverEnds.split("/");
function isPassedOver(part) {
  const lower = part.toLowerCase();
  return part.startsWith(".") || passedOver.has(lower) || passedOverEnds.some((end) => lower.endsWith(end));
}
const isHidden = (name) => name.split("/").some(isPassedOver);

function choose(files) {
  chosen = files.filter(({ name }) => !isHidden(name));
  words.textContent = chosen.length
    ? `${count(chosen.length, "file")}, ${number.format(Math.ceil(megabytes(chosen)))} MB, ready to be sent.`
    : "Nothing to send in there.";
}

// A folder's own name is not part of the paths below it.
const below = (path) => path.slice(path.indexOf("/") + 1);

for (const input of form.querySelectorAll("[data-files]")) {
  input.addEventListener("change", () => {
    choose([...input.files].map((file) => ({ file, name: file.webkitRelativePath ? below(file.webkitRelativePath) : file.name })));
  });
}
form.querySelector("[data-needs-script]").hidden = false;
words.textContent = "Drop files or a folder here, or choose them.";

const entriesOf = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

async function walk(entry, prefix, chosenFiles) {
  if (entry.isFile) {
    chosenFiles.push({ file: await fileOf(entry), name: prefix + entry.name });
    return;
  }
  const reader = entry.createReader();
  // readEntries gives at most a hundred at a time.
  for (let some = await entriesOf(reader); some.length; some = await entriesOf(reader)) {
    for (const child of some) await walk(child, `${prefix}${entry.name}/`, chosenFiles);
  }
}

zone.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("over");
});
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", async (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const chosenFiles = [];
  for (const entry of entries) await walk(entry, "", chosenFiles);
  const isOneFolder = entries.length === 1 && entries[0].isDirectory;
  choose(isOneFolder ? chosenFiles.map(({ file, name }) => ({ file, name: below(name) })) : chosenFiles);
});

function* batches(files) {
  let batch = [], bytes = 0;
  for (const entry of files) {
    if (batch.length && (batch.length === FILES_AT_ONCE || bytes + entry.file.size > BYTES_AT_ONCE)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += entry.file.size;
  }
  if (batch.length) yield batch;
}

function tell(sent) {
  const share = chosen.length ? (100 * sent) / chosen.length : 100;
  const box = form.querySelector("[data-progress]");
  box.hidden = false;
  box.querySelector("[role=progressbar]").setAttribute("aria-valuenow", Math.round(share));
  box.querySelector("rect").setAttribute("width", share.toFixed(1));
  box.querySelector("[data-progress-words]").textContent = `${number.format(sent)} of ${count(chosen.length, "file")} sent`;
}

async function send() {
  const { upload } = await post("/uploads");
  let sent = 0;
  tell(sent);
  for (const batch of batches(chosen)) {
    const data = new FormData();
    // Names go apart from the files: in the head of a file, browsers write quotes and line ends otherwise.
    for (const { file, name } of batch) {
      data.append("files", file, "file");
      data.append("names", name);
    }
    await post(`/uploads/${upload}/files`, data);
    sent += batch.length;
    tell(sent);
  }
  return upload;
}

const stay = (event) => event.preventDefault();

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.dataset.sent) return; // forms.js marks a form that is on its way
  const refusal = form.querySelector("[data-refusal]");
  refusal.textContent = "";
  addEventListener("beforeunload", stay);
  try {
    const fields = { catalog_id: catalog?.value ?? "", name: form.elements.name.value };
    if (chosen.length) fields.upload = await send();
    else fields.folder = form.elements.folder?.value ?? "";
    const { href } = await post("/intakes", fields);
    removeEventListener("beforeunload", stay);
    location.assign(href);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refusal.textContent = error.message;
    form.querySelector("[data-progress]").hidden = true;
  } finally {
    removeEventListener("beforeunload", stay);
    delete form.dataset.sent;
    form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  }
});

function showName() {
  const isNew = !catalog || catalog.value === "";
  form.querySelector("[data-new-catalog]").hidden = !isNew;
  form.elements.name.required = isNew;
}
catalog?.addEventListener("change", showName);
showName();
