"""Profiles of marketplace rules: those that come along, and what a lead may make of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound, Refused
from app.evaluation import profile_editing, profiles
from app.evaluation.measure_tables import RuleProfile
from app.evaluation.profiles import Profile, ProfileLimit
from app.evaluation.promotion_tables import Gate
from tests import cast
from tests.evaluation.cast import finished_run, sheet_of


def with_limit(profile: Profile, name: str, limit: float, source: str = "https://example.org") -> Profile:
    rules = {**profile.rules, name: ProfileLimit(limit, True, source, date(2026, 12, 1))}
    return replace(profile, rules=rules)


AMAZON = profiles.shipped()["amazon"]


def test_each_shipped_rule_has_its_limit_source_and_day() -> None:
    assert list(profiles.shipped()) == ["house", "amazon", "google", "walmart", "ebay"]
    for profile in profiles.shipped().values():
        for name, given in profile.rules.items():
            assert name in profiles.RULE_OF
            assert given.source and given.checked_on >= date(2026, 11, 23)
    assert AMAZON.rules["fill_least"].limit == 0.85
    assert profiles.shipped()["walmart"].rules["short_side_px"].limit == 2200


def test_every_shipped_profile_survives_the_table() -> None:
    for profile in profiles.shipped().values():
        assert profiles.of_json(profiles.as_json(profile.rules)) == profile.rules


def test_an_edit_stands_for_what_came_along_and_is_kept_beside_it(session: Session) -> None:
    ana = cast.person(session)
    first = profile_editing.edit(session, with_limit(AMAZON, "fill_least", 0.8), ana, 0)
    second = profile_editing.edit(session, with_limit(AMAZON, "fill_least", 0.9), ana, first.number)
    current = {kept.profile.key: kept for kept in profile_editing.current(session)}
    assert list(current) == ["house", "amazon", "google", "walmart", "ebay"]
    assert current["amazon"].profile.rules["fill_least"].limit == 0.9
    assert current["amazon"].edited_by == ana.name
    assert [kept.number for kept in profile_editing.history(session, "amazon")] == [second.number, first.number]


def test_the_same_again_changes_nothing(session: Session) -> None:
    ana = cast.person(session)
    assert profile_editing.edit(session, AMAZON, ana, 0).number == 0
    first = profile_editing.edit(session, with_limit(AMAZON, "border", 0), ana, 0)
    again = profile_editing.edit(session, with_limit(AMAZON, "border", 0), ana, 0)
    assert again.number == first.number
    assert session.query(RuleProfile).count() == 1


def test_two_at_once_do_not_write_over_each_other(session: Session) -> None:
    profile_editing.edit(session, with_limit(AMAZON, "fill_least", 0.8), cast.person(session), 0)
    with pytest.raises(Conflict, match="Ana has edited this profile meanwhile"):
        profile_editing.edit(session, with_limit(AMAZON, "fill_least", 0.7), cast.person(session, "Bo"), 0)


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        (replace(AMAZON, rules={}), "at least one rule"),
        (replace(AMAZON, name=" "), "name of a profile"),
        (with_limit(AMAZON, "fill_least", 1.2), "from 0 to 1"),
        (with_limit(AMAZON, "fill_least", float("nan")), "from 0 to 1"),
        (with_limit(AMAZON, "fill_least", 0.9, " "), "needs its source"),
        (with_limit(AMAZON, "fill_least", 0.9, "a\x00b"), "character"),
        (with_limit(AMAZON, "magic", 1), "no rule “magic”"),
        (with_limit(with_limit(AMAZON, "fill_least", 0.9), "fill_most", 0.8), "No picture can fill"),
    ],
)
def test_what_no_profile_can_hold_is_refused(session: Session, profile: Profile, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        profile_editing.edit(session, profile, cast.person(session), 0)
    assert session.query(RuleProfile).count() == 0


def test_a_rule_that_is_no_longer_there_is_passed_over(session: Session) -> None:
    rules = profiles.as_json(AMAZON.rules) | {
        "gone": {"limit": 1, "is_required": True, "source": "x", "checked_on": "2020-01-01"}
    }
    session.add(RuleProfile(key="amazon", name="Amazon", rules=rules, source="x", checked_on=date(2026, 1, 1)))
    session.flush()
    assert profile_editing.get(session, "amazon").profile.rules == AMAZON.rules


def test_a_sheet_is_held_against_the_profile_of_its_gate(session: Session) -> None:
    sheet = sheet_of(session, finished_run(session))
    assert profile_editing.of_sheet(session, sheet).key == "house"
    session.add(Gate(sheet_id=sheet.id, settings={"profile": "walmart"}))
    session.flush()
    assert profile_editing.of_sheet(session, sheet).key == "walmart"
    assert profile_editing.of_sheet(session, sheet, "ebay").key == "ebay"
    with pytest.raises(NotFound, match="no profile “etsy”"):
        profile_editing.of_sheet(session, sheet, "etsy")
