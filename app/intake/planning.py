"""The plan of an intake: its source listed once, entry by entry, and put together with the words that came along.

All of it is staged in the database as it is met, so that a plan that was killed goes on, a million files take no more
memory than a thousand, and any number of workers take in shares of them (`taking`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.captions import writing
from app.catalog import reading
from app.catalog.tables import SourceFile
from app.errors import Refused
from app.intake import beside, describing, ingest, refused_before, staging
from app.intake.beside import Stems
from app.intake.describing import Begin, IntakeRemarks
from app.intake.finding import Wanted
from app.intake.ingest import Tell
from app.intake.matching import Matched, Named, match
from app.intake.metadata import Rows, is_address, is_metadata, is_table, key_of, read_metadata
from app.intake.sources.entry import Entry
from app.intake.sources.listing import walk
from app.intake.sources.naming import tidy
from app.intake.staging import GivenText
from app.intake.tables import IntakeFile

STAGED_AT_ONCE: Final = 1_000
_BATCH: Final = 500
# What a row may mean, or say that it is none of.
_MATCHED: Final = ("picture", "photo", "refused", "other")
# A packed TAR is unpacked from its start for each share of it.
PACKED_SHARES: Final = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """The ids of the staged pictures that are still to be taken in, in order, and how many one share may hold."""

    ids: Sequence[int]
    share_at_most: int


def plan(begin: Begin, tell: Tell, intake_id: int, folder: str | None = None) -> Listed:
    """List an intake's source, or a folder in its place, and read its metadata and captions.

    Raises Refused with nothing taken in when the source cannot be read or a metadata file has a mistake, and NotFound
    where the catalog was removed since it was asked for.
    """
    with begin() as session:
        intake = ingest.get(session, intake_id)
        source, catalog_id = folder or intake.folder, reading.get(session, intake.catalog_id).id
        staging.drop_leavings(session)
        describing.forget_remarks(session, intake_id)
    if not Path(source).exists():
        raise Refused(f"There is no folder {source} on this machine any more.")
    remarks = IntakeRemarks(intake_id)
    tables, rows, used, matched = put_together(begin, tell, remarks, source, catalog_id)
    remark_rows(begin, remarks, rows, matched)
    record_refused(begin, catalog_id, intake_id)
    others = count(begin, intake_id, ("other", "caption")) - used - sum(is_metadata(entry) for entry in tables)
    with begin() as session:
        ingest.get(session, intake_id).listed = {
            "other_files": others,
            "metadata_files": dict(sorted(rows.files.items())[:50]),
            "metadata_rows": len(rows.by_key),
            "metadata_rows_without_picture": len(matched.unmatched),
            "remarks": dict(remarks.counts),
        }
        session.flush()
    return listed(begin, tell, intake_id, _note(matched))


def put_together(
    begin: Begin, tell: Tell, remarks: IntakeRemarks, source: str, catalog_id: int, wanted: Wanted | None = None
) -> tuple[list[Entry], Rows, int, Matched]:
    """Stage what a source holds, or what of it is wanted, and with each picture the words that came along.

    Returns the tables, their rows, how many caption files were used, and which picture each row means.
    """
    intake_id = remarks.intake_id
    beat = beating(tell)
    tables = stage(begin, intake_id, walk(source, beat) if wanted is None else wanted.walk(source, beat))
    rows = read_metadata(tables)
    has_pictures = _has(begin, intake_id, "picture")
    if not has_pictures or wanted or any(table.is_catalogue for table in tables):
        _stage_addresses(begin, intake_id, rows, wanted)
    # Words that come alone are for the photos that are there already.
    if not has_pictures and not wanted and (rows.by_key or _has(begin, intake_id, "caption")):
        _stage_photos(begin, intake_id, catalog_id)
    used = beside.give_captions(begin, remarks)
    matched = match_rows(begin, remarks, rows, _root(source), wanted) if rows.by_key else Matched({}, [], [])
    return tables, rows, used, matched


def listed(begin: Begin, tell: Tell, intake_id: int, note: str = "") -> Listed:
    """The staged pictures that wait to be taken in."""
    with begin() as session:
        waiting = _waiting(session, intake_id)
    tell(done=0, total=len(waiting), note=note)
    return Listed(waiting, share_at_most(begin, intake_id))


def _root(source: str) -> str:
    """The folder that names in a source are relative to."""
    return source if Path(source).is_dir() else str(Path(source).parent)


def stage(begin: Begin, intake_id: int, entries: Iterable[Entry]) -> list[Entry]:
    """Stage entries; returns the tables among them."""
    batch, tables = list[Entry](), list[Entry]()

    def keep() -> None:
        with begin() as session:
            staging.stage(session, intake_id, batch)
        batch.clear()

    for entry in entries:
        batch.append(entry)
        if is_table(entry) and not staging.is_caption(entry):
            tables.append(entry)
        if len(batch) == STAGED_AT_ONCE:
            keep()
    keep()
    return tables


def _stage_photos(begin: Begin, intake_id: int, catalog_id: int) -> None:
    """Stage a catalog's photos under every name that they came under."""
    after = 0
    while True:
        query = (
            select(SourceFile.id, SourceFile.file_name, SourceFile.image_id)
            .where(SourceFile.catalog_id == catalog_id, SourceFile.image_id.is_not(None), SourceFile.id > after)
            .order_by(SourceFile.id)
            .limit(staging.PAGE)
        )
        with begin() as session:
            rows = session.execute(query).all()
            staging.stage_photos(session, intake_id, [(row.file_name, row.image_id) for row in rows])
        if not rows:
            return
        after = rows[-1].id


def _stage_addresses(begin: Begin, intake_id: int, rows: Rows, wanted: Wanted | None) -> None:
    """Stage the pictures that rows name by a web address."""
    addresses = [row.name for row in rows.by_key.values() if is_address(row.name)]
    if wanted:
        addresses = [url for url in addresses if wanted.holds(tidy(url))]
    for start in range(0, len(addresses), STAGED_AT_ONCE):
        some = addresses[start : start + STAGED_AT_ONCE]
        with begin() as session:
            staging.stage(session, intake_id, [Entry("picture", Path(), tidy(url), url=url) for url in some])


def match_rows(
    begin: Begin,
    remarks: IntakeRemarks,
    rows: Rows,
    root: str,
    wanted: Wanted | None = None,
    stems: Stems | None = None,
) -> Matched:
    """Find the picture of each row, among the entries of these stems only where any are given, and stage what the row
    says with it."""
    met = as_met(begin, remarks.intake_id, stems)
    if wanted:
        # A row that names a photo exactly is no other's.
        met = chain(met, _recorded(begin, remarks.intake_id))
    matched = match(rows.by_key, met, root)
    changes: list[dict[str, Any]] = []
    for row in _all(begin, remarks.intake_id, ("picture", "photo"), stems):
        said = matched.rows.get(key_of(row.name))
        if said is None:
            continue
        given = list(staging.given_of(row))
        if said.caption and (text := _tidied(remarks, said.caption, said.source, said.line, row.name)):
            given = [text, *(other for other in given if other != text)]
        changes.append({"id": row.id, "said": asdict(said), "given": [asdict(text) for text in given] or None})
        if len(changes) == STAGED_AT_ONCE:
            _change(begin, changes)
    _change(begin, changes)
    return matched


def _change(begin: Begin, changes: list[dict[str, Any]]) -> None:
    with begin() as session:
        staging.change(session, changes)
    changes.clear()


def _tidied(remarks: IntakeRemarks, text: str, source: str, line: int, name: str) -> GivenText | None:
    try:
        return GivenText(writing.tidy(text), source, line)
    except Refused as refusal:
        remarks.remark("unread", source, line, name, f"No caption was taken: {refusal.sentence}")
        return None


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A file of this intake that is in the catalog, under its name."""

    name: str
    kind: str = "picture"


def _recorded(begin: Begin, intake_id: int) -> Iterator[_Recorded]:
    with begin() as session:
        mine = (SourceFile.intake_id == intake_id, SourceFile.image_id.is_not(None))
        names = session.scalars(select(SourceFile.file_name).where(*mine)).all()
    return map(_Recorded, names)


@dataclass(frozen=True, slots=True)
class _AsMet:
    """A staged entry as it was met: a photo of the catalog is a picture here, but one that is met counts first."""

    row: IntakeFile

    @property
    def kind(self) -> str:
        return "picture" if self.row.kind == "photo" else self.row.kind

    @property
    def name(self) -> str:
        return self.row.name


def as_met(begin: Begin, intake_id: int, stems: Stems | None = None) -> Iterable[Named]:
    """What rows may mean, or say that it is none of: every staged entry, or those of these stems."""
    return (_AsMet(row) for row in _all(begin, intake_id, _MATCHED, stems))


def _all(begin: Begin, intake_id: int, kinds: Iterable[str], stems: Stems | None) -> Iterator[IntakeFile]:
    """Every staged entry of these kinds, a page at a time."""
    after, place = 0, (stems[0] if stems else "", 0)
    while True:
        with begin() as session:
            if stems is None:
                rows = staging.page(session, intake_id, kinds, after)
            else:
                rows = staging.page_by_stem(session, intake_id, kinds, place, stems[1])
        yield from rows
        if not rows:
            return
        after, place = rows[-1].id, (rows[-1].stem, rows[-1].id)


def remark_rows(begin: Begin, remarks: IntakeRemarks, rows: Rows, matched: Matched, stems: Stems | None = None) -> None:
    """Say what was not read, and which rows name no picture or name it in another spelling."""
    for source, sentence in rows.unread.items():
        remarks.remark("unread", source, 0, source, sentence)
    remark_unmatched(remarks, matched)
    # Rows of pictures inside a table, each with a mistake of its own.
    with begin() as session:
        query = select(IntakeFile.name, IntakeFile.text).where(
            IntakeFile.intake_id == remarks.intake_id, IntakeFile.kind == "picture", IntakeFile.text.is_not(None)
        )
        if stems is not None:
            query = query.where(IntakeFile.stem >= stems[0], IntakeFile.stem <= stems[1])
        for mistaken in session.execute(query.order_by(IntakeFile.id).limit(describing.MAX_REMARKS)):
            remarks.remark("unread", mistaken.name, 0, mistaken.name, mistaken.text)
        remarks.keep(session)


def remark_unmatched(remarks: IntakeRemarks, matched: Matched) -> None:
    """Say which rows name no picture, or name it in another spelling."""
    for kind, pairs in (("unmatched", matched.unmatched), ("respelled", matched.respelled)):
        for row, sentence in pairs:
            remarks.remark(kind, row.source, row.line, row.name, sentence)


def _note(matched: Matched) -> str:
    """For the progress of the job: how many rows name no picture."""
    rows = len(matched.unmatched)
    if rows == 0:
        return ""
    subject = f"{rows:,} rows of the metadata file name" if rows > 1 else "1 row of the metadata file names"
    return f"{subject} no picture here"


def record_refused(begin: Begin, catalog_id: int, intake_id: int) -> None:
    """Write down the entries that were refused as they were met."""
    refused = (IntakeFile.intake_id == intake_id, IntakeFile.kind == "refused", IntakeFile.outcome.is_(None))
    while True:
        with begin() as session:
            rows = session.scalars(select(IntakeFile).where(*refused).order_by(IntakeFile.id).limit(_BATCH)).all()
            left_out = refused_before.left_out(session, catalog_id, [(row.name, "") for row in rows])
            recorded = [row for row in rows if (row.name, "") not in left_out]
            ingest.record_source_files(
                session,
                [ingest.source_file((catalog_id, intake_id), row.name, reason=row.reason) for row in recorded],
            )
            for row in rows:
                row.outcome = "refused"
                if row not in recorded:
                    session.delete(row)
            ingest.count(session, intake_id, refused=len(recorded))
        if not rows:
            return


def _has(begin: Begin, intake_id: int, kind: str) -> bool:
    query = select(IntakeFile.id).where(IntakeFile.intake_id == intake_id, IntakeFile.kind == kind).limit(1)
    with begin() as session:
        return session.scalar(query) is not None


def count(begin: Begin, intake_id: int, kinds: Iterable[str]) -> int:
    """How many staged entries of these kinds there are."""
    query = select(func.count()).where(IntakeFile.intake_id == intake_id, IntakeFile.kind.in_(list(kinds)))
    with begin() as session:
        return session.scalar(query) or 0


def _waiting(session: Session, intake_id: int) -> list[int]:
    query = select(IntakeFile.id).where(IntakeFile.intake_id == intake_id, IntakeFile.kind == "picture")
    return list(session.scalars(query.where(IntakeFile.outcome.is_(None)).order_by(IntakeFile.id)))


def share_at_most(begin: Begin, intake_id: int) -> int:
    """How many pictures one share may hold."""
    return max(256, -(-_packed(begin, intake_id) // PACKED_SHARES))


def _packed(begin: Begin, intake_id: int) -> int:
    """How many pictures lie in packed TARs, which can only be read from their start."""
    is_packed = (IntakeFile.locator["steps"][0][0].as_string() == "tar") & IntakeFile.locator[
        "path"
    ].as_string().not_ilike("%.tar")
    waits = (IntakeFile.intake_id == intake_id, IntakeFile.kind == "picture", IntakeFile.outcome.is_(None))
    query = select(func.count()).where(*waits, is_packed)
    with begin() as session:
        return session.scalar(query) or 0


def beating(tell: Tell) -> Callable[[], None]:
    """Tells at once and then every second that the work goes on, which is also when it hears of a stop."""
    due = 0.0

    def beat() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + 1
            tell()

    return beat
