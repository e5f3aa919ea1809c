"""The page that mends a photo, by mouse and by keys: what is previewed, taken back, saved and shown."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.catalog.mend_tables import Mend
from app.catalog.tables import Image, Signals
from app.database import transaction
from app.jobs import Job
from app.settings import Settings
from tests.browser.conftest import Scene, Visit, wait_for
from tests.browser.test_accessibility import faults
from workers import celery_app, cpu

pytestmark = pytest.mark.browser

OUTLINE = "M300 250L700 250L700 750L300 750Z"
PIXEL = """([name, x, y]) => {
    const canvas = document.querySelector(name);
    const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
    return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture
def photo_id(scene: Scene) -> int:
    """A blue product on grey, with its outline."""
    drawn = Pillow.new("RGB", (800, 600), (128, 128, 128))
    ImageDraw.Draw(drawn).rectangle((240, 150, 560, 450), fill=(20, 40, 200))
    data = io.BytesIO()
    drawn.save(data, "PNG")
    storage = scene.site.storage
    with transaction(scene.site.engine) as session:
        photo = session.get_one(Image, scene.photos[0].id)
        photo.sha256, photo.format = storage.put("originals", data.getvalue(), ".png"), "PNG"
        path = storage.path("originals", photo.sha256, ".png")
        photo.render_path = path.relative_to(storage.root).as_posix()
        view = io.BytesIO()
        drawn.save(view, "JPEG", quality=95)
        photo.view_sha256 = storage.put("views", view.getvalue(), ".jpg")
        session.get_one(Signals, photo.id).outline = OUTLINE
        return photo.id


def opened(scene: Scene, visit: Visit, photo_id: int) -> Page:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/images/{photo_id}/mend")
    expect(page.locator("[data-mend][data-ready]")).to_have_count(1)
    return page


def pixel(page: Page, x: float, y: float, canvas: str = "[data-result]") -> list[int]:
    """The colour at a place of the preview, in shares of it."""
    colour: list[int] = page.evaluate(PIXEL, [canvas, x, y])
    return colour


def field(page: Page, name: str) -> str:
    return page.locator(f'[name="{name}"]').first.input_value()


def look(page: Page, name: str) -> None:
    """Screenshots for whoever asks for them, light and dark, wide and narrow."""
    if folder := os.environ.get("PACKSHOT_TEST_SHOTS"):
        for scheme, width, height in (("light", 1440, 900), ("dark", 1440, 900), ("light", 390, 844)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=width < 900)
        page.set_viewport_size({"width": 1440, "height": 900})


def work(scene: Scene, mend: Mend) -> None:
    url = scene.site.engine.url.render_as_string(hide_password=False)
    settings = Settings(
        data_dir=scene.site.storage.root, database_url=url, redis_url="redis://127.0.0.1:1/0"
    )  # fmt: skip
    celery_app.do(mend.job_id or 0, cpu.mend, settings)


def newest(scene: Scene, photo_id: int) -> Mend | None:
    with transaction(scene.site.engine) as session:
        return session.scalars(select(Mend).where(Mend.image_id == photo_id, Mend.superseded_at.is_(None))).first()


def test_a_photo_is_mended_from_the_desk_and_shown(scene: Scene, visit: Visit, photo_id: int) -> None:
    page = visit(scene.ana)
    page.goto(f"{scene.site.url}/images/{photo_id}?q=")
    page.keyboard.press("m")
    expect(page.locator("[data-mend][data-ready]")).to_have_count(1)
    look(page, "mend-empty")
    assert pixel(page, 0.05, 0.05) == pytest.approx([128, 128, 128], abs=4)
    page.keyboard.press("w")
    assert pixel(page, 0.05, 0.05) == [255, 255, 255]
    assert pixel(page, 0.5, 0.5) == pytest.approx([20, 40, 200], abs=12)
    page.locator('[data-handle="left"]').focus()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    assert field(page, "left") == "20"
    page.keyboard.press("r")
    assert [field(page, name) for name in ("turns", "left", "top", "right", "bottom")] == ["1", "0", "20", "100", "100"]
    expect(page.locator("[data-size]")).to_have_text("600 × 640 px")
    look(page, "mend-white")
    page.keyboard.press("s")
    wait_for(page, lambda: newest(scene, photo_id) is not None)
    expect(page.locator("[data-in-the-making]")).to_have_count(1)
    mend = newest(scene, photo_id)
    assert mend is not None
    assert mend.edits == {"turns": 1, "angle": 0.0, "crop": [0.0, 0.2, 1.0, 1.0], "is_white": True, "has_mask": False}
    work(scene, mend)
    expect(page.locator("[data-in-the-making]")).to_have_count(0)
    expect(page.locator(".mend-past li.on")).to_contain_text("Turned 90° clockwise, cropped, white background")
    look(page, "mend-saved")
    with transaction(scene.site.engine) as session:
        photo = session.get_one(Image, photo_id)
        assert (photo.width_px, photo.height_px, photo.is_mended) == (600, 640, True)
        assert session.scalars(select(Job.kind).where(Job.kind == "signals.measure")).all() == ["signals.measure"]
    page.get_by_role("button", name="Use again: as taken in").click()
    expect(page.locator("[data-mend][data-ready]")).to_have_count(1)
    with transaction(scene.site.engine) as session:
        assert not session.get_one(Image, photo_id).is_mended


def test_the_brush_corrects_the_mask_and_each_step_is_taken_back(scene: Scene, visit: Visit, photo_id: int) -> None:
    page = opened(scene, visit, photo_id)
    page.keyboard.press("w")
    page.keyboard.press("x")  # the brush, taking away
    box = page.locator("[data-base]").bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 4, middle[1])
    page.mouse.up()
    assert pixel(page, 0.5, 0.5) == [255, 255, 255]
    look(page, "mend-brush")
    page.keyboard.press("z")
    assert pixel(page, 0.5, 0.5) == pytest.approx([20, 40, 200], abs=12)
    page.keyboard.press("y")
    assert pixel(page, 0.5, 0.5) == [255, 255, 255]
    page.keyboard.press("s")
    wait_for(page, lambda: newest(scene, photo_id) is not None)
    mend = newest(scene, photo_id)
    assert mend is not None
    with Pillow.open(scene.site.storage.path("masks", mend.mask_sha256 or "", ".png")) as mask:
        assert (mask.size, mask.getpixel((400, 300)), mask.getpixel((280, 200)), mask.getpixel((9, 9))) == (
            (800, 600), 0, 255, 0,
        )  # fmt: skip
    work(scene, mend)
    page.goto(f"{scene.site.url}/images/{photo_id}/mend")
    expect(page.locator("[data-mend][data-ready]")).to_have_count(1)
    assert pixel(page, 0.5, 0.5) == [255, 255, 255], "the painted mask is there again"


def test_the_later_of_two_people_is_told_and_keeps_what_is_on_the_page(
    scene: Scene, visit: Visit, photo_id: int
) -> None:
    ana, mei = opened(scene, visit, photo_id), visit(scene.mei)
    mei.goto(f"{scene.site.url}/images/{photo_id}/mend")
    expect(mei.locator("[data-mend][data-ready]")).to_have_count(1)
    ana.keyboard.press("r")
    ana.keyboard.press("s")
    wait_for(ana, lambda: newest(scene, photo_id) is not None)
    mei.locator('[name="angle"]').fill("3.5")
    mei.locator('[name="angle"]').press("Enter")
    expect(mei.locator("[data-mend-trouble]")).to_contain_text("Ana mended this photo meanwhile")
    assert field(mei, "angle") == "3.5"


def test_axe_finds_nothing_while_a_photo_is_mended(scene: Scene, visit: Visit, photo_id: int) -> None:
    page = opened(scene, visit, photo_id)
    seen = faults(page, "crop")
    page.keyboard.press("n")
    page.keyboard.press("r")
    page.keyboard.press("s")
    wait_for(page, lambda: newest(scene, photo_id) is not None)
    expect(page.locator("[data-in-the-making]")).to_have_count(1)
    seen += faults(page, "brush, in the making")
    assert not seen, "\n".join(seen)
