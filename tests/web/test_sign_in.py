"""Who gets in, who does not, and how the team is kept."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import guessing, people
from app.database import utc_now
from app.guessing import KnownBrowser
from app.people import Person, SignIn, SignInLink
from app.settings import Settings
from app.web import security
from app.web.main import create_app
from app.web.middleware import PUBLIC
from tests import cast
from tests.conftest import ADDRESS, sign_in
from tests.web.test_csrf import paths

PASSWORD = "four words make one"


@pytest.fixture
def ana(session: Session) -> Person:
    """Somebody with a password."""
    person = cast.person(session, "Ana")
    people.set_password(session, person.id, PASSWORD)
    session.flush()
    return person


def test_no_route_but_four_answers_a_stranger(web: FastAPI, stranger: TestClient) -> None:
    found = paths(web, {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
    assert len(found) > 15
    for method, path in found:
        if PUBLIC.fullmatch(path) or path.startswith("/static/"):
            continue
        assert stranger.request(method, path, headers={"Accept": "application/json"}).status_code == 401, path
        answer = stranger.request(method, path, headers={"Accept": "text/html"})
        assert answer.status_code in (303, 401), path
        if method == "GET":
            assert answer.headers["location"].startswith("/sign-in"), path


def test_public_means_these_and_no_others() -> None:
    for path in ("/sign-in", "/healthz", "/links/abc", "/static/1/css/parts.css"):
        assert PUBLIC.fullmatch(path)
    for path in ("/", "/sign-in/x", "/healthz/..", "/links/a/b", "/people", "/staticx", "/sign-in\n"):
        assert not PUBLIC.fullmatch(path)


def test_stranger_is_led_back_to_the_page(stranger: TestClient, ana: Person) -> None:
    answer = stranger.get("/people?q=a%20b", headers={"Accept": "text/html"})
    assert answer.headers["location"] == "/sign-in?next=" + quote("/people?q=a%20b")
    form = {"email": ana.email, "password": PASSWORD, "next": "/people?q=a%20b"}
    assert stranger.post("/sign-in", data=form).headers["location"] == "/people?q=a%20b"
    assert stranger.get("/people").status_code == 200


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", ""])
def test_signing_in_leads_nowhere_else(stranger: TestClient, ana: Person, address: str) -> None:
    answer = stranger.post("/sign-in", data={"email": ana.email, "password": PASSWORD, "next": address})
    assert answer.headers["location"] == "/"


def test_fragment_of_a_stranger_is_told_to_sign_in(stranger: TestClient) -> None:
    answer = stranger.get("/people", headers={"X-Fragment": "1", "Accept": "text/html"})
    assert answer.status_code == 401
    assert "Sign in" in answer.text and "<html" not in answer.text


def test_email_is_taken_in_any_case(stranger: TestClient, ana: Person) -> None:
    answer = stranger.post("/sign-in", data={"email": f" {ana.email.upper()} ", "password": PASSWORD})
    assert answer.status_code == 303


def test_wrong_password_and_unknown_email_get_the_same_answer(stranger: TestClient, ana: Person) -> None:
    wrong = stranger.post("/sign-in", data={"email": ana.email, "password": "not it, not it"})
    unknown = stranger.post("/sign-in", data={"email": "nobody@example.org", "password": "not it, not it"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.context["failure"] == unknown.context["failure"]
    assert wrong.text.replace(ana.email, "") == unknown.text.replace("nobody@example.org", "")


@pytest.mark.parametrize("is_known", [True, False])
def test_five_wrong_guesses_make_one_wait(stranger: TestClient, ana: Person, is_known: bool) -> None:
    email = ana.email if is_known else "nobody@example.org"
    for _ in range(guessing.GUESSES):
        assert stranger.post("/sign-in", data={"email": email, "password": "a wrong guess"}).status_code == 401
    answer = stranger.post("/sign-in", data={"email": email, "password": PASSWORD})
    assert answer.status_code == 429
    assert answer.context["failure"].startswith("Too many wrong passwords for this e-mail. Wait 15 minutes")


def test_cookie_is_out_of_reach_of_scripts(stranger: TestClient, ana: Person, settings: Settings) -> None:
    cookie = stranger.post("/sign-in", data={"email": ana.email, "password": PASSWORD}).headers["set-cookie"]
    assert cookie.startswith(f"packshot-{settings.port}=")
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Max-Age=2592000" in cookie
    assert "Secure" not in cookie


def test_cookie_is_secure_behind_https(settings: Settings, session: Session, ana: Person) -> None:
    address = "https://packshot.example.org"
    public = create_app(settings.model_copy(update={"public_url": address}))
    public.state.sessions = lambda: Session(session.get_bind(), join_transaction_mode="create_savepoint")
    browser = TestClient(public, base_url=address, headers={"Origin": address}, follow_redirects=False)
    cookie = browser.post("/sign-in", data={"email": ana.email, "password": PASSWORD}).headers["set-cookie"]
    assert cookie.startswith("__Host-packshot-") and "Secure" in cookie and "Path=/" in cookie


def test_only_the_hash_of_a_cookie_is_kept(
    stranger: TestClient, session: Session, settings: Settings, ana: Person
) -> None:
    stranger.post("/sign-in", data={"email": ana.email, "password": PASSWORD})
    kept = {
        security.cookie_name(settings): session.query(SignIn).filter_by(person_id=ana.id).one().token_hash,
        security.browser_cookie_name(settings): session.query(KnownBrowser)
        .filter_by(person_id=ana.id)
        .one()
        .token_hash,
    }
    for name, token in stranger.cookies.items():
        assert len(token) >= 43
        assert kept[name] == people.hash_of(token) != token


def test_signing_out_ends_it(client: TestClient, session: Session, me: Person) -> None:
    kept = dict(client.cookies)
    assert client.post("/sign-out").status_code == 303
    assert session.query(SignIn).filter_by(person_id=me.id).count() == 0
    client.cookies.update(kept)
    assert client.get("/people").status_code == 303


def test_sign_in_that_ran_out_is_none(client: TestClient, session: Session, me: Person) -> None:
    session.query(SignIn).filter_by(person_id=me.id).one().expires_at = utc_now() - timedelta(seconds=1)
    session.flush()
    assert client.get("/people").status_code == 303


def test_link_is_not_used_up_by_looking(stranger: TestClient, session: Session, ana: Person) -> None:
    token = people.make_link(session, ana)
    for _ in range(2):
        assert "Sign in as Ana" in stranger.get(f"/links/{token}").text
    assert stranger.post(f"/links/{token}").headers["location"] == "/"


@pytest.mark.parametrize(
    ("asked", "led"),
    [("/compare/3", "/compare/3"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\t/evil.example", "/")],
)
def test_a_link_leads_where_it_was_made_for(
    stranger: TestClient, session: Session, me: Person, asked: str, led: str
) -> None:
    token = people.make_link(session, me)
    page = stranger.get(f"/links/{token}", params={"next": asked})
    assert f'name="next" value="{led}"' in page.text
    assert stranger.post(f"/links/{token}", data={"next": asked}).headers["location"] == led
    assert stranger.get("/people").status_code == 200


def test_link_works_once(stranger: TestClient, session: Session, ana: Person) -> None:
    token = people.make_link(session, ana)
    stranger.post(f"/links/{token}")
    stranger.cookies.clear()
    assert stranger.post(f"/links/{token}").status_code == 404
    assert stranger.get(f"/links/{token}").status_code == 404
    assert stranger.get("/people").status_code == 303


def test_old_link_is_over(stranger: TestClient, session: Session, ana: Person) -> None:
    token = people.make_link(session, ana)
    session.query(SignInLink).filter_by(person_id=ana.id).one().expires_at = utc_now()
    session.flush()
    answer = stranger.post(f"/links/{token}")
    assert answer.status_code == 404
    assert "older than 15 minutes" in answer.text


def test_link_sets_a_password(stranger: TestClient, session: Session) -> None:
    mei = cast.person(session, "Mei")
    token = people.make_link(session, mei)
    assert stranger.post(f"/links/{token}", data={"password": "short"}).status_code == 422
    assert stranger.post(f"/links/{token}", data={"password": PASSWORD}).status_code == 303
    stranger.cookies.clear()
    assert stranger.post("/sign-in", data={"email": mei.email, "password": PASSWORD}).status_code == 303


def test_link_sends_itself_only_on_the_apps_own_machine(web: FastAPI, session: Session, ana: Person) -> None:
    token = people.make_link(session, ana)
    cases = [("127.0.0.1", ADDRESS, True), ("192.168.1.9", ADDRESS, False), ("127.0.0.1", "http://192.168.1.5", False)]
    for client_host, address, is_automatic in cases:
        browser = TestClient(web, base_url=address, client=(client_host, 50000))
        assert ("data-auto-submit" in browser.get(f"/links/{token}").text) is is_automatic


def test_owner_adds_somebody_who_then_gets_in(client: TestClient, stranger: TestClient, session: Session) -> None:
    answer = client.post("/people", data={"name": " Mei  Tan ", "email": "MEI@example.org"})
    assert answer.context["link_for"].name == "Mei Tan"
    link = re.search(r'data-copy="([^"]+/links/[^"]+)"', answer.text)
    assert link and link[1].startswith(ADDRESS)
    assert link[1] not in client.get("/people").text
    assert stranger.post(link[1].removeprefix(ADDRESS), data={"password": PASSWORD}).status_code == 303
    assert "Mei Tan" in stranger.get("/people").text


def test_email_is_on_the_team_once(client: TestClient, ana: Person) -> None:
    answer = client.post("/people", data={"name": "Ana again", "email": ana.email})
    assert answer.status_code == 409
    assert "on the team already" in answer.text


def test_member_sees_the_team_and_changes_nobody(
    web: FastAPI, session: Session, settings: Settings, ana: Person
) -> None:
    jonas = cast.person(session, "Jonas")
    browser = sign_in(web, session, settings, ana)
    assert "Add somebody" not in browser.get("/people").text
    assert browser.post("/people", data={"name": "Mei", "email": "mei@example.org"}).status_code == 403
    assert browser.post(f"/people/{jonas.id}/links").status_code == 403
    assert browser.post(f"/people/{jonas.id}/exit").status_code == 403
    assert browser.post(f"/people/{ana.id}/links", data={"password": PASSWORD}).status_code == 200


def test_ended_access_is_ended_at_once(
    web: FastAPI, client: TestClient, session: Session, settings: Settings, ana: Person
) -> None:
    browser = sign_in(web, session, settings, ana)
    token = people.make_link(session, ana)
    assert client.post(f"/people/{ana.id}/exit").status_code == 303
    assert browser.get("/people").status_code == 303
    assert browser.post(f"/links/{token}").status_code == 404
    assert browser.post("/sign-in", data={"email": ana.email, "password": PASSWORD}).status_code == 401
    page = client.get("/people").text
    assert "disabled" in page and "by Ana" in page, "since when, and by whom"


def test_who_is_disabled_stays_out_until_an_owner_enables_them(
    web: FastAPI, client: TestClient, session: Session, settings: Settings, ana: Person, me: Person
) -> None:
    lead = sign_in(web, session, settings, cast.person(session, "Lea", "lead"))
    client.post(f"/people/{ana.id}/exit")
    session.refresh(ana)
    assert ana.disabled_at is not None and ana.disabled_by_id == me.id
    refused = client.post(f"/people/{ana.id}/links", headers={"Accept": "application/json"})
    assert refused.status_code == 422 and "is disabled" in refused.json()["error"]["sentence"]
    page = client.get("/people").text
    assert f'action="/people/{ana.id}/links"' not in page and f'formaction="/people/{ana.id}/return"' in page
    seen = lead.get("/people").text
    assert "disabled" in seen and "/return" not in seen, "a lead sees it, and changes nothing"
    assert lead.post(f"/people/{ana.id}/return").status_code == 403
    assert client.post(f"/people/{ana.id}/return").status_code == 303
    assert client.post(f"/people/{ana.id}/links").status_code == 200
    session.expire_all()
    assert (ana.disabled_at, ana.disabled_by_id, ana.role) == (None, None, "lead"), "as they were"


def test_owner_stays(client: TestClient, me: Person) -> None:
    assert client.post(f"/people/{me.id}/exit").status_code == 422


def test_changing_the_password_ends_other_sign_ins(
    web: FastAPI, session: Session, settings: Settings, ana: Person
) -> None:
    here, there = sign_in(web, session, settings, ana), sign_in(web, session, settings, ana)
    new = "another four words"
    assert here.post("/password", data={"old": "wrong", "new": new}).status_code == 403
    assert here.post("/password", data={"old": PASSWORD, "new": "short"}).status_code == 422
    assert there.get("/people").status_code == 200
    assert "Your password is changed" in here.post("/password", data={"old": PASSWORD, "new": new}).text
    assert here.get("/people").status_code == 200
    assert there.get("/people").status_code == 303
    assert there.post("/sign-in", data={"email": ana.email, "password": new}).status_code == 303
