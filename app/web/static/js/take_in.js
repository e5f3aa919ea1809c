// data-intake: the take-in form. Chosen or dropped files are shown, go to the server with progress, and go on after a cut;
// then the form itself is sent with the name of the upload. Without this script the form sends its files in one request.
import { getJson, post, Refusal } from "./net.js";
import { fromEntries, fromInput, leavings } from "./picking.js";
import { showPreviews } from "./previews.js";
import { begin, keyOf, sendAll } from "./sending.js";

const number = new Intl.NumberFormat("en-GB");
const count = (n, noun) => `${number.format(n)} ${noun}${n === 1 ? "" : "s"}`;

function size(bytes) {
  const [unit, name] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${number.format(Math.ceil((10 * bytes) / unit) / 10)} ${name}`;
}

function left(seconds) {
  if (seconds < 60) return "under a minute left";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `about ${minutes} min left`;
  return `about ${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min left`;
}

const stay = (event) => event.preventDefault();

class TakeIn {
  constructor(form) {
    this.form = form;
    this.chosen = [];
    this.upload = "";
    this.isLeft = leavings(form);
    this.part = (name) => form.querySelector(`[data-${name}]`);
    for (const part of form.querySelectorAll("[data-needs-script]")) {
      part.hidden = false;
      part.disabled = false;
    }
    this.say("Drop files or a folder here or anywhere on the page, or choose them.");
    for (const input of form.querySelectorAll("[data-files]")) {
      input.addEventListener("change", () => this.choose(fromInput(input, this.isLeft)));
    }
    this.part("stop").addEventListener("click", () => this.stopping?.abort());
    form.addEventListener("submit", (event) => this.submit(event));
    form.addEventListener("change", (event) => event.target.name === "source" && this.showSource());
    form.elements.catalog_id?.addEventListener("change", () => this.showName());
    this.showName();
    this.showSource();
  }

  say(words) {
    this.part("drop-words").textContent = words;
  }

  async drop(entries) {
    if (["server", "hub"].includes(this.source())) this.pick("browser");
    this.say("Looking through what was dropped …");
    await this.choose(await fromEntries(entries, this.isLeft, (n) => this.say(`Looking through what was dropped: ${count(n, "file")} …`)));
  }

  async choose({ files, left: atHome, unread }) {
    this.chosen = files;
    this.upload = "";
    this.part("refusal").textContent = "";
    const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
    const beside = [
      atHome && `${number.format(atHome)} left at home: not photos, but what other programs keep beside them`,
      unread && `${number.format(unread)} that this browser cannot read`,
    ].filter(Boolean);
    const words = files.length ? `${count(files.length, "file")}, ${size(bytes)}, ready to be sent.` : "Nothing to send in there.";
    this.say(words + (beside.length ? ` (${beside.join("; ")})` : ""));
    showPreviews(this.part("previews"), files);
    await this.findEarlier(words);
  }

  // An upload that was cut off, of which what is chosen now is the rest.
  async findEarlier(words) {
    const sizes = new Map(this.chosen.map(({ file, name }) => [keyOf(name), file.size]));
    for (const line of this.form.querySelectorAll("[data-unfinished]")) {
      const { files, pieces } = await getJson(`/uploads/${line.dataset.unfinished}`);
      const here = files.filter(([name, bytes]) => sizes.get(name) === bytes).length;
      if ((files.length && here === files.length) || (!files.length && pieces.some(([name]) => sizes.has(name)))) {
        this.upload = line.dataset.unfinished;
        this.say(`${words} ${number.format(here)} of them are here already; ${number.format(this.chosen.length - here)} are left to send.`);
        return;
      }
    }
  }

  tell({ files, of, bytes, size: whole, rate, waiting }) {
    const share = whole ? (100 * bytes) / whole : 100;
    const box = this.part("progress");
    box.hidden = false;
    box.querySelector("[role=progressbar]").setAttribute("aria-valuenow", Math.round(share));
    box.querySelector("rect").setAttribute("width", share.toFixed(1));
    const pace = rate ? [`${size(rate)}/s`, left((whole - bytes) / rate)] : [];
    const said = waiting || [`${number.format(files)} of ${count(of, "file")}`, `${size(bytes)} of ${size(whole)}`, ...pace].join(" · ");
    box.querySelector("[data-progress-words]").textContent = said;
  }

  async send() {
    this.upload ||= await begin(this.chosen);
    this.stopping = new AbortController();
    this.part("stop").hidden = false;
    addEventListener("beforeunload", stay);
    try {
      await sendAll(this.upload, this.chosen, (state) => this.tell(state), this.stopping.signal);
    } finally {
      this.part("stop").hidden = true;
      removeEventListener("beforeunload", stay);
    }
    return this.upload;
  }

  async submit(event) {
    event.preventDefault();
    if (this.form.dataset.sent) return; // forms.js marks a form that is on its way
    const refusal = this.part("refusal");
    refusal.textContent = "";
    try {
      if (event.submitter?.name === "forget") {
        await post(`/uploads/${event.submitter.value}/removal`);
        event.submitter.closest("li").remove();
        return;
      }
      const fields = new FormData(this.form);
      fields.delete("files");
      const isHere = event.submitter?.name === "upload";
      if (isHere) fields.set("upload", event.submitter.value);
      else if (!["server", "hub"].includes(this.source()) && this.chosen.length) fields.set("upload", await this.send());
      if (fields.get("upload")) fields.delete("folder");
      const { href } = await post("/intakes", fields);
      location.assign(href);
    } catch (error) {
      if (error.name === "AbortError") {
        this.part("progress-words").textContent = "Stopped. What arrived is kept: “Take in” goes on with the rest.";
      } else if (error instanceof Refusal) {
        refusal.textContent = error.message;
      } else throw error;
    } finally {
      delete this.form.dataset.sent;
      this.form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
    }
  }

  source() {
    return new FormData(this.form).get("source") ?? "browser";
  }

  pick(source) {
    const choice = this.form.querySelector(`[name=source][value=${source}]`);
    if (choice) choice.checked = true;
    this.showSource();
  }

  showSource() {
    for (const part of this.form.querySelectorAll("[data-source]")) part.hidden = !part.dataset.source.split(" ").includes(this.source());
  }

  showName() {
    const catalog = this.form.elements.catalog_id;
    const isNew = !catalog || catalog.value === "";
    this.part("new-catalog").hidden = !isNew;
    this.form.elements.name.required = isNew;
  }
}

export const attach = (form) => {
  const behaviour = new TakeIn(form);
  form.addEventListener("entries", (event) => behaviour.drop(event.detail));
  return behaviour;
};
