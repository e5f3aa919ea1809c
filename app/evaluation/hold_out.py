"""The held-out prompts of a suite: hidden until they are opened for a sheet, and every opening counted.

What was seen cannot be unseen, so an opening counts for every version of a suite that has the same prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import people
from app.database import utc_now
from app.errors import NotFound, Refused
from app.evaluation import suites
from app.evaluation.promotion_tables import HoldOutUse
from app.evaluation.tables import Prompt, Sample, Sheet, Suite
from app.people import Person

HOLD_OUT = "hold_out"


@dataclass(frozen=True, slots=True)
class HoldOutOpening:
    """One opening: for which sheet, by whom (None: by nobody who is known any more), of which version."""

    use: HoldOutUse
    sheet: Sheet
    suite: Suite
    person: Person | None


def open_for(session: Session, suite: Suite, sheet: Sheet, person: Person) -> HoldOutUse:
    """Open the held-out prompts for a sheet of the suite; once for each sheet, however often it is asked.

    Raises Refused for a sheet of another suite and for a suite that holds nothing out.
    """
    if sheet.suite_id != suite.id:
        raise Refused("This sheet is drawn from another suite, so its held-out prompts are others.")
    if not any(prompt.tier == HOLD_OUT for prompt in suites.prompts_of(session, suite)):
        raise Refused("This suite holds no prompts out.")
    row = {"suite_id": suite.id, "sheet_id": sheet.id, "person_id": person.id, "created_at": utc_now()}
    session.execute(insert(HoldOutUse).values(row).on_conflict_do_nothing())
    return session.scalars(select(HoldOutUse).filter_by(suite_id=suite.id, sheet_id=sheet.id)).one()


def openings(session: Session, suite: Suite) -> list[HoldOutOpening]:
    """Every opening of prompts that this suite holds out, in whichever version, the newest first."""
    mine = select(Prompt.text).where(Prompt.suite_id == suite.id, Prompt.tier == HOLD_OUT)
    same = select(Prompt.suite_id).where(Prompt.tier == HOLD_OUT, Prompt.text.in_(mine))
    rows = session.execute(
        select(HoldOutUse, Sheet, Suite, Person)
        .join(Sheet, Sheet.id == HoldOutUse.sheet_id)
        .join(Suite, Suite.id == HoldOutUse.suite_id)
        .outerjoin(Person, Person.id == HoldOutUse.person_id)
        .where(HoldOutUse.suite_id.in_(same))
        .order_by(HoldOutUse.created_at.desc(), HoldOutUse.id.desc())
    )
    return [HoldOutOpening(*row) for row in rows]


def opened_texts(session: Session, suite: Suite) -> set[str]:
    """The texts of the held-out prompts that somebody has opened, in this version or another."""
    used = select(HoldOutUse.suite_id)
    mine = select(Prompt.text).where(Prompt.suite_id == suite.id, Prompt.tier == HOLD_OUT)
    return set(
        session.scalars(
            select(Prompt.text).where(Prompt.tier == HOLD_OUT, Prompt.suite_id.in_(used), Prompt.text.in_(mine))
        )
    )


def shown(session: Session, suite: Suite, person: Person) -> Sequence[Prompt]:
    """The prompts that a person may see, in their order: the held-out ones are for leads, once they were opened."""
    prompts = suites.prompts_of(session, suite)
    opened = opened_texts(session, suite) if people.at_least(person, "lead") else set()
    return [prompt for prompt in prompts if prompt.tier != HOLD_OUT or prompt.text in opened]


def seen_sample(session: Session, sample_id: int, person: Person) -> Sample:
    """A sample that a person may see. Raises NotFound, also for one of a held-out prompt that is hidden from them."""
    row = session.execute(
        select(Sample, Prompt).join(Prompt, Prompt.id == Sample.prompt_id).where(Sample.id == sample_id)
    ).one_or_none()
    if row is None or (row.Prompt.tier == HOLD_OUT and not _may_see(session, row.Prompt, person)):
        raise NotFound(f"There is no sample {sample_id}.")
    sample: Sample = row.Sample
    return sample


def _may_see(session: Session, prompt: Prompt, person: Person) -> bool:
    suite = session.get_one(Suite, prompt.suite_id)
    return people.at_least(person, "lead") and prompt.text in opened_texts(session, suite)


def unopened(session: Session, suite: Suite) -> Sequence[Prompt]:
    """The prompts that nobody has opened yet: hidden from everybody."""
    opened = opened_texts(session, suite)
    return [p for p in suites.prompts_of(session, suite) if p.tier == HOLD_OUT and p.text not in opened]
