"""Labels as files, CSV or JSON lines: taken away and brought back, and a round trip loses neither sets nor labels.

One row is one label of one photo. Rows without a photo define: a set, or a label of one, so that what nobody has given
yet is kept too. Who said it and when stands in the file; brought back, labels are said by who brings them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, Final

from sqlalchemy import any_, cast, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT
from sqlalchemy.orm import Session

from app.catalog import reading, table_cells
from app.catalog.spelling import label_key
from app.catalog.table_cells import guarded
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import Refused
from app.intake import sidecars
from app.intake.meant import Meant, MeantPhotos
from app.labels import sets
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person
from app.review.decisions import lock

FIELDS: Final = ("file", "sha256", "set", "kind", "key", "label", "retired", "by", "at")
NAMED_AT_MOST: Final = 200
_BATCH: Final = 5_000
# What JSON, spreadsheets and data frames make of yes and no.
_YES_NO: Final = {"true": "yes", "1": "yes", "false": "no", "0": "no"}
# What else tables have the columns as; `photo` is the number in the address of its page.
_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(FIELDS, ()), "file": ("file_name", "filename", "image", "image_path", "path"),
    "photo": ("image_id", "photo_id"),
}  # fmt: skip

Record = dict[str, str]


@dataclass(slots=True)
class LabelImport:
    """What became of a file: labels `given`, those that were so `already`, and rows that were not taken, with why.

    Of `refused` rows the first `NAMED_AT_MOST` are named, in the order of the file. `assumed` says how it was read,
    where it does not say so itself.
    """

    assumed: str = ""
    given: int = 0
    already: int = 0
    refused: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """What was done, in one sentence."""
        rows = "1 row was" if self.refused == 1 else f"{self.refused:,} rows were"
        refused = f"; {rows} not taken" if self.refused else ""
        were = "was" if self.already == 1 else "were"
        labels = "1 label" if self.given == 1 else f"{self.given:,} labels"
        return f"Gave {labels}; {self.already:,} {were} given already{refused}."

    def refuse(self, line: int, why: str) -> None:
        """Count a row that was not taken, and name it among the first; line 0: what several rows came to."""
        self.refused += 1
        if len(self.named) < NAMED_AT_MOST:
            self.named.append(f"Row {line}: {why}" if line else why)


def records(session: Session, catalog_id: int) -> Iterator[Record]:
    """Everything there is: sets and their labels first, then what is said of each photo, in the order of the photos."""
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
        about = {"file": file_name, "sha256": sha256, "by": person, "at": labelling.created_at.isoformat()}
        yield from (_record(every[labelling.set_id], values[number]) | about for number in labelling.value_ids)


def csv_rows(every: Iterable[Record]) -> Iterator[list[str]]:
    """Records as rows under `FIELDS`; a cell that would run as a formula gets a ' in front."""
    for record in every:
        cells = [record.get(name, "") for name in FIELDS]
        yield [guarded(cell) for cell in cells]


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The rows of a file with their lines, a sentence where one cannot be read; and what was assumed of the file."""

    rows: Iterator[tuple[int, Record | str]]
    assumed: str


def read(name: str, content: bytes) -> LabelFile:
    """The records of a file, by its name's ending. Raises Refused where it is no such file, also as rows are read."""
    text, assumed = table_cells.decoded(name, content)
    return LabelFile(_read(name, text), assumed)


def _read(name: str, text: str) -> Iterator[tuple[int, Record | str]]:
    needed = ("set",) if name.lower().endswith(table_cells.JSON_LINES) else ("set", "label")
    for line, row in table_cells.rows(name, text, _COLUMNS, needed):
        if isinstance(row, str):
            yield line, row
        elif several := next((key for key, value in row.items() if isinstance(value, (list, dict))), None):
            yield line, f"it has a list or an object as {several}; write a row for each label."
        else:
            yield line, {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()}


def bring_in(session: Session, catalog_id: int, by: Person, file: LabelFile) -> LabelImport:
    """Give what a file says. Sets and labels that are missing are made; what another person said otherwise stays.

    A row that matches no photo, contradicts an earlier one of the file, or would give what is retired, is named and not
    taken.
    """
    lock(session, catalog_id)
    outcome = LabelImport(file.assumed)
    known = {row.name_key: row for row in sets.of(session, catalog_id, with_retired=True)}
    values = {(row.id, value.name_key): value.id for row in known.values() for value in row.values}
    retiring: list[tuple[LabelSet, int]] = []
    wanted: dict[int, dict[int, list[int]]] = {}
    photos = MeantPhotos(session, catalog_id)
    for line, record, photo in _with_photos(photos, file.rows):
        try:
            if isinstance(record, str):
                raise Refused(record)
            label_set = _set_of(session, catalog_id, by, record, known)
            label = " ".join(record.get("label", "").split())
            label = _as_yes_no(label) if label_set.kind == "yes_no" else label
            is_new = (label_set.id, label_key(label)) not in values
            value_id = _value_of(session, by, label_set, label, values) if label else None
            if _as_yes_no(record.get("retired", "")) == "yes" and is_new:
                retiring.append((label_set, value_id or 0))
            if not any(record.get(key) for key in ("file", "sha256", "photo")):
                continue
            if isinstance(photo, str):
                raise Refused(photo)
            if value_id is None:
                raise Refused("it names no label.")
            _want(wanted.setdefault(label_set.id, {}).setdefault(photo, []), value_id, label_set)
        except Refused as error:
            outcome.refuse(line, error.sentence)
    for set_id, by_photo in wanted.items():
        _give(session, by, sets.get(session, set_id), by_photo, outcome)
    for label_set, value_id in retiring:
        if value_id and label_set.kind in ("one", "many"):
            sets.retire_label(session, label_set, value_id, by)
        elif not value_id and label_set.retired_at is None:
            sets.retire(session, label_set, by)
    return outcome


def _as_yes_no(text: str) -> str:
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


def read_sidecars(session: Session, catalog_id: int, file: IO[bytes], set_name: str) -> LabelFile:
    """The labels in a ZIP of sidecars, between commas, as labels of one set; a set that is not there yet is one of
    many labels. Raises Refused for no name, and as the rows are read for no such ZIP."""
    if not (name := " ".join(set_name.split())):
        raise Refused("Name the set that these labels are of.")
    known = {row.name_key: row.kind for row in sets.of(session, catalog_id, with_retired=True)}
    kind = known.get(label_key(name), "many")
    beside = sidecars.Beside(reading.named(session, catalog_id))

    def rows() -> Iterator[tuple[int, Record | str]]:
        for place, (own, text, _, refusal) in enumerate(sidecars.read(file), 1):
            photo = refusal if refusal else beside.of(own)
            if isinstance(photo, str):
                yield place, f"“{own}”: {photo}"
                continue
            labels = [text] if kind == "text" else text.replace("\n", ",").split(",")
            for label in filter(None, map(str.strip, labels)):
                yield place, {"photo": str(photo), "set": name, "kind": kind, "label": label}

    return LabelFile(rows(), "")


def _with_photos(
    photos: MeantPhotos, rows: Iterator[tuple[int, Record | str]]
) -> Iterator[tuple[int, Record | str, Meant]]:
    """Rows with the photo that each means, looked up by the thousand."""
    while batch := list(islice(rows, _BATCH)):
        meant = photos.of([row if isinstance(row, dict) else {} for _, row in batch])
        for (line, row), photo in zip(batch, meant, strict=True):
            yield line, row, photo


def _set_of(session: Session, catalog_id: int, by: Person, record: Record, known: dict[str, LabelSet]) -> LabelSet:
    name = " ".join(record.get("set", "").split())
    if not name:
        raise Refused("it names no set.")
    label_set = known.get(label_key(name))
    kind = label_key(record.get("kind", "")) or "one"
    if label_set is None:
        key = label_key(record.get("key", ""))
        is_free = len(key) == 1 and key in sets.KEYS and all(each.key != key for each in known.values())
        label_set = sets.define(session, catalog_id, by, name, kind, (), key if key and is_free else None)
        known[label_set.name_key] = label_set
    elif record.get("kind") and kind != label_set.kind:
        raise Refused(
            f"“{label_set.name}” is {sets.IN_WORDS[label_set.kind]} here, not {sets.IN_WORDS.get(kind, kind)}."
        )
    return label_set


def _value_of(session: Session, by: Person, label_set: LabelSet, label: str, values: dict[tuple[int, str], int]) -> int:
    place = (label_set.id, label_key(label))
    if place not in values:
        for value in sets.get(session, label_set.id).values:
            values[label_set.id, value.name_key] = value.id
    if place not in values:
        if label_set.kind in ("one", "many"):
            values[place] = sets.add_label(session, label_set, by, label).id
        else:
            values[place] = sets.value_of_text(session, label_set, label).id
    return values[place]


def _want(labels: list[int], value_id: int, label_set: LabelSet) -> None:
    if value_id in labels:
        return
    if labels and label_set.kind != "many":
        raise Refused(f"an earlier row says otherwise of this photo in “{label_set.name}”, which takes one answer.")
    labels.append(value_id)


def _give(
    session: Session, by: Person, label_set: LabelSet, wanted: dict[int, list[int]], outcome: LabelImport
) -> None:
    ids = any_(cast(list(wanted), ARRAY(BIGINT)))
    now = utc_now()
    said = (Labelling.image_id == ids, Labelling.set_id == label_set.id, Labelling.superseded_at.is_(None))
    before = {row.image_id: row for row in session.scalars(select(Labelling).where(*said))}
    names = {value.id: value.name for value in label_set.values}
    retired = {
        value.id for value in label_set.values if value.retired_at is not None or label_set.retired_at is not None
    }
    fresh: list[dict[str, Any]] = []
    for image_id, labels in wanted.items():
        row = before.get(image_id)
        held = row.value_ids if row is not None else []
        after = sorted({*held, *labels}) if label_set.kind == "many" else sorted(labels)
        outcome.already += len(set(labels) & set(held))
        if after == held:
            continue
        if row is not None and held and row.person_id != by.id and label_set.kind != "many":
            other = session.get_one(Person, row.person_id).name
            said_by_other = ", ".join(names[number] for number in held)
            file_name = session.get_one(Image, image_id).file_name
            outcome.refuse(0, f"“{file_name}” stays {said_by_other} in “{label_set.name}”, as {other} said.")
            continue
        if refused := retired.intersection(after).difference(held):
            what = ", ".join(names[number] for number in sorted(refused))
            file_name = session.get_one(Image, image_id).file_name
            outcome.refuse(0, f"“{file_name}” does not get {what} in “{label_set.name}”, which is retired.")
            continue
        outcome.given += len(set(after) - set(held))
        fresh.append({
            "image_id": image_id, "set_id": label_set.id, "value_ids": after, "person_id": by.id, "created_at": now,
            "parent_id": row.id if row is not None else None,
        })  # fmt: skip
    parents = [row["parent_id"] for row in fresh if row["parent_id"] is not None]
    superseding = update(Labelling).where(Labelling.id == any_(cast(parents, ARRAY(BIGINT)))).values(superseded_at=now)
    session.execute(superseding.execution_options(synchronize_session=False))
    if fresh:
        session.execute(insert(Labelling), fresh)
    session.expire_all()


def _record(label_set: LabelSet, value: LabelValue | None = None) -> Record:
    is_retired = (value.retired_at if value is not None else label_set.retired_at) is not None
    return {
        "set": label_set.name, "kind": label_set.kind, "key": label_set.key or "",
        "label": value.name if value is not None else "", "retired": "yes" if is_retired else "",
    }  # fmt: skip
