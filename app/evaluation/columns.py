"""Which columns a sheet has: the checkpoints of its run, chosen as they come, or those that people put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import NotFound, Refused
from app.evaluation import tiers
from app.evaluation.tables import Sheet, SheetColumn
from app.evaluation.tiers import Tier
from app.training.tables import Checkpoint, TrainingRun
from app.training.validations import sound_checkpoints

COLUMNS: Final = 8
"""Of a run's own sheet; people may put more side by side."""
MOST_COLUMNS: Final = 40


@dataclass(frozen=True, slots=True)
class ColumnPlace:
    """A column at its place: a checkpoint, or real photos where it is None. `tier` is how much of the suite it has."""

    checkpoint: Checkpoint | None
    tier: Tier


@dataclass(frozen=True, slots=True)
class ColumnWish:
    """A column that somebody asks for: a checkpoint by its number, or real photos (None)."""

    checkpoint_id: int | None
    tier: Tier = "full"


def columns_of(session: Session, sheet: Sheet) -> list[ColumnPlace]:
    """The columns of a sheet, from left to right."""
    if sheet.run_id is not None:
        return [ColumnPlace(checkpoint, "full") for checkpoint in run_columns(session, sheet.run_id)]
    rows = session.execute(
        select(Checkpoint, SheetColumn.tier)
        .select_from(SheetColumn)
        .outerjoin(Checkpoint, Checkpoint.id == SheetColumn.checkpoint_id)
        .where(SheetColumn.sheet_id == sheet.id)
        .order_by(SheetColumn.position)
    )
    return [ColumnPlace(checkpoint, tiers.known(tier)) for checkpoint, tier in rows]


def drawn_columns(session: Session, sheet: Sheet) -> list[Checkpoint]:
    """The checkpoints that a sheet is drawn with, from left to right."""
    return [place.checkpoint for place in columns_of(session, sheet) if place.checkpoint is not None]


def run_columns(session: Session, run_id: int) -> list[Checkpoint]:
    """The checkpoints a run's sheet has: the base, the last, the lowest on validation, the others evenly spaced.

    All of them where there are at most `COLUMNS`; never one that was saved while the loss exploded.
    """
    all_checkpoints = list(sound_checkpoints(session, session.get_one(TrainingRun, run_id)))
    if len(all_checkpoints) <= COLUMNS:
        return all_checkpoints
    measured = [c for c in all_checkpoints[1:] if c.validation_loss is not None]
    lowest = min(measured, key=lambda c: c.validation_loss or 0.0, default=all_checkpoints[-1])
    taken = {all_checkpoints[0].id, all_checkpoints[-1].id, lowest.id}
    spaced = [all_checkpoints[round(i * (len(all_checkpoints) - 1) / (COLUMNS - 1))] for i in range(1, COLUMNS - 1)]
    for checkpoint in spaced:
        if len(taken) < COLUMNS:
            taken.add(checkpoint.id)
    return [checkpoint for checkpoint in all_checkpoints if checkpoint.id in taken]


def put(session: Session, sheet: Sheet, wishes: Sequence[ColumnWish]) -> None:
    """Give a sheet of no run its columns, in this order, in place of those it had.

    What was drawn stays with its checkpoints. Raises Refused for a run's sheet, for none or too many columns and for
    one that stands twice, NotFound for a checkpoint that is not there.
    """
    if sheet.run_id is not None:
        raise Refused("The sheet of a run has its checkpoints as columns; make a comparison to choose others.")
    if not wishes or len(wishes) > MOST_COLUMNS:
        raise Refused(f"A comparison has 1 to {MOST_COLUMNS} columns.")
    if len({wish.checkpoint_id for wish in wishes}) < len(wishes):
        raise Refused("A checkpoint stands in a comparison once.")
    wanted = {wish.checkpoint_id for wish in wishes} - {None}
    there = set(session.scalars(select(Checkpoint.id).where(Checkpoint.id.in_(wanted))))
    if lacking := sorted(number for number in wanted - there if number is not None):
        raise NotFound(f"There is no checkpoint {lacking[0]}.")
    session.query(SheetColumn).filter_by(sheet_id=sheet.id).delete()
    session.add_all(
        SheetColumn(
            sheet_id=sheet.id,
            position=position,
            kind="photos" if wish.checkpoint_id is None else "checkpoint",
            checkpoint_id=wish.checkpoint_id,
            tier=wish.tier,
        )
        for position, wish in enumerate(wishes)
    )
    session.flush()


def column_count(session: Session, sheet: Sheet) -> int:
    """How many columns a sheet of no run has."""
    counted = select(func.count()).where(SheetColumn.sheet_id == sheet.id)
    return session.scalar(counted) or 0
