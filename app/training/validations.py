"""A run's validations as its events tell them, what they prove, and which checkpoint is to be taken in their light."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.training import runs
from app.training.learning import Look, Verdict, loss_at, verdict
from app.training.run_events import still_holds
from app.training.tables import IS_MILESTONE, Checkpoint, RunEvent, TrainingRun

MOST_LOOKS: Final = 80
"""Of a long run's validations as many are compared, evenly spaced, before the lowest and behind it."""


@dataclass(frozen=True, slots=True)
class Insight:
    """What is known of a run's learning. Steps; None where there is nothing to say.

    `verdict` is on its validations. `offered` is the checkpoint to take instead of the newest one, 0 the base: the last
    before the loss exploded, or the lowest before the held-out photos got worse. `has_diverged`: the former.
    """

    verdict: Verdict
    has_diverged: bool
    offered: int | None


# What is known of runs that are over, which nothing changes any more. Comparing validations takes milliseconds a run,
# and the list has two hundred. A run that goes on again ends at another moment.
_OF_ENDED: Final[dict[tuple[int, datetime, datetime, int], Insight]] = {}
ENDED_AT_MOST: Final = 2_000


def insight_once(session: Session, run: TrainingRun) -> Insight:
    """As `insight`, read once of a run that is over. Its checkpoints may be gone since: `offered` is of that time."""
    if run.ended_at is None:
        return insight(session, run)
    key = (run.id, run.created_at, run.ended_at, run.step)
    if key not in _OF_ENDED:
        if len(_OF_ENDED) >= ENDED_AT_MOST:
            _OF_ENDED.clear()
        _OF_ENDED[key] = insight(session, run)
    return _OF_ENDED[key]


def insight(session: Session, run: TrainingRun) -> Insight:
    """What is known of the run's learning by now."""
    all_looks = looks(session, run.id)
    proved, good_step = verdict(all_looks), last_good(session, run)
    if good_step is not None:
        return Insight(proved, True, good_step)
    offered = None
    if proved.worse_since is not None:
        saved = {checkpoint.step for checkpoint in runs.checkpoints(session, run.id)}
        losses = [(look.step, look.loss) for look in all_looks]
        before = [step for step in sorted(saved) if step < proved.worse_since]
        offered = min(before, key=partial(loss_at, losses), default=None)
    return Insight(proved, False, offered)


def looks(session: Session, run_id: int, steps: Collection[int] | None = None) -> list[Look]:
    """The validations that still hold, by step: of `steps`, or of all, thinned where there are very many."""
    rows = session.execute(
        select(RunEvent.data["step"].as_integer(), RunEvent.seq, RunEvent.data["loss"].as_float())
        .where(IS_MILESTONE, still_holds(session, run_id), RunEvent.kind == "validation")
        .order_by(RunEvent.seq)
    )
    # Measured again after a resume, a step counts once.
    known = {step: (seq, loss) for step, seq, loss in rows if loss is not None and (steps is None or step in steps)}
    if not known:
        return []
    in_order = sorted(known)
    lowest = in_order.index(min(in_order, key=lambda step: known[step][1]))
    taken = [*_thinned(in_order[:lowest]), in_order[lowest], *_thinned(in_order[lowest + 1 :][::-1])[::-1]]
    wanted = [known[step][0] for step in taken]
    events = session.scalars(
        select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq.in_(wanted)).order_by(RunEvent.seq)
    )
    return sorted((Look.told(event.data) for event in events), key=lambda look: look.step)


def last_good(session: Session, run: TrainingRun) -> int | None:
    """The last checkpoint before the run's loss exploded, 0 the base; None where it did not, or nobody told."""
    if run.cause != "diverged":
        return None
    failed = session.scalars(
        select(RunEvent)
        .where(IS_MILESTONE, RunEvent.run_id == run.id, RunEvent.kind == "failed")
        .order_by(RunEvent.seq.desc())
        .limit(1)
    ).first()
    good_step = None if failed is None else failed.data.get("good_step")
    return None if good_step is None else int(good_step)


def sound_checkpoints(session: Session, run: TrainingRun) -> Sequence[Checkpoint]:
    """The run's checkpoints by step, the base first, without those that were saved while its loss exploded."""
    good_step = last_good(session, run)
    return [c for c in runs.checkpoints(session, run.id) if good_step is None or c.step <= good_step]


def _thinned(steps: Sequence[int]) -> list[int]:
    """At most `MOST_LOOKS` of them, evenly spaced; the first is kept."""
    return list(steps[:: -(-len(steps) // MOST_LOOKS) or 1])
