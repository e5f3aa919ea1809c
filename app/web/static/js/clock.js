// data-until="2026-01-01T00:00:00+00:00": the time left, kept up to date, written as the server writes it.
export function duration(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} m`;
  return minutes ? `${minutes} m` : `${whole} s`;
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
