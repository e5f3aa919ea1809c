"""Text in photos: read without a network, told to stand on the product or beside it, searched for, and waited for by
nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from sqlalchemy import Engine, select, text, update

from app import broker, jobs
from app.catalog import lettering
from app.catalog.files import view_path
from app.catalog.tables import Image, Lettering, Signals
from app.catalog.text_lines import TextLine, is_beside, share_of
from app.database import transaction
from app.jobs import Job
from app.selection import browse
from app.selection.query import parse
from app.selection.tables import PhotoIndex
from app.settings import Settings
from app.storage import Storage
from tests import cast
from workers import celery_app, cpu
from workers.lettering import reader
from workers.lettering.reader import LETTERING_VERSION, READ_SINCE, read
from workers.signals.measure import measure

SEND_DUE = broker.send_due


def labelled(label: str = "ORGANIC TEA", tag: str = "") -> Pillow.Image:
    """A green carton on white with a label on it, and a tag beside it."""
    drawn = Pillow.new("RGB", (800, 600), "white")
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((250, 60, 550, 540), fill=(30, 110, 60))
    if label:
        pen.text((270, 250), label, fill="white", font=ImageFont.load_default(38))
    if tag:
        pen.text((15, 30), tag, fill=(180, 0, 0), font=ImageFont.load_default(34))
    return drawn


pytestmark = pytest.mark.usefixtures("committed")


def test_words_are_read_where_they_stand() -> None:
    picture = labelled(tag="SALE 19.99")
    outline = measure(picture).outline
    lines = {line.text: line for line in read(picture, outline) if line.is_trusted}
    assert lines.keys() == {"ORGANIC TEA", "SALE 19.99"}
    assert (lines["ORGANIC TEA"].is_beside, lines["SALE 19.99"].is_beside) == (False, True)
    x0, y0, x1, y1 = lines["SALE 19.99"].box
    assert 0 <= x0 < 0.04 and 0 < y0 < 0.08 and 0.2 < x1 < 0.3 and y1 < 0.15


def test_a_strip_takes_no_more_memory_than_a_photo_and_its_text_is_found_in_place() -> None:
    words = labelled().crop((250, 230, 550, 310)).rotate(90, expand=True)
    strip = Pillow.new("RGB", (80, 1000), "white")
    strip.paste(words, (0, 600))
    wanted: list[tuple[int, int]] = []
    engine = reader._engine()

    def heard(pixels: NDArray[np.uint8], **options: bool) -> Any:
        wanted.append((pixels.shape[1], pixels.shape[0]))
        return engine(pixels, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_engine", lambda: heard)
        lines = reader.read(strip, None)
    assert wanted == [(320, 960)]
    assert all(0.5 < line.box[1] < line.box[3] <= 1 for line in lines)


@pytest.mark.parametrize("picture", [
    labelled(""), Pillow.new("RGB", (400, 300), "white"), Pillow.new("L", (9, 700), 3), Pillow.new("RGBA", (1, 1)),
])  # fmt: skip
def test_nothing_is_read_where_nothing_stands(picture: Pillow.Image) -> None:
    assert [line for line in read(picture, None) if line.is_trusted] == []


def test_what_is_unsure_or_a_single_sign_is_not_trusted() -> None:
    box = (0.1, 0.1, 0.2, 0.2)
    assert TextLine("eko", 0.9, box).is_trusted and TextLine("12 %", 0.95, box).is_trusted
    assert not TextLine("eko", 0.89, box).is_trusted and not TextLine("O", 1.0, box).is_trusted


def test_text_stands_beside_a_product_unless_something_larger_holds_it() -> None:
    square = "M400 400L400 800L800 800L800 400Z"
    letters = "M100 100L100 140L200 140L200 100Z"  # its own outline on plain paper
    assert is_beside(square + letters, (0.5, 0.5, 0.7, 0.55)) is False
    assert is_beside(square + letters, (0.1, 0.1, 0.2, 0.14)) is True
    assert is_beside(None, (0.1, 0.1, 0.2, 0.14)) is None


def kept(storage: Storage, photo: Image, picture: Pillow.Image) -> None:
    place = view_path(storage, photo.view_sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    picture.save(place, "JPEG", quality=92)


def job_of(engine: Engine, settings: Settings, catalog_id: int) -> Job:
    with transaction(engine) as session:
        job_id = jobs.request(session, "photos.read_text", {"catalog_id": catalog_id}).id
    celery_app.do(job_id, cpu.read_text, settings)
    with transaction(engine) as session:
        return jobs.get(session, job_id)


def test_a_catalog_is_read_once_and_its_words_are_searched_for(engine: Engine, settings: Settings) -> None:
    storage = Storage(settings.data_dir)
    with transaction(engine) as session:
        pile = cast.catalog(session)
        catalog_id = pile.id
        tagged, plain, gone = (cast.image(session, pile) for _ in range(3))
        for photo, picture in ((tagged, labelled(tag="SALE 19.99")), (plain, labelled(""))):
            kept(storage, photo, picture)
            signals = session.get_one(Signals, photo.id)
            signals.outline = measure(picture).outline
        tagged_id, plain_id, gone_id = tagged.id, plain.id, gone.id
    job = job_of(engine, settings, catalog_id)
    assert (job.state, job.result["photos"], len(job.result["passed_over"])) == ("done", 3, 1)
    with transaction(engine) as session:
        assert session.scalars(select(Job.kind).where(Job.kind == "review.apply_rules")).all(), "rules look at text too"
        places = {row[0]: row[1] for row in session.execute(select(PhotoIndex.image_id, PhotoIndex.lettering))}
        assert places == {tagged_id: "beside", plain_id: "none", gone_id: "not read"}
        for query in (
            "writing:price",
            "writing:price -writing:watermark",
            "text:organic",
            'text:"sale 19"',
            "organic",
            "lettering:beside",
            "kettle text:SALE",
        ):
            shown = browse.page(session, parse(query, catalog_id))
            assert [tile.id for tile in shown] == [tagged_id], query
        assert session.get_one(Lettering, tagged_id).version == LETTERING_VERSION
        session.execute(text("delete from lettering"))
    with transaction(engine) as session:
        assert set(session.scalars(select(PhotoIndex.lettering))) == {"not read"}
        assert not browse.page(session, parse("organic", catalog_id))
        session.execute(update(Job).where(Job.kind == "review.apply_rules").values(state="done"))  # goes before reading
        lettering.record(session, LETTERING_VERSION, {tagged_id: [], plain_id: []})
    again = job_of(engine, settings, catalog_id)
    assert again.result["photos"] == 1, "what was read is not read again"


def test_to_what_an_earlier_version_read_only_tiles_are_added(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, tea = Storage(settings.data_dir), TextLine("TEA", 0.99, (0.1, 0.1, 0.2, 0.2), True)
    mark = TextLine("ANA PHOTO", 0.98, (0.3, 0.3, 0.6, 0.4), False, is_tiled=True)
    monkeypatch.setattr(reader, "_lines", lambda *_: pytest.fail("read again"))
    monkeypatch.setattr(reader, "with_tiled", lambda _, lines, read: [mark, *lines])
    with transaction(engine) as session:
        pile = cast.catalog(session)
        catalog_id, photo = pile.id, cast.image(session, pile)
        photo_id = photo.id
        kept(storage, photo, labelled())
        lettering.record(session, READ_SINCE, {photo_id: [tea]})
        before = session.get_one(Lettering, photo_id)
        before.lines = [{key: value for key, value in line.items() if key != "is_tiled"} for line in before.lines]
    assert job_of(engine, settings, catalog_id).result == {"photos": 1, "passed_over": []}
    with transaction(engine) as session:
        now = session.get_one(Lettering, photo_id)
        assert (now.version, now.kinds, now.words) == (LETTERING_VERSION, ["text", "watermark"], "ANA PHOTO\nTEA")
        assert lettering.lines_of(now) == [tea, mark]


def test_what_lies_under_two_boxes_is_covered_once() -> None:
    assert share_of([(0.0, 0.0, 0.5, 0.2)] * 3) == 0.1
    assert share_of([(0.0, 0.0, 0.5, 0.2), (0.25, 0.1, 0.75, 0.3)]) == pytest.approx(0.175)
    assert share_of([(0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.6), (0.0, 0.5, 0.1, 0.6)]) == pytest.approx(0.03)
    assert share_of([]) == 0.0


def test_reading_comes_behind_everything_else(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []

    class Client:
        def send_task(self, kind: str, priority: int, **_: object) -> None:
            sent.append((kind, priority))

    monkeypatch.setattr(broker, "client", lambda _: Client())
    with transaction(engine) as session:
        for kind in ("photos.read_text", "review.apply_rules"):
            jobs.request(session, kind, {"catalog_id": 1})
    SEND_DUE(engine, "redis://nowhere")
    assert sent == [("review.apply_rules", 3), ("photos.read_text", 9)]


def test_the_models_lie_in_the_wheel() -> None:
    import rapidocr

    models = Path(rapidocr.__file__).parent / "models"
    assert {path.suffix for path in models.iterdir()} >= {".onnx"}
