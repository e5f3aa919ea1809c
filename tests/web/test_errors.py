"""Refusals as pages, fragments and JSON."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.errors import Conflict, Refused

JSON = {"Accept": "application/json"}
FRAGMENT = {"X-Fragment": "1", "Accept": "text/html"}


@pytest.fixture
def refusing(web: FastAPI, client: TestClient) -> TestClient:
    """A browser on an app with routes that refuse and one that breaks."""

    def conflict() -> None:
        raise Conflict("Jonas rewrote <this> a minute ago.", other="Blue & grey.")

    def refused() -> None:
        raise Refused("A rule says no.")

    def crash() -> None:
        raise RuntimeError("secret detail")

    for call in (conflict, refused, crash):
        web.add_api_route(f"/{call.__name__}", call)
    browser = TestClient(web, base_url=str(client.base_url), raise_server_exceptions=False, follow_redirects=False)
    browser.headers.update(client.headers)
    browser.cookies = client.cookies
    return browser


def test_refusal_as_a_page(refusing: TestClient) -> None:
    answer = refusing.get("/conflict", headers={"Accept": "text/html"})
    assert answer.status_code == 409
    assert "<h1>Changed by someone else</h1>" in answer.text
    assert "Jonas rewrote &lt;this&gt; a minute ago." in answer.text
    assert "Blue &amp; grey." in answer.text
    assert 'class="rail"' in answer.text


def test_refusal_as_a_fragment(refusing: TestClient) -> None:
    answer = refusing.get("/conflict", headers=FRAGMENT)
    assert answer.status_code == 409
    assert "Blue &amp; grey." in answer.text
    assert "<html" not in answer.text


def test_refusal_as_json(refusing: TestClient) -> None:
    answer = refusing.get("/conflict", headers=JSON)
    assert answer.status_code == 409
    said = {
        "title": "Changed by someone else",
        "sentence": "Jonas rewrote <this> a minute ago.",
        "other": "Blue & grey.",
    }
    assert answer.json() == {"error": said}


def test_crash_says_nothing_but_a_code(refusing: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = refusing.get("/crash", headers=JSON)
    assert answer.status_code == 500
    code = answer.json()["error"]["code"]
    assert "secret detail" not in answer.text
    assert f"error {code} at GET /crash" in caplog.text and "secret detail" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = refusing.get("/crash", headers={"Accept": "text/html"})
    assert "Copy details" in page.text and "secret detail" not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_no_page_at_this_address(client: TestClient, stranger: TestClient) -> None:
    assert client.get("/nowhere").status_code == 404
    assert "There is no page at this address." in client.get("/nowhere").text
    # A stranger does not learn what exists.
    assert stranger.get("/nowhere").status_code == 303
    assert stranger.get("/links/nothing").status_code == 404


def test_wrong_method(client: TestClient) -> None:
    assert client.post("/cycle", headers=JSON).status_code == 405
    assert "does not take" in client.post("/cycle", headers=JSON).json()["error"]["sentence"]


@pytest.mark.parametrize("number", ["x", "1.5", "99999999999999999999999", "-9223372036854775809"])
def test_number_that_is_none(client: TestClient, number: str) -> None:
    assert client.get(f"/jobs/{number}", headers=JSON).status_code == 422


def test_missing_field_is_named(client: TestClient) -> None:
    answer = client.post("/people", data={"name": "Mei"}, headers=JSON)
    assert answer.status_code == 422
    assert "“email”" in answer.json()["error"]["sentence"]


def test_text_that_cannot_be_kept(client: TestClient) -> None:
    answer = client.post("/people", data={"name": "M\x00ei", "email": "mei@example.org"}, headers=JSON)
    assert answer.status_code == 422


def test_body_too_large(client: TestClient) -> None:
    answer = client.post("/people", data={"name": "x" * (2 << 20), "email": "mei@example.org"}, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["error"]["sentence"] == "This is larger than what is taken here."
    page = client.post("/people", data={"name": "x" * (2 << 20)}, headers={"Accept": "text/html"})
    assert page.status_code == 413
    assert "This is larger than what is taken here." in page.text and 'class="rail"' in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_body_too_large_that_does_not_say_its_size(client: TestClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/people", content=iter([b"name=", *[b"x" * (1 << 20)] * 2]), headers=JSON | form)
    assert answer.status_code == 413
    assert answer.json()["error"]["sentence"] == "This is larger than what is taken here."


def test_health_without_a_database(web: FastAPI, stranger: TestClient) -> None:
    assert stranger.get("/healthz").json() == {"status": "ok"}
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    web.state.sessions = lambda: Session(nowhere)
    assert stranger.get("/healthz").status_code == 503


def test_missing_thing(client: TestClient) -> None:
    answer: Any = client.get("/jobs/123456", headers=JSON).json()
    assert answer["error"]["sentence"] == "There is no job 123456."
