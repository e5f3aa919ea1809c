"""What the current cycle leaves for one more run: the hard stop it gets unless a person sets another."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cycles import clock, ledger
from app.cycles.ledger import hour_price
from app.cycles.tables import Cycle
from app.settings import Settings
from app.training import runs
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.training.tables import TrainingRun

_HOUR_S: Final = Decimal(3600)
_CENT: Final = Decimal("0.01")


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
    """The money that all of the run's sittings may cost by its limits; 0 while an hour has no price."""
    limits = runs.limits_of(run)
    by_time = (price_of(settings, run) or Decimal(0)) * Decimal(limits.max_seconds) / _HOUR_S
    return by_time if limits.max_amount is None else min(by_time, limits.max_amount)


def reserved(
    session: Session, settings: Settings, but: TrainingRun | None = None, states: tuple[str, ...] = runs.UNDER_WAY
) -> Decimal:
    """The money that runs under way, other than `but`, may still cost by their own limits."""
    cycle = clock.current(session)
    others = session.scalars(
        select(TrainingRun).where(TrainingRun.state.in_(states), TrainingRun.id != (but.id if but else 0))
    ).all()
    costs = ledger.under_way(session, cycle, settings) if cycle and others else {}
    return sum((max(most(settings, one) - _spent(settings, one, costs), Decimal(0)) for one in others), Decimal(0))


def lower(session: Session, settings: Settings, run: TrainingRun) -> None:
    """Lower the money limit of a run that begins to what the cycle really has for it, beside the runs that have begun.

    Two runs may have been asked for at the same moment, and money spent since.
    """
    cycle = session.scalars(select(Cycle).where(Cycle.ended_at.is_(None)).with_for_update(key_share=True)).first()
    now, price = clock.read(session, settings), price_of(settings, run)
    if cycle is None or now is None or now.money_left is None or not price:
        return
    free = max(now.money_left - reserved(session, settings, run, ("running", "stopping")), Decimal(0))
    amount = _spent(settings, run, ledger.under_way(session, cycle, settings)) + free
    if most(settings, run) <= amount + _CENT:
        return
    run.max_amount, run.hour_price = amount.quantize(_CENT, ROUND_DOWN), price
    words = f"Its money limit is {now.currency}{run.max_amount:,.2f} now: the cycle has no more left for it."
    runs.note(session, run, "limit_lowered", words)


def _spent(settings: Settings, run: TrainingRun, costs: dict[int, tuple[str, ledger.Cost]]) -> Decimal:
    """What the run's sittings have cost, the one under way included."""
    ended = (price_of(settings, run) or Decimal(0)) * Decimal(run.actual_s or 0.0) / _HOUR_S
    _, at_work = costs.get(run.job_id or 0, ("", ledger.Cost()))
    return ended + (at_work.amount or Decimal(0))
