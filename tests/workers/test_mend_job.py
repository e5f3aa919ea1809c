"""The task that mends a photo: what it shows then, what is measured anew, what is left where it is ended half-way."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from sqlalchemy import Engine, select

from app import jobs
from app.catalog import mends, signals
from app.catalog.mend_tables import Mend
from app.catalog.mends import Edits
from app.catalog.tables import Embedding, Image, Lettering, Signals
from app.database import transaction, utc_now
from app.jobs import Job
from app.people import Person
from app.settings import Settings
from app.storage import Storage
from tests import cast
from tests.pictures import saved
from workers import celery_app, cpu, mend_job

pytestmark = pytest.mark.usefixtures("committed")

SIZE = (300, 200)
PRODUCT = (60, 50, 180, 150)
OUTLINE = "M200 250L600 250L600 750L200 750Z"


def drawn() -> Pillow.Image:
    """A red product on grey, its corner blue: every turn and cut of it looks otherwise."""
    picture = Pillow.new("RGB", SIZE, (120, 120, 120))
    ImageDraw.Draw(picture).rectangle(PRODUCT, fill=(200, 20, 20))
    ImageDraw.Draw(picture).rectangle((60, 50, 90, 80), fill=(20, 20, 220))
    return picture


class MendBench:
    """A photo with its files, somebody who mends it, and a way to have the work done."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings, self.storage = engine, settings, Storage(settings.data_dir)
        data = saved(drawn(), "PNG")
        with transaction(engine) as session:
            pile, self.ana = cast.catalog(session), cast.person(session)
            photo = cast.image(session, pile)
            photo.sha256, photo.format = self.storage.put("originals", data, ".png"), "PNG"
            photo.width_px, photo.height_px = SIZE
            path = self.storage.path("originals", photo.sha256, ".png")
            photo.render_path = path.relative_to(self.storage.root).as_posix()
            session.get_one(Signals, photo.id).outline = OUTLINE
            session.add(Lettering(image_id=photo.id, version=1, place="none"))
            self.photo_id, self.catalog_id = photo.id, pile.id
        self.original = path

    def ask(self, edits: Edits, expected_id: int = 0, mask: bytes | None = None) -> Mend:
        sha256 = self.storage.put("masks", mask, ".png") if mask else None
        with transaction(self.engine) as session:
            by = session.get_one(Person, self.ana.id)
            return mends.request(session, self.photo_id, edits, sha256, by, expected_id)

    def work(self, mend: Mend) -> Job:
        celery_app.do(mend.job_id or 0, cpu.mend, self.settings)
        with transaction(self.engine) as session:
            return jobs.get(session, mend.job_id or 0)

    def photo(self) -> Image:
        with transaction(self.engine) as session:
            return session.get_one(Image, self.photo_id)

    def shown(self) -> np.ndarray:
        with Pillow.open(self.storage.root / self.photo().render_path) as opened:
            return np.asarray(opened.convert("RGB"))


@pytest.fixture
def bench(engine: Engine, settings: Settings) -> MendBench:
    return MendBench(engine, settings)


def test_a_photo_is_turned_and_cropped_and_its_original_is_left_alone(bench: MendBench) -> None:
    before = bench.original.read_bytes()
    mend = bench.ask(Edits(turns=1, crop=(0.25, 0.1, 0.75, 0.6)))
    assert bench.work(mend).state == "done"
    photo = bench.photo()
    assert (photo.width_px, photo.height_px, photo.mend_id, photo.is_mended) == (100, 150, mend.id, True)
    expected = drawn().transpose(Pillow.Transpose.ROTATE_270).crop((50, 30, 150, 180))
    assert np.array_equal(bench.shown(), np.asarray(expected))
    assert bench.original.read_bytes() == before
    for kind, sha256, suffix in (("thumbs", photo.thumb_sha256, ".jpg"), ("views", photo.view_sha256, ".jpg")):
        file = bench.storage.path(kind, sha256, suffix)  # type: ignore[arg-type]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
        with Pillow.open(file) as opened:
            assert opened.size == (100, 150)


def test_what_was_known_of_the_picture_is_forgotten_and_asked_for_anew(bench: MendBench) -> None:
    bench.work(bench.ask(Edits(turns=2)))
    with transaction(bench.engine) as session:
        for table in (Signals, Embedding, Lettering):
            assert session.get(table, bench.photo_id) is None
        job = session.scalars(select(Job).where(Job.kind == "signals.measure")).one()
        assert job.arguments == {"catalog_id": bench.catalog_id, "image_ids": [bench.photo_id]}
    celery_app.do(job.id, cpu.measure, bench.settings)
    with transaction(bench.engine) as session:
        measured = session.get_one(Signals, bench.photo_id)
        assert measured.box is not None
        assert np.allclose(measured.box, [0.4, 0.25, 0.8, 0.75], atol=0.02), "of the mended picture"
        following = set(session.scalars(select(Job.kind).where(Job.state == "queued")))
    assert {"photos.group", "photos.embed", "photos.read_text"} <= following


def test_what_was_measured_of_the_picture_before_is_not_kept_after_the_mend(bench: MendBench) -> None:
    old = bench.photo().view_sha256
    bench.work(bench.ask(Edits(turns=2)))
    with transaction(bench.engine) as session:
        signals.record(session, 99, {bench.photo_id: {"background": "white"}}, {bench.photo_id: old})
    with transaction(bench.engine) as session:
        assert session.get(Signals, bench.photo_id) is None


def test_the_background_becomes_pure_white_by_the_outline_and_the_product_stays(bench: MendBench) -> None:
    bench.work(bench.ask(Edits(is_white=True)))
    shown, before = bench.shown(), np.asarray(drawn())
    assert (shown[:45] == 255).all()
    assert (shown[:, :55] == 255).all()
    assert np.array_equal(shown[54:146, 64:176], before[54:146, 64:176])
    with transaction(bench.engine) as session:
        mend = mends.newest(session, bench.photo_id)
        assert mend is not None
        assert mend.mended_mask_sha256 is not None


def test_a_painted_mask_says_what_stays(bench: MendBench) -> None:
    mask = Pillow.new("L", SIZE, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 99, 199), fill=255)
    painted = mends.read_mask(saved(mask, "PNG"), SIZE)
    bench.work(bench.ask(Edits(is_white=True, has_mask=True, crop=(0.0, 0.0, 0.5, 1.0)), mask=painted))
    shown = bench.shown()
    assert shown.shape == (200, 150, 3)
    assert (shown[:, 100:] == 255).all()
    assert np.array_equal(shown[:, :99], np.asarray(drawn())[:, :99])
    with transaction(bench.engine) as session:
        kept = mends.newest(session, bench.photo_id)
        assert kept is not None
        with Pillow.open(bench.storage.path("masks", kept.mended_mask_sha256 or "", ".png")) as in_frame:
            assert np.array_equal(np.asarray(in_frame), np.asarray(mask)[:, :150])


def test_straightening_turns_clockwise_and_fills_with_white(bench: MendBench) -> None:
    bench.work(bench.ask(Edits(angle=10.0)))
    shown = bench.shown()
    assert shown.shape == (200, 300, 3)
    assert (shown[0, 0] == 255).all()
    expected = drawn().rotate(-10, Pillow.Resampling.BICUBIC, fillcolor="white")
    assert np.array_equal(shown, np.asarray(expected))


def test_an_earlier_one_is_shown_again_at_once_and_the_files_of_all_stay(bench: MendBench) -> None:
    as_it_came = bench.photo()
    mend = bench.ask(Edits(turns=1))
    bench.work(mend)
    mended = bench.photo()
    with transaction(bench.engine) as session:
        first = mends.of(session, bench.photo_id)[-1]
        again = mends.restore(session, first.id, session.get_one(Person, bench.ana.id), mend.id)
    now = bench.photo()
    assert (now.mend_id, now.is_mended, now.render_path) == (None, False, as_it_came.render_path)
    assert (now.width_px, now.height_px) == SIZE
    assert (bench.storage.root / mended.render_path).is_file()
    with transaction(bench.engine) as session:
        mends.restore(session, mend.id, session.get_one(Person, bench.ana.id), again.id)
    assert (bench.photo().render_path, bench.photo().is_mended) == (mended.render_path, True)


def test_a_worker_that_lost_its_lease_changes_nothing(bench: MendBench, monkeypatch: pytest.MonkeyPatch) -> None:
    before, made = bench.photo(), mend_job._made
    mend = bench.ask(Edits(turns=1))

    def lose(*arguments: object) -> object:
        columns = made(*arguments)  # type: ignore[arg-type]
        with transaction(bench.engine) as session:
            job = jobs.get(session, mend.job_id or 0)
            job.state, job.lease_until = "queued", utc_now()
            session.flush()
            assert jobs.claim(session, job.id, "another worker")
        return columns

    monkeypatch.setattr(mend_job, "_made", lose)
    bench.work(mend)
    after = bench.photo()
    assert (after.render_path, after.view_sha256, after.mend_id) == (before.render_path, before.view_sha256, None)


def test_a_mend_that_a_later_one_took_the_place_of_is_not_made(bench: MendBench) -> None:
    first = bench.ask(Edits(turns=1))
    second = bench.ask(Edits(turns=2), first.id)
    assert bench.work(first).result == {"is_superseded": True}
    assert bench.photo().mend_id is None
    bench.work(second)
    assert bench.photo().mend_id == second.id


def test_a_picture_that_is_gone_fails_with_a_sentence_and_changes_nothing(bench: MendBench) -> None:
    bench.original.unlink()
    job = bench.work(bench.ask(Edits(turns=1)))
    assert (job.state, job.failure_kind) == ("failed", "refused")
    assert "not in the data folder any more" in (job.failure or "")
    assert bench.photo().mend_id is None


def test_grey_pictures_are_mended_too(bench: MendBench) -> None:
    data = saved(drawn().convert("L"), "PNG")
    with transaction(bench.engine) as session:
        photo = session.get_one(Image, bench.photo_id)
        path = bench.storage.path("originals", bench.storage.put("originals", data, ".png"), ".png")
        photo.render_path = path.relative_to(bench.storage.root).as_posix()
    bench.work(bench.ask(Edits(angle=5.0, is_white=True)))
    assert (bench.shown()[:20] == 255).all()


def test_masks_that_are_none_are_refused() -> None:
    buffer = io.BytesIO()
    Pillow.new("L", (400, 100), 255).save(buffer, "PNG")
    for data, said in ((b"not a picture", "no PNG"), (buffer.getvalue(), "another shape"), (b"", "no PNG")):
        with pytest.raises(Exception, match=said):
            mends.read_mask(data, SIZE)
