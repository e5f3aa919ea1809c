"""What people said of a sheet, and what was measured of it, as rows of tables: every vote, answer, failure and number.

Nothing is summed up and nothing left out: what was taken back says when. Rows come in pieces, so that a sheet of any
size costs little memory.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, aliased

from app.evaluation import columns, failures
from app.evaluation.measure_tables import ColumnMetric, SampleMeasure
from app.evaluation.tables import Prompt, PromptPhoto, Sample, Sheet
from app.evaluation.vote_tables import FailureTag, Guest, UsableAnswer, Vote
from app.people import Person
from app.training.tables import Checkpoint

AT_ONCE: Final = 2_000
HIDDEN: Final = "held out"
_BY: Final = ("voter", "kind of voter")
_PROMPT: Final = ("prompt", "tier", "category", "text", "seed")
VOTES: Final = (
    "vote", "when", *_BY, *_PROMPT, "left run", "left step", "right run", "right step", "choice", "seconds", "zoomed",
    "repeats vote", "taken back",
)  # fmt: skip
ANSWERS: Final = ("when", *_BY, "picture", "run", "step", *_PROMPT, "asked", "answer", "seconds", "taken back")
METRICS: Final = (
    "of", "run", "step", "sample", *_PROMPT, "metric", "value", "low", "high", "n", "made with", "measured",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeenPrompts:
    """The prompts whose words a reader may see; those of others are left out, what was said of them is not."""

    numbers: Collection[int]

    def cells(self, prompt: Prompt, seed: int | None) -> list[str]:
        """The columns of a prompt, and the seed."""
        text = prompt.text if prompt.id in self.numbers else HIDDEN
        return [str(prompt.position), prompt.tier, prompt.category, text, _text(seed)]


def votes(session: Session, sheet: Sheet, seen: SeenPrompts) -> Iterator[list[str]]:
    """Every vote on pairs, in the order in which they were given."""
    left, right = aliased(Checkpoint), aliased(Checkpoint)
    rows = (
        select(Vote, Prompt, left, right, Person.name, Guest.name)
        .join(Prompt, Prompt.id == Vote.prompt_id)
        .join(left, left.id == Vote.left_checkpoint_id)
        .join(right, right.id == Vote.right_checkpoint_id)
        .outerjoin(Person, Person.id == Vote.person_id)
        .outerjoin(Guest, Guest.id == Vote.guest_id)
        .where(Vote.sheet_id == sheet.id)
    )
    for vote, prompt, a, b, person, guest in _pieces(session, rows, Vote.id):
        yield [
            str(vote.id), vote.created_at.isoformat(), *_by(person, guest), *seen.cells(prompt, vote.seed),
            str(a.run_id), str(a.step), str(b.run_id), str(b.step), vote.choice, f"{vote.seconds:.2f}",
            _yes(vote.was_zoomed), _text(vote.repeats_id), _text(vote.withdrawn_at and vote.withdrawn_at.isoformat()),
        ]  # fmt: skip


def answers(session: Session, sheet: Sheet, seen: SeenPrompts) -> Iterator[list[str]]:
    """Every answer for single pictures, then every failure that was seen in one; also those of a sample that were given
    on another sheet, since it is the same picture."""
    mine = _samples(session, sheet)
    of_samples = (
        select(UsableAnswer, Sample, Checkpoint, Prompt, Person.name, Guest.name)
        .join(Sample, Sample.id == UsableAnswer.sample_id)
        .join(Checkpoint, Checkpoint.id == Sample.checkpoint_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .outerjoin(Person, Person.id == UsableAnswer.person_id)
        .outerjoin(Guest, Guest.id == UsableAnswer.guest_id)
        .where(mine)
    )
    for said, sample, checkpoint, prompt, person, guest in _pieces(session, of_samples, UsableAnswer.id):
        yield [
            said.created_at.isoformat(), *_by(person, guest), f"sample {sample.id}", str(checkpoint.run_id),
            str(checkpoint.step), *seen.cells(prompt, sample.seed), "publish", _yes(said.is_usable),
            f"{said.seconds:.2f}", _text(said.superseded_at and said.superseded_at.isoformat()),
        ]  # fmt: skip
    of_photos = (
        select(UsableAnswer, PromptPhoto, Prompt, Person.name, Guest.name)
        .join(PromptPhoto, PromptPhoto.id == UsableAnswer.prompt_photo_id)
        .join(Prompt, Prompt.id == PromptPhoto.prompt_id)
        .outerjoin(Person, Person.id == UsableAnswer.person_id)
        .outerjoin(Guest, Guest.id == UsableAnswer.guest_id)
        .where(UsableAnswer.sheet_id == sheet.id)
    )
    for said, photo, prompt, person, guest in _pieces(session, of_photos, UsableAnswer.id):
        yield [
            said.created_at.isoformat(), *_by(person, guest), f"photo {photo.image_id}", "", "",
            *seen.cells(prompt, None), "publish", _yes(said.is_usable), f"{said.seconds:.2f}",
            _text(said.superseded_at and said.superseded_at.isoformat()),
        ]  # fmt: skip
    yield from _failures(session, mine, seen)


def metrics(session: Session, sheet: Sheet, seen: SeenPrompts) -> Iterator[list[str]]:
    """Every number of a sheet: those of whole columns with interval and n, then those of each picture."""
    own = {checkpoint.id: checkpoint for checkpoint in columns.drawn_columns(session, sheet)}
    of_columns = select(ColumnMetric).where(
        ColumnMetric.suite_id == sheet.suite_id, ColumnMetric.checkpoint_id.in_(list(own))
    )
    for metric in session.scalars(of_columns.order_by(ColumnMetric.checkpoint_id, ColumnMetric.name, ColumnMetric.id)):
        checkpoint = own[metric.checkpoint_id]
        yield [
            "column", str(checkpoint.run_id), str(checkpoint.step), "", "", "", "", "", "", metric.name,
            _text(metric.value), _text(metric.low), _text(metric.high), str(metric.count), metric.made_with,
            metric.created_at.isoformat(),
        ]  # fmt: skip
    rows = (
        select(SampleMeasure, Sample, Prompt)
        .join(Sample, Sample.id == SampleMeasure.sample_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .where(_samples(session, sheet))
    )
    for measure, sample, prompt in _pieces(session, rows, SampleMeasure.sample_id):
        checkpoint = own[sample.checkpoint_id]
        for name, value in _values(measure):
            yield [
                "picture", str(checkpoint.run_id), str(checkpoint.step), str(sample.id),
                *seen.cells(prompt, sample.seed), name, value, "", "", "", str(measure.version),
                measure.measured_at.isoformat(),
            ]  # fmt: skip


def _failures(session: Session, mine: ColumnElement[bool], seen: SeenPrompts) -> Iterator[list[str]]:
    rows = (
        select(FailureTag, Sample, Checkpoint, Prompt, Person.name, Guest.name)
        .join(Sample, Sample.id == FailureTag.sample_id)
        .join(Checkpoint, Checkpoint.id == Sample.checkpoint_id)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .outerjoin(Person, Person.id == FailureTag.person_id)
        .outerjoin(Guest, Guest.id == FailureTag.guest_id)
        .where(mine)
    )
    for tag, sample, checkpoint, prompt, person, guest in _pieces(session, rows, FailureTag.id):
        yield [
            tag.created_at.isoformat(), *_by(person, guest), f"sample {sample.id}", str(checkpoint.run_id),
            str(checkpoint.step), *seen.cells(prompt, sample.seed), "what is wrong",
            failures.WORDS[failures.known(tag.tag)], "", _text(tag.removed_at and tag.removed_at.isoformat()),
        ]  # fmt: skip


def _samples(session: Session, sheet: Sheet) -> ColumnElement[bool]:
    """That a sample is of the sheet."""
    own = [checkpoint.id for checkpoint in columns.drawn_columns(session, sheet)]
    of_suite = select(Prompt.id).where(Prompt.suite_id == sheet.suite_id)
    return Sample.checkpoint_id.in_(own) & Sample.prompt_id.in_(of_suite)


def _pieces(session: Session, rows: Select[*tuple[Any, ...]], number: Any) -> Iterator[Any]:
    """The rows by the number of what they tell of, some at a time."""
    last = 0
    while some := session.execute(rows.where(number > last).order_by(number).limit(AT_ONCE)).all():
        yield from some
        last = some[-1][0].sample_id if isinstance(some[-1][0], SampleMeasure) else some[-1][0].id


def _values(measure: SampleMeasure) -> Iterator[tuple[str, str]]:
    """What was measured of a sample, by name; why it could not be, where it could not."""
    for name, value in sorted(measure.values.items()):
        yield name, _text(value)
    if measure.nearest_similarity is not None:
        yield "nearest_similarity", _text(measure.nearest_similarity)
        yield "nearest_photo", _text(measure.nearest_id)
    if measure.failure is not None:
        yield "failure", measure.failure


def _by(person: str | None, guest: str | None) -> tuple[str, str]:
    return (guest, "guest") if guest is not None else (person or "", "person")


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _yes(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
