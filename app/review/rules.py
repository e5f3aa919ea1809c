"""Review rules: what a machine may decide about a photo before a person looks. Pure: facts in, a ruling out.

A rule rejects only what no caption can save: an empty picture, one too small to learn from, a blurred subject;
everything doubtful is left to a person as "needs work". The first rule that applies decides, in the order of `NAMES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from app.catalog.colours import EMPTY_BELOW

Verdict = Literal["kept", "rejected", "needs_work"]
RuleName = Literal["empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "busy", "clean"]

VERDICTS: Final[tuple[Verdict, ...]] = ("kept", "rejected", "needs_work")
NAMES: Final[tuple[RuleName, ...]] = (
    "empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "busy", "clean",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the rules draw their lines. Chosen so that most sound catalogue photos are kept.

    `empty_below`: contrast of the whole frame, a CIE 1976 difference; its source: `app.catalog.colours.EMPTY_BELOW`.

    `small_below`: the longest side in px. Models learn at 512 px and more, and what is smaller is enlarged for them: of
    a photo under half of that, most pixels would be invented. The shorter side has at least a quarter of it: a strip,
    fitted into a frame, shows no more than a line.

    `blurred_below`: sharpness of the subject, 0..1, as `workers/signals/measure.py` defines it: 1 / (1 + b^2) for edges
    blurred by b pixels when the subject is 512 px long. The line lies at b = 4, where the edges are gone. Smooth
    things have few edges and measure low without being blurred, so a stricter line would cost sound photos. Ours,
    measured: of 334 real photos the softest has 0.45; of the demo's drawn ones 2 % of the sound and all of the
    blurred lie below.

    `unsure_below`: confidence of the subject's mask, 0..1; under it nothing measured on the mask is held against a
    photo. The line under which captions leave such facts out too. A scene stays a scene: there, it is the scene that
    hides the subject.
    """

    empty_below: float = EMPTY_BELOW
    small_below: int = 256
    blurred_below: float = 1 / 17
    unsure_below: float = 0.35


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What the rules look at. None means "cannot tell", and what cannot be told is never held against a photo.

    `sharpness` and `confidence` run 0..1, `contrast` is a CIE 1976 difference, `size_px` width and height.
    `contradictions` are sentences, one per claim of the caption or the catalogue that the picture does not bear out.
    """

    sharpness: float | None
    background: str | None
    cropped_edges: tuple[str, ...] = ()
    confidence: float = 1.0
    contrast: float | None = None
    size_px: tuple[int, int] | None = None
    caption: str | None = None
    contradictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule decides, which rule it was, and why in a sentence."""

    verdict: Verdict
    rule: RuleName
    reason: str


def judge(facts: PhotoFacts, thresholds: Thresholds = Thresholds()) -> Ruling:
    """The ruling on one photo."""
    is_sure = facts.confidence >= thresholds.unsure_below
    if facts.contrast is not None and facts.contrast < thresholds.empty_below:
        return Ruling("rejected", "empty", "Empty: one colour all over.")
    if facts.size_px and (
        max(facts.size_px) < thresholds.small_below or min(facts.size_px) < thresholds.small_below / 4
    ):
        width, height = facts.size_px
        return Ruling("rejected", "small", f"Too small to learn from: {width:,} × {height:,} px.")
    if is_sure and facts.sharpness is not None and facts.sharpness < thresholds.blurred_below:
        return Ruling(
            "rejected", "blurred",
            f"Blurred: sharpness {facts.sharpness:.2f}, under {thresholds.blurred_below:.2f}.",
        )  # fmt: skip
    if facts.contradictions:
        return Ruling("needs_work", "contradicted", facts.contradictions[0])
    if not (facts.caption or "").strip():
        return Ruling("needs_work", "uncaptioned", "No caption yet.")
    if is_sure and facts.cropped_edges:
        return Ruling("needs_work", "cropped", f"The subject touches the {_edges(facts.cropped_edges)}.")
    if facts.background == "scene":
        return Ruling("needs_work", "busy", "The background is a scene, not white or plain.")
    return Ruling("kept", "clean", "No rule found a fault.")


def _edges(sides: tuple[str, ...]) -> str:
    """Sides in words: "left edge", "left and top edges", "left, top and right edges"."""
    if len(sides) == 1:
        return f"{sides[0]} edge"
    return f"{', '.join(sides[:-1])} and {sides[-1]} edges"
