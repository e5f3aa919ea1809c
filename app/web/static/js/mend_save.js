// Saving a mend: the form is sent, with the mask as a PNG where it was painted on since; the page then shows what was done
// to the photo so far, until a worker has made the picture.
import { getFragment, post, swap, Refusal } from "./net.js";
import { pngOf } from "./mend_picture.js";

const ASK_MS = 700;

// `edits()` is what is to be saved, null before the picture is there. `mask` is the painted one that is saved already.
export function saving(form, edits) {
  const find = (name) => form.querySelector(name);
  const saved = { mask: null, say, follow };

  function say(sentence) {
    const trouble = find("[data-mend-trouble]");
    trouble.textContent = sentence;
    trouble.hidden = !sentence;
  }

  const refresh = async () => swap(find("[data-mend-state]"), await getFragment(location.href));

  async function follow() {
    while (find("[data-newest]").hasAttribute("data-in-the-making")) {
      await new Promise((done) => setTimeout(done, ASK_MS));
      await refresh();
    }
  }

  async function save() {
    const { mask, isPainted } = edits();
    const sent = new FormData(form);
    const keeps = isPainted && mask === saved.mask;
    sent.set("keeps_mask", keeps);
    if (isPainted && mask && !keeps) sent.set("mask", await pngOf(mask), "mask.png");
    await post(form.action, sent);
    saved.mask = isPainted ? mask : null;
    await refresh();
    await follow();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = find(".mend-foot [type=submit]");
    if (!edits() || button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    say("");
    try {
      await save();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(error.message);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return saved;
}
