"""Links to read a report by: what somebody without an account sees of a sheet, and when they see nothing any more."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import utc_now
from app.evaluation import links
from app.evaluation.columns import drawn_columns
from app.evaluation.tables import Prompt, Sample, Sheet
from app.evaluation.vote_tables import SheetLink
from app.people import Person
from tests import cast
from tests.evaluation.cast import finished_run, sheet_of
from tests.web.test_reports import Seen, painted, vote


@pytest.fixture
def sheet(web: FastAPI, session: Session) -> Sheet:
    """A whole sheet of 12 rows and 3 columns; its last prompt is held out."""
    made = sheet_of(session, finished_run(session), 36)
    last = session.scalars(select(Prompt).where(Prompt.suite_id == made.suite_id).order_by(Prompt.position.desc()))
    prompt = last.first()
    assert prompt is not None
    prompt.text, prompt.tier = "Secret prompt", "hold_out"
    painted(web, session, made)
    return made


def read_link(client: TestClient, sheet: Sheet) -> str:
    """The path of a new link, made on the page of links."""
    made = client.post(f"/compare/{sheet.id}/links", data={"days": "3", "kind": "read"}).text
    (path,) = set(re.findall(r"https?://[^/]+(/reads/[\w-]+)", made))
    assert "no names of voters" in made
    return path


def test_a_reader_sees_the_report_and_nothing_else(
    session: Session, sheet: Sheet, client: TestClient, stranger: TestClient, me: Person
) -> None:
    vote(session, sheet, cast.person(session, "Jonas Berg"), 4)
    link, _ = links.make(session, me, sheet, "vote", 3)
    guest, _ = links.enter(session, link, "Guest Gina")
    vote(session, sheet, me, 4)
    session.flush()
    at = read_link(client, sheet)
    answer = stranger.get(f"{at}?names=1")
    page, seen = answer.text, Seen(answer.text)
    assert answer.status_code == 200 and "Picked by chance" in page and "Good until" in page
    assert "noindex" in answer.headers["x-robots-tag"] and '<meta name="robots" content="noindex' in page
    assert answer.headers["cache-control"] == "no-store"
    assert "Voter 2" in page and not any(name in page for name in ("Jonas", me.name, guest.name))
    assert "Secret prompt" not in page and 'class="rail"' not in page
    own = [address for address in seen.addresses if not address.startswith("/static/")]
    assert own and all(address.startswith(f"{at}/") for address in own)
    pictures = [address for address in own if "/pictures/" in address and "?" not in address]
    for address in (pictures[0], f"{pictures[0]}?large=1"):
        shown = stranger.get(address)
        assert shown.status_code == 200 and "noindex" in shown.headers["x-robots-tag"]
    downloaded = stranger.get(f"{at}/report.html")
    assert "attachment" in downloaded.headers["content-disposition"] and "Jonas" not in downloaded.text
    assert "Secret prompt" not in downloaded.text and "data:image/webp" in downloaded.text
    for path in ("/", "/compare", f"/compare/{sheet.id}/report", f"/compare/{sheet.id}/votes.csv", "/samples/1"):
        assert stranger.get(path).status_code in (303, 401), path
    assert stranger.get(f"{at}/report.pdf").status_code == 404


def test_pictures_of_other_sheets_and_held_out_ones_are_not_found(
    web: FastAPI, session: Session, sheet: Sheet, client: TestClient, stranger: TestClient
) -> None:
    at = read_link(client, sheet)
    other = sheet_of(session, finished_run(session), 36)
    painted(web, session, other)
    own = [checkpoint.id for checkpoint in drawn_columns(session, sheet)]
    of_sheet = select(Sample.id).join(Prompt).where(Sample.checkpoint_id.in_(own))
    open_one = session.scalars(of_sheet.where(Prompt.tier != "hold_out")).first()
    held_out = session.scalars(of_sheet.where(Prompt.tier == "hold_out")).first()
    others = [checkpoint.id for checkpoint in drawn_columns(session, other)]
    elsewhere = session.scalars(select(Sample.id).where(Sample.checkpoint_id.in_(others))).first()
    photo = cast.image(session, cast.catalog(session, "Photos"))
    assert stranger.get(f"{at}/pictures/s{open_one}").status_code == 200
    for key in (f"s{held_out}", f"s{elsewhere}", f"i{photo.id}", "../../samples/1", "s"):
        for query in ("", "?large=1"):
            assert stranger.get(f"{at}/pictures/{key}{query}").status_code == 404, key


def test_a_link_that_expired_or_was_taken_back_shows_nothing(
    session: Session, sheet: Sheet, client: TestClient, stranger: TestClient, me: Person
) -> None:
    at = read_link(client, sheet)
    picture = next(address for address in Seen(stranger.get(at).text).addresses if "/pictures/" in address)
    link = session.scalars(select(SheetLink).where(SheetLink.kind == "read")).one()

    def is_over() -> bool:
        answers = [stranger.get(address) for address in (at, f"{at}/report.html", picture)]
        return all(answer.status_code == 404 and "not good any more" in answer.text for answer in answers)

    link.expires_at = utc_now() - timedelta(seconds=1)
    session.flush()
    assert is_over()
    link.expires_at = utc_now() + timedelta(days=1)
    session.flush()
    assert stranger.get(at).status_code == 200
    assert client.post(f"/compare/{sheet.id}/links/{link.id}/revocation").status_code == 303
    assert is_over() and "taken back" in client.get(f"/compare/{sheet.id}/links").text


def test_a_link_is_for_one_thing_and_guesses_are_counted(
    session: Session, sheet: Sheet, client: TestClient, stranger: TestClient, me: Person
) -> None:
    at = read_link(client, sheet)
    _, to_vote = links.make(session, me, sheet, "vote", 3)
    session.flush()
    assert stranger.get(f"/reads/{to_vote}").status_code == 404
    assert stranger.get(at.replace("/reads/", "/votes/")).status_code == 404
    assert client.post(f"/compare/{sheet.id}/links", data={"days": "3", "kind": "write"}).status_code == 422
    for _ in range(18):
        assert stranger.get("/reads/guessed").status_code == 404
    answer = stranger.get(at)
    assert answer.status_code == 429, "after so many wrong ones not even a right one"
    assert stranger.get(f"/votes/{to_vote}").status_code == 429, "guesses at both kinds are one count"
