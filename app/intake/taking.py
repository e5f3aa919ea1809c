"""Taking in: a share of an intake's staged pictures read, measured and recorded, in batches that are safe to do again.

Images are known by their bytes, so a share that was killed half-way, a folder taken in twice, and two people taking in
the same folder at once all end with the same rows. Each batch is one transaction: images, signals, source files, and
the outcome of each staged entry, which is not taken in again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ARRAY, Text, any_, cast, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.catalog import reading, signals
from app.catalog.files import SUFFIXES, put_thumb, put_view, thumb_path, view_path
from app.catalog.tables import Image
from app.database import recordset
from app.intake import describing, fetching, ingest, memory, planning, refused_before, settling, staging
from app.intake.decoding import Unreadable, read_picture
from app.intake.describing import Begin, IntakeRemarks, facts_of
from app.intake.glimpses import glimpse
from app.intake.ingest import Tell
from app.intake.sources.entry import Unopened, located
from app.intake.sources.opening import Fetch, Opener
from app.intake.tables import IntakeFile
from app.storage import Keeper, Storage

log = logging.getLogger(__name__)

BATCH: Final = 96
# A batch ends early where its files are large: they are held from when they are read until they are kept.
BATCH_BYTES: Final = 64 * 1024 * 1024
# Photos that are measured together, which costs less a photo. Their views are held until then, at most 3 MiB each.
TOGETHER: Final = 8
# Photos from the web that are waited for at once, and how often a sign of life is given meanwhile.
FETCHES: Final = 6
BEAT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Measuring:
    """How new photos are measured while their pixels are in memory: the version of signals, and from some views to the
    signals of each, uint8 (h, w, 3) or, grey, (h, w)."""

    version: int
    measure: Callable[[Sequence[NDArray[np.uint8]]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Share:
    """Which staged entries of an intake to take in: those with ids from `first` to `last`."""

    intake_id: int
    first: int
    last: int


@dataclass(slots=True)
class _Read:
    """A staged picture on its way: its bytes' SHA-256, or why there are none; and once it is kept, its columns.

    `of_server` is what the server said of a photo from the web.
    """

    row: IntakeFile
    sha256: str = ""
    reason: str | None = None
    thumb_sha256: str | None = None
    data: bytes = field(default=b"", repr=False)
    of_server: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Any] | None = None
    measured: Mapping[str, Any] | None = None
    view: NDArray[np.uint8] | None = field(default=None, repr=False)


def take_in(
    begin: Begin, tell: Tell, storage: Storage, intake_id: int, max_megapixels: int, measuring: Measuring | None = None
) -> dict[str, Any]:
    """Do a whole intake in one process; returns the job's result. See `plan`, `take_share` and `settle`."""
    if result := settling.settled(begin, intake_id):
        return result
    ids = planning.plan(begin, tell, intake_id).ids
    if ids:
        take_share(begin, tell, storage, Share(intake_id, ids[0], ids[-1]), max_megapixels, measuring)
    return settling.settle(begin, intake_id)


def take_share(
    begin: Begin,
    tell: Tell,
    storage: Storage,
    share: Share,
    max_megapixels: int,
    measuring: Measuring | None = None,
    fetch: Fetch = fetching.fetch,
) -> int:
    """Take in what of a share is not taken in yet; returns how many entries that was.

    `begin` opens a transaction, once a batch; `tell` is told after each. Raises Refused between batches when the disk
    is full: what was taken in by then stays, and doing the share again goes on from there.
    """
    rows = _waiting(begin, share)
    with begin() as session:
        catalog_id = ingest.get(session, share.intake_id).catalog_id
    memory.share_one_heap()
    done = 0
    with Opener(fetch) as opener:
        for batch in _batches(opener, rows, tell):
            with begin() as session:
                batch = _without_left_out(session, catalog_id, batch)
                known = _known(session, catalog_id, batch)
                _refuse_removed(session, catalog_id, batch)
            # A picture of which a file went missing gets all of them back.
            known = {key: row for key, row in known.items() if row.is_whole(storage)}
            fresh = {read.sha256: read for read in reversed(batch) if read.reason is None and read.sha256 not in known}
            with storage.together() as files:
                # By one thread: there is a worker a core, and two of one spent 1 ms a photo on waiting for each other.
                kept = list(fresh.values())
                for some in (kept[start : start + TOGETHER] for start in range(0, len(kept), TOGETHER)):
                    for read in some:
                        _keep(storage, files, max_megapixels, read)
                    _measure(measuring, some)
            for read in batch:
                # The same bytes under another name are refused for the same reason.
                same = fresh.get(read.sha256, read)
                read.reason, read.thumb_sha256 = read.reason or same.reason, read.thumb_sha256 or same.thumb_sha256
                if same is not read:
                    for header, value in read.of_server.items():
                        same.of_server[header] = describing.both_said(same.of_server.get(header), value)
            done += len(batch)
            heard = _heard(known, batch)
            if heard:
                with begin() as session:
                    describing.heed_servers(session, IntakeRemarks(share.intake_id), heard)
            with begin() as session:
                _record(session, (catalog_id, share.intake_id), batch, measuring)
            tell(done=done)
    return done


def _heard(known: Mapping[str, _Known], batch: Sequence[_Read]) -> dict[int, tuple[str, dict[str, str]]]:
    """What servers say of photos that the catalog has already, by the ids of the images."""
    return {
        known[read.sha256].image_id: (read.row.name, read.of_server)
        for read in batch
        if read.of_server and read.sha256 in known
    }


def _without_left_out(session: Session, catalog_id: int, batch: list[_Read]) -> list[_Read]:
    """The batch without what somebody left out for good, which is as if it had not been met."""
    left_out = refused_before.left_out(session, catalog_id, [(read.row.name, read.sha256) for read in batch])
    passed_over = {read.row.id for read in batch if (read.row.name, read.sha256) in left_out}
    if passed_over:
        session.execute(delete(IntakeFile).where(IntakeFile.id.in_(passed_over)))
    return [read for read in batch if read.row.id not in passed_over]


def _waiting(begin: Begin, share: Share) -> list[IntakeFile]:
    query = (
        select(IntakeFile)
        .where(IntakeFile.intake_id == share.intake_id, IntakeFile.id.between(share.first, share.last))
        .where(IntakeFile.kind == "picture", IntakeFile.outcome.is_(None))
        .order_by(IntakeFile.id)
        .execution_options(populate_existing=True)
    )
    with begin() as session:
        return list(session.scalars(query))


def _batches(opener: Opener, rows: Sequence[IntakeFile], tell: Tell) -> Iterator[list[_Read]]:
    """The staged pictures with their bytes, a few at a time. Each file is read once."""
    batch, size_bytes = list[_Read](), 0
    for read in _reads(opener, rows, tell):
        batch.append(read)
        size_bytes += len(read.data)
        if len(batch) >= BATCH or size_bytes >= BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _reads(opener: Opener, rows: Sequence[IntakeFile], tell: Tell) -> Iterator[_Read]:
    """The staged pictures with their bytes, in order: those on this machine one by one, those on the web some at once,
    with signs of life while servers take their time."""
    for is_web, some in groupby(rows, key=lambda row: "url" in row.locator):
        if not is_web:
            yield from (_read(opener, row) for row in some)
            continue
        on_the_web = list(some)
        with ThreadPoolExecutor(FETCHES) as pool:
            for start in range(0, len(on_the_web), FETCHES):
                waiting = [pool.submit(_read, opener, row) for row in on_the_web[start : start + FETCHES]]
                while wait(waiting, timeout=BEAT_S).not_done:
                    tell()
                yield from (reading.result() for reading in waiting)


def _read(opener: Opener, row: IntakeFile) -> _Read:
    entry, of_server = located(row.name, row.locator), dict[str, str]()
    try:
        if entry.url is not None:
            fetched = opener.fetch(entry)
            data, of_server = fetched.data, fetched.said
        else:
            data = opener.open_entry(entry)
    except Unopened as refusal:
        return _Read(row, reason=refusal.sentence)
    return _Read(row, hashlib.sha256(data).hexdigest(), data=data, of_server=of_server)


def _refuse_removed(session: Session, catalog_id: int, batch: Sequence[_Read]) -> None:
    """Refuse the files whose bytes an owner removed from the catalog."""
    gone = reading.removed(session, catalog_id, {read.sha256 for read in batch})
    for read in batch:
        if read.reason is None and (row := gone.get(read.sha256)) is not None:
            read.reason = ingest.describe_removal(row.removed_at, row.reason)


def _keep(storage: Storage, files: Keeper, max_megapixels: int, read: _Read) -> None:
    """Decode a new picture and keep its files, or say why not. Raises Refused when the disk is full."""
    with memory.FILES.hold(len(read.data)):
        try:
            picture = read_picture(read.data, max_megapixels, read.row.name)
        except Unreadable as refusal:
            read.reason = refusal.sentence
            if (seen := glimpse(read.data, read.row.name)) is not None:
                read.thumb_sha256 = put_thumb(files, seen)
            return
        suffix = SUFFIXES[picture.format]
        shown = storage.place("originals", files.put("originals", read.data, suffix, read.sha256), suffix)
        if picture.render is not None:
            shown = storage.place("renders", files.put("renders", picture.render, ".png"), ".png")
        read.view = picture.view_pixels
        read.columns = {
            "sha256": read.sha256,
            "format": picture.format,
            "size_bytes": len(read.data),
            "made_bytes": len(picture.render or b"") + len(picture.view) + len(picture.thumb),
            "width_px": picture.width_px,
            "height_px": picture.height_px,
            "had_alpha": picture.had_alpha,
            "had_profile": picture.had_profile,
            "was_turned": picture.was_turned,
            "notes": list(picture.notes),
            "render_path": shown,
            "thumb_sha256": put_thumb(files, picture.thumb),
            "view_sha256": put_view(files, picture.view),
        }


def _measure(measuring: Measuring | None, some: Sequence[_Read]) -> None:
    """Measure what was kept of some pictures and let their views go; of one that fails the others are measured."""
    seen = [(read, read.view) for read in some if read.view is not None]
    for read in some:
        read.view = None
    if measuring is None or not seen:
        return
    try:
        values = measuring.measure([view for _, view in seen])
    except Exception:
        if len(seen) == 1:
            # The photo is taken in all the same; `signals.measure` finds it unmeasured and says what is wrong.
            log.exception("%s was not measured while it was taken in", seen[0][0].row.name)
            return
        for read, view in seen:
            read.view = view
            _measure(measuring, [read])
        return
    for (read, _), measured in zip(seen, values, strict=True):
        read.measured = measured


@dataclass(frozen=True, slots=True)
class _Known:
    """An image that the catalog has, the intake and file it is from, and where its pictures lie."""

    image_id: int
    intake_id: int
    file_name: str
    render_path: str
    thumb_sha256: str
    view_sha256: str
    mend_id: int | None

    def is_whole(self, storage: Storage) -> bool:
        """Whether its files are there; of a mended photo, the one that is learned from."""
        shown = [thumb_path(storage, self.thumb_sha256), view_path(storage, self.view_sha256)]
        return all(path.is_file() for path in (storage.root / self.render_path, *(() if self.mend_id else shown)))


def _known(session: Session, catalog_id: int, batch: Iterable[_Read]) -> dict[str, _Known]:
    """The catalog's images by SHA-256, of those among the files."""
    chosen = sorted({read.sha256 for read in batch if read.reason is None})
    query = select(
        Image.sha256, Image.id, Image.intake_id, Image.file_name, Image.render_path, Image.thumb_sha256,
        Image.view_sha256, Image.mend_id,
    ).where(
        Image.catalog_id == catalog_id, Image.sha256 == any_(cast(chosen, ARRAY(Text)))
    )  # fmt: skip
    return {row[0]: _Known(*row[1:]) for row in session.execute(query)}


def _name_what_was_made_again(session: Session, stored: Iterable[_Read], known: Mapping[str, _Known]) -> None:
    """A photo whose files were lost names those that were made in their place: another version makes other bytes."""
    for read in stored:
        image, made = known.get(read.sha256), read.columns or {}
        names = {name: made[name] for name in ("render_path", "thumb_sha256", "view_sha256")}
        if image and image.mend_id is None and any(getattr(image, name) != made[name] for name in names):
            session.execute(update(Image).where(Image.id == image.image_id).values(names))


def _record(session: Session, intake: tuple[int, int], batch: Sequence[_Read], measuring: Measuring | None) -> None:
    """Write a batch: images, their signals, source files, the outcomes of the staged entries, and the counts.

    Images go in in the order of their bytes: two intakes into one catalog never wait for each other in a circle.
    """
    catalog_id, intake_id = intake
    stored = sorted((read for read in batch if read.columns is not None), key=lambda read: read.sha256)
    if stored:
        rows = [
            {**(read.columns or {}), **(facts := facts_of(read.row.name, staging.said_of(read.row))),
             "extra": {**read.of_server, **facts["extra"]}, "catalog_id": catalog_id, "intake_id": intake_id}
            for read in stored
        ]  # fmt: skip
        new = insert(Image).from_select(list(rows[0]), select(recordset(Image, rows)))
        session.execute(new.on_conflict_do_nothing())
    known = _known(session, catalog_id, batch)
    _name_what_was_made_again(session, stored, known)
    there = reading.held(session, [image.image_id for image in known.values()])
    known = {sha256: image for sha256, image in known.items() if image.image_id in there}
    if measuring is not None:
        measured = {
            known[read.sha256].image_id: read.measured
            for read in stored
            if read.measured is not None and read.sha256 in known
        }
        views = {
            known[read.sha256].image_id: (read.columns or {})["view_sha256"] for read in stored if read.sha256 in known
        }
        signals.record(session, measuring.version, measured, views)
    staged = list[dict[str, Any]]()
    files, tally = list[dict[str, Any]](), {"accepted": 0, "same_bytes": 0, "refused": 0}
    for read in batch:
        image = known.get(read.sha256) if read.reason is None else None
        if image is None and read.reason is None:
            read.reason = "The photo was removed while it was taken in."
        outcome = "refused"
        if image is not None:
            # Also where an earlier attempt at this intake made the image.
            is_main = (image.intake_id, image.file_name) == (intake_id, read.row.name)
            outcome = "accepted" if is_main else "same_bytes"
        tally[outcome] += 1
        image_id = image.image_id if image is not None else None
        columns = (intake, read.row.name, read.sha256, image_id, read.reason, outcome, read.thumb_sha256)
        files.append(ingest.source_file(*columns))
        staged.append({"id": read.row.id, "outcome": outcome, "image_id": image_id, "reason": read.reason})
    ingest.record_source_files(session, files)
    staging.change(session, staged)
    ingest.count(session, intake_id, tally["accepted"], tally["same_bytes"], tally["refused"])
