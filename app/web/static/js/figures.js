// Figures that may be of any size, in few characters: on curves, their axes and their heads.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A figure as `app/web/formats.py` writes it: 0.145, 12.3; large and tiny ones in powers of ten: 4.51·10⁵. */
export function loss(value) {
  if (value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 9999.5)) {
    return Math.abs(value) < 9.9995 ? value.toFixed(3) : String(Number(value.toPrecision(4)));
  }
  const [figures, power] = value.toExponential(2).split("e");
  return `${figures}·10${raised(Number(power))}`;
}

const raised = (power) => [...String(power)].map((sign) => RAISED[sign]).join("");

/** A mark of an axis: short enough to stand left of it. */
export function tick(value) {
  const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  if (value === 0 || (power > -4 && power < 4)) return String(Number(value.toPrecision(3)));
  const figure = Number((value / 10 ** power).toPrecision(2));
  return figure === 1 ? `10${raised(power)}` : `${figure}·10${raised(power)}`;
}
