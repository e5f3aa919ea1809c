// morph(old, fresh): make an element what a fresh copy of it is, and keep every node that stays. So focus, the caret, the
// scroll place and what a person opened stay too. Nodes are paired by id, else by order, and by
// their tag and their data-job.

const OWN = new Set(["open", "data-watched", "data-sent"]); // the page's, not the server's

/** Children of `old` become those of `fresh`, whose nodes are used up. */
export function morph(old, fresh) {
  const wanted = [...fresh.childNodes], ids = new Set(wanted.map((node) => node.id).filter(Boolean));
  let kept = old.firstChild;
  const drop = () => {
    const next = kept.nextSibling;
    kept.remove();
    kept = next;
  };
  for (const node of wanted) {
    if (node.id && [...old.children].some((child) => child.id === node.id)) while (kept.id !== node.id) drop();
    if (!kept || !isSame(kept, node)) {
      old.insertBefore(node, kept);
      if (kept && !ids.has(kept.id)) drop();
      continue;
    }
    if (node.nodeType === Node.ELEMENT_NODE) element(kept, node);
    else if (kept.nodeValue !== node.nodeValue) kept.nodeValue = node.nodeValue;
    kept = kept.nextSibling;
  }
  while (kept) drop();
}

function isSame(kept, node) {
  return kept.nodeName === node.nodeName && kept.namespaceURI === node.namespaceURI
    && kept.dataset?.job === node.dataset?.job && kept.id === node.id && kept.name === node.name;
}

function element(kept, node) {
  const before = kept.defaultValue;
  for (const { name } of [...kept.attributes]) if (!node.hasAttribute(name) && !OWN.has(name)) kept.removeAttribute(name);
  for (const { name, value } of node.attributes) {
    if (!OWN.has(name) && kept.getAttribute(name) !== value) kept.setAttribute(name, value);
  }
  morph(kept, node);
  field(kept, node, before);
}

/** A field shows what the server says anew, but for the one that is being typed in. */
function field(kept, node, before) {
  if (kept instanceof HTMLInputElement && ["radio", "checkbox"].includes(kept.type)) kept.checked = node.defaultChecked;
  else if (kept instanceof HTMLInputElement && kept !== document.activeElement && node.defaultValue !== before) {
    kept.value = node.defaultValue;
  }
}
