"""A sample held against what its prompt asks for, against its training photos and against a profile. Pure.

Each check answers passed, failed or cannot tell, and why. Nothing that could not be measured passes. Measures are those
of photos (`workers/signals/measure.py`); what is held against a subject's mask needs a mask that is as sure as review
rules ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from app.captions.facts import MeasuredFacts
from app.captions.printed import is_read
from app.captions.rules import claims
from app.catalog import text_kinds
from app.catalog.outlines import area_of, outer_rings
from app.catalog.text_lines import TextLine
from app.evaluation.profiles import RULE_OF, Profile, ProfileLimit, SampleRule
from app.evaluation.prompt_claims import SCENE, PromptClaims
from app.review.rules import LIMITS

Answer = Literal["passed", "failed", "cannot_tell"]
ANSWERS: Final[tuple[Answer, ...]] = ("failed", "cannot_tell", "passed")
WORDS: Final[dict[Answer, str]] = {"passed": "pass", "failed": "fail", "cannot_tell": "cannot tell"}

PROP_SHARE: Final = 0.05
"""A part of the subject from this share of the largest on is a thing of its own (research on comparing, 4.2, 10)."""
OF_ONE_KIND: Final = 1.6
"""Separate parts whose areas differ by no more than this factor are one thing each: two that touch have twice it."""
SHADED_AT_MOST: Final = 0.2
"""A shadow below the product may make so much of the background less than white."""
SHADOW_SEEN: Final = 3.0
"""From this fall in L* on a shadow can be seen, as `workers/signals/light.py` says."""
LEGIBLE_PX: Final = 384
"""Nothing read in a picture of this shorter side or more means that nothing legible is there."""
UNSURE_BELOW: Final = LIMITS["unsure_below"].usual
NO_SUBJECT: Final = "No product was told from its background."
UNREAD: Final = "The text in it was not read yet."


@dataclass(frozen=True, slots=True)
class NearestPhoto:
    """The training photo most like a sample, of `photos` that it was held against.

    `similarity`: the cosine of both in an embedding space; None where no embedder looked. A sample is a copy from
    `copy_from` on, and where its fingerprint is one of a copy: `rest` is how much differs then (`app.catalog.copies`).
    """

    image_id: int | None
    similarity: float | None
    copy_from: float
    photos: int
    rest: float | None = None

    @property
    def is_copy(self) -> bool:
        """Whether the sample is a copy of the photo."""
        return self.rest is not None or (self.similarity is not None and self.similarity >= self.copy_from)


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """What is known of one sample. `values` are those of `SampleMeasure`; `lines` None: not read; `nearest` None: not
    compared with the photos that its run learned from."""

    width_px: int
    height_px: int
    values: Mapping[str, Any] = field(default_factory=dict)
    outline: str = ""
    lines: tuple[TextLine, ...] | None = None
    nearest: NearestPhoto | None = None
    failure: str | None = None

    @property
    def is_sure(self) -> bool:
        """Whether what was measured on the product's mask can be held against the picture."""
        return float(self.values.get("confidence") or 0.0) >= UNSURE_BELOW

    def seen(self, name: str) -> Any:
        """A measure on the product's mask; None where there is none, or the mask is not sure."""
        return self.values.get(name) if self.is_sure else None


@dataclass(frozen=True, slots=True)
class SampleCheck:
    """The answer of one check: what was measured and asked for, in words, and why. `is_required`: a picture that fails
    it is not fit. `shows`: what is drawn over the picture to show why, as in `app/web/views/checks.py`."""

    name: str
    title: str
    answer: Answer
    why: str
    value: str = ""
    limit: str = ""
    is_required: bool = True
    shows: tuple[str, ...] = ()


def checks(facts: SampleFacts, asked: PromptClaims, profile: Profile) -> list[SampleCheck]:
    """Everything that applies to a sample: what its prompt asks for, whether it is a copy, then the profile's rules."""
    if facts.failure:
        return [SampleCheck("measured", "Measured", "cannot_tell", facts.failure)]
    return [*_of_prompt(facts, asked), _copy(facts), *of_profile(facts, asked, profile)]


def overall(held: list[SampleCheck]) -> Answer:
    """What all checks of a picture come to: failed by one that is required, else cannot tell where one cannot."""
    answers = {check.answer for check in held if check.is_required}
    return next((answer for answer in ANSWERS if answer in answers), "cannot_tell")


def of_profile(facts: SampleFacts, asked: PromptClaims, profile: Profile) -> list[SampleCheck]:
    """The rules of a profile that apply: those of packshots where one is asked for, the others always."""
    held = []
    for name, given in profile.rules.items():
        rule = RULE_OF[name]
        if rule.scope == "packshot" and not asked.is_packshot:
            continue
        if name == "props" and asked.is_several:
            continue
        held.append(_ASK.get(name, _measured)(rule, given, facts, asked))
    return held


def _of_prompt(facts: SampleFacts, asked: PromptClaims) -> Iterator[SampleCheck]:
    if asked.colour:
        yield _colour(facts, asked.colour)
    if asked.count:
        yield _count(facts, asked.count)
    if asked.background:
        yield _background(facts, asked.background)
    if asked.texts:
        yield _wanted_text(facts, asked.texts)
    if asked.is_without_text:
        yield _no_text(facts)
    if asked.is_without_shadow:
        shadow = facts.seen("shadow")
        answer: Answer = "cannot_tell" if shadow is None else "failed" if shadow >= SHADOW_SEEN else "passed"
        why = {
            "passed": "No shadow below the product.",
            "failed": f"The ground below the product is {shadow} L* darker.",
            "cannot_tell": "A shadow is told on plain ground alone, and where there is some below the product.",
        }
        yield SampleCheck("no_shadow", "No shadow, as asked for", answer, why[answer], shows=("outline", "shadow"))


def _colour(facts: SampleFacts, colour: str) -> SampleCheck:
    seen = facts.seen("subject_colour")
    held = [claim for claim in claims(f"A {colour} product.", MeasuredFacts(colour=seen)) if claim.kind == "colour"]
    title = "Colour, as asked for"
    if not held:
        why = f"“{colour}” cannot be held against a picture" if seen else "No one colour was told of the product"
        return SampleCheck("colour", title, "cannot_tell", f"{why}.", seen or "", colour, shows=("outline",))
    is_off = held[0].is_contradicted
    why = f"The product looks {seen}, asked for is {colour}." if is_off else f"The product looks {seen}."
    return SampleCheck(
        "colour", title, "failed" if is_off else "passed", why, seen, colour, shows=("outline", "colour")
    )


def _count(facts: SampleFacts, wanted: int) -> SampleCheck:
    """More things than asked for are a fault; fewer are where the parts are of a size, for none of them is two that
    touch."""
    parts = facts.seen("parts")
    title, limit = "Count, as asked for", str(wanted)
    if not parts:
        return SampleCheck("count", title, "cannot_tell", NO_SUBJECT, "", limit)
    if parts == wanted:
        return SampleCheck("count", title, "passed", f"{_things(parts)} apart.", str(parts), limit, shows=("parts",))
    areas = [area_of(ring) for ring in outer_rings(facts.outline)][:parts]
    is_apart = parts > wanted or (parts > 1 and len(areas) == parts and areas[0] <= OF_ONE_KIND * areas[-1])
    why = f"{_things(parts)} apart, asked for are {wanted}."
    if not is_apart:
        why = f"{_things(parts)} apart, asked for are {wanted}; things that touch count as one."
    answer: Answer = "failed" if is_apart else "cannot_tell"
    return SampleCheck("count", title, answer, why, str(parts), limit, shows=("parts",))


def _things(parts: int) -> str:
    return "One thing stands" if parts == 1 else f"{parts} things stand"


def _background(facts: SampleFacts, wanted: str) -> SampleCheck:
    kind, title = facts.values.get("background"), "Background, as asked for"
    if wanted == SCENE:
        if kind in (None, "cannot tell"):
            return SampleCheck("background", title, "cannot_tell", NO_SUBJECT, "", wanted)
        is_scene = kind == "scene"
        why = "It is a scene." if is_scene else f"It is plain {facts.values.get('background_colour') or kind}."
        return SampleCheck(
            "background", title, "passed" if is_scene else "failed", why, kind, wanted, shows=("ground",)
        )
    measured = MeasuredFacts(
        background=facts.values.get("background_colour") or ("busy" if kind == "scene" else None),
        from_white=facts.values.get("background_delta_e"),
    )
    text = f"A product on a {wanted} background."
    held = [claim for claim in claims(text, measured) if claim.kind == "background"]
    if not held:
        why = "It cannot be told from the product, or not be held against these words."
        return SampleCheck(
            "background", title, "cannot_tell", why, measured.background or "", wanted, shows=("ground",)
        )
    is_off = held[0].is_contradicted
    why = f"It looks {measured.background}" + (f", asked for is {wanted}." if is_off else ".")
    answer: Answer = "failed" if is_off else "passed"
    return SampleCheck("background", title, answer, why, measured.background or "", wanted, shows=("ground",))


def _wanted_text(facts: SampleFacts, texts: tuple[str, ...]) -> SampleCheck:
    title, limit = "Text, as asked for", "“" + "”, “".join(texts) + "”"
    if facts.lines is None:
        return SampleCheck("text", title, "cannot_tell", UNREAD, "", limit)
    lines = [line.text for line in facts.lines if line.is_trusted]
    # A label may be a single word that is read surely and is shorter than a trusted line has to be.
    lines += [line.text for line in facts.lines if not line.is_trusted and line.score >= 0.8]
    value = "“" + "”, “".join(lines[:4]) + "”" if lines else "nothing"
    if all(is_read(text, lines) for text in texts):
        return SampleCheck("text", title, "passed", f"{limit} was read.", value, limit, shows=("text",))
    if not lines and min(facts.width_px, facts.height_px) < LEGIBLE_PX:
        why = f"Nothing was read; at {facts.width_px} x {facts.height_px} px letters may be too small for it."
        return SampleCheck("text", title, "cannot_tell", why, value, limit, shows=("text",))
    return SampleCheck(
        "text", title, "failed", f"{value[0].upper()}{value[1:]} was read.", value, limit, shows=("text",)
    )


def _no_text(facts: SampleFacts) -> SampleCheck:
    title = "No text, as asked for"
    if facts.lines is None:
        return SampleCheck("no_text", title, "cannot_tell", UNREAD)
    lines = [line.text for line in facts.lines if line.is_trusted]
    why = f"“{lines[0]}” was read." if lines else "No text was read."
    return SampleCheck("no_text", title, "failed" if lines else "passed", why, shows=("text",))


def _copy(facts: SampleFacts) -> SampleCheck:
    title, nearest = "No copy of a training photo", facts.nearest
    if nearest is None or not nearest.photos:
        why = "It was not compared with the photos that its run learned from."
        return SampleCheck("copy", title, "cannot_tell", why)
    value = f"{nearest.similarity:.3f}" if nearest.similarity is not None else ""
    limit = f"below {nearest.copy_from:.3f}"
    if nearest.rest is not None:
        why = f"A copy of a training photo: laid onto it, {nearest.rest:.0%} of its contrast differs."
    elif nearest.is_copy:
        why = "A copy of a training photo: nearer to it than photos that were not learned from come to any."
    else:
        why = f"None of {nearest.photos:,} training photos is a copy of it, by fingerprint or by looks."
    answer: Answer = "failed" if nearest.is_copy else "passed"
    return SampleCheck("copy", title, answer, why, value, limit, shows=("nearest",))


Ask = Callable[[SampleRule, ProfileLimit, SampleFacts, PromptClaims], SampleCheck]

# What is drawn over the picture for each rule of a profile.
_SHOWS: Final[dict[str, tuple[str, ...]]] = {
    "whiteness": ("offwhite",), "off_white": ("offwhite",), "fill_least": ("box", "margins"),
    "fill_most": ("box", "margins"), "centring": ("box", "centres"), "cropped": ("outline", "sides"),
    "border": ("border",), "inset": ("seam",), "props": ("parts",), "text_beside": ("text",), "watermark": ("text",),
    "sharpness": ("edges",), "enlarged": ("room",),
}  # fmt: skip
_MEASURE: Final[dict[str, str]] = {
    "off_white": "background_delta_e", "fill_least": "fill", "fill_most": "fill", "enlarged": "detail",
}  # fmt: skip
_UNTOLD: Final[dict[str, str]] = {
    "border": "The picture is too small for it.", "inset": "The picture is too small for it.",
    "sharpness": "No edge is strong enough to be told from noise.",
    "enlarged": "The picture is too small or too flat for it.", "file_most_mb": "The file was not measured.",
}  # fmt: skip


def _answered(
    rule: SampleRule, given: ProfileLimit, answer: Answer, why: str, value: str = "", shows: bool = True
) -> SampleCheck:
    sign = {"least": "at least ", "most": "at most ", "never": ""}[rule.bound]
    limit = "" if rule.bound == "never" else f"{sign}{rule.written(given.limit)}"
    drawn = _SHOWS.get(rule.name, ()) if shows else ()
    return SampleCheck(rule.name, rule.title, answer, why, value, limit, given.is_required, drawn)


def _measured(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    """A number held against its limit."""
    name = _MEASURE.get(rule.name, rule.name)
    sizes: dict[str, float | None] = {
        "long_side_px": max(facts.width_px, facts.height_px), "short_side_px": min(facts.width_px, facts.height_px),
        "zoom_px": max(facts.width_px, facts.height_px), "long_side_most_px": max(facts.width_px, facts.height_px),
        "megapixels_most": facts.width_px * facts.height_px / 1e6,
        "aspect": max(facts.width_px, facts.height_px) / max(1, min(facts.width_px, facts.height_px)),
        "file_most_mb": facts.values["size_bytes"] / 1e6 if "size_bytes" in facts.values else None,
    }  # fmt: skip
    if rule.scope == "packshot" and facts.values.get("background") == "scene" and name in _OF_GROUND:
        return _answered(rule, given, "failed", "The background is a scene, not plain.", "a scene")
    number = (
        sizes[name]
        if name in sizes
        else facts.values.get(name)
        if name in _UNTOLD or name == "detail"
        else facts.seen(name)
    )
    if number is None:
        return _answered(rule, given, "cannot_tell", _UNTOLD.get(rule.name, NO_SUBJECT), shows=False)
    value = rule.written(float(number))
    if name == "whiteness" and given.limit - SHADED_AT_MOST <= number < given.limit and _is_shaded(facts):
        why = f"It is {value}, but a shadow falls on it; whether the rest is white, nobody can tell."
        return _answered(rule, given, "cannot_tell", why, value)
    is_kept = number >= given.limit if rule.bound == "least" else number <= given.limit
    word = "at least" if rule.bound == "least" else "at most"
    why = f"It is {value}." if is_kept else f"It is {value}, and has to be {word} {rule.written(given.limit)}."
    return _answered(rule, given, "passed" if is_kept else "failed", why, value)


def _is_shaded(facts: SampleFacts) -> bool:
    """Whether a shadow below the product explains what of the ground is not white: its middle is."""
    off = facts.seen("background_delta_e")
    return (facts.seen("shadow") or 0.0) >= SHADOW_SEEN and off is not None and off <= 1.0


_OF_GROUND: Final = frozenset({"whiteness", "background_delta_e"})


def _centring(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    across, down = facts.seen("offset_x"), facts.seen("offset_y")
    if across is None or down is None:
        return _answered(rule, given, "cannot_tell", NO_SUBJECT, shows=False)
    off = max(abs(across), abs(down))
    why = f"The product’s middle lies {abs(across):.1%} to the side and {abs(down):.1%} up or down of the frame’s."
    return _answered(rule, given, "passed" if off <= given.limit else "failed", why, rule.written(off))


def _cropped(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    is_cropped = facts.seen("is_cropped")
    if is_cropped is None:
        return _answered(rule, given, "cannot_tell", NO_SUBJECT, shows=False)
    edges = facts.values.get("cropped_edges") or []
    why = f"The frame cuts it off at the {' and '.join(edges)}." if is_cropped else "The frame cuts nothing off."
    return _answered(rule, given, "failed" if is_cropped else "passed", why, ", ".join(edges))


def _border(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    border = facts.values.get("border")
    if border is None:
        return _answered(rule, given, "cannot_tell", _UNTOLD["border"], shows=False)
    border = max(border, facts.values.get("frame") or 0.0)
    if border > 0:
        return _answered(rule, given, "failed", f"A border as wide as {border:.1%} of the frame.", f"{border:.1%}")
    return _answered(rule, given, "passed", "No bar or frame around the picture.")


def _inset(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    seam, limit = facts.values.get("seam"), LIMITS["collage_above"].usual
    if seam is None:
        return _answered(rule, given, "cannot_tell", _UNTOLD["inset"], shows=False)
    # A straight side of a carton is a line as long as it; the ground around it says that no picture meets another.
    if seam > limit and not (
        facts.values.get("background") in ("white", "plain") and facts.seen("is_cropped") is False
    ):
        return _answered(
            rule, given, "failed", f"Two pictures seem to meet along {seam:.0%} of the frame.", f"{seam:.0%}"
        )
    return _answered(rule, given, "passed", "No line along which two pictures meet.")


def _props(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    if facts.seen("parts") is None:
        return _answered(rule, given, "cannot_tell", NO_SUBJECT, shows=False)
    areas = [area_of(ring) for ring in outer_rings(facts.outline)]
    things = sum(area >= PROP_SHARE * areas[0] for area in areas)
    why = "One thing stands there." if things <= 1 else f"{things} things stand apart."
    return _answered(rule, given, "failed" if things > 1 else "passed", why, str(things))


def _text_beside(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    if facts.lines is None:
        return _answered(rule, given, "cannot_tell", UNREAD, shows=False)
    lines = [line for line in facts.lines if not any(is_read(text, [line.text]) for text in asked.texts)]
    beside = [line.text for line in lines if line.is_trusted and line.is_beside]
    if beside:
        return _answered(rule, given, "failed", f"“{beside[0]}” stands beside the product.", f"“{beside[0]}”")
    if untold := [line.text for line in lines if line.is_trusted and line.is_beside is None]:
        why = f"“{untold[0]}” stands there; on the product or beside it, nobody can tell."
        return _answered(rule, given, "cannot_tell", why, f"“{untold[0]}”")
    return _answered(rule, given, "passed", "No text was read beside the product.")


def _watermark(rule: SampleRule, given: ProfileLimit, facts: SampleFacts, asked: PromptClaims) -> SampleCheck:
    if facts.lines is None:
        return _answered(rule, given, "cannot_tell", UNREAD, shows=False)
    kinds = zip(facts.lines, text_kinds.kinds_of(facts.lines), strict=True)
    marks = [line.text for line, kind in kinds if kind == "watermark"]
    if marks:
        return _answered(rule, given, "failed", f"“{marks[0]}” was read.", f"“{marks[0]}”")
    return _answered(rule, given, "passed", "No watermark was read.")


_ASK: Final[dict[str, Ask]] = {
    "centring": _centring, "cropped": _cropped, "border": _border, "inset": _inset, "props": _props,
    "text_beside": _text_beside, "watermark": _watermark,
}  # fmt: skip
