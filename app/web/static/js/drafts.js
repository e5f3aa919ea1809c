// Texts that are being written, kept in this browser by person, photo, kind and the caption they started from.
const PREFIX = "packshot-draft:";
const MINE = `${PREFIX}${document.body.dataset.person ?? ""}:`;

export const keyOf = (photo, kind, caption) => `${MINE}${photo}:${kind}:${caption}`;

// Keep what stands in the field; false when this browser keeps nothing.
export function keepDraft(key, { value, defaultValue }) {
  if (value === defaultValue) {
    dropDraft(key);
    return true;
  }
  try {
    localStorage.setItem(key, JSON.stringify({ text: value, base: defaultValue, at: Date.now() }));
  } catch {
    return false;
  }
  return true;
}

export function dropDraft(key) {
  try {
    localStorage.removeItem(key);
  } catch { /* this browser keeps nothing */ }
}

export function draft(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function keys(start) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(start));
  } catch {
    return [];
  }
}

export const hasDraft = (photo, kind) => keys(keyOf(photo, kind, "")).length > 0;

// A draft that began from a caption which is not the current one any more.
export function olderDraft(photo, kind, key) {
  const others = keys(keyOf(photo, kind, "")).filter((other) => other !== key);
  return others.map((other) => [other, draft(other)]).find(([, kept]) => kept) ?? [null, null];
}

// As earlier versions of Packshot kept them: of long captions, by nobody's name.
for (const key of keys(PREFIX)) {
  const [, photo, caption] = key.match(/^packshot-draft:(\d+):(\d*)$/) ?? [];
  const kept = photo && draft(key);
  if (!kept) continue;
  try {
    localStorage.setItem(keyOf(photo, "long", caption), JSON.stringify(kept));
    localStorage.removeItem(key);
  } catch { /* it stays as it is */ }
}
