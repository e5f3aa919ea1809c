"""Samples drawn while a run goes on: what the trainer is asked for, and what is kept of what it draws."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets.tables import DatasetVersion, Member
from app.evaluation import sheets, suites
from app.evaluation.tables import Sample, Sheet
from app.storage import Storage
from app.training import run_events, runs
from app.training.recipe import Recipe
from app.training.tables import TrainingRun
from tests.training.cast import news, one_run
from workers.sampling import previews


@pytest.fixture
def run(session: Session) -> TrainingRun:
    run = one_run(session)
    runs.begin(session, run)
    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def asked(session: Session, run: TrainingRun, out: Path) -> list[dict[str, Any]]:
    previews.write(session, run, out)
    found: list[dict[str, Any]] = json.loads((out / "previews.json").read_text())
    return found


def draw(out: Path, step: int, wanted: list[dict[str, Any]], seq: int, side: int = 64) -> dict[str, Any]:
    """The trainer's part: pictures on disk, and the event that tells of them."""
    files = []
    for number, one in enumerate(wanted):
        name = f"samples/step-{step:06d}/{one['prompt_id']}-{one['seed']}.png"
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side), (step, number, 40)).save(out / name)
        files.append({"prompt_id": one["prompt_id"], "seed": one["seed"], "file": name})
    return news(seq, "samples", step=step, files=files, seconds=0.5)


def saved(step: int, seq: int) -> dict[str, Any]:
    return news(seq, "checkpoint", step=step, folder=f"checkpoints/step-{step:06d}", size_bytes=4, seconds=0.1)


def told(session: Session, storage: Storage, run: TrainingRun, out: Path, *events: dict[str, Any]) -> int:
    """The worker's part: recorded, then kept."""
    run_events.record(session, run, events)
    return sum(previews.keep(session, storage, run, event, out) for event in events)


def samples(session: Session) -> list[Sample]:
    return list(session.scalars(select(Sample).order_by(Sample.id)))


def test_a_prompt_of_each_category_is_asked_for_with_the_first_seed(
    session: Session, run: TrainingRun, out: Path
) -> None:
    wanted = asked(session, run, out)
    version = session.get_one(DatasetVersion, run.version_id)
    suite = suites.suite_for(session, version, Recipe.model_validate(run.recipe))
    prompts = {prompt.id: prompt for prompt in suites.prompts_of(session, suite)}
    assert [prompts[one["prompt_id"]].category for one in wanted] == ["Kettles", "Shoes", "Vases"]
    assert {one["seed"] for one in wanted} == {suite.seeds[0]}
    assert asked(session, run, out) == wanted


def test_a_version_without_captions_is_trained_without_samples(session: Session, run: TrainingRun, out: Path) -> None:
    for member in session.scalars(select(Member).where(Member.version_id == run.version_id)):
        session.delete(member)
    session.flush()
    previews.write(session, run, out)
    assert not (out / "previews.json").exists()


def test_samples_of_step_0_belong_to_the_base(session: Session, storage: Storage, run: TrainingRun, out: Path) -> None:
    wanted = asked(session, run, out)
    assert told(session, storage, run, out, draw(out, 0, wanted, 1)) == 3
    base = runs.checkpoints(session, run.id)[0]
    assert {one.checkpoint_id for one in samples(session)} == {base.id}
    kept = storage.path("samples", samples(session)[0].sha256, ".png")
    assert Image.open(kept).getpixel((0, 0)) == (0, 0, 40)


@pytest.mark.parametrize("is_drawn_first", [True, False])
def test_samples_and_their_checkpoint_may_come_in_either_order(
    session: Session, storage: Storage, run: TrainingRun, out: Path, is_drawn_first: bool
) -> None:
    wanted = asked(session, run, out)
    if is_drawn_first:
        assert told(session, storage, run, out, draw(out, 10, wanted, 1)) == 0
        assert told(session, storage, run, out, saved(10, 2)) == 3
    else:
        assert told(session, storage, run, out, saved(10, 1), draw(out, 10, wanted, 2)) == 3
    checkpoint = runs.checkpoints(session, run.id)[1]
    assert [one.checkpoint_id for one in samples(session)] == [checkpoint.id] * 3


def test_news_told_again_keeps_nothing_twice(session: Session, storage: Storage, run: TrainingRun, out: Path) -> None:
    events = [saved(10, 1), draw(out, 10, asked(session, run, out), 2)]
    assert told(session, storage, run, out, *events) == 3
    shutil.rmtree(out / "samples")
    assert told(session, storage, run, out, *events) == 0
    assert len(samples(session)) == 3


def test_the_sheet_draws_only_what_is_missing(session: Session, storage: Storage, run: TrainingRun, out: Path) -> None:
    wanted = asked(session, run, out)
    told(session, storage, run, out, draw(out, 0, wanted, 1), saved(10, 2), draw(out, 10, wanted, 3))
    runs.end(session, run, "completed", "All steps are done.")
    version = session.get_one(DatasetVersion, run.version_id)
    suite = suites.suite_for(session, version, Recipe.model_validate(run.recipe))
    sheet = sheets.request_sheet(session, run, suite)
    assert session.scalars(select(Sheet)).all() == [sheet]
    assert sheet.job_id is not None
    assert len(sheets.missing(session, sheet)) == sheets.cell_count(session, sheet) - 6


def broken(out: Path, event: dict[str, Any]) -> None:
    (out / event["files"][0]["file"]).write_bytes(b"\x89PNG\r\n\x1a\nno picture")


def half(out: Path, event: dict[str, Any]) -> None:
    path = out / event["files"][0]["file"]
    path.write_bytes(path.read_bytes()[:-30])


def gone(out: Path, event: dict[str, Any]) -> None:
    (out / event["files"][0]["file"]).unlink()


def larger(out: Path, event: dict[str, Any]) -> None:
    Image.new("RGB", (65, 65)).save(out / event["files"][0]["file"])


def jpeg(out: Path, event: dict[str, Any]) -> None:
    Image.new("RGB", (64, 64)).save(out / event["files"][0]["file"], "JPEG")


def outside(out: Path, event: dict[str, Any]) -> None:
    Image.new("RGB", (64, 64)).save(out.parent / "secret.png")
    event["files"][0]["file"] = "../secret.png"


def link(out: Path, event: dict[str, Any]) -> None:
    gone(out, event)
    Image.new("RGB", (64, 64)).save(out.parent / "secret.png")
    (out / event["files"][0]["file"]).symlink_to(out.parent / "secret.png")


def stranger(out: Path, event: dict[str, Any]) -> None:
    event["files"][0]["prompt_id"] = 999_999


@pytest.mark.parametrize("spoil", [broken, half, gone, larger, jpeg, outside, link, stranger])
def test_what_is_no_sample_of_the_suite_is_left_to_the_sheet(
    session: Session, storage: Storage, run: TrainingRun, out: Path, spoil: Any, caplog: pytest.LogCaptureFixture
) -> None:
    event = draw(out, 0, asked(session, run, out), 1)
    spoil(out, event)
    assert told(session, storage, run, out, event) == 2
    assert "is not kept" in caplog.text
