"""The review rules as conditions in SQL: which rule speaks of a photo, and what it says.

One expression serves two readers: `decisions.apply_rules`, over the tables themselves, and `app/selection/rulings.py`,
which counts over the photo index what other settings would change, while somebody drags a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Float,
    Numeric,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
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
    "brightness", "clipped_light", "shadow", "blockiness", "detail", "chroma", "border", "seam", "parts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FactColumns:
    """What the rules look at, as columns. Null means "cannot tell", and what cannot be told is never held against a
    photo. `sharpness` and `confidence` run 0..1, `contrast` is a CIE 1976 difference; they are null, like `background`,
    while a photo is not measured. Those from `brightness` on are as `app/catalog/measures.py` tells."""

    contrast: Column
    longest_px: Column
    shortest_px: Column
    sharpness: Column
    confidence: Column
    background: Column
    is_cropped: Column
    is_captioned: Column
    is_contradicted: Column
    brightness: Column
    clipped_light: Column
    shadow: Column
    blockiness: Column
    detail: Column
    chroma: Column
    border: Column
    seam: Column
    parts: Column
    lettering: Column


def speaking(facts: FactColumns, settings: RuleSettings) -> ColumnElement[Any]:
    """The name of the rule that speaks of a photo, null where none does."""
    is_sure = func.coalesce(facts.confidence, 0.0) >= literal(settings.unsure_below, Float)
    small = literal(settings.small_below, Float)
    conditions: dict[RuleName, Column] = {
        "empty": facts.contrast < literal(settings.empty_below, Float),
        # A strip, fitted into a frame, shows no more than a line.
        "small": or_(facts.longest_px < small, facts.shortest_px < small / 4),
        "blurred": and_(is_sure, facts.sharpness < literal(settings.blurred_below, Float)),
        "contradicted": facts.is_contradicted,
        "uncaptioned": facts.is_captioned.is_(False),
        "cropped": and_(is_sure, facts.is_cropped),
        "busy": facts.background == "scene",
        "bare": facts.background.in_(("white", "plain")),
        **_optional(facts, settings, is_sure),
        # Of a photo that was not measured nothing good is known either.
        "clean": facts.confidence.is_not(None),
    }
    whens = [(conditions[name], literal(name, Text)) for name in NAMES if settings.is_on(name)]
    return case(*whens, else_=cast(null(), Text)) if whens else cast(null(), Text)


def _optional(facts: FactColumns, settings: RuleSettings, is_sure: Column) -> dict[RuleName, Column]:
    """The conditions of the rules that a catalog chooses. What was measured on an unsure outline is not held against a
    photo; what was measured on the whole frame is."""

    def limit(name: str) -> ColumnElement[float]:
        return literal(getattr(settings, name), Float)

    return {
        "dark": and_(is_sure, facts.brightness < limit("dark_below")),
        "clipped": and_(is_sure, facts.clipped_light > limit("clipped_above")),
        "shadowed": and_(is_sure, facts.shadow > limit("shadow_above")),
        "blocky": facts.blockiness > limit("blocky_above"),
        "enlarged": facts.detail < limit("enlarged_below"),
        "grey": facts.chroma < limit("grey_below"),
        "framed": facts.border > limit("framed_above"),
        "collage": facts.seam > limit("collage_above"),
        "several": and_(is_sure, facts.parts > 1),
        "lettered": facts.lettering == "beside",
    }


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
        "shadowed": literal("The subject casts a contact shadow.", Text),
        "blocky": literal("Blocks of JPEG show.", Text),
        "enlarged": literal("It holds little detail for its size: enlarged, or out of focus.", Text),
        "grey": literal("The photo has no colour.", Text),
        "framed": literal("There are bars or a frame around the picture.", Text),
        "collage": literal("Two pictures seem to meet in the frame.", Text),
        "several": literal("The subject has several separate parts.", Text),
        "lettered": literal("Text stands beside the product.", Text),
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
        background=Signals.background,
        is_cropped=func.jsonb_array_length(Signals.cropped_edges) > 0,
        is_captioned=Caption.id.is_not(None),
        is_contradicted=CaptionCheck.contradiction.is_not(None),
        lettering=func.coalesce(Lettering.place, "not read"),
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
