"""The vote page over the web: plain forms, what a script asks, pictures under sealed names, guests of a link."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluation import links, sheets, source_type
from app.evaluation.columns import ColumnWish, drawn_columns
from app.evaluation.tables import PromptPhoto, Sample, Sheet
from app.evaluation.vote_tables import FailureTag, Guest, UsableAnswer, Vote
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from app.web import sealing
from app.web.views import voting
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import finished_run, sheet_of

AS_SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def sheet(session: Session) -> Sheet:
    return sheet_of(session, finished_run(session), 36)


@pytest.fixture
def voter(web: FastAPI, session: Session, settings: Settings) -> TestClient:
    """An annotator's browser."""
    return sign_in(web, session, settings, cast.person(session, "Ben", "annotator"))


def turns_of(page: str) -> list[dict[str, Any]]:
    """The turns that a page holds, for its script."""
    (found,) = re.findall(r"<script type=\"application/json\" data-turns>(.*?)</script>", page, re.DOTALL)
    turns: list[dict[str, Any]] = json.loads(found)
    return turns


def votes(session: Session) -> list[Vote]:
    session.expire_all()
    return list(session.scalars(select(Vote).where(Vote.withdrawn_at.is_(None)).order_by(Vote.id)))


def test_a_pair_is_voted_on_by_plain_forms_and_taken_back(session: Session, sheet: Sheet, voter: TestClient) -> None:
    here = f"/compare/{sheet.id}"
    page = voter.get(f"{here}/vote").text
    turn = turns_of(page)[0]
    assert "A<span" in page and f'value="{turn["ticket"]}"' in page and "of about 36" in page
    answer = voter.post(f"{here}/votes", data={"ticket": turn["ticket"], "choice": "both_bad"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{here}/vote")
    (kept,) = votes(session)
    assert kept.choice == "both_bad" and kept.person_id is not None and kept.seconds >= 0
    after = turns_of(voter.get(f"{here}/vote").text)[0]
    assert after["ticket"] != turn["ticket"]
    back = voter.post(f"{here}/votes/undo").headers["location"]
    again = turns_of(voter.get(back).text)
    assert votes(session) == [] and again[0]["prompt"] == turn["prompt"] and len(again) == voting.AHEAD
    assert voter.get(here).text.count(f'href="{here}/vote"') == 1, "the comparison leads there"


def test_a_script_gets_the_turns_that_come_next(session: Session, sheet: Sheet, voter: TestClient) -> None:
    here = f"/compare/{sheet.id}"
    first, *held = turns_of(voter.get(f"{here}/vote").text)
    form = {"ticket": first["ticket"], "choice": "left", "seconds": "1.25", "was_zoomed": "true",
            "held": [turn["ticket"] for turn in held]}  # fmt: skip
    answer = voter.post(f"{here}/votes", data=form, headers=AS_SCRIPT).json()
    assert len(answer["turns"]) == 1 and answer["turns"][0]["ticket"] not in form["held"]
    voter.post(f"{here}/votes", data=form, headers=AS_SCRIPT)
    (kept,) = votes(session)
    assert (kept.seconds, kept.was_zoomed) == (1.25, True), "sent twice, kept once"
    undone = voter.post(f"{here}/votes/undo", data={"ticket": first["ticket"]}, headers=AS_SCRIPT)
    assert undone.json() == {"turns": []} and votes(session) == []


def test_nothing_says_which_checkpoint_drew_a_picture(
    session: Session, sheet: Sheet, voter: TestClient, storage: Storage, web: FastAPI
) -> None:
    file = BytesIO()
    Pillow.new("RGB", (64, 64), "teal").save(file, "PNG")
    sha256 = web.state.storage.put("samples", file.getvalue(), ".png")
    for sample in session.scalars(select(Sample)):
        sample.sha256 = sha256
    session.flush()
    page = html.unescape(voter.get(f"/compare/{sheet.id}/vote").text)
    assert "/samples/" not in page and "checkpoint" not in page.lower() and not re.search(r"\bstep\b", page.lower())
    turn = turns_of(page)[0]
    answer = voter.get(turn["pictures"][0]["src"])
    assert answer.status_code == 200 and answer.content == file.getvalue()
    assert not {"last-modified", "etag"} & {name.lower() for name in answer.headers}, "a file's date tells the order"
    assert turns_of(voter.get(f"/compare/{sheet.id}/vote").text)[0]["pictures"][0]["src"] != turn["pictures"][0]["src"]


def test_a_vote_on_what_was_not_shown_is_refused(
    web: FastAPI, session: Session, settings: Settings, sheet: Sheet, voter: TestClient, client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here = f"/compare/{sheet.id}"
    turn = turns_of(voter.get(f"{here}/vote").text)[0]
    picture = turn["pictures"][0]
    other = sheet_of(session, finished_run(session), 36)
    for browser, place, ticket in (
        (voter, here, "made-up"), (voter, here, picture["name"]), (client, here, turn["ticket"]),
        (voter, f"/compare/{other.id}", turn["ticket"]), (voter, here, "ticket é"),
    ):  # fmt: skip
        answer = browser.post(f"{place}/votes", data={"ticket": ticket, "choice": "left"}, headers=AS_SCRIPT)
        assert answer.status_code == 422 and "not shown to you" in answer.json()["error"]["sentence"]
    assert voter.post(f"{here}/votes", data={"ticket": turn["ticket"], "choice": "best"}).status_code == 422
    assert voter.post(f"{here}/usable", data={"picture": turn["ticket"], "is_usable": "true"}).status_code == 422
    assert client.get(picture["src"]).status_code == 404, "another person's pictures are not found"
    assert votes(session) == []
    viewer = sign_in(web, session, settings, cast.person(session, "Vic", "viewer"))
    assert viewer.post(f"{here}/votes", data={"ticket": turn["ticket"], "choice": "left"}).status_code == 403
    assert voter.get("/compare/x/vote").status_code == 404
    monkeypatch.setattr(voting, "PICTURE_LASTS", timedelta(seconds=-1))
    assert "shown a while ago" in voter.get(picture["src"]).text


def test_would_you_publish_it_and_what_is_wrong(session: Session, sheet: Sheet, voter: TestClient) -> None:
    here = f"/compare/{sheet.id}"
    turn = turns_of(voter.get(f"{here}/vote").text)[0]
    b = turn["pictures"][1]["name"]
    answer = voter.post(f"{here}/usable", data={"picture": b, "is_usable": "false", "turn": turn["ticket"]})
    assert answer.headers["location"] == f"{here}/vote?turn={turn['ticket']}"
    told = {"picture": b, "failure": "bad_text", "is_so": "true", "turn": turn["ticket"]}
    page = voter.get(voter.post(f"{here}/failures", data=told).headers["location"]).text
    shown = turns_of(page)[0]["pictures"]
    assert (shown[0]["usable"], shown[1]["usable"], shown[1]["failures"]) == (None, False, ["bad_text"])
    assert turns_of(page)[0]["ticket"] == turn["ticket"], "the pair stays"
    voter.post(f"{here}/failures", data={key: told[key] for key in ("picture", "failure", "turn")})
    session.expire_all()
    assert len(session.scalars(select(UsableAnswer)).all()) == 1
    assert [tag.tag for tag in session.scalars(select(FailureTag).where(FailureTag.removed_at.is_(None)))] == []


def test_single_pictures_and_real_photos_look_the_same(
    web: FastAPI, session: Session, sheet: Sheet, voter: TestClient, me: Person
) -> None:
    files: Storage = web.state.storage
    photo = cast.image(session, cast.catalog(session))
    file = BytesIO()
    Pillow.new("RGB", (800, 600), "orange").save(file, "JPEG")
    photo.view_sha256 = files.put("views", file.getvalue(), ".jpg")
    sampling, base = sheets.suite(session, sheet).sampling, drawn_columns(session, sheet)[0]
    size = (sampling["width_px"], sampling["height_px"])
    some = sheets.make(session, sheets.suite(session, sheet), [ColumnWish(base.id), ColumnWish(None)], me)
    prompt_id = next(cell.prompt_id for cell in sheets.wanted(session, some))
    session.add(PromptPhoto(prompt_id=prompt_id, position=0, image_id=photo.id))
    for sample in session.scalars(select(Sample).where(Sample.checkpoint_id == base.id)):
        drawing = source_type.encoded(Pillow.new("RGB", size, "teal"))
        sample.sha256 = files.put("samples", drawing, ".png")
    session.flush()
    here, seen = f"/compare/{some.id}", []
    for _ in range(13):
        turn = turns_of(voter.get(f"{here}/usable").text)[0]
        answer = voter.get(turn["pictures"][0]["src"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        opened = Pillow.open(BytesIO(answer.content))
        seen.append((opened.format, opened.size, *opened.info))
        told = voter.post(f"{here}/usable", data={"picture": turn["ticket"], "is_usable": "true"})
        assert told.headers["location"] == f"{here}/usable"
    assert set(seen) == {("PNG", size)}
    assert "answered for all 13 pictures" in voter.get(f"{here}/usable").text
    back = voter.post(f"{here}/usable/undo").headers["location"]
    assert len(turns_of(voter.get(back).text)) == 1
    session.expire_all()
    assert len(session.scalars(select(UsableAnswer).where(UsableAnswer.superseded_at.is_(None))).all()) == 12


def test_a_guest_votes_by_a_link_and_sees_nothing_else(
    session: Session, sheet: Sheet, client: TestClient, stranger: TestClient, voter: TestClient
) -> None:
    assert voter.get(f"/compare/{sheet.id}/links").status_code == 403
    made = client.post(f"/compare/{sheet.id}/links", data={"days": "3"}).text
    address = re.findall(r"https?://[^/]+(/votes/[\w-]+)", made)[0]
    assert address.split("/")[-1] not in client.get(f"/compare/{sheet.id}/links").text, "shown once"
    assert voter.get(address).headers["location"] == f"/compare/{sheet.id}/vote", "the team votes with the team"
    page = stranger.get(address).text
    assert "Your name" in page and "data-turns" not in page
    assert stranger.get(f"{address}/usable").headers["location"] == address
    assert stranger.post(f"{address}/votes", data={"ticket": "x", "choice": "left"}).status_code == 403
    assert "Say who votes" in stranger.post(address, data={"name": " "}).text
    entered = stranger.post(address, data={"name": "Mei <b>"})
    assert entered.status_code == 303 and f"Path={address}" in entered.headers["set-cookie"]
    assert "HttpOnly" in entered.headers["set-cookie"]
    page = stranger.get(address).text
    assert "Mei &lt;b&gt;" in page and "/compare" not in page and "/samples" not in page and 'class="rail"' not in page
    turn = turns_of(page)[0]
    assert all(each["src"].startswith(f"{address}/pictures/") for each in turn["pictures"])
    told = stranger.post(f"{address}/votes", data={"ticket": turn["ticket"], "choice": "right"})
    assert told.headers["location"] == address
    (kept,) = votes(session)
    assert kept.person_id is None and session.get_one(Guest, kept.guest_id).name == "Mei <b>"
    for path in ("/", "/compare", f"/compare/{sheet.id}", f"/compare/{sheet.id}/vote", "/samples/1"):
        assert stranger.get(path).status_code in (303, 401) and "sign-in" in stranger.get(path).headers["location"]
    assert turns_of(stranger.get(f"{address}/usable").text)[0]["pictures"][0]["src"].startswith(address)


def test_a_link_that_is_over_lets_nobody_in(
    session: Session, sheet: Sheet, client: TestClient, stranger: TestClient, me: Person
) -> None:
    link, token = links.make(session, me, sheet, "vote", 3)
    session.flush()
    stranger.post(f"/votes/{token}", data={"name": "Mei"})
    turn = turns_of(stranger.get(f"/votes/{token}").text)[0]
    assert client.post(f"/compare/{sheet.id}/links/{link.id}/revocation").status_code == 303
    for answer in (
        stranger.get(f"/votes/{token}"), stranger.get(turn["pictures"][0]["src"]),
        stranger.post(f"/votes/{token}/votes", data={"ticket": turn["ticket"], "choice": "left"}),
    ):  # fmt: skip
        assert answer.status_code == 404 and "not good any more" in answer.text
    assert votes(session) == []
    _, other = links.make(session, me, sheet, "vote", 3)
    session.flush()
    for _ in range(20):
        stranger.get("/votes/guessed")
    assert stranger.get(f"/votes/{other}").status_code == 429, "after so many wrong ones not even a right one"


def test_sealed_names_are_read_by_this_server_only(storage: Storage, tmp_path: Any) -> None:
    token = sealing.seal(storage, ("pair", 1, None))
    assert sealing.unseal(storage, token, timedelta(hours=1)) == ["pair", 1, None]
    assert sealing.seal(storage, ("pair", 1, None)) != token
    assert sealing.unseal(Storage(tmp_path / "other"), token, timedelta(hours=1)) is None
    assert sealing.unseal(storage, token[:-4], timedelta(hours=1)) is None
    assert sealing.unseal(storage, token, timedelta(seconds=-1)) is None
    assert (storage.root / "run" / "sealing.key").stat().st_mode & 0o77 == 0
