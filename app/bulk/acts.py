"""An act: one thing that can be done to many photos at once, and how it is taken back.

An act writes rows that are appended and superseded, each with the operation's number, so that what it did is found
again at any time. A new act is a class beside these and a word in `operations.ACTS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import any_, func, select, update
from sqlalchemy.orm import Session

from app.captions.tables import CaptionText
from app.catalog import reading
from app.catalog.reading import Chosen
from app.database import array, utc_now
from app.labels.tables import Labelling
from app.review.tables import Assignment, Decision, Operation

History = type[Decision] | type[Assignment] | type[Labelling] | type[CaptionText]


@dataclass(frozen=True, slots=True)
class Did:
    """What an act did to some photos: `already` were so; `passed_over` were changed since it was asked for, are
    somebody else's word, or are gone."""

    changed: int
    already: int
    passed_over: int


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How many photos have again what they had before, and how many `stayed`, for somebody changed them since."""

    taken_back: int
    stayed: int


class Act(ABC):
    """One thing that can be done to many photos. The caller holds the catalog's decisions (`decisions.lock`)."""

    table: ClassVar[History]
    # What its rows are counted in; photos have one each of most.
    noun: ClassVar[str] = "photo"

    @abstractmethod
    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        """The value as it is kept. Raises Refused or NotFound for one that makes no sense."""

    def look_again(self, session: Session, operation: Operation) -> None:
        """Before each batch: what the act needs may be gone, retired or forbidden since it was asked for.

        Raises Refused or NotFound, which says what; a batch that was done stays, and can be taken back.
        """
        reading.get(session, operation.catalog_id)
        self.checked(session, operation.catalog_id, operation.value)

    @abstractmethod
    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        """Do it to these photos, but for those that are not in the operation's catalog any more."""

    @abstractmethod
    def said(self, operation: Operation, count: int) -> str:
        """What was done to so many photos, in words: "Rejected 3 photos: blurred"."""

    def counted(self, count: int) -> str:
        """So many of what it changes, in words."""
        return f"{count:,} {self.noun}{'' if count == 1 else 's'}"

    def said_already(self, count: int) -> str:
        """What is said of photos that needed nothing."""
        return f"{count:,} {'was' if count == 1 else 'were'} so already"

    def said_passed_over(self, count: int) -> str:
        """What is said of photos that were left as they are."""
        return f"{count:,} changed meanwhile and {stay(count)}"

    def obstacle(self, session: Session, selection: Chosen, value: dict[str, Any]) -> str:
        """Why this cannot be done to a selection; empty where it can."""
        return ""

    def weight(self, value: dict[str, Any]) -> int:
        """How many photos are decided on in the time that this takes for one."""
        return 1

    def is_for_a_model(self, value: dict[str, Any]) -> bool:
        """Whether it takes a model on a device, and so a worker that has one."""
        return False

    def take_back(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> TakenBack:
        """Give these photos what they had before, but those that somebody changed since."""
        rows, stayed = give_back(session, self.table, operation, image_ids)
        self.after(session, operation, rows)
        return TakenBack(len(rows), stayed)

    @abstractmethod
    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        """What has to follow where these photos have what they had before."""


def give_back(
    session: Session, table: History, operation: Operation, image_ids: Sequence[int]
) -> tuple[Sequence[int], int]:
    """Give these photos what they had in a history before an operation: which got it back, and how many stay as they
    are, for somebody changed them since."""
    now = utc_now()
    of_act = (table.image_id == any_(array(image_ids)), table.operation_id == operation.id)
    undone = (
        update(table)
        .where(*of_act, table.superseded_at.is_(None))
        .values(superseded_at=now, undone_at=now)
        .returning(table.image_id, table.parent_id)
        .cte("undone")
    )
    # By one statement, for the photo index follows each.
    former = update(table).where(table.id == undone.c.parent_id).values(superseded_at=None).returning(table.id)
    rows = session.scalars(select(undone.c.image_id).add_cte(former.cte("former"))).all()
    session.expire_all()
    stayed = session.scalar(select(func.count()).where(*of_act, table.undone_at.is_(None))) or 0
    return rows, stayed


def photos(count: int) -> str:
    """So many photos, in words."""
    return f"{count:,} photo{'' if count == 1 else 's'}"


def are(count: int) -> str:
    """ "is" of one, "are" of all others."""
    return "is" if count == 1 else "are"


def stay(count: int) -> str:
    """What so many photos do that nothing is done with."""
    return "stays as it is" if count == 1 else "stay as they are"
