"""Freezing: a selection becomes an immutable dataset version with exact captions, split by product and copies.

Three steps, so that no transaction waits for the disk: `gather` reads what is selected, `arrange` checks files and
splits, `record` writes members, manifest and content hash at once. A version with a content hash never changes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, and_, func, null, or_, select, text, true
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.catalog import rights
from app.catalog.duplicate_tables import CopyPair, DuplicateGroup, DuplicateMember
from app.catalog.mend_tables import Mend
from app.catalog.mends import MASK_SUFFIX
from app.catalog.tables import Catalog, Image, Signals
from app.database import utc_now
from app.datasets import kinds, repeats
from app.datasets.arranging import Candidate, Gathered, Placed, arrange
from app.datasets.balance import AUTHOR, summarise
from app.datasets.leaks import Leak
from app.datasets.manifest import ManifestRow, facts_digest, hash_of_facts, hash_of_learned, learned, write_manifest
from app.datasets.tables import DatasetVersion
from app.errors import Conflict, NotFound, Refused
from app.jobs import Job
from app.labels.tables import LabelSet, LabelValue
from app.people import Person
from app.selection.labelled import joined
from app.selection.query import Selection, parse
from app.selection.tables import PhotoIndex
from app.selection.tallies import tally
from app.selection.wording import sentence
from app.storage import Storage

KEPT: Final = "decision:kept"
UNSEEN_TOO: Final = ("person", "rule")
BY_NOBODY: Final = ("rule", "none")
MANIFEST: Final = "manifest.jsonl"
SEED_AT_MOST: Final = 2**31 - 1


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


def allowed(chosen: Selection) -> Selection:
    """The selection without photos whose owners opted out of training, as it is frozen."""
    return chosen if _names_opt_out(chosen) else chosen.narrowed(optout=("no",))


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
    seed: int = 0,
    repeated: Sequence[repeats.Repeat] = (),
) -> DatasetVersion:
    """Ask for a version of these photos; a selection that is being frozen already is not frozen twice.

    An empty text means the kept photos. Photos that no person has decided on are taken only with `takes_unseen`, those
    whose owners opted out of training only with `takes_opted_out` or where the text itself asks for them.
    `expected_count` is how many photos the person was told, of those with a caption. `seed`, 0 or more, draws the
    split; `repeated` says which photos are shown more than once. Raises NotFound for an unknown catalog,
    selection.NotUnderstood for a text that does not parse, Refused with counts when nothing is selected or no selected
    photo has a caption, Refused where seed or a repeat is out of its range, and Conflict when it is another number of
    photos now.
    """
    # The lock makes two people's version numbers follow one another, and a double click one version.
    if session.get(Catalog, catalog_id, with_for_update={"key_share": True}) is None:
        raise NotFound(f"There is no catalog {catalog_id}.")
    if not 0 <= seed <= SEED_AT_MOST:
        raise Refused(f"The seed of a split is a whole number from 0 to {SEED_AT_MOST:,}.")
    rules = [asdict(repeat) for repeat in repeats.read(repeated, catalog_id)]
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
        .where(DatasetVersion.seed == seed, DatasetVersion.repeats == rules)
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
        seed=seed,
        repeats=rules,
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
        record(session, storage, version, arrange(storage, gathered, version.seed), gathered.opted_out)


def gather(session: Session, version: DatasetVersion) -> Gathered:
    """The selected photos that have a caption now. Raises Refused with counts when there is none."""
    chosen = parse(version.selection, version.catalog_id)
    total, _, opted_out = _count(session, chosen)
    rules = [repeats.Repeat(**rule) for rule in version.repeats or ()]
    times = repeats.times(session, chosen, rules)
    is_compared = and_(Signals.compared_at.is_not(None), Signals.compared_at >= Signals.measured_at)
    allowed = (Caption.id.is_not(None), _allowed(chosen))
    are_new = session.scalar(chosen.select(func.count()).where(*allowed, or_(Signals.image_id.is_(None), ~is_compared)))
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
            func.coalesce(is_compared, False),
            Signals.frame_keys,
            # Kilobytes of each photo, and needed only where copies are looked for.
            Signals.frame_thumbs if are_new else null(),
            Image.source,
            Image.licence,
            Image.credit,
            Image.extra,
            Image.mend_id,
            Mend.edits,
            Mend.mended_mask_sha256,
            PhotoIndex.labels,
            AUTHOR,
        )
        .outerjoin(Mend, Mend.id == Image.mend_id)
        .where(*allowed)
        .order_by(Image.id)
    )
    names = _label_names(session, version.catalog_id)
    places = {number: place for place, number in enumerate(names)}
    others = kinds.current(session, chosen)
    candidates = [
        Candidate(
            *(*row, times.get(row[0], 1), [names[number] for number in sorted(row.labels, key=places.__getitem__)]),
            others=others.get(row[0], {}),  # type: ignore[misc]  # behind all that the row has
        )
        for row in rows
    ]
    together = _together(session, version.catalog_id, {candidate.image_id for candidate in candidates})
    return Gathered(candidates, total - len(candidates), opted_out, together)


def _label_names(session: Session, catalog_id: int) -> dict[int, str]:
    """The labels of a catalog by number, each "set=label", in the order of its sets."""
    rows = session.execute(
        select(LabelValue.id, LabelSet.name, LabelValue.name)
        .join(LabelSet, LabelSet.id == LabelValue.set_id)
        .where(LabelSet.catalog_id == catalog_id)
        .order_by(LabelSet.position, LabelSet.id, LabelValue.position, LabelValue.id)
    )
    return {number: joined(set_name, label) for number, set_name, label in rows}


def _together(session: Session, catalog_id: int, chosen: set[int]) -> list[tuple[int, int]]:
    """Pairs of chosen photos that the catalog knows to be duplicates: copies, and those of one group, also where only
    their looks or a person tell it."""
    copies = select(CopyPair.first_id, CopyPair.second_id).where(
        CopyPair.catalog_id == catalog_id, ~CopyPair.is_variant
    )
    pairs = [(left, right) for left, right in session.execute(copies) if left in chosen and right in chosen]
    members = session.execute(
        select(DuplicateMember.group_id, DuplicateMember.image_id)
        .join(DuplicateGroup, DuplicateGroup.id == DuplicateMember.group_id)
        .where(DuplicateGroup.catalog_id == catalog_id, DuplicateGroup.is_current)
        .order_by(DuplicateMember.group_id, DuplicateMember.image_id)
    )
    first: dict[int, int] = {}
    for group_id, image_id in members:
        if image_id in chosen and (leading := first.setdefault(group_id, image_id)) != image_id:
            pairs.append((leading, image_id))
    return pairs


def note_leak(version: DatasetVersion, leak: Leak) -> None:
    """Keep which two photos would have been in both splits, for the page that tells so."""
    version.leak = {"kind": leak.kind, "learned_id": leak.learned_id, "held_out_id": leak.held_out_id}


def record(
    session: Session, storage: Storage, version: DatasetVersion, placed: Sequence[Placed], opted_out: int = 0
) -> None:
    """Write members, manifest and its hashes. A version that another worker froze meanwhile stays as it is.

    `opted_out` is how many photos were left out because they were opted out of training.
    """
    session.refresh(version, with_for_update=True)
    if version.content_hash is not None:
        return
    folder = storage.dataset_folder(version.id)
    folder.mkdir(parents=True, exist_ok=True)
    _write_members(session, version.id, placed)
    canonical: list[list[str]] = []
    digests: list[bytes] = []
    rows = _noting(_manifest_rows(storage, folder, placed), canonical, digests)
    version.file_sha256 = write_manifest(folder / MANIFEST, rows)
    version.content_hash = hash_of_learned(canonical)
    version.facts_hash = hash_of_facts(digests)
    version.keeps_kinds = True
    version.sentence = sentence(parse(version.selection, version.catalog_id), len(placed))
    version.train_count = sum(placement.split == "train" for placement in placed)
    version.validation_count = len(placed) - version.train_count
    version.unseen_count = sum(not placement.candidate.is_seen for placement in placed)
    version.uncompared_count = sum(placement.copies is None for placement in placed)
    version.opted_out_count = opted_out
    version.leak = None
    version.summary = summarise(session, version.id)
    version.frozen_at = utc_now()
    session.flush()


def _write_members(session: Session, version_id: int, placed: Sequence[Placed]) -> None:
    """All members in one statement, and that their originals were read strictly."""
    columns = {
        "images": [place.candidate.image_id for place in placed],
        "captions": [place.candidate.caption_id for place in placed],
        "splits": [place.split for place in placed],
        "groups": [place.group for place in placed],
        "digests": [place.candidate.sha256 for place in placed],
        "times": [place.repeats for place in placed],
        "mends": [place.candidate.mend_id for place in placed],
    } | {kind: [place.candidate.others.get(kind, (None,))[0] for place in placed] for kind in kinds.COLUMNS}
    session.execute(_INSERT_MEMBERS, {"version_id": version_id, **columns})
    unread = [place.candidate.image_id for place in placed if not place.candidate.was_read_strictly]
    if unread:
        session.execute(
            text("update image set was_read_strictly = true where id = any(cast(:ids as bigint[]))"), {"ids": unread}
        )


_INSERT_MEMBERS: Final = text("""
    insert into member (
        version_id, image_id, caption_id, split, "group", sha256, repeats, mend_id, short_id, tags_id, facts_id)
    select :version_id, image_id, caption_id, split, name, sha256, repeats, mend_id, short_id, tags_id, facts_id
    from unnest(
        cast(:images as bigint[]), cast(:captions as bigint[]), cast(:splits as text[]), cast(:groups as text[]),
        cast(:digests as text[]), cast(:times as smallint[]),
        cast(:mends as bigint[]), cast(:short as bigint[]), cast(:tags as bigint[]), cast(:facts as bigint[])
    ) as placed (image_id, caption_id, split, name, sha256, repeats, mend_id, short_id, tags_id, facts_id)
""")


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


def _noting(rows: Iterator[ManifestRow], canonical: list[list[str]], digests: list[bytes]) -> Iterator[ManifestRow]:
    """The rows as they come; what is learned of each is added to `canonical`, what else it tells to `digests`."""
    for row in rows:
        canonical.append(learned(row))
        digests.append(facts_digest(row))
        yield row


def _manifest_rows(storage: Storage, folder: Path, placed: Sequence[Placed]) -> Iterator[ManifestRow]:
    """Rows whose files are relative to the manifest's folder, so that a data folder can be moved as a whole."""
    root = Path(os.path.relpath(storage.root, folder)).as_posix()
    for placement in placed:
        photo = placement.candidate
        mask = storage.path("masks", photo.mask_sha256, MASK_SUFFIX) if photo.mask_sha256 is not None else None
        yield ManifestRow(
            file=f"{root}/{photo.file}",
            caption=photo.caption,
            split=placement.split,
            group=placement.group,
            sha256=photo.sha256,
            width_px=photo.width_px,
            height_px=photo.height_px,
            source=photo.source,
            licence=photo.licence,
            credit=photo.credit,
            opt_out=rights.opt_out_said(photo.extra) or None,
            repeats=placement.repeats,
            mend={"id": photo.mend_id, **(photo.mend_edits or {})} if photo.mend_id is not None else None,
            mask=f"{root}/{mask.relative_to(storage.root).as_posix()}" if mask is not None else None,
            image_id=photo.image_id,
            original_name=photo.file_name,
            product=photo.product,
            category=photo.category,
            labels=list(photo.labels) or None,
            caption_by=photo.caption_by,
            **{f"caption_{kind}": text for kind, (_, text) in photo.others.items()},
        )
