"""Staged entries of an intake: how each becomes a row, and how millions of them are read back page by page."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from sqlalchemy import Select, TableValuedAlias, Text, column, delete, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.orm import Session, aliased
from sqlalchemy.types import TypeEngine

from app.captions import writing
from app.catalog.tables import Intake
from app.errors import Refused
from app.intake.metadata import PhotoMetadata, is_metadata, key_of, row_said
from app.intake.plain_files import Unread, read_plain
from app.intake.sources.entry import Entry
from app.intake.table_rows import value_of
from app.intake.tables import IntakeFile
from app.jobs import Job

# Files of one caption each, as trainers have them beside a picture of the same name; where both are, the first counts.
CAPTION_SUFFIXES: Final = (".txt", ".caption")
MAX_CAPTION_BYTES: Final = 64 * 1024
PAGE: Final = 2_000
# Where an intake's `listed` names the commit of a data set that is taken in by hauls.
COMMIT: Final = "commit"


@dataclass(frozen=True, slots=True)
class GivenText:
    """A caption that came with a photo: its text, the file, and the line of it (0: the file is nothing else)."""

    text: str
    file: str
    line: int = 0


def stage(session: Session, intake_id: int, entries: Iterable[Entry]) -> None:
    """Keep entries. One that was staged before stays as it is."""
    rows = [_row(intake_id, entry) for entry in entries]
    if rows:
        session.execute(_inserting(rows).on_conflict_do_nothing())


def change(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Set columns of staged entries, which `id` names; all rows set the same ones. In one statement for them all."""
    if rows:
        given = _recordset(rows, list(rows[0]))
        values = {name: given.c[name] for name in rows[0] if name != "id"}
        changing = update(IntakeFile).where(IntakeFile.id == given.c.id).values(values)
        session.execute(changing, execution_options={"synchronize_session": False})


def _inserting(rows: Sequence[dict[str, Any]]) -> Insert:
    names = list(rows[0])
    given = _recordset(rows, names)
    listed = [func.decode(given.c.place, "hex") if name == "place" else given.c[name] for name in names]
    return insert(IntakeFile).from_select(names, select(*listed))


def _recordset(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> TableValuedAlias:
    """Rows as one value: a statement of a thousand rows of parameters takes longer to write than to do."""
    types: dict[str, TypeEngine[Any]] = {name: IntakeFile.__table__.c[name].type for name in names} | {"place": Text()}
    columns = [column(name, types[name] if types[name].__class__ is not JSONB else JSONB()) for name in names]
    return (
        func.jsonb_to_recordset(literal(list(rows), JSONB()))
        .table_valued(*columns)
        .render_derived(name="given_rows", with_types=True)
    )


def stage_photos(session: Session, intake_id: int, named: Iterable[tuple[str, int]]) -> None:
    """Keep names and ids of photos that the catalog has, for words that come alone. Of one name the last id counts."""
    rows = {
        name: _columns(intake_id, "photo", name, {"photo": name}) | {"image_id": image_id} for name, image_id in named
    }
    if rows:
        new = _inserting(list(rows.values()))
        session.execute(
            new.on_conflict_do_update(
                index_elements=["intake_id", "place"], set_={"image_id": new.excluded["image_id"]}
            )
        )


def is_caption(entry: Entry) -> bool:
    """Whether an entry may be the caption of a picture beside it. In archives, a sample's JSON is one too."""
    suffix = PurePosixPath(entry.name.lower()).suffix
    is_named_so = suffix in CAPTION_SUFFIXES or (suffix == ".json" and entry.data is not None)
    return entry.kind == "other" and is_named_so and not is_metadata(entry)


def stem_of(name: str) -> str:
    """What the names of a picture and of all that may stand beside it have in common: "sub/a" of "sub/A.JPG.txt"."""
    folder, own = posixpath.split(key_of(name))
    return posixpath.join(folder, own.split(".", 1)[0]).casefold()


def page(session: Session, intake_id: int, kinds: Iterable[str], after: int = 0) -> list[IntakeFile]:
    """Staged entries of these kinds, in the order in which they were met, after the one with the id `after`."""
    query = (
        select(IntakeFile)
        .where(IntakeFile.intake_id == intake_id, IntakeFile.kind.in_(list(kinds)), IntakeFile.id > after)
        .order_by(IntakeFile.id)
        .limit(PAGE)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def page_by_stem(
    session: Session, intake_id: int, kinds: Iterable[str], after: tuple[str, int], until: str | None = None
) -> list[IntakeFile]:
    """The same in the order of their stems, after this stem and id, up to the stem `until` where that is given."""
    stem, last_id = after
    query = (
        select(IntakeFile)
        .where(IntakeFile.intake_id == intake_id, IntakeFile.kind.in_(list(kinds)))
        .where((IntakeFile.stem > stem) | ((IntakeFile.stem == stem) & (IntakeFile.id > last_id)))
        .where(IntakeFile.stem <= until if until is not None else true())
        .order_by(IntakeFile.stem, IntakeFile.id)
        .limit(PAGE)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def drop(session: Session, intake_id: int) -> None:
    """Forget what an intake staged."""
    session.execute(delete(IntakeFile).where(IntakeFile.intake_id == intake_id))


def drop_leavings(session: Session) -> None:
    """Forget what intakes staged that ended before their end: refused, cancelled, given up.

    An intake of a data set goes on where it was, so what it staged stays as long as it is not done.
    """
    over = (
        select(Intake.id)
        .join(Job, Job.id == Intake.job_id)
        .where((Job.state == "done") | (Job.state.in_(("failed", "cancelled")) & ~Intake.listed.has_key(COMMIT)))
        .where(select(IntakeFile.id).where(IntakeFile.intake_id == Intake.id).exists())
        .where(~_is_tried_again().exists())
    )
    for intake_id in session.scalars(over).all():
        drop(session, intake_id)


def _is_tried_again() -> Select[int]:
    """A job that has staged refused files of an intake once more."""
    again = aliased(Job)
    is_open = (again.kind == "intake.try_again", again.state.in_(("queued", "running")))
    return select(again.id).where(*is_open, again.arguments["intake_id"].as_integer() == Intake.id).correlate(Intake)


def said_of(row: IntakeFile) -> PhotoMetadata | None:
    """What metadata says of a staged picture."""
    return PhotoMetadata(**row.said) if row.said is not None else None


def given_of(row: IntakeFile) -> Iterator[GivenText]:
    """The captions that came with a staged picture."""
    return (GivenText(**given) for given in row.given or ())


def _row(intake_id: int, entry: Entry) -> dict[str, Any]:
    kind = "caption" if is_caption(entry) else entry.kind
    row = _columns(intake_id, kind, entry.name, entry.locator) | {"reason": entry.reason}
    try:
        if kind == "caption" and entry.name.lower().endswith(".json"):
            row["said"] = asdict(said := _sample(entry))
            row["text"] = writing.tidy(said.caption) if said.caption else None
        elif kind == "caption":
            data = entry.data if entry.data is not None else read_plain(entry.path, MAX_CAPTION_BYTES)
            row["text"] = _caption(data)
        elif entry.said:
            said = row_said(entry.table, entry.line, {"file_name": entry.name, **entry.said})
            row["said"] = asdict(said)
            if said.caption:
                row["given"] = [asdict(GivenText(writing.tidy(said.caption), said.source, said.line))]
    except Unread as refusal:
        row["reason"] = refusal.sentence
    except Refused as refusal:
        # A table is refused whole; here only the words of one photo are.
        sentence = refusal.sentence.removesuffix(" Nothing was taken in.")
        row["reason" if kind == "caption" else "text"] = sentence
    return row


def _columns(intake_id: int, kind: str, name: str, locator: dict[str, Any]) -> dict[str, Any]:
    return {
        "intake_id": intake_id,
        "place": hashlib.sha256(json.dumps(locator, sort_keys=True).encode()).hexdigest(),
        "kind": kind,
        "name": name,
        "stem": stem_of(name),
        "locator": locator,
        "said": None,
        "given": None,
        "text": None,
        "reason": None,
        "image_id": None,
    }


def _sample(entry: Entry) -> PhotoMetadata:
    """What the JSON beside a picture says of it, as shards for training have one. Raises Unread and Refused."""
    try:
        value = value_of((entry.data or b"").decode())
    except (ValueError, RecursionError) as error:
        raise Unread(f"It is not JSON: {str(error)[:200]}.") from error
    if not isinstance(value, dict):
        raise Unread("It is no JSON object with names and values.")
    own = {key: row for key, row in value.items() if key.lower() not in ("file_name", "filename")}
    return row_said(entry.name, 0, {"file_name": entry.name, **own})


def _caption(data: bytes) -> str:
    """The caption in a file's bytes, on one line. Raises Unread for none, too much, and what is not UTF-8."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unread("It is not UTF-8 text, so its caption was not taken.") from error
    try:
        return writing.tidy(text)
    except Refused as refusal:
        raise Unread(f"No caption was taken: {refusal.sentence[0].lower()}{refusal.sentence[1:]}") from refusal
