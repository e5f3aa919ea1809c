"""Taking in and measuring on real product photos, and the promises about them that drawings cannot test."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFilter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.catalog.files import view_path
from app.catalog.tables import Image
from app.intake import ingest, taking
from app.storage import Storage
from tests import cast
from workers.signals.measure import measure

pytestmark = pytest.mark.photos

# What people would call these, looking at the photos; two names where people would differ.
GROCERIES = {
    "Banana": {"yellow"}, "Lime": {"green"}, "Cucumber": {"green"}, "Lemon": {"yellow"}, "Orange": {"orange"},
    "Satsumas": {"orange"}, "Carrots": {"orange"}, "Peach": {"red", "pink", "maroon"}, "Red-Beet": {"brown", "maroon"},
    "Floury-Potato": {"beige", "brown", "yellow"}, "Asparagus": {"green"}, "Aubergine": {"black", "purple"},
    "Arla-Sour-Milk": {"white", "blue", "navy"}, "God-Morgon-Apple-Juice": {"black"}, "Red-Delicious": {"red"},
}  # fmt: skip
CLOTHES = {
    "dress/bdfa0ad6-7702-4aef-95e0-ea02fa7795c0.jpg": {"green", "teal"},
    "dress/d405f7e3-be05-4b67-8741-8b3507f2d405.jpg": {"blue"},
    "dress/716a287d-b701-4fe8-9a0b-ab67d7998b07.jpg": {"blue", "teal"},
    "hat/e871c8b7-723e-47c3-9714-b6821269ff2a.jpg": {"pink", "red"},
    "hat/4976873a-5058-45f9-b994-3d79868533a8.jpg": {"orange"},
    "longsleeve/85e0ef8c-3088-4b90-9dd5-fea0f50e9234.jpg": {"grey", "light grey"},
    "longsleeve/0a671f9d-d105-4ec9-8642-f4f228f8a90f.jpg": {"red"},
    "pants/c367894c-253b-4289-99b4-f045133b60fb.jpg": {"blue"},
    "pants/445ec205-7346-463a-aa21-83c282fc0e04.jpg": {"grey"},
    "shoes/33a07241-01ee-4e64-97f6-e0cc65ae4f5c.jpg": {"pink"},
    "shorts/372787ed-7a3c-42b5-87b9-91c28567eb72.jpg": {"green"},
    "skirt/011ecf12-aab1-4c72-8f77-2649386cd23b.jpg": {"pink", "red"},
    "t-shirt/80bfaabb-dc55-4bad-af63-087a7659367d.jpg": {"maroon", "red"},
}


def views_of(session: Session, storage: Storage, folder: Path) -> dict[str, Pillow.Image]:
    """The views of a folder, taken in, by file name."""
    asked = ingest.request_intake(session, cast.catalog(session), folder, cast.person(session))
    taking.take_in(lambda: nullcontext(session), lambda **_: None, storage, asked.id, 50)  # type: ignore[misc]
    images = session.scalars(select(Image).where(Image.intake_id == asked.id))
    return {image.file_name: Pillow.open(view_path(storage, image.view_sha256)).convert("RGB") for image in images}


def test_catalogue_pictures_come_with_their_facts_and_in_srgb(session: Session, storage: Storage, photos: Path) -> None:
    views = views_of(session, storage, photos / "grocery" / "packshots")
    images = session.scalars(select(Image)).all()
    assert len(views) == len(images) == 54
    assert all(image.title and image.category and image.extra["department"] for image in images)
    # Two thirds of them are in Adobe RGB.
    assert sum("renders" in image.render_path for image in images) == 37


def test_catalogue_pictures_are_white_whole_and_centred(session: Session, storage: Storage, photos: Path) -> None:
    found = {name: measure(view) for name, view in views_of(session, storage, photos / "grocery" / "packshots").items()}
    assert [name for name, one in found.items() if one.background != "white"] == []
    assert np.mean([one.confidence == 1 for one in found.values()]) > 0.9
    assert np.mean([abs(one.offset_x or 0) < 0.06 for one in found.values()]) > 0.9
    assert np.mean([(one.fill or 0) > 0.8 for one in found.values()]) > 0.9
    colours = {name: one.subject_colour for name, one in found.items()}
    seen = {name: colours[f"{name}.jpg"] for name in GROCERIES}
    assert {name: colour for name, colour in seen.items() if colour not in GROCERIES[name]} == {}


def test_blur_is_told_from_focus(photos: Path) -> None:
    """Each photo against itself blurred by 1 % of its long side; one threshold for all of them."""
    files = sorted((photos / "grocery" / "packshots").glob("*.jpg"))[::6]
    files += [sorted(folder.glob("*.jpg"))[3] for folder in sorted((photos / "clothing").iterdir()) if folder.is_dir()]
    sharp, blurred = [], []
    for file in files:
        picture = Pillow.open(file).convert("RGB")
        sharp.append(measure(picture).sharpness or 0)
        blurred.append(measure(picture.filter(ImageFilter.GaussianBlur(0.01 * max(picture.size)))).sharpness or 0)
    assert min(sharp) > max(blurred)


def test_clothes_on_floors_and_beds_are_found_or_said_not_to_be(photos: Path) -> None:
    files = [file for folder in sorted((photos / "clothing").iterdir()) for file in sorted(folder.glob("*.jpg"))[:3]]
    found = [measure(Pillow.open(file)) for file in files]
    assert len(found) == 30
    assert np.mean([one.subject_lab is not None for one in found]) > 0.6
    # Hardly any has a studio background, so hardly any may be as sure as a packshot.
    assert np.mean([one.confidence < 1 for one in found]) > 0.8


def test_clothes_are_named_as_people_name_them(photos: Path) -> None:
    seen = {name: measure(Pillow.open(photos / "clothing" / name)).subject_colour for name in CLOTHES}
    assert {name: colour for name, colour in seen.items() if colour not in CLOTHES[name]} == {}
