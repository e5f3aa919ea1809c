"""Review rules: what is rejected, what is left to a person, what is kept."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from app.review.rules import NAMES, VERDICTS, PhotoFacts, Thresholds, judge

SOUND = PhotoFacts(sharpness=0.8, background="white", caption="Red kettle on a pure white background.")


@pytest.mark.parametrize(
    ("changes", "verdict", "rule", "word"),
    [
        ({}, "kept", "clean", "No rule"),
        ({"sharpness": 0.05}, "rejected", "blurred", "0.05"),
        ({"contrast": 0.4, "sharpness": None, "background": "cannot tell"}, "rejected", "empty", "Empty"),
        ({"size_px": (160, 120)}, "rejected", "small", "160 × 120 px"),
        ({"size_px": (33, 4000)}, "rejected", "small", "33 × 4,000 px"),
        ({"contradictions": ("The caption says green.",)}, "needs_work", "contradicted", "green"),
        ({"caption": None}, "needs_work", "uncaptioned", "caption"),
        ({"caption": "  "}, "needs_work", "uncaptioned", "caption"),
        ({"cropped_edges": ("left", "top")}, "needs_work", "cropped", "left and top edges"),
        ({"background": "scene"}, "needs_work", "busy", "scene"),
        ({"background": "scene", "confidence": 0.0}, "needs_work", "busy", "scene"),
    ],
)
def test_one_fault_one_ruling(changes: dict[str, Any], verdict: str, rule: str, word: str) -> None:
    ruling = judge(dataclasses.replace(SOUND, **changes))
    assert (ruling.verdict, ruling.rule) == (verdict, rule)
    assert word in ruling.reason
    assert ruling.reason.endswith(".")
    assert ruling.verdict in VERDICTS and ruling.rule in NAMES


@pytest.mark.parametrize(
    "changes",
    [
        {"sharpness": None},
        {"sharpness": 0.06},
        {"contrast": 2.5, "size_px": (64, 256)},
        {"background": "plain"},
        {"background": "cannot tell"},
        {"sharpness": 0.01, "confidence": 0.2},
        {"cropped_edges": ("left",), "confidence": 0.2},
        {"background": "cannot tell", "confidence": 0.0},
    ],
)
def test_what_cannot_be_told_is_not_held_against_a_photo(changes: dict[str, Any]) -> None:
    assert judge(dataclasses.replace(SOUND, **changes)).verdict == "kept"


def test_the_graver_fault_is_named() -> None:
    ruined = dataclasses.replace(SOUND, sharpness=0.05, background="scene", caption=None, cropped_edges=("top",))
    assert judge(ruined).rule == "blurred"


def test_thresholds_can_be_moved() -> None:
    assert judge(SOUND, Thresholds(blurred_below=0.9)).rule == "blurred"
