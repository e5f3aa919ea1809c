"""Pages as a person reads them: signed in by password, and the words, counts and pictures that they show."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

from fastapi.testclient import TestClient

from app.settings import Settings
from app.web import security
from app.web.main import create_app
from tests.conftest import ADDRESS

PASSWORD = "four words make one"


def signed_in(settings: Settings, name: str) -> TestClient:
    """A browser in which somebody of the kept team signed in."""
    browser = TestClient(create_app(settings), base_url=ADDRESS, headers={"Origin": ADDRESS}, follow_redirects=False)
    answer = browser.post("/sign-in", data={"email": f"{name}@example.org", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return browser


def with_cookie(browser: TestClient, settings: Settings, cookie: str) -> TestClient:
    """The browser with the cookie of a sign-in."""
    browser.cookies.set(security.cookie_name(settings), cookie)
    browser.headers["X-CSRF-Token"] = security.csrf_token(cookie)
    return browser


def shown(client: TestClient, address: str, **asked: str) -> str:
    """The words of a page, as they are read one after the other."""
    answer = client.get(address, params=asked)
    assert answer.status_code == 200, answer.text
    return words(answer.text)


def words(page: str) -> str:
    """What a page says. Moments are told in UTC and to the second, wherever this runs."""
    page = re.sub(r'<time datetime="([^"]+)".*?</time>', lambda told: f" {moment(told.group(1))} ", page)
    page = re.sub(r"<(script|svg).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def moment(told: str) -> str:
    """An ISO 8601 moment as `words` tells it."""
    return f"{datetime.fromisoformat(told).astimezone(UTC):%-d %b %H:%M:%S}"


def found(client: TestClient, query: str) -> set[int]:
    """The photos that a filter finds; the page's count is theirs."""
    page = client.get("/catalogs/1", params={"q": query}).text
    ids = {int(number) for number in re.findall(r'href="/images/(\d+)\?q=', page)}
    assert f'data-total="{len(ids)}"' in page
    return ids


def pictures(client: TestClient, page: str) -> list[str]:
    """The addresses of the drawn pictures on a page, each of which is a PNG that is there."""
    addresses = sorted(set(re.findall(r'<img src="(/samples/\d+)(?:/thumb)?"', client.get(page).text)))
    assert all(client.get(address).content.startswith(b"\x89PNG") for address in addresses)
    return addresses


def facts(client: TestClient, address: str) -> dict[str, Any]:
    """What an address answers to a script."""
    loaded: dict[str, Any] = client.get(address).json()
    return loaded
