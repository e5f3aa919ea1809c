"""What the team's answers say of agreement: between people, with known answers, and how much captions are changed.

A person's report is for that person and for leads; how fast somebody works, for that person alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from app import people
from app.captions.tables import Caption
from app.catalog.tables import Image
from app.desk.agreement import Kappa, SureShare, kappa, median, surely, words_changed
from app.desk.tables import QueueAnswer, QueuePhoto, ReviewQueue
from app.people import Person

CAPTIONS_READ: Final = 500
"""Of a person's newest captions; more would not change a median."""
Table = tuple[int, int, int, int]
"""How often two people both kept, the first kept and the other rejected, the other way round, both rejected."""
_JUDGED: Final = ("kept", "rejected")


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two people who judged the same photos, and how well they agree."""

    one: Person
    other: Person
    kappa: Kappa


@dataclass(frozen=True, slots=True)
class PersonReport:
    """One person: with all others together, on known answers, and what they change in machines' captions.

    `words_changed` is the median share of words, of `captions` that they wrote in place of a captioner's. `seconds` is
    their median for a photo, None where not enough is known or it is not the reader's to see.
    """

    person: Person
    answers: int
    kappa: Kappa
    known: SureShare
    captions: int
    words_changed: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class AgreementReport:
    """A catalog's agreement: all pairs together, each pair, known answers, and each person whom the reader may see."""

    together: Kappa
    pairs: tuple[PairAgreement, ...]
    known: SureShare
    persons: tuple[PersonReport, ...]


def read(session: Session, catalog_id: int, reader: Person) -> AgreementReport:
    """The agreement of a catalog's queues. Pairs and people are those whom the reader may see: all for a lead, else
    oneself."""
    tables = _tables(session, catalog_id)
    everybody = {person.id: person for person in people.everybody(session)}
    is_lead = people.at_least(reader, "lead")
    pairs = tuple(
        PairAgreement(everybody[pair[0]], everybody[pair[1]], kappa(*table))
        for pair, table in sorted(tables.items())
        if everybody.keys() >= set(pair) and (is_lead or reader.id in pair)
    )
    known = _known(session, catalog_id)
    seen = [
        person for person in everybody.values()
        if people.at_least(person, "annotator") and (is_lead or person.id == reader.id)
    ]  # fmt: skip
    persons = [_of_person(session, catalog_id, person, reader, tables, known) for person in seen]
    return AgreementReport(
        together=kappa(*_summed(tables.values())),
        pairs=pairs,
        known=surely(sum(right for right, _ in known.values()), sum(n for _, n in known.values())),
        persons=tuple(each for each in persons if each.answers or each.captions),
    )


def _of_person(
    session: Session,
    catalog_id: int,
    person: Person,
    reader: Person,
    tables: dict[tuple[int, int], Table],
    known: dict[int, tuple[int, int]],
) -> PersonReport:
    own = [table for pair, table in tables.items() if person.id in pair]
    answered = (QueueAnswer.person_id == person.id, *_answers_of(catalog_id))
    seconds = session.scalars(
        select(QueueAnswer.seconds)
        .join(ReviewQueue, ReviewQueue.id == QueueAnswer.queue_id)
        .where(*answered, QueueAnswer.seconds < 300)
    ).all()  # longer is a break, and no photo
    changes = _changes(session, catalog_id, person)
    return PersonReport(
        person=person,
        answers=session.scalar(
            select(func.count())
            .select_from(QueueAnswer)
            .join(ReviewQueue, ReviewQueue.id == QueueAnswer.queue_id)
            .where(*answered)
        )
        or 0,
        kappa=kappa(*_summed(own)),
        known=surely(*known.get(person.id, (0, 0))),
        captions=len(changes),
        words_changed=median(changes),
        seconds=median([value for value in seconds if value is not None]) if person.id == reader.id else None,
    )


def _tables(session: Session, catalog_id: int) -> dict[tuple[int, int], Table]:
    """For each two people, the lower number first: both kept, the first kept and the second rejected, the other way
    round, both rejected. Photos with a known answer count, too: both were asked unseen."""
    first, second = aliased(QueueAnswer), aliased(QueueAnswer)
    rows = session.execute(
        select(
            first.person_id, second.person_id.label("other_id"), first.verdict, second.verdict.label("said"),
            func.count(),
        )
        .join(second, and_(second.queue_id == first.queue_id, second.image_id == first.image_id))
        .join(ReviewQueue, ReviewQueue.id == first.queue_id)
        .where(
            ReviewQueue.catalog_id == catalog_id, first.person_id < second.person_id,
            first.undone_at.is_(None), second.undone_at.is_(None),
            first.verdict.in_(_JUDGED), second.verdict.in_(_JUDGED),
        )
        .group_by(first.person_id, second.person_id, first.verdict, second.verdict)
    ).all()  # fmt: skip
    tables: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one_id, other_id, said, other_said, count in rows:
        tables[one_id, other_id][2 * (said == "rejected") + (other_said == "rejected")] += count
    return {pair: (a, b, c, d) for pair, (a, b, c, d) in tables.items()}


def _known(session: Session, catalog_id: int) -> dict[int, tuple[int, int]]:
    """By person: how many known answers they met, and how many they were asked."""
    is_right = QueueAnswer.verdict == QueuePhoto.known
    rows = session.execute(
        select(QueueAnswer.person_id, func.count().filter(is_right), func.count())
        .join(
            QueuePhoto, and_(QueuePhoto.queue_id == QueueAnswer.queue_id, QueuePhoto.image_id == QueueAnswer.image_id)
        )
        .join(ReviewQueue, ReviewQueue.id == QueueAnswer.queue_id)
        .where(*_answers_of(catalog_id), QueuePhoto.known.is_not(None))
        .group_by(QueueAnswer.person_id)
    )
    return {person_id: (right, asked) for person_id, right, asked in rows}


def _changes(session: Session, catalog_id: int, person: Person) -> list[float]:
    """The share of words that a person changed, of each newest caption of theirs that took a captioner's place."""
    before = aliased(Caption)
    rows = session.execute(
        select(before.text, Caption.text)
        .join(before, before.id == Caption.parent_id)
        .join(Image, Image.id == Caption.image_id)
        .where(
            Image.catalog_id == catalog_id, Caption.person_id == person.id, Caption.written_by == "person",
            before.written_by == "captioner", Caption.undone_at.is_(None), Caption.operation_id.is_(None),
        )
        .order_by(Caption.id.desc())
        .limit(CAPTIONS_READ)
    )  # fmt: skip
    return [words_changed(old, new) for old, new in rows]


def _answers_of(catalog_id: int) -> tuple[ColumnElement[bool], ...]:
    return (ReviewQueue.catalog_id == catalog_id, QueueAnswer.undone_at.is_(None), QueueAnswer.verdict.is_not(None))


def _summed(tables: Iterable[Table]) -> Table:
    columns = list(zip(*tables, strict=True)) or [(), (), (), ()]
    return sum(columns[0]), sum(columns[1]), sum(columns[2]), sum(columns[3])
