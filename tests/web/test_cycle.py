"""The cycle page, its dial and its next step; and how figures are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import jobs
from app.catalog.tables import Intake
from app.cycles import clock, ledger
from app.cycles.ledger import Cost
from app.cycles.report import CycleReport
from app.database import utc_now
from app.settings import Settings
from app.web import formats
from app.web.views import cycle_dial
from app.web.views.next_step import next_steps
from tests import cast


def test_no_cycle_offers_one(client: TestClient, session: Session) -> None:
    answer = client.get("/cycle")
    assert "No active cycle." in answer.text
    assert client.post("/cycles").headers["location"] == "/cycle"
    assert clock.current(session) is not None
    assert "Cycle 1" in client.get("/cycle").text


def test_page_shows_stages_ledger_and_next_step(client: TestClient, session: Session, settings: Settings) -> None:
    pile = cast.catalog(session, "Autumn 2026")
    cast.red_kettle(session, pile)
    cycle = clock.start_cycle(session, settings, pile)
    job = jobs.request(session, "intake.take_in", {})
    job.state, job.started_at, job.ended_at = "done", cycle.started_at, cycle.started_at + timedelta(seconds=90)
    session.flush()
    answer = client.get("/cycle")
    assert "Autumn 2026, 1 photo" in answer.text
    assert [row.stage.state for row in answer.context["rows"]][:2] == ["done", "next"]
    assert answer.text.count("main-act") == 1
    assert f'href="/catalogs/{pile.id}"' in answer.text


def test_starting_another_asks_first(client: TestClient, session: Session, settings: Settings) -> None:
    clock.start_cycle(session, settings, None)
    text = client.get("/cycle").text
    assert "Cycle 1 ends now and keeps its ledger." in text
    client.post("/cycles")
    assert "Cycle 2" in client.get("/cycle").text


def stage(key: str, state: clock.State) -> clock.CycleStage:
    return clock.CycleStage(key, key, state, None, None, Cost())


def at(key: str, state: clock.State) -> clock.CycleClock:
    """A clock whose stage is this one."""
    begun = utc_now()
    end, now = begun + timedelta(hours=24), begun + timedelta(hours=6)
    return clock.CycleClock(1, 1, 1, begun, end, now, Decimal(80), "€", Decimal(20), (stage(key, state),))


@pytest.mark.parametrize(
    ("key", "state", "href"),
    [
        ("caption", "running", "/desk"),  # what is written is another catalog's
        ("review", "next", "/desk"),
        ("freeze", "running", "/datasets"),
        ("train", "next", "/datasets"),
        ("train", "failed", "/runs"),
        ("compare", "next", "/runs"),
    ],
)
def test_next_step_leads_to_its_place(session: Session, key: str, state: clock.State, href: str) -> None:
    pile = cast.catalog(session)
    report = CycleReport(pile, 10, 6, 1, 2, 1, {}, None, None, None)
    assert next_steps(at(key, state), report)[0].href.startswith(href)


def test_nothing_left_to_review_leads_to_freezing(session: Session) -> None:
    report = CycleReport(cast.catalog(session), 7, 6, 1, 0, 0, {}, None, None, None)
    (step,) = next_steps(at("review", "next"), report)
    assert step.title == "Freeze the 6 kept"


def test_what_rules_suggest_is_told_apart_from_what_people_decided(session: Session) -> None:
    pile = cast.catalog(session)
    suggested = {"kept": 48, "rejected": 2, "needs_work": 5}
    review, freeze = next_steps(at("review", "next"), CycleReport(pile, 55, 0, 0, 0, 55, suggested, None, None, None))
    assert review.title == "Review 55 photos"
    assert review.detail == (
        "55 not seen yet, 0 need work. People kept 0 and rejected 0. "
        "Rules suggest to keep 48, to reject 2 and to look at 5."
    )
    assert freeze.title == "Freeze 48 unseen"
    assert "Rules suggest to keep 48 more that no person has seen." in freeze.detail
    assert freeze.href == f"/catalogs/{pile.id}/freeze"


def test_dial_goes_around_once() -> None:
    assert cycle_dial.point(0, 10) == (cycle_dial.MIDDLE, cycle_dial.MIDDLE - 10)
    assert cycle_dial.point(0.25, 10) == (cycle_dial.MIDDLE + 10, cycle_dial.MIDDLE)
    now = at("train", "running")
    begun = replace(now.stages[0], began_at=now.started_at, ended_at=now.started_at + timedelta(seconds=1))
    drawn = cycle_dial.dial(replace(now, stages=(begun,)))
    assert len(drawn.arcs) == 1
    assert len([tick for tick in drawn.ticks if tick.at]) == 4
    assert drawn.money is not None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (formats.money(Decimal("25.44"), "€"), "€25.44"),
        (formats.money(80, "€"), "€80"),
        (formats.money(Decimal("-0.5"), "$"), "−$0.50"),
        (formats.share(0.843), "84 %"),
        (formats.number(3084), "3,084"),
        (formats.plural(1, "photo"), "1 photo"),
        (formats.plural(1200, "photo"), "1,200 photos"),
        (formats.initials("Ana Maria Lind"), "AL"),
        (formats.initials("Ana"), "A"),
    ],
)
def test_figures_are_written_one_way(written: str, expected: str) -> None:
    assert written == expected


def test_photos_that_are_there_are_not_being_taken_in(client: TestClient, session: Session, settings: Settings) -> None:
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    cycle = clock.start_cycle(session, settings, pile)
    text = client.get("/cycle").text
    assert "being taken in" not in text and "Review 1 photo" in text
    job = jobs.request(session, "intake.take_in", {})
    intake = Intake(catalog_id=cast.catalog(session, "Another").id, folder="/photos", job_id=job.id)
    session.add(intake)
    session.flush()
    text = client.get("/cycle").text
    assert "being taken in" not in text and "Review 1 photo" in text, "another catalog's photos"
    intake.catalog_id = pile.id
    session.flush()
    assert "Photos are being taken in" in client.get("/cycle").text
    job.state, job.started_at, job.ended_at = "done", cycle.started_at, cycle.started_at + timedelta(seconds=90)
    measured = jobs.request(session, "signals.measure", {"catalog_id": pile.id})
    session.flush()
    text = client.get("/cycle").text
    assert "being taken in" not in text and "Photos are being measured" in text
    measured.state, measured.started_at, measured.ended_at = "done", job.ended_at, job.ended_at
    session.flush()
    text = client.get("/cycle").text
    assert "being taken in" not in text and "being written" not in text and "Review 1 photo" in text


@pytest.mark.parametrize("key", ["take_in", "caption", "freeze"])
def test_only_what_runs_is_said_to_be_going_on(session: Session, key: str) -> None:
    under_way = {"take_in": "intake.take_in", "caption": "captions.propose"}.get(key)
    report = CycleReport(cast.catalog(session), 10, 6, 1, 2, 1, {}, None, None, None, under_way)
    assert " being " in next_steps(at(key, "running"), report)[0].title
    over = replace(report, under_way=None)
    assert all(" being " not in step.title for step in next_steps(at(key, "next"), over))


def test_stages_and_ledger_tell_the_same_work(client: TestClient, session: Session, settings: Settings) -> None:
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    asked_before = jobs.request(session, "intake.take_in", {})
    session.flush()
    asked_before.requested_at = utc_now() - timedelta(hours=30)
    cycle = clock.start_cycle(session, settings, pile)
    cycle.started_at = utc_now() - timedelta(hours=5)
    asked_before.state, asked_before.ended_at = "done", utc_now() - timedelta(hours=4)
    asked_before.started_at = cycle.started_at - timedelta(hours=1)
    ledger.record(session, asked_before, 60.0, settings).at = utc_now() - timedelta(hours=4)  # type: ignore[union-attr]
    again = jobs.request(session, "intake.take_in", {"again": 1})
    again.state, again.started_at, again.ended_at = "done", utc_now() - timedelta(minutes=9), utc_now()
    ledger.record(session, again, 540.0, settings)
    session.flush()
    answer = client.get("/cycle")
    row = answer.context["rows"][0]
    assert row.seconds == row.stage.cost.seconds == 600.0, (
        "two tables, one figure; the pause between them is in neither"
    )
    assert row.stage.state == "done"
    assert (utc_now() - row.stage.began_at) < timedelta(hours=4, minutes=2), "as the ledger has it"
    assert all((one.seconds or 0.0) == one.stage.cost.seconds for one in answer.context["rows"])
    assert answer.text.count("10 m") >= 2 and "Took" not in answer.text.split("Earlier cycles")[0]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("79.996", "€79.99"),
        ("79.9901", "€79.99"),
        ("79.006", "€79.01"),
        ("80", "€80"),
        ("0.004", "under €0.01"),
        ("0", "€0"),
    ],
)
def test_the_whole_is_not_left_once_a_part_of_a_cent_is_spent(left: str, words: str) -> None:
    assert formats.money_left(Decimal(left), Decimal(80), "€") == words


def test_a_new_cycle_over_an_old_catalog_says_what_comes_next(
    client: TestClient, session: Session, settings: Settings
) -> None:
    pile = cast.catalog(session, "Autumn 2026")
    cast.red_kettle(session, pile)
    clock.start_cycle(session, settings, pile)
    page = client.get("/cycle")
    assert [row.stage.state for row in page.context["rows"]][:3] == ["done", "done", "next"]
    assert "Review next" in " ".join(client.get("/people").text.split())
    assert "Look through the catalog, or take in more" in page.text
