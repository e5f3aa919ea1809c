"""Every route of the app as a viewer, an annotator, a lead, an owner and a stranger: what `declared.py` says, no more
and no less.

The routes are the app's own list: one that nobody declared fails, and so does one that is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit, jobs, people
from app.audit import AuditEntry
from app.cycles import clock
from app.cycles.tables import Cycle
from app.people import Person
from app.settings import Settings
from app.training import runs
from app.training.tables import TrainingRun
from app.web import access
from app.web.views import acts
from tests import cast
from tests.conftest import sign_in
from tests.training.cast import frozen_version, take
from tests.web.declared import ROUTES

PASSWORD = "four words make one"
ABSENT = "999999"
FORMS: dict[str, dict[str, str]] = {
    "POST /catalogs/{catalog_id}/naming": {"rule": "whole"},
    "POST /people": {"name": "Mei", "email": "mei@example.org"},
    "POST /people/{person_id}/role": {"role": "owner"},
    "POST /people/{person_id}/links": {"password": PASSWORD},
    "POST /runs/{run_id}/extension": {"hours": "2"},
    "POST /runs/{run_id}/model": {"step": "1"},
    "POST /models": {"checkpoint_id": ABSENT},
    "POST /password": {"old": PASSWORD, "new": "another four words"},
}


def served(web: FastAPI) -> set[str]:
    """Every route of the app: "METHOD /template"."""
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(web.routes)
        for method in (route.methods or {"GET"}) - {"HEAD"}
        if not (route.path or "").startswith("/static/")
    }


def test_every_route_says_whom_it_answers(web: FastAPI) -> None:
    assert served(web) == ROUTES.keys(), "declare in ROUTES whom a new route answers"


def address(route: str, **values: object) -> tuple[str, str]:
    """The method and the path of a route, its parameters filled in; those not named with what does not exist."""
    method, path = route.split()
    return method, re.sub(r"\{(\w+)\}", lambda name: str(values.get(name[1], ABSENT)), path)


@pytest.fixture
def ben(session: Session) -> Person:
    """A lead with a password."""
    person = cast.person(session, "Ben", "lead")
    people.set_password(session, person.id, PASSWORD)
    return person


@pytest.fixture
def member(web: FastAPI, session: Session, settings: Settings, ben: Person) -> TestClient:
    return sign_in(web, session, settings, ben)


def ask(browser: TestClient, route: str, **values: object) -> int:
    method, path = address(route, **values)
    return browser.request(method, path, data=FORMS.get(route), headers={"Accept": "application/json"}).status_code


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_a_route_answers_whom_it_says(
    route: str,
    web: FastAPI,
    session: Session,
    settings: Settings,
    stranger: TestClient,
    member: TestClient,
    client: TestClient,
    me: Person,
    ben: Person,
) -> None:
    """What does not exist is told only to whom the route answers; refused are those whom it does not."""
    who, is_own = ROUTES[route], {"person_id": me.id}
    assert (ask(stranger, route) == 401) == (who != "anybody" and route != "POST /sign-in"), "a stranger"
    if route.startswith("POST /sign-"):
        return
    for role in ("viewer", "annotator"):
        person = cast.person(session, role.title(), role)
        people.set_password(session, person.id, PASSWORD)
        status = ask(sign_in(web, session, settings, person), route, **is_own)
        if who == "own":
            assert status in (403, 404), role
        elif who == "anybody":
            assert status not in (401, 403), role
        else:
            assert (status == 403) == (people.ROLES.index(role) < people.ROLES.index(who)), (role, status)
            assert status != 401
    if who in ("owner", "own"):
        assert ask(member, route, **is_own) in ((403,) if who == "owner" else (403, 404)), "a lead"
    else:
        assert ask(member, route) not in (401, 403), "a lead"
    assert ask(client, route, person_id=ben.id) not in (401, 403), "an owner"


def test_no_route_is_named_that_is_gone(web: FastAPI) -> None:
    assert access.LEAST.keys() <= {re.sub(r":\w+\}", "}", route) for route in served(web)}


def run_under_way(session: Session, person: Person, state: str = "running") -> TrainingRun:
    """A run that `person` launched."""
    run = runs.request_run(session, frozen_version(session), "models/nano", runs.plan("models/nano", 100), person)
    take(session, run)
    if state == "failed":
        runs.end(session, run, "failed", "The program broke.", "broken")
    session.flush()
    return run


STEERING: dict[str, tuple[str, Callable[[TrainingRun], int]]] = {
    "POST /runs/{run_id}/stop": ("running", lambda run: run.id),
    "POST /runs/{run_id}/resumption": ("failed", lambda run: run.id),
    "POST /runs/{run_id}/extension": ("failed", lambda run: run.id),
    "POST /jobs/{job_id}/cancel": ("running", lambda run: run.job_id or 0),
}


@pytest.mark.parametrize("route", STEERING)
def test_a_run_is_steered_by_whom_it_belongs_to_or_an_owner(
    route: str, session: Session, member: TestClient, client: TestClient, ben: Person, me: Person
) -> None:
    state, named = STEERING[route]
    name = re.findall(r"\{(\w+)\}", route)[0]
    others, own = run_under_way(session, me, state), run_under_way(session, ben, state)
    before = (others.state, others.max_seconds)
    assert ask(member, route, **{name: named(others)}) == 403
    session.expire_all()
    assert (others.state, others.max_seconds) == before, "nothing of it happened"
    assert not session.get_one(jobs.Job, others.job_id).is_cancel_asked
    assert ask(member, route, **{name: named(own)}) in (200, 303)
    assert ask(client, route, **{name: named(run_under_way(session, ben, state))}) in (200, 303)


def test_discarding_is_not_stopping(session: Session, member: TestClient, me: Person, ben: Person) -> None:
    others, own = run_under_way(session, me), run_under_way(session, ben)
    assert member.post(f"/runs/{others.id}/stop", data={"keep": "false"}).status_code == 403
    assert member.post(f"/runs/{own.id}/stop", data={"keep": "false"}).status_code == 303
    session.expire_all()
    assert (others.state, own.state) == ("running", "discarded")


def test_pages_offer_what_is_allowed_and_nothing_else(
    session: Session, member: TestClient, client: TestClient, me: Person, ben: Person, settings: Settings
) -> None:
    clock.start_cycle(session, settings, None)
    others, own = run_under_way(session, me), run_under_way(session, ben)
    for path in (f"/runs/{others.id}", f"/runs/{others.id}/live"):
        assert "/stop" not in member.get(path).text
        assert "/stop" in client.get(path).text
    assert "/stop" in member.get(f"/runs/{own.id}").text
    assert "data-job-cancel" not in member.get(f"/jobs/{others.job_id}").text
    assert "data-job-cancel" in member.get(f"/jobs/{own.job_id}").text
    assert 'action="/cycles"' not in member.get("/cycle").text
    assert 'action="/cycles"' in client.get("/cycle").text
    failed = run_under_way(session, me, "failed")
    assert "/resumption" not in member.get(f"/runs/{failed.id}").text
    assert "/resumption" in client.get(f"/runs/{failed.id}").text
    assert "/audit" not in member.get("/people").text


def lines(session: Session, act: str) -> list[AuditEntry]:
    return list(session.scalars(select(AuditEntry).where(AuditEntry.act == act).order_by(AuditEntry.id)))


def test_a_members_new_cycle_resets_no_budget(
    session: Session, web: FastAPI, settings: Settings, member: TestClient, client: TestClient, me: Person
) -> None:
    first = clock.start_cycle(session, settings, None)
    assert member.post("/cycles").status_code == 403
    assert clock.current(session) is first
    assert client.post("/cycles").status_code == 303
    entry = lines(session, "cycle_started")[-1]
    second = session.scalars(select(Cycle).where(Cycle.ended_at.is_(None))).one()
    assert (entry.by_id, entry.facts["cycle"], entry.facts["ended"]) == (me.id, second.number, first.number)
    assert entry.facts["spent"] == "0", "what it had spent is told"


def asked_of_money(browser: TestClient, run: TrainingRun) -> dict[str, Any]:
    """What costs money, and what came of it."""
    routes = (
        "POST /runs", "POST /preflights", "POST /runs/{run_id}/resumption", "POST /compare/{sheet_id}/drawing",
        "POST /runs/{run_id}/model",
    )  # fmt: skip
    return {route: ask(browser, route, run_id=run.id) for route in routes}


def test_a_member_spends_what_an_owner_set_aside(
    session: Session, web: FastAPI, settings: Settings, member: TestClient, client: TestClient, ben: Person
) -> None:
    priced = settings.model_copy(update={"gpu_hour_price": 2})
    web.state.settings = priced
    run = run_under_way(session, ben, "failed")
    assert set(asked_of_money(member, run).values()) == {403}, "no cycle, no money"
    assert 403 not in asked_of_money(client, run).values()
    runs.end(session, run, "failed", "It broke.", "broken")
    cycle = clock.start_cycle(session, priced, None)
    assert 403 not in asked_of_money(member, run).values()
    cycle.budget = 0
    session.flush()
    assert set(asked_of_money(member, run).values()) == {403}, "the cycle's money is spent"


def test_what_touches_access_money_or_others_is_in_the_log(
    session: Session, member: TestClient, client: TestClient, stranger: TestClient, me: Person, ben: Person
) -> None:
    run, waiting = run_under_way(session, ben), jobs.request(session, "captions.propose", {}, ben)
    stranger.post("/sign-in", data={"email": ben.email, "password": "a wrong guess"})
    stranger.post("/sign-in", data={"email": ben.email, "password": PASSWORD})
    client.post("/people", data={"name": "Mei", "email": "mei@example.org"})
    mei = people.by_email(session, "mei@example.org")
    client.post(f"/people/{mei.id}/role", data={"role": "owner"})
    client.post(f"/jobs/{waiting.id}/cancel")
    client.post(f"/runs/{run.id}/stop")
    client.post(f"/people/{ben.id}/exit")
    client.post(f"/people/{ben.id}/deletion")
    told = [(entry.act, entry.by_id, entry.about_id) for entry in audit.page(session)][::-1]
    expected = [
        ("sign_in_failed", None, ben.id), ("signed_in", ben.id, ben.id), ("person_added", me.id, mei.id),
        ("link_made", me.id, mei.id), ("role_changed", me.id, mei.id), ("job_cancelled", me.id, ben.id),
        ("run_stopped", me.id, ben.id), ("access_ended", me.id, ben.id), ("person_deleted", me.id, ben.id),
    ]  # fmt: skip
    assert told[-len(expected) :] == expected
    page = client.get("/audit")
    assert page.status_code == 200
    assert f"Person {ben.id} (left)" in page.text and "127.0.0.1" in page.text
    assert "Wrong password" in client.get("/audit?act=sign_in_failed").text
    assert member.get("/audit").status_code != 200


@pytest.mark.parametrize("role", ["viewer", "annotator", "lead"])
def test_nobody_below_an_owner_says_what_people_may_do(
    web: FastAPI, session: Session, settings: Settings, me: Person, role: people.Role
) -> None:
    """Neither lifted by oneself nor by another of one's kind, and no owner brought down."""
    person, other = cast.person(session, "Eve", role), cast.person(session, "Otto", role)
    browser = sign_in(web, session, settings, person)
    for about, wanted in ((person, "owner"), (person, "lead"), (other, "owner"), (me, "viewer")):
        assert browser.post(f"/people/{about.id}/role", data={"role": wanted}).status_code == 403
    session.expire_all()
    assert (person.role, other.role, me.role) == (role, role, "owner")


def test_the_last_owner_stays_one_and_no_role_is_made_up(client: TestClient, session: Session, me: Person) -> None:
    ana = cast.person(session, "Ana", "lead")
    for wanted in ("lead", "annotator", "viewer"):
        answer = client.post(f"/people/{me.id}/role", data={"role": wanted})
        assert answer.status_code == 422 and "only owner" in answer.text
    for wanted in ("admin", "", "OWNER"):
        assert client.post(f"/people/{ana.id}/role", data={"role": wanted}).status_code == 422
    session.expire_all()
    assert (me.role, ana.role) == ("owner", "lead")
    assert client.post(f"/people/{ana.id}/role", data={"role": "owner"}).status_code == 303
    assert client.post(f"/people/{me.id}/role", data={"role": "lead"}).status_code == 303, "another owner is left"
    assert client.post(f"/people/{me.id}/role", data={"role": "owner"}).status_code == 403, "nobody comes back alone"


VOTED = ("votes", "votes/undo", "usable", "usable/undo", "failures", "links", "links/{link_id}/revocation")
TOLD_BY: dict[str, str] = {
    "POST /browsers/{key}/exit": "browser_ended",
    "POST /catalogs/{catalog_id}/removal": "catalog_removed",
    "POST /cycles": "cycle_started",
    "POST /datasets/{version_id}/removal": "version_removed",
    "POST /datasets/{version_id}/verification": "job_asked",
    "POST /images/{image_id}/removal": "photo_removed",
    "POST /exports/{export_id}/removal": "export_removed",
    "POST /storage/exports/removal": "export_removed",
    "POST /storage/cache/removal": "cache_emptied",
    "POST /storage/photos/{removed_id}/return": "photo_allowed_again",
    "POST /jobs/{job_id}/cancel": "job_cancelled",
    "POST /links/{token}": "signed_in",
    "POST /password": "password_set",
    "POST /people": "person_added",
    "POST /people/{person_id}/deletion": "person_deleted",
    "POST /people/{person_id}/exit": "access_ended",
    "POST /people/{person_id}/return": "person_enabled",
    "POST /people/{person_id}/links": "link_made",
    "POST /people/{person_id}/role": "role_changed",
    "POST /runs": "run_launched",
    "POST /runs/{run_id}/extension": "run_extended",
    "POST /runs/{run_id}/resumption": "run_resumed",
    "POST /runs/{run_id}/stop": "run_stopped",
    "POST /sign-in": "signed_in",
    "POST /sign-out": "signed_out",
    "POST /sign-out/everywhere": "signed_out_everywhere",
    # Work that is asked for.
    "POST /catalogs/{catalog_id}/embeddings": "job_asked",
    "POST /catalogs/{catalog_id}/map": "job_asked",
    "POST /catalogs/{catalog_id}/phrases": "job_asked",
    "POST /catalogs/{catalog_id}/naming": "naming_decided",
    "POST /catalogs/{catalog_id}/naming/withdrawal": "naming_decided",
    "POST /catalogs/{catalog_id}/refused/retries": "job_asked",
    "POST /catalogs/{catalog_id}/duplicates": "job_asked",
    "POST /catalogs/{catalog_id}/rules": "job_asked",
    "POST /catalogs/{catalog_id}/versions": "job_asked",
    "POST /datasets/{version_id}/exports": "job_asked",
    "POST /exports/{export_id}/retry": "job_asked",
    "POST /compare": "changed",
    "POST /compare/new": "",
    "POST /runs/{run_id}/drawing": "changed",
    "POST /compare/{sheet_id}/drawing": "job_asked",
    "POST /images/{image_id}/recaption": "job_asked",
    "POST /intakes": "job_asked",
    "POST /intakes/{intake_id}/repetitions": "job_asked",
    **dict.fromkeys(("POST /preflights", "POST /runs/{run_id}/model"), "job_asked"),
    "POST /catalogs/{catalog_id}/queues": "queue_made",
    **dict.fromkeys(("POST /keys", "POST /keys/defaults"), "changed"),
    "POST /queues/{queue_id}/people": "queue_given",
    "POST /queues/{queue_id}/closing": "queue_closed",
    "POST /catalogs/{catalog_id}/comparisons": "job_asked",
    "POST /comparisons/{comparison_id}/votes": "changed",
    "POST /comparisons/{comparison_id}/votes/undo": "changed",
    "POST /comparisons/{comparison_id}/adoption": "captioner_adopted",
    # Each has its voter, or who made it.
    **{f"POST /compare/{{sheet_id}}/{what}": "changed" for what in VOTED},
    **dict.fromkeys([route for route in ROUTES if route.startswith("POST /votes/")], ""),  # guests: each row has one
    "POST /images/{image_id}/notes": "changed",  # each has its author
    **dict.fromkeys(("POST /notes/{note_id}/answers", "POST /notes/{note_id}/closing"), "changed"),
    "POST /compare/{sheet_id}/gate": "changed",  # the row has who set it
    "POST /queues/{queue_id}/skips": "changed",  # the answer has its person
    "POST /desk/holds": "",
    "POST /desk/departure": "changed",
    # Histories that are appended to, each row with its person; and what changes nothing yet.
    "POST /catalogs/{catalog_id}/assignments": "changed",  # the operation has its person
    "POST /catalogs/{catalog_id}/recaption": "changed",  # the same
    "POST /catalogs/{catalog_id}/replace": "changed",  # the operation has its person
    "POST /catalogs/{catalog_id}/template": "changed",  # the same
    "POST /catalogs/{catalog_id}/words": "changed",  # the row has its person
    "POST /catalogs/{catalog_id}/decisions": "changed",
    "POST /operations/{operation_id}/resumption": "job_asked",
    "POST /operations/{operation_id}/undo": "changed",  # the operation has who took it back
    "POST /catalogs/{catalog_id}/refused/exclusions": "changed",  # each file has the person who left it out
    "POST /catalogs/{catalog_id}/duplicates/order": "job_asked",  # the row has its person
    "POST /catalogs/{catalog_id}/duplicates/sure": "changed",
    "POST /catalogs/{catalog_id}/duplicates/{group_id}": "changed",
    "POST /catalogs/{catalog_id}/label-sets": "labels_defined",
    "POST /catalogs/{catalog_id}/label-sets/{set_id}": "labels_defined",
    "POST /catalogs/{catalog_id}/labels": "changed",
    "POST /catalogs/{catalog_id}/tags": "changed",
    "POST /catalogs/{catalog_id}/labels/imports": "changed",
    "POST /catalogs/{catalog_id}/labels/imports/{import_id}": "file_imported",
    "POST /catalogs/{catalog_id}/captions/imports": "changed",  # the file has its person
    "POST /catalogs/{catalog_id}/captions/imports/{import_id}": "file_imported",
    "POST /images/{image_id}/labels": "changed",
    "POST /images/{image_id}/corrections": "changed",
    "POST /images/{image_id}/decisions": "changed",
    "POST /catalogs/{catalog_id}/lassos": "changed",  # the row has its person
    "POST /catalogs/{catalog_id}/views": "changed",  # the row has its person, who alone changes it
    "POST /views/{view_id}": "changed",
    "POST /views/{view_id}/deletion": "changed",
    "POST /undo": "changed",
    "POST /compare/{sheet_id}/measuring": "job_asked",
    "POST /profiles/{key}": "changed",  # the row has its person
    "POST /models": "candidate_asked",
    "POST /candidates/{candidacy_id}/signature": "model_promoted",
    "POST /candidates/{candidacy_id}/end": "candidate_ended",
    "POST /models/{promotion_id}/rollback": "model_rolled_back",
    "POST /models/{promotion_id}/export": "job_asked",
    # The rows have their persons.
    **dict.fromkeys(("POST /suites", "POST /suites/imports", "POST /suites/{suite_id}"), "changed"),
    "POST /suites/{suite_id}/hold-out": "changed",
    "POST /images/{image_id}/captions": "changed",
    "POST /images/{image_id}/captions/{caption_id}/restoration": "changed",
    "POST /images/{image_id}/mends": "job_asked",  # the row has its person
    "POST /images/{image_id}/mends/{mend_id}/restoration": "job_asked",  # the same
    **dict.fromkeys(("POST /images/{image_id}/contradictions", "POST /captions/tokens", "POST /runs/new"), ""),
    **dict.fromkeys(("POST /uploads", "POST /uploads/{upload}/files", "POST /uploads/{upload}/removal"), "changed"),
    "POST /uploads/{upload}/pieces": "",
}


def test_every_route_that_changes_something_says_where_it_is_told(web: FastAPI) -> None:
    assert {route for route in served(web) if not route.startswith("GET ")} == TOLD_BY.keys()
    assert set(TOLD_BY.values()) - {""} <= set(audit.ACTS)
    changed = {route for route, act in TOLD_BY.items() if act == "changed"}
    assert changed == acts.CHANGED.keys(), "every change has its words"


def test_whatever_is_changed_is_in_the_log_and_can_be_asked_for(
    session: Session, member: TestClient, client: TestClient, ben: Person
) -> None:
    photo = cast.red_kettle(session, cast.catalog(session))
    member.post(f"/images/{photo.id}/decisions", data={"verdict": "kept"})
    member.post(f"/images/{photo.id}/notes", data={"text": "Is it red?"})
    told = [(entry.by_id, entry.facts["route"], entry.facts["image"]) for entry in lines(session, "changed")]
    assert told == [(ben.id, f"POST /images/{{image_id}}/{what}", str(photo.id)) for what in ("decisions", "notes")]
    page = client.get(f"/audit?act=changed&person_id={ben.id}").text
    assert "Wrote a note" in page and f"/images/{photo.id}" in page and "Signed in" not in page.split("<tbody>")[1]
    assert "Nothing like that" in client.get("/audit?since=2999-01-01").text
    assert client.get("/audit?person_id=x&since=y").status_code == 200
    table = client.get(f"/audit.csv?person_id={ben.id}").text
    assert "Decided" in table and "Ben" in table and table.count("\n") >= 3


def test_work_that_is_asked_for_is_in_the_log(session: Session, client: TestClient, me: Person) -> None:
    photo = cast.red_kettle(session, cast.catalog(session))
    client.post(f"/images/{photo.id}/decisions", data={"verdict": "kept"})
    rules = {"wants": "both", "on": ["empty"], "blurred_below": "0.059", "unsure_below": "0.350"}
    asked = {
        "captions.propose": client.post(f"/images/{photo.id}/recaption"),
        "dataset.freeze": client.post(f"/catalogs/{photo.catalog_id}/versions", data={"q": "decision:kept"}),
        "review.apply_rules": client.post(f"/catalogs/{photo.catalog_id}/rules", data=rules),
    }
    assert {answer.status_code for answer in asked.values()} == {303}
    told = {str(entry.facts["kind"]): entry.by_id for entry in lines(session, "job_asked")}
    assert told == dict.fromkeys(asked, me.id)
    session.info.pop(audit.FROM_ADDRESS, None)
    jobs.request(session, "signals.measure", {}, me)
    assert len(lines(session, "job_asked")) == len(asked), "what follows by itself is not"


def test_a_sign_in_says_how(session: Session, stranger: TestClient, ben: Person) -> None:
    stranger.post("/sign-in", data={"email": ben.email, "password": PASSWORD})
    stranger.cookies.clear()
    stranger.post(f"/links/{people.make_link(session, ben)}")
    assert [entry.facts["how"] for entry in lines(session, "signed_in")][-2:] == ["password", "link"]


def test_the_log_is_only_appended(session: Session) -> None:
    audit.record(session, "signed_in")
    for statement in ("update audit_entry set act = 'signed_out'", "delete from audit_entry"):
        with pytest.raises(Exception, match="only appended"), session.begin_nested():
            session.connection().exec_driver_sql(statement)
