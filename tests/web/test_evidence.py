"""What a page tells of each measure, and what it draws over a photo to show why."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow
from PIL import ImageDraw
from sqlalchemy.orm import Session

from app.catalog import lettering
from app.catalog.drawing import DARK_MARK, LIGHT_MARK, evidence_of
from app.catalog.files import view_path
from app.catalog.measures import SCALES
from app.catalog.tables import Image, Signals
from app.catalog.text_lines import TextLine
from app.settings import Settings
from app.storage import Storage
from app.web.views.evidence import OVERLAYS
from tests import cast

OUTLINE = "M250 250L250 750L750 750L750 250Z"


@pytest.fixture
def photo(session: Session, settings: Settings) -> Image:
    """A photo with everything to show: an outline, a border, a seam, text, a shadow, clipped pixels, blocks."""
    photo = cast.image(session, cast.catalog(session))
    signals = session.get_one(Signals, photo.id)
    signals.outline, signals.brightness, signals.parts, signals.blockiness = OUTLINE, 41.3, 2, 0.6
    signals.clipped_light, signals.clipped_dark, signals.shadow, signals.detail = 0.1, 0.05, 12.5, 0.42
    signals.subject_lab, signals.cropped_edges, signals.is_cropped = [38.8, 8.0, -47.0], ["left"], True
    signals.background_delta_e, signals.confidence = 30.0, 0.9
    signals.box, signals.chroma, signals.contrast = [0.25, 0.25, 0.75, 0.75], 47.0, 60.0
    signals.border, signals.border_lines, signals.seam, signals.seam_lines = 0.1, [["y", 0.1]], 0.9, [["x", 0.5]]
    lines = [TextLine("SALE <b>", 0.97, (0.1, 0.1, 0.3, 0.2), True), TextLine("smudge", 0.6, (0, 0, 0.1, 0.1), True)]
    lettering.record(session, 1, {photo.id: lines})
    place = view_path(Storage(settings.data_dir), photo.view_sha256)
    place.parent.mkdir(parents=True)
    view().save(place, "JPEG", quality=95)
    session.flush()
    return photo


def view() -> Pillow.Image:
    """Grey ground, a blue product with a white and a black part, and white outside of it."""
    drawn = Pillow.new("RGB", (800, 600), (180, 180, 180))
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((200, 150, 600, 450), fill=(40, 90, 170))
    pen.rectangle((240, 180, 340, 300), fill="white")
    pen.rectangle((440, 180, 540, 300), fill="black")
    pen.rectangle((0, 0, 100, 100), fill="white")
    return drawn


@pytest.mark.parametrize("address", ["/images/{}", "/images/{}/card"])
def test_a_photo_tells_every_measure_and_draws_what_has_a_place(client: TestClient, photo: Image, address: str) -> None:
    page = client.get(address.format(photo.id)).text
    for scale in SCALES:
        assert scale.title in page and scale.range in page
    for told in ("41.3 L*", "12.5 L*", "10.0 %", "version 1 of the measures", "cannot tell", "Detail: 0.42"):
        assert told in page
    for drawn in (OUTLINE, 'class="border over"', 'class="seam over"', 'class="text beside over"', 'class="shadow"'):
        assert drawn in page
    assert "SALE &lt;b&gt;" in page and "beside the product" in page and "smudge" not in page
    assert f'data-drawn="/images/{photo.id}/evidence"' in page and "href" not in page.split("data-drawn")[1][:40]
    assert 'class="side over"' in page, "and the edge that the subject touches"
    assert 'data-key="w"' in page


def test_a_photo_without_anything_to_show_says_so(client: TestClient, session: Session) -> None:
    bare = cast.image(session, cast.catalog(session))
    page = client.get(f"/images/{bare.id}").text
    assert "No outline, line or text was found." in page and "not read yet" in page


def test_marks_lie_on_what_is_clipped_inside_the_outline(client: TestClient, photo: Image) -> None:
    answer = client.get(f"/images/{photo.id}/evidence")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    marks = np.asarray(Pillow.open(io.BytesIO(answer.content)))
    assert marks.shape == (600, 800, 4)
    assert tuple(marks[240, 290]) == LIGHT_MARK and tuple(marks[240, 490]) == DARK_MARK
    assert marks[50, 50, 3] == 0 and marks[400, 390, 3] == 0, "neither outside of the product nor on its colour"


def test_each_signal_is_drawn(client: TestClient, photo: Image) -> None:
    page = client.get(f"/images/{photo.id}").text
    drawn = {name for shown in re.findall(r'data-of="([^"]*)"', page) for name in shown.split()}
    assert set(OVERLAYS) - {"apart"} <= drawn, "all but what no map tells yet"
    assert client.get(f"/images/{photo.id}/evidence?of=lost").status_code == 404
    for name, overlay in OVERLAYS.items():
        option = re.search(rf'<option value="{name}"[^>]*>([^<]+)<', page)
        assert option and "None" not in option[1], name
        if overlay.mark is None:
            assert client.get(f"/images/{photo.id}/evidence?of={name}").status_code == 404
            continue
        answer = client.get(f"/images/{photo.id}/evidence?of={name}")
        marks = np.asarray(Pillow.open(io.BytesIO(answer.content)))[:, :, 3] > 0
        assert marks.shape == (600, 800)
        assert (0 < marks.mean() < 1) or name == "blockiness", f"{name} is marked somewhere, and not all over"


def test_blocks_are_marked_along_their_grid(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(60, 200, (40, 50), dtype=np.uint8)
    Pillow.fromarray(np.kron(noise, np.ones((8, 8), dtype=np.uint8))).save(tmp_path / "blocks.png")
    view = tmp_path / "blocks.png"
    marks = np.asarray(Pillow.open(io.BytesIO(evidence_of(view, "", ("blocks",)))))[:, :, 3] > 0
    columns = np.flatnonzero(marks.mean(axis=0) > 0.5)
    assert len(columns) > 40 and set(columns % 8) == {7}
    others = np.asarray(Pillow.open(io.BytesIO(evidence_of(view, "", ("light", "dark")))))
    assert not others[:, :, 3].any(), "what the legend does not name is not drawn"


def test_without_its_file_there_is_a_sentence(client: TestClient, session: Session) -> None:
    gone = cast.image(session, cast.catalog(session))
    assert client.get(f"/images/{gone.id}/evidence").status_code == 404
    assert client.get("/images/999999/evidence").status_code == 404
