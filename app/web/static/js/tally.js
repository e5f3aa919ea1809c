// How many photos are picked, in the bar below the grid.
const format = (count) => count.toLocaleString("en-GB");

export function tally(form, picks) {
  if (!form) return; // who only looks has no bar
  const { count, total } = picks;
  form.querySelector("[data-bulk-said]").textContent =
    picks.asking ? "Selecting …"
    : picks.isAll && count === total ? `All ${format(total)} selected`
    : count ? `${format(count)} selected of ${format(total)}`
    : total ? "1 photo"
    : "No photo";
  form.inert = false;
  form.querySelector("[data-bulk-total]").textContent = format(total);
  form.querySelector("[data-bulk-all]").hidden = (picks.isAll && count === total) || total < 2;
  form.querySelector("[data-bulk-none]").hidden = !count;
}
