"""The jobs `intake.take_in` and `signals.measure` as a worker does them, from a folder to captions asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from sqlalchemy import Engine, delete, select

from app import jobs
from app.captions.tables import Caption
from app.catalog.files import view_path
from app.catalog.tables import Catalog, Image, Signals
from app.cycles import clock
from app.database import transaction, utc_now
from app.demo.drawing import draw
from app.demo.worlds import base_world
from app.intake import ingest, planning, taking, uploads
from app.intake.sources.entry import Entry
from app.jobs import Job
from app.people import Person
from app.review.decisions import apply_rules
from app.review.tables import Decision
from app.selection.query import joined
from app.settings import Settings
from app.storage import Storage
from tests import cast
from workers import celery_app, cpu, intake_job
from workers.signals import signal_job
from workers.signals.measure import SIGNALS_VERSION

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def ana(engine: Engine) -> Person:
    with transaction(engine) as session:
        return cast.person(session)


@pytest.fixture
def pile(engine: Engine) -> Catalog:
    with transaction(engine) as session:
        return cast.catalog(session)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three drawn packshots."""
    place = tmp_path / "photos"
    place.mkdir()
    for number, (scene, _) in enumerate(base_world(3, 21)):
        Pillow.fromarray(draw(scene, 256)).save(place / f"{number}.png")
    return place


def asked_intake(engine: Engine, pile: Catalog, folder: Path, ana: Person) -> int:
    with transaction(engine) as session:
        job_id = ingest.request_intake(session, session.merge(pile), folder, session.merge(ana)).job_id
    assert job_id is not None
    return job_id


def job(engine: Engine, job_id: int) -> Job:
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def waiting(engine: Engine, kind: str) -> list[Job]:
    with transaction(engine) as session:
        return list(session.scalars(select(Job).where(Job.kind == kind, Job.state == "queued").order_by(Job.id)))


def forget_signals(engine: Engine) -> None:
    """As if photos had been taken in by a version that measured otherwise."""
    with transaction(engine) as session:
        session.execute(delete(Signals))


def test_what_is_measured_at_take_in_is_what_is_measured_on_the_view(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person
) -> None:
    (folder / "grey.png").write_bytes((folder / "0.png").read_bytes())
    Pillow.open(folder / "1.png").convert("L").save(folder / "grey.png")
    celery_app.do(asked_intake(engine, pile, folder, ana), cpu.take_in, settings)
    (asked,) = waiting(engine, "signals.measure")
    names = ("background", "subject_colour", "is_cropped")
    near = ("coverage", "fill", "offset_x", "offset_y", "whiteness")
    with transaction(engine) as session:
        at_once = {one.image_id: one for one in session.scalars(select(Signals))}
    forget_signals(engine)
    celery_app.do(asked.id, cpu.measure, settings)
    assert job(engine, asked.id).result == {"photos": 4, "passed_over": []}
    with transaction(engine) as session:
        for later in session.scalars(select(Signals)):
            first = at_once[later.image_id]
            assert [getattr(first, name) for name in names] == [getattr(later, name) for name in names]
            for name in near:
                assert getattr(first, name) == pytest.approx(getattr(later, name), abs=0.02), name


def test_photos_beside_one_that_cannot_be_measured_are_measured(
    engine: Engine, pile: Catalog, ana: Person, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are taken in: the one that failed waits for `signals.measure`."""
    Pillow.new("RGB", (64, 48), "red").save(folder / "odd.png")
    usual = intake_job.MEASURING.measure

    def failing(views: Sequence[NDArray[np.uint8]]) -> Sequence[Mapping[str, Any]]:
        assert all(view.shape[0] != 48 for view in views), "as of a picture that nobody foresaw"
        return usual(views)

    monkeypatch.setattr(intake_job, "MEASURING", taking.Measuring(SIGNALS_VERSION, failing))
    celery_app.do(asked_intake(engine, pile, folder, ana), cpu.take_in, settings)
    with transaction(engine) as session:
        assert len(session.scalars(select(Image)).all()) == 4
        measured = select(Image.file_name).join(Signals, Signals.image_id == Image.id).order_by(Image.file_name)
        assert list(session.scalars(measured)) == ["0.png", "1.png", "2.png"]


def test_a_folder_becomes_measured_photos_and_captions_are_asked_for(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person
) -> None:
    job_id = asked_intake(engine, pile, folder, ana)
    celery_app.do(job_id, cpu.take_in, settings)
    done = job(engine, job_id)
    assert (done.state, done.done, done.total, done.result["accepted"]) == ("done", 3, 3, 3)
    (asked,) = waiting(engine, "signals.measure")
    celery_app.do(asked.id, cpu.measure, settings)
    # Each photo was measured when it was taken in, on the same pixels.
    assert job(engine, asked.id).result == {"photos": 0, "passed_over": []}
    with transaction(engine) as session:
        measured = session.scalars(select(Signals)).all()
    assert len(measured) == 3
    assert {one.version for one in measured} == {SIGNALS_VERSION}
    assert all(one.subject_colour and one.box for one in measured)
    assert [one.arguments["catalog_id"] for one in waiting(engine, "captions.propose")] == [pile.id]


def test_a_folder_that_is_gone_fails_with_its_sentence(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person
) -> None:
    job_id = asked_intake(engine, pile, folder, ana)
    folder.rename(folder.parent / "elsewhere")
    celery_app.do(job_id, cpu.take_in, settings)
    assert (job(engine, job_id).state, job(engine, job_id).failure) == (
        "failed", f"There is no folder {folder} on this machine any more.",
    )  # fmt: skip


def test_an_upload_whose_worker_was_killed_before_the_job_ended_is_done_all_the_same(
    engine: Engine, settings: Settings, storage: Storage, pile: Catalog, folder: Path, ana: Person
) -> None:
    with transaction(engine) as session:
        upload = uploads.begin(session, storage, ana)
    place = uploads.folder_of(storage, upload, ana)
    place.rmdir()
    folder.rename(place)
    (place / "broken.jpg").write_bytes(b"broken")
    job_id = asked_intake(engine, pile, place, ana)
    with transaction(engine) as session:
        claim = jobs.claim(session, job_id, "killed")
    assert claim is not None
    result = cpu.take_in(celery_app.Work(claim, settings, engine, storage))
    assert [file.name for file in place.iterdir() if not file.name.startswith(".")] == ["broken.jpg"]
    with transaction(engine) as session:
        jobs.sweep(session, now=utc_now() + timedelta(hours=1))
    celery_app.do(job_id, cpu.take_in, settings)
    again = job(engine, job_id)
    assert (again.state, again.failure, again.attempts) == ("done", None, 2)
    assert again.result == result
    assert (result["accepted"], result["already_there"], result["refused"]) == (3, 0, 1)
    assert len(waiting(engine, "signals.measure")) == 1


def test_a_broken_metadata_file_fails_with_its_line(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person
) -> None:
    (folder / "metadata.csv").write_text("file_name,title\n0.png,Mug, red\n")
    job_id = asked_intake(engine, pile, folder, ana)
    celery_app.do(job_id, cpu.take_in, settings)
    assert "metadata.csv, line 2" in (job(engine, job_id).failure or "")
    assert waiting(engine, "signals.measure") == []


def test_stopping_keeps_what_was_taken_in(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "BATCH", 1)
    job_id = asked_intake(engine, pile, folder, ana)
    real = taking._keep

    def store(*arguments: object) -> object:
        with transaction(engine) as session:
            jobs.cancel(session, job_id)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(taking, "_keep", store)
    celery_app.do(job_id, cpu.take_in, settings)
    assert job(engine, job_id).state == "cancelled"
    with transaction(engine) as session:
        assert len(session.scalars(select(Image)).all()) == 1


def test_a_stop_is_heard_while_the_folder_is_looked_through(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = asked_intake(engine, pile, folder, ana)
    real = planning.walk

    def walk(place: str, beat: Callable[[], None]) -> Iterator[Entry]:
        with transaction(engine) as session:
            jobs.cancel(session, job_id)
        yield from real(place, beat)
        pytest.fail("the walk went on to its end")

    monkeypatch.setattr(planning, "walk", walk)
    celery_app.do(job_id, cpu.take_in, settings)
    assert job(engine, job_id).state == "cancelled"


def test_empty_and_tiny_photos_are_not_kept_and_empty_ones_get_no_caption(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person
) -> None:
    for name, mode, colour in (
        ("white", "RGB", "white"), ("black", "RGB", "black"), ("red", "RGB", (180, 20, 30)), ("grey", "L", 128),
        ("clear", "RGBA", (9, 9, 9, 0)),
    ):  # fmt: skip
        Pillow.new(mode, (300, 300), colour).save(folder / f"{name}.png")
    grey = np.tile(np.linspace(170, 250, 300).astype(np.uint8), (300, 1))
    Pillow.fromarray(grey).save(folder / "gradient.jpg")
    for side in (40, 160, 255):
        Pillow.open(folder / "0.png").resize((side, side)).save(folder / f"tiny {side}.png")
    celery_app.do(asked_intake(engine, pile, folder, ana), cpu.take_in, settings)
    (measuring,) = waiting(engine, "signals.measure")
    celery_app.do(measuring.id, cpu.measure, settings)
    (captioning,) = waiting(engine, "captions.propose")
    celery_app.do(captioning.id, cpu.propose_captions, settings)
    with transaction(engine) as session:
        apply_rules(session, session.scalars(select(Image.id)).all())
        rows = session.execute(joined(select(Image.file_name, Decision.verdict, Decision.rule, Caption.text))).all()
    empty = {f"{name}.png" for name in ("white", "black", "red", "clear", "grey")} | {"gradient.jpg"}
    assert {row.file_name for row in rows if row.rule == "empty" and row.verdict == "rejected"} == empty
    assert {row.file_name for row in rows if row.text is None} == empty
    tiny = {row.file_name for row in rows if row.rule == "small" and row.verdict == "rejected"}
    assert tiny == {"tiny 40.png", "tiny 160.png", "tiny 255.png"}


@pytest.mark.parametrize("budget", [None, 0, 1])
def test_a_members_photos_are_captioned_for_nothing_where_no_money_is_set_aside(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, budget: int | None
) -> None:
    priced = settings.model_copy(update={"gpu_hour_price": 2, "caption_model": "org/model"})
    with transaction(engine) as session:
        ben = cast.person(session, "Ben")
        if budget is not None:
            clock.start_cycle(session, priced, None).budget = Decimal(budget)
    celery_app.do(asked_intake(engine, pile, folder, ben), cpu.take_in, priced)
    (measuring,) = waiting(engine, "signals.measure")
    celery_app.do(measuring.id, cpu.measure, priced)
    assert (len(waiting(engine, "captions.look")), len(waiting(engine, "captions.propose"))) == (
        (1, 0) if budget else (0, 1)
    )


def test_a_worker_that_lost_its_job_writes_nothing_more(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker claims the job while this one reads its first batch."""
    job_id = asked_intake(engine, pile, folder, ana)
    real, taken = taking._read, list[int]()

    def read(*arguments: object) -> object:
        if not taken:
            taken.append(1)
            with transaction(engine) as session:
                jobs.get(session, job_id).state = "queued"
            with transaction(engine) as session:
                jobs.claim(session, job_id, "another")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(taking, "_read", read)
    celery_app.do(job_id, cpu.take_in, settings)
    with transaction(engine) as session:
        assert session.scalars(select(Image)).all() == []
    assert job(engine, job_id).state == "running"


def test_measuring_again_measures_nothing(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    celery_app.do(asked_intake(engine, pile, folder, ana), cpu.take_in, settings)
    for asked in waiting(engine, "signals.measure"):
        celery_app.do(asked.id, cpu.measure, settings)
    monkeypatch.setattr(signal_job, "measure", lambda view: pytest.fail("measured again"))
    with transaction(engine) as session:
        again = jobs.request(session, "signals.measure", {"catalog_id": pile.id, "image_ids": None})
    celery_app.do(again.id, cpu.measure, settings)
    assert job(engine, again.id).result == {"photos": 0, "passed_over": []}


def test_a_view_that_cannot_be_read_is_told_and_passed_over(
    engine: Engine, settings: Settings, storage: Storage, pile: Catalog, folder: Path, ana: Person
) -> None:
    celery_app.do(asked_intake(engine, pile, folder, ana), cpu.take_in, settings)
    forget_signals(engine)
    with transaction(engine) as session:
        first = session.scalars(select(Image).where(Image.file_name == "0.png")).one()
    view_path(storage, first.view_sha256).write_bytes(b"torn")
    (asked,) = waiting(engine, "signals.measure")
    celery_app.do(asked.id, cpu.measure, settings)
    assert job(engine, asked.id).result == {"photos": 3, "passed_over": ["0.png cannot be read"]}
    with transaction(engine) as session:
        assert len(session.scalars(select(Signals)).all()) == 2


def test_many_photos_are_measured_in_parts_by_any_worker_and_a_killed_ones_part_alone_again(
    engine: Engine, settings: Settings, pile: Catalog, folder: Path, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    celery_app.do(asked_intake(engine, pile, folder, ana), cpu.take_in, settings)
    forget_signals(engine)
    (asked,) = waiting(engine, "signals.measure")
    monkeypatch.setattr(signal_job, "cut_evenly", lambda ids: ([one] for one in ids))
    celery_app.do(asked.id, cpu.measure, settings)
    whole, parts = job(engine, asked.id), waiting(engine, "signals.measure")
    assert (whole.state, whole.total, [part.whole_id for part in parts]) == ("running", 3, [asked.id] * 3)
    with transaction(engine) as session:
        jobs.claim(session, parts[1].id, "killed")
    for part in parts:
        celery_app.do(part.id, cpu.measure, settings)
    assert (job(engine, asked.id).state, job(engine, asked.id).done) == ("running", 2)
    with transaction(engine) as session:
        jobs.sweep(session, now=utc_now() + timedelta(hours=1))
    celery_app.do(parts[1].id, cpu.measure, settings)
    celery_app.do(asked.id, cpu.measure, settings)
    whole = job(engine, asked.id)
    assert (whole.state, whole.done, whole.result) == ("done", 3, {"photos": 3, "passed_over": []})
    assert [job(engine, part.id).attempts for part in parts] == [1, 2, 1]
    assert len(waiting(engine, "captions.propose")) == 1
