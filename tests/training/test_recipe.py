"""Recipes: explained knobs, refused values, round trip, hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from app.training.recipe import Recipe, RecipeError, read_recipe, write_recipe

RECIPES = Path(__file__).parents[2] / "workers" / "recipes"


@pytest.fixture
def recipe() -> Recipe:
    return read_recipe(RECIPES / "nano_demo.yaml")


def changed(recipe: Recipe, **changes: object) -> Recipe:
    return Recipe.model_validate({**recipe.model_dump(), **changes})


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_recipe_loads(file: Path) -> None:
    assert read_recipe(file).name


def test_every_knob_is_explained_in_one_sentence() -> None:
    for name, field in Recipe.model_fields.items():
        assert field.description and field.description.endswith("."), name
        assert ". " not in field.description, name


def test_a_written_recipe_reads_back_equal(recipe: Recipe, tmp_path: Path) -> None:
    write_recipe(tmp_path / "recipe.yaml", recipe)
    assert read_recipe(tmp_path / "recipe.yaml") == recipe
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.yaml"]
    (tmp_path / "marked.yaml").write_text((tmp_path / "recipe.yaml").read_text(), encoding="utf-8-sig")
    assert read_recipe(tmp_path / "marked.yaml") == recipe


def test_the_hash_does_not_depend_on_the_order_of_knobs(recipe: Recipe) -> None:
    reordered = Recipe.model_validate(dict(reversed(recipe.model_dump().items())))
    assert reordered.recipe_hash() == recipe.recipe_hash()


def test_every_knob_changes_the_hash_and_only_learned_ones_the_learning_hash(recipe: Recipe) -> None:
    faster = changed(recipe, muon_lr=0.5)
    assert faster.recipe_hash() != recipe.recipe_hash()
    assert faster.learning_hash() != recipe.learning_hash()
    longer = changed(recipe, max_wall_clock_s=9000.0)
    assert longer.recipe_hash() != recipe.recipe_hash()
    assert longer.learning_hash() == recipe.learning_hash()


# What d19a536 recorded with runs of its shipped recipes, and the shift that their bases have.
RECORDED = {
    "flux_lora": ("aba8fa3ce49b", 3.0, True),
    "nano_base": ("5757abc79c76", 1.0, True),
    "nano_demo": ("165b98b9079b", 1.0, True),
    "nano_quick": ("888fabb8ee85", 1.0, True),
    "prx_lora_24gb": ("07df57468274", 3.0, False),
    "sdxl_lora": ("c2e9c958bca3", 1.0, False),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_run_of_before_goes_on_where_its_numbers_are_what_they_were(name: str) -> None:
    recorded, base_shift, is_same = RECORDED[name]
    later = {"enlarge_at_most": 0.0, "base_revision": "", "route_to": 0, "background_weight": 1.0}
    made = changed(read_recipe(RECIPES / f"{name}.yaml"), **later)
    assert made.learning_hash(base_shift).startswith(recorded) is is_same
    assert bool(made.new_meanings(base_shift)) is not is_same


@pytest.mark.parametrize("knobs", [{"enlarge_at_most": 1.5}, {"route_to": 3}, {"background_weight": 0.2}])
def test_later_knobs_are_hashed_where_they_are_turned(recipe: Recipe, knobs: dict[str, object]) -> None:
    turned = changed(recipe, **knobs)
    assert turned.recipe_hash() != recipe.recipe_hash()
    assert turned.learning_hash() != recipe.learning_hash()


@pytest.mark.parametrize(
    ("knobs", "base_shift", "new_meanings"),
    [
        ({"family": "flux2", "timestep_shift": 0.0, "timestep_uniform_share": 0.0}, 3.0, ["training shift"]),
        ({"family": "flux2", "timestep_shift": 1.5, "timestep_uniform_share": 0.0}, 3.0, []),
        ({"timestep_shift": 1.0}, 3.0, []),
        ({"timestep_shift": 0.0}, 1.0, []),
        ({"timestep_shift": 0.0}, 3.0, ["even timesteps"]),
        ({"timestep_shift": 3.0}, 1.0, ["even timesteps"]),
        ({"timestep_shift": 3.0, "timestep_uniform_share": 0.0}, 1.0, []),
        ({"family": "sdxl"}, 1.0, ["sizes"]),
        ({"dino": "somewhere"}, 1.0, ["dino input"]),
    ],
)
def test_what_means_something_else_now_is_told(
    recipe: Recipe, knobs: dict[str, object], base_shift: float, new_meanings: list[str]
) -> None:
    lora = {"method": "lora", "timestep_uniform_share": 0.1}
    assert list(changed(recipe, **{**lora, **knobs}).new_meanings(base_shift)) == new_meanings


def test_the_steps_drawn_with_teach_nothing(recipe: Recipe) -> None:
    flux2 = {"family": "flux2", "method": "lora", "timestep_shift": 0.0}
    assert len({changed(recipe, **flux2, sampling_steps=steps).learning_hash() for steps in (28, 50)}) == 1


def test_differences_are_named_with_both_values(recipe: Recipe) -> None:
    other = changed(recipe, muon_lr=0.5, threads=7, teacher="dino").model_dump(mode="json") | {"gone": 3}
    assert recipe.differences(other) == [
        f"muon_lr is {recipe.muon_lr} and was 0.5",
        "teacher is empty and was dino",
        "gone is unknown and was 3",
    ]
    del other["enlarge_at_most"]
    assert changed(recipe, enlarge_at_most=2.0).differences(other)[0] == "enlarge_at_most is 2.0 and was 0.0"


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("steps", 0),
        ("muon_lr", float("nan")),
        ("resolution_px", 63),
        ("guidance", 0.5),
        ("background_weight", 1.5),
        ("background_weight", -0.1),
        ("family", "unheard"),
        ("ema_decay", 1.0),
        ("optimizer", "muon"),
    ],
)
def test_a_bad_knob_is_refused_by_name(recipe: Recipe, tmp_path: Path, knob: str, value: object) -> None:
    write_recipe(tmp_path / "r.yaml", Recipe.model_construct(**{**recipe.model_dump(), knob: value}))
    text = (tmp_path / "r.yaml").read_text()
    (tmp_path / "r.yaml").write_text(text if knob in text else f"{text}{knob}: {value}\n")
    with pytest.raises(RecipeError, match=knob):
        read_recipe(tmp_path / "r.yaml")


def test_warm_up_must_end_before_the_fall(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="warmup_steps"):
        changed(recipe, warmup_steps=500, constant_share=0.1)


def test_a_second_stage_needs_a_first_one(recipe: Recipe) -> None:
    assert changed(recipe, second_from=1e-9, second_resolution_px=64).stage(1).number == 1
    with pytest.raises(ValueError, match="second_from 0 leaves no first stage"):
        changed(recipe, second_from=0.0, second_resolution_px=64)


@pytest.mark.parametrize("text", ["[1, 2]", "name: [", ""])
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError):
        read_recipe(tmp_path / "r.yaml")


def test_a_missing_recipe_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.yaml"):
        read_recipe(tmp_path / "gone.yaml")


def test_patience_is_no_matter_of_learning_and_leaves_the_hashes_of_before(recipe: Recipe) -> None:
    patient = changed(recipe, patience=3)
    assert patient.learning_hash() == recipe.learning_hash()
    assert patient.recipe_hash() != recipe.recipe_hash()
    later = ("patience", "base_revision", "enlarge_at_most", "route_to", "background_weight")
    before = {name: knob for name, knob in recipe.model_dump(mode="json").items() if name not in later}
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert recipe.recipe_hash() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: 5\nsteps: 6\n", "steps is there twice"),
        ("a: " + "[" * 5_000, "nested too deeply"),
        ("? [steps]\n: 5\n", "unhashable"),
    ],
)
def test_a_file_that_says_two_things_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=rf"r\.yaml cannot be read: .*{says}"):
        read_recipe(tmp_path / "r.yaml")
