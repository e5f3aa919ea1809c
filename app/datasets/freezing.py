"""Freezing: a selection becomes an immutable dataset version with exact captions, split by product and copies.

Three steps, so that no transaction waits for the disk: `gather` reads what is selected, `arrange` checks files and
splits, `record` writes members, manifest and content hash at once. A version with a content hash never changes.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, true, update
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.catalog import rights
from app.catalog.copies import clusters
from app.catalog.spelling import label_key
from app.catalog.tables import Catalog, Image, Signals
from app.database import utc_now
from app.datasets.manifest import ManifestRow, Split, content_hash, write_manifest
from app.datasets.picture_files import refuse_unsound
from app.datasets.splitting import Group, group, split
from app.datasets.tables import DatasetVersion, Member
from app.errors import Conflict, NotFound, Refused
from app.jobs import Job
from app.people import Person
from app.selection.query import Selection, parse
from app.selection.tables import PhotoIndex
from app.selection.tallies import tally
from app.selection.wording import sentence
from app.storage import Storage

KEPT: Final = "decision:kept"
UNSEEN_TOO: Final = ("person", "rule")
BY_NOBODY: Final = ("rule", "none")
MANIFEST: Final = "manifest.jsonl"
_INSERTED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selected photo with the caption that is current as the version is frozen. `file` lies under the data folder;
    `frame_keys` and `frame_thumbs` are None for a photo that was not measured, or is too flat to tell."""

    image_id: int
    file_name: str
    file: str
    width_px: int
    height_px: int
    product: str | None
    category: str | None
    caption_id: int
    caption: str
    original_sha256: str
    format: str
    was_read_strictly: bool
    is_seen: bool  # a person has decided on it
    frame_keys: bytes | None = None
    frame_thumbs: bytes | None = None
    source: str | None = None
    licence: str | None = None
    credit: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of the picture file's bytes, which is its name."""
        return Path(self.file).stem


@dataclass(frozen=True, slots=True)
class Gathered:
    """The candidates, oldest first; how many selected photos have no caption and are left out, and how many more are
    because they were opted out of training."""

    candidates: list[Candidate]
    left_out: int
    opted_out: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """What a selection has to freeze: photos that people decided on, and those that no person has seen.

    Both with how many of them have a caption; the others are left out. None of them is opted out of training: how many
    photos are tells `opted_out`, and how many of these have a caption and were seen or not stands behind it.
    """

    selection: Selection
    seen: int
    seen_captioned: int
    unseen: int
    unseen_captioned: int
    opted_out: int = 0
    seen_opted_out: int = 0
    unseen_opted_out: int = 0

    @property
    def opted_out_query(self) -> str:
        """The filter that shows the ones opted out."""
        return taken(self.selection, takes_unseen=True).narrowed(optout=("yes",)).query

    @property
    def unseen_query(self) -> str:
        """The filter that shows the unseen ones."""
        every = taken(self.selection, takes_unseen=True)
        every = every.narrowed(optout=("no",)) if self.opted_out else every
        if authors := [author for author in every.values("by") if author != "person"]:
            return every.narrowed(by=authors).query
        return every.with_term("by", (*every.values("by", is_not=True), "person"), is_not=True).query


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate in its group and split; `copies` is the number that it shares with its near copies, if known."""

    candidate: Candidate
    group: str
    split: Split
    copies: int | None = None


def taken(chosen: Selection, takes_unseen: bool, takes_opted_out: bool = False) -> Selection:
    """What a freeze takes of a selection: photos that people decided on, and others only where that is asked for.

    With `takes_unseen`, what a rule suggests counts like a decision: `decision:kept` takes what people kept and what a
    rule suggests to keep. With `takes_opted_out` it says that photos whose owners opted out of training are meant too;
    a selection that does not say so leaves them out (see `_allowed`).
    """
    if takes_opted_out and not _names_opt_out(chosen):
        chosen = chosen.narrowed(optout=("yes", "no"))
    decision, has_author = chosen.values("decision"), bool(chosen.values("by"))
    names_unseen = not decision or "unseen" in decision
    if takes_unseen:
        return chosen if names_unseen or has_author else chosen.narrowed(by=UNSEEN_TOO)
    if has_author and "person" not in chosen.values("by"):
        return chosen.with_term("by", BY_NOBODY, is_not=True)  # nothing: it asks for photos of nobody
    return chosen.narrowed(by=("person",)) if names_unseen or has_author else chosen


def _names_opt_out(chosen: Selection) -> bool:
    return bool(chosen.values("optout") or chosen.values("optout", is_not=True))


def _allowed(chosen: Selection) -> ColumnElement[bool]:
    """What leaves out photos whose owners opted out of training, unless the selection says what to do with them."""
    return true() if _names_opt_out(chosen) else Image.opt_out == "no"


def offer(session: Session, catalog_id: int, selection_text: str = KEPT) -> Offer:
    """What there is to freeze, for the page that asks. Raises selection.NotUnderstood."""
    chosen = parse(selection_text.strip() or KEPT, catalog_id)
    counts: Counter[tuple[bool, bool, bool]] = Counter()
    by = (PhotoIndex.decided_by, PhotoIndex.captioned_by, Image.opt_out)
    for (author, captioner, opt_out), photos in tally(session, taken(chosen, takes_unseen=True), by).items():
        counts[author == "person", _names_opt_out(chosen) or opt_out == "no", captioner != "none"] += photos
    return Offer(
        selection=chosen,
        seen=counts[True, True, True] + counts[True, True, False],
        seen_captioned=counts[True, True, True],
        unseen=counts[False, True, True] + counts[False, True, False],
        unseen_captioned=counts[False, True, True],
        opted_out=sum(photos for (_, is_allowed, _), photos in counts.items() if not is_allowed),
        seen_opted_out=counts[True, False, True],
        unseen_opted_out=counts[False, False, True],
    )


def request_freeze(
    session: Session,
    catalog_id: int,
    selection_text: str = KEPT,
    person: Person | None = None,
    takes_unseen: bool = False,
    expected_count: int | None = None,
    takes_opted_out: bool = False,
) -> DatasetVersion:
    """Ask for a version of these photos; a selection that is being frozen already is not frozen twice.

    An empty text means the kept photos. Photos that no person has decided on are taken only with `takes_unseen`, those
    whose owners opted out of training only with `takes_opted_out` or where the text itself asks for them.
    `expected_count` is how many photos the person was told, of those with a caption. Raises NotFound for an unknown
    catalog, selection.NotUnderstood for a text that does not parse, Refused with counts when nothing is selected or no
    selected photo has a caption, and Conflict when it is another number of photos now.
    """
    # The lock makes two people's version numbers follow one another, and a double click one version.
    if session.get(Catalog, catalog_id, with_for_update={"key_share": True}) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    offered = offer(session, catalog_id, selection_text)
    if offered.unseen and not offered.seen and not takes_unseen:
        many = f"any of these {offered.unseen:,} photos" if offered.unseen > 1 else "this photo"
        raise Refused(f"No person has decided on {many} yet. Review them, or ask to take unseen photos too.")
    chosen = taken(offered.selection, takes_unseen, takes_opted_out)
    _, captioned, _ = _count(session, chosen)
    under_way = session.scalars(
        select(DatasetVersion)
        .join(Job, Job.id == DatasetVersion.job_id)
        .where(DatasetVersion.catalog_id == catalog_id, DatasetVersion.selection == chosen.query)
        .where(Job.state.in_(("queued", "running")))
    ).first()
    if under_way is not None:
        return under_way
    if expected_count is not None and captioned != expected_count:
        raise Conflict(f"The selection gives {captioned:,} photos now, not {expected_count:,}; nothing was frozen.")
    last = session.scalar(select(func.max(DatasetVersion.number)).where(DatasetVersion.catalog_id == catalog_id))
    version = DatasetVersion(
        catalog_id=catalog_id,
        number=(last or 0) + 1,
        selection=chosen.query,
        sentence=sentence(chosen, captioned),
        created_by_id=person.id if person else None,
    )
    session.add(version)
    session.flush()
    version.job_id = jobs.request(session, "dataset.freeze", {"version_id": version.id}, person).id
    session.flush()
    return version


def freeze(session: Session, storage: Storage, version: DatasetVersion) -> None:
    """Freeze a version in one go. A version that is frozen stays as it is. Raises Refused, as the three steps do."""
    if version.content_hash is None:
        gathered = gather(session, version)
        record(session, storage, version, arrange(storage, gathered.candidates), gathered.opted_out)


def gather(session: Session, version: DatasetVersion) -> Gathered:
    """The selected photos that have a caption now. Raises Refused with counts when there is none."""
    chosen = parse(version.selection, version.catalog_id)
    total, _, opted_out = _count(session, chosen)
    rows = session.execute(
        chosen.select(
            Image.id,
            Image.file_name,
            Image.render_path,
            Image.width_px,
            Image.height_px,
            Image.product,
            Image.category,
            Caption.id,
            Caption.text,
            Image.sha256,
            Image.format,
            Image.was_read_strictly,
            PhotoIndex.decided_by == "person",
            Signals.frame_keys,
            Signals.frame_thumbs,
            Image.source,
            Image.licence,
            Image.credit,
            Image.extra,
        )
        .where(Caption.id.is_not(None), _allowed(chosen))
        .order_by(Image.id)
    )
    candidates = [Candidate(*row) for row in rows]
    return Gathered(candidates, total - len(candidates), opted_out)


def arrange(storage: Storage, candidates: Sequence[Candidate]) -> list[Placed]:
    """Every candidate in its group and split.

    Raises Refused, naming photos, when picture files are missing, changed or damaged, and when a product or copies
    would be in both splits.
    """
    refuse_unsound(storage, candidates)
    keys = [candidate.frame_keys for candidate in candidates]
    copies = clusters(keys, lambda places: {place: candidates[place].frame_thumbs or b"" for place in places})
    names = group([(candidate.product, candidate.sha256) for candidate in candidates], copies)
    sizes: dict[str, int] = defaultdict(int)
    categories: dict[str, str] = {}
    for candidate, name in zip(candidates, names, strict=True):
        sizes[name] += 1
        category = label_key(candidate.category or "")
        categories[name] = min(categories.get(name, category), category)
    splits = split({name: Group(size, categories[name]) for name, size in sizes.items()})
    placed = [
        Placed(candidate, name, splits[name], number)
        for candidate, name, number in zip(candidates, names, copies, strict=True)
    ]
    refuse_leaks(placed)
    return placed


def refuse_leaks(placed: Sequence[Placed]) -> None:
    """The leak test: no product, picture or near copy in both splits. Raises Refused naming one that is."""
    seen: dict[tuple[str, str], Split] = {}
    for placement in placed:
        candidate, number = placement.candidate, placement.copies
        for kind, key, name in (
            ("product", label_key(candidate.product or ""), candidate.product),
            ("picture", candidate.sha256, candidate.sha256),
            ("copy of", "" if number is None else str(number), candidate.file_name),
        ):
            if key and seen.setdefault((kind, key), placement.split) != placement.split:
                raise Refused(f"The {kind} “{name}” would be in both train and validation, so nothing was frozen.")


def record(
    session: Session, storage: Storage, version: DatasetVersion, placed: Sequence[Placed], opted_out: int = 0
) -> None:
    """Write members, manifest and content hash. A version that another worker froze meanwhile stays as it is.

    `opted_out` is how many photos were left out because they were opted out of training.
    """
    session.refresh(version, with_for_update=True)
    if version.content_hash is not None:
        return
    folder = storage.dataset_folder(version.id)
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(_manifest_rows(storage, folder, placed))
    members = [
        {
            "version_id": version.id,
            "image_id": placement.candidate.image_id,
            "caption_id": placement.candidate.caption_id,
            "split": placement.split,
            "group": placement.group,
        }
        for placement in placed
    ]
    for start in range(0, len(members), _INSERTED_AT_ONCE):
        session.execute(insert(Member), members[start : start + _INSERTED_AT_ONCE])
    write_manifest(folder / MANIFEST, rows)
    unread = [row.candidate.image_id for row in placed if not row.candidate.was_read_strictly]
    for start in range(0, len(unread), _INSERTED_AT_ONCE):
        now_read = Image.id.in_(unread[start : start + _INSERTED_AT_ONCE])
        session.execute(update(Image).where(now_read).values(was_read_strictly=True))
    version.content_hash = content_hash(rows)
    version.sentence = sentence(parse(version.selection, version.catalog_id), len(rows))
    version.train_count = sum(row.split == "train" for row in rows)
    version.validation_count = len(rows) - version.train_count
    version.unseen_count = sum(not placement.candidate.is_seen for placement in placed)
    version.uncompared_count = sum(placement.copies is None for placement in placed)
    version.opted_out_count = opted_out
    version.frozen_at = utc_now()
    session.flush()


def _count(session: Session, chosen: Selection) -> tuple[int, int, int]:
    """How many photos are selected, how many of them have a caption, and how many more are left out because they are
    opted out of training. Raises Refused when either of the first two is none."""
    is_allowed = _allowed(chosen)
    total, captioned, opted_out = session.execute(
        chosen.select(
            func.count().filter(is_allowed),
            func.count(Caption.id).filter(is_allowed),
            func.count().filter(~is_allowed),
        )
    ).one()
    if total == 0 and opted_out:
        what = f"all {opted_out:,} selected photos" if opted_out > 1 else "the one selected photo"
        raise Refused(f"The owners of {what} opted out of training. Ask to take those too, or select others.")
    if total == 0:
        raise Refused(f"No photo matches {chosen.query or 'this selection'}, so there is nothing to freeze.")
    if captioned == 0:
        many = f"None of the {total:,} selected photos has" if total > 1 else "The one selected photo does not have"
        raise Refused(f"{many} a caption yet. Caption them first, then freeze.")
    return total, captioned, opted_out


def _manifest_rows(storage: Storage, folder: Path, placed: Sequence[Placed]) -> Iterator[ManifestRow]:
    """Rows whose files are relative to the manifest's folder, so that a data folder can be moved as a whole."""
    for placement in placed:
        yield ManifestRow(
            file=Path(os.path.relpath(storage.root / placement.candidate.file, folder)).as_posix(),
            caption=placement.candidate.caption,
            split=placement.split,
            group=placement.group,
            sha256=placement.candidate.sha256,
            width_px=placement.candidate.width_px,
            height_px=placement.candidate.height_px,
            source=placement.candidate.source,
            licence=placement.candidate.licence,
            credit=placement.candidate.credit,
            opt_out=rights.opt_out_said(placement.candidate.extra) or None,
        )
