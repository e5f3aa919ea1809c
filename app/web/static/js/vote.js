// The vote page. It holds some turns ahead, with their pictures, so that the next one is there on the frame after a key. Each
// vote goes to the server in the background, one after the other; without a network it waits in this browser (pending.js).
import { onKey } from "./keys.js";
import { deliver, isWaiting } from "./pending.js";
import { Refusal } from "./net.js";
import { toast } from "./toast.js";
import { fit, listenForZoom, zoomBy } from "./vote_zoom.js";

const booth = document.querySelector("[data-booth]");
const isSingle = booth.dataset.booth === "single";
const turns = JSON.parse(booth.querySelector("[data-turns]").textContent); // the first one is shown
const gone = []; // voted on while this page was open, the newest last
const queued = new Set(); // tickets of votes that were not sent yet
const pictures = new Map(); // by their address, so that what was fetched ahead is what is shown
const all = (selector) => [...booth.querySelectorAll(selector)];
const WORDS = {
  left: "A is better", right: "B is better", tie: "tie", both_bad: "both bad", true: "publish it", false: "do not publish it",
};
let done = Number(booth.dataset.done);
let paces = booth.dataset.pace ? [Number(booth.dataset.pace)] : [];
let shownAt = performance.now();
let wasZoomed = false;
let wrongSide = 0; // whose failures the digits tell
let sending = Promise.resolve();

function fetched({ src, width, height }, alt) {
  if (!pictures.has(src)) pictures.set(src, Object.assign(new Image(width, height), { src, alt }));
  return pictures.get(src);
}

const altOf = (side) => (isSingle ? "Picture" : `Picture ${"AB"[side]}`);

function show() {
  const [turn] = turns;
  booth.toggleAttribute("data-empty", !turn);
  const waits = booth.querySelector("[data-waits]");
  if (waits) waits.hidden = Boolean(turn);
  drawProgress();
  if (!turn) return;
  fit(booth);
  wasZoomed = false;
  booth.querySelector("[data-prompt]").textContent = turn.prompt;
  for (const input of all("[data-ticket]")) input.value = turn.ticket;
  const shown = turn.pictures.map((picture, side) => fetched(picture, altOf(side)));
  // A new element, never another source: an older picture would stay until the new one has come.
  all("[data-pane]").forEach((pane, side) => pane.replaceChildren(shown[side]));
  wrongSide = Math.max(0, turn.pictures.findLastIndex(({ usable }) => usable === false));
  drawSaid();
  const now = (shownAt = performance.now());
  Promise.all(shown.map((image) => image.decode().catch(() => {}))).then(() => {
    if (shownAt === now) shownAt = performance.now(); // looking begins when there is something to see
  });
  for (const next of turns.slice(1)) next.pictures.forEach((picture, side) => fetched(picture, altOf(side)));
}

// What was said of the pictures shown: pressed buttons, and the failures of the one that would not be published.
function drawSaid() {
  const [turn] = turns;
  const press = (button, isOn) => {
    button.classList.toggle("on", isOn);
    button.setAttribute("aria-pressed", String(isOn));
  };
  all("[data-usable]").forEach((form, side) => {
    for (const button of form.querySelectorAll("button")) press(button, String(turn.pictures[side].usable) === button.value);
  });
  all("[data-wrong]").forEach((form, side) => {
    const { usable, failures } = turn.pictures[side];
    form.hidden = !isSingle && (usable !== false || side !== wrongSide);
    for (const button of form.querySelectorAll("button")) press(button, failures.includes(button.value));
  });
}

function drawProgress() {
  const goal = Number(booth.dataset.goal);
  const word = isSingle ? "answer" : "vote";
  booth.querySelector("[data-count]").textContent = done;
  booth.querySelector("[data-of]").textContent = done < goal ? `of about ${goal}` : done === 1 ? word : `${word}s`;
  const pace = [...paces].sort((one, other) => one - other)[paces.length >> 1];
  const minutes = Math.ceil(((goal - done) * pace) / 60);
  const left = minutes <= 1 ? "under a minute" : `about ${minutes} min`;
  booth.querySelector("[data-left]").textContent = done < goal && pace ? `· ${left} left` : "";
  booth.querySelector("[data-far] rect")?.setAttribute("width", String(100 * Math.min(1, goal ? done / goal : 1)));
}

// One request after the other, in the order in which they were made. `more`: the answer has the turns that come next.
function send(path, fields, words, { ticket, prompt }, more = false) {
  const address = booth.querySelector(`[data-${path}]`)?.getAttribute("action");
  if (more) queued.add(ticket);
  sending = sending.catch(() => {}).then(async () => {
    queued.delete(ticket);
    if (more) fields.held = [...queued, ...turns.map((turn) => turn.ticket)];
    try {
      const answer = await deliver({ address, fields, words, name: prompt, photo: null, href: location.pathname });
      if (answer && more) take(answer.turns);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      toast(error.message);
    }
  });
}

function take(more) {
  const wasEmpty = !turns.length;
  turns.push(...more);
  if (wasEmpty && more.length) show();
  else if (!turns.length && !queued.size && !isWaiting()) location.assign(location.pathname); // it says that all is done
  for (const turn of more) turn.pictures.forEach((picture, side) => fetched(picture, altOf(side)));
}

// Votes that waited were sent: the newest one knew what this page held.
document.addEventListener("delivered", ({ detail: { entry, answer } }) => {
  if (entry.fields.held && entry.href === location.pathname && !isWaiting() && !queued.size) take(answer.turns);
});

// Another tab may have sent what waited here: what comes next is asked for.
addEventListener("storage", () => {
  if (!turns.length && !queued.size && !isWaiting()) location.assign(location.pathname);
});

function vote(value) {
  const turn = turns.shift();
  if (!turn) return;
  const seconds = (performance.now() - shownAt) / 1000;
  const said = isSingle ? { picture: turn.ticket, is_usable: value } : { ticket: turn.ticket, choice: value, was_zoomed: wasZoomed };
  if (isSingle) turn.pictures[0].usable = value === "true";
  paces = [...paces, seconds].slice(-31);
  gone.push(turn);
  for (const { pictures: old } of gone.slice(0, -4)) for (const { src } of old) pictures.delete(src);
  done += 1;
  send("vote", { ...said, seconds: seconds.toFixed(2) }, WORDS[value], turn, true);
  show();
}

function undo() {
  const turn = gone.pop();
  if (!turn) return false;
  done -= 1;
  if (isSingle) turn.pictures[0].usable = null;
  turns.unshift(turn);
  send("undo", { ticket: turn.ticket }, "undo", turn);
  show();
  return true;
}

function publish(side, value) {
  const [turn] = turns;
  if (!turn) return;
  turn.pictures[side].usable = value;
  wrongSide = value ? turn.pictures.findIndex(({ usable }) => usable === false) : side;
  drawSaid();
  const fields = { picture: turn.pictures[side].name, is_usable: value, turn: turn.ticket };
  send("usable", { ...fields, seconds: ((performance.now() - shownAt) / 1000).toFixed(2) }, WORDS[value], turn);
}

function tell(side, failure) {
  const [turn] = turns;
  const { failures, name } = turn.pictures[side];
  const isSo = !failures.includes(failure);
  turn.pictures[side].failures = isSo ? [...failures, failure] : failures.filter((each) => each !== failure);
  drawSaid();
  send("wrong", { picture: name, failure, is_so: isSo, turn: turn.ticket }, "what is wrong", turn);
}

booth.addEventListener("submit", (event) => {
  const form = event.target;
  const value = event.submitter?.value;
  if (form.matches("[data-undo]")) {
    if (!undo()) return; // nothing of this page: the server shows the newest vote again
  } else if (form.matches("[data-vote]")) vote(value);
  else if (form.matches("[data-usable]")) publish(all("[data-usable]").indexOf(form), value === "true");
  else if (form.matches("[data-wrong]")) tell(all("[data-wrong]").indexOf(form), value);
  event.preventDefault();
  event.stopPropagation(); // forms.js would take a second press for the same one
});

onKey((event, name) => {
  if (event.repeat && ["Left", "Right", "Up", "Down"].includes(name)) return true; // a held arrow votes once
  if (name === "+" || name === "-" || name === "=") {
    zoomBy(booth, name === "-" ? -1 : 1);
    wasZoomed ||= "zoomed" in booth.dataset;
    return true;
  }
  const side = { q: 0, p: 1 }[name];
  if (isSingle || side === undefined || !turns.length) return false;
  publish(side, turns[0].pictures[side].usable !== true);
  return true;
});

listenForZoom(booth, () => (wasZoomed = true));
if (turns.length) show();
