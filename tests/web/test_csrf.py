"""Requests that a page of ours did not make change nothing."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.people import Person
from app.settings import Settings
from app.web.main import create_app

NEW = {"name": "Mei", "email": "mei@example.org"}


def paths(web: FastAPI, methods: set[str]) -> list[tuple[str, str]]:
    """Every (method, path) of the app with one of these methods, its parameters filled in."""
    found = []
    for route in iter_route_contexts(web.routes):
        path = re.sub(r"\{[^}]*\}", "1", route.path or "")
        found += [(method, path) for method in (route.methods or {"GET"}) if method in methods]
    return found


def added(session: Session) -> int:
    return session.query(Person).filter_by(email=NEW["email"]).count()


def test_a_page_of_ours_may(client: TestClient, session: Session) -> None:
    assert client.post("/people", data=NEW).status_code == 200
    assert added(session) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_another_origin_may_not(client: TestClient, session: Session, headers: dict[str, str]) -> None:
    assert client.post("/people", data=NEW, headers=headers).status_code == 403
    assert added(session) == 0


def test_no_origin_at_all_may_not(client: TestClient, session: Session) -> None:
    del client.headers["Origin"]
    assert client.post("/people", data=NEW).status_code == 403
    assert client.post("/people", data=NEW, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_without_the_token_nothing_happens(client: TestClient, session: Session, token: str) -> None:
    del client.headers["X-CSRF-Token"]
    assert client.post("/people", data=NEW).status_code == 403
    assert client.post("/people", data=NEW | {"csrf": token}).status_code == 403
    assert client.post("/people", data=NEW, headers={"X-CSRF-Token": token.encode()}).status_code == 403
    assert added(session) == 0


def test_the_token_may_be_a_form_field(client: TestClient, session: Session) -> None:
    token = client.headers.pop("X-CSRF-Token")
    assert f'name="csrf" value="{token}"' in client.get("/people").text
    assert client.post("/people", data=NEW | {"csrf": token}).status_code == 200
    assert client.post("/people", files={"x": b""}, data=NEW | {"csrf": token}).status_code == 409
    assert added(session) == 1


def test_every_route_that_changes_something_asks_for_both(web: FastAPI, client: TestClient) -> None:
    token = client.headers.pop("X-CSRF-Token")
    found = [one for one in paths(web, {"POST", "PUT", "PATCH", "DELETE"}) if one[1] not in ("/sign-in", "/links/1")]
    assert found
    for method, path in found:
        bare = client.request(method, path, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert bare.status_code in (403, 422), f"{method} {path} without the token"
        foreign = client.request(method, path, headers={"X-CSRF-Token": token, "Origin": "https://evil.example"})
        assert foreign.status_code == 403, f"{method} {path} from another origin"


def test_signing_in_asks_for_our_origin(stranger: TestClient) -> None:
    form = {"email": "ana@example.org", "password": "x" * 12}
    assert stranger.post("/sign-in", data=form, headers={"Origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8700"])
def test_a_name_bound_to_us_gets_nothing(client: TestClient, host: str) -> None:
    answer = client.get("/people", headers={"Host": host, "Accept": "application/json"})
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["localhost:8700", "127.0.0.1", "[::1]:8700", "192.168.1.5:8700"])
def test_our_own_names_are_known(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_the_public_name_is_known(settings: Settings) -> None:
    public = create_app(settings.model_copy(update={"public_url": "https://packshot.example.org"}))
    browser = TestClient(public, base_url="https://packshot.example.org", follow_redirects=False)
    assert browser.get("/sign-in").status_code == 200
    assert browser.get("/sign-in", headers={"Host": "other.example.org"}).status_code == 400


def test_every_answer_carries_the_security_headers(client: TestClient, stranger: TestClient) -> None:
    for answer in (client.get("/people"), stranger.get("/people"), client.get("/nowhere"), stranger.get("/healthz")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
