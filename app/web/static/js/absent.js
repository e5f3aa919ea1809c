// A picture that does not come says so where it would stand, not by a torn sheet alone; when another comes there, it is
// forgotten again.

function tell(picture) {
  if (picture.dataset.absent !== undefined) return;
  picture.dataset.absent = picture.alt;
  picture.alt = [picture.alt, "the picture did not come"].filter(Boolean).join(": ");
}

function forget(picture) {
  if (picture.dataset.absent === undefined) return;
  if (picture.alt.startsWith(picture.dataset.absent)) picture.alt = picture.dataset.absent;
  delete picture.dataset.absent;
}

const isPicture = (target) => target instanceof HTMLImageElement && target.getAttribute("src");
document.addEventListener("error", ({ target }) => { if (isPicture(target)) tell(target); }, true);
document.addEventListener("load", ({ target }) => { if (isPicture(target)) forget(target); }, true);
for (const picture of document.images) if (isPicture(picture) && picture.complete && !picture.naturalWidth) tell(picture);
