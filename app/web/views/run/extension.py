"""What a run that reached its limit needs to get to its end: the values that the form for raising it begins with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from sqlalchemy.orm import Session

from app.training import progress, runs
from app.training.limits import bound_s
from app.training.tables import TrainingRun
from app.units import duration
from app.web.views.run.cost import Bill

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Extension:
    """Limits to suggest, and where they come from in a sentence. `amount` is None where no money limit is set."""

    hours: float
    amount: Decimal | None
    why: str


def extension(session: Session, run: TrainingRun, bill: Bill, saved: int) -> Extension:
    """Enough for the steps behind the checkpoint of step `saved`; never less than the limits of now."""
    limits = runs.limits_of(run)
    price = bill.hour_price
    amount = limits.max_amount if price else None
    left_s = _left_s(session, run, bill, saved)
    if left_s is None:
        why = "How long the rest takes cannot be told: too few steps were measured. The fields hold the present limits."
        return Extension(round(limits.max_seconds / 3600, 4), amount and amount.quantize(_CENT, ROUND_UP), why)
    hours = _rounded_up((bill.spent_s + left_s) / 3600)
    if amount is not None and price is not None:
        amount = max(amount, Decimal(str(hours)) * price).quantize(_CENT, ROUND_UP)
    why = (
        f"Suggested: the {duration(bill.spent_s)} used and about {duration(left_s)} from step {saved:,} to the end "
        "at the pace measured so far, rounded up."
    )
    return Extension(max(hours, round(limits.max_seconds / 3600, 4)), amount, why)


def _left_s(session: Session, run: TrainingRun, bill: Bill, saved: int) -> float | None:
    """Seconds for another start, for the steps left at the slow end of the measured pace, and for the end."""
    pace = progress.pace(session, run)
    started = progress.newest_events(session, run.id, 1, "started")
    if pace is None or not started:
        return None
    # The newest attempt may have ended before it had started to train.
    began = max(attempt.began for attempt in progress.attempts(session, run) if attempt.began <= started[0].at)
    start_s = (started[0].at - began).total_seconds()
    again_s = (pace.step - saved) * pace.seconds_a_step
    steps_s = (pace.latest - pace.at).total_seconds() + again_s
    # A limit that leaves less than it takes to stop is refused.
    return max(start_s + steps_s + (bill.end_reserve_s or 0.0), bound_s(run.pace) + 1.0)


def _rounded_up(hours: float) -> float:
    """To a hundredth of an hour, from one hour on to a tenth."""
    parts = 100 if hours < 1 else 10
    return math.ceil(round(hours * parts, 6)) / parts
