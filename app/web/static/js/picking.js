// What was chosen or dropped, as a list of { file, name }: name is the path below the chosen folder. What other programs
// leave beside photos stays at home: app/intake/folders.py says what, the form brings the list.

const AT_ONCE = 32;

// A folder's own name is not part of the paths below it.
const below = (path) => path.slice(path.indexOf("/") + 1);

export function leavings(form) {
  // No name holds a slash.
  const names = new Set(form.dataset.passedOver.split("/"));
  const ends = form.dataset.passedOverEnds.split("/");
  return (part) => {
    const lower = part.toLowerCase();
    return part.startsWith(".") || names.has(lower) || ends.some((end) => lower.endsWith(end));
  };
}

export function fromInput(input, isLeft) {
  const all = [...input.files].map((file) => ({ file, name: file.webkitRelativePath ? below(file.webkitRelativePath) : file.name }));
  const files = all.filter(({ name }) => !name.split("/").some(isLeft));
  return { files, left: all.length - files.length, unread: 0 };
}

// The browser lets go of what was dropped as soon as its event is over, so this is asked for in the event itself.
export const entriesOf = (transfer) => [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);

const read = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

// Files and folders that were dropped, with all that is below them; `tell` hears how many files there are so far.
export async function fromEntries(entries, isLeft, tell) {
  const walked = { files: [], left: 0, unread: 0 };
  const places = entries.map((entry) => ({ entry, prefix: "" }));
  async function visit({ entry, prefix }) {
    if (isLeft(entry.name)) {
      walked.left += 1;
    } else if (entry.isFile) {
      walked.files.push({ file: await fileOf(entry), name: prefix + entry.name });
    } else {
      const reader = entry.createReader();
      // A hundred at most each time.
      for (let some = await read(reader); some.length; some = await read(reader)) {
        places.push(...some.map((child) => ({ entry: child, prefix: `${prefix}${entry.name}/` })));
      }
    }
  }
  while (places.length) {
    const outcomes = await Promise.allSettled(places.splice(0, AT_ONCE).map(visit));
    // A file that is gone or closed to the browser does not keep the others.
    walked.unread += outcomes.filter(({ status }) => status === "rejected").length;
    tell(walked.files.length);
  }
  const isOneFolder = entries.length === 1 && entries[0].isDirectory;
  if (isOneFolder) walked.files = walked.files.map(({ file, name }) => ({ file, name: below(name) }));
  const order = new Intl.Collator("en", { numeric: true });
  walked.files.sort((a, b) => order.compare(a.name, b.name));
  return walked;
}
