// A person's own keys. Pages know each act by its usual key: what is pressed is put in its place, and what is shown is shown
// as the person presses it. Without own keys nothing is done.
const KEYED = "[data-key] kbd, [data-reject-plain] kbd, .key-hint kbd";
let meanings = {}; // pressed -> the usual key of its act; "" where it has lost its act
let pressedFor = {}; // the usual key -> what this person presses

// "Shift+k" pressed on a page for which "l" means "k" extends as "Shift+k" does.
export function meant(name) {
  if (name in meanings) return meanings[name];
  const base = name.startsWith("Shift+") ? meanings[name.slice(6)] : undefined;
  return base === undefined ? name : base && `Shift+${base}`;
}

export const pressed = (usual) => pressedFor[usual] ?? usual;

// "Shift+k" as it is written.
export const written = (name) => name.split(/\+(?=.)/).map((key) => (key.length === 1 ? key.toUpperCase() : key)).join(" ");

function label(root) {
  for (const kbd of root.querySelectorAll(KEYED)) {
    kbd.dataset.usual ??= kbd.textContent.trim().toLowerCase();
    const { usual } = kbd.dataset;
    const words = usual in pressedFor ? written(pressedFor[usual]) : usual.length === 1 ? usual.toUpperCase() : null;
    if (words !== null && kbd.textContent !== words) kbd.textContent = words;
  }
}

// What the server says of all pages, as JSON; empty: all is as usual.
export function obey(json) {
  const here = document.body.dataset.keysPage;
  const were = Object.keys(meanings).length;
  meanings = (json && here && JSON.parse(json)[here]) || {};
  pressedFor = Object.fromEntries(Object.entries(meanings).filter(([, usual]) => usual).map(([key, usual]) => [usual, key]));
  if (!were && !Object.keys(meanings).length) return;
  label(document);
  watching ??= new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.parentElement) label(node.parentElement);
  });
  watching.observe(document.body, { childList: true, subtree: true });
}
let watching = null;
obey(document.body.dataset.ownKeys);
