// Decisions on their way. Each is kept in this browser, by person, until the server has answered: what is decided while
// the network is away waits, is named in a bar on every page, and is sent again when Packshot answers, after a reload too.
// A decision that meets another person's is shown there with what they did, until somebody has seen it. All tabs of this
// browser share the list; whoever sends or takes back a decision holds it, so that no two tabs do so at once, and a tab
// leaves to another what that one holds: what it keeps of the list itself may be a moment old when the other lets go.
// Each decision is an entry of its own, for a list written back whole would bring back what another tab has just taken out.
import { post, Refusal } from "./net.js";

const AGAIN_MS = 5000;
const ANSWERS_WITHIN_MS = 15_000;
// No answer, or one that another try may change: the network, a sign-in that ended, a server that starts again.
const NO_ANSWER = new Set([0, 401, 403, 429, 502, 503, 504]);
const KEY = `packshot-pending:${document.body.dataset.person ?? ""}:`;
const bar = document.querySelector("[data-pending]");
const unkept = new Map(); // what this browser does not keep, by its key
let isSending = false;
let timer = 0;

const WORDS = { kept: "keep", needs_work: "needs work", suggested: "accept the suggestion" };
const said = ({ words, fields: { verdict } }) => words ?? WORDS[verdict] ?? verdict.replace("rejected", "reject");

// Entries in the order in which they were made.
function read() {
  const texts = [...unkept.values()];
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(KEY)) texts.push(localStorage.getItem(key));
  } catch { /* this browser keeps nothing */ }
  return texts.filter(Boolean).map((text) => JSON.parse(text)).sort((one, other) => parseFloat(one.id) - parseFloat(other.id));
}

function write(entry) {
  const [key, text] = [KEY + entry.id, JSON.stringify(entry)];
  try {
    localStorage.setItem(key, text);
    unkept.delete(key);
  } catch {
    unkept.set(key, text);
  }
}

// Run while no other tab, and nothing else here, has the decision in hand; with `ifAvailable` not at all where one has.
// Browsers know locks on safe addresses only.
const hold = (id, run, ways = {}) => (navigator.locks ? navigator.locks.request(KEY + id, ways, run) : run(true));
const find = (id) => read().find((entry) => entry.id === id);

// What waits to be sent: [{ id, address, fields, name, photo, href, mark }]. `photo` is null for many photos at once;
// `mark` is what it is marked with meanwhile.
export const pending = () => read().filter((entry) => !entry.refusal);
const waiting = () => pending().filter((entry) => entry.waits);
export const isWaiting = () => waiting().length > 0;

/**
 * Send a decision. Its answer, or null when it waits for the network; a Refusal is thrown as ever.
 * entry: { address, fields: { verdict, expected_id, … }, name, photo, href, mark }; where it is no verdict, `words` say what it is
 */
export async function deliver(entry) {
  const isBehind = isWaiting();
  const kept = { ...entry, id: `${performance.timeOrigin + performance.now()}-${Math.random()}`, waits: isBehind };
  const before = entry.photo && waiting().find((other) => other.photo === entry.photo);
  // Decided twice while it waited: the second counts, against what was there before the first.
  if (before) kept.fields = { ...entry.fields, expected_id: before.fields.expected_id };
  if (before) forget(before.id);
  write(kept);
  if (isBehind) {
    draw();
    flush();
    return null;
  }
  return hold(kept.id, async () => {
    try {
      const answer = await send(kept);
      forget(kept.id);
      return answer;
    } catch (error) {
      if (!isNoAnswer(error)) forget(kept.id);
      if (!isNoAnswer(error)) throw error;
      change(kept.id, { waits: true });
      later();
      return null;
    }
  });
}

// The newest decision that waits, taken back before it was sent. One that is on its way is waited for: null when it was
// answered, or when none waits; with its `refusal` when it was refused.
export async function takeBack() {
  const last = waiting().at(-1);
  if (!last) return null;
  return hold(last.id, () => {
    const entry = find(last.id) ?? null;
    if (entry && !entry.refusal) forget(entry.id);
    return entry;
  });
}

const send = ({ address, fields }) => post(address, fields, { keepalive: true, signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
const isNoAnswer = (error) => error instanceof Refusal && NO_ANSWER.has(error.status);

function forget(id) {
  unkept.delete(KEY + id);
  try {
    localStorage.removeItem(KEY + id);
  } catch { /* this browser keeps nothing */ }
  draw();
}

function change(id, values) {
  const entry = find(id);
  if (entry) write({ ...entry, ...values });
  draw();
}

// One after the other, in the order they were made. Where another tab has one in hand, it sends the rest too, or dies.
async function flush() {
  if (isSending) return;
  isSending = true;
  clearTimeout(timer);
  try {
    for (let [entry] = waiting(); entry; [entry] = waiting()) {
      if (!(await hold(entry.id, (lock) => lock && sendAgain(entry.id), { ifAvailable: true }))) break;
    }
  } finally {
    isSending = false;
    if (isWaiting()) later();
  }
}

// False when there is no answer still. Another tab may have sent it, or taken it back, before it was in hand.
async function sendAgain(id) {
  const entry = find(id);
  if (!entry || entry.refusal) return true;
  try {
    const answer = await send(entry);
    forget(id);
    document.dispatchEvent(new CustomEvent("delivered", { detail: { entry, answer } }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (isNoAnswer(error)) return false;
    change(id, { refusal: error.message });
    document.dispatchEvent(new CustomEvent("refused", { detail: { entry } }));
  }
  return true;
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(flush, AGAIN_MS);
}

// The bar ---------------------------------------------------------------------------------------------------------------
function element(tag, values, ...inside) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...inside);
  return made;
}

function line(words, ...acts) {
  return element("p", { className: "row wrap" }, element("span", { className: "grow" }, ...words), ...acts);
}

const button = (label, run) => {
  const made = element("button", { type: "button", className: "btn small" }, label);
  made.addEventListener("click", run);
  return made;
};

const link = ({ href, name }) => element("a", { href }, name);

function draw() {
  if (!bar) return;
  const list = waiting();
  const lines = read().filter((entry) => entry.refusal).map((entry) =>
    line([link(entry), `: ${said(entry)} was not done. ${entry.refusal}`], button("Seen", () => forget(entry.id))));
  if (list.length) {
    const names = list.flatMap((entry, place) => [place ? ", " : "", link(entry), ` (${said(entry)})`]);
    const where = unkept.size ? "Leave this page open: this browser keeps nothing itself." : "Kept in this browser until Packshot answers.";
    const count = list.length === 1 ? "1 decision is not sent yet: " : `${list.length} decisions are not sent yet: `;
    lines.unshift(line([count, ...names, `. ${where}`], button("Send now", flush)));
  }
  bar.replaceChildren(...lines);
  bar.hidden = !lines.length;
}

addEventListener("online", flush);
addEventListener("storage", (event) => event.key?.startsWith(KEY) && (draw(), isWaiting() && later()));
addEventListener("beforeunload", (event) => unkept.size && event.preventDefault());

// What an earlier page left behind waits; what another tab has in hand does not.
async function takeOver() {
  for (const { id, waits } of read()) {
    if (!waits) await hold(id, (lock) => lock && change(id, { waits: true }), { ifAvailable: true });
  }
  await flush();
}

draw();
takeOver();
