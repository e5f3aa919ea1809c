"""What the current cycle leaves for one more run: the hard stop it gets unless a person sets another."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy.orm import Session

from app.cycles import clock
from app.cycles.ledger import hour_price
from app.settings import Settings
from app.training.limits import Limits
from app.training.recipe import Recipe
from app.training.tables import TrainingRun


def left(session: Session, settings: Settings, recipe: Recipe) -> Limits:
    """The recipe's wall clock, cut to what is left of the current cycle's time and money.

    Money counts only while an hour has a price. Without a cycle the recipe's wall clock stands alone.
    """
    now, price = clock.read(session, settings), hour_price(settings, recipe.processes)
    if now is None:
        return Limits(recipe.max_wall_clock_s, hour_price=price)
    seconds = max(0.0, min(recipe.max_wall_clock_s, now.seconds_left))
    amount = now.money_left if price else None
    return Limits(seconds, None if amount is None else max(amount, Decimal(0)), price)


def price_of(settings: Settings, run: TrainingRun) -> Decimal | None:
    """An hour of the run's devices at the price it was launched or last extended at; today's where none was set."""
    return hour_price(settings, int(run.recipe.get("processes", 1))) if run.hour_price is None else run.hour_price
