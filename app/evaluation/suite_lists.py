"""Suites as lists show them: versions with their prompts by tier, sheets drawn from each, photos beside prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog
from app.evaluation.tables import Prompt, PromptPhoto, Sheet, Suite
from app.people import Person

VERSIONS_AT_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of a suite: its prompts by tier, how many sheets are drawn from it, and who made it."""

    suite: Suite
    by_tier: dict[str, int]
    sheets: int
    person: Person | None
    catalog: Catalog | None

    @property
    def prompts(self) -> int:
        """How many prompts it has, those held out too."""
        return sum(self.by_tier.values())


def listed(session: Session, catalog_id: int | None = None) -> list[list[ListedVersion]]:
    """The suites, of a catalog or all, each with its versions from the newest on; the newest suite first."""
    rows = select(Suite, Person, Catalog).outerjoin(Person, Person.id == Suite.created_by_id)
    rows = rows.outerjoin(Catalog, Catalog.id == Suite.catalog_id).order_by(Suite.id.desc()).limit(VERSIONS_AT_MOST)
    if catalog_id is not None:
        rows = rows.where(Suite.catalog_id == catalog_id)
    versions = session.execute(rows).all()
    ids = [suite.id for suite, _, _ in versions]
    tiers: dict[int, dict[str, int]] = defaultdict(dict)
    counted = select(Prompt.suite_id, Prompt.tier, func.count()).where(Prompt.suite_id.in_(ids))
    for suite_id, tier, count in session.execute(counted.group_by(Prompt.suite_id, Prompt.tier)):
        tiers[suite_id][tier] = count
    drawn = select(Sheet.suite_id, func.count().label("n")).where(Sheet.suite_id.in_(ids)).group_by(Sheet.suite_id)
    sheets: dict[int, int] = {row.suite_id: row.n for row in session.execute(drawn)}
    by_name: dict[str, list[ListedVersion]] = defaultdict(list)
    for suite, person, catalog in versions:
        by_name[suite.name].append(ListedVersion(suite, tiers[suite.id], sheets.get(suite.id, 0), person, catalog))
    return [sorted(pile, key=lambda each: -each.suite.version) for pile in by_name.values()]


def sheets_of(session: Session, suite: Suite) -> Sequence[Sheet]:
    """The sheets drawn from a version, the newest first."""
    return session.scalars(select(Sheet).where(Sheet.suite_id == suite.id).order_by(Sheet.id.desc())).all()


def photos_of(session: Session, suite: Suite) -> dict[int, list[int]]:
    """The real photos beside each prompt, in the order of the suite's seeds."""
    rows = select(PromptPhoto.prompt_id, PromptPhoto.image_id).join(Prompt, Prompt.id == PromptPhoto.prompt_id)
    photos: dict[int, list[int]] = defaultdict(list)
    for prompt_id, image_id in session.execute(rows.where(Prompt.suite_id == suite.id).order_by(PromptPhoto.position)):
        photos[prompt_id].append(image_id)
    return photos
