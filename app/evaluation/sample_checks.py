"""What machines found in samples, as verdicts read it: one answer for each sample that was measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluation.measure_tables import SampleMeasure


@dataclass(frozen=True, slots=True)
class NearestPhoto:
    """The photo that a sample's run learned from that looks most like it, and how much: a cosine, -1 to 1."""

    image_id: int | None
    similarity: float


@dataclass(frozen=True, slots=True)
class CheckedSamples:
    """By the number of a sample; a sample that is not in it was not measured, None is "cannot tell".

    `hard_fails`: whether it breaks a hard rule of the house's profile. `follows`: whether what its prompt claims and a
    machine can see is so. `looks_copied`: whether it is nearer to a photo that its run learned from than real photos
    are to each other.
    """

    hard_fails: Mapping[int, bool | None] = field(default_factory=dict)
    follows: Mapping[int, bool | None] = field(default_factory=dict)
    looks_copied: Mapping[int, bool | None] = field(default_factory=dict)
    nearest: Mapping[int, NearestPhoto] = field(default_factory=dict)


def of_samples(session: Session, sample_ids: Collection[int]) -> CheckedSamples:
    """What was found in these samples."""
    rows = session.execute(
        select(SampleMeasure.sample_id, SampleMeasure.nearest_id, SampleMeasure.nearest_similarity).where(
            SampleMeasure.sample_id.in_(sample_ids), SampleMeasure.nearest_similarity.is_not(None)
        )
    )
    return CheckedSamples(nearest={number: NearestPhoto(image_id, alike or 0.0) for number, image_id, alike in rows})
