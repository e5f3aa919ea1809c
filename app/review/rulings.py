"""The review rules as conditions in SQL: which rule speaks of a photo, and what it says.

The conditions serve three readers: `decisions.apply_rules`, over the tables themselves, and `app/selection/rulings.py`,
which counts what other settings would change while somebody drags a limit, over the catalog in memory or in SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

from app.captions import checking
from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Image, Lettering, Signals
from app.review.rules import NAMES, SUGGESTS, RuleName, RuleSettings
from app.review.tables import Decision

Column = ColumnElement[Any] | InstrumentedAttribute[Any]
# Columns that the tables and the photo index call the same.
MEASURED: Final = (
    "brightness", "clipped_light", "clipped_dark", "shadow", "background_delta_e", "fill", "blockiness", "detail",
    "chroma", "border", "seam", "parts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FactColumns:
    """What the rules look at, as columns: expressions of SQL, or arrays of n photos, float64 or bool. Null, or NaN,
    means "cannot tell", and what cannot be told is never held against a photo. `sharpness` and `confidence` run 0..1,
    `contrast` is a CIE 1976 difference. Those from `brightness` on are as `app/catalog/measures.py` tells."""

    contrast: Any
    longest_px: Any
    shortest_px: Any
    sharpness: Any
    confidence: Any
    is_measured: Any
    is_scene: Any
    is_packshot: Any
    is_cropped: Any
    is_uncaptioned: Any
    is_contradicted: Any
    has_text_beside: Any
    brightness: Any
    clipped_light: Any
    clipped_dark: Any
    shadow: Any
    background_delta_e: Any
    fill: Any
    blockiness: Any
    detail: Any
    chroma: Any
    border: Any
    seam: Any
    parts: Any
    text_share: Any


def speaking(facts: FactColumns, settings: RuleSettings) -> ColumnElement[Any]:
    """The name of the rule that speaks of a photo, null where none does, as SQL."""
    whens = [(condition, literal(name, Text)) for name, condition in conditions(facts, settings).items()]
    return case(*whens, else_=cast(null(), Text)) if whens else cast(null(), Text)


def conditions(facts: FactColumns, settings: RuleSettings) -> dict[RuleName, Any]:
    """The condition of each rule that is on, the first to speak first. Only operators are used that mean the same in
    SQL, where an unknown condition is none, and on arrays, where nothing is less or more than NaN.

    What was measured on an unsure outline is not held against a photo; what was measured on the whole frame is.
    """
    is_sure = facts.confidence >= settings.unsure_below
    if settings.unsure_below <= 0:
        is_sure = is_sure | ~facts.is_measured
    every: dict[RuleName, Callable[[], Any]] = {
        "empty": lambda: facts.contrast < settings.empty_below,
        # A strip, fitted into a frame, shows no more than a line.
        "small": lambda: (facts.longest_px < settings.small_below) | (facts.shortest_px < settings.small_below / 4),
        "blurred": lambda: is_sure & (facts.sharpness < settings.blurred_below),
        "contradicted": lambda: facts.is_contradicted,
        "uncaptioned": lambda: facts.is_uncaptioned,
        "cropped": lambda: is_sure & facts.is_cropped,
        "busy": lambda: facts.is_scene,
        "bare": lambda: facts.is_packshot,
        "dark": lambda: is_sure & (facts.brightness < settings.dark_below),
        "clipped": lambda: is_sure & (facts.clipped_light > settings.clipped_above),
        "crushed": lambda: is_sure & (facts.clipped_dark > settings.crushed_above),
        "tinted": lambda: is_sure & facts.is_packshot & (facts.background_delta_e > settings.tinted_above),
        "tiny": lambda: is_sure & (facts.fill < settings.tiny_below),
        "shadowed": lambda: is_sure & (facts.shadow > settings.shadow_above),
        "blocky": lambda: facts.blockiness > settings.blocky_above,
        "enlarged": lambda: facts.detail < settings.enlarged_below,
        "grey": lambda: facts.chroma < settings.grey_below,
        "framed": lambda: facts.border > settings.framed_above,
        "collage": lambda: facts.seam > settings.collage_above,
        "several": lambda: is_sure & (facts.parts > settings.several_above),
        "lettered": lambda: facts.has_text_beside,
        "worded": lambda: facts.text_share > settings.worded_above,
        # Of a photo that was not measured nothing good is known either.
        "clean": lambda: facts.is_measured,
    }
    return {name: every[name]() for name in NAMES if settings.is_on(name)}


def verdict(rule: ColumnElement[Any]) -> ColumnElement[Any]:
    """What the rule of this name suggests."""
    return case({name: literal(suggested, Text) for name, suggested in SUGGESTS.items()}, value=rule)


def reason(
    rule: ColumnElement[Any],
    size_px: tuple[Column, Column],
    sharpness: Column,
    contradiction: Column,
    cropped_edges: Column,
) -> ColumnElement[Any]:
    """Why the rule of this name speaks, in a sentence that holds whatever the limits are. `size_px`: width, height."""
    measured = func.to_char(cast(sharpness, Numeric), "FM0.000")
    sides = _joined(cropped_edges)
    noun = case((func.jsonb_array_length(cropped_edges) > 1, " edges."), else_=" edge.")
    width, height = (func.to_char(side, "FM999,999") for side in size_px)
    said: dict[RuleName, Any] = {
        "empty": literal("Empty: one colour all over.", Text),
        "small": func.concat("Too small to learn from: ", width, " × ", height, " px."),
        "blurred": func.concat("Blurred: sharpness ", measured, ", under the limit."),
        "contradicted": contradiction,
        "uncaptioned": literal("No caption yet.", Text),
        "cropped": func.concat("The subject touches the ", func.regexp_replace(sides, ", ([^,]+)$", r" and \1"), noun),
        "busy": literal("The background is a scene, not white or plain.", Text),
        "bare": literal("The background is white or plain, not a scene.", Text),
        "dark": literal("The subject is darker than the limit.", Text),
        "clipped": literal("More of the subject is clipped to white than the limit.", Text),
        "crushed": literal("More of the subject is clipped to black than the limit.", Text),
        "tinted": literal("The plain background is further from white than the limit.", Text),
        "tiny": literal("The subject fills less of the frame than the limit.", Text),
        "shadowed": literal("The subject casts a contact shadow.", Text),
        "blocky": literal("Blocks of JPEG show.", Text),
        "enlarged": literal("It holds little detail for its size: enlarged, or out of focus.", Text),
        "grey": literal("The photo has no colour.", Text),
        "framed": literal("There are bars or a frame around the picture.", Text),
        "collage": literal("Two pictures seem to meet in the frame.", Text),
        "several": literal("The subject has more separate parts than the limit.", Text),
        "lettered": literal("Text stands beside the product.", Text),
        "worded": literal("Text covers more of the picture than the limit.", Text),
        "clean": literal("No rule found a fault.", Text),
    }
    return case(said, value=rule)


def judged(settings: RuleSettings) -> Select[*tuple[Any, ...]]:
    """Of every photo: which rule speaks and why, and its current decision or suggestion."""
    facts = FactColumns(
        contrast=Signals.contrast,
        longest_px=func.greatest(Image.width_px, Image.height_px),
        shortest_px=func.least(Image.width_px, Image.height_px),
        sharpness=Signals.sharpness,
        confidence=Signals.confidence,
        is_measured=Signals.confidence.is_not(None),
        is_scene=Signals.background == "scene",
        is_packshot=Signals.background.in_(("white", "plain")),
        is_cropped=Signals.is_cropped,
        is_uncaptioned=Caption.id.is_(None),
        is_contradicted=CaptionCheck.contradiction.is_not(None),
        has_text_beside=Lettering.place == "beside",
        text_share=Lettering.share,
        **{name: getattr(Signals, name) for name in MEASURED},
    )
    rule = speaking(facts, settings)
    said = reason(
        rule, (Image.width_px, Image.height_px), Signals.sharpness, CaptionCheck.contradiction, Signals.cropped_edges
    )
    return (
        select(Image.id.label("image_id"), rule.label("rule"), said.label("reason"), Decision.id.label("decision_id"))
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Lettering, Lettering.image_id == Image.id)
        .outerjoin(Caption, and_(Caption.image_id == Image.id, Caption.superseded_at.is_(None)))
        .outerjoin(CaptionCheck, and_(CaptionCheck.image_id == Image.id, checking.holds()))
        .outerjoin(Decision, and_(Decision.image_id == Image.id, Decision.superseded_at.is_(None)))
    )


def _joined(array: Column) -> ColumnElement[Any]:
    """A JSON list of texts with commas between them, in its order."""
    listed = (
        func.jsonb_array_elements_text(array)
        .table_valued("value", with_ordinality="place", name="listed")
        .render_derived()
    )
    commas = aggregate_order_by(literal(", ", Text), listed.c.place)
    return select(func.string_agg(listed.c.value, commas)).select_from(listed).scalar_subquery()
