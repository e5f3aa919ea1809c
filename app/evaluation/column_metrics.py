"""Metrics of whole columns, from what an embedder saw in their samples: measured, kept, read, and which there are.

All of one space: the built-in EfficientNet-Lite0, or the model that PACKSHOT_EMBEDDER names, which makes the same
numbers CMMD with CLIP and DINO-MMD with DINO. Photos that a run learned from are never the reference.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.catalog import embeddings
from app.catalog.tables import EmbeddedPhrase, Embedding, EmbeddingSpace
from app.database import utc_now
from app.datasets.tables import Member
from app.evaluation import columns, hold_out, look_metrics
from app.evaluation.look_metrics import Interval
from app.evaluation.measure_tables import ColumnMetric, SampleMeasure
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet
from app.training.tables import Checkpoint, TrainingRun

MetricName = Literal["variety", "likeness", "product", "distance", "words"]
Vectors = np.ndarray[Any, np.dtype[np.floating[Any]]]

METHOD: Final = 1
"""Of how they are counted; another number is another curve."""
REFERENCE_MOST: Final = 2_000
"""Held-out photos that a column is held against; of more, those with the lowest numbers."""
BUILT_IN: Final = "EfficientNet-Lite0"


@dataclass(frozen=True, slots=True)
class KeptMetric:
    """A metric of one column. `interval` is None where too little was drawn to tell; `count` is what there was."""

    checkpoint_id: int
    name: str
    made_with: str
    interval: Interval | None
    count: int


def measure(session: Session, sheet: Sheet) -> int:
    """Count all metrics of a sheet's columns anew and keep them; how many columns had vectors to count from."""
    measured = 0
    for checkpoint in columns.drawn_columns(session, sheet):
        for space, rows in _vectors(session, sheet, checkpoint).items():
            _keep(session, sheet, checkpoint, space, _counted(session, sheet, checkpoint, space, rows))
            measured += 1
    return measured


def kept(session: Session, sheet: Sheet) -> list[KeptMetric]:
    """The metrics of a sheet's columns, the newest where one was counted in several spaces."""
    own = [checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)]
    rows = session.scalars(
        select(ColumnMetric)
        .where(ColumnMetric.suite_id == sheet.suite_id, ColumnMetric.checkpoint_id.in_(own))
        .order_by(ColumnMetric.created_at, ColumnMetric.id)
    )
    newest = {(row.checkpoint_id, row.name): row for row in rows}
    return [
        KeptMetric(
            row.checkpoint_id, row.name, row.made_with,
            None if row.value is None or row.low is None or row.high is None
            else Interval(row.value, row.low, row.high, row.count),
            row.count,
        )
        for row in newest.values()
    ]  # fmt: skip


def space_of(session: Session, sheet: Sheet) -> EmbeddingSpace | None:
    """The space in which the sheet's samples were looked at last; None while none was."""
    own = [checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)]
    newest = (
        select(func.max(SampleMeasure.space_id))
        .join(Sample, Sample.id == SampleMeasure.sample_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == sheet.suite_id, Sample.checkpoint_id.in_(own))
    )
    number = session.scalar(newest)
    return session.get(EmbeddingSpace, number) if number is not None else None


def is_built_in(space: EmbeddingSpace) -> bool:
    """Whether it is the embedder that comes with the installation."""
    return space.model == BUILT_IN


@dataclass(frozen=True, slots=True)
class _SeenSample:
    """A sample as an embedder saw it."""

    prompt_id: int
    vector: Vectors
    nearest: float | None


def _vectors(session: Session, sheet: Sheet, checkpoint: Checkpoint) -> dict[int, list[_SeenSample]]:
    """The samples of a column that were looked at, by space; the held-out prompts are no part of any curve."""
    rows = session.execute(
        select(
            SampleMeasure.space_id, Sample.prompt_id, func.halfvec_send(SampleMeasure.vector),
            SampleMeasure.nearest_similarity,
        )
        .join(Sample, Sample.id == SampleMeasure.sample_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(Prompt.suite_id == sheet.suite_id, Prompt.tier != hold_out.HOLD_OUT)
        .where(Sample.checkpoint_id == checkpoint.id, SampleMeasure.vector.is_not(None))
        .order_by(Prompt.position, Sample.seed)
    )  # fmt: skip
    by_space: dict[int, list[_SeenSample]] = defaultdict(list)
    for space_id, prompt_id, packed, nearest in rows:
        vector = np.frombuffer(packed, dtype=">f2", offset=4).astype(np.float32)
        by_space[space_id].append(_SeenSample(prompt_id, vector, nearest))
    return by_space


def _counted(
    session: Session, sheet: Sheet, checkpoint: Checkpoint, space_id: int, seen: Sequence[_SeenSample]
) -> dict[MetricName, Interval | None]:
    piles: dict[int, list[_SeenSample]] = defaultdict(list)
    for each in seen:
        piles[each.prompt_id].append(each)
    vectors = {prompt: np.stack([each.vector for each in own]) for prompt, own in piles.items()}
    near = {p: [each.nearest for each in own if each.nearest is not None] for p, own in piles.items()}
    reference = _held_out_photos(session, checkpoint, space_id)
    counted: dict[MetricName, Interval | None] = {
        "variety": look_metrics.variety(vectors),
        "likeness": look_metrics.mean(
            {prompt: float(np.mean(own)) for prompt, own in near.items() if own}, sum(map(len, near.values()))
        ),
        "product": _to_targets(vectors, _product_photos(session, sheet, space_id)),
        "distance": look_metrics.distance(
            np.stack([each.vector for each in seen]), [each.prompt_id for each in seen], reference
        ),
    }
    phrases = _phrases(session, sheet, space_id)
    if phrases:
        counted["words"] = _to_targets(vectors, phrases)
    return counted


def _to_targets(vectors: Mapping[int, Vectors], targets: Mapping[int, Vectors]) -> Interval | None:
    """How near the pictures of each prompt come to what they shall look like: to the nearest of its targets."""
    both = {prompt: own for prompt, own in vectors.items() if prompt in targets}
    means = {prompt: float((own @ targets[prompt].T).max(axis=1).mean()) for prompt, own in both.items()}
    return look_metrics.mean(means, sum(map(len, both.values())))


def _held_out_photos(session: Session, checkpoint: Checkpoint, space_id: int) -> Vectors:
    """What the run's version holds out, never what it learned from: (m, d)."""
    numbers = session.scalars(
        select(Member.image_id)
        .join(TrainingRun, TrainingRun.version_id == Member.version_id)
        .where(TrainingRun.id == checkpoint.run_id, Member.split == "validation")
        .order_by(Member.image_id)
        .limit(REFERENCE_MOST)
    ).all()
    return embeddings.vectors_of(session, space_id, numbers).astype(np.float32)


def _product_photos(session: Session, sheet: Sheet, space_id: int) -> dict[int, Vectors]:
    """The real photos of what each prompt asks for."""
    rows = session.execute(
        select(PromptPhoto.prompt_id, func.halfvec_send(Embedding.vector))
        .join(Prompt, Prompt.id == PromptPhoto.prompt_id)
        .join(Embedding, Embedding.image_id == PromptPhoto.image_id)
        .where(Prompt.suite_id == sheet.suite_id, Embedding.space_id == space_id)
    )
    return _stacked(rows)


def _phrases(session: Session, sheet: Sheet, space_id: int) -> dict[int, Vectors]:
    """The prompts as the embedder reads them, where it has."""
    rows = session.execute(
        select(Prompt.id, func.halfvec_send(EmbeddedPhrase.vector))
        .join(EmbeddedPhrase, EmbeddedPhrase.phrase == Prompt.text)
        .where(Prompt.suite_id == sheet.suite_id, EmbeddedPhrase.space_id == space_id)
    )
    return _stacked(rows)


def _stacked(rows: Any) -> dict[int, Vectors]:
    piles: dict[int, list[Vectors]] = defaultdict(list)
    for prompt_id, packed in rows:
        piles[prompt_id].append(np.frombuffer(packed, dtype=">f2", offset=4).astype(np.float32))
    return {prompt_id: np.stack(own) for prompt_id, own in piles.items()}


def _keep(
    session: Session,
    sheet: Sheet,
    checkpoint: Checkpoint,
    space_id: int,
    counted: Mapping[MetricName, Interval | None],
) -> None:
    space = session.get_one(EmbeddingSpace, space_id)
    said = f"{space.model} {space.revision} {space.preprocessing} {METHOD}"
    made_with = hashlib.sha256(said.encode()).hexdigest()
    for name, known in counted.items():
        numbers = {
            "value": known.value if known else None, "low": known.low if known else None,
            "high": known.high if known else None, "count": known.count if known else 0, "created_at": utc_now(),
        }  # fmt: skip
        key = {
            "suite_id": sheet.suite_id, "checkpoint_id": checkpoint.id, "name": name, "made_with": made_with,
        }  # fmt: skip
        session.execute(
            insert(ColumnMetric).values(key | numbers).on_conflict_do_update(index_elements=list(key), set_=numbers)
        )
