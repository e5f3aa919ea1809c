"""What a photo is called, from its category; and which words are known to name a product."""

from __future__ import annotations

import pytest

from app.captions import proposing
from app.captions.nouns import is_of_folder, of_category, of_folder, singular
from app.catalog.tables import Image, Signals


@pytest.mark.parametrize(
    "folder",
    [
        "train", "validation", "data", "hires", "images", "New Folder", "2024", "IMG", "100CANON", "export", "numbers",
        "client B", "ana", "batch two", "watch", "bucket", "banner", "poster", "frames",
        "kettles old", "final final", "red", "Türkei",
    ],
)  # fmt: skip
def test_a_folder_that_is_no_known_product_is_no_noun(folder: str) -> None:
    assert of_folder(folder) is None


@pytest.mark.parametrize(
    ("folder", "noun"),
    [
        ("mugs", "mug"), ("T-Shirts", "t-shirt"), ("t_shirt", "t-shirt"), ("watches", "watch"), ("knives", "knife"),
        ("red mugs", "mug"), ("glass bottles", "glass bottle"), ("longsleeve", "longsleeve"), ("jeans", "jeans"),
        ("goggles", "goggles"), ("earrings", "earring"),
    ],
)  # fmt: skip
def test_a_folder_of_a_known_product_is_its_noun(folder: str, noun: str) -> None:
    assert of_folder(folder) == noun


@pytest.mark.parametrize(
    ("category", "noun"),
    [
        ("Kettles", "kettle"), ("Home > Kitchen > Kettles", "kettle"), ("Home/Kitchen/Kettles", "kettle"),
        ("Passion Fruit", "passion fruit"), ("Camera bags", "camera bag"), ("\U0001f525 Mugs", "mug"),
        ("<b>Mugs</b>", "mug"), ("Mugs &amp; Cups", None), ("Hats, Scarves", None), ("Kitchen", None), ("SALE", None),
        ("New arrivals", None), ("Not sure", None), ("N/A", None), ("2024", None), ("images", None), (None, None),
    ],
)  # fmt: skip
def test_a_category_is_taken_at_its_word_unless_it_names_no_thing(category: str | None, noun: str | None) -> None:
    assert of_category(category) == noun


def test_a_category_that_repeats_a_folder_is_the_folders_word() -> None:
    assert is_of_folder("new mugs", "x/new_mugs/1.jpg") and not is_of_folder("Mugs", "x/1.jpg")
    sure = Signals(version=1, background="white", background_colour="white", subject_colour="green", confidence=0.9)
    for folder in ("train", "data", "hires", "mugs"):
        image = Image(title=None, category=folder, description=None, file_name=f"{folder}/1.jpg")
        assert proposing.describe(image, sure) == "Green product on a white background."
    given = Image(title=None, category="Train", description=None, file_name="1.jpg")
    assert proposing.describe(given, sure) == "Green product on a white background."


@pytest.mark.parametrize(("plural", "noun"), [("shelves", "shelf"), ("gloves", "gloves"), ("blue mugs", "blue mug")])
def test_odd_plurals(plural: str, noun: str) -> None:
    assert singular(plural) == noun


@pytest.mark.parametrize("category", ["Root", "Default Category", "Featured", "Home page", "Frontpage", "Under €20"])
def test_a_shop_system_s_own_category_is_no_noun(category: str) -> None:
    assert of_category(category) is None


def test_a_singular_that_ends_like_a_plural_stays() -> None:
    assert [singular(noun) for noun in ("christmas", "canvas", "series", "lens")] == [
        "christmas",
        "canvas",
        "series",
        "lens",
    ]
