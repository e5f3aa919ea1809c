"""Time and money of a run against its hard stop: spent, expected, estimated, reserved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy.orm import Session

from app.cycles import hard_stop
from app.settings import Settings
from app.training import progress, runs, trainer_limits
from app.training.limits import Binding
from app.training.progress import Forecast
from app.training.tables import TrainingRun


@dataclass(frozen=True)
class Bill:
    """Seconds on the device; each has its price by `money`. What cannot be told is None.

    `in_all_s`: least, expected and most at the end. `end_reserve_s`: not trained in, so that the end finds its time.
    """

    spent_s: float
    in_all_s: tuple[float, float, float] | None
    estimated_s: tuple[float, float, float] | None
    limit_s: float
    binding: Binding
    must_end_at: datetime | None
    end_reserve_s: float | None
    hour_price: Decimal | None
    currency: str
    is_working: bool  # a trainer is at work: it spends

    def money(self, seconds: float) -> Decimal | None:
        """What so many seconds cost; None while an hour has no price."""
        return None if self.hour_price is None else self.hour_price * Decimal(seconds) / 3600


def bill(
    session: Session, run: TrainingRun, forecast: Forecast | None, settings: Settings, folder: Path, now: datetime
) -> Bill:
    """The run's bill at a moment. `folder` is the run's own."""
    limits = runs.limits_of(run)
    limit_s, binding = limits.hard_stop()
    # What was billed counts a trainer's whole life; its events begin a little later.
    spent_s = max(progress.spent_s(session, run, now), run.actual_s or 0.0)
    in_all = None
    if forecast is not None:
        ends = (forecast.earliest, forecast.ends_at, forecast.latest)
        least, expected, most = (min(limit_s, spent_s + max(0.0, (end - now).total_seconds())) for end in ends)
        in_all = (least, expected, most)
    estimated = None
    if run.estimated_s is not None:
        estimated = (run.estimated_low_s or run.estimated_s, run.estimated_s, run.estimated_high_s or run.estimated_s)
    is_training = run.state == "running" and spent_s > 0
    return Bill(
        spent_s=spent_s,
        in_all_s=in_all,
        estimated_s=estimated,
        limit_s=limit_s,
        binding=binding,
        must_end_at=now + timedelta(seconds=limit_s - spent_s) if is_training else None,
        end_reserve_s=end_reserve_s(run, folder),
        hour_price=hard_stop.price_of(settings, run),
        currency=settings.currency,
        is_working=progress.present_attempt(session, run) is not None,
    )


def end_reserve_s(run: TrainingRun, folder: Path) -> float | None:
    """Seconds the trainer keeps back: for the sheet, one more step, the last save and the finished model.

    None while nothing says how many.
    """
    if not (folder / trainer_limits.FILE).exists():
        return None
    try:
        given = trainer_limits.read(folder)
    except ValueError:
        return None
    save_s = float(run.pace.get("save_s") or 0.0)
    step_s, export_s = float(run.pace.get("step_s") or 0.0), float(run.pace.get("export_s") or save_s)
    reserved_s = given.reserved_s(float(run.pace.get("sample_s") or 0.0))
    return trainer_limits.ending_s(step_s, save_s, export_s, reserved_s)
