// Deciding on the desk. A decision is sent after the page has moved on; when the answer is no, the page goes back to that
// photo and says why.
import { post, Refusal } from "./net.js";
import { toast } from "./toast.js";
import { onKey } from "./keys.js";
import { deliver, takeBack } from "./pending.js";
import { addressOf, article, comeBack, comeThrough, forgetReady, go, send, trouble } from "./desk.js";
import { forgetQueue, made, takeIn, unmark } from "./row.js";

const box = document.querySelector("[data-desk]");

function decide(value, mark = value.split(":")[0]) {
  const { photo, name, decision, next, address, queueId } = article().dataset;
  made.set(photo, mark);
  trouble("");
  send(async () => {
    try {
      const fields = { verdict: value, expected_id: decision, ...(queueId ? { queue_id: queueId } : {}) };
      const said = await deliver({ address: `/images/${photo}/decisions`, fields, name, photo, href: address, mark });
      if (!said) return;
      toast(said.sentence, said.changed === 0 ? null : { label: "Undo", key: "z", run: undo });
      takeIn(box, said);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      made.delete(photo);
      await comeBack(photo, `${name}: ${error.message}`);
    }
  });
  go(next);
}

export function undo() {
  return send(async () => {
    const unsent = await takeBack();
    if (unsent?.refusal) return; // it was not done, and the bar says so
    if (unsent) {
      unmark(box, unsent.photo);
      toast(`${unsent.name}: taken back before it was sent`);
      if (unsent.photo) await go(addressOf(unsent.photo));
      return;
    }
    try {
      const said = await post("/undo");
      toast(said.sentence);
      if (said.image_id === null) return;
      made.delete(String(said.image_id));
      forgetReady();
      forgetQueue();
      await go(addressOf(said.image_id), { isFresh: true });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      trouble(error.message);
    }
  });
}

onKey((event, name) => name === "Ctrl+z" && Boolean(undo()));

document.addEventListener("submit", (event) => {
  const { target } = event;
  if (!target.matches("[data-decide], [data-undo-form], [data-restore]")) return;
  event.preventDefault();
  event.stopPropagation();
  if (target.matches("[data-decide]")) decide(event.submitter.value, event.submitter.dataset.mark);
  else if (target.matches("[data-restore]")) restore(target.getAttribute("action"));
  else undo();
}, true);

// An older caption, current again. The photo stays where it lies in its row.
function restore(action) {
  const { photo, name, address } = article().dataset;
  send(async () => {
    try {
      const said = await post(action);
      toast(`An earlier caption of ${name} is current again`, said.changed === 0 ? null : { label: "Undo", key: "z", run: undo });
      await go(address, { push: false, isFresh: true });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      await comeBack(photo, `${name}: ${error.message}`);
    }
  });
}

document.addEventListener("delivered", ({ detail: { entry, answer } }) => {
  if (entry.photo === article().dataset.photo && answer.decision_id) article().dataset.decision = answer.decision_id;
  takeIn(box, answer);
  comeThrough();
});
document.addEventListener("refused", ({ detail: { entry } }) => {
  made.delete(entry.photo);
  comeThrough();
});
