"""A hundred real photos, judged by hand: what checks say of them where nothing is wrong, and where something is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from app.evaluation import profiles, sample_rules
from app.evaluation.prompt_claims import PromptClaims
from app.evaluation.sample_rules import SampleFacts
from workers.sample_job import measured_of

pytestmark = [pytest.mark.photos, pytest.mark.slow]

JUDGED = json.loads(Path(__file__).with_name("judged_photos.json").read_text())
# Those of letters are measured by `benchmarks.sample_checks`: reading takes ten times as long as all else.
ASKED = {"whiteness", "off_white", "fill_least", "centring", "cropped", "border", "inset", "props", "sharpness"}


def test_false_alarms_are_under_one_in_twenty_and_faults_are_seen(photos: Path) -> None:
    answers: Counter[tuple[bool, str]] = Counter()
    for name, truth in JUDGED.items():
        with Pillow.open(photos / name) as opened:
            opened.draft("RGB", (640, 640))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        picture.thumbnail((640, 640))
        measured = measured_of(1, picture, 100_000)
        facts = SampleFacts(*picture.size, values=measured.values, outline=measured.evidence["outline"] or "")
        for check in sample_rules.of_profile(facts, PromptClaims(is_packshot=True), profiles.shipped()["house"]):
            if check.name in ASKED and check.name not in truth["unsure"]:
                answers[check.name in truth["faults"], check.answer] += 1
    sound = sum(count for (is_fault, _), count in answers.items() if not is_fault)
    faults = sum(count for (is_fault, _), count in answers.items() if is_fault)
    assert len(JUDGED) == 100
    assert answers[False, "failed"] / sound < 0.05, answers
    assert answers[True, "passed"] / faults < 0.05, answers
