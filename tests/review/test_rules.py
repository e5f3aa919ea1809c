"""What a catalog may set for its rules: limits that cannot be are refused, what was kept is read again."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import Refused
from app.review.rules import NAMES, SUGGESTS, SWITCHES, VERDICTS, RuleSettings


def test_every_rule_suggests_a_verdict_and_rejects_only_what_no_caption_can_save() -> None:
    assert set(SUGGESTS) == set(NAMES) and set(SUGGESTS.values()) == set(VERDICTS)
    assert [name for name in NAMES if SUGGESTS[name] == "rejected"] == ["empty", "small", "blurred"]


def test_the_defaults_want_packshots_with_every_rule_on() -> None:
    usual = RuleSettings()
    assert all(usual.is_on(name) for name in SWITCHES)
    assert usual.is_on("busy") and not usual.is_on("bare")
    assert (usual.blurred_below, usual.unsure_below) == (1 / 17, 0.35)
    assert not RuleSettings("both").is_on("busy") and not RuleSettings("both").is_on("bare")
    assert RuleSettings("scenes").is_on("bare") and not RuleSettings("scenes").is_on("busy")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"wants": "pictures"}, "not a kind of photo"),
        ({"off": frozenset({"busy"})}, "not a rule to switch off"),
        ({"blurred_below": 1.01}, "between 0 and 1"),
        ({"unsure_below": -0.1}, "between 0 and 1"),
        ({"unsure_below": float("nan")}, "between 0 and 1"),
        ({"blurred_below": float("inf")}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_set_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        RuleSettings(**values)


def test_what_is_kept_is_read_again_and_what_was_not_known_is_as_usual() -> None:
    chosen = RuleSettings("scenes", frozenset({"clean", "cropped"}), 0.2, 0.5)
    assert RuleSettings.from_json(chosen.as_json()) == chosen
    assert RuleSettings.from_json({"wants": "both", "off": []}) == RuleSettings("both")
