"""Review rules: what a machine may suggest about a photo before a person looks, and what a catalog may set. Pure.

A rule suggests, it never decides. It suggests to reject only what no caption can save: an empty picture, one too small
to learn from, a blurred subject; everything doubtful it suggests to look at, as "needs work". The first rule that
applies speaks, in the order of `NAMES`. The rules themselves are conditions in SQL, in `app/review/rulings.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

from app.catalog.colours import EMPTY_BELOW
from app.errors import Refused

Verdict = Literal["kept", "rejected", "needs_work"]
RuleName = Literal[
    "empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "busy", "bare", "dark", "clipped",
    "crushed", "shadowed", "tinted", "tiny", "blocky", "enlarged", "grey", "framed", "collage", "several", "lettered",
    "worded", "clean",
]  # fmt: skip
Wanted = Literal["packshots", "scenes", "both"]

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
NAMES: Final[tuple[RuleName, ...]] = get_args(RuleName)
WANTED: Final[tuple[Wanted, ...]] = get_args(Wanted)

SUGGESTS: Final[dict[RuleName, Verdict]] = {
    "empty": "rejected",
    "small": "rejected",
    "blurred": "rejected",
    "contradicted": "needs_work",
    "uncaptioned": "needs_work",
    "cropped": "needs_work",
    "busy": "needs_work",
    "bare": "needs_work",
    "dark": "needs_work",
    "clipped": "needs_work",
    "crushed": "needs_work",
    "shadowed": "needs_work",
    "tinted": "needs_work",
    "tiny": "needs_work",
    "blocky": "needs_work",
    "enlarged": "needs_work",
    "grey": "needs_work",
    "framed": "needs_work",
    "collage": "needs_work",
    "several": "needs_work",
    "lettered": "needs_work",
    "worded": "needs_work",
    "clean": "kept",
}
# Those that are on or off by themselves. "busy" (a scene, where packshots are wanted) and "bare" (a packshot, where
# scenes are) follow from the kinds of photo that a catalog wants.
SWITCHES: Final[tuple[RuleName, ...]] = (
    "empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "clean",
)  # fmt: skip
# Those that say nothing until a catalog chooses them: whether a border, a shadow or several products are a fault is for
# the team to say, and what was kept by an older version goes on as it was.
OPTIONAL: Final[tuple[RuleName, ...]] = (
    "dark", "clipped", "crushed", "shadowed", "tinted", "tiny", "blocky", "enlarged", "grey", "framed", "collage",
    "several", "lettered", "worded",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a catalog may move: over which signal, and where it lies unless moved. It runs from 0 to `highest`,
    and is shown and typed to `places` decimal places. The rule speaks below it, or above where `is_above`."""

    signal: Literal[
        "contrast", "longest_px", "sharpness", "confidence", "brightness", "clipped_light", "clipped_dark", "shadow",
        "background_delta_e", "fill", "blockiness", "detail", "chroma", "border", "seam", "parts", "text_share",
    ]  # fmt: skip
    usual: float
    highest: float = 1.0
    places: int = 3
    is_above: bool = False

    @property
    def name(self) -> str:
        """The signal's name in sentences."""
        return {
            "longest_px": "the longest side", "clipped_light": "clipping to white", "clipped_dark": "clipping to black",
            "background_delta_e": "the background’s difference to white", "parts": "separate parts",
            "text_share": "the share of text",
        }.get(self.signal, self.signal)  # fmt: skip


LIMITS: Final[dict[str, Limit]] = {
    "empty_below": Limit("contrast", EMPTY_BELOW, highest=20.0, places=1),
    "small_below": Limit("longest_px", 256.0, highest=2048.0, places=0),
    "blurred_below": Limit("sharpness", 1 / 17),
    "unsure_below": Limit("confidence", 0.35),
    "dark_below": Limit("brightness", 10.0, highest=100.0, places=1),
    "clipped_above": Limit("clipped_light", 0.05, is_above=True),
    "crushed_above": Limit("clipped_dark", 0.2, is_above=True),
    "tinted_above": Limit("background_delta_e", 3.5, highest=50.0, places=1, is_above=True),
    "tiny_below": Limit("fill", 0.3),
    "shadow_above": Limit("shadow", 5.0, highest=50.0, places=1, is_above=True),
    "blocky_above": Limit("blockiness", 0.45, is_above=True),
    "enlarged_below": Limit("detail", 0.73),
    "grey_below": Limit("chroma", 3.0, highest=50.0, places=1),
    "framed_above": Limit("border", 0.01, highest=0.4, is_above=True),
    "collage_above": Limit("seam", 0.7, is_above=True),
    "several_above": Limit("parts", 1.0, highest=20.0, places=0, is_above=True),
    "worded_above": Limit("text_share", 0.02, is_above=True),
}


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What a catalog sets for its rules. The defaults are chosen so that most sound catalogue photos pass.

    `wants`: which kinds of photo the catalog wants. A scene among packshots is doubtful, and a packshot among scenes;
    with "both" neither is.

    `off`: the rules of `SWITCHES` that say nothing; `on`: those of `OPTIONAL` that do speak. Without "clean" nothing is
    suggested of a photo that no other rule speaks of.

    `empty_below`: contrast of the whole frame, a CIE 1976 difference; its source: `app.catalog.colours.EMPTY_BELOW`.

    `small_below`: the longest side in px. Models learn at 512 px and more, and what is smaller is enlarged for them: of
    a photo under half of that, most pixels would be invented. The shorter side has at least a quarter of it: a strip,
    fitted into a frame, shows no more than a line.

    `blurred_below`: sharpness of the subject, 0..1, as `workers/signals/measure.py` defines it: 1 / (1 + b^2) for edges
    blurred by b pixels when the subject is 512 px long. The line lies at b = 4, where the edges are gone. Smooth
    things have few edges and measure low without being blurred, so a stricter line would cost sound photos. Ours,
    measured again on 30 November 2026: of 1,786 real photos, 1,087 with a sure mask, the softest of these has 0.43; of
    the demo's drawn ones 3 % of the sound (10 of 345) and all 13 blurred lie below.

    `unsure_below`: confidence of the subject's mask, 0..1; under it nothing measured on the mask is held against a
    photo. The line under which captions leave such facts out too (`app/captions/proposing.py`). A scene stays a scene:
    there, it is the scene that hides the subject.

    The limits of the optional rules cut what `workers/signals/light.py`, `encoding.py` and `layout.py` measure, in the
    units and ranges of `app/catalog/measures.py`. `blocky_above`, `enlarged_below` and `collage_above` lie where 1 in
    100 of the real photos they were tuned on would be spoken of wrongly; `tinted_above` lies
    where `workers/signals/measure.py` ends white; `clipped_above`, `crushed_above`, `dark_below`, `shadow_above`,
    `tiny_below` and `worded_above` are ours.
    """

    wants: Wanted = "packshots"
    off: frozenset[RuleName] = frozenset()
    empty_below: float = LIMITS["empty_below"].usual
    small_below: float = LIMITS["small_below"].usual
    blurred_below: float = LIMITS["blurred_below"].usual
    unsure_below: float = LIMITS["unsure_below"].usual
    on: frozenset[RuleName] = frozenset()
    dark_below: float = LIMITS["dark_below"].usual
    clipped_above: float = LIMITS["clipped_above"].usual
    crushed_above: float = LIMITS["crushed_above"].usual
    tinted_above: float = LIMITS["tinted_above"].usual
    tiny_below: float = LIMITS["tiny_below"].usual
    shadow_above: float = LIMITS["shadow_above"].usual
    blocky_above: float = LIMITS["blocky_above"].usual
    enlarged_below: float = LIMITS["enlarged_below"].usual
    grey_below: float = LIMITS["grey_below"].usual
    framed_above: float = LIMITS["framed_above"].usual
    collage_above: float = LIMITS["collage_above"].usual
    several_above: float = LIMITS["several_above"].usual
    worded_above: float = LIMITS["worded_above"].usual

    def __post_init__(self) -> None:
        """Raises Refused for a kind of photo or a rule that is none, and for a limit outside 0 to 1."""
        if self.wants not in WANTED:
            raise Refused(f"“{self.wants}” is not a kind of photo. A catalog wants {', '.join(WANTED)}.")
        for rule in self.off:
            if rule not in SWITCHES:
                raise Refused(f"“{rule}” is not a rule to switch off. Those are: {', '.join(SWITCHES)}.")
        for rule in self.on:
            if rule not in OPTIONAL:
                raise Refused(f"“{rule}” is not a rule to switch on. Those are: {', '.join(OPTIONAL)}.")
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= limit.highest):
                raise Refused(f"The limit of {limit.name} lies between 0 and {limit.highest:g}, not at {value:g}.")

    def is_on(self, rule: RuleName) -> bool:
        """Whether this rule may speak."""
        if rule == "busy":
            return self.wants == "packshots"
        if rule == "bare":
            return self.wants == "scenes"
        return rule in self.on if rule in OPTIONAL else rule not in self.off

    def as_json(self) -> dict[str, Any]:
        """As the database keeps it."""
        chosen = {"wants": self.wants, "off": sorted(self.off), "on": sorted(self.on)}
        return chosen | {name: getattr(self, name) for name in LIMITS}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What `as_json` kept; what an older version did not know yet is as usual."""
        limits = {name: float(kept.get(name, LIMITS[name].usual)) for name in LIMITS}
        return cls(wants=kept["wants"], off=frozenset(kept["off"]), on=frozenset(kept.get("on", ())), **limits)
