"""Labels as records of a table or JSON lines: brought back, a round trip loses neither sets nor labels.

One row is one label of one photo. Rows without a photo define: a set, or a label of one, so that what nobody has given
yet is kept too. Who said it and when stands in the file; brought back, labels are said by who brings them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.spelling import label_key
from app.catalog.table_cells import guarded
from app.catalog.tables import Image
from app.errors import Refused
from app.labels import sets
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person

FIELDS: Final = ("file", "sha256", "set", "kind", "key", "label", "retired", "by", "at")
_BATCH: Final = 5_000
# What JSON, spreadsheets and data frames make of yes and no.
_YES_NO: Final = {"true": "yes", "1": "yes", "false": "no", "0": "no"}
# What else tables have the columns as; `photo` is the number in the address of its page.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(FIELDS, ()), "file": ("file_name", "filename", "image", "image_path", "path"),
    "photo": ("image_id", "photo_id"),
}  # fmt: skip

Record = dict[str, str]


def records(session: Session, catalog_id: int, unseen: Collection[int] = ()) -> Iterator[Record]:
    """Everything there is: sets and their labels first, then what is said of each photo, in the order of the photos; of
    those `unseen`, in a blind pass, not by whom."""
    every = {row.id: row for row in sets.of(session, catalog_id, with_retired=True)}
    for row in every.values():
        yield _record(row)
        yield from (_record(row, value) for value in row.values)
    values = {value.id: value for row in every.values() for value in row.values}
    said = (
        select(Image.file_name, Image.sha256, Labelling, Person.name)
        .join(Labelling, Labelling.image_id == Image.id)
        .join(Person, Person.id == Labelling.person_id)
        .where(Labelling.set_id.in_(every), Labelling.superseded_at.is_(None), Image.catalog_id == catalog_id)
        .order_by(Image.id, Labelling.set_id)
        .execution_options(yield_per=_BATCH)
    )
    for file_name, sha256, labelling, person in session.execute(said):
        about = {"file": file_name, "sha256": sha256}
        if labelling.image_id not in unseen:
            about |= {"by": person, "at": labelling.created_at.isoformat()}
        yield from (_record(every[labelling.set_id], values[number]) | about for number in labelling.value_ids)


def csv_rows(every: Iterable[Record]) -> Iterator[list[str]]:
    """Records as rows under `FIELDS`; a cell that would run as a formula gets a ' in front."""
    for record in every:
        cells = [record.get(name, "") for name in FIELDS]
        yield [guarded(cell) for cell in cells]


def texts_of(row: Mapping[str, Any]) -> Record:
    """A row that was read, its values as texts. Raises Refused for a list or an object."""
    if several := next((key for key, value in row.items() if isinstance(value, (list, dict))), None):
        raise Refused(f"it has a list or an object as {several}; write a row for each label.")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()}


def as_yes_no(text: str) -> str:
    """ "yes" or "no" where a text means that; any other as it is."""
    low = label_key(text)
    return _YES_NO.get(low, low if low in sets.YES_NO else text)


def check_parts(label_set: LabelSet) -> None:
    """Raises Refused for a set with a label that has a comma in it: between commas nobody could read it again."""
    odd = next((value.name for value in label_set.values if "," in value.name), None)
    if odd and label_set.kind != "text":
        raise Refused(f"Sidecars part labels by commas, and “{odd}” has one in it. Take the labels as a table.")


def texts(session: Session, label_set: LabelSet) -> Iterator[tuple[int, str]]:
    """What is said of each photo in a set, its labels between commas, by the photo's number. Raises Refused as
    `check_parts` does."""
    check_parts(label_set)
    names = {value.id: value.name for value in label_set.values}
    said = (
        select(Labelling.image_id, Labelling.value_ids)
        .join(Image, Image.id == Labelling.image_id)
        .where(Labelling.set_id == label_set.id, Labelling.superseded_at.is_(None))
        .where(Labelling.value_ids != [], Image.catalog_id == label_set.catalog_id)
        .order_by(Image.name_key, Image.sha256)
        .execution_options(yield_per=_BATCH)
    )
    return ((row[0], ", ".join(names[number] for number in row[1])) for row in session.execute(said))


def _record(label_set: LabelSet, value: LabelValue | None = None) -> Record:
    is_retired = (value.retired_at if value is not None else label_set.retired_at) is not None
    return {
        "set": label_set.name, "kind": label_set.kind, "key": label_set.key or "",
        "label": value.name if value is not None else "", "retired": "yes" if is_retired else "",
    }  # fmt: skip
