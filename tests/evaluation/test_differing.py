"""What differs between models, said in words: knobs, photos, captions."""

from __future__ import annotations

import pytest

from app.evaluation import differing
from app.training import runs

RECIPE = runs.plan("models/nano").model_dump(mode="json")


@pytest.mark.parametrize(
    ("knob", "value", "words"),
    [
        ("adamw_lr", RECIPE["adamw_lr"] / 2, ("AdamW learning rate", "half")),
        ("batch_size", RECIPE["batch_size"] * 2, ("batch", "double")),
        ("steps", RECIPE["steps"] * 3, ("steps", "3 times as much")),
        ("guidance", RECIPE["guidance"] * 0.8, ("guidance", "20 % less")),
        ("seed", RECIPE["seed"] + 1, ("seed", "another draw")),
        ("buckets", True, ("buckets", "")),
    ],
)
def test_a_knob_that_differs_is_told_with_how_much(knob: str, value: object, words: tuple[str, str]) -> None:
    (change,) = differing.changed(RECIPE, RECIPE | {knob: value})
    assert (change.name, change.how) == words
    assert change.before == differing.value_of(knob, RECIPE[knob]) != change.after


def test_shares_switches_and_nothing_read_as_people_write_them() -> None:
    change = differing.changed(RECIPE | {"short_caption_share": 0.0}, RECIPE | {"short_caption_share": 0.3})[0]
    assert (change.name, change.before, change.after) == ("short captions", "0 %", "30 %")
    change = differing.changed(RECIPE | {"teacher": ""}, RECIPE | {"teacher": "models/dino"})[0]
    assert (change.before, change.after) == ("none", "models/dino")
    change = differing.changed(RECIPE | {"buckets": False}, RECIPE | {"buckets": True})[0]
    assert (change.before, change.after) == ("off", "on")


def test_what_only_says_how_fast_a_run_works_differs_nowhere() -> None:
    other = RECIPE | {"threads": 7, "name": "Other", "compile": not RECIPE["compile"], "report_every": 3}
    assert differing.changed(RECIPE, other) == []
    old = {name: value for name, value in RECIPE.items() if name != "patience"}
    assert differing.changed(old, RECIPE) == [], "a recipe from before a knob came"
    assert differing.same_count(RECIPE, RECIPE | {"steps": 1}) == differing.same_count(RECIPE, RECIPE) - 1


def test_several_runs_are_told_by_the_values_they_share() -> None:
    recipes = [("3", RECIPE), ("4", RECIPE | {"steps": 1200}), ("7", RECIPE | {"steps": 1200})]
    assert differing.among(recipes) == [f"Steps: {RECIPE['steps']:,} in run 3; 1,200 in runs 4 and 7."]
    assert differing.among(recipes[1:]) == []


def test_photos_are_counted_by_what_became_of_them() -> None:
    counts = {"added": 412, "removed": 96, "recaptioned": 1231, "moved": 0}
    told = differing.photos(counts, "Shoes, version 2", "Shoes, version 1")
    assert told == (
        "Shoes, version 2 against Shoes, version 1, in photos: 412 added, 96 removed and 1,231 with another caption."
    )
    assert differing.photos({}, "B", "A") == "B and A hold the same photos with the same captions."


def test_captions_are_told_by_who_wrote_them() -> None:
    writers = [("person", "Mei", 50), ("person", "Ben", 30), ("captioner", "facts", 119), ("given", "", 1)]
    assert differing.captions(writers) == "60 % captioner facts, 40 % people, under 1 % given with the photos"
    assert differing.captions([]) == "no captions"
