// Scales of a chart: where a value lies, as a share of the height, and the round values to mark.

export function logarithmic(least, greatest) {
  const min = Math.max(1e-9, least), max = Math.max(min, greatest), room = (max / min) ** 0.04 * 1.01;
  const low = Math.log(min / room), high = Math.log(max * room);
  const marks = max / min < 4 ? ticks(min / room, max * room, 4).values : decades(min / room, max * room);
  return { share: (value) => (Math.log(Math.max(value, 1e-9)) - low) / (high - low), ticks: marks };
}

const MOST_TICKS = 7;

/** 1, 2, 5 of each power of ten; only the powers where those would be too many, and only some where even they are. */
function decades(low, high) {
  const powers = [], first = Math.floor(Math.log10(low)), every = Math.ceil((Math.log10(high) - first) / MOST_TICKS);
  for (let power = first; power <= Math.log10(high); power += Math.max(1, every)) powers.push(power);
  const of = powers.length > 3 ? [1] : [1, 2, 5];
  return powers.flatMap((power) => of.map((n) => n * 10 ** power)).filter((value) => value >= low && value <= high);
}

export function fromZero(greatest) {
  const { values: marks, step } = ticks(0, greatest * 1.05, 3);
  const top = marks.at(-1) ?? 0;
  if (top < greatest) marks.push(top + step);
  const high = marks.at(-1) || 1;
  return { share: (value) => value / high, ticks: marks };
}

/** Round values between low and high, about `count` of them. */
export function ticks(low, high, count, of = [1, 2, 5, 10]) {
  const rough = (high - low) / count || 1;
  const power = of.at(-1) === 10 ? 10 ** Math.floor(Math.log10(rough)) : 1;
  const step = (of.find((n) => n * power >= rough) ?? of.at(-1)) * power;
  const marks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) marks.push(i * step + 0); // + 0: no -0
  return { step, values: marks };
}
