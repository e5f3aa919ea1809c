"""Agreement: kappa against the textbook, bounds, words changed; and who may see whose."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app.captions import writing
from app.desk import holding, queues, reports
from app.desk.agreement import MIN_PAIRS, Kappa, kappa, surely, words_changed
from app.review import decisions
from app.selection.query import parse
from tests import cast


def test_kappa_is_what_the_textbook_says() -> None:
    """Fleiss's example of 50 pairs: both yes 20, 5 and 10 apart, both no 15: observed 0.7, by chance 0.5, kappa 0.4."""
    found = kappa(20, 5, 10, 15)
    assert found.value == pytest.approx(0.4) and found.low is not None and found.high is not None
    assert 0.1 < found.low < 0.2 and 0.6 < found.high < 0.68, "about 0.4 ± 0.26"
    assert kappa(25, 0, 0, 25).value == 1
    assert kappa(0, 25, 25, 0).value == -1


@pytest.mark.parametrize("table", [(0, 0, 0, 0), (MIN_PAIRS - 1, 0, 0, 0), (50, 0, 0, 0)])
def test_what_cannot_be_told_is_not(table: tuple[int, int, int, int]) -> None:
    assert kappa(*table) == Kappa(sum(table)), "too few, or everybody always said the same"


def test_a_share_has_a_bound_that_it_surely_reaches() -> None:
    """54 of 60 are surely 81 %, 90 of 100 surely 84 %."""
    assert surely(54, 60).low == pytest.approx(0.813, abs=0.005)
    assert surely(90, 100).low == pytest.approx(0.836, abs=0.005)
    assert (surely(0, 8).low, surely(0, 0).low) == (0.0, None)


def test_words_changed() -> None:
    assert words_changed("A red kettle", "A  red kettle") == 0
    assert words_changed("A red kettle", "A blue kettle") == pytest.approx(1 / 3)
    assert words_changed("", "A kettle") == 1
    assert words_changed("", "") == 0


def test_a_report_is_for_its_person_and_for_leads(session: Session) -> None:
    pile = cast.catalog(session)
    lead = cast.person(session, "Ana")
    ben, mei = (cast.person(session, name, "annotator") for name in ("Ben", "Mei"))
    known = cast.image(session, pile)
    decisions.decide(session, known, lead, "rejected", "blurred")
    photos = [cast.image(session, pile, caption="A red kettle") for _ in range(MIN_PAIRS)]
    queue = queues.make(
        session, lead, parse("decision:unseen", pile.id), "Twice", overlap=2, person_ids=[ben.id, mei.id], known=1
    )
    for number, photo in enumerate([*photos, known]):
        first = "kept" if number % 2 else "rejected"
        holding.decide(session, queue, photo, ben, first)
        holding.decide(session, queue, photo, mei, "kept" if number < 2 else first)
    standing = writing.current(session, [photos[0].id])[photos[0].id]
    writing.rewrite(session, photos[0].id, "A blue kettle", ben, standing.id)
    report = reports.read(session, pile.id, lead)
    assert report.together.n == MIN_PAIRS + 1 and report.together.value is not None and report.together.value > 0.8
    assert [(pair.one.name, pair.other.name) for pair in report.pairs] == [("Ben", "Mei")]
    assert (report.known.count, report.known.n) == (2, 2)
    by_name = {each.person.name: each for each in report.persons}
    assert by_name.keys() == {"Ben", "Mei"}
    assert by_name["Ben"].words_changed == pytest.approx(1 / 3) and by_name["Ben"].seconds is None
    own = reports.read(session, pile.id, mei)
    assert [each.person.name for each in own.persons] == ["Mei"]


def test_pairs_are_for_the_two_and_for_leads_and_speed_for_oneself(session: Session) -> None:
    pile = cast.catalog(session)
    lead = cast.person(session, "Ana")
    ben, mei, joe = (cast.person(session, name, "annotator") for name in ("Ben", "Mei", "Joe"))
    photo = cast.image(session, pile)
    queue = queues.make(session, lead, parse("", pile.id), "Twice", overlap=2)
    for person in (ben, mei):
        holding.ahead(session, queue, person)
        holding.decide(session, queue, photo, person, "kept")
    seen = {reader.name: reports.read(session, pile.id, reader) for reader in (lead, ben, joe)}
    assert {name: len(report.pairs) for name, report in seen.items()} == {"Ana": 1, "Ben": 1, "Joe": 0}
    assert [each.seconds is not None for each in seen["Ben"].persons] == [True], "one's own"
    assert [each.seconds for each in seen["Ana"].persons] == [None, None], "not a lead's to see"
