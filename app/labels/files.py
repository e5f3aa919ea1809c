"""Labels as files, CSV or JSON lines: taken away and brought back, and a round trip loses neither sets nor labels.

One row is one label of one photo. Rows without a photo define: a set, or a label of one, so that what nobody has given
yet is kept too. Who said it and when stands in the file; brought back, labels are said by who brings them.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import any_, cast, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT
from sqlalchemy.orm import Session

from app.catalog.spelling import label_key
from app.catalog.tables import Image
from app.database import utc_now
from app.errors import Refused
from app.labels import sets
from app.labels.tables import Labelling, LabelSet, LabelValue
from app.people import Person
from app.review.decisions import lock

FIELDS: Final = ("file", "sha256", "set", "kind", "key", "label", "retired", "by", "at")
NAMED_AT_MOST: Final = 200
_BATCH: Final = 5_000
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection"). An apostrophe before it says that it
# is none, and is one more where it stands there already: what is read back is what was written, and '90s stays '90s.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_GUARDED: Final = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")
# What JSON, spreadsheets and data frames make of yes and no.
_YES_NO: Final = {"true": "yes", "1": "yes", "false": "no", "0": "no"}
_HALF: Final = re.compile("[\ud800-\udfff]")

Record = dict[str, str]


@dataclass(slots=True)
class LabelImport:
    """What became of a file: labels `given`, those that were so `already`, and rows that were not taken, with why.

    Of `refused` rows the first `NAMED_AT_MOST` are named, in the order of the file.
    """

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
        yield [f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells]


def read(name: str, content: bytes) -> Iterator[tuple[int, Record]]:
    """The records of a file with their line numbers, by its name's ending. Raises Refused where it is no such file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"“{name}” is not UTF-8 text.") from None
    if "\0" in text:
        raise Refused(f"“{name}” holds null characters; it is no text.")
    if name.lower().endswith((".jsonl", ".ndjson")):
        yield from _read_json(name, text)
        return
    begun = text.lstrip("\r\n")
    empty_lines = text.count("\n", 0, len(text) - len(begun))
    separator = max(",;\t", key=begun.partition("\n")[0].count)  # the second where a comma stands in numbers
    # Strictly: a quote that nobody closes would take the rows behind it into one label, and say nothing.
    reader = csv.DictReader(io.StringIO(begun, newline=""), delimiter=separator, restkey="", restval="", strict=True)
    try:
        heads = _heads(name, reader.fieldnames or ())
        for row in reader:
            cells: Record = {head: _plain(row[heads[head]]) for head in FIELDS if head in heads}
            yield empty_lines + reader.line_num, cells
    except csv.Error as error:
        line = empty_lines + reader.line_num + 1
        raise Refused(f"“{name}” cannot be read as CSV from line {line} on: {error}.") from None


def _heads(name: str, given: Sequence[str]) -> dict[str, str]:
    """The columns of a file as they are written there, by what they are called here. Raises Refused."""
    named = [head.strip().lower() for head in given]
    if twice := [head for head in FIELDS if named.count(head) > 1]:
        raise Refused(f"“{name}” has two columns named {twice[0]}.")
    if missing := [head for head in ("set", "label") if head not in named]:
        raise Refused(f"“{name}” has no column {missing[0]}. Columns are: {', '.join(FIELDS)}.")
    return dict(zip(named, given, strict=True))


def _plain(cell: str) -> str:
    """A cell without the apostrophe by which `csv_rows`, or a spreadsheet, keeps it from being a formula."""
    return cell[1:] if _GUARDED.match(cell) else cell


def bring_in(session: Session, catalog_id: int, by: Person, rows: Iterable[tuple[int, Record]]) -> LabelImport:
    """Give what a file says. Sets and labels that are missing are made; what another person said otherwise stays.

    A row that matches no photo, contradicts an earlier one of the file, or would give what is retired, is named and not
    taken.
    """
    lock(session, catalog_id)
    outcome = LabelImport()
    known = {row.name_key: row for row in sets.of(session, catalog_id, with_retired=True)}
    values = {(row.id, value.name_key): value.id for row in known.values() for value in row.values}
    retiring: list[tuple[LabelSet, int]] = []
    wanted: dict[int, dict[int, list[int]]] = {}
    photos = _Photos(session, catalog_id)
    for line, record in rows:
        try:
            label_set = _set_of(session, catalog_id, by, record, known)
            label = " ".join(record.get("label", "").split())
            label = _as_yes_no(label) if label_set.kind == "yes_no" else label
            is_new = (label_set.id, label_key(label)) not in values
            value_id = _value_of(session, by, label_set, label, values) if label else None
            if _as_yes_no(record.get("retired", "")) == "yes" and is_new:
                retiring.append((label_set, value_id or 0))
            if not (record.get("file") or record.get("sha256")):
                continue
            image_id = photos.of(record)
            if value_id is None:
                raise Refused("it names no label.")
            _want(wanted.setdefault(label_set.id, {}).setdefault(image_id, []), value_id, label_set)
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


class _Photos:
    """Which photo of a catalog a row means: by its bytes, or else by its file's name where one alone is called so."""

    def __init__(self, session: Session, catalog_id: int) -> None:
        rows = session.execute(
            select(Image.id, Image.sha256, Image.file_name).where(Image.catalog_id == catalog_id)
        ).all()
        self._by_bytes: dict[str, int] = {row.sha256: row.id for row in rows}
        self._by_name: dict[str, int] = {row.file_name: row.id for row in rows}
        self._called = Counter(row.file_name for row in rows)

    def of(self, record: Record) -> int:
        """The number of the photo. Raises Refused with the name that matches none, or several."""
        if (image_id := self._by_bytes.get(record.get("sha256", "").lower())) is not None:
            return image_id
        name = record.get("file", "")
        if self._called[name] > 1:
            raise Refused(f"{self._called[name]} photos are called “{name}”; give their sha256.")
        if name not in self._by_name:
            raise Refused(f"no photo is called “{name or record.get('sha256', '')}”.")
        return self._by_name[name]


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


def _read_json(name: str, text: str) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise Refused(f"“{name}” is no JSON in line {number}.") from None
        if not isinstance(row, dict):
            raise Refused(f"“{name}” has no object in line {number}.")
        yield number, {head: _text(name, number, head, row[head]) for head in FIELDS if row.get(head) is not None}


def _text(name: str, number: int, head: str, value: Any) -> str:
    """A value of a JSON object as a text; true and false as JSON writes them. Raises Refused for what holds several."""
    if isinstance(value, (list, dict)):
        raise Refused(f"“{name}” has a list or an object as {head} in line {number}; write a row for each label.")
    text = value if isinstance(value, str) else json.dumps(value)
    if "\0" in text or _HALF.search(text):
        raise Refused(f"“{name}” has a {head} in line {number} with a character that is none.")
    return text
