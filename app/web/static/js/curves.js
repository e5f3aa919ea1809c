// A run's curves as the page keeps them: columns over one list of points, grown by the run's events, cut back with the run.

const AXES = ["step", "time", "pictures"];

/** What the curves are after one more event. Returns false when they do not change. */
export function grow(curves, event) {
  const at = { step: event.step, time: event.seconds, pictures: event.pictures };
  if (event.kind === "started" && event.step > 0) {
    cutBack(curves, event.step);
    curves.joins.push(at);
  } else if (event.kind === "started") {
    cutBack(curves, 0);
  } else if (event.kind === "step") {
    for (const axis of AXES) curves.axes[axis].push(at[axis]);
    curves.bands.forEach((band, i) => append(band, event.loss_by_band?.[i] ?? null));
    append(curves.speed, event.images_per_s ?? null);
    append(curves.memory, event.memory_bytes ?? null);
  } else if (event.kind === "validation" && event.loss !== null) {
    for (const axis of AXES) curves.validation.axes[axis].push(at[axis]);
    curves.validation.mean.push(event.loss);
  } else {
    return false;
  }
  return true;
}

function append(line, value) {
  line.mean.push(value);
  if (line.low) { line.low.push(value); line.high.push(value); }
}

/** A trainer that went on from an earlier checkpoint tells later steps again. */
function cutBack(curves, step) {
  const isKept = curves.axes.step.map((at) => at <= step);
  const keep = (values) => values.filter((_, i) => isKept[i]);
  for (const axis of AXES) curves.axes[axis] = keep(curves.axes[axis]);
  for (const line of [...curves.bands, curves.speed, curves.memory]) {
    for (const name of ["low", "mean", "high"]) if (line[name]) line[name] = keep(line[name]);
  }
  const looks = curves.validation, isHeld = looks.axes.step.map((at) => at <= step);
  for (const axis of AXES) looks.axes[axis] = looks.axes[axis].filter((_, i) => isHeld[i]);
  looks.mean = looks.mean.filter((_, i) => isHeld[i]);
  curves.joins = curves.joins.filter((join) => join.step < step);
}
