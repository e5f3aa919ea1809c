"""Signals on drawn pictures whose truth is known: framing, background, colour and sharpness."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from app.catalog.colours import EMPTY_BELOW
from app.catalog.tables import Signals
from app.demo.drawing import draw
from app.demo.worlds import base_world
from workers.signals.mask import Segmentation
from workers.signals.measure import BLURRED_BELOW, SOFT_BELOW, SignalValues, measure, measure_each, measure_pixels

WHITE = (255, 255, 255)
RED = (200, 40, 40)
SIDE = 768


def packshot(
    fill: float = 0.9,
    centre: tuple[float, float] = (0.5, 0.5),
    colour: tuple[int, int, int] = RED,
    paper: tuple[int, int, int] = WHITE,
    shape: Callable[[ImageDraw.ImageDraw], Callable[..., None]] = lambda pen: pen.ellipse,
) -> Pillow.Image:
    """One disc on paper, drawn at twice the size for soft edges."""
    big = Pillow.new("RGB", (2 * SIDE, 2 * SIDE), paper)
    x, y, half = centre[0] * 2 * SIDE, centre[1] * 2 * SIDE, fill * SIDE
    shape(ImageDraw.Draw(big))((x - half, y - half, x + half, y + half), fill=colour)
    return big.resize((SIDE, SIDE), Pillow.Resampling.BOX)


def as_jpeg(picture: Pillow.Image, quality: int = 85) -> Pillow.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Pillow.open(buffer)


def lit_from_the_left(picture: Pillow.Image, levels: int) -> Pillow.Image:
    fall = np.linspace(0, levels, picture.width)[None, :, None]
    return Pillow.fromarray(np.clip(np.asarray(picture) - fall, 0, 255).astype(np.uint8))


def test_a_good_packshot() -> None:
    found = measure(as_jpeg(packshot(0.9)))
    assert found.background == "white"
    assert found.background_colour == "pure white"
    assert found.background_delta_e is not None and found.background_delta_e < 0.5
    assert found.whiteness is not None and found.whiteness > 0.99
    assert found.uniformity is not None and found.uniformity > 0.97
    assert found.fill == pytest.approx(0.9, abs=0.012)
    assert found.coverage == pytest.approx(np.pi / 4 * 0.81, abs=0.015)
    assert (found.offset_x, found.offset_y) == (pytest.approx(0, abs=0.006), pytest.approx(0, abs=0.006))
    assert found.is_cropped is False and found.cropped_edges == []
    assert found.subject_colour == "red"
    assert found.confidence == 1.0


def test_a_small_product_is_small() -> None:
    assert measure(packshot(0.3)).fill == pytest.approx(0.3, abs=0.012)


def test_offsets_are_signed_right_and_down() -> None:
    found = measure(packshot(0.4, (0.7, 0.35)))
    assert found.offset_x == pytest.approx(0.2, abs=0.006)
    assert found.offset_y == pytest.approx(-0.15, abs=0.006)


@pytest.mark.parametrize(
    ("centre", "edge"), [((0.1, 0.5), "left"), ((0.9, 0.5), "right"), ((0.5, 0.1), "top"), ((0.5, 0.9), "bottom")]
)
def test_a_product_that_leaves_the_frame_is_cropped_there(centre: tuple[float, float], edge: str) -> None:
    found = measure(as_jpeg(packshot(0.6, centre)))
    assert found.is_cropped is True
    assert found.cropped_edges == [edge]


@pytest.mark.parametrize(("is_plain", "rows", "is_cropped"), [(True, 5, True), (False, 5, False), (False, 12, True)])
def test_a_rough_outline_has_to_touch_the_frame_longer(
    monkeypatch: pytest.MonkeyPatch, is_plain: bool, rows: int, is_cropped: bool
) -> None:
    """The network's outlines are true to 1 % of the frame: a corner that reaches the edge may well end before it."""
    subject = np.zeros((320, 320), dtype=bool)
    subject[100:220, 40:280] = subject[150 : 150 + rows, :40] = True
    finding = Segmentation(subject, ~subject, is_plain, 0.95)
    monkeypatch.setattr("workers.signals.measure.find_subjects", lambda _: [finding])
    assert measure(packshot(0.5)).is_cropped is is_cropped


@pytest.mark.parametrize(("level", "kind"), [(255, "white"), (247, "white"), (235, "plain"), (128, "plain")])
def test_grey_paper_is_one_colour_and_only_nearly_white_is_white(level: int, kind: str) -> None:
    found = measure(as_jpeg(packshot(0.8, paper=(level, level, level))))
    assert found.background == kind
    assert found.is_cropped is False
    assert found.fill == pytest.approx(0.8, abs=0.012)
    assert (found.whiteness == 0) == (level < 250)


@pytest.mark.parametrize("levels", [10, 25])
def test_a_gradient_is_still_background_but_less_uniform(levels: int) -> None:
    found = measure(as_jpeg(lit_from_the_left(packshot(0.7), levels)))
    assert found.fill == pytest.approx(0.7, abs=0.012)
    assert found.is_cropped is False
    assert found.uniformity is not None and found.uniformity < 1 - levels / 200


def test_dark_paper_is_plain_too() -> None:
    found = measure(as_jpeg(packshot(0.7, colour=(240, 240, 235), paper=(40, 42, 46))))
    assert (found.background, found.background_colour) == ("plain", "black")
    assert found.subject_colour == "white"
    assert found.fill == pytest.approx(0.7, abs=0.012)


def test_a_contact_shadow_is_not_the_product() -> None:
    shadow = Pillow.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(shadow).ellipse((0.05 * SIDE, 0.76 * SIDE, 0.99 * SIDE, 0.9 * SIDE), fill=90)
    picture = Pillow.new("RGB", (SIDE, SIDE), WHITE)
    picture.paste((0, 0, 0), mask=shadow.filter(ImageFilter.GaussianBlur(0.025 * SIDE)))
    ImageDraw.Draw(picture).rectangle((0.25 * SIDE, 0.2 * SIDE, 0.75 * SIDE, 0.83 * SIDE), fill=RED)
    found = measure(as_jpeg(picture))
    assert found.box == pytest.approx([0.25, 0.2, 0.75, 0.83], abs=0.02)


def test_white_on_white_keeps_its_outline_at_a_lower_confidence() -> None:
    found = measure(packshot(0.9, colour=(252, 252, 252)))
    assert found.fill == pytest.approx(0.9, abs=0.02)
    assert found.subject_colour == "white"
    assert found.confidence < 1


def test_cream_on_white_is_not_eaten() -> None:
    found = measure(as_jpeg(packshot(0.9, colour=(250, 246, 236)), quality=95))
    assert found.fill == pytest.approx(0.9, abs=0.02)
    assert found.coverage == pytest.approx(0.64, abs=0.05)


def test_a_noisy_white_product_is_not_eaten() -> None:
    picture = np.asarray(packshot(0.9, colour=(238, 238, 238))).astype(np.float64)
    noise = np.random.default_rng(5).normal(0, 6, picture.shape)
    is_product = picture[..., :1] < 250
    found = measure(Pillow.fromarray(np.clip(picture + noise * is_product, 0, 255).astype(np.uint8)))
    assert found.fill == pytest.approx(0.9, abs=0.02)
    assert found.coverage is not None and found.coverage > 0.55


def test_noisy_paper_is_still_one_colour() -> None:
    picture = np.asarray(packshot(0.6, paper=(246, 246, 246))).astype(np.float64)
    noise = np.random.default_rng(6).normal(0, 5, picture.shape)
    found = measure(Pillow.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)))
    assert found.background in {"white", "plain"}
    assert found.fill == pytest.approx(0.6, abs=0.015)


def test_two_objects_share_one_box() -> None:
    picture = packshot(0.3, (0.25, 0.5))
    ImageDraw.Draw(picture).rectangle((0.7 * SIDE, 0.3 * SIDE, 0.9 * SIDE, 0.7 * SIDE), fill=(30, 60, 160))
    assert measure(as_jpeg(picture)).box == pytest.approx([0.1, 0.3, 0.9, 0.7], abs=0.012)


def test_the_hole_in_a_handle_is_not_product() -> None:
    picture = packshot(0.8, paper=(200, 205, 210))
    middle, half = SIDE / 2, 0.2 * SIDE
    ImageDraw.Draw(picture).ellipse((middle - half, middle - half, middle + half, middle + half), fill=(200, 205, 210))
    found = measure(as_jpeg(picture))
    assert found.coverage == pytest.approx(np.pi / 4 * (0.64 - 0.16), abs=0.015)


def test_a_transparent_picture_lies_on_white() -> None:
    picture = packshot(0.8).convert("RGBA")
    picture.putalpha(packshot(0.8, colour=WHITE, paper=(0, 0, 0)).convert("L"))
    found = measure(picture)
    assert found.background == "white"
    assert found.fill == pytest.approx(0.8, abs=0.012)


def test_an_empty_frame_says_cannot_tell() -> None:
    found = measure(Pillow.new("RGB", (600, 400), WHITE))
    assert found == SignalValues(
        background="cannot tell", confidence=0.0, contrast=0.0, chroma=0.0, border=0.0, seam=0.0
    )


def test_contrast_tells_an_empty_frame_from_the_palest_product() -> None:
    rng = np.random.default_rng(6)
    across = np.linspace(-1, 1, 400)
    empty = {
        "one colour": np.full((300, 400, 3), (180, 20, 30)),
        "a gradient": np.repeat(np.tile(200 + 40 * across, (300, 1))[..., None], 3, axis=2),
        "a vignette": np.repeat((245 - 50 * (across**2 + np.linspace(-1, 1, 300)[:, None] ** 2))[..., None], 3, axis=2),
        "a dark frame": rng.normal(3, 4, (300, 400, 3)),
    }
    for name, pixels in empty.items():
        picture = Pillow.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        assert measure(as_jpeg(picture)).contrast < EMPTY_BELOW, name
    for product in (packshot(0.05), packshot(0.6, colour=(240, 240, 240), paper=WHITE)):
        assert measure(product).contrast > EMPTY_BELOW


def test_a_frame_full_of_things_is_a_scene_with_nothing_told() -> None:
    rng = np.random.default_rng(9)
    tiles = Pillow.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    found = measure(tiles.resize((800, 800), Pillow.Resampling.BOX))
    assert found.background == "scene"
    assert (found.box, found.coverage, found.subject_colour, found.is_cropped) == (None, None, None, None)
    assert found.confidence == 0
    assert found.sharpness is not None


def test_a_product_on_folded_cloth_is_found_but_never_for_certain() -> None:
    rng = np.random.default_rng(4)
    folds = Pillow.fromarray(rng.normal(0, 30, (12, 12)).astype(np.float32))
    folds = folds.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC)
    cloth = np.array([150, 40, 60]) + np.asarray(folds)[..., None]
    shirt = np.asarray(packshot(0.6, colour=(60, 90, 160), paper=(0, 0, 0))).astype(np.float64)
    picture = np.where(shirt.sum(axis=2, keepdims=True) > 150, shirt, cloth)
    found = measure(as_jpeg(Pillow.fromarray(np.clip(picture, 0, 255).astype(np.uint8))))
    assert found.fill == pytest.approx(0.6, abs=0.03)
    assert found.subject_colour == "blue"
    assert 0 < found.confidence < 1


@pytest.mark.parametrize("blur_px", [0.0, 1.0, 2.0, 3.0])
def test_sharpness_tells_the_blur_of_edges(blur_px: float) -> None:
    """A subject 512 px long, so that blur in px is blur in 1/512 of it; the formula of the module's text."""
    picture = Pillow.new("RGB", (640, 640), WHITE)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((64, 64, 575, 575), fill=(90, 110, 150))
    rng = np.random.default_rng(1)
    for _ in range(30):
        x, y, r = rng.uniform(140, 500), rng.uniform(140, 500), rng.uniform(15, 60)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
    found = measure(picture.filter(ImageFilter.GaussianBlur(blur_px))).sharpness
    assert found == pytest.approx(1 / (1 + blur_px**2), abs=0.09)


def test_sharpness_does_not_depend_on_contrast() -> None:
    scene = next(scene for scene, _ in base_world(50, 3) if scene.material == "wooden")
    picture = Pillow.fromarray(draw(scene, SIDE))
    faint = Pillow.blend(picture, Pillow.new("RGB", picture.size, (128, 128, 128)), 0.6)
    vivid, pale = measure(picture).sharpness, measure(faint).sharpness
    assert vivid is not None and pale == pytest.approx(vivid, abs=0.08)


def test_a_cut_out_of_a_blurred_product_is_blurred() -> None:
    wanted = ("pure white", "centred")
    scene = next(scene for scene, _ in base_world(99, 3) if (scene.background, scene.framing) == wanted)
    sharp = Pillow.fromarray(draw(scene, SIDE))
    outline = sharp.convert("L").point(lambda level: 255 if level < 245 else 0)
    cut_out = Pillow.new("RGB", sharp.size, WHITE)
    cut_out.paste(sharp.filter(ImageFilter.GaussianBlur(8)), mask=outline)
    found = measure(cut_out).sharpness
    assert found is not None and found < BLURRED_BELOW


def test_sharp_drawings_stay_above_and_blurred_ones_below_the_limits() -> None:
    for scene, _ in base_world(8, 8):
        picture = Pillow.fromarray(draw(scene, 640))
        sharp, blurred = measure(picture), measure(picture.filter(ImageFilter.GaussianBlur(8)))
        assert sharp.sharpness is not None and sharp.sharpness > SOFT_BELOW
        assert blurred.sharpness is None or blurred.sharpness < BLURRED_BELOW


def test_the_drawn_world_is_read_back() -> None:
    """Colour of the product and of the ground, on drawings that no threshold was fitted to."""
    wrong = []
    for scene, caption in base_world(25, 2024):
        found = measure(as_jpeg(Pillow.fromarray(draw(scene, 512))))
        if scene.background == "busy":
            continue
        if (found.subject_colour, found.background_colour) != (scene.colour, scene.background):
            wrong.append((caption, found.subject_colour, found.background_colour))
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (16, 16), (2000, 16), (33, 31)])
def test_odd_sizes_never_break(size: tuple[int, int]) -> None:
    picture = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    assert measure(picture).background in {"white", "plain", "scene", "cannot tell"}


def test_every_value_has_its_column() -> None:
    columns = set(Signals.__table__.columns.keys())
    assert set(SignalValues.__dataclass_fields__) == columns - {"image_id", "version", "measured_at", "compared_at"}


def test_a_core_measures_fifteen_photos_a_second() -> None:
    """The time of this thread, so that a busy machine does not matter; the limit leaves room for a slow one."""
    picture = Pillow.fromarray(draw(next(base_world(1, 5).__iter__())[0], 1024))
    measure(picture)
    before = time.thread_time()
    for _ in range(5):
        measure(picture)
    assert (time.thread_time() - before) / 5 < 2 / 15


def test_pictures_measured_together_have_the_values_that_each_has_alone() -> None:
    """Of any kind side by side: on paper, cut off on wood that only the network can tell, grey, and a sliver."""
    rng = np.random.default_rng(5)
    wood = np.clip(rng.normal(120, 40, (96, 1, 3)) + rng.normal(0, 8, (96, 128, 3)), 0, 255).astype(np.uint8)
    with_cup = wood.copy()
    with_cup[30:80, 40:90] = (30, 60, 200)
    paper = np.asarray(packshot(0.6))[::4, ::4].copy()
    pictures = [paper, with_cup, wood[:, :, 0].copy(), wood[:8].copy(), np.asarray(packshot(1.3))[::4, ::4].copy()]
    assert measure_each(pictures) == [measure_pixels(pixels) for pixels in pictures]
    assert measure_each([]) == []
