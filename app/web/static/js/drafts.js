// Texts that are being written, kept in this browser by photo and by the caption they started from.
const PREFIX = "packshot-draft:";

export const keyOf = (photo, caption) => `${PREFIX}${photo}:${caption}`;

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

export const dropDraft = (key) => localStorage.removeItem(key);

export function draft(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

// A draft that began from a caption which is not the current one any more.
export function olderDraft(photo, key) {
  const keys = Object.keys(localStorage).filter((other) => other.startsWith(`${PREFIX}${photo}:`) && other !== key);
  return keys.map((other) => [other, draft(other)]).find(([, kept]) => kept) ?? [null, null];
}
