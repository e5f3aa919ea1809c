"""What the checks find before a run, from the database and from what a preflight measured."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.launch import bases, checks
from app.launch.checks import Finding, Left, MemberCounts, RunSite
from app.launch.estimate import PictureCounts, estimate
from app.launch.facts import LicensedPart, may_be_same
from app.launch.smaller import smaller
from app.training import runs
from app.training.limits import Limits
from tests.launch.test_estimate import MEASURED as TIMES

RECIPE = runs.plan()
BASE = replace(bases.read("models/nano"), parts=())  # nothing is told of its licences
MEMBERS = MemberCounts(7, 300, 30, 0, 0, 0)
PLACE = RunSite(10**12, "CPU")
LEFT = Left(86_000.0, Decimal(70), Decimal("3.20"), "€")
MEASURED: dict[str, Any] = {
    **TIMES,
    "undecodable": [], "captions_empty": 0, "tokens": {"limit": 48, "longest": 31, "over": 0, "examples": []},
    "buckets": [[64, 64, 300]], "weights": [{"part": "transformer", "sha256": "ab", "size_bytes": 9}],
    "checkpoint_bytes": 40_000_000, "weights_bytes": 10_000_000, "export_bytes": 20_000_000,
}  # fmt: skip


def found(name: str, **changes: Any) -> list[Finding]:
    """The findings of this name, with some facts changed."""
    measured = changes.pop("measured", MEASURED)
    facts: dict[str, Any] = {
        "recipe": RECIPE, "base": BASE, "members": MEMBERS, "place": PLACE, "left": LEFT, "measured": measured,
        "estimate": estimate(measured, RECIPE) if measured and "step_s" in measured else None,
    }  # fmt: skip
    return [one for one in checks.findings(**{**facts, **changes}) if one.name == name]


def one(name: str, **changes: Any) -> Finding:
    (finding,) = found(name, **changes)
    return finding


def saw(**facts: Any) -> dict[str, Any]:
    """A preflight that measured this too."""
    return {"measured": {**MEASURED, **facts}}


def test_masks_are_counted_where_they_are_to_weigh() -> None:
    weighed = RECIPE.model_copy(update={"background_weight": 0.1})
    assert found("Masks") == []
    finding = one("Masks", recipe=weighed)
    assert finding.state == "warning"
    assert finding.sentence.startswith("no photo has a mask, so the background weighs as much as the product")
    for masks, words in ((300, "300 of 300 photos have one"),
                         (1, "1 of 300 photos has one; in the others all of a photo weighs the same")):  # fmt: skip
        finding = one("Masks", recipe=weighed, members=replace(MEMBERS, masks=masks))
        assert (finding.state, finding.sentence) == ("passed", words)


def test_photos_that_would_be_enlarged_are_counted() -> None:
    recipe = RECIPE.model_copy(update={"resolution_px": 512})
    small = replace(MEMBERS, long_sides=((96, 2), (511, 3), (512, 9), (800, 300)))
    finding = one("Enlarged", recipe=recipe, members=small)
    counted = "5 photos under 512 px; the smallest has 96"
    assert (finding.state, finding.sentence) == ("warning", f"{counted}; enlarged to fit")
    sdxl = recipe.model_copy(update={"family": "sdxl", "enlarge_at_most": 1.334})
    shown = "enlarged 1.334 times at most and framed by their border, and SDXL is told their size"
    assert one("Enlarged", recipe=sdxl, members=small).sentence == f"{counted}; {shown}"
    assert found("Enlarged", recipe=RECIPE, members=replace(MEMBERS, long_sides=((512, 9),))) == []


def test_a_recipe_for_several_devices_needs_so_many() -> None:
    wide = RECIPE.model_copy(update={"processes": 4})
    few, many = (RunSite(10**12, "NVIDIA H100", devices=count) for count in (2, 8))
    assert one("Device", recipe=wide, place=many, measured=None).sentence == "4 × NVIDIA H100, free"
    lacking = one("Device", recipe=wide, place=few, measured=None)
    assert (lacking.state, lacking.sentence) == (
        "failed", "the recipe asks for 4 devices; only 2 can work on a run here",
    )  # fmt: skip
    assert one("Device", recipe=wide).state == "passed", "processes on a CPU share it"


def test_the_device_is_the_one_that_the_worker_tells_of_now() -> None:
    on_h100 = {**MEASURED, "device": "NVIDIA H100 80GB HBM3"}
    other = one("Device", measured=on_h100, place=RunSite(10**12, "Tesla T4", devices=1))
    assert (other.state, other.sentence) == (
        "warning", "Tesla T4; measured on NVIDIA H100 80GB HBM3, so time and memory may differ",
    )  # fmt: skip
    untold = one("Device", measured=on_h100, place=RunSite(10**12))
    assert untold.state == "cannot_tell"
    assert untold.sentence.startswith("measured on NVIDIA H100 80GB HBM3; no gpu worker has told")
    few = one("Device", measured=on_h100, place=RunSite(10**12, "NVIDIA H100 80GB HBM3", devices=1),
              recipe=RECIPE.model_copy(update={"processes": 2}))  # fmt: skip
    assert (few.state, few.sentence) == ("failed", "the recipe asks for 2 devices; only one can work on a run here")


@pytest.mark.parametrize(
    ("told", "measured", "is_same"),
    [
        ("CPU", "cpu", True),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3", True),
        ("GPU 0, slice 1 (3g.20gb)", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", True),
        ("GPU 0, slice 1 (1g.5gb)", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", False),
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", False),
        ("CPU", "Tesla T4", False),
        ("", "Tesla T4", True),
    ],
)
def test_names_of_one_device_are_told_from_those_of_another(told: str, measured: str, is_same: bool) -> None:
    assert may_be_same(told, measured) is is_same


def test_all_is_well() -> None:
    every = checks.findings(RECIPE, BASE, MEMBERS, PLACE, LEFT, MEASURED, estimate(MEASURED, RECIPE))
    assert checks.is_open(every)
    assert [finding.name for finding in every if finding.state == "passed"] == [
        "Pictures", "Captions", "Tokens", "Sizes", "Leakage", "Weights", "Disk", "Device", "Time", "Money",
    ]  # fmt: skip
    assert all(not finding.sentence.endswith(".") for finding in every)


def test_before_a_preflight_what_needs_measuring_cannot_be_told() -> None:
    every = checks.findings(RECIPE, BASE, MEMBERS, RunSite(10**12), LEFT)
    untold = [finding.name for finding in every if finding.state == "cannot_tell"]
    assert untold == ["Pictures", "Tokens", "Sizes", "Device", "Licence", "Time", "Money"]
    assert checks.is_open(every)
    assert checks.counted(every) == "4 passed · 7 cannot tell"


@pytest.mark.parametrize(
    ("name", "changes", "state", "words"),
    [
        ("Pictures", saw(undecodable=[{"file": "a.jpg", "why": "it is cut off"}]), "failed", "a.jpg: it is cut off"),
        ("Captions", {"members": replace(MEMBERS, empty_captions=3)}, "failed", "3 are empty"),
        ("Captions", saw(captions_empty=1), "failed", "one is empty"),
        ("Tokens", saw(tokens={"limit": 48, "longest": 60, "over": 14}), "warning", "14 captions pass the"),
        ("Sizes", saw(buckets=[[64, 64, 290], [48, 80, 10]]), "warning", "smallest holds 10; a batch takes 32"),
        ("Leakage", {"members": replace(MEMBERS, leaking_products=2)}, "failed", "2 products are in both splits"),
        ("Leakage", {"members": replace(MEMBERS, leaking_pictures=1)}, "failed", "one picture is in both splits"),
        ("Leakage", {"members": MEMBERS}, "passed", "copies"),
        ("Leakage", {"members": replace(MEMBERS, uncompared=2)}, "warning", "2 photos could not be compared"),
        ("Leakage", {"members": replace(MEMBERS, uncompared=None)}, "warning", "copies of pictures were not looked"),
        ("Leakage", {"members": replace(MEMBERS, validation=0)}, "warning", "overfitting cannot be detected"),
        ("Weights", {"base": replace(BASE, fault="It is not there.")}, "failed", "It is not there."),
        ("Weights", {"place": replace(PLACE, known_weights={"transformer": "cd"})}, "warning", "transformer changed"),
        ("Weights", {"place": replace(PLACE, known_weights={"transformer": "ab"})}, "passed", "the same as before"),
        ("Disk", {"place": replace(PLACE, free_bytes=10**8)}, "failed", "needed, 100 MB free"),
        ("Device", {"place": replace(PLACE, busy="fine-tuning, job 4")}, "warning", "busy: fine-tuning, job 4"),
        ("Time", {"left": replace(LEFT, seconds=60.0)}, "failed", "1 m are left"),
        ("Time", {"left": replace(LEFT, limits=Limits(340.0))}, "warning", "may take"),
        ("Time", {"left": replace(LEFT, seconds=None)}, "warning", "no active cycle"),
        ("Money", {"left": replace(LEFT, amount=Decimal("0.10"))}, "failed", "€0.10 are left"),
        ("Money", {"left": replace(LEFT, reserved=Decimal(8))}, "passed", "after it, €8.00 are reserved by other runs"),
        ("Money", {"left": replace(LEFT, amount=Decimal(-1)), "measured": None}, "failed", "nothing is left of the"),
        ("Money", {"left": replace(LEFT, hour_price=None)}, "cannot_tell", "not configured"),
    ],
)  # fmt: skip
def test_what_is_found(name: str, changes: dict[str, Any], state: str, words: str) -> None:
    finding = one(name, **changes)
    assert (finding.state, words in finding.sentence) == (state, True), finding.sentence


def test_a_failed_finding_closes_the_gate() -> None:
    broken = checks.findings(RECIPE, BASE, replace(MEMBERS, empty_captions=1), PLACE, LEFT)
    assert not checks.is_open(broken)
    assert checks.counted(broken).startswith("1 failed · ")


def test_each_licence_is_said_once_with_what_it_binds_to() -> None:
    parts = (
        LicensedPart("transformer", "Apache-2.0"),
        LicensedPart("text encoder", "Gemma Terms of Use", "They bind whoever gets the model."),
        LicensedPart("tokenizer", "Apache-2.0"),
        LicensedPart("vae", "not known", "Look at the model's card."),
    )
    assert [(one.state, one.sentence) for one in found("Licence", base=replace(BASE, parts=parts))] == [
        ("passed", "transformer, tokenizer: Apache-2.0"),
        ("warning", "text encoder: Gemma Terms of Use. They bind whoever gets the model"),
        ("cannot_tell", "vae: not known. Look at the model's card"),
    ]
    assert one("Licence").state == "cannot_tell"


def test_the_disk_needs_room_for_what_a_run_writes() -> None:
    # Two whole checkpoints, the weights of four, the model, and samples.
    least = 2 * 40_000_000 + 4 * 10_000_000 + 20_000_000
    assert least < checks.needed_bytes(RECIPE, BASE, MEASURED) < least + 60_000_000
    guessed = checks.needed_bytes(RECIPE, BASE, {})
    assert 0.5 * least < guessed < 3 * least


def test_the_disk_counts_encoded_captions_with_their_padding_and_what_is_there_already() -> None:
    """FLUX.2 klein 9B: 512 tokens of 3 x 4,096 numbers in bf16 for each caption, however few words it has."""
    klein = replace(BASE, is_pixel=False, size_bytes=0)
    text_bytes, picture_bytes = 512 * 3 * 4096 * 2, 1024 * 1024 * 2
    facts = {**MEASURED, "texts": 5000, "texts_cached": 0, "pictures": 5000, "pictures_cached": 0}
    facts |= {"text_bytes": text_bytes, "picture_bytes": picture_bytes}

    def kept(**changes: Any) -> int:
        cached = checks.needed_bytes(RECIPE, klein, {**facts, **changes})
        return cached - checks.needed_bytes(RECIPE.model_copy(update={"cache": False}), klein, facts)

    assert kept() == 5000 * (text_bytes + picture_bytes)
    assert kept(texts_cached=4000, pictures_cached=5000) == 1000 * text_bytes


def test_what_is_available_is_the_least_of_all_bounds() -> None:
    assert LEFT.available_s == pytest.approx(70 / 3.2 * 3600)
    assert replace(LEFT, limits=Limits(600.0)).available_s == 600.0
    assert Left(None, None, None, "€").available_s is None


def test_smaller_things_are_tried_in_a_fixed_order() -> None:
    big = RECIPE.model_copy(update={"batch_size": 64, "micro_batch": 8, "resolution_px": 1024})
    tried = smaller(big)
    assert [dict(one.changes) for one in tried] == [
        {"micro_batch": 4},
        {"micro_batch": 2, "checkpointing": "full"},
        {"micro_batch": 2, "checkpointing": "full", "resolution_px": 768},
        {"method": "lora", "checkpointing": "full"},
    ]
    assert tried[0].words == "4 pictures at once instead of 8; a batch stays 64"
    lora = big.model_copy(update={"method": "lora", "micro_batch": 1, "checkpointing": "full", "resolution_px": 512})
    assert [dict(one.changes) for one in smaller(lora)] == [{"resolution_px": 384}]
    assert smaller(lora.model_copy(update={"resolution_px": 64})) == []


def test_estimates_and_sheets_share_the_time() -> None:
    told = estimate(MEASURED, RECIPE, PictureCounts(sheet_pictures=1000))
    assert one("Time", estimate=told, left=replace(LEFT, seconds=told.seconds)).state == "failed"
