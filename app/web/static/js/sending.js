// Files on their way to an upload: small ones a few at a time, large ones in pieces. A cut connection goes on where it
// was, for the upload says what has arrived; a Refusal ends it, and an abort leaves what is there.
import { getJson, post, Refusal } from "./net.js";

const FILES_AT_ONCE = 16;
const BYTES_AT_ONCE = 8 * 1024 * 1024;
const LONGEST_WAIT_S = 30;
const RATE_OVER_MS = 10_000;

export const keyOf = (name) => name.normalize("NFC");

// One request with progress, which fetch does not tell of. A lost connection is a Refusal of status 0.
function request(url, data, signal, onBytes) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    const stop = () => sent.abort();
    sent.open("POST", url);
    sent.setRequestHeader("Accept", "application/json");
    sent.setRequestHeader("X-CSRF-Token", document.querySelector('meta[name="csrf"]')?.content ?? "");
    sent.upload.addEventListener("progress", (event) => onBytes(event.loaded));
    sent.addEventListener("loadend", () => {
      signal.removeEventListener("abort", stop);
      let answer = null;
      try {
        answer = JSON.parse(sent.responseText);
      } catch { /* an answer of somebody in between */ }
      if (sent.status >= 200 && sent.status < 300) resolve(answer);
      else if (signal.aborted) reject(new DOMException("stopped", "AbortError"));
      else reject(new Refusal(answer?.error?.sentence ?? "Packshot does not answer.", answer ? sent.status : 0));
    });
    signal.addEventListener("abort", stop);
    sent.send(data);
  });
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(new DOMException("stopped", "AbortError"));
  }, { once: true });
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

// How far it is: files and bytes that have arrived or are on the wire, and how fast it went these last seconds.
class Pace {
  constructor(chosen, tell) {
    this.chosen = chosen;
    this.size = chosen.reduce((sum, { file }) => sum + file.size, 0);
    this.tell = tell;
    this.seen = [];
    this.count(0, 0);
  }

  // What is here before or after a cut is no speed.
  count(files, bytes) {
    this.files = files;
    this.bytes = bytes;
    this.seen = [[performance.now(), bytes]];
    this.say(0);
  }

  add(files, bytes) {
    this.files += files;
    this.bytes += bytes;
  }

  say(onWire, waiting = "") {
    const now = performance.now(), bytes = this.bytes + onWire;
    this.seen.push([now, bytes]);
    while (this.seen.length > 2 && now - this.seen[0][0] > RATE_OVER_MS) this.seen.shift();
    const [since, before] = this.seen[0];
    const rate = now - since > 500 ? (1000 * (bytes - before)) / (now - since) : 0;
    this.tell({ files: this.files, of: this.chosen.length, bytes, size: this.size, rate, waiting });
  }
}

async function sendPieces(upload, { file, name }, here, pace, signal) {
  let offset = here;
  while (offset < file.size) {
    const data = new FormData();
    const piece = file.slice(offset, offset + BYTES_AT_ONCE);
    data.append("name", name);
    data.append("offset", offset);
    data.append("size_bytes", file.size);
    data.append("piece", piece, "piece");
    const answer = await request(`/uploads/${upload}/pieces`, data, signal, (bytes) => pace.say(Math.min(bytes, piece.size)));
    pace.add(0, answer.here - offset);
    offset = answer.here;
    pace.say(0);
  }
  pace.add(1, 0);
}

async function sendBatch(upload, batch, pace, signal) {
  const data = new FormData();
  const size = batch.reduce((sum, { file }) => sum + file.size, 0);
  // Names go apart from the files: in the head of a file, browsers write quotes and line ends otherwise.
  for (const { file, name } of batch) {
    data.append("files", file, "file");
    data.append("names", name);
  }
  await request(`/uploads/${upload}/files`, data, signal, (bytes) => pace.say(Math.min(bytes, size)));
  pace.add(batch.length, size);
  pace.say(0);
}

async function sendMissing(upload, chosen, pace, signal) {
  const arrived = await getJson(`/uploads/${upload}`, { signal });
  const files = new Map(arrived.files), pieces = new Map(arrived.pieces);
  const missing = chosen.filter(({ file, name }) => files.get(keyOf(name)) !== file.size);
  const begun = missing.reduce((sum, { name }) => sum + (pieces.get(keyOf(name)) ?? 0), 0);
  const rest = missing.reduce((sum, { file }) => sum + file.size, 0);
  pace.count(chosen.length - missing.length, pace.size - rest + begun);
  const isLarge = ({ file }) => file.size > BYTES_AT_ONCE;
  for (const batch of batches(missing.filter((entry) => !isLarge(entry)))) await sendBatch(upload, batch, pace, signal);
  for (const entry of missing.filter(isLarge)) await sendPieces(upload, entry, pieces.get(keyOf(entry.name)) ?? 0, pace, signal);
}

export async function begin(chosen) {
  const size = chosen.reduce((sum, { file }) => sum + file.size, 0);
  const data = new FormData();
  data.append("chosen", new Blob([JSON.stringify(chosen.map(({ file, name }) => [name, file.size]))]), "chosen.json");
  data.append("size_bytes", size);
  return (await post("/uploads", data)).upload;
}

// Sends to an upload what is missing there, however often the connection is cut. Raises Refusal, and AbortError.
export async function sendAll(upload, chosen, tell, signal) {
  const pace = new Pace(chosen, tell);
  for (let tries = 0; ; tries += 1) {
    const before = pace.bytes;
    try {
      await sendMissing(upload, chosen, pace, signal);
      return;
    } catch (error) {
      const isCut = error instanceof Refusal && (error.status === 0 || error.status === 502 || error.status === 503);
      if (!isCut) throw error;
      if (pace.bytes > before) tries = 0;
      const wait = Math.min(LONGEST_WAIT_S, 2 ** tries);
      pace.say(0, `The connection was cut. It goes on by itself in ${wait} s; nothing that arrived is sent again.`);
      await pause(wait, signal);
    }
  }
}
