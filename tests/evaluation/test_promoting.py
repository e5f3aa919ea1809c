"""Which checkpoint is live: asked for, signed, one at a time however many sign at once, rolled back, kept."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit import AuditEntry
from app.database import transaction
from app.errors import AppError, Conflict, NotAllowed, Refused
from app.evaluation import gate_setting, judging, promoting
from app.evaluation.gates import GateLimits
from app.evaluation.promotion_tables import Promotion
from app.evaluation.shipping_tables import Candidacy
from app.people import Person
from app.storage import Storage
from app.training import runs
from app.training.limits import Limits
from app.training.tables import Checkpoint
from tests import cast
from tests.evaluation.cast import finished_run, sheet_of
from tests.evaluation.shipping_cast import WHY, saved_run, ship, steps_of


@pytest.fixture
def files(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


@pytest.fixture
def owner(session: Session) -> Person:
    return cast.person(session, "Olga", "owner")


def test_a_lead_asks_and_an_owner_signs(session: Session, files: Storage, owner: Person) -> None:
    lead, run = cast.person(session), saved_run(session, files)
    best = steps_of(session, run)[50]
    with pytest.raises(NotAllowed, match="lead"):
        promoting.ask(session, files, best.id, cast.person(session, "Ben", "annotator"), WHY)
    asked = promoting.ask(session, files, best.id, lead, WHY)
    assert promoting.ask(session, files, best.id, owner, "Me too.").id == asked.id, "asked twice, asked once"
    with pytest.raises(NotAllowed, match="owner"):
        promoting.sign(session, files, asked.id, lead, 0, WHY)
    promotion = promoting.sign(session, files, asked.id, owner, 0, "Both colours are better.")
    now = promoting.live(session, promotion.catalog_id)
    assert now is not None and (now.checkpoint.id, now.run.id) == (best.id, run.id)
    assert (promotion.signed_by_id, promotion.note, promotion.verdict["asked_by_id"]) == (
        owner.id, "Both colours are better.", lead.id,
    )  # fmt: skip
    assert (asked.outcome, asked.promotion_id) == ("signed", promotion.id)
    told = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(2)).all()
    assert [(line.act, line.by_id) for line in told] == [("model_promoted", owner.id), ("candidate_asked", lead.id)]
    assert told[0].facts["gate"] == "not judged"


def test_one_person_who_is_both_may_do_both(session: Session, files: Storage, owner: Person) -> None:
    promotion = ship(session, files, steps_of(session, saved_run(session, files))[100], owner)
    assert promotion.verdict["asked_by_id"] == promotion.signed_by_id == owner.id


@pytest.mark.parametrize("kind", ["train_more", "need_votes", None])
def test_against_the_gate_a_note_is_needed(
    session: Session, files: Storage, owner: Person, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = {"kind": kind, "lines": []} if kind else None
    monkeypatch.setattr(judging, "decision", lambda *_: decision)
    best = steps_of(session, saved_run(session, files))[50]
    for note in ("", "  \n "):
        with pytest.raises(Refused, match="Say in a note why"):
            promoting.ask(session, files, best.id, owner, note)
    asked = promoting.ask(session, files, best.id, owner, WHY)
    with pytest.raises(Refused, match="Say in a note why"):
        promoting.sign(session, files, asked.id, owner, 0, "")
    assert promoting.live(session, asked.catalog_id) is None
    assert promoting.sign(session, files, asked.id, owner, 0, WHY).verdict.get("kind") == kind


def test_where_the_gate_says_ship_no_note_is_needed_and_the_table_is_kept(
    session: Session, files: Storage, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"key": "usable", "value": 0.9, "bound": 0.8, "threshold": 0.7, "passes": True, "n": 120}]
    monkeypatch.setattr(judging, "decision", lambda *_: {"kind": "ship", "lines": lines})
    best = steps_of(session, saved_run(session, files))[50]
    asked = promoting.ask(session, files, best.id, owner)
    monkeypatch.setattr(judging, "decision", lambda *_: {"kind": "train_more", "lines": []})
    with pytest.raises(Refused, match="does not say that it ships"):
        promoting.sign(session, files, asked.id, owner, 0, "")
    monkeypatch.setattr(judging, "decision", lambda *_: {"kind": "ship", "lines": lines})
    assert promoting.sign(session, files, asked.id, owner, 0, "").verdict["lines"] == lines


def test_what_cannot_ship_is_refused(session: Session, files: Storage, owner: Person) -> None:
    run = saved_run(session, files)
    base, first, last = steps_of(session, run).values()
    with pytest.raises(Refused, match="base ships by itself"):
        promoting.ask(session, files, base.id, owner, WHY)
    shutil.rmtree(files.root / str(first.folder))
    with pytest.raises(Refused, match="not whole"):
        promoting.ask(session, files, first.id, owner, WHY)
    (files.root / str(last.folder) / "weights" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(Refused, match="not whole"):
        promoting.ask(session, files, last.id, owner, WHY)
    other = saved_run(session, files)
    other.state, other.ended_at = "running", None
    with pytest.raises(Refused, match="once its run is over"):
        promoting.ask(session, files, steps_of(session, other)[50].id, owner, WHY)
    third = saved_run(session, files)
    sheet = sheet_of(session, finished_run(session))
    with pytest.raises(Refused, match="no column"):
        promoting.ask(session, files, steps_of(session, third)[50].id, owner, WHY, sheet.id)
    with pytest.raises(Refused, match="at most 2,000"):
        promoting.ask(session, files, steps_of(session, third)[50].id, owner, "x" * 2001)
    assert session.query(Candidacy).count() == 0


def test_what_is_live_is_not_promoted_again(session: Session, files: Storage, owner: Person) -> None:
    best = steps_of(session, saved_run(session, files))[50]
    ship(session, files, best, owner)
    with pytest.raises(Refused, match="live model already"):
        promoting.ask(session, files, best.id, owner, WHY)


def test_declined_and_withdrawn_candidates_are_over(session: Session, files: Storage, owner: Person) -> None:
    lead, best = cast.person(session), steps_of(session, saved_run(session, files))[50]
    asked = promoting.ask(session, files, best.id, lead, WHY)
    with pytest.raises(NotAllowed):
        promoting.decline(session, asked.id, cast.person(session, "Ben", "annotator"), "No.")
    assert promoting.decline(session, asked.id, owner, "Too dark.").outcome == "declined"
    with pytest.raises(Conflict, match="Olga has declined it"):
        promoting.sign(session, files, asked.id, owner, 0, WHY)
    again = promoting.ask(session, files, best.id, lead, WHY)
    assert again.id != asked.id
    assert promoting.decline(session, again.id, lead).outcome == "withdrawn"
    assert promoting.candidates(session, asked.catalog_id) == []


def live_step(session: Session, catalog_id: int) -> int | None:
    now = promoting.live(session, catalog_id)
    return now.checkpoint.step if now else None


def one_catalog(session: Session, files: Storage, count: int) -> list[Checkpoint]:
    """Checkpoints of one catalog, by step."""
    return list(steps_of(session, saved_run(session, files, tuple(range(10, 10 * count + 1, 10)))).values())[1:]


def test_rolling_back_goes_one_further_each_time_and_only_appends(
    session: Session, files: Storage, owner: Person
) -> None:
    a, b, c = one_catalog(session, files, 3)
    first, second, third = (ship(session, files, each, owner) for each in (a, b, c))
    catalog_id = first.catalog_id
    assert (second.end_cause, third.end_cause) == ("replaced", None)
    with pytest.raises(Refused, match="what was wrong"):
        promoting.roll_back(session, files, third.id, owner, " ")
    with pytest.raises(NotAllowed):
        promoting.roll_back(session, files, third.id, cast.person(session), "Grey.")
    again = promoting.roll_back(session, files, third.id, owner, "White turned grey.")
    assert again is not None and live_step(session, catalog_id) == 20
    assert (again.rolls_back_id, third.end_cause, third.ended_by_id) == (third.id, "rolled_back", owner.id)
    further = promoting.roll_back(session, files, again.id, owner, "Still grey.")
    assert further is not None and live_step(session, catalog_id) == 10
    assert promoting.roll_back(session, files, further.id, owner, "All grey.") is None
    assert live_step(session, catalog_id) is None and further.end_cause == "withdrawn"
    steps = {checkpoint.id: checkpoint.step for checkpoint in (a, b, c)}
    assert [steps[row.checkpoint_id] for row in promoting.history(session, catalog_id)] == [10, 20, 30, 20, 10]
    fresh = ship(session, files, c, owner)
    assert promoting.before(promoting.history(session, catalog_id), fresh) is None, "what was withdrawn stays away"


def test_after_a_roll_back_a_new_one_goes_back_to_what_came_again(
    session: Session, files: Storage, owner: Person
) -> None:
    a, b, c = one_catalog(session, files, 3)
    first, second = (ship(session, files, each, owner) for each in (a, b))
    promoting.roll_back(session, files, second.id, owner, "Grey.")
    third = ship(session, files, c, owner)
    promoting.roll_back(session, files, third.id, owner, "Grey too.")
    assert live_step(session, first.catalog_id) == 10, "not 20, which was rolled back itself"


def test_nothing_is_rolled_back_to_what_is_not_there(session: Session, files: Storage, owner: Person) -> None:
    a, b = one_catalog(session, files, 2)
    _, second = (ship(session, files, each, owner) for each in (a, b))
    shutil.rmtree(files.root / str(a.folder))
    with pytest.raises(Refused, match="not whole"):
        promoting.roll_back(session, files, second.id, owner, "Grey.")
    assert live_step(session, second.catalog_id) == 20


def test_a_run_that_shipped_is_closed(session: Session, files: Storage, owner: Person) -> None:
    """Going on would write other weights under the same step, and discarding would delete them."""
    run = saved_run(session, files)
    run.state, run.step, run.cause = "failed", 60, "broken"
    session.flush()
    assert runs.why_not_resumed(run) is None
    ship(session, files, steps_of(session, run)[50], owner)
    for act in (
        lambda: runs.resume(session, run, owner),
        lambda: runs.extend(session, run, Limits(99_999.0, None, None), owner),
        lambda: runs.stop(session, run, keep=False, person=owner),
    ):
        with pytest.raises(Conflict):
            act()
    assert (run.state, run.max_seconds) != ("queued", 99_999.0)
    with pytest.raises(IntegrityError), session.begin_nested():
        runs.end(session, run, "discarded", "Discarded.")
    assert [c.step for c in runs.checkpoints(session, run.id)] == [0, 50, 100]


def test_the_database_lets_one_model_live(session: Session, files: Storage, owner: Person) -> None:
    promotion = ship(session, files, steps_of(session, saved_run(session, files))[50], owner)
    twin = Promotion(
        catalog_id=promotion.catalog_id, checkpoint_id=promotion.checkpoint_id, verdict={}, signed_by_id=owner.id
    )
    with pytest.raises(IntegrityError, match="uq_promotion_live"), session.begin_nested():
        session.add(twin)
        session.flush()


@pytest.mark.usefixtures("emptied")
@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_who_sign_at_once_one_wins(engine: Engine, files: Storage, is_first: bool) -> None:
    """Both saw the same live model, or none."""
    with transaction(engine) as session:
        owners = [cast.person(session, name, "owner") for name in ("Olga", "Otto")]
        a, b, c = one_catalog(session, files, 3)
        expected = 0 if is_first else ship(session, files, a, owners[0]).id
        asked = [promoting.ask(session, files, each.id, owners[0], WHY).id for each in (b, c)]
        catalog_id = promoting.origin_of(session, a.id)[2].id
        people = [person.id for person in owners]
    barrier = Barrier(2)

    def sign(number: int) -> str:
        with Session(engine, expire_on_commit=False) as session:
            person = session.get_one(Person, people[number])
            barrier.wait()
            try:
                promoting.sign(session, files, asked[number], person, expected, WHY)
                session.commit()
            except AppError as refusal:
                return refusal.sentence
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(sign, range(2)))
    assert said.count("") == 1 and "meanwhile" in "".join(said)
    with transaction(engine) as session:
        there = session.scalars(select(Promotion).where(Promotion.catalog_id == catalog_id)).all()
        assert sum(row.ended_at is None for row in there) == 1
        assert len(there) == (1 if is_first else 2)
        assert len(promoting.candidates(session, catalog_id)) == 1, "the other one waits as it did"


@pytest.mark.usefixtures("emptied")
def test_of_two_who_roll_back_at_once_one_wins(engine: Engine, files: Storage) -> None:
    with transaction(engine) as session:
        owner = cast.person(session, "Olga", "owner")
        a, b, c = one_catalog(session, files, 3)
        newest = [ship(session, files, each, owner).id for each in (a, b, c)][-1]
        owner_id = owner.id
    barrier = Barrier(2)

    def take_back(_: int) -> bool:
        with Session(engine, expire_on_commit=False) as session:
            person = session.get_one(Person, owner_id)
            barrier.wait()
            try:
                promoting.roll_back(session, files, newest, person, "Grey.")
                session.commit()
            except Conflict:
                return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(take_back, range(2))) == [False, True]
    with transaction(engine) as session:
        rows = session.scalars(select(Promotion).order_by(Promotion.id)).all()
        assert [row.end_cause for row in rows] == ["replaced", "replaced", "rolled_back", None], (
            "one step back, not two"
        )


def test_the_gate_of_the_sheet_is_what_is_kept(session: Session, files: Storage, owner: Person) -> None:
    run = saved_run(session, files)
    sheet, best = sheet_of(session, run, drawn=36), steps_of(session, run)[50]
    assert judging.decision(session, sheet.id, best.id) is None, "no gate was set"
    gate_setting.put(session, sheet, owner, GateLimits(), None)
    said = judging.decision(session, sheet.id, best.id)
    assert said is not None and said["kind"] == "need_votes"
    asked = promoting.ask(session, files, best.id, owner, WHY, sheet.id)
    kept = promoting.sign(session, files, asked.id, owner, 0, WHY).verdict
    assert kept["kind"] == "need_votes" and {"usable", "best_of"} <= {line["key"] for line in kept["lines"]}
