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
RuleName = Literal["empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "busy", "bare", "clean"]
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
    "clean": "kept",
}
# Those that are on or off by themselves. "busy" (a scene, where packshots are wanted) and "bare" (a packshot, where
# scenes are) follow from the kinds of photo that a catalog wants.
SWITCHES: Final[tuple[RuleName, ...]] = (
    "empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "clean",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a catalog may move: over which signal, and where it lies unless moved. It runs from 0 to `highest`,
    and is shown and typed to `places` decimal places."""

    signal: Literal["contrast", "longest_px", "sharpness", "confidence"]
    usual: float
    highest: float = 1.0
    places: int = 3

    @property
    def name(self) -> str:
        """The signal's name in sentences."""
        return "the longest side" if self.signal == "longest_px" else self.signal


LIMITS: Final[dict[str, Limit]] = {
    "empty_below": Limit("contrast", EMPTY_BELOW, highest=20.0, places=1),
    "small_below": Limit("longest_px", 256.0, highest=2048.0, places=0),
    "blurred_below": Limit("sharpness", 1 / 17),
    "unsure_below": Limit("confidence", 0.35),
}


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What a catalog sets for its rules. The defaults are chosen so that most sound catalogue photos pass.

    `wants`: which kinds of photo the catalog wants. A scene among packshots is doubtful, and a packshot among scenes;
    with "both" neither is.

    `off`: the rules of `SWITCHES` that say nothing. Without "clean" nothing is suggested of a photo that no other rule
    speaks of.

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
    """

    wants: Wanted = "packshots"
    off: frozenset[RuleName] = frozenset()
    empty_below: float = LIMITS["empty_below"].usual
    small_below: float = LIMITS["small_below"].usual
    blurred_below: float = LIMITS["blurred_below"].usual
    unsure_below: float = LIMITS["unsure_below"].usual

    def __post_init__(self) -> None:
        """Raises Refused for a kind of photo or a rule that is none, and for a limit outside 0 to 1."""
        if self.wants not in WANTED:
            raise Refused(f"“{self.wants}” is not a kind of photo. A catalog wants {', '.join(WANTED)}.")
        for rule in self.off:
            if rule not in SWITCHES:
                raise Refused(f"“{rule}” is not a rule to switch off. Those are: {', '.join(SWITCHES)}.")
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
        return rule not in self.off

    def as_json(self) -> dict[str, Any]:
        """As the database keeps it."""
        return {"wants": self.wants, "off": sorted(self.off), **{name: getattr(self, name) for name in LIMITS}}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What `as_json` kept; what an older version did not know yet is as usual."""
        limits = {name: float(kept.get(name, LIMITS[name].usual)) for name in LIMITS}
        return cls(wants=kept["wants"], off=frozenset(kept["off"]), **limits)
