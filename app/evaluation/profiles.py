"""What marketplaces, and the house, ask of a picture: the rules there are, and the profiles that come along. Pure.

A profile gives rules their limits, each with the page that says so and the day on which it was read. Those that come
along stand in `profiles.toml`; research on comparing checkpoints, section 4, says how each number was come by.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from app.errors import Refused

Bound = Literal["least", "most", "never"]
Scope = Literal["file", "packshot", "picture"]

USUAL: Final = "house"
SOURCE_AT_MOST: Final = 300
NAME_AT_MOST: Final = 80
_SHIPPED: Final = Path(__file__).with_name("profiles.toml")


@dataclass(frozen=True, slots=True)
class SampleRule:
    """A rule that a profile may set. `bound`: its limit is the least or the most, or what it names never stands there.

    `scope`: of the file; of packshots alone, which are asked for on plain white; or of every picture. Limits lie from
    `low` to `high`, in `unit`.
    """

    name: str
    title: str
    what: str
    bound: Bound
    scope: Scope
    unit: str = ""
    low: float = 0.0
    high: float = 1.0

    def written(self, value: float) -> str:
        """A value of it for people: "0.85", "1,000 px"."""
        number = f"{value:,.0f}" if self.unit == "px" else f"{value:.4g}"
        return f"{number} {self.unit}".strip()


RULES: Final[tuple[SampleRule, ...]] = (
    SampleRule("long_side_px", "Longer side", "The picture’s longer side.", "least", "file", "px", 1, 20_000),
    SampleRule("short_side_px", "Shorter side", "The picture’s shorter side.", "least", "file", "px", 1, 20_000),
    SampleRule(
        "zoom_px", "Large enough to zoom", "The longer side from which shops zoom.", "least", "file", "px", 1, 20_000
    ),
    SampleRule(
        "long_side_most_px", "Longer side at most", "The picture’s longer side.", "most", "file", "px", 1, 60_000
    ),
    SampleRule("megapixels_most", "Pixels at most", "Width times height.", "most", "file", "megapixels", 0.01, 1_000),
    SampleRule(
        "file_most_mb", "File at most", "The picture’s file, as it was drawn.", "most", "file", "MB", 0.01, 1_000
    ),
    SampleRule("aspect", "Square", "The longer side over the shorter one; 1 is a square.", "most", "file", "", 1, 10),
    SampleRule(
        "whiteness",
        "White background",
        "The share of the background whose darkest channel is 250 or more, 3 px away from the product.",
        "least",
        "packshot",
    ),
    SampleRule(
        "off_white",
        "Background off white",
        "How far the background’s middle colour lies from pure white, CIE 1976.",
        "most",
        "packshot",
        "",
        0,
        100,
    ),
    SampleRule(
        "fill_least",
        "Fills the frame",
        "The longer side of the product’s box, in shares of that side of the frame.",
        "least",
        "packshot",
    ),
    SampleRule(
        "fill_most",
        "Leaves a margin",
        "The longer side of the product’s box, in shares of that side of the frame.",
        "most",
        "packshot",
    ),
    SampleRule(
        "centring",
        "Centred",
        "How far the box’s middle lies from the frame’s, in shares of the frame, per axis.",
        "most",
        "packshot",
        "",
        0,
        0.5,
    ),
    SampleRule("cropped", "Whole product", "The frame cuts the product off.", "never", "packshot"),
    SampleRule("border", "No border", "Bars or a frame around the picture.", "never", "picture"),
    SampleRule("inset", "No inset picture", "A line along which two pictures meet.", "never", "packshot"),
    SampleRule(
        "props",
        "Nothing beside the product",
        "More than one separate thing, where one is asked for.",
        "never",
        "packshot",
    ),
    SampleRule(
        "text_beside",
        "No text beside the product",
        "Text that stands in the picture and not on the product.",
        "never",
        "picture",
    ),
    SampleRule(
        "watermark", "No watermark", "A web address, a right, or a text that stands all over.", "never", "picture"
    ),
    SampleRule(
        "sharpness",
        "Sharp",
        "Sharpness of the product’s edges: 1 as sharp as pixels can be, 0.2 a blur of two pixels.",
        "least",
        "picture",
    ),
    SampleRule(
        "enlarged",
        "Not enlarged",
        "The share of the frame’s sides that all of its detail would fill.",
        "least",
        "picture",
    ),
)
RULE_OF: Final[Mapping[str, SampleRule]] = {rule.name: rule for rule in RULES}


@dataclass(frozen=True, slots=True)
class ProfileLimit:
    """What a profile sets for one rule: its limit (0 where something never stands there), whether a picture is refused
    for it or only advised against, the page that says so, and when that was read."""

    limit: float
    is_required: bool
    source: str
    checked_on: date


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile: its rules by name, in the order of `RULES`. `source` and `checked_on` are those of most of them."""

    key: str
    name: str
    rules: Mapping[str, ProfileLimit]
    source: str
    checked_on: date


@cache
def shipped() -> Mapping[str, Profile]:
    """The profiles that come along, by key, the house's first."""
    document = tomllib.loads(_SHIPPED.read_text(encoding="utf-8"))
    return {key: _of_table(key, table) for key, table in document.items()}


def _of_table(key: str, table: Mapping[str, Any]) -> Profile:
    rules = {
        name: ProfileLimit(
            float(given.get("limit", 0.0)), not given.get("advised", False), given.get("source", table["source"]),
            given.get("checked_on", table["checked_on"]),
        )
        for name, given in table["rules"].items()
    }  # fmt: skip
    return checked(Profile(key, table["name"], rules, table["source"], table["checked_on"]))


def checked(profile: Profile) -> Profile:
    """The profile with its rules in their order. Raises Refused for what no profile can hold, in one sentence."""
    if not re.fullmatch(r"[a-z0-9_]{1,40}", profile.key):
        raise Refused("The key of a profile has 1 to 40 small letters, digits and underscores.")
    if not profile.name.strip() or len(profile.name) > NAME_AT_MOST:
        raise Refused(f"The name of a profile has 1 to {NAME_AT_MOST} characters.")
    if not profile.rules:
        raise Refused("A profile has at least one rule; to hold a sheet against none, choose another profile.")
    _check_source(profile.source, profile.name)
    for name, given in profile.rules.items():
        rule = RULE_OF.get(name)
        if rule is None:
            raise Refused(f"There is no rule “{name[:60]}”.")
        if rule.bound != "never" and not (math.isfinite(given.limit) and rule.low <= given.limit <= rule.high):
            raise Refused(f"“{rule.title}” has a limit from {rule.written(rule.low)} to {rule.written(rule.high)}.")
        _check_source(given.source, rule.title)
    least, most = profile.rules.get("fill_least"), profile.rules.get("fill_most")
    if least and most and least.limit >= most.limit:
        raise Refused("No picture can fill more than the most and less than the least: mend the limits of the margin.")
    ordered = {rule.name: profile.rules[rule.name] for rule in RULES if rule.name in profile.rules}
    return replace(profile, rules=ordered)


def _check_source(source: str, where: str) -> None:
    if not source.strip() or len(source) > SOURCE_AT_MOST:
        raise Refused(f"“{where}” needs its source, in at most {SOURCE_AT_MOST} characters: where it is said.")
    if not source.isprintable():
        raise Refused(f"The source of “{where}” holds a character that no text can have.")


def as_json(rules: Mapping[str, ProfileLimit]) -> dict[str, Any]:
    """Rules as they are kept in a table."""
    return {
        name: {
            "limit": given.limit, "is_required": given.is_required, "source": given.source,
            "checked_on": given.checked_on.isoformat(),
        }
        for name, given in rules.items()
    }  # fmt: skip


def of_json(rules: Mapping[str, Any]) -> dict[str, ProfileLimit]:
    """Rules as `as_json` wrote them; a rule that is no longer there is passed over."""
    return {
        name: ProfileLimit(
            float(given["limit"]), bool(given["is_required"]), str(given["source"]),
            date.fromisoformat(given["checked_on"]),
        )
        for name, given in rules.items()
        if name in RULE_OF
    }  # fmt: skip
