// data-time="hm|hms|day|date" with datetime="…" (on <time>, or a text in a drawing): the moment in the reader's own time zone.
const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function written(moment, style) {
  const hm = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  const day = `${moment.getDate()} ${MONTHS[moment.getMonth()]}`;
  if (style === "hms") return `${hm}:${two(moment.getSeconds())}`;
  if (style === "day") return `${day} ${hm}`;
  return style === "date" ? `${day} ${moment.getFullYear()}` : hm;
}

function localise() {
  for (const element of document.querySelectorAll("[data-time]")) {
    const moment = new Date(element.getAttribute("datetime"));
    element.textContent = written(moment, element.dataset.time);
    if (element instanceof HTMLElement) element.title = moment.toLocaleString();
  }
}

document.addEventListener("swapped", localise);
localise();
