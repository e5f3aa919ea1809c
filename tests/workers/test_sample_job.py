"""A sheet's samples are measured by the code of photos, compared with what their runs learned from, and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app import jobs
from app.catalog import embeddings
from app.catalog.tables import Image, Signals
from app.database import transaction
from app.datasets.tables import Member
from app.evaluation import checking_samples, measuring, profiles, sheets
from app.evaluation.measure_tables import ColumnMetric, SampleMeasure
from app.evaluation.tables import Sample
from app.settings import Settings
from app.storage import Storage
from app.training.tables import TrainingRun
from benchmarks.drawn_samples import at, good, lettered
from tests.evaluation.cast import finished_run, sheet_of
from tests.pictures import patches, saved
from workers import celery_app, sample_job
from workers.celery_app import do
from workers.embedding import embed_job
from workers.signals.measure import SIGNALS_VERSION, measure

pytestmark = pytest.mark.usefixtures("committed")

COPY, OTHER, LETTERED, BROKEN = 0, 1, 2, 3


@pytest.fixture
def sheet_id(engine: Engine, settings: Settings) -> int:
    """A sheet with four samples: a copy of a training photo made smaller, a mug, one with letters, one without file."""
    storage = Storage(settings.data_dir)
    with transaction(engine) as session:
        run = finished_run(session)
        photos = [patches(seed, 256) for seed in range(40, 46)]
        learned_from(session, run, photos, storage)
        sheet = sheet_of(session, run)
        pictures = [
            photos[0].resize((96, 96)).resize((256, 256)), good(256), lettered("SUMMER SALE", (0.03, 0.04))(512),
        ]  # fmt: skip
        drawn = []
        for cell, picture in zip(sheets.missing(session, sheet), pictures, strict=False):
            sha256 = storage.put("samples", saved(picture, "PNG"), ".png")
            drawn.append(sheets.DrawnCell(cell, sha256, *picture.size))
        drawn.append(sheets.DrawnCell(sheets.missing(session, sheet)[3], "0" * 64, 64, 64))
        sheets.record(session, drawn)
        measuring.request(session, sheet)
        return sheet.id


def learned_from(session: Session, run: TrainingRun, photos: Sequence[Pillow.Image], storage: Storage) -> None:
    """Give the photos of a run's version these pictures, as intake and embedder leave them behind."""
    members = session.scalars(
        select(Image)
        .join(Member, Member.image_id == Image.id)
        .where(Member.version_id == run.version_id, Member.split == "train")
        .order_by(Image.id)
    ).all()
    embedder = embed_job.built_in(storage.cache_folder)
    space_id = embeddings.space_of(session, embed_job.facts_of(embedder))
    for image, picture in zip(members, photos, strict=False):
        row, seen = session.get_one(Signals, image.id), measure(picture)
        row.version, row.frame_keys, row.frame_thumbs = SIGNALS_VERSION, seen.frame_keys, seen.frame_thumbs
        embeddings.record(session, space_id, {image.id: embedder.look([picture])[0].tolist()})
    session.flush()


def work(engine: Engine, settings: Settings) -> jobs.Job:
    """Do the job that waits, and its parts."""
    with transaction(engine) as session:
        job = session.scalars(
            select(jobs.Job).where(jobs.Job.kind == measuring.KIND).order_by(jobs.Job.id.desc())
        ).first()
        assert job is not None
        job_id = job.id
    do(job_id, sample_job.measure_sheet, settings)
    with transaction(engine) as session:
        return jobs.get(session, job_id)


@contextmanager
def measured(engine: Engine, sheet_id: int) -> Iterator[tuple[Session, list[SampleMeasure | None]]]:
    with transaction(engine) as session:
        ids = sorted(sheets.drawn_cells(session, sheets.get(session, sheet_id)).values())
        yield session, [session.get(SampleMeasure, number) for number in ids]


def test_samples_are_measured_compared_and_read(engine: Engine, settings: Settings, sheet_id: int) -> None:
    job = work(engine, settings)
    assert (job.state, job.result["samples"], len(job.result["passed_over"])) == ("done", 4, 1)
    with measured(engine, sheet_id) as (session, rows):
        copy, other, letters, broken = rows
        assert copy and other and letters and broken
        first = session.scalars(select(Member.image_id).order_by(Member.image_id)).first()
        assert copy.nearest_id == first
        assert copy.values["copy_rest"] < 0.1
        assert other.values["copy_rest"] is None
        assert other.values["background"] == "white"
        assert other.evidence["outline"].startswith("M")
        assert other.nearest_similarity is not None and -1 <= other.nearest_similarity < 0.9
        assert "SUMMER SALE" in [line["text"] for line in letters.words or []]
        assert broken.failure == measuring.BROKEN


def test_the_checks_of_a_sheet_count_each_column(engine: Engine, settings: Settings, sheet_id: int) -> None:
    work(engine, settings)
    with transaction(engine) as session:
        sheet = sheets.get(session, sheet_id)
        columns = checking_samples.results(session, sheet, profiles.shipped()["house"])
        column = next(each for each in columns if each.samples)
        assert [len(each.samples) for each in columns].count(0) == 2
        assert column.copies == [column.samples[COPY].sample_id]
        tallies = column.tallies()
        assert tallies["copy"].failed == column.copies
        assert tallies["text_beside"].failed == [column.samples[LETTERED].sample_id]
        assert column.samples[BROKEN].answer == "cannot_tell"
        assert column.samples[COPY].sample_id in column.of("failed")
        assert checking_samples.progress(session, sheet) == (4, 4)
        alone = checking_samples.of_sample(
            session, sheets.sample(session, column.copies[0]), profiles.shipped()["house"]
        )
        assert alone == column.samples[COPY]


def test_a_job_taken_up_again_measures_only_what_is_missing(
    engine: Engine, settings: Settings, sheet_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    plain = sample_job.measured_of

    def counted(sample_id: int, picture: Pillow.Image, size_bytes: int) -> measuring.MeasuredSample:
        looked.append(sample_id)
        if len(looked) == 2:
            celery_app.stopped_for_good.set()
            raise celery_app.Transient("The worker was told to stop.")
        return plain(sample_id, picture, size_bytes)

    monkeypatch.setattr(sample_job, "BATCH", 1)
    monkeypatch.setattr(sample_job, "measured_of", counted)
    assert work(engine, settings).state == "queued"
    celery_app.stopped_for_good.clear()
    assert work(engine, settings).state == "done"
    assert len(looked) == len(set(looked)) + 1, "the one that was cut off, and no other"
    with transaction(engine) as session:
        measuring.request(session, sheets.get(session, sheet_id))
    before = len(looked)
    assert work(engine, settings).state == "done"
    assert len(looked) == before


def test_an_older_measure_is_taken_again(engine: Engine, settings: Settings, sheet_id: int) -> None:
    work(engine, settings)
    with measured(engine, sheet_id) as (session, rows):
        assert rows[OTHER] is not None
        rows[OTHER].version, rows[OTHER].values = SIGNALS_VERSION - 1, {}
        measuring.request(session, sheets.get(session, sheet_id))
    work(engine, settings)
    with measured(engine, sheet_id) as (_, rows):
        assert rows[OTHER] is not None
        assert rows[OTHER].values["background"] == "white"
        assert "copy_from" in rows[OTHER].values


def test_seeds_of_one_prompt_tell_how_diverse_a_column_is(engine: Engine, settings: Settings) -> None:
    storage = Storage(settings.data_dir)
    with transaction(engine) as session:
        run = finished_run(session)
        sheet = sheet_of(session, run)
        cells = sheets.missing(session, sheet)[:2]
        pictures = [good(128), at((0.3, 0.3, 0.6, 0.6), colour=(20, 120, 60))(128)]
        for cell, picture in zip(cells, pictures, strict=True):
            sha256 = storage.put("samples", saved(picture, "PNG"), ".png")
            sheets.record(session, [sheets.DrawnCell(cell, sha256, 128, 128)])
        measuring.request(session, sheet)
    work(engine, settings)
    with transaction(engine) as session:
        metric = session.scalars(select(ColumnMetric).where(ColumnMetric.name == "diversity")).one()
        assert (metric.name, metric.count, metric.checkpoint_id) == ("diversity", 1, cells[0].checkpoint_id)
        assert metric.value is not None and 0.05 < metric.value < 1
        assert metric.made_with.startswith("EfficientNet-Lite0 ")


def test_without_an_embedder_copies_are_known_by_their_fingerprints(
    engine: Engine, settings: Settings, sheet_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cache: Path) -> None:
        raise embed_job.InputError("PyTorch is not installed.")

    monkeypatch.setattr(embed_job, "built_in", refuse)
    assert work(engine, settings).state == "done"
    with measured(engine, sheet_id) as (_, rows):
        assert rows[COPY] is not None and rows[OTHER] is not None
        assert rows[COPY].values["copy_rest"] < 0.1
        assert (rows[OTHER].nearest_id, rows[OTHER].values["copy_rest"]) == (None, None)


def test_a_drawn_sheet_asks_to_be_measured(engine: Engine, settings: Settings) -> None:
    from tests.workers.sampling.test_sheet_job import Brush, draw

    with transaction(engine) as session:
        sheet_id = sheet_of(session, finished_run(session)).id
    draw(engine, settings, sheet_id, Brush())
    with transaction(engine) as session:
        waiting = session.scalars(select(jobs.Job).where(jobs.Job.kind == measuring.KIND)).one()
        assert (waiting.queue, waiting.arguments) == ("cpu", {"sheet_id": sheet_id})
        assert session.query(Sample).count() == 36
