"""What machines found in the samples of a sheet, as verdicts read it: one answer for each sample that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.orm import Session

from app.evaluation import checking_samples, profile_editing
from app.evaluation.profiles import RULE_OF
from app.evaluation.sample_rules import NearestPhoto, SampleCheck
from app.evaluation.tables import Sheet

COPY: Final = "copy"


@dataclass(frozen=True, slots=True)
class MachineAnswers:
    """By the number of a sample; a sample that is not in it was not measured, None is "cannot tell".

    `hard_fails`: whether a packshot breaks a required rule of the sheet's profile. `follows`: whether what its prompt
    claims and a machine can see is so. `looks_copied`: whether it is a copy of a photo that its run learned from.
    """

    hard_fails: Mapping[int, bool | None] = field(default_factory=dict)
    follows: Mapping[int, bool | None] = field(default_factory=dict)
    looks_copied: Mapping[int, bool | None] = field(default_factory=dict)
    nearest: Mapping[int, NearestPhoto] = field(default_factory=dict)


def of_sheet(session: Session, sheet: Sheet) -> MachineAnswers:
    """What was found in a sheet's samples, held against the profile that the sheet is held against."""
    hard_fails: dict[int, bool | None] = {}
    follows: dict[int, bool | None] = {}
    looks_copied: dict[int, bool | None] = {}
    nearest: dict[int, NearestPhoto] = {}
    for column in checking_samples.results(session, sheet, profile_editing.of_sheet(session, sheet)):
        for sample in column.samples:
            if not sample.is_measured:
                continue
            rules = [check for check in sample.checks if check.name in RULE_OF and check.is_required]
            asked = [check for check in sample.checks if check.name not in RULE_OF and check.name != COPY]
            if sample.is_packshot and rules:
                passes = _all_pass(rules)
                hard_fails[sample.sample_id] = None if passes is None else not passes
            if asked:
                follows[sample.sample_id] = _all_pass(asked)
            if sample.nearest is not None:
                nearest[sample.sample_id] = sample.nearest
                looks_copied[sample.sample_id] = sample.is_copy
    return MachineAnswers(hard_fails, follows, looks_copied, nearest)


def _all_pass(checks: Sequence[SampleCheck]) -> bool | None:
    """One that fails is enough to fail; else one that cannot tell is enough not to."""
    said = {check.answer for check in checks}
    return False if "failed" in said else None if "cannot_tell" in said else True
