"""The task that applies review rules: a whole catalog in batches, done again without harm."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, func, select

from app import jobs
from app.catalog.tables import Catalog
from app.database import transaction
from app.jobs import Job
from app.review.decisions import decide
from app.review.tables import Decision
from app.settings import Settings
from tests import cast
from workers import celery_app, cpu

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def pile(engine: Engine) -> Catalog:
    """A sound photo, a blurred one, one without a caption, and one that Ana has rejected."""
    with transaction(engine) as session:
        pile = cast.catalog(session)
        cast.red_kettle(session, pile)
        cast.blurred_shoe(session, pile)
        cast.image(session, pile)
        decide(session, cast.red_kettle(session, pile), cast.person(session), "rejected")
        return pile


def apply_rules(engine: Engine, settings: Settings, pile: Catalog) -> Job:
    with transaction(engine) as session:
        job_id = jobs.request(session, "review.apply_rules", {"catalog_id": pile.id}).id
    celery_app.do(job_id, cpu.apply_rules, settings)
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def test_every_photo_that_no_person_decided_on_is_ruled(engine: Engine, settings: Settings, pile: Catalog) -> None:
    job = apply_rules(engine, settings, pile)
    assert (job.state, job.done, job.total) == ("done", 4, 4)
    assert job.result == {
        "kept": 1,
        "rejected": 1,
        "needs_work": 1,
        "withdrawn": 0,
        "unchanged": 0,
        "left_to_people": 1,
    }


def test_done_again_it_adds_nothing(engine: Engine, settings: Settings, pile: Catalog) -> None:
    apply_rules(engine, settings, pile)
    again = apply_rules(engine, settings, pile)
    assert again.result == {
        "kept": 0,
        "rejected": 0,
        "needs_work": 0,
        "withdrawn": 0,
        "unchanged": 3,
        "left_to_people": 1,
    }
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(Decision)) == 4


def test_an_empty_catalog_is_done_at_once(engine: Engine, settings: Settings) -> None:
    with transaction(engine) as session:
        pile = cast.catalog(session)
    assert apply_rules(engine, settings, pile).state == "done"
