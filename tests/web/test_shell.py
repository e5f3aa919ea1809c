"""The shell around every page: rail, clock, static files, and what a route may rely on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app import broker, jobs
from app.cycles import clock
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.web.dependencies import Page, Read, Write
from app.web.events import EventBatch, StreamEvent, stream
from app.web.main import STATIC, TEMPLATES
from tests import cast


@pytest.mark.parametrize("path", ["/cycle", "/people", "/patterns"])
def test_page_opens_with_rail_and_person(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "· Packshot</title>" in answer.text
    assert "Ana, you and the team" in answer.text


def test_place_is_marked(client: TestClient) -> None:
    answer = client.get("/cycle")
    current = re.findall(r'<a class="place" href="([^"]+)"[^>]*aria-current="page"', answer.text)
    assert current == ["/cycle"]


def test_rail_shows_only_places_that_exist(client: TestClient, web: FastAPI) -> None:
    for place in client.get("/cycle").context["shell"].places:
        assert client.get(place.path).status_code in (200, 303, 307), place.path


def test_beginning_is_the_cycle_while_one_runs(client: TestClient, session: Session, settings: Settings) -> None:
    clock.start_cycle(session, settings, None)
    assert client.get("/").headers["location"] == "/cycle"


def test_clock_says_that_money_is_not_counted(client: TestClient, session: Session, settings: Settings) -> None:
    clock.start_cycle(session, settings, None)
    text = client.get("/people").text
    assert "price of an hour not configured" in text
    assert "Cycle 1 · Take in next" in text


def test_clock_shows_money_left(web: FastAPI, client: TestClient, session: Session, settings: Settings) -> None:
    web.state.settings = settings.model_copy(update={"gpu_hour_price": Decimal("3.20")})
    clock.start_cycle(session, settings, None)
    text = client.get("/people").text
    assert "<b>€80</b>" in text
    assert "not configured" not in text


def test_theme_of_the_browser(client: TestClient) -> None:
    assert 'data-theme="dark"' in client.get("/people", headers=_cookie(client, "dark")).text
    assert "data-theme=" not in _html_tag(client.get("/people", headers=_cookie(client, 'x" onload="')).text)


def test_files_are_found_and_kept_for_a_year(client: TestClient, stranger: TestClient) -> None:
    text = client.get("/patterns").text
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(files) >= 8
    for file in files:
        answer = stranger.get(file)
        assert answer.status_code == 200, file
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert stranger.get("/static/0123456789ab/css/parts.css").status_code == 404


def test_modules_import_files_that_exist() -> None:
    for module in STATIC.rglob("*.js"):
        for target in re.findall(r'(?:import|from) "(\.[^"]+)"', module.read_text()):
            assert (module.parent / target).is_file(), f"{module.name} imports {target}"


def test_templates_hold_nothing_that_the_content_policy_blocks() -> None:
    script = r'<script(?![^>]*(\ssrc=|type="application/json"))'
    blocked = re.compile(rf"""<\w[^>]*\sstyle=|<style|{script}|\son[a-z]+=["']|javascript:""")
    # A report is one file that brings its look along, and is sent with a policy of its own.
    for template in set(TEMPLATES.rglob("*.html")) - {TEMPLATES / "report" / "file.html"}:
        found = blocked.search(template.read_text())
        assert found is None, f"{template.relative_to(TEMPLATES)}: {found.group() if found else ''}"


def test_job_fragment_and_cancel(client: TestClient, session: Session, me: Person) -> None:
    job = jobs.request(session, "captions.propose", {}, me)
    assert "waiting for a worker" in client.get(f"/jobs/{job.id}").text
    answer = client.post(f"/jobs/{job.id}/cancel", headers={"X-Fragment": "1"})
    assert "stopped" in answer.text
    assert "data-over" in answer.text
    session.expire_all()
    assert session.get_one(Job, job.id).state == "cancelled"


def test_failed_job_says_why(client: TestClient, session: Session, me: Person) -> None:
    job = jobs.request(session, "captions.propose", {}, me)
    job.state, job.failure = "failed", "The disk is <full>."
    session.flush()
    assert "The disk is &lt;full&gt;." in client.get(f"/jobs/{job.id}").text


def test_write_commits_before_the_answer(web: FastAPI, client: TestClient, session: Session) -> None:
    taken = cast.person(session, "Jonas")

    @web.post("/clash")
    def clash(session: Write) -> dict[str, str]:
        session.add(Person(name="Other", email=taken.email))
        return {"said": "done"}

    browser = TestClient(web, base_url=str(client.base_url), raise_server_exceptions=False)
    browser.headers.update(client.headers)
    browser.cookies = client.cookies
    assert browser.post("/clash").status_code == 500


def test_jobs_are_sent_after_the_commit(
    web: FastAPI, client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def send_due(engine: Any, redis_url: str) -> int:
        session.expire_all()
        sent.append(session.query(Job).count())
        return 1

    monkeypatch.setattr(broker, "send_due", send_due)

    @web.post("/work")
    def work(session: Write) -> dict[str, str]:
        jobs.request(session, "captions.propose", {})
        return {}

    @web.post("/nothing")
    def nothing(session: Write) -> dict[str, str]:
        return {}

    client.post("/nothing")
    assert sent == []
    client.post("/work")
    assert sent == [1]


def test_what_a_reading_route_writes_is_not_kept(web: FastAPI, client: TestClient, session: Session) -> None:
    @web.get("/careless")
    def careless(session: Read) -> dict[str, str]:
        session.add(Person(name="Nobody", email="nobody@example.org"))
        session.flush()
        return {}

    client.get("/careless")
    assert session.query(Person).filter_by(email="nobody@example.org").count() == 0


def test_fields_of_the_view_are_the_context(web: FastAPI, client: TestClient) -> None:
    @dataclass(frozen=True)
    class View:
        problem: Any

    @web.get("/view")
    def view(page: Page) -> Any:
        return page.fragment("errors/_error.html", View({"sentence": "Here.", "title": "", "code": "", "other": ""}))

    assert client.get("/view").context["problem"]["sentence"] == "Here."


def test_events_replay_from_the_last_one_seen(web: FastAPI, client: TestClient) -> None:
    news = [StreamEvent(number, "step", {"step": number, "name": "é\n"}) for number in (1, 2, 3)]

    def poll(session: Session, after: int) -> EventBatch:
        return EventBatch([one for one in news if one.number > after][:1], is_over=True)

    @web.get("/stream")
    def told(request: Request) -> StreamingResponse:
        return stream(request, poll)

    text = client.get("/stream", headers={"Last-Event-ID": "1"}).text
    assert re.findall(r"^id: (\d+)$", text, re.M) == ["2", "3"]
    assert text.endswith("event: over\ndata: {}\n\n")
    assert '{"step": 2, "name": "é\\n"}' in text
    assert re.findall(r"^id: (\d+)$", client.get("/stream?after=x").text, re.M) == ["1", "2", "3"]


def _cookie(client: TestClient, theme: str) -> dict[str, str]:
    known = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return {"Cookie": f"{known}; packshot-theme={theme}"}


def _html_tag(text: str) -> str:
    return text[text.index("<html") : text.index("<head")]
