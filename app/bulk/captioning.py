"""Captions of a file on many photos: each where nothing stands in its way, its history beneath it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import any_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.bulk.acts import Act, Did, TakenBack, photos
from app.bulk.tables import FileImport, ImportedCaption
from app.captions.tables import CaptionText, Kind
from app.captions.writing import AUTHORS
from app.catalog import reading
from app.database import array, recordset, utc_now
from app.errors import NotFound
from app.review import decisions
from app.review.tables import Operation

Fate = Literal["new", "changed", "same", "conflict", "machine"]
"""What becomes of a text of a file: it is the photo's first of its kind, takes the place of another, is there already,
or is passed over for a person's text (or a newer one) or, being a machine's, for whoever is none."""
Place = tuple[int, Kind]
# A text has columns and a place in a history, which are compared and numbered.
_WEIGHT: Final = 4


def fate(
    text: str, written_by: str, captioner: str | None, at: datetime | None, here: Any, takes_over: datetime | None
) -> Fate:
    """What becomes of a current text of a file where a photo has `here` (None: none of that kind).

    "machine": a captioner's text, and a person's or a given one is here, which stays. "conflict": a person's text is
    here and the file's is not a person's newer one, or both are of one rank and the file's is older; it gives way only
    to whoever `takes_over`, if it was there at that time.
    """
    if here is None:
        return "new"
    if here.text == text and (here.written_by == written_by and here.captioner == captioner):
        return "same"
    if written_by == "captioner" and here.written_by in AUTHORS:
        return "same" if here.text == text else "machine"
    if here.text == text and here.written_by == "person":
        return "same"
    is_newer = at is not None and at > here.created_at
    wins = here.written_by == "captioner" and written_by != "captioner"
    wins = wins or (is_newer and (written_by == "person" or here.written_by != "person"))
    wins = wins or (at is None and here.written_by != "person")
    if wins or (takes_over is not None and here.created_at <= takes_over):
        return "changed"
    return "conflict"


class BringIn(Act):
    """The captions of a file that was read, `import_id`. Where one clashes with a person's, that stays unless it
    `takes_over`; a captioner's never does."""

    table = CaptionText

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        read = session.get(FileImport, value["import_id"])
        if read is None or read.catalog_id != catalog_id:
            raise NotFound("This file is not kept any more. Choose it again.")
        return {"import_id": read.id, "takes_over": bool(value.get("takes_over")), "file": read.file}

    def weight(self, value: dict[str, Any]) -> int:
        return _WEIGHT

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids, operation.catalog_id))
        read = session.get_one(FileImport, operation.value["import_id"])
        of_batch = (ImportedCaption.import_id == read.id, ImportedCaption.image_id == any_(array(there)))
        by_place: dict[Place, list[ImportedCaption]] = defaultdict(list)
        for row in session.scalars(select(ImportedCaption).where(*of_batch).order_by(ImportedCaption.line)):
            by_place[row.image_id, row.kind].append(row)
        bringing = _Bringing(session, operation, there, read.created_at)
        for place, rows in by_place.items():
            bringing.weigh(place, rows)
        changed = bringing.write()
        session.execute(delete(ImportedCaption).where(*of_batch).execution_options(synchronize_session=False))
        session.expire_all()
        if bringing.spoken_for(changed):
            decisions.apply_rules(session, bringing.spoken_for(changed))
        stayed = (set(image_ids) - set(there)) | (bringing.clashing - changed)
        return Did(len(changed), len(image_ids) - len(changed) - len(stayed), len(stayed))

    def take_back(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> TakenBack:
        now, table = utc_now(), CaptionText
        of_act = (table.image_id == any_(array(image_ids)), table.operation_id == operation.id)
        undone = (
            update(table)
            .where(*of_act, table.superseded_at.is_(None))
            .values(superseded_at=now, undone_at=now)
            .returning(table.image_id, table.kind, table.parent_id)
            .cte("undone")
        )
        # What stood there before the file came; not the history that came with it.
        is_older = or_(table.operation_id.is_(None), table.operation_id != operation.id)
        former = update(table).where(table.id == undone.c.parent_id, is_older).values(superseded_at=None)
        rows = session.execute(
            select(undone.c.image_id, undone.c.kind).add_cte(former.returning(table.id).cte("former"))
        ).all()
        came_beneath = (*of_act, table.superseded_at <= operation.created_at, table.undone_at.is_(None))
        beneath = session.scalars(update(table).where(*came_beneath).values(undone_at=now).returning(table.image_id))
        back = {row.image_id for row in rows} | set(beneath)
        session.expire_all()
        self.after(session, operation, [row.image_id for row in rows if row.kind == "long"])
        stayed = session.scalar(select(func.count(table.image_id.distinct())).where(*of_act, table.undone_at.is_(None)))
        return TakenBack(len(back), stayed or 0)

    def said(self, operation: Operation, count: int) -> str:
        return f"Brought in captions of {photos(count)} from “{operation.value['file']}”"

    def said_already(self, count: int) -> str:
        return f"{count:,} had them already"

    def said_passed_over(self, count: int) -> str:
        return f"{count:,} {'keeps what a person wrote' if count == 1 else 'keep what people wrote'}, or newer texts"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        if image_ids:
            decisions.apply_rules(session, image_ids)


class _Bringing:
    """The texts of one batch of photos on their way into the histories of these photos."""

    def __init__(self, session: Session, operation: Operation, image_ids: Sequence[int], read_at: datetime) -> None:
        self._session, self._operation = session, operation
        self._takes_over = read_at if operation.value["takes_over"] else None
        self._fresh: list[dict[str, Any]] = []
        self._following: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._parents: dict[int, Place] = {}  # what stands there now and gives way
        self._here: dict[Place, Any] = {}
        self._known: set[tuple[Any, ...]] = set()
        self.clashing: set[int] = set()
        table = CaptionText.__table__.c
        rows = session.execute(
            select(
                table.id, table.image_id, table.kind, table.text, table.written_by, table.captioner, table.created_at,
                table.superseded_at, table.undone_at,
            ).where(table.image_id == any_(array(image_ids)))
        )  # fmt: skip
        for row in rows:
            place = (row.image_id, row.kind)
            if row.superseded_at is None:
                self._here[place] = row
            for at in (row.created_at, None):
                self._known.add((*place, row.text, row.written_by, at, row.undone_at is None))

    def weigh(self, place: Place, rows: list[ImportedCaption]) -> None:
        """Choose from a file's texts for one place what is to be written there."""
        here = self._here.get(place)
        versions: dict[int, dict[str, Any]] = {}
        for row in sorted(rows, key=lambda row: (row.version or 0, row.until is None, row.line)):
            is_current = row.until is None
            if is_current:
                becomes = fate(row.text, row.written_by, row.captioner, row.at, here, self._takes_over)
                if becomes not in ("new", "changed"):
                    if becomes != "same":
                        self.clashing.add(row.image_id)
                    continue
            elif (*place, row.text, row.written_by, row.at, row.taken_back is None) in self._known:
                continue
            if is_current and here is not None:
                self._parents[here.id] = place
            fresh = {
                "image_id": row.image_id, "kind": row.kind, "text": row.text, "written_by": row.written_by,
                "person_id": row.person_id, "captioner": row.captioner, "settings": row.settings,
                "parent_id": here.id if is_current and here is not None else None,
                "created_at": row.at or self._operation.created_at, "superseded_at": row.until,
                "undone_at": row.taken_back, "operation_id": self._operation.id,
            }  # fmt: skip
            if not fresh["parent_id"] and (before := versions.get(row.parent or 0)):
                self._following.append((fresh, before))
            if row.version is not None:
                versions[row.version] = fresh
            self._fresh.append(fresh)

    def write(self) -> set[int]:
        """Write what was chosen; the photos that got something. Whatever somebody writes in this moment stays."""
        if not self._fresh:
            return set()
        numbers = func.nextval(func.pg_get_serial_sequence(CaptionText.__tablename__, "id"))
        taken = sorted(self._session.scalars(select(numbers).select_from(func.generate_series(1, len(self._fresh)))))
        for fresh, number in zip(self._fresh, taken, strict=True):
            fresh["id"] = number
        for fresh, before in self._following:
            fresh["parent_id"] = before["id"]
        current = CaptionText.superseded_at.is_(None)
        superseded = set(
            self._session.scalars(
                update(CaptionText)
                .where(CaptionText.id == any_(array(sorted(self._parents))), current)
                .values(superseded_at=utc_now())
                .returning(CaptionText.id)
                .execution_options(synchronize_session=False)
            )
        )
        lost = {place for number, place in self._parents.items() if number not in superseded}
        rows = [row for row in self._fresh if row["superseded_at"] or (row["image_id"], row["kind"]) not in lost]
        self.clashing |= {image_id for image_id, _ in lost}
        if not rows:
            return set()
        given = recordset(CaptionText, rows)
        new = (
            insert(CaptionText)
            .from_select(list(given.c.keys()), select(given))
            .on_conflict_do_nothing(index_elements=["image_id", "kind"], index_where=current)
        )
        return set(self._session.scalars(new.returning(CaptionText.image_id)))

    def spoken_for(self, changed: set[int]) -> list[int]:
        """Those of these photos whose long caption is another now."""
        return sorted(
            {
                row["image_id"]
                for row in self._fresh
                if row["kind"] == "long" and row["superseded_at"] is None and row["image_id"] in changed
            }
        )
