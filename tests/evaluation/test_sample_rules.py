"""Samples held against prompts, training photos and profiles: on drawn pictures whose faults are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from PIL import Image as Pillow

from app.evaluation import profiles, sample_rules
from app.evaluation.profiles import Profile
from app.evaluation.prompt_claims import PromptClaims, claims_of
from app.evaluation.sample_rules import Answer, NearestPhoto, SampleCheck, SampleFacts
from benchmarks.drawn_samples import CASES, DrawnCase, good
from workers.lettering.reader import read
from workers.sample_job import measured_of

SIDE_PX = 512
HOUSE = profiles.shipped()["house"]
READ = {"text", "no_text", "text_beside", "watermark"}
PACKSHOT = PromptClaims(is_packshot=True, count=1)


def facts_of(picture: Pillow.Image, is_read: bool = True) -> SampleFacts:
    """What the measuring of samples knows of a picture."""
    flat = Pillow.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture if picture.mode == "RGBA" else None)
    measured = measured_of(1, flat, 200_000)
    outline = measured.evidence["outline"] or ""
    lines = tuple(read(flat, outline)) if is_read else ()
    return SampleFacts(*flat.size, values=measured.values, outline=outline, lines=lines)


def answers(held: list[SampleCheck]) -> dict[str, Answer]:
    return {check.name: check.answer for check in held}


def failed(held: list[SampleCheck]) -> set[str]:
    return {check.name for check in held if check.answer == "failed"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_planted_fault_is_seen_and_nothing_else(case: DrawnCase) -> None:
    # Reading takes longest by far: of cases that are about letters alone.
    is_read = bool(READ & set(case.fails)) or "text" in case.atoms
    held = sample_rules.checks(facts_of(case.picture(SIDE_PX), is_read), claims_of("", case.atoms), HOUSE)
    assert set(case.fails) <= failed(held), held
    assert failed(held) <= {*case.fails, *case.may_fail}, held


def test_a_good_picture_passes_amazon_and_is_too_small_for_walmart() -> None:
    facts = facts_of(good(1024), is_read=False)
    for key, wrong in (
        ("amazon", set()),
        ("google", set()),
        ("ebay", set()),
        ("walmart", {"short_side_px", "zoom_px"}),
    ):
        held = sample_rules.of_profile(facts, PACKSHOT, profiles.shipped()[key])
        assert {check.name for check in held if check.answer == "failed" and check.is_required} == wrong, key


def test_what_is_only_advised_does_not_fail_a_picture() -> None:
    held = [SampleCheck("zoom_px", "", "failed", "", is_required=False), SampleCheck("border", "", "passed", "")]
    assert sample_rules.overall(held) == "passed"
    assert sample_rules.overall([*held, SampleCheck("fill", "", "cannot_tell", "")]) == "cannot_tell"
    assert sample_rules.overall([*held, SampleCheck("fill", "", "failed", "")]) == "failed"


def everything() -> Profile:
    """A profile of every rule there is."""
    limits = {
        rule.name: profiles.ProfileLimit(rule.low, True, "here", HOUSE.checked_on) for rule in profiles.RULES
    }  # fmt: skip
    return replace(HOUSE, rules=limits)


def test_what_was_not_measured_never_passes() -> None:
    asked = PromptClaims("red", 1, "white", ("FRESH",), True, True, True)
    sizes = {rule.name for rule in profiles.RULES if rule.scope == "file"} - {"file_most_mb"}
    held = sample_rules.checks(SampleFacts(512, 512), asked, everything())
    assert {check.name for check in held if check.answer != "cannot_tell"} <= sizes
    assert all(check.why for check in held)
    broken = sample_rules.checks(SampleFacts(512, 512, failure="Its file cannot be read."), asked, everything())
    assert [(check.answer, check.why) for check in broken] == [("cannot_tell", "Its file cannot be read.")]


def test_an_unsure_mask_is_held_against_nothing() -> None:
    facts = facts_of(good(SIDE_PX), is_read=False)
    unsure = replace(facts, values={**facts.values, "confidence": 0.2, "parts": 3, "is_cropped": True})
    got = answers(sample_rules.of_profile(unsure, PACKSHOT, HOUSE))
    assert {got[name] for name in ("whiteness", "fill_least", "cropped", "props", "centring")} == {"cannot_tell"}


def test_packshot_rules_are_asked_of_packshots_alone() -> None:
    facts = facts_of(good(SIDE_PX), is_read=False)
    names = answers(sample_rules.of_profile(facts, PromptClaims(), HOUSE))
    assert set(names) == {"border", "text_beside", "watermark", "sharpness"}


@pytest.mark.parametrize(
    ("nearest", "answer"),
    [
        (None, "cannot_tell"),
        (NearestPhoto(None, None, 0.96, 0), "cannot_tell"),
        (NearestPhoto(7, 0.91, 0.96, 40), "passed"),
        (NearestPhoto(7, 0.97, 0.96, 40), "failed"),
        (NearestPhoto(7, 0.97, 0.98, 40), "passed"),
        (NearestPhoto(7, 0.6, 0.96, 40, rest=0.03), "failed"),
        (NearestPhoto(7, None, 0.96, 40, rest=0.03), "failed"),
    ],
)
def test_a_copy_is_said_to_be_one(nearest: NearestPhoto | None, answer: Answer) -> None:
    held = sample_rules.checks(SampleFacts(512, 512, nearest=nearest), PromptClaims(), HOUSE)
    assert answers(held)["copy"] == answer


@pytest.mark.parametrize(
    ("text", "atoms", "wanted"),
    [
        ("A red kettle on a pure white background.", {}, PromptClaims("red", None, "white", is_packshot=True)),
        ("A red kettle in a kitchen.", {}, PromptClaims("red")),
        ("Red kettle, centred on a light grey background.", {}, PromptClaims("red")),
        ("Two mugs on a white background.", {}, PromptClaims(None, 2, "white", is_packshot=True, is_several=True)),
        ("x", {"colour": "Blue", "count": 3}, PromptClaims("blue", 3, is_several=True)),
        ("A pair of shoes", {"count": 1, "background": "white"},
         PromptClaims(background="white", is_packshot=True, is_several=True)),
        ("A set of three mugs", {"count": 3}, PromptClaims(count=3, is_several=True)),
        ("x", {"background": "white", "beside": "cube"}, PromptClaims(background="white")),
        ("x", {"background": "scene", "absent": ["person"]}, PromptClaims(background="scene")),
        ("x", {"absent": ["text", "shadow"]}, PromptClaims(is_without_text=True, is_without_shadow=True)),
        ("x", {"text": ["NEW", "SALE"]}, PromptClaims(texts=("NEW", "SALE"))),
        ("x", {"count": True, "colour": 7, "background": ["white"]}, PromptClaims()),
    ],
)  # fmt: skip
def test_what_a_prompt_asks_for(text: str, atoms: dict[str, Any], wanted: PromptClaims) -> None:
    assert claims_of(text, atoms) == wanted


def test_a_wanted_text_is_no_text_beside_the_product() -> None:
    lines = sample_rules.TextLine("SALE", 0.99, (0.1, 0.1, 0.3, 0.2), True)
    facts = SampleFacts(512, 512, lines=(lines,))
    for texts, answer in ((("SALE",), "passed"), ((), "failed")):
        assert answers(sample_rules.checks(facts, PromptClaims(texts=texts), HOUSE))["text_beside"] == answer
