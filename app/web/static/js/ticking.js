// Figures that go on between two readings. data-tick="up|down" with data-seconds, data-tick="money" with data-amount and
// data-hour (the price of an hour): what the server read, counted on each second by this browser's clock and marked as
// such; data-reading is the mark. Without a connection nothing is known to go on, so the count stops and says when.

let readAt = performance.now(), lostAt = null;
const two = (value) => String(value).padStart(2, "0");

/** As the server writes a duration, but with its seconds. */
function exact(seconds) {
  const whole = Math.max(0, Math.floor(seconds)), hours = Math.floor(whole / 3600), minutes = Math.floor((whole % 3600) / 60);
  if (hours) return `${hours} h ${two(minutes)} m ${two(whole % 60)} s`;
  return minutes ? `${minutes} m ${two(whole % 60)} s` : `${whole} s`;
}

function money(amount, currency) {
  if (amount > 0 && amount < 0.005) return `under ${currency}0.01`;
  return currency + amount.toLocaleString("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function show() {
  const gone = ((lostAt ?? performance.now()) - readAt) / 1000;
  for (const place of document.querySelectorAll("[data-tick]")) {
    const { tick, seconds, amount, hour, currency } = place.dataset;
    if (tick === "money") place.textContent = money(Number(amount) + Number(hour) * gone / 3600, currency);
    else place.textContent = exact(Number(seconds) + (tick === "up" ? gone : -gone));
  }
  const mark = document.querySelector("[data-reading-words]");
  if (!mark) return;
  mark.parentElement.classList.toggle("work", lostAt !== null);
  mark.textContent = lostAt === null ? "counted on from the reading of" : "not connected, not counting; last reading";
}

/** The server was just read: its figures stand in the page. */
export function read() {
  readAt = performance.now();
  lostAt = null;
  show();
}

/** Nothing is heard any more. The first word counts. */
export function lost() {
  lostAt ??= performance.now();
  show();
}

setInterval(() => { if (lostAt === null) show(); }, 1000);
