"""One sentence from whatever is known."""

from __future__ import annotations

import pytest

from app.captions.facts import (
    CatalogueFacts,
    MeasuredFacts,
    colour_conflict,
    name_framing,
    read_catalogue,
    sentence,
)
from app.captions.nouns import singular


@pytest.mark.parametrize(
    ("catalogue", "measured", "expected"),
    [
        (CatalogueFacts("kettle"), MeasuredFacts("red", "pure white", "centred"),
         "Red kettle, centred on a pure white background."),
        (CatalogueFacts("lamp", material="steel", view="side view"),
         MeasuredFacts("blue", "light grey", "left of centre"),
         "Blue steel lamp, side view, left of centre on a light grey background."),
        (CatalogueFacts("t-shirt"), MeasuredFacts("green", "busy", "close up"),
         "Green t-shirt, close up on a busy background."),
        (CatalogueFacts("kettle"), MeasuredFacts("red", "orange", "high"),
         "Red kettle, high in the frame on an orange background."),
        (CatalogueFacts("kettle"), MeasuredFacts(), "Kettle."),
        (CatalogueFacts("kettle"), MeasuredFacts("red"), "Red kettle."),
        (CatalogueFacts("kettle"), MeasuredFacts(background="white"), "Kettle on a white background."),
        (CatalogueFacts("kettle", view="top"), MeasuredFacts(background="white"),
         "Kettle, top view, on a white background."),
        (CatalogueFacts("kettle"), MeasuredFacts(framing="small in the frame"), "Kettle, small in the frame."),
        (CatalogueFacts(), MeasuredFacts("red", "white", "centred"), "Red product, centred on a white background."),
        (CatalogueFacts(), MeasuredFacts(), "Product."),
    ],
)  # fmt: skip
def test_sentences(catalogue: CatalogueFacts, measured: MeasuredFacts, expected: str) -> None:
    assert sentence(catalogue, measured) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Kettle", "Red glossy kettle."),
        ("Red kettle", "Red glossy kettle."),
        ("red glossy kettle", "Red glossy kettle."),
        ("Alto kettle", "Red glossy Alto kettle."),
        ("Blue kettle", "Blue glossy kettle."),
        ("Grey", "Glossy grey."),
        ("Kettle.", "Red glossy kettle."),
    ],
)
def test_the_title_is_the_noun_and_nothing_is_said_twice(title: str, expected: str) -> None:
    facts = CatalogueFacts("kettle", title=title, material="glossy")
    assert sentence(facts, MeasuredFacts("red")) == expected


@pytest.mark.parametrize(
    ("title", "noun", "expected"),
    [
        ("Passion Fruit", "passion fruit", "Brown passion fruit."),
        ("Yellow Onion", "onion", "Yellow onion."),
        ("Red Beet", "red beet", "Red beet."),
        ("Floury Potato", "potato", "Brown Floury Potato."),
        ("Orange Bell Pepper", "pepper", "Orange Bell Pepper."),
        ("Kaiser", "pear", "Brown kaiser."),
    ],
)
def test_plain_titles_are_in_lower_case_and_names_keep_their_capitals(title: str, noun: str, expected: str) -> None:
    assert sentence(CatalogueFacts(noun, title=title), MeasuredFacts("brown")) == expected


@pytest.mark.parametrize(
    ("description", "material"),
    [
        ("Pear in a matte finish.", "matte"),
        ("A glass pear.", "glass"),
        ("Made of solid brass, front view.", "brass"),
        ("The pear is drip-shaped with matte, medium-thick shell.", None),
        ("Goes well with a glass of milk.", None),
        ("Comes in a paper bag.", None),
    ],
)
def test_a_material_counts_where_the_whole_thing_is_of_it(description: str, material: str | None) -> None:
    assert read_catalogue("Kaiser", "Pears", description).material == material


def test_a_row_of_the_catalogue_is_read() -> None:
    facts = read_catalogue("Red kettle", "Kettles", "Kettle in a steel finish, three-quarter view.")
    assert facts == CatalogueFacts("kettle", "Red kettle", "steel", "three-quarter view")
    assert read_catalogue(None, " ", None) == CatalogueFacts()


@pytest.mark.parametrize(
    ("title", "colour", "conflict"),
    [
        ("Blue kettle", "red", "The title says blue, the picture looks red."),
        ("Red kettle", "red", None),
        ("Navy coat", "blue", None),
        ("Grey coat", "light grey", None),
        ("Kettle", "red", None),
        ("Blue kettle", None, None),
        ("Blue kettle", "multicolour", None),
    ],
)
def test_a_title_of_another_colour_is_a_conflict(title: str, colour: str | None, conflict: str | None) -> None:
    assert colour_conflict(CatalogueFacts(title=title), MeasuredFacts(colour)) == conflict


@pytest.mark.parametrize(
    ("box", "framing"),
    [
        ((0.15, 0.15, 0.85, 0.85), "centred"),
        ((0.05, 0.3, 0.6, 0.7), "left of centre"),
        ((0.4, 0.3, 0.95, 0.7), "right of centre"),
        ((0.25, 0.05, 0.75, 0.55), "high"),
        ((0.25, 0.45, 0.75, 0.95), "low"),
        ((0.35, 0.35, 0.65, 0.65), "small in the frame"),
        ((0.03, 0.1, 0.97, 0.9), "close up"),
        ((0.0, 0.2, 0.6, 0.8), "cropped at the edge"),
    ],
)
def test_framing_of_a_box(box: tuple[float, float, float, float], framing: str) -> None:
    assert name_framing(*box) == framing


@pytest.mark.parametrize(
    ("plural", "noun"),
    [("kettles", "kettle"), ("watches", "watch"), ("boxes", "box"), ("dresses", "dress"), ("glass", "glass"),
     ("accessories", "accessory"), ("blue shoes", "blue shoes"), ("t-shirts", "t-shirt"), ("jeans", "jeans")],
)  # fmt: skip
def test_singular(plural: str, noun: str) -> None:
    assert singular(plural) == noun


@pytest.mark.parametrize("folder", ["100CANON", "images", "2024-11-01", "New Folder", "packshots", "raw"])
def test_a_folder_that_names_no_thing_is_no_noun(folder: str) -> None:
    said = sentence(read_catalogue(None, folder), MeasuredFacts("red", "pure white", "centred"))
    assert said == "Red product, centred on a pure white background."


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Blauer Wasserkocher", "Blauer Wasserkocher on a white background."),
        ("כוס אדומה", "כוס אדומה on a white background."),
        ("Gold kettle", "Gold kettle on a white background."),
        ("<b>Alto</b> kettle &amp; lid, SALE", "Red Alto kettle & lid on a white background."),
        ("4006381333931", "Red product on a white background."),
    ],
)
def test_a_measured_colour_is_added_only_where_the_title_names_none(title: str, expected: str) -> None:
    assert sentence(read_catalogue(title), MeasuredFacts("red", "white")) == expected
