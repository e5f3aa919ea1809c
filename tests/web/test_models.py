"""The pages of models: empty, a candidate, its signature, the history, roll back, what somebody else did meanwhile."""

from __future__ import annotations

from html import unescape
from io import BytesIO

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from sqlalchemy.orm import Session

from app.evaluation import judging, promoting, source_type
from app.evaluation.shipping_tables import Candidacy
from app.evaluation.source_type import MADE_BY_MODEL
from app.evaluation.tables import Sample
from app.evaluation.vote_tables import UsableAnswer
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.conftest import sign_in
from tests.evaluation.cast import sheet_of
from tests.evaluation.shipping_cast import WHY, saved_run, ship, steps_of


@pytest.fixture
def files(web: FastAPI) -> Storage:
    storage: Storage = web.state.storage
    return storage


def test_an_empty_page_says_how_a_model_ships(client: TestClient) -> None:
    assert "No model is live yet." in client.get("/models").text


def test_from_asking_to_rolling_back(
    client: TestClient, web: FastAPI, session: Session, settings: Settings, files: Storage, me: Person
) -> None:
    lead = sign_in(web, session, settings, cast.person(session, "Lea", "lead"))
    run = saved_run(session, files)
    first, second = steps_of(session, run)[50], steps_of(session, run)[100]
    sheet = sheet_of(session, run, drawn=36)
    page = lead.get(f"/models/new?checkpoint_id={first.id}&sheet_id={sheet.id}").text
    assert "No gate has judged it." in page and 'action="/models"' in page
    refused = lead.post("/models", data={"checkpoint_id": first.id, "note": " "})
    assert refused.status_code == 422 and "Say in a note why" in refused.text
    asked = lead.post("/models", data={"checkpoint_id": first.id, "sheet_id": sheet.id, "note": WHY})
    assert asked.status_code == 303
    address = asked.headers["location"]
    assert "An owner signs it." in lead.get(address).text and "/signature" not in lead.get(address).text
    shown = client.get(address).text
    assert "/signature" in shown and "Lea asked for it" in shown and "You asked for this yourself" not in shown
    signed = client.post(f"{address}/signature", data={"expected": 0, "note": "Better whites."})
    assert signed.status_code == 303
    models = unescape(client.get(signed.headers["location"]).text)
    for words in ("1 shipped", "signed by", "Better whites.", "asked for by Lea", "8 pictures of", "Withdraw it"):
        assert words in models, words
    ship(session, files, second, me)
    now = promoting.live(session, run_catalog(session, first.id))
    assert now is not None
    models = client.get("/models").text
    assert "Roll back to run" in models and "step 50" in models
    refused = client.post(f"/models/{now.promotion.id}/rollback", data={"note": " "})
    assert refused.status_code == 422 and "what was wrong" in refused.text
    assert client.post(f"/models/{now.promotion.id}/rollback", data={"note": "Grey."}).status_code == 303
    again = client.post(f"/models/{now.promotion.id}/rollback", data={"note": "Grey."})
    assert again.status_code == 409 and "meanwhile" in again.text
    models = client.get("/models").text
    assert "rolled back" in models and "1 taken back" in models


def run_catalog(session: Session, checkpoint_id: int) -> int:
    return promoting.origin_of(session, checkpoint_id)[2].id


def test_one_who_is_both_is_told_so(client: TestClient, session: Session, files: Storage, me: Person) -> None:
    candidacy = promoting.ask(session, files, steps_of(session, saved_run(session, files))[50].id, me, WHY)
    assert "You asked for this yourself" in client.get(f"/candidates/{candidacy.id}").text
    promoting.sign(session, files, candidacy.id, me, 0, WHY)
    assert "asked for by the same person" in client.get("/models").text


def test_what_was_typed_is_kept_where_somebody_was_faster(
    client: TestClient, session: Session, files: Storage, me: Person
) -> None:
    """Both looked at a page on which nothing was live."""
    run = saved_run(session, files)
    candidacy = promoting.ask(session, files, steps_of(session, run)[50].id, me, WHY)
    otto = cast.person(session, "Otto", "owner")
    ship(session, files, steps_of(session, run)[100], otto)
    answer = client.post(f"/candidates/{candidacy.id}/signature", data={"expected": 0, "note": "My own reason."})
    assert answer.status_code == 409
    page = unescape(answer.text)
    assert f"Otto made step 100 of run {run.id} live meanwhile." in page and "My own reason." in page
    session.expire_all()
    assert session.get_one(Candidacy, candidacy.id).ended_at is None
    assert 'name="expected" value="0"' not in page, "the page shows what is live now"


def test_the_gates_table_is_shown_as_it_stood(
    client: TestClient, session: Session, files: Storage, me: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"key": "hard_fails", "value": 0.01, "bound": 0.04, "threshold": 0.05, "passes": True, "n": 64,
            "sentence": "Surely at most 4 %."}  # fmt: skip
    monkeypatch.setattr(judging, "decision", lambda *_: {"kind": "ship", "lines": [line]})
    candidacy = promoting.ask(session, files, steps_of(session, saved_run(session, files))[50].id, me)
    assert "Surely at most 4 %." in client.get(f"/candidates/{candidacy.id}").text
    promoting.sign(session, files, candidacy.id, me)
    monkeypatch.undo()
    page = client.get("/models").text
    assert "Hard fails" in page and "Surely at most 4 %." in page and "met" in page


def test_usable_pictures_are_counted_by_most_of_who_answered(
    client: TestClient, session: Session, files: Storage, me: Person
) -> None:
    run = saved_run(session, files)
    sheet, best = sheet_of(session, run, drawn=36), steps_of(session, run)[50]
    mei = cast.person(session, "Mei", "annotator")
    samples = session.query(Sample).filter_by(checkpoint_id=best.id).order_by(Sample.id).limit(3).all()
    said = ((0, me, True), (0, mei, True), (1, me, True), (1, mei, False), (2, me, False))
    session.add_all(
        UsableAnswer(sheet_id=sheet.id, sample_id=samples[n].id, person_id=who.id, is_usable=yes, seconds=1.0)
        for n, who, yes in said
    )
    session.flush()
    ship(session, files, best, me)
    assert "1 of 3" in client.get("/models").text, "a tie is no yes"


def test_gone_files_are_told_and_nothing_is_offered_that_needs_them(
    client: TestClient, session: Session, files: Storage, me: Person
) -> None:
    best = steps_of(session, saved_run(session, files))[50]
    promotion = ship(session, files, best, me)
    assert "/export" in client.get("/models").text
    (files.root / str(best.folder) / "checkpoint.json").unlink()
    page = client.get("/models").text
    assert "files are gone" in page and f"/models/{promotion.id}/export" not in page
    assert client.post(f"/models/{promotion.id}/export").status_code == 422
    for name in ("diffusers.tar", "lora.tar", "card.md"):
        assert client.get(f"/models/{promotion.id}/{name}").status_code == 404


def test_a_strangers_words_do_no_harm(client: TestClient, session: Session, files: Storage, me: Person) -> None:
    best = steps_of(session, saved_run(session, files))[50]
    candidacy = promoting.ask(session, files, best.id, me, "<script>alert(1)</script>")
    promoting.sign(session, files, candidacy.id, me, 0, "<img src=x>")
    assert "<script>alert(1)" not in client.get(f"/candidates/{candidacy.id}").text
    assert "<img src=x>" not in client.get("/models").text


def test_samples_of_before_say_that_a_model_made_them(
    client: TestClient, session: Session, files: Storage, me: Person
) -> None:
    drawn = Pillow.new("RGB", (24, 24), "teal")
    plain = BytesIO()
    drawn.save(plain, "PNG")
    sheet_of(session, saved_run(session, files), drawn=2)
    old, new = session.query(Sample).order_by(Sample.id).limit(2).all()
    old.sha256 = files.put("samples", plain.getvalue(), ".png")
    new.sha256 = files.put("samples", source_type.encoded(drawn), ".png")
    session.flush()
    for sample in (old, new):
        assert MADE_BY_MODEL.encode() in client.get(f"/samples/{sample.id}").content
        for kind in ("png", "jpeg", "webp"):
            answer = client.get(f"/samples/{sample.id}/{kind}")
            assert (
                answer.headers["content-type"] == f"image/{kind}"
                and "attachment" in answer.headers["content-disposition"]
            )
            assert MADE_BY_MODEL.encode() in answer.content
            with Pillow.open(BytesIO(answer.content)) as opened:
                assert opened.size == drawn.size
    assert client.get(f"/samples/{old.id}/gif").status_code == 422
    assert client.get("/samples/999999/jpeg").status_code == 404
