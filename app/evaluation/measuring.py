"""What is measured of samples: asked for, kept, and read. The measuring itself is `workers/sample_job.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Embedding, Image, Signals
from app.catalog.text_lines import TextLine
from app.database import utc_now
from app.datasets.tables import Member
from app.evaluation import columns, likeness
from app.evaluation.likeness import Spread, Vectors
from app.evaluation.measure_tables import ColumnMetric, SampleMeasure
from app.evaluation.sample_rules import NearestPhoto, SampleFacts
from app.evaluation.tables import Prompt, Sample, Sheet
from app.people import Person
from app.training.tables import Checkpoint, TrainingRun

KIND: Final = "sheet.measure"
DIVERSITY: Final = "diversity"
BROKEN: Final = "Its file cannot be read any more."


@dataclass(frozen=True, slots=True)
class UnmeasuredSample:
    """A sample of which something is not measured: its file, and what of it is there already."""

    sample_id: int
    checkpoint_id: int
    sha256: str
    is_measured: bool
    is_seen: bool
    is_read: bool
    outline: str | None


@dataclass(frozen=True, slots=True)
class MeasuredSample:
    """What was measured of one sample: numbers by name, what is drawn to show why, or why it could not be measured."""

    sample_id: int
    values: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None


def request(session: Session, sheet: Sheet, person: Person | None = None) -> jobs.Job:
    """Ask for what is not measured of a sheet's samples. Asked again while the same waits, it is the same job."""
    return jobs.request_once(session, KIND, {"sheet_id": sheet.id}, person)


def newest_job(session: Session, sheet: Sheet) -> jobs.Job | None:
    """The newest job that measures a sheet."""
    mine = (jobs.Job.kind == KIND, jobs.Job.whole_id.is_(None), jobs.Job.arguments["sheet_id"].as_integer() == sheet.id)
    return session.scalars(select(jobs.Job).where(*mine).order_by(jobs.Job.id.desc()).limit(1)).first()


def of_sheet(session: Session, sheet: Sheet) -> tuple[ColumnElement[bool], ...]:
    """Which samples a sheet shows: those of its suite by its columns, whatever their tier."""
    checkpoint_ids = [checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)]
    return (Prompt.suite_id == sheet.suite_id, Sample.checkpoint_id.in_(checkpoint_ids))


def unmeasured(
    session: Session, sheet: Sheet, version: int, space_id: int | None, sample_ids: Sequence[int] | None = None
) -> list[UnmeasuredSample]:
    """The samples of a sheet of which this version measured nothing, that were not read, or not seen in the space.

    `space_id` None: there is no embedder. By id; of `sample_ids` alone where given.
    """
    is_measured = func.coalesce(SampleMeasure.version >= version, False)
    is_broken = func.coalesce(SampleMeasure.failure.is_not(None), False)
    is_seen = (
        func.coalesce(SampleMeasure.space_id == space_id, False) if space_id else SampleMeasure.version.is_not(None)
    )
    is_read = SampleMeasure.words.is_not(None)
    query = (
        select(Sample.id, Sample.checkpoint_id, Sample.sha256, is_measured, is_seen, is_read,
               SampleMeasure.evidence["outline"].as_string())
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .outerjoin(SampleMeasure, SampleMeasure.sample_id == Sample.id)
        .where(*of_sheet(session, sheet), or_(~is_measured, ~is_broken & ~(is_seen & is_read)))
        .order_by(Sample.id)
    )  # fmt: skip
    if sample_ids is not None:
        query = query.where(Sample.id.in_(sample_ids))
    return [UnmeasuredSample(*row) for row in session.execute(query)]


def record(session: Session, version: int, measured: Sequence[MeasuredSample]) -> None:
    """Keep what was measured, in place of what an older version did; samples that are gone are passed over."""
    _keep(session, [
        {"sample_id": each.sample_id, "version": version, "values": each.values, "evidence": each.evidence,
         "failure": each.failure, "measured_at": utc_now()}
        for each in measured
    ])  # fmt: skip


def record_words(session: Session, lines: Mapping[int, Sequence[TextLine] | None]) -> None:
    """Keep the text that was read in samples that were measured before; None: the file could not be read any more."""
    for sample_id, read in lines.items():
        row = session.get(SampleMeasure, sample_id)
        if row is not None and read is not None:
            row.words = [asdict(line) for line in read]
        elif row is not None:
            row.failure = BROKEN
    session.flush()


def record_vectors(session: Session, space_id: int, vectors: Mapping[int, Sequence[float]]) -> None:
    """Keep what the embedder saw in samples that were measured before; what was nearest before is forgotten."""
    for sample_id, vector in vectors.items():
        row = session.get(SampleMeasure, sample_id)
        if row is not None:
            row.space_id, row.vector, row.nearest_id, row.nearest_similarity = space_id, vector, None, None
    session.flush()


def _keep(session: Session, rows: list[dict[str, Any]]) -> None:
    there = set(session.scalars(select(Sample.id).where(Sample.id.in_([row["sample_id"] for row in rows]))))
    rows = [row for row in rows if row["sample_id"] in there]
    if rows:
        new = insert(SampleMeasure).values(rows)
        changed = {name: new.excluded[name] for name in rows[0] if name != "sample_id"}
        session.execute(new.on_conflict_do_update(index_elements=["sample_id"], set_=changed))


def uncompared(session: Session, space_id: int | None, sample_ids: Sequence[int]) -> dict[int, list[tuple[int, str]]]:
    """Those of some samples that were measured and not held against training photos: id and file, by the run's version.

    Those that were seen in the space, too, of which no nearest photo is known.
    """
    is_unheld: ColumnElement[bool] = SampleMeasure.values["copy_from"].is_(None)
    if space_id is not None:
        is_unseen = (SampleMeasure.space_id == space_id) & SampleMeasure.nearest_similarity.is_(None)
        is_unheld = or_(is_unheld, is_unseen)
    query = (
        select(TrainingRun.version_id, Sample.id, Sample.sha256)
        .select_from(Sample)
        .join(Checkpoint, Checkpoint.id == Sample.checkpoint_id)
        .join(TrainingRun, TrainingRun.id == Checkpoint.run_id)
        .join(SampleMeasure, SampleMeasure.sample_id == Sample.id)
        .where(Sample.id.in_(sample_ids), SampleMeasure.failure.is_(None), is_unheld)
        .order_by(Sample.id)
    )
    by_version: dict[int, list[tuple[int, str]]] = {}
    for version_id, sample_id, sha256 in session.execute(query):
        by_version.setdefault(version_id, []).append((sample_id, sha256))
    return by_version


def vectors_of(session: Session, sample_ids: Sequence[int]) -> tuple[list[int], Vectors]:
    """The samples that an embedder saw, by id, and their vectors (n, d) of length 1."""
    rows = session.execute(
        select(SampleMeasure.sample_id, func.halfvec_send(SampleMeasure.vector))
        .where(SampleMeasure.sample_id.in_(sample_ids), SampleMeasure.vector.is_not(None))
        .order_by(SampleMeasure.sample_id)
    ).all()
    return _stacked(rows)


def photos_of(session: Session, version_id: int, split: str, most: int | None = None) -> list[int]:
    """The photos of a version's split, by id; where there are more than `most`, evenly chosen ones."""
    ids = select(Member.image_id).where(Member.version_id == version_id, Member.split == split)
    numbers = list(session.scalars(ids.order_by(Member.image_id)))
    return numbers if most is None else numbers[:: max(1, -(-len(numbers) // most))]


def photo_vectors(session: Session, space_id: int, image_ids: Sequence[int]) -> tuple[list[int], Vectors]:
    """Those of some photos that were embedded in the space, by id, and their vectors (n, d) of length 1."""
    rows = session.execute(
        select(Embedding.image_id, func.halfvec_send(Embedding.vector))
        .where(Embedding.image_id.in_(image_ids), Embedding.space_id == space_id)
        .order_by(Embedding.image_id)
    ).all()
    return _stacked(rows)


def photo_keys(session: Session, image_ids: Sequence[int]) -> dict[int, bytes]:
    """The keys by which copies of photos are known, of those that have any."""
    rows = session.execute(
        select(Signals.image_id, Signals.frame_keys)
        .where(Signals.image_id.in_(image_ids), Signals.frame_keys.is_not(None))
        .order_by(Signals.image_id)
    )
    return {image_id: keys for image_id, keys in rows if keys}


def photo_thumbs(session: Session, image_ids: Sequence[int]) -> dict[int, bytes]:
    """The thumbs on which it is decided whether two pictures are copies."""
    rows = session.execute(select(Signals.image_id, Signals.frame_thumbs).where(Signals.image_id.in_(image_ids)))
    return {image_id: thumbs for image_id, thumbs in rows if thumbs}


def record_nearest(session: Session, nearest: Mapping[int, NearestPhoto]) -> None:
    """Keep each sample's nearest training photo."""
    # A photo may have been removed while the samples were compared with it.
    photos = {each.image_id for each in nearest.values()} - {None}
    there = set(session.scalars(select(Image.id).where(Image.id.in_(photos))))
    for sample_id, photo in nearest.items():
        row = session.get(SampleMeasure, sample_id)
        if row is not None:
            row.nearest_id = photo.image_id if photo.image_id in there else None
            row.nearest_similarity = photo.similarity
            row.values = {
                **row.values, "copy_from": photo.copy_from, "photos": photo.photos, "copy_rest": photo.rest,
            }  # fmt: skip
    session.flush()


def _stacked(rows: Sequence[Any]) -> tuple[list[int], Vectors]:
    if not rows:
        return [], np.empty((0, 0), np.float32)
    return [row[0] for row in rows], np.stack([_unpacked(row[1]) for row in rows])


def _unpacked(vector: bytes) -> Vectors:
    """A vector as pgvector sends it, made of length 1 again: halves are rounded."""
    numbers = np.frombuffer(vector, dtype=">f2", offset=4).astype(np.float32)
    length = float(np.linalg.norm(numbers))
    return numbers / length if length else numbers


def keep_diversity(session: Session, sheet: Sheet, space_id: int, made_with: str) -> dict[int, Spread]:
    """Work out how diverse each column of a sheet is, over all samples that were seen in the space; kept by checkpoint.

    A column whose prompts have one picture each has none. `made_with` names the embedder and its weights.
    """
    kept: dict[int, Spread] = {}
    for checkpoint in columns.drawn_columns(session, sheet):
        rows = session.execute(
            select(Sample.prompt_id, func.halfvec_send(SampleMeasure.vector))
            .join(SampleMeasure, SampleMeasure.sample_id == Sample.id)
            .join(Prompt, Prompt.id == Sample.prompt_id)
            .where(Prompt.suite_id == sheet.suite_id, Sample.checkpoint_id == checkpoint.id)
            .where(SampleMeasure.space_id == space_id)
            .order_by(Sample.prompt_id, Sample.seed)
        )
        piles: dict[int, list[Vectors]] = {}
        for prompt_id, vector in rows:
            piles.setdefault(prompt_id, []).append(_unpacked(vector))
        spread = likeness.diversity({prompt_id: np.stack(pile) for prompt_id, pile in piles.items()})
        same = {"suite_id": sheet.suite_id, "checkpoint_id": checkpoint.id, "name": DIVERSITY, "made_with": made_with}
        if spread is None:
            session.execute(delete(ColumnMetric).filter_by(**same))
            continue
        values = {"value": spread.value, "low": spread.low, "high": spread.high, "count": spread.count}
        new = insert(ColumnMetric).values(**same, **values, created_at=utc_now())
        session.execute(new.on_conflict_do_update(index_elements=list(same), set_=values | {"created_at": utc_now()}))
        kept[checkpoint.id] = spread
    return kept


def facts_of(sample: Sample, row: SampleMeasure | None) -> SampleFacts:
    """What is known of a sample."""
    size = sample.width_px, sample.height_px
    if row is None:
        return SampleFacts(*size, failure="It was not measured yet.")
    if row.failure:
        return SampleFacts(*size, failure=row.failure)
    nearest, values = None, row.values
    if "copy_from" in values:
        rest = values.get("copy_rest")
        nearest = NearestPhoto(
            row.nearest_id, row.nearest_similarity, float(values["copy_from"]), values["photos"], rest
        )
    return SampleFacts(
        *size, values=row.values, outline=row.evidence.get("outline") or "", lines=lines_of(row.words), nearest=nearest
    )


def lines_of(words: Iterable[Mapping[str, Any]] | None) -> tuple[TextLine, ...] | None:
    """Lines of text as they are kept, the surest first; None while they were not read."""
    if words is None:
        return None
    lines = [
        TextLine(line["text"], line["score"], (line["box"][0], line["box"][1], line["box"][2], line["box"][3]),
                 line["is_beside"], line.get("is_tiled", False))
        for line in words
    ]  # fmt: skip
    return tuple(sorted(lines, key=lambda line: -line.score))
