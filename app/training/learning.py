"""What a run's validations prove: which checkpoint is best, whether it still learns, since when it gets worse. Pure.

Every validation asks about the same photos under the same noise, so two of them are compared photo by photo, and what
chance is left lies in which photos were held out. Views of one product say much the same, so the product is what
counts: the mean difference over photos, its standard error by leaving out one product after the other (the jackknife,
which is CR3 of Bell & McCaffrey 2002: right for few products and for one with most of the photos), and Student's t
with one degree of freedom fewer than there are products. Of several comparisons each gets its share of `LEVEL`
(Bonferroni), so a run in which nothing changes is told to have changed once in twenty times, or less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

LEVEL: Final = 0.05
LEAST_PRODUCTS: Final = 4
"""With fewer products held out nothing is told: three differences look alike too easily."""
LEAST_RISE: Final = 0.05
"""Of the lowest loss: a rise that is surely smaller is not worth a warning, however sure it is."""
SAME_TRAINING: Final = 1.25
"""A smoothed training loss within this factor has not risen. In the runs of benchmarks/loss_series.py it is 0.09 and
0.36 where photos are memorised, and 1.9 where the learning rate spoils the model."""


@dataclass(frozen=True, slots=True)
class Look:
    """One validation: the step it was made after, its mean loss, and what the loss is made of.

    `products` are photos and their mean loss, product by product in an order that a run keeps; empty where only the
    mean was written down. `training` is the smoothed training loss by noise band, of that moment.
    """

    step: int
    loss: float
    products: tuple[tuple[int, float], ...] = ()
    training: tuple[float | None, ...] = ()

    @classmethod
    def told(cls, facts: Mapping[str, Any]) -> Look:
        """A validation as its event tells it."""
        products = tuple((int(count), float(loss)) for count, loss in facts.get("products") or ())
        return cls(int(facts["step"]), float(facts["loss"]), products, tuple(facts.get("training") or ()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What validations up to now prove. Steps; None where nothing does.

    `lowest` has the lowest loss. `best` is the same where it is below every other one beyond noise; `alike` are those
    that cannot be told from it. From `worse_since` on all are above the lowest by `LEAST_RISE`, beyond noise;
    `is_overfitting`: the training loss has not risen since then. `can_tell`: there were products enough, written down
    one by one.
    """

    lowest: int | None = None
    best: int | None = None
    alike: tuple[int, ...] = ()
    worse_since: int | None = None
    is_overfitting: bool = False
    can_tell: bool = False
    products: int = 0


def verdict(looks: Sequence[Look]) -> Verdict:
    """What `looks`, by step, prove together; step 0, the base, is one like others."""
    if not looks:
        return Verdict()
    lowest = min(looks, key=lambda look: look.loss)
    products = len(lowest.products)
    if products < LEAST_PRODUCTS or not all(is_paired(look, lowest) for look in looks):
        return Verdict(lowest.step, products=products)
    others = [look for look in looks if look is not lowest]
    alike = tuple(look.step for look in others if not is_above(look, lowest, len(others)))
    since = None
    for look in reversed([look for look in others if look.step > lowest.step]):
        if not is_above(look, lowest, len(others), LEAST_RISE):
            break
        since = look.step
    best = lowest.step if others and not alike else None
    is_overfitting = since is not None and not _has_risen(lowest, looks[-1])
    return Verdict(lowest.step, best, alike, since, is_overfitting, True, products)


def is_paired(look: Look, other: Look) -> bool:
    """Whether two looks asked about the same photos, told product by product."""
    return [count for count, _ in look.products] == [count for count, _ in other.products]


def is_above(look: Look, other: Look, comparisons: int = 1, rise: float = 0.0) -> bool:
    """Whether the loss of `look` is above `other`'s by such a share, beyond noise, as one of so many comparisons."""
    mean, error = difference(look, other)
    return mean - error * student(len(look.products) - 1, LEVEL / max(1, comparisons)) > rise * other.loss


def difference(look: Look, other: Look) -> tuple[float, float]:
    """How much the loss of `look` is above that of `other`, and the standard error of that, for two paired looks."""
    pairs = [(count, mine - theirs) for (count, mine), (_, theirs) in zip(look.products, other.products, strict=True)]
    photos, products = sum(count for count, _ in pairs), len(pairs)
    total = sum(count * above for count, above in pairs)
    mean = total / photos
    without = [(total - count * above) / (photos - count) for count, above in pairs if count < photos]
    return mean, math.sqrt((products - 1) / products * sum((other_mean - mean) ** 2 for other_mean in without))


def loss_at(known: Sequence[tuple[int, float]], step: int) -> float:
    """The loss at a step, on a straight line between the ones beside it; `known` are steps and losses, by step.

    Checkpoints may be saved between validations.
    """
    before = [pair for pair in known if pair[0] <= step][-1:]
    behind = [pair for pair in known if pair[0] >= step][:1]
    (first, from_loss), (last, to_loss) = (before or behind)[0], (behind or before)[0]
    return from_loss + (to_loss - from_loss) * (step - first) / max(1, last - first)


@dataclass(frozen=True, slots=True)
class Streak:
    """How many validations in a row were no better, beyond noise, than the last that was: the `reference`."""

    reference: Look | None = None
    length: int = 0

    def after(self, look: Look) -> Streak:
        """After one more validation. Where products are too few to tell, no streak begins."""
        reference = self.reference
        if reference is None or not is_paired(look, reference):
            return Streak(look)
        if look.step <= reference.step or len(look.products) < LEAST_PRODUCTS:
            return self
        return Streak(look) if is_above(reference, look) else Streak(reference, self.length + 1)


def student(degrees: int, share: float) -> float:
    """The quantile of Student's t with at least 3 degrees of freedom that `share` (at most 0.1) lies above.

    Hill's approximation (1970, CACM algorithm 396), right to four figures: scipy is too heavy for the web process.
    """
    n, p = float(degrees), 2.0 * share
    a = 1.0 / (n - 0.5)
    b = 48.0 / a**2
    c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36
    d = ((94.5 / (b + c) - 3.0) / b + 1.0) * math.sqrt(a * math.pi / 2.0) * n
    y = (d * p) ** (2.0 / n)
    if y <= 0.05 + a:
        y = ((1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) + 0.5 / (n + 4.0)) * y - 1.0) * (
            n + 1.0
        ) / (n + 2.0) + 1.0 / y
        return math.sqrt(n * y)
    x = NormalDist().inv_cdf(share)
    y = x * x
    if n < 5.0:
        c += 0.3 * (n - 4.5) * (x + 0.6)
    c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b
    y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x
    return math.sqrt(n * math.expm1(a * y * y))


def _has_risen(before: Look, now: Look) -> bool:
    """Whether the training loss is higher now, or nobody can tell."""
    pairs = list(zip(before.training, now.training, strict=False))
    rises = [math.log(b / a) for a, b in pairs if a and b]
    return not rises or sum(rises) / len(rises) > math.log(SAME_TRAINING)
