// data-until="2026-01-01T00:00:00+00:00": the time left, kept up to date, written as the server writes it.
export function duration(seconds) {
  const whole = Math.round(Math.abs(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  const two = (value) => String(value).padStart(2, "0");
  if (hours) return `${hours.toLocaleString("en-GB")} h ${two(minutes)} m`;
  if (minutes >= 10 || (minutes && !rest)) return `${minutes} m`;
  return minutes ? `${minutes} m ${two(rest)} s` : `${whole} s`;
}

function tick() {
  for (const element of document.querySelectorAll("[data-until]")) {
    const left = (new Date(element.dataset.until) - Date.now()) / 1000;
    element.textContent = left < 0 ? `over by ${duration(left)}` : duration(left);
    const word = element.nextElementSibling;
    if (left < 0 && word?.classList.contains("wordy")) word.hidden = true;
  }
}

setInterval(tick, 10_000);
