"""What the gate of a sheet says of a checkpoint, as a promotion keeps it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from app.evaluation import comparison, sheets


def decision(session: Session, sheet_id: int | None, checkpoint_id: int) -> dict[str, Any] | None:
    """The decision of the sheet's gate: `kind` (ship, train_more or need_votes) and its `lines`, each with key, value,
    bound, threshold, passes, n and a sentence. None where no gate was set, or the checkpoint is no column.

    Raises NotFound for no such sheet.
    """
    if sheet_id is None:
        return None
    sheet = sheets.get(session, sheet_id)
    shown = comparison.columns_shown(session, sheet)
    key = next((column.key for column in shown if column.checkpoint_id == checkpoint_id), None)
    if key is None:
        return None
    # It loads what most pages need none of.
    from app.evaluation import deciding

    verdict = deciding.decide(session, sheet, key)
    return asdict(verdict.decision) if verdict.gate is not None and verdict.decision is not None else None
