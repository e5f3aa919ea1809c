"""What the current cycle leaves for one more run and its sheet: the hard stop they get unless a person sets another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.cycles import clock, ledger
from app.cycles.ledger import Cost, hour_price
from app.cycles.tables import Cycle, LedgerEntry
from app.errors import Refused
from app.evaluation.tables import Sheet
from app.jobs import Job
from app.settings import Settings
from app.training import runs
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.training.tables import TrainingRun

_HOUR_S: Final = Decimal(3600)
_CENT: Final = Decimal("0.01")
# A sheet that follows its run is a part of it, and has what the run left of its limits.
_FOLLOWS: Final = Job.arguments["within_run"].as_boolean()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Seconds that drawing a sheet may take on its device, and what ends it then, in words."""

    seconds: float = math.inf
    ends: str = ""


def left(session: Session, settings: Settings, recipe: Recipe, but: TrainingRun | None = None) -> Limits:
    """The recipe's wall clock, cut to the time that the current cycle has left and the money that nobody has reserved.

    Money counts only while an hour has a price. Without a cycle the recipe's wall clock stands alone. `but` is a run
    whose reserve does not count.
    """
    now, price = clock.read(session, settings), hour_price(settings, recipe.processes)
    if now is None:
        return Limits(recipe.max_wall_clock_s, hour_price=price)
    seconds = max(0.0, min(recipe.max_wall_clock_s, now.seconds_left))
    if now.money_left is None or not price:
        return Limits(seconds, None, price)
    return Limits(seconds, max(now.money_left - reserved(session, settings, but), Decimal(0)), price)


def price_of(settings: Settings, run: TrainingRun) -> Decimal | None:
    """An hour of the run's devices at the price it was launched or last extended at; today's where none was set."""
    return hour_price(settings, int(run.recipe.get("processes", 1))) if run.hour_price is None else run.hour_price


def most(settings: Settings, run: TrainingRun) -> Decimal:
    """The money that all of the run's attempts may cost by its limits; 0 while an hour has no price."""
    limits = runs.limits_of(run)
    by_time = (price_of(settings, run) or Decimal(0)) * Decimal(limits.max_seconds) / _HOUR_S
    return by_time if limits.max_amount is None else min(by_time, limits.max_amount)


def reserved(
    session: Session, settings: Settings, but: TrainingRun | None = None, states: tuple[str, ...] = runs.UNDER_WAY
) -> Decimal:
    """The money that runs under way, other than `but`, may still cost by their own limits, their sheets included."""
    cycle = clock.current(session)
    drawing = (
        select(Sheet.run_id).join(Job, Job.id == Sheet.job_id).where(_FOLLOWS, Job.state.in_(("queued", "running")))
    )
    others = session.scalars(
        select(TrainingRun).where(
            or_(TrainingRun.state.in_(states), TrainingRun.id.in_(drawing)), TrainingRun.id != (but.id if but else 0)
        )
    ).all()
    costs = ledger.under_way(session, cycle, settings) if cycle and others else {}
    total = Decimal(0)
    for run in others:
        rest = most(settings, run) - _spent(settings, run, costs)
        if run.ended_at is not None:
            rest -= _drawn(session, run, costs).amount or Decimal(0)
        total += max(rest, Decimal(0))
    return total


def for_sheet(session: Session, settings: Settings, run: TrainingRun | None, job: Job) -> Allowance:
    """What the attempt at drawing a sheet that begins may take; `run` is None for a sheet of no single run.

    A sheet that follows its run has what the run left of its limits, and what the cycle has left; one that a person
    asked for has what the cycle has left.
    """
    bounds = [Allowance()]
    now, cycle, price = clock.read(session, settings), clock.current(session), hour_price(settings, 1)
    costs = ledger.under_way(session, cycle, settings) if cycle else {}
    _, own = costs.pop(job.id, ("", Cost()))
    follows = bool(job.arguments.get("within_run"))
    if run is not None and follows:
        limits, drawn = runs.limits_of(run), _drawn(session, run, costs)
        left_s = limits.max_seconds - (run.actual_s or 0.0) - drawn.seconds
        bounds.append(Allowance(left_s, "the run\u2019s time limit ended it"))
        if limits.max_amount is not None and price:
            amount = limits.max_amount - _spent(settings, run, costs) - (drawn.amount or Decimal(0))
            bounds.append(Allowance(_bought_s(amount, price), "the run\u2019s money limit ended it"))
    if now is not None and now.money_left is not None and price:
        amount = now.money_left + (own.amount or Decimal(0)) - reserved(session, settings, run if follows else None)
        bounds.append(Allowance(_bought_s(amount, price), "the cycle has no more money for it"))
    return min(bounds, key=lambda bound: bound.seconds)


def lower(session: Session, settings: Settings, run: TrainingRun) -> None:
    """Lower the money limit of a run that begins to what the cycle really has for it, beside the runs that have begun.

    Two runs may have been asked for at the same moment, and money spent since.
    """
    session.execute(select(Cycle.id).where(Cycle.ended_at.is_(None)).with_for_update(key_share=True))
    amount = _at_most(session, settings, run, ("running", "stopping"))
    if amount is None or most(settings, run) <= amount + _CENT:
        return
    run.max_amount, run.hour_price = amount, price_of(settings, run)
    words = f"Its money limit is {settings.currency}{amount:,.2f} now: the cycle has no more left for it."
    runs.note(session, run, "limit_lowered", words)


def raised(session: Session, settings: Settings, run: TrainingRun, limits: Limits) -> Limits:
    """Limits that a run is to go on with, cut to the money that the cycle has for it.

    Raises Refused where it has none.
    """
    amount = _at_most(session, settings, run, runs.UNDER_WAY)
    if amount is None or not limits.hour_price:
        return limits
    if amount <= _spent(settings, run, {}) + _CENT:
        raise Refused(f"The cycle has no money left for run {run.id}. Begin a new cycle, or wait for the other runs.")
    return replace(limits, max_amount=amount if limits.max_amount is None else min(limits.max_amount, amount))


def _at_most(session: Session, settings: Settings, run: TrainingRun, states: tuple[str, ...]) -> Decimal | None:
    """What all of the run's attempts may cost in the current cycle, in whole cents; None where no money binds.

    That is what it has cost, and what is left beside other runs in `states`.
    """
    cycle, now = clock.current(session), clock.read(session, settings)
    if cycle is None or now is None or now.money_left is None or not price_of(settings, run):
        return None
    free = max(now.money_left - reserved(session, settings, run, states), Decimal(0))
    spent = _spent(settings, run, ledger.under_way(session, cycle, settings))
    return (spent + free).quantize(_CENT, ROUND_DOWN)


def _spent(settings: Settings, run: TrainingRun, costs: dict[int, tuple[str, Cost]]) -> Decimal:
    """What the run's attempts have cost, the one under way included."""
    ended = (price_of(settings, run) or Decimal(0)) * Decimal(run.actual_s or 0.0) / _HOUR_S
    _, at_work = costs.get(run.job_id or 0, ("", Cost()))
    return ended + (at_work.amount or Decimal(0))


def _drawn(session: Session, run: TrainingRun, costs: dict[int, tuple[str, Cost]]) -> Cost:
    """What drawing that followed the run has cost, attempts under way included."""
    of_run = select(Sheet.id).where(Sheet.run_id == run.id)
    follows = (Job.kind == "sheet.draw", _FOLLOWS, Job.arguments["sheet_id"].as_integer().in_(of_run))
    seconds, amount = session.execute(
        select(func.coalesce(func.sum(LedgerEntry.seconds), 0.0), func.sum(LedgerEntry.amount))
        .join(Job, Job.id == LedgerEntry.job_id)
        .where(*follows)
    ).one()
    at_work = session.scalars(select(Job.id).where(*follows, Job.state == "running"))
    return sum((costs[job_id][1] for job_id in at_work if job_id in costs), Cost(seconds, seconds, amount))


def _bought_s(amount: Decimal, price: Decimal) -> float:
    return float(amount / price * _HOUR_S)
