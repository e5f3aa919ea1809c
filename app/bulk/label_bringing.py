"""Labels of a file on many photos: each where nothing stands in its way, and taken back with what was made for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import any_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.bulk import label_naming
from app.bulk.acts import Act, Did, TakenBack, give_back, photos
from app.bulk.tables import FileImport, ImportedLabel
from app.catalog import reading
from app.database import array, recordset
from app.errors import NotFound
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.review.tables import Operation

Fate = Literal["new", "changed", "same", "conflict", "retired"]
"""What becomes of what a file says of a photo in one set: the first that is said there, more or other than before, said
already, passed over for what somebody else answered, or for being retired."""


def fate(
    kind: str, wanted: Collection[int], here: Any, by_id: int, retired: Collection[int], asked_at: datetime,
    takes_over: datetime | None,
) -> tuple[Fate, list[int]]:  # fmt: skip
    """What becomes of labels of a set of this `kind` on a photo where `here` (None: nothing) is said, and its labels
    after it.

    Another's answer in a set that takes one gives way only to whoever `takes_over`, if it was there at that time; what
    was answered after `asked_at` never does.
    """
    held = here.value_ids if here is not None else []
    after = sorted({*held, *wanted}) if kind == "many" else sorted(set(wanted))
    if after == held:
        return "same", held
    is_later = here is not None and here.created_at > asked_at
    is_others = bool(held) and here.person_id != by_id
    gives_way = takes_over is not None and here is not None and here.created_at <= takes_over
    if kind != "many" and (is_later or (is_others and not gives_way)):
        return "conflict", held
    if set(retired).intersection(after).difference(held):
        return "retired", held
    return ("changed" if held else "new"), after


class BringLabelsIn(Act):
    """The labels of a file that was read, `import_id`. Where another answered otherwise in a set that takes one answer,
    that stays unless it `takes_over`."""

    table = Labelling

    def checked(self, session: Session, catalog_id: int, value: dict[str, Any]) -> dict[str, Any]:
        read = session.get(FileImport, value["import_id"])
        if read is None or (read.catalog_id, read.subject) != (catalog_id, "labels"):
            raise NotFound("This file is not kept any more. Choose it again.")
        return {"import_id": read.id, "takes_over": bool(value.get("takes_over")), "file": read.file}

    def do(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> Did:
        there = sorted(reading.held(session, image_ids, operation.catalog_id))
        read = session.get_one(FileImport, operation.value["import_id"])
        of_batch = (ImportedLabel.import_id == read.id, ImportedLabel.image_id == any_(array(there)))
        rows = session.execute(
            select(
                ImportedLabel.image_id, LabelSet.id.label("set_id"), LabelSet.kind, LabelValue.id,
                LabelValue.retired_at, LabelValue.created_at, LabelSet.retired_at.label("set_retired_at"),
                LabelSet.created_at.label("set_created_at"),
            )
            .join(LabelSet, LabelSet.id == ImportedLabel.set_id)
            .join(LabelValue, LabelValue.id == ImportedLabel.value_id)
            .where(*of_batch)
        )  # fmt: skip
        wanted: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for row in rows:
            wanted[row.image_id, row.set_id].append(row)
        current = (Labelling.image_id == any_(array(there)), Labelling.superseded_at.is_(None))
        said = {(row.image_id, row.set_id): row for row in session.scalars(select(Labelling).where(*current))}
        fresh: list[dict[str, Any]] = []
        passed_over = set(image_ids) - set(there)
        nameless = (ImportedLabel.label != "", ImportedLabel.value_id.is_(None))
        passed_over.update(session.scalars(select(ImportedLabel.image_id).where(*of_batch, *nameless)))
        takes_over = read.created_at if operation.value["takes_over"] else None
        for place, labels in wanted.items():
            here, at = said.get(place), operation.created_at
            # What the file itself made, retired as it says, is given to its photos.
            retired = {
                row.id for row in labels
                if (row.retired_at and row.created_at != at) or (row.set_retired_at and row.set_created_at != at)
            }  # fmt: skip
            ids = [row.id for row in labels]
            became, after = fate(labels[0].kind, ids, here, operation.person_id, retired, at, takes_over)
            if became in ("conflict", "retired"):
                passed_over.add(place[0])
            elif became != "same":
                fresh.append({
                    "image_id": place[0], "set_id": place[1], "value_ids": after, "person_id": operation.person_id,
                    "created_at": at, "parent_id": here.id if here else None, "operation_id": operation.id,
                })  # fmt: skip
        _write(session, fresh)
        session.execute(delete(ImportedLabel).where(*of_batch).execution_options(synchronize_session=False))
        session.expire_all()
        changed = {row["image_id"] for row in fresh}
        stayed = passed_over - changed
        return Did(len(changed), len(image_ids) - len(changed) - len(stayed), len(stayed))

    def take_back(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> TakenBack:
        back, _ = give_back(session, self.table, operation, image_ids)
        label_naming.retire_unused(session, operation)
        of_act = (Labelling.image_id == any_(array(image_ids)), Labelling.operation_id == operation.id)
        stand = select(func.count(Labelling.image_id.distinct())).where(*of_act, Labelling.undone_at.is_(None))
        return TakenBack(len(set(back)), session.scalar(stand) or 0)

    def said(self, operation: Operation, count: int) -> str:
        return f"Brought in labels of {photos(count)} from “{operation.value['file']}”"

    def said_already(self, count: int) -> str:
        return f"{count:,} had them already"

    def said_passed_over(self, count: int) -> str:
        return f"{count:,} {'keeps' if count == 1 else 'keep'} what somebody else said, or would get what is retired"

    def after(self, session: Session, operation: Operation, image_ids: Sequence[int]) -> None:
        pass  # nothing follows from a label


def _write(session: Session, fresh: list[dict[str, Any]]) -> None:
    """Labellings in the place of their parents. The caller holds the catalog's decisions."""
    if not fresh:
        return
    parents = [row["parent_id"] for row in fresh if row["parent_id"] is not None]
    superseding = update(Labelling).where(Labelling.id == any_(array(parents)))
    session.execute(
        superseding.values(superseded_at=fresh[0]["created_at"]).execution_options(synchronize_session=False)
    )
    given = recordset(Labelling, fresh)
    session.execute(insert(Labelling).from_select(list(given.c.keys()), select(given)))
