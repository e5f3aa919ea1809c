"""A data set of a model hub on its way in, haul by haul: what is staged of each, and how it is known where it stands.

The commit is resolved once and stands in the intake's `listed`, with how many hauls are `staged` and how many `taken`:
in the catalog with their names and words, and no longer on this machine. Killed at any moment, cut off or stopped, the
intake goes on from there; nothing that was taken in is fetched again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import JSON, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import reading
from app.catalog.tables import Catalog, Image, Intake, IntakeRemark
from app.errors import Refused
from app.intake import beside, describing, folders, hauls, hub, ingest, planning, settling, staging
from app.intake.beside import Stems
from app.intake.describing import Begin, IntakeRemarks
from app.intake.finding import Wanted
from app.intake.hauls import README, DatasetPlan, Haul
from app.intake.hub import HubDataset, HubListing
from app.intake.ingest import Tell
from app.intake.matching import Matched, match
from app.intake.metadata import Rows, is_metadata, key_of, read_metadata
from app.intake.sources import listing
from app.intake.sources.entry import Entry
from app.intake.sources.naming import UNREAD_ARCHIVE, UNREAD_ARCHIVES, tidy
from app.intake.staging import CAPTION_SUFFIXES, COMMIT
from app.intake.tables import IntakeFile
from app.jobs import Job
from app.people import Person
from app.storage import Storage
from app.units import bytes_

_NOTHING_TAKEN: Final = " Nothing was taken in."


@dataclass(frozen=True, slots=True)
class Stream:
    """A data set that an intake takes in: its files at one commit, how they are cut, and the folder for its hauls."""

    intake_id: int
    catalog_id: int
    dataset: HubDataset
    commit: str
    plan: DatasetPlan
    folder: Path

    def place(self, haul: Haul) -> Path:
        """Where a haul lies while it is on this machine."""
        return self.folder / str(haul.number)

    @property
    def words_folder(self) -> Path:
        """Where the words for photos of all hauls lie."""
        return self.folder / "words"


def request_intake(session: Session, storage: Storage, catalog: Catalog, wanted: HubDataset, person: Person) -> Intake:
    """Ask for a data set to be taken in; one that waits already is the same, and one that was cut off goes on.

    Nothing is asked of the hub yet.
    """
    folder = wanted.folder(storage)
    if asked := ingest.waiting(session, catalog, folder):
        return asked
    intake = _cut_off(session, catalog, folder)
    if intake is None:
        intake = Intake(catalog_id=catalog.id, folder=str(folder))
        session.add(intake)
        session.flush()
    else:
        intake.listed = {**intake.listed, "before": _counted(intake)}
    intake.job_id = jobs.request(session, "intake.take_in", {"intake_id": intake.id}, person).id
    session.flush()
    return intake


def _cut_off(session: Session, catalog: Catalog, folder: Path) -> Intake | None:
    """The newest intake of a data set where it ended before its end."""
    query = (
        select(Intake)
        .where(Intake.catalog_id == catalog.id, Intake.folder == str(folder))
        .order_by(Intake.id.desc())
        .limit(1)
        .with_for_update()
    )
    newest = session.scalars(query).first()
    return newest if newest is not None and goes_on(session, newest) else None


def goes_on(session: Session, intake: Intake) -> bool:
    """Whether an intake of a data set ended before its end, and goes on where it was when it is asked for again."""
    job = session.get(Job, intake.job_id) if intake.job_id is not None else None
    return COMMIT in intake.listed and job is not None and job.state in ("failed", "cancelled")


def commit_of(intake: Intake) -> str:
    """The commit of the data set that an intake keeps to; empty before it is known."""
    return str(intake.listed.get(COMMIT, ""))


def opened(begin: Begin, tell: Tell, storage: Storage, intake_id: int, wanted: Wanted | None = None) -> Stream:
    """The data set of an intake, asked about at the hub where its files are not known yet.

    `wanted`: of pictures, archives and tables of them only those that are or hold what is looked for. Raises what
    `hub.listing` does, and Refused where it holds nothing to take in.
    """
    with begin() as session:
        intake = ingest.get(session, intake_id)
        dataset, commit = hub.of_folder(storage, Path(intake.folder)), commit_of(intake) or None
        catalog_id = reading.get(session, intake.catalog_id).id
    if dataset is None:
        raise Refused(f"Intake {intake_id} is of no data set.")
    folder = scratch(storage, intake)
    beat = planning.beating(tell)
    listed: HubListing = hub.listing(dataset, commit, folder / ".listing.json", beat)
    sizes = {name: size for name, size in listed.sizes.items() if wanted is None or _may_concern(wanted, name)}
    # As it was cut when it began, by whatever version.
    limits = tuple(intake.listed.get("limits", (hauls.HAUL_BYTES, hauls.HAUL_FILES)))
    plan = hauls.plan(sizes, *limits)
    if not plan.hauls and all(name == README for name in plan.words):
        raise Refused(f"{dataset} holds no pictures, archives or tables that can be taken in.")
    if commit is None:
        _note(begin, intake_id, **{COMMIT: listed.commit, "limits": list(limits)})
    return Stream(intake_id, catalog_id, dataset, listed.commit, plan, folder)


def scratch(storage: Storage, intake: Intake) -> Path:
    """The folder for what one intake fetches of a data set: two intakes of the same do not share it."""
    return Path(intake.folder) / str(intake.id)


def _may_concern(wanted: Wanted, name: str) -> bool:
    """Whether a file is looked for, holds what is, or may say something of it."""
    holds_pictures = hauls.is_picture(name) or hauls.holds_many(name)
    below = (own for own in wanted.names if own.startswith(f"{tidy(name)}/"))
    return not holds_pictures or wanted.holds(tidy(name)) or any(True for _ in below)


def fetch(storage: Storage, stream: Stream, haul: Haul, tell: Tell) -> None:
    """Fetch what is missing of a haul. Raises what `hub.fetch` does."""
    beat = planning.beating(tell)
    hub.fetch(storage, stream.dataset, stream.commit, haul.files, stream.place(haul), beat)


def fetch_words(storage: Storage, stream: Stream, tell: Tell) -> None:
    """Fetch the card and the tables. Raises what `hub.fetch` does."""
    beat = planning.beating(tell)
    hub.fetch(storage, stream.dataset, stream.commit, stream.plan.words, stream.words_folder, beat)


def fetch_beside_words(storage: Storage, stream: Stream, haul: Haul, tell: Tell) -> None:
    """Fetch a haul to where the words lie, so that all of it is one folder. Raises what `hub.fetch` does."""
    beat = planning.beating(tell)
    hub.fetch(storage, stream.dataset, stream.commit, haul.files, stream.words_folder, beat)


def remove_beside_words(stream: Stream, haul: Haul) -> None:
    """Remove a haul that lies with the words from this machine, but what says something of others too."""
    for name in haul.files.keys() - stream.plan.words.keys():
        (stream.words_folder / name).unlink(missing_ok=True)


def by_haul(stream: Stream, names: set[str]) -> Iterator[tuple[Haul | None, set[str]]]:
    """Names of refused files with the haul whose files they are or lie in; last, with none, those of photos elsewhere.

    What is refused by its name alone is passed over: nothing is fetched of it.
    """
    left = names - {tidy(name) for name in stream.plan.unread}
    for haul in stream.plan.hauls:
        if some := _names_in(haul, left):
            yield haul, some
            left -= some
    if left:
        yield None, left


def _names_in(haul: Haul, names: Iterable[str]) -> set[str]:
    files = {tidy(name) for name in haul.files}
    above = {str(place) for name in files for place in PurePosixPath(name).parents}
    return {name for name in names if name in above or _is_in(name, files)}


def _is_in(name: str, files: set[str]) -> bool:
    return name in files or any(str(place) in files for place in PurePosixPath(name).parents)


def keep_commit(begin: Begin, stream: Stream) -> None:
    """Note the commit of a data set that was planned as a whole."""
    _note(begin, stream.intake_id, **{COMMIT: stream.commit})


def prepare(begin: Begin, tell: Tell, stream: Stream) -> None:
    """Stage the loose files, known by their names before any is fetched, and give them what the tables say of them.

    Done once. Raises Refused with nothing taken in where a table has a mistake.
    """
    with begin() as session:
        if "taken" in ingest.get(session, stream.intake_id).listed:
            return
        staging.drop_leavings(session)
        describing.forget_remarks(session, stream.intake_id)
    remarks = IntakeRemarks(stream.intake_id)
    tables = planning.stage(begin, stream.intake_id, chain(_by_name(stream), _tables(stream)))
    rows = read_metadata(tables)
    if rows.by_key:
        planning.match_rows(begin, remarks, rows, str(stream.words_folder))
    # Which rows name no picture is told at the end, when the names in archives are known too.
    planning.remark_rows(begin, remarks, rows, Matched({}, [], []))
    planning.record_refused(begin, stream.catalog_id, stream.intake_id)
    _note_remarks(
        begin, remarks, taken=0, staged=0, first=0, described=0, used=0, tables=sum(map(is_metadata, tables)),
        metadata_files=rows.files, metadata_rows=len(rows.by_key), metadata_rows_without_picture=0,
    )  # fmt: skip


def _by_name(stream: Stream) -> Iterator[Entry]:
    """What is staged before it is fetched: loose pictures where they will lie, and what is not read."""
    odd = set[str]()
    for haul in stream.plan.hauls:
        for name in haul.files if not haul.holds_many else ():
            if hauls.is_picture(name):
                yield listing.told_apart(Entry("picture", stream.place(haul) / name, tidy(name)), odd)
    for name in stream.plan.unread:
        is_archive = Path(name).suffix.lower() in UNREAD_ARCHIVES
        kind, why = ("refused", UNREAD_ARCHIVE) if is_archive else ("other", None)
        yield Entry(kind, stream.words_folder / name, tidy(name), why)  # type: ignore[arg-type]


def _tables(stream: Stream) -> Iterator[Entry]:
    """The metadata tables, which were fetched; one that holds the pictures themselves is part of a haul too."""
    root = stream.words_folder.resolve()
    for name in stream.plan.words:
        if name != README:
            met = next(iter(listing.opened(folders.look(root, root / name), lambda: None)), None)
            if met is not None and is_metadata(met):
                yield met


def next_haul(begin: Begin, stream: Stream) -> Haul | None:
    """The first haul that is not taken in; None where all are. Of those that are nothing is left on this machine."""
    taken = _listed(begin, stream)["taken"]
    for haul in stream.plan.hauls[:taken]:
        shutil.rmtree(stream.place(haul), ignore_errors=True)
    return stream.plan.hauls[taken] if taken < len(stream.plan.hauls) else None


def is_staged(begin: Begin, stream: Stream, haul: Haul) -> bool:
    """Whether a haul was fetched and staged."""
    return bool(_listed(begin, stream)["staged"] > haul.number)


def stage(begin: Begin, tell: Tell, stream: Stream, haul: Haul) -> None:
    """Stage what a haul holds that was fetched, with the words in it. Killed, it is done again."""
    listed = _listed(begin, stream)
    with begin() as session:
        describing.forget_remarks(session, stream.intake_id, listed.get("remarked", 0))
    remarks = IntakeRemarks(stream.intake_id, Counter(listed["remarks"]))
    counts = Counter({key: listed[key] for key in ("used", "tables", "metadata_rows", "metadata_rows_without_picture")})
    files = dict(listed["metadata_files"])
    root = stream.place(haul).resolve()
    if haul.holds_many:
        outer = read_metadata(_tables(stream)) if stream.plan.words.keys() - {README} else Rows()
        for name in haul.files:
            files |= _stage_many(begin, tell, remarks, folders.look(root, root / name), counts, outer).files
    else:
        captions = [name for name in haul.files if Path(name).suffix.lower() in CAPTION_SUFFIXES]
        # Whatever they hold: a picture among them would be staged far behind the others of this haul.
        planning.stage(begin, stream.intake_id, (Entry("other", root / name, tidy(name)) for name in captions))
        counts["used"] += beside.give_captions(begin, remarks, haul.stems)
    planning.record_refused(begin, stream.catalog_id, stream.intake_id)
    first = next(iter(waiting(begin, stream, haul)), listed["first"])
    _note_remarks(begin, remarks, staged=haul.number + 1, first=first, metadata_files=files, **counts)


def _stage_many(
    begin: Begin, tell: Tell, remarks: IntakeRemarks, whole: Entry, counts: Counter[str], outer: Rows
) -> Rows:
    """Stage what one file holds, with the words in it and the rows of tables outside it; its own rows."""
    inside, root = f"{key_of(whole.name)}/".casefold(), str(whole.path.parent)
    stems: Stems = (inside, f"{inside}\U0010ffff")
    met = listing.opened(whole, planning.beating(tell))
    # A table that is the whole file was read before all hauls.
    inner = (entry for entry in met if entry.name != whole.name or not is_metadata(entry))
    tables = planning.stage(begin, remarks.intake_id, inner)
    counts["used"] += beside.give_captions(begin, remarks, stems)
    try:
        rows = read_metadata(tables)
    except Refused as refusal:
        # Whoever takes a data set in cannot mend it, and hauls before this one are in: its photos come without words.
        why = f"{refusal.sentence.removesuffix(_NOTHING_TAKEN)} Its rows were left aside."
        remarks.remark("unread", whole.name, 0, whole.name, why)
        rows = Rows()
    of_whole = {key: row for key, row in outer.by_key.items() if inside in f"{key.casefold()}/"}
    if of_whole:
        planning.match_rows(begin, remarks, Rows(of_whole), root, stems=stems)
    matched = planning.match_rows(begin, remarks, rows, root, stems=stems) if rows.by_key else Matched({}, [], [])
    planning.remark_rows(begin, remarks, rows, matched, stems)
    counts["tables"] += sum(is_metadata(entry) for entry in tables)
    counts["metadata_rows"] += len(rows.by_key)
    counts["metadata_rows_without_picture"] += len(matched.unmatched)
    return rows


def waiting(begin: Begin, stream: Stream, haul: Haul) -> list[int]:
    """The ids of the pictures of a staged haul that are still to be taken in."""
    first = _listed(begin, stream)["first"]
    below = f"{quote(os.fsencode(stream.place(haul)))}/"
    query = (
        select(IntakeFile.id)
        .where(IntakeFile.intake_id == stream.intake_id, IntakeFile.id >= first, IntakeFile.kind == "picture")
        .where(IntakeFile.outcome.is_(None))
        .where(IntakeFile.locator["path"].as_string().startswith(below, autoescape=True))
        .order_by(IntakeFile.id)
    )
    with begin() as session:
        return list(session.scalars(query))


def take_leave(begin: Begin, stream: Stream, haul: Haul) -> None:
    """After all its pictures: their names, words, source and licence, and the haul is removed from this machine."""
    first = _listed(begin, stream)["first"]
    settling.describe(begin, stream.intake_id, first)
    with begin() as session:
        mark(session, stream, first)
        intake = ingest.get(session, stream.intake_id)
        intake.listed = {**intake.listed, "taken": haul.number + 1}
    shutil.rmtree(stream.place(haul), ignore_errors=True)


def mark(session: Session, stream: Stream, first: int | None = None) -> None:
    """Say of the photos of an intake, or those of staged entries from the id `first` on, which data set, at which
    commit, they are from, and under which licence that is; what their own rows say counts first (see
    `catalog.rights`). It comes behind their words: a row that names a licence takes the place of another."""
    said = {"origin": str(replace(stream.dataset, revision=stream.commit))}
    if licence := hub.licence(stream.words_folder / README):
        said["usage_terms"] = licence
    before = cast(Image.extra, JSONB)
    more = cast(literal(said, JSON), JSONB).op("||")(before)
    mine = [Image.intake_id == stream.intake_id, more != before]
    if first is not None:
        staged = (IntakeFile.intake_id == stream.intake_id, IntakeFile.id >= first)
        mine.append(Image.id.in_(select(IntakeFile.image_id).where(*staged)))
    session.execute(update(Image).where(*mine).values(extra=more).execution_options(synchronize_session=False))


def finish(begin: Begin, stream: Stream) -> None:
    """After all hauls: which rows of the tables outside archives name no picture, and what was left alone."""
    listed = _listed(begin, stream)
    if "other_files" in listed:
        return
    with begin() as session:
        describing.forget_remarks(session, stream.intake_id, listed.get("remarked", 0))
    remarks = IntakeRemarks(stream.intake_id, Counter(listed["remarks"]))
    rows = read_metadata(_tables(stream))
    named = planning.as_met(begin, stream.intake_id)
    matched = match(rows.by_key, named, str(stream.words_folder)) if rows.by_key else Matched({}, [], [])
    planning.remark_unmatched(remarks, matched)
    others = planning.count(begin, stream.intake_id, ("other", "caption")) - listed["used"] - listed["tables"]
    without = listed["metadata_rows_without_picture"] + len(matched.unmatched)
    shown = dict(sorted(listed["metadata_files"].items())[:50])
    _note_remarks(begin, remarks, other_files=others, metadata_rows_without_picture=without, metadata_files=shown)


def progress(begin: Begin, stream: Stream, haul: Haul) -> tuple[int, int, str]:
    """How many pictures this job has brought to their end, how many are left after this haul, and a note on both.

    Loose pictures are known by name. How many an archive or table holds is estimated from the bytes of those before.
    """
    with begin() as session:
        intake = ingest.get(session, stream.intake_id)
        done = _counted(intake) - intake.listed.get("before", 0)
        of_many = IntakeFile.locator.has_key("steps")
        mine = (IntakeFile.intake_id == stream.intake_id, IntakeFile.kind == "picture", of_many)
        met = session.scalar(select(func.count()).where(*mine)) or 0
    later = stream.plan.hauls[haul.number + 1 :]
    loose = sum(hauls.is_picture(name) for its in later if not its.holds_many for name in its.files)
    many = [its for its in later if its.holds_many]
    opened_bytes = sum(its.size_bytes for its in stream.plan.hauls[: haul.number + 1] if its.holds_many)
    left_bytes = sum(its.size_bytes for its in many)
    estimated = round(met / opened_bytes * left_bytes) if met and opened_bytes else sum(len(its.files) for its in many)
    in_bytes = sum(its.size_bytes for its in stream.plan.hauls[: haul.number])
    all_bytes = sum(its.size_bytes for its in stream.plan.hauls)
    note = f"{bytes_(in_bytes)} of {bytes_(all_bytes)} of the data set are in"
    if many:
        note += "; how many photos the rest holds is estimated"
    return max(0, done), loose + estimated, note


def discard(storage: Storage, intake: Intake) -> None:
    """Remove what an intake fetched of a data set; leaves every other folder alone."""
    folder = Path(intake.folder)
    if hub.of_folder(storage, folder) is not None:
        shutil.rmtree(scratch(storage, intake), ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()


def _counted(intake: Intake) -> int:
    return intake.accepted + intake.already_there + intake.refused


def _listed(begin: Begin, stream: Stream) -> dict[str, Any]:
    with begin() as session:
        return dict(ingest.get(session, stream.intake_id).listed)


def _note(begin: Begin, intake_id: int, **facts: Any) -> None:
    with begin() as session:
        intake = ingest.get(session, intake_id)
        intake.listed = {**intake.listed, **facts}
        session.flush()


def _note_remarks(begin: Begin, remarks: IntakeRemarks, **facts: Any) -> None:
    """Note what was done together with what was remarked on the way: neither is kept without the other."""
    with begin() as session:
        remarks.keep(session)
        newest = session.scalar(select(func.max(IntakeRemark.id)).where(IntakeRemark.intake_id == remarks.intake_id))
        intake = ingest.get(session, remarks.intake_id)
        intake.listed = {
            **intake.listed, **facts, "remarks": dict(remarks.counts), "remarked": newest or 0,
        }  # fmt: skip
        session.flush()
