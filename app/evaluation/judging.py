"""What the gate of a sheet says of a checkpoint, as a promotion keeps it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session


def decision(session: Session, sheet_id: int | None, checkpoint_id: int) -> dict[str, Any] | None:
    """The decision of the sheet's gate: `kind` (ship, train_more or need_votes) and its `lines`, each with key, value,
    bound, threshold, passes, n and a sentence. None where no gate has judged the checkpoint.
    """
    return None
