"""What a stranger, a thief of a cookie, a crowd or a dead database can do to the web app: nothing that lasts."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from httpx import ASGITransport, AsyncClient
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.types import Message

from app import guessing, passwords, people
from app.database import engine_for, utc_now
from app.errors import AppError
from app.logs import LineFormatter
from app.people import Person, SignIn
from app.settings import Settings
from app.training import runs
from app.web import events, hashing, security
from app.web.main import create_app
from tests import cast
from tests.conftest import ADDRESS, sign_in
from tests.training.cast import frozen_version, one_run

PASSWORD, NEW = "four words make one", "another four words"
JSON = {"Accept": "application/json"}


def apart(work: Callable[[], Awaitable[None]]) -> None:
    """Run it in a thread of its own: a browser that an earlier test opened keeps this one's event loop."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(anyio.run, work).result()


@pytest.fixture
def ana(session: Session) -> Person:
    person = cast.person(session, "Ana")
    people.set_password(session, person.id, PASSWORD)
    return person


@pytest.fixture
def browser(web: FastAPI, session: Session, settings: Settings, ana: Person) -> TestClient:
    """Ana's browser, or the thief's who has its cookie."""
    return sign_in(web, session, settings, ana)


# A stolen cookie.


def test_a_cookie_makes_no_link_for_itself(browser: TestClient, ana: Person) -> None:
    for form in ({}, {"password": ""}, {"password": "a wrong guess"}):
        answer = browser.post(f"/people/{ana.id}/links", data=form)
        assert answer.status_code == 403
        assert "/links/" not in re.sub(r"/people/\d+/links", "", answer.text)
    assert browser.post(f"/people/{ana.id}/links", data={"password": PASSWORD}).context["link"]


def test_wrong_present_passwords_are_slowed(browser: TestClient, ana: Person) -> None:
    """On every form that takes one, and all of them counted together."""
    for path in ("/password", f"/people/{ana.id}/links", "/password", f"/people/{ana.id}/links", "/password"):
        field = "old" if path == "/password" else "password"
        assert browser.post(path, data={field: "a wrong guess", "new": NEW}).status_code == 403
    assert browser.post("/password", data={"old": PASSWORD, "new": NEW}).status_code == 429
    assert browser.post(f"/people/{ana.id}/links", data={"password": PASSWORD}).status_code == 429


def test_a_cookie_chooses_no_first_password_long_after_the_sign_in(
    web: FastAPI, session: Session, settings: Settings
) -> None:
    mei = cast.person(session, "Mei")
    browser = sign_in(web, session, settings, mei)
    sign_in_row = session.query(SignIn).filter_by(person_id=mei.id).one()
    sign_in_row.confirmed_at = utc_now() - people.CONFIRMED_FOR
    session.flush()
    assert browser.post("/password", data={"new": NEW}).status_code == 403
    sign_in_row.confirmed_at = utc_now()
    session.flush()
    assert browser.post("/password", data={"new": NEW}).status_code == 200


def test_an_owner_without_a_password_is_told_what_it_takes(
    client: TestClient, session: Session, me: Person, ana: Person
) -> None:
    """Before the forms, and not by what a form answers once it is filled in."""
    assert "Choose one within 15 minutes of your link" in client.get("/people").text
    session.query(SignIn).filter_by(person_id=me.id).update({"confirmed_at": utc_now() - timedelta(hours=1)})
    session.flush()
    page = client.get("/people").text
    assert f"packshot link {me.email}" in page
    for action in ("/people", "/password", f"/people/{ana.id}/role", f"/people/{ana.id}/links"):
        assert f'action="{action}"' not in page, action
    people.keep_password(session, me, passwords.hashed(PASSWORD), keep_token=next(iter(client.cookies.values())))
    page = client.get("/people").text
    assert "packshot link" not in page and 'action="/people"' in page


def test_an_owners_cookie_gives_nobody_access(client: TestClient, session: Session, me: Person, ana: Person) -> None:
    """What gives or takes access wants the password again when it was not typed for a while."""
    people.keep_password(session, me, passwords.hashed(PASSWORD), keep_token=next(iter(client.cookies.values())))
    acts: dict[str, dict[str, str]] = {
        "/people": {"name": "Mei", "email": "mei@example.org"},
        f"/people/{ana.id}/links": {},
        f"/people/{ana.id}/role": {"role": "owner"},
        f"/people/{ana.id}/exit": {},
        f"/people/{ana.id}/deletion": {},
    }

    def forget() -> None:
        session.query(SignIn).filter_by(person_id=me.id).update({"confirmed_at": utc_now() - timedelta(hours=1)})
        session.flush()

    for path, form in acts.items():
        forget()
        assert client.post(path, data=form).status_code == 403, path
        assert client.post(path, data={**form, "password": "a wrong guess"}).status_code == 403, path
        assert client.post(path, data={**form, "password": PASSWORD}).status_code in (200, 303), path
    forget()
    assert 'name="password"' in client.get("/people").text


def test_one_sees_ones_browsers_and_ends_them(
    web: FastAPI, browser: TestClient, session: Session, settings: Settings, ana: Person
) -> None:
    other, third = sign_in(web, session, settings, ana), sign_in(web, session, settings, ana)
    rows = browser.get("/people").context["browsers"]
    assert [row.is_here for row in rows].count(True) == 1 and len(rows) == 3
    token = next(iter(other.cookies.values()))
    assert browser.post(f"/browsers/{people.hash_of(token)[:16]}/exit").status_code == 303
    assert [each.get("/people").status_code for each in (browser, other, third)] == [200, 303, 200]
    stranger_key = people.hash_of(people.begin_session(session, cast.person(session, "Ben")))[:16]
    assert browser.post(f"/browsers/{stranger_key}/exit").status_code == 404, "another's is not there"
    answer = browser.post("/sign-out/everywhere")
    assert answer.headers["location"] == "/sign-in"
    assert [each.get("/people").status_code for each in (browser, third)] == [303, 303]


def test_a_browser_without_requests_is_signed_out(
    web: FastAPI, browser: TestClient, session: Session, settings: Settings, ana: Person
) -> None:
    row = session.query(SignIn).filter_by(person_id=ana.id).one()
    row.seen_at = utc_now() - timedelta(hours=settings.sign_in_idle_hours - 1)
    session.flush()
    assert browser.get("/people").status_code == 200
    session.expire_all()
    assert row.seen_at > utc_now() - timedelta(minutes=1), "a request is a sign of life"
    row.seen_at = utc_now() - timedelta(hours=settings.sign_in_idle_hours)
    session.flush()
    assert browser.get("/people").status_code == 303


def test_signing_out_clears_what_the_browser_kept(browser: TestClient) -> None:
    answer = browser.post("/sign-out")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'


# A crowd at the door.


@pytest.fixture
def closed_door(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hashes take until the event is set."""
    opened = threading.Event()
    fits = passwords.fits
    monkeypatch.setattr(passwords, "fits", lambda *given: opened.wait(20) and fits(*given))
    yield opened
    opened.set()


def test_a_crowd_at_the_door_holds_neither_threads_nor_connections(
    database_url: str, settings: Settings, closed_door: threading.Event
) -> None:
    """Eighty sign-ins at once with different names, while whoever is inside goes on."""
    app = create_app(settings)
    engine = engine_for(database_url)
    statuses: list[int] = []

    async def visit() -> None:
        transport = ASGITransport(app=app, client=("192.0.2.77", 50000))
        async with AsyncClient(transport=transport, base_url=ADDRESS, headers={"Origin": ADDRESS}) as visitor:

            async def knock(number: int) -> None:
                form = {"email": f"crowd{number}@example.org", "password": "a wrong guess"}
                statuses.append((await visitor.post("/sign-in", data=form)).status_code)

            async with anyio.create_task_group() as crowd:
                for number in range(80):
                    crowd.start_soon(knock, number)
                with anyio.fail_after(20):
                    while hashing._slots.statistics().borrowed_tokens < hashing.AT_ONCE:
                        await anyio.sleep(0.01)
                    while len(statuses) < 80 - guessing.GUESSES_OF_ADDRESS:
                        await anyio.sleep(0.01)
                    assert (await visitor.get("/healthz")).status_code == 200, "with all hashing slots taken"
                    while engine.pool.checkedout():  # type: ignore[attr-defined]
                        await anyio.sleep(0.01)
                closed_door.set()

    apart(visit)
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= guessing.GUESSES_OF_ADDRESS
    with Session(engine) as session:
        session.query(guessing.SignInAttempt).delete()
        session.commit()


def test_a_queue_that_is_long_enough_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_slots", anyio.CapacityLimiter(1))
    monkeypatch.setattr(hashing, "AT_ONCE", 1)
    monkeypatch.setattr(hashing, "MOST_WAITING", 1)
    opened = threading.Event()
    refused: list[AppError] = []

    async def ask() -> None:
        try:
            await hashing.in_slot(opened.wait, 10)
        except AppError as error:
            refused.append(error)
            opened.set()

    async def crowd() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)

    apart(crowd)
    assert [error.status for error in refused] == [429]


# Streams.


@pytest.mark.parametrize("how", ["shut out", "signed out everywhere", "idle", "out of time"])
def test_ended_access_ends_open_streams(web: FastAPI, session: Session, ana: Person, how: str) -> None:
    token = people.begin_session(session, ana)
    scope = {"type": "http", "app": web, "state": {"person": ana, "token": token}, "headers": [], "query_string": b""}

    async def receive() -> Message:
        return await anyio.sleep_forever()  # type: ignore[return-value]

    def batch(_: Session, after: int) -> events.EventBatch:
        return events.EventBatch([events.StreamEvent(after + 1, "run_event", {})], is_over=False)

    def end() -> None:
        if how == "shut out":
            people.disable(session, None, ana)
        elif how == "signed out everywhere":
            people.sign_out_everywhere(session, ana)
        else:
            column = "seen_at" if how == "idle" else "expires_at"
            session.query(SignIn).filter_by(person_id=ana.id).update({column: utc_now() - timedelta(days=20)})
            session.flush()

    async def follow() -> None:
        lines = events._lines(Request(scope, receive), batch, 0)
        assert [await anext(lines) for _ in range(3)][2].startswith("id: 2")
        end()
        assert [line async for line in lines] == [], "not an event more"

    apart(follow)


def test_a_person_has_so_many_streams(
    web: FastAPI, client: TestClient, browser: TestClient, session: Session, me: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = one_run(session)
    runs.end(session, run, "failed", "It broke.", "broken")
    session.flush()
    monkeypatch.setitem(events._open, me.id, events.MOST_STREAMS)
    refused = client.get(f"/runs/{run.id}/events", headers={"Accept": "text/event-stream"})
    assert refused.status_code == 429 and "live already" in refused.text
    assert browser.get(f"/runs/{run.id}/events").status_code == 200, "somebody else's are counted apart"
    events._open[me.id] -= 1
    assert client.get(f"/runs/{run.id}/events").status_code == 200
    assert events._open[me.id] == events.MOST_STREAMS - 1, "a stream that ended is not open"


# Headers, paths, logs.

ODD = (
    "[", "[::1", "]", "http://[", "//", "@", "a@localhost", "localhost:port", "127.0.0.1:99999999", "\x1b[31m", "é",
    " ", "a" * 9000,
)  # fmt: skip
HEADERS = ("Host", "Origin", "Sec-Fetch-Site", "Cookie", "Accept", "X-CSRF-Token", "Content-Type")


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("header", HEADERS)
def test_no_header_breaks_the_app(stranger: TestClient, client: TestClient, header: str, signed_in: bool) -> None:
    who = client if signed_in else stranger
    for value in ODD:
        for method, path in (("GET", "/"), ("POST", "/sign-in"), ("POST", "/undo"), ("POST", "/links/x")):
            answer = who.request(method, path, headers={header: value.encode()}, content=b"a=1")
            assert answer.status_code < 500, (header, value, method, path)


def test_what_is_no_host_is_an_unknown_one(stranger: TestClient) -> None:
    for value in ("[", "a@localhost", "localhost/x", "evil.example", ""):
        assert stranger.get("/sign-in", headers={"Host": value}).status_code == 400, value
    for value in ("localhost", "localhost:8700", "127.0.0.1:8700", "[::1]:8700"):
        assert stranger.get("/sign-in", headers={"Host": value}).status_code == 200, value
    assert stranger.post("/sign-in", headers={"Origin": "http://["}).status_code == 403


def test_an_answer_is_not_kept_and_https_is_remembered(client: TestClient, settings: Settings) -> None:
    for path in ("/people", "/nowhere", "/runs"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers, "without https there is nothing to remember"
    secure = create_app(settings.model_copy(update={"public_url": "https://packshot.example.org"}))
    for path in ("/sign-in", "/healthz", "/nowhere"):
        answer = TestClient(secure, base_url="https://packshot.example.org").get(path, follow_redirects=False)
        assert answer.headers["strict-transport-security"] == "max-age=31536000", path


@pytest.fixture
def without_database(settings: Settings) -> FastAPI:
    return create_app(settings.model_copy(update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/none"}))


def test_without_its_database_the_app_says_so_and_logs_no_link(
    without_database: FastAPI, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    cookies = {security.cookie_name(settings): "a" * 43}
    for known in ({}, cookies):
        browser = TestClient(without_database, base_url=ADDRESS, cookies=known)
        health = browser.get("/healthz")
        assert (health.status_code, health.json()) == (503, {"status": "no database"})
        page = browser.get("/links/SECRET-TOKEN", headers={"Accept": "text/html"})
        assert page.status_code == 503 and "The database does not answer" in page.text
        answer = browser.get("/people", headers=JSON)
        assert answer.status_code in (401, 503)
    assert "SECRET-TOKEN" not in caplog.text


def test_a_crash_names_the_route_and_not_the_path(web: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    @web.get("/breaks/{token}")
    def breaks(token: str) -> None:
        raise RuntimeError("\x1b[2Jforged\nERROR all is well")

    from app.web import middleware

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(middleware, "PUBLIC", re.compile(r"/breaks/.*|/links/.*"))
        browser = TestClient(web, base_url=ADDRESS, raise_server_exceptions=False)
        assert browser.get("/breaks/SECRET-TOKEN").status_code == 500
        patch.setattr(middleware, "find_person", lambda request: 1 / 0)
        assert browser.get("/links/SECRET-TOKEN").status_code == 500, "before it was routed"
    assert "GET /breaks/{token}" in caplog.text and "GET /links/{token}" in caplog.text
    assert "SECRET-TOKEN" not in caplog.text
    lines = [LineFormatter().format(record) for record in caplog.records]
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("control", ["\x1b[31m", "\x00", "\x07", "\r", "\x9b", "\x7f", "\u2028", "\u202e"])
def test_a_line_of_the_log_holds_no_control_characters(control: str) -> None:
    try:
        raise ValueError(f"in{control}side")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("app", logging.ERROR, "f.py", 1, "path %s\nforged", (f"/a{control}b",), trace)
    text = LineFormatter("%(levelname)s %(message)s").format(record)
    assert control not in text
    assert text.splitlines()[0].startswith("ERROR path /a"), "the line is told"
    assert "\\nforged" in text.splitlines()[0], "one line stays one line"


@pytest.mark.parametrize("knob", ["teacher", "lpips", "dino"])
def test_a_run_learns_from_configured_folders_only(
    web: FastAPI, client: TestClient, session: Session, settings: Settings, knob: str, tmp_path: Path
) -> None:
    """Whatever page names the folder: one that is shown, measured, or launched."""
    version = frozen_version(session)
    for folder in ("/etc", "../../etc", str(tmp_path)):
        named = {"version_id": str(version.id), "base": "models/nano", knob: folder}
        answers = [client.get("/runs/new", params=named), client.post("/preflights", data=named)]
        answers.append(client.post("/runs", data=named))
        assert [answer.status_code for answer in answers] == [422] * 3
        assert all("none is configured (PACKSHOT_TEACHER_MODELS)" in answer.text for answer in answers)
    web.state.settings = settings.model_copy(update={"teacher_models": (tmp_path,)})
    named = {"version_id": str(version.id), "base": "models/nano", knob: str(tmp_path)}
    page = client.get("/runs/new", params=named)
    assert f'<option value="{tmp_path}" selected>' in page.text
    assert client.get("/runs/new", params=named | {knob: "/etc"}).status_code == 422


def test_the_log_repeats_no_value_of_a_statement(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        with Session(engine_for(database_url)) as session:
            session.add(Person(name="Ana", email="ana@example.org", role="king", password_hash="a hash"))
            session.flush()
    except IntegrityError as error:
        logging.getLogger("app").exception("refused: %s", error)
    text = LineFormatter().format(caplog.records[-1])
    assert "ck_person_role" in text, "what it was is told"
    assert "a hash" not in text and "ana@example.org" not in text
