"""What the columns of a sheet cost: the runs that made them, and drawing it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.orm import Session

from app.cycles import hard_stop, ledger
from app.evaluation import sheets
from app.evaluation.tables import Sheet
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class CostLine:
    """What something took, in seconds and, where an hour has a price, in money."""

    what: str
    seconds: float
    amount: Decimal | None


def read(session: Session, settings: Settings, sheet: Sheet) -> list[CostLine]:
    """What the runs of the columns took on their devices, and drawing the sheet."""
    lines = []
    for run in sheets.runs_of(session, sheet):
        price = hard_stop.price_of(settings, run)
        seconds = run.actual_s or 0.0
        amount = None if price is None else price * Decimal(seconds) / 3600
        lines.append(CostLine(f"Training run {run.id}", seconds, amount))
    drawing = ledger.of_sheet(session, sheet.id)
    if drawing.seconds:
        lines.append(CostLine("Drawing the sheet", drawing.seconds, drawing.amount))
    return lines
