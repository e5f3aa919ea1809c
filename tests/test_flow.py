"""The whole story once, on real parts: photos in, signals, captions, rules, freeze, fine-tune, sheet, compare, a look.

The tasks are called in this process, one after the other, in the order in which they were asked for; everything else
is as in the running app: a database of its own, files on disk, the trainer in its own process, a tiny real pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, make_url, select, text
from sqlalchemy.orm import Session

from app import jobs, people
from app.catalog.tables import Catalog, Image, SourceFile
from app.database import migrate, transaction
from app.datasets import freezing
from app.datasets.manifest import read_manifest
from app.datasets.tables import DatasetVersion
from app.demo.catalogue import draw_catalogue
from app.evaluation import comparison, sheets, suites
from app.evaluation.tables import Sample, Sheet
from app.intake import ingest
from app.launch import preflights
from app.launch.preflights import RequestedLimits
from app.selection import browse, query
from app.settings import Settings
from app.storage import Storage
from app.training import runs
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from app.web.main import create_app
from tests.conftest import sign_in
from tests.workers.conftest import recipe, tiny_base  # noqa: F401  (fixtures)

PICTURES = 48


@pytest.fixture
def story_settings(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings on a migrated database of this test's own, as the environment tells them to a worker."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database story"))
    url = make_url(engine.url).set(database="story").render_as_string(hide_password=False)
    migrate(url)
    monkeypatch.setenv("PACKSHOT_DATABASE_URL", url)
    monkeypatch.setenv("PACKSHOT_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("PACKSHOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PACKSHOT_WORKER_THREADS", "1")
    yield Settings()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("drop database story with (force)"))


def work_off(engine: Engine) -> list[str]:
    """Do every queued job as a worker would, until none is left. Returns their kinds, in order."""
    import workers.cpu
    import workers.gpu  # noqa: F401  (registers its tasks)
    from workers.celery_app import celery_app

    done = []
    while True:
        with transaction(engine) as session:
            queued = select(jobs.Job).where(jobs.Job.state == "queued")
            job = session.scalars(queued.order_by(jobs.Job.urgency, jobs.Job.id)).first()
        if job is None:
            return done
        celery_app.tasks[job.kind](job.id)
        with transaction(engine) as session:
            after = jobs.get(session, job.id)
        if after.state == "running" and after.parts:
            continue  # it was cut, and waits for its parts
        assert after.state == "done", f"{after.kind}: {after.state}, {after.failure}"
        if after.whole_id is None:
            done.append(job.kind)


@pytest.mark.slow
def test_from_photos_to_compared_checkpoints(
    story_settings: Settings,
    tmp_path: Path,
    tiny_base: Path,  # noqa: F811
    recipe: Callable[..., Recipe],  # noqa: F811
) -> None:
    settings = story_settings
    truth = draw_catalogue(tmp_path / "photos", count=PICTURES, size_px=304)
    engine = create_engine(str(settings.database_url))

    with transaction(engine) as session:
        owner = people.make_owner(session)
        pile = Catalog(name="Story")
        session.add(pile)
        session.flush()
        ingest.request_intake(session, pile, tmp_path / "photos", owner)
    done = work_off(engine)
    before_review = ["intake.take_in", "signals.measure", "captions.propose", "review.apply_rules"]
    # Rules look once more when the text in the photos has been read.
    assert [kind for kind in done if not kind.startswith("photos.")] == [*before_review, "review.apply_rules"]
    assert {kind for kind in done if kind.startswith("photos.")} >= {"photos.embed", "photos.group", "photos.read_text"}
    _check_review(engine, pile, len(truth.photos), {photo.file_name for photo in truth.faulty("broken file")})

    with transaction(engine) as session:
        version = freezing.request_freeze(session, pile.id, "decision:kept", owner, takes_unseen=True)
    assert work_off(engine) == ["dataset.freeze"]
    rows = read_manifest(Storage(settings.data_dir).dataset_folder(version.id) / "manifest.jsonl")
    assert {row.split for row in rows} == {"train", "validation"}

    with transaction(engine) as session:
        version = session.get_one(DatasetVersion, version.id)
        asked = preflights.request_preflight(
            session, version, recipe(steps=4, checkpoint_every=2), owner, RequestedLimits()
        )
    assert work_off(engine) == ["run.preflight", "run.train", "sheet.draw", "sheet.measure"]

    with transaction(engine) as session:
        asked = preflights.get(session, asked.id)
        assert asked.state == "passed", asked.reason
        run = runs.get(session, 1)
        assert (run.state, run.step, run.preflight_id) == ("completed", 4, asked.id)
        assert run.estimated_s and run.actual_s
        assert [checkpoint.step for checkpoint in runs.checkpoints(session, run.id)] == [0, 2, 4]
        sheet = sheets.latest_of(session, run.id)
        assert sheet is not None
        assert not sheets.missing(session, sheet)
        _check_pulse(session, run, sheet)
        compared = comparison.compare(session, sheet)
        sample_id = session.scalars(select(Sample.id)).first()
    assert len(compared.columns) == 3
    _look_at_pages(settings, engine, sheet.id, sample_id, pile.id)
    engine.dispose()


def _check_pulse(session: Session, run: TrainingRun, sheet: Sheet) -> None:
    """The trainer's own samples of each checkpoint were kept as they came; the sheet drew only the others."""
    asked_at = jobs.get(session, sheet.job_id or 0).requested_at
    early = session.scalars(select(Sample).where(Sample.created_at < asked_at)).all()
    prompts = suites.preview_prompts(suites.prompts_of(session, sheets.suite(session, sheet)))
    saved = runs.checkpoints(session, run.id)
    assert {(one.checkpoint_id, one.prompt_id) for one in early} == {(c.id, p.id) for c in saved for p in prompts}


def _check_review(engine: Engine, pile: Catalog, files: int, broken: set[str]) -> None:
    """Every file became a row; the broken one a refusal with a reason; every photo has a caption and a suggestion."""
    with transaction(engine) as session:
        outcomes = session.scalars(select(SourceFile)).all()
        photos = session.scalars(select(Image)).all()
        assert len(outcomes) == files
        assert {file.file_name for file in outcomes if file.outcome == "refused"} == broken
        assert all(file.reason for file in outcomes if file.outcome == "refused")
        assert browse.count(session, query.parse("caption:none", pile.id)) == 0
        assert browse.count(session, query.parse("decision:unseen by:rule", pile.id)) == len(photos)
        assert browse.count(session, query.parse("decision:kept", pile.id)) == 0
        suggested = browse.count(session, query.parse("decision:kept by:rule", pile.id))
        assert len(photos) // 2 < suggested < len(photos)


def _look_at_pages(settings: Settings, engine: Engine, sheet_id: int, sample_id: int | None, catalog_id: int) -> None:
    """Each page of the story answers, and the drawn picture is a PNG that nobody named otherwise."""
    app = create_app(settings)
    with Session(engine) as session:
        client: TestClient = sign_in(app, session, settings, people.make_owner(session))
        session.commit()
    for page in (f"/catalogs/{catalog_id}", "/images/1", "/datasets/1", "/runs/1", f"/compare/{sheet_id}", "/cycle"):
        answer = client.get(page)
        assert answer.status_code == 200, page
    picture = client.get(f"/samples/{sample_id}")
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert picture.content.startswith(b"\x89PNG")
