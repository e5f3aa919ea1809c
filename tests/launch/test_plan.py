"""The recipe that follows from three choices, and the reasons for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.launch import bases
from app.launch.defaults import LABELS, STARTS
from app.launch.facts import GIB, PRESETS, BaseFacts, DataFacts, DeviceFacts
from app.launch.plan import changed, plan, written
from app.training import runs
from app.training.recipe import Recipe, read_recipe

SHOP = DataFacts(train=300, validation=30, products=120, oblong_share=0.4, caption_words=30, long_share=0.9)
CPU = DeviceFacts("CPU", None, 1)
H100 = DeviceFacts("NVIDIA H100", 80 * GIB, 8)
RTX = DeviceFacts("NVIDIA RTX 4090", 24 * GIB, 8)
PRX = BaseFacts("models/prx", "PRX, 1.2B", "prx", 1024, 1_170_691_648, 16, False, 10 * GIB)


@pytest.fixture
def nano() -> BaseFacts:
    return bases.read("models/nano")


def test_the_shipped_base_gets_the_recipe_that_was_tried_on_it(nano: BaseFacts) -> None:
    assert plan(nano, SHOP, CPU).recipe == runs.plan(threads=1)
    assert plan(nano, SHOP, CPU, "quick").recipe == runs.plan(steps=150, threads=1)
    best = plan(nano, SHOP, CPU, "best").recipe
    assert (best.steps, best.checkpoint_every) == (2400, 600)
    # A slow computer may take as much longer as there is more to do.
    assert best.max_wall_clock_s == 4 * runs.plan().max_wall_clock_s


@pytest.mark.parametrize(("cores", "threads", "at_once"), [(1, 1, 0), (2, 2, 16), (3, 2, 16), (64, 4, 8)])
def test_a_small_model_is_trained_by_a_process_on_each_core(
    nano: BaseFacts, cores: int, threads: int, at_once: int
) -> None:
    recipe = plan(nano, SHOP, replace(CPU, cores=cores)).recipe
    assert (recipe.threads, recipe.micro_batch, recipe.processes) == (threads, at_once, 1)
    assert recipe.uneven_for(recipe.threads) is None
    assert plan(nano, SHOP, replace(H100, cores=cores)).recipe.micro_batch == 0


@pytest.mark.parametrize("family", sorted(STARTS))
@pytest.mark.parametrize("device", [CPU, RTX, H100], ids=lambda one: one.name)
@pytest.mark.parametrize("photos", [12, 300, 3000])
def test_every_family_gets_a_whole_recipe_with_a_reason_for_each_knob(
    family: str, device: DeviceFacts, photos: int
) -> None:
    base = replace(PRX, family=family, is_pixel=family == "prx_pixel", token_px=0 if family in ("sd15", "sdxl") else 16)
    for preset in PRESETS:
        made = plan(base, replace(SHOP, train=photos), device, preset)
        assert not made.faults
        assert [knob.name for knob in made.knobs] == list(Recipe.model_fields) == list(LABELS)
        assert all(knob.reason and knob.label and not knob.is_changed for knob in made.knobs)


def test_a_base_from_a_hub_is_pinned_to_the_commit_that_is_here() -> None:
    commit = "ab" * 20
    made = plan(replace(PRX, revision=commit), SHOP, H100, changes={"base_revision": "cd" * 20})
    assert (made.recipe.base_revision, made.knob("base_revision").is_changed) == (commit, False)
    assert plan(PRX, SHOP, H100).recipe.base_revision == ""


def test_few_photos_or_little_memory_mean_lora() -> None:
    assert plan(PRX, SHOP, H100).recipe.method == "lora"
    many = replace(SHOP, train=3000)
    assert plan(PRX, many, RTX).recipe.method == "lora"
    assert "24 GiB here" in plan(PRX, many, RTX).knob("method").reason
    full = plan(PRX, many, H100).recipe
    assert (full.method, full.clip_norm, full.adamw_lr, full.batch_size) == ("full", 0.2, 2e-5, 64)


def test_rules_of_the_sources() -> None:
    many = replace(SHOP, train=3000)
    assert plan(PRX, many, H100).recipe.route_share > 0
    assert plan(replace(PRX, resolution_px=256), many, H100).recipe.route_share == 0  # 256 tokens
    assert plan(PRX, SHOP, H100).recipe.route_share == 0  # LoRA
    lora = plan(PRX, SHOP, RTX).recipe
    assert (lora.precision, lora.teacher, lora.optimiser, lora.lora_rank) == ("bf16-autocast", "", "adamw", 32)
    assert lora.short_caption_share > 0
    assert plan(PRX, replace(SHOP, long_share=0.1), RTX).recipe.short_caption_share == 0
    sdxl = replace(PRX, family="sdxl", token_px=0)
    assert (plan(sdxl, SHOP, RTX).recipe.min_snr_gamma, plan(PRX, SHOP, RTX).recipe.min_snr_gamma) == (5.0, 0.0)


@pytest.mark.parametrize(
    ("base", "device", "photos", "steps", "tries"),
    [
        (PRX, RTX, 300, None, True),  # LoRA, all blocks twice, 3,500 steps
        (PRX, RTX, 300, 1999, False),
        (PRX, H100, 300, None, False),  # no block is computed twice
        (PRX, H100, 300, 10_000, True),
        (PRX, H100, 3000, None, True),  # all weights
        (PRX, CPU, 300, None, False),
        (replace(PRX, parameters=2_400_000), RTX, 300, 50_000, False),
    ],
)
def test_compiling_is_tried_where_it_may_pay(
    base: BaseFacts, device: DeviceFacts, photos: int, steps: int | None, tries: bool
) -> None:
    made = plan(base, replace(SHOP, train=photos), device, changes={} if steps is None else {"steps": steps})
    assert made.recipe.compile == tries
    assert made.knob("compile").reason.startswith("tried by the preflight; " if tries else "off: ")


def test_more_photos_mean_more_steps_up_to_a_bound() -> None:
    steps = [plan(PRX, replace(SHOP, train=count), RTX).recipe.steps for count in (20, 100, 400, 900, 9000)]
    assert steps == [2000, 2000, 4000, 6000, 6000]


def test_the_average_remembers_a_part_of_the_run_and_no_more() -> None:
    for preset in PRESETS:
        recipe = plan(PRX, SHOP, RTX, preset).recipe
        assert 1 / (1 - recipe.ema_decay) <= recipe.steps / 15


def test_a_change_is_taken_as_typed_and_named(nano: BaseFacts) -> None:
    made = plan(nano, SHOP, CPU, changes={"batch_size": "16", "buckets": "true", "clip_norm": "1"})
    assert (made.recipe.batch_size, made.recipe.buckets) == (16, True)
    assert made.knob("batch_size").reason == "changed by you; it was 32"
    assert changed(made.recipe, plan(nano, SHOP, CPU).recipe) == {"batch_size": 16, "buckets": True}
    # It is what it would have been, and stays it where something else would be derived.
    assert made.knob("clip_norm").is_changed
    assert made.knob("clip_norm").reason == "set by you to what would be derived"
    assert not made.knob("seed").is_changed


def test_everything_that_has_its_share_of_the_run_follows_the_steps(nano: BaseFacts) -> None:
    made = plan(nano, SHOP, CPU, changes={"steps": "60", "checkpoint_every": "7"})
    assert (made.recipe.steps, made.recipe.validate_every, made.recipe.checkpoint_every) == (60, 15, 7)
    lora = plan(PRX, SHOP, RTX, changes={"steps": 64}).recipe
    assert (lora.checkpoint_every, lora.warmup_steps) == (8, 6)


def test_the_method_may_be_chosen_and_rates_follow(nano: BaseFacts) -> None:
    assert plan(PRX, SHOP, H100, changes={"method": "full"}).recipe.adamw_lr == 2e-5
    lora = plan(nano, SHOP, CPU, changes={"method": "lora"}).recipe
    assert (lora.method, lora.adamw_lr, lora.resolution_px) == ("lora", 1e-4, 64)


@pytest.mark.parametrize(
    ("changes", "knob"),
    [
        ({"batch_size": "many"}, "batch_size"),
        ({"steps": "0"}, "steps"),
        ({"steps": "x"}, "steps"),
        ({"micro_batch": "5"}, "micro_batch"),
        ({"lpips": "models/vgg"}, "lpips"),
        ({"rank": "4"}, "rank"),
    ],
)
def test_a_fault_is_named_and_the_rest_stands(changes: dict[str, str], knob: str) -> None:
    made = plan(PRX, SHOP, RTX, changes=changes)
    assert list(made.faults) == [knob]
    assert made.fault.startswith("The recipe is refused: ") and made.fault.endswith(".")
    assert made.recipe == plan(PRX, SHOP, RTX).recipe


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": "many"}, "Batch: a whole number is needed"),
        ({"clip_norm": "x"}, "Clip: a number is needed"),
        ({"ema_decay": "1"}, "Weights kept: less than 1.0 is needed"),
        ({"resolution_px": "65"}, "Resolution: a multiple of 8 is needed"),
        ({"optimiser": "sgd"}, "Optimiser: one of 'muon', 'adamw', 'adamw8bit' or 'prodigy' is needed"),
        ({"micro_batch": "5"}, "At once: batch_size 8 is not a multiple of micro_batch 5"),
    ],
)
def test_faults_are_said_in_plain_words(changes: dict[str, str], words: str) -> None:
    assert plan(PRX, SHOP, RTX, changes=changes).fault == f"The recipe is refused: {words}."


def test_a_base_is_no_knob() -> None:
    assert plan(PRX, SHOP, RTX, changes={"base": "/etc", "family": "flux"}).recipe.base == "models/prx"


def test_values_read_as_they_are_typed() -> None:
    assert [written(one) for one in (1e-4, 0.05, 2000, True, "muon", 86400.0)] == [
        "1e-4", "0.05", "2000", "true", "muon", "86400",
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted(runs.RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_house_loads_and_says_where_it_comes_from(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name
    assert path.read_text().startswith("# ")


def test_the_24_hour_recipe_has_the_parts_of_the_post() -> None:
    recipe = read_recipe(runs.RECIPES / "prx_pixel_24h.yaml")
    assert [(s.first_step, s.resolution_px, s.batch_size) for s in (recipe.stage(0), recipe.stage(119_999))] == [
        (0, 512, 1024), (100_000, 1024, 512),
    ]  # fmt: skip
    assert round(recipe.teacher_until * recipe.steps) == 100_000
