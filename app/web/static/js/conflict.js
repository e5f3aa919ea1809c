// Both texts and the one they came from, side by side.
// take(text) is called with mine to put it in the editor, or with null to drop it.
export function showBoth(place, current, older, take) {
  const part = (title, words) => {
    const box = document.createElement("div");
    const head = document.createElement("h3");
    const body = document.createElement("p");
    head.textContent = title;
    body.textContent = words || "nothing";
    box.append(head, body);
    return box;
  };
  const button = (label, text) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "btn small", textContent: label });
    made.addEventListener("click", () => {
      place.hidden = true;
      take(text);
    });
    return made;
  };
  const said = document.createElement("p");
  said.className = "strong";
  said.textContent = "This caption was changed while you wrote yours. Nothing of yours is lost.";
  const row = Object.assign(document.createElement("div"), { className: "row wrap" });
  row.append(button("Put mine in the editor", older.text), button("Drop mine", null));
  place.replaceChildren(said, part("Now", current), part("Yours", older.text), part("Both came from", older.base), row);
  place.hidden = false;
}
