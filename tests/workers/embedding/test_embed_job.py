"""Embedding as a job: shared in parts, killed and done again, and by a model of the team's choice."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from sqlalchemy import Engine, select

from app import jobs
from app.catalog import embeddings
from app.catalog.tables import Catalog, EmbeddedPhrase, Embedding, Image, PhotoMap
from app.database import transaction
from app.jobs import Job
from app.settings import Settings
from app.storage import Storage
from tests import cast
from workers.celery_app import Body, do
from workers.devices.model_cache import ModelCache
from workers.embedding import embed_job, map_job, transformer
from workers.embedding.embedder import Embedder, Vectors

COLOURS = ("red", "navy", "green", "gold", "black")


class Average(Embedder):
    """Sees the mean colour and nothing else."""

    name, revision, preprocessing, dimensions, reads_words = "average", "1", "mean", 3, False
    wanted_px = 64

    def look(self, pictures: list[Pillow.Image]) -> Vectors:  # type: ignore[override]
        return self.of_length_one(np.stack([np.asarray(picture).mean(axis=(0, 1)) + 1 for picture in pictures]))


pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def averaging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_job, "built_in", lambda cache: Average())


@pytest.fixture
def filled(engine: Engine, settings: Settings) -> Callable[[int], int]:
    def fill(count: int) -> int:
        storage = Storage(settings.data_dir)
        with transaction(engine) as session:
            pile: Catalog = cast.catalog(session)
            for number in range(count):
                photo = cast.image(session, pile, title=f"{COLOURS[number % 5]} mug")
                data = io.BytesIO()
                Pillow.new("RGB", (80 + number, 60), COLOURS[number % 5]).save(data, "JPEG")
                photo.view_sha256 = storage.put("views", data.getvalue(), ".jpg")
            return pile.id

    return fill


def run(engine: Engine, settings: Settings, catalog_id: int, body: Body = embed_job.embed_all, **more: str) -> Job:
    """A job of this body and all its parts, done in this process."""
    kind = "photos.embed" if body is embed_job.embed_all else "photos.map"
    with transaction(engine) as session:
        job_id = jobs.request(session, kind, {"catalog_id": catalog_id, **more}).id
    do(job_id, body, settings)
    while True:
        with transaction(engine) as session:
            own = (Job.id == job_id) | (Job.whole_id == job_id)
            waiting = session.scalars(select(Job.id).where(own, Job.state == "queued").order_by(Job.id)).first()
        if waiting is None:
            with transaction(engine) as session:
                return jobs.get(session, job_id)
        do(waiting, body, settings)


def embedded(engine: Engine, catalog_id: int) -> dict[int, list[float]]:
    with transaction(engine) as session:
        rows = session.scalars(select(Embedding).where(Embedding.catalog_id == catalog_id))
        return {row.image_id: row.vector for row in rows}


@pytest.mark.usefixtures("averaging")
def test_many_photos_are_embedded_in_parts_and_get_a_map(
    engine: Engine, settings: Settings, filled: Callable[[int], int]
) -> None:
    catalog_id = filled(70)
    done = run(engine, settings, catalog_id)
    assert (done.state, done.parts, done.result["photos"]) == ("done", 3, 70), done.failure
    assert len(embedded(engine, catalog_id)) == 70
    with transaction(engine) as session:
        asked = select(Job).where(Job.kind == "photos.map", Job.arguments["catalog_id"].as_integer() == catalog_id)
        assert session.scalars(asked).one().state == "queued"
    again = run(engine, settings, catalog_id)
    assert (again.state, again.result["photos"]) == ("done", 0)


@pytest.mark.usefixtures("averaging")
def test_a_view_that_cannot_be_read_is_told_and_the_others_go_on(
    engine: Engine, settings: Settings, filled: Callable[[int], int]
) -> None:
    catalog_id = filled(4)
    with transaction(engine) as session:
        photo = session.scalars(select(Image).where(Image.catalog_id == catalog_id).limit(1)).one()
        name, gone = photo.file_name, photo.id
        photo.view_sha256 = "0" * 64
    done = run(engine, settings, catalog_id)
    assert (done.state, done.result["passed_over"]) == ("done", [f"{name} cannot be read"])
    assert gone not in embedded(engine, catalog_id) and len(embedded(engine, catalog_id)) == 3


@pytest.mark.usefixtures("averaging")
def test_a_part_that_was_lost_is_done_again_for_what_is_missing(
    engine: Engine, settings: Settings, filled: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog_id = filled(20)
    monkeypatch.setattr(embed_job, "BATCH", 8)
    looked: list[int] = []

    def look(self: Average, pictures: list[Pillow.Image]) -> Vectors:
        looked.append(len(pictures))
        if len(looked) == 2:
            raise KeyboardInterrupt  # as a worker that is killed: nothing is recorded of its end
        return Average.of_length_one(np.ones((len(pictures), 3)))

    monkeypatch.setattr(Average, "look", look)
    with pytest.raises(KeyboardInterrupt):
        run(engine, settings, catalog_id)
    assert len(embedded(engine, catalog_id)) == 8
    done = run(engine, settings, catalog_id)
    assert (done.state, done.result["photos"], sum(looked[2:])) == ("done", 12, 12)
    assert len(embedded(engine, catalog_id)) == 20


@pytest.mark.usefixtures("averaging")
def test_a_map_of_few_photos_is_made_and_named(
    engine: Engine, settings: Settings, filled: Callable[[int], int]
) -> None:
    catalog_id = filled(12)
    run(engine, settings, catalog_id)
    done = run(engine, settings, catalog_id, map_job.map_photos)
    assert done.state == "done", done.failure
    with transaction(engine) as session:
        made = session.get_one(PhotoMap, catalog_id)
        assert (len(made.image_ids), made.photos, made.method, made.categorised) == (12, 12, "pca", 12)
        assert len(made.points) == 12 * 8
        assert made.same_kind == 1.0


@pytest.mark.usefixtures("averaging")
def test_of_more_photos_than_are_laid_out_all_are_on_the_map(
    engine: Engine, settings: Settings, filled: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_job, "LAID_OUT_AT_MOST", 8)
    monkeypatch.setattr(map_job, "PLACED_AT_ONCE", 3)
    catalog_id = filled(15)
    run(engine, settings, catalog_id)
    done = run(engine, settings, catalog_id, map_job.map_photos)
    assert done.state == "done", done.failure
    with transaction(engine) as session:
        made = session.get_one(PhotoMap, catalog_id)
        assert (len(set(made.image_ids)), made.photos, len(made.points)) == (15, 15, 15 * 8)
        points = np.frombuffer(made.points, "<f4")
        assert np.isfinite(points).all() and points.min() >= 0 and points.max() <= 1


def test_a_map_of_nothing_is_refused_in_words(engine: Engine, settings: Settings, filled: Callable[[int], int]) -> None:
    done = run(engine, settings, filled(2), map_job.map_photos)
    assert (done.state, done.failure_kind) == ("failed", "refused")
    assert "nothing to make a map of" in str(done.failure)


def test_what_was_found_on_the_map_is_named_by_its_words() -> None:
    from workers.embedding.layout import Directions, MapLayout

    clusters = np.array([0] * 6 + [1] * 4 + [-1])
    points = np.stack([np.linspace(0, 1, 11)] * 2, axis=1).astype(np.float32)
    apart = np.array([0.1] * 10 + [2.0], np.float32)
    far_from, flat = 2.0, Directions(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    made = MapLayout(
        points, np.zeros((11, 1), dtype=np.int64), 0.5, clusters, apart, "umap", flat, points, far_from, None
    )
    # Two more were not laid out but placed, one of them in the second cluster.
    all_ids = [*range(100, 111), 120, 121]
    more = map_job.Everywhere(
        np.concatenate([points, points[:2]]), np.append(clusters, [1, -1]), np.append(apart, np.float32([0.1, 2.0]))
    )
    ids = list(range(100, 111))
    words = {number: {"mug", "red"} if number < 106 else {"lamp", "red"} for number in ids}
    sets = map_job._sets(made, ids, words, all_ids, more)
    assert [(one.kind, one.words, one.image_ids) for one in sets] == [
        ("cluster", "mug", ids[:6]), ("cluster", "lamp", [*ids[6:10], 120]), ("far", "", [110, 121]),
    ]  # fmt: skip
    assert sets[0].centre_id in (102, 103)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of a few thousand random weights with a tokeniser of its own."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    from workers.families import nano

    folder = tmp_path_factory.mktemp("clip")
    tokenizer = nano.build_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**sizes, "vocab_size": len(tokenizer), "eos_token_id": 1, "max_position_embeddings": 16},
        vision_config={**sizes, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_configured_model_embeds_photos_and_reads_words(
    engine: Engine, settings: Settings, filled: Callable[[int], int], tiny_clip: Path
) -> None:
    catalog_id = filled(3)
    models = ModelCache(1)
    with transaction(engine) as session:
        chosen = settings.model_copy(update={"embedder": str(tiny_clip)})
        job_id = embeddings.request(session, catalog_id, chosen).id
        phrase = {"catalog_id": catalog_id, "model": str(tiny_clip), "phrase": "red mug"}
        phrase_id = jobs.request(session, "photos.read_phrase", phrase).id
    do(job_id, lambda work: embed_job.encode_all(work, models), settings)
    do(phrase_id, lambda work: embed_job.read_phrase(work, models), settings)
    do(job_id, lambda work: embed_job.encode_all(work, models), settings)  # it gave way to the phrase
    with transaction(engine) as session:
        assert jobs.get(session, job_id).state == "done", jobs.get(session, job_id).failure
        assert jobs.get(session, phrase_id).state == "done", jobs.get(session, phrase_id).failure
        cover = embeddings.coverage(session, catalog_id)
        assert cover.space is not None
        assert (cover.embedded, cover.space.dimensions, cover.space.reads_words) == (3, 8, True)
        assert len(session.get_one(EmbeddedPhrase, (cover.space.id, "red mug")).vector) == 8
        assert embeddings.has_phrase(session, cover.space.id, "red mug")


def test_a_dino_embeds_photos_and_reads_no_words(tmp_path: Path) -> None:
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(tmp_path)
    BitImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(tmp_path)
    embedder = transformer.load(str(tmp_path), "cpu")
    vectors = embedder.look([Pillow.new("RGB", (40, 60), "red"), Pillow.new("RGB", (60, 40), "navy")])
    assert vectors.shape == (2, embedder.dimensions) == (2, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not embedder.reads_words


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/nowhere/siglip", "There is no embedder"), ("maker/none-at-all", "is not on this machine"),
        ("{folder}", "cannot be loaded|not on this machine|safetensors"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_used_is_refused_in_words(
    engine: Engine, settings: Settings, filled: Callable[[int], int], tmp_path: Path, name: str, said: str
) -> None:
    catalog_id = filled(1)
    with transaction(engine) as session:
        chosen = settings.model_copy(update={"embedder": name.format(folder=tmp_path)})
        job_id = embeddings.request(session, catalog_id, chosen).id
    do(job_id, lambda work: embed_job.encode_all(work, ModelCache(1)), settings)
    with transaction(engine) as session:
        job = jobs.get(session, job_id)
        assert (job.state, job.failure_kind) == ("failed", "refused")
        assert re.search(said, str(job.failure)), job.failure
