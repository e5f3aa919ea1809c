"""The checks of a sheet: what each of its samples answers, counted by column, for pages, gates and reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from app.evaluation import columns, measuring, sample_rules
from app.evaluation.measure_tables import SampleMeasure
from app.evaluation.profiles import Profile
from app.evaluation.prompt_claims import PromptClaims, claims_of
from app.evaluation.sample_rules import Answer, NearestPhoto, SampleCheck, SampleFacts
from app.evaluation.tables import Prompt, Sample, Sheet


@dataclass(frozen=True, slots=True)
class CheckedSample:
    """One sample with its checks and what they come to. `nearest` is the training photo most like it."""

    sample_id: int
    prompt_id: int
    category: str
    seed: int
    checks: list[SampleCheck]
    answer: Answer
    is_packshot: bool
    nearest: NearestPhoto | None
    is_measured: bool

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy of a training photo."""
        return self.nearest is not None and self.nearest.is_copy


@dataclass(frozen=True, slots=True)
class CheckTally:
    """What the samples of a column answered to one check: the numbers of those that passed, failed, cannot tell."""

    name: str
    title: str
    is_required: bool
    passed: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    cannot_tell: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many samples the check applies to."""
        return len(self.passed) + len(self.failed) + len(self.cannot_tell)

    def of(self, answer: Answer) -> list[int]:
        """The samples that gave this answer."""
        return {"passed": self.passed, "failed": self.failed, "cannot_tell": self.cannot_tell}[answer]


@dataclass(frozen=True, slots=True)
class ColumnChecks:
    """All samples of one column of a sheet, in the order of prompts and seeds."""

    checkpoint_id: int
    run_id: int
    step: int
    samples: list[CheckedSample]

    @property
    def measured(self) -> int:
        """How many of its samples were measured."""
        return sum(sample.is_measured for sample in self.samples)

    @property
    def copies(self) -> list[int]:
        """The samples that are copies of training photos."""
        return [sample.sample_id for sample in self.samples if sample.is_copy]

    def of(self, answer: Answer) -> list[int]:
        """The samples whose checks come to this."""
        return [sample.sample_id for sample in self.samples if sample.answer == answer]

    def tallies(self, samples: Iterable[CheckedSample] | None = None) -> dict[str, CheckTally]:
        """Its checks by name, in their order; over some of its samples where given."""
        tallied: dict[str, CheckTally] = {}
        for sample in self.samples if samples is None else samples:
            for check in sample.checks:
                tally = tallied.setdefault(check.name, CheckTally(check.name, check.title, check.is_required))
                tally.of(check.answer).append(sample.sample_id)
        return tallied


def results(session: Session, sheet: Sheet, profile: Profile) -> list[ColumnChecks]:
    """What every sample of a sheet answers, column by column from left to right, held against a profile.

    Samples that were not measured cannot tell. Nothing is looked at anew: rules are held against what was measured.
    """
    by_checkpoint: dict[int, list[CheckedSample]] = {}
    asked: dict[int, PromptClaims] = {}
    rows = session.execute(
        select(Sample, Prompt, SampleMeasure)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .outerjoin(SampleMeasure, SampleMeasure.sample_id == Sample.id)
        .where(*measuring.of_sheet(session, sheet))
        .order_by(Prompt.position, Sample.seed, Sample.id)
        .options(load_only(*_READ))
    )
    for sample, prompt, row in rows:
        if prompt.id not in asked:
            asked[prompt.id] = claims_of(prompt.text, prompt.atoms)
        checked = _checked(sample, prompt, measuring.facts_of(sample, row), asked[prompt.id], profile, row is not None)
        by_checkpoint.setdefault(sample.checkpoint_id, []).append(checked)
    return [
        ColumnChecks(checkpoint.id, checkpoint.run_id, checkpoint.step, by_checkpoint.get(checkpoint.id, []))
        for checkpoint in columns.drawn_columns(session, sheet)
    ]


def of_sample(session: Session, sample: Sample, profile: Profile) -> CheckedSample:
    """What one sample answers."""
    prompt = session.get_one(Prompt, sample.prompt_id)
    row = session.get(SampleMeasure, sample.id)
    facts = measuring.facts_of(sample, row)
    return _checked(sample, prompt, facts, claims_of(prompt.text, prompt.atoms), profile, row is not None)


def progress(session: Session, sheet: Sheet) -> tuple[int, int]:
    """How many samples of a sheet were measured, and how many there are."""
    counted = (
        select(func.count(SampleMeasure.sample_id), func.count())
        .select_from(Sample)
        .join(Prompt, Prompt.id == Sample.prompt_id)
        .outerjoin(SampleMeasure, SampleMeasure.sample_id == Sample.id)
        .where(*measuring.of_sheet(session, sheet))
    )
    measured, drawn = session.execute(counted).one()
    return measured, drawn


# All but the vector, which is long and asked for nowhere here.
_READ = tuple(
    getattr(SampleMeasure, name)
    for name in ("version", "values", "evidence", "words", "failure", "nearest_id", "nearest_similarity")
)


def _checked(
    sample: Sample, prompt: Prompt, facts: SampleFacts, asked: PromptClaims, profile: Profile, is_measured: bool
) -> CheckedSample:
    held = sample_rules.checks(facts, asked, profile)
    return CheckedSample(
        sample.id, prompt.id, prompt.category, sample.seed, held, sample_rules.overall(held), asked.is_packshot,
        facts.nearest, is_measured,
    )  # fmt: skip
