"""The demo's fine-tune: measured first, and on a slow computer as much as ends in time. Engines are stand-ins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine

from app import jobs
from app.database import transaction
from app.demo import story
from app.demo.catalogue import BROKEN, NEAR_COPIES, draw_catalogue
from app.demo.story import DemoApp, Hurry
from app.launch import assessment, preflights
from app.settings import Settings
from app.training import runs
from tests import cast
from tests.training.cast import frozen_version, one_run
from tests.workers import test_group_job
from tests.workers.trainer import test_preflight_job, test_run_job
from workers import celery_app
from workers.celery_app import do
from workers.trainer import preflight_job, run_job


@pytest.fixture
def stage(engine: Engine, emptied: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoApp]:
    """A stage whose jobs are done as soon as they are waited for."""
    monkeypatch.setattr(celery_app.broker, "send_due", lambda *_: 0)
    monkeypatch.setattr(story, "send_due", lambda *_: 0)
    with transaction(engine) as session:
        owner = cast.person(session, "Ana", role="owner")
    return DemoApp(engine, "redis://nowhere", settings, owner)


def test_the_planted_copies_are_told_to_be_known(stage: DemoApp, engine: Engine, tmp_path: Path) -> None:
    truth = draw_catalogue(tmp_path, 60, 96, seed=1)
    planted = [photo for photo in truth.photos if photo.fault in NEAR_COPIES]
    with transaction(engine) as session:
        pile = cast.catalog(session)
        for photo in truth.photos:
            # The broken file is refused, and the same bytes are taken in once.
            if photo.fault in (BROKEN, "exact duplicate"):
                continue
            with Pillow.open(tmp_path / photo.file_name) as picture:
                test_group_job.measured(session, pile, picture.convert("RGB")).file_name = photo.file_name
    assert test_group_job.group(engine, stage.settings, pile).state == "done"
    words = story._copies_in_words(stage, pile, tmp_path)
    assert planted and f": {len(planted)} of the {len(planted)} copies that were planted" in words
    assert words.endswith(", 0 that show something else")


def done_at_once(monkeypatch: pytest.MonkeyPatch, stage: DemoApp, *behaviour: str) -> None:
    bodies = {
        "run.preflight": lambda work: preflight_job.preflight(
            work, [*test_preflight_job.FAKE, *behaviour], test_preflight_job.QUICK
        ),
        "run.train": lambda work: run_job.train(work, test_run_job.FAKE, test_run_job.QUICK),
    }

    def wait(stage: DemoApp, job_id: int, words: str, meanwhile: object = None) -> jobs.Job:
        with transaction(stage.engine) as session:
            kind = jobs.get(session, job_id).kind
        do(job_id, bodies[kind], stage.settings)
        with transaction(stage.engine) as session:
            return jobs.get(session, job_id)

    monkeypatch.setattr(story, "wait", wait)


def test_the_run_follows_its_preflight_and_is_estimated(
    stage: DemoApp, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done_at_once(monkeypatch, stage)
    planned = assessment.planned
    monkeypatch.setattr(
        assessment, "planned", lambda *given: planned(*given[:4], {"steps": 40})
    )  # the stand-in is slow
    with transaction(engine) as session:
        version = frozen_version(session)
    run = story.fine_tune(stage, version, is_drawn=True)
    assert (run.state, run.steps) == ("completed", 40)
    told = capsys.readouterr().out
    assert "5 steps measured on CPU" in told
    assert "took " in told and ", the estimate was " in told
    assert "slow" not in told


def test_a_slow_computer_does_as_much_as_ends_in_time(
    stage: DemoApp, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done_at_once(monkeypatch, stage, "--step", "2")
    hurried = replace(stage, ends_at=time.monotonic() + 300.0)
    with transaction(engine) as session:
        version = frozen_version(session)
    run = story.fine_tune(hurried, version, is_drawn=False)
    assert (run.steps, run.recipe["checkpoint_every"]) == (100, 100)
    assert run.estimated_s is not None and run.estimated_s < 300
    assert "does less: 100 steps instead of 600, 1 checkpoint, 48 pictures" in capsys.readouterr().out


def test_what_cannot_end_in_time_is_said_and_not_cut_short(
    stage: DemoApp, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done_at_once(monkeypatch, stage, "--step", "4")
    hurried = replace(stage, ends_at=time.monotonic() + 60.0)
    began = time.monotonic()
    with transaction(engine) as session:
        version = frozen_version(session)
        asked = preflights.request_preflight(
            session, version, assessment.planned(session, stage.settings, version, stage.settings.base_model).recipe
        )
    story.wait(stage, asked.job_id or 0, "Measure")
    run, hurry = story._launched(hurried, version, asked.id, is_drawn=False)
    said = capsys.readouterr().out
    assert "does less: 50 steps instead of 600, 1 checkpoint, 48 pictures; even that ends after about 1" in said
    assert said.count("slow") == 1
    assert hurry.not_before - began > (run.estimated_s or 0) > 200, "it may learn all that was planned"


def test_a_run_that_turns_out_slow_is_stopped_in_time_and_kept(stage: DemoApp, engine: Engine) -> None:
    with transaction(engine) as session:
        run = one_run(session, steps=600)
        run.state, run.step = "running", 0
        run_id = run.id

    def state_after(ends_in: float, hurry: Hurry) -> str:
        story._stop_late(replace(stage, ends_at=time.monotonic() + ends_in), run_id, hurry)
        with transaction(engine) as session:
            return runs.get(session, run_id).state

    def progressed(step: int, **pace: float) -> None:
        with transaction(engine) as session:
            run = runs.get(session, run_id)
            run.step, run.pace = step, pace

    now = time.monotonic()
    assert state_after(-1.0, Hurry(48, 0.1, now)) == "running", "nothing is learned yet"
    progressed(240)
    assert state_after(-1.0, Hurry(48, 0.1, now + 600.0)) == "running"
    assert state_after(60.0, Hurry(48, 0.1, now)) == "running"
    progressed(240, sample_s=2.0)
    # Its pictures take longer than they were measured.
    for _ in range(2):
        assert state_after(60.0, Hurry(48, 0.1, now)) == "stopping"
    with transaction(engine) as session:
        assert [note.kind for note in runs.notes(session, run_id)] == ["stop_asked"]


def test_a_refusal_ends_the_demo_with_its_sentence(
    stage: DemoApp, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done_at_once(monkeypatch, stage, "--refuse")
    with transaction(engine) as session:
        version = frozen_version(session)
    with pytest.raises(story.Refused, match="The base model folder x is missing"):
        story.fine_tune(stage, version, is_drawn=False)
