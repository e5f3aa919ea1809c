"""The rules as SQL, against a plain Python judge: over the tables as they suggest, over the index as they count."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captions.tables import Caption, CaptionCheck
from app.catalog.tables import Catalog, Image, Lettering, Signals
from app.review import rule_sets
from app.review.decisions import apply_rules, current, decide
from app.review.rules import OPTIONAL, SUGGESTS, SWITCHES, RuleName, RuleSettings
from app.review.rulings import MEASURED
from app.review.tables import Decision
from app.selection import rulings
from app.selection.tables import PhotoIndex
from tests import cast

SETTINGS = (
    RuleSettings(),
    RuleSettings("scenes", blurred_below=0.5),
    RuleSettings("both", frozenset({"contradicted", "clean"})),
    RuleSettings("both", frozenset({"empty", "small", "blurred", "contradicted", "uncaptioned", "cropped", "clean"})),
    RuleSettings("both", empty_below=0.0, small_below=2048.0),
    RuleSettings(blurred_below=0.0, unsure_below=0.9),
    RuleSettings("both", frozenset({"uncaptioned"}), blurred_below=1.0, unsure_below=0.0),
    RuleSettings("both", frozenset(SWITCHES), on=frozenset(OPTIONAL), unsure_below=0.2),
    RuleSettings("both", on=frozenset({"several"})),
    RuleSettings("both", frozenset(SWITCHES), on=frozenset({"several"}), several_above=2.0),
    *(RuleSettings("both", frozenset(SWITCHES), on=frozenset({rule})) for rule in OPTIONAL),
)


@dataclass(frozen=True)
class Facts:
    """A photo as the rules see it; `confidence` is None for one that was not measured."""

    sharpness: float | None
    confidence: float | None
    background: str
    edges: tuple[str, ...]
    caption: str | None
    contrast: float | None
    size_px: tuple[int, int]
    # By the names of their columns; `lettered` is 1 for text beside the product, 0 for text on it.
    optional: dict[str, float | None]


def _optional(
    values: dict[str, float | None], settings: RuleSettings, measured: bool, sure: bool, is_packshot: bool
) -> dict[RuleName, bool]:
    def is_above(name: str, limit: float) -> bool:
        value = values[name]
        return measured and value is not None and value > limit

    def is_below(name: str, limit: float) -> bool:
        value = values[name]
        return measured and value is not None and value < limit

    return {
        "dark": sure and is_below("brightness", settings.dark_below),
        "clipped": sure and is_above("clipped_light", settings.clipped_above),
        "crushed": sure and is_above("clipped_dark", settings.crushed_above),
        "tinted": sure and is_packshot and is_above("background_delta_e", settings.tinted_above),
        "tiny": sure and is_below("fill", settings.tiny_below),
        "shadowed": sure and is_above("shadow", settings.shadow_above),
        "blocky": is_above("blockiness", settings.blocky_above),
        "enlarged": is_below("detail", settings.enlarged_below),
        "grey": is_below("chroma", settings.grey_below),
        "framed": is_above("border", settings.framed_above),
        "collage": is_above("seam", settings.collage_above),
        "several": sure and is_above("parts", settings.several_above),
        "lettered": values["lettered"] == 1.0,
        "worded": values["lettered"] is not None and (values["text_share"] or 0.0) > settings.worded_above,
    }


def judge(facts: Facts, settings: RuleSettings) -> RuleName | None:
    """The plain way: the first rule that applies."""
    measured = facts.confidence is not None
    sure = measured and (facts.confidence or 0.0) >= settings.unsure_below
    sharpness = facts.sharpness if measured else None
    speaks: dict[RuleName, bool] = {
        "empty": measured and facts.contrast is not None and facts.contrast < settings.empty_below,
        "small": max(facts.size_px) < settings.small_below or min(facts.size_px) < settings.small_below / 4,
        "blurred": sure and sharpness is not None and sharpness < settings.blurred_below,
        "contradicted": measured
        and facts.caption is not None
        and "Green" in facts.caption
        and (facts.confidence or 0) >= 0.35,
        "uncaptioned": facts.caption is None,
        "cropped": sure and bool(facts.edges),
        "busy": measured and facts.background == "scene",
        "bare": measured and facts.background in ("white", "plain"),
        **_optional(facts.optional, settings, measured, sure, facts.background in ("white", "plain")),
        "clean": measured,
    }
    return next((name for name, does in speaks.items() if does and settings.is_on(name)), None)


@pytest.fixture
def drawn(session: Session) -> tuple[Catalog, dict[int, Facts]]:
    """Photos of all kinds, one in six of them decided by a person."""
    pile, ana, draw = cast.catalog(session), cast.person(session), random.Random(3)
    photos = {}
    every = list(itertools.product(
        (None, 0.02, 0.3, 0.9), (None, 0.1, 0.6, 1.0), ("white", "scene", "cannot tell"),
        ((), ("left", "top", "right")), (None, "Red kettle.", "Green kettle."),
        (None, 1.0, 30.0), ((600, 800), (200, 255), (30, 900)),
    ))  # fmt: skip
    for number, values in enumerate(draw.sample(every, 180)):
        optional = {name: draw.choice((None, 0.001, 0.5, 0.95, 4.0, 60.0)) for name in MEASURED}
        optional["parts"] = draw.choice((None, 1, 3))
        optional["lettered"] = draw.choice((None, 0.0, 1.0))
        optional["text_share"] = draw.choice((0.0, 0.01, 0.5))
        facts = Facts(*values, optional)
        photo = cast.image(session, pile, sharpness=facts.sharpness, background=facts.background, caption=facts.caption)
        signals = session.get_one(Signals, photo.id)
        if facts.confidence is None:
            session.delete(signals)
        else:
            signals.confidence, signals.cropped_edges = facts.confidence, list(facts.edges)
            signals.contrast, signals.is_cropped = facts.contrast, bool(facts.edges)
            for name in MEASURED:
                setattr(signals, name, optional[name])
        if optional["lettered"] is not None:
            place = "beside" if optional["lettered"] else "product"
            share = optional["text_share"]
            session.add(Lettering(image_id=photo.id, version=1, lines=[], words="SALE", place=place, share=share))
        photo.width_px, photo.height_px = facts.size_px
        session.flush()
        if number % 6 == 0:
            decide(session, photo, ana, "kept")
        photos[photo.id] = facts
    # An index row of a photo whose signals were deleted is as one of a photo that was never measured.
    unmeasured = [image_id for image_id, facts in photos.items() if facts.confidence is None]
    for row in session.scalars(select(PhotoIndex).where(PhotoIndex.image_id.in_(unmeasured))):
        row.sharpness = row.confidence = row.contrast = None
        for name in MEASURED:
            setattr(row, name, None)
        row.background = row.cropped = "cannot tell"
    session.flush()
    return pile, photos


def test_rules_suggest_and_count_what_a_plain_judge_says(
    session: Session, drawn: tuple[Catalog, dict[int, Facts]]
) -> None:
    pile, photos = drawn
    ana = cast.person(session)
    for settings in SETTINGS:
        apply_first = session.scalar(select(Decision.id).where(Decision.rule.is_not(None))) is None
        if apply_first:
            apply_rules(session, list(photos))
        now = {row[0]: row[1] for row in session.execute(select(PhotoIndex.image_id, PhotoIndex.rule))}
        decided = set(session.scalars(select(PhotoIndex.image_id).where(PhotoIndex.decided_by == "person")))
        expected = {image_id: judge(facts, settings) for image_id, facts in photos.items() if image_id not in decided}
        counted = rulings.changes(session, pile.id, settings)
        assert counted.undecided == len(expected)
        assert {name: count for name, count in counted.then.items() if count} == {
            name: list(expected.values()).count(name) for name in set(expected.values())
        }
        changed = sum(now[image_id] != rule for image_id, rule in expected.items())
        assert counted.changed == changed
        rule_sets.save(session, pile.id, ana, settings)
        applied = apply_rules(session, list(photos))
        assert applied.left_to_people == len(decided)
        assert applied.kept + applied.rejected + applied.needs_work + applied.withdrawn >= changed
        rows = session.execute(select(PhotoIndex.image_id, PhotoIndex.rule, PhotoIndex.suggested, PhotoIndex.verdict))
        for image_id, rule, suggested, verdict in rows:
            if image_id in decided:
                assert (rule, suggested, verdict) == (None, None, "kept")
            else:
                assert (rule, suggested) == (expected[image_id], SUGGESTS[rule] if rule else None), photos[image_id]
                assert verdict == "unseen"
        assert rulings.changes(session, pile.id, settings).changed == 0


def test_a_suggestion_says_why(session: Session) -> None:
    pile = cast.catalog(session)
    said = {}
    for edges in ((), ("left",), ("left", "top"), ("left", "top", "right")):
        photo = cast.image(session, pile, sharpness=0.0412, caption="Red kettle.")
        measured = session.get_one(Signals, photo.id)
        measured.cropped_edges, measured.is_cropped = list(edges), bool(edges)
        said[photo.id] = edges
    session.flush()
    apply_rules(session, list(said))
    assert {row.reason for row in session.scalars(select(Decision))} == {"Blurred: sharpness 0.041, under the limit."}
    rule_sets.save(session, pile.id, cast.person(session), RuleSettings(blurred_below=0.0))
    apply_rules(session, list(said))
    reasons = [current(session, image_id).reason for image_id in said]  # type: ignore[union-attr]
    assert reasons == [
        "No rule found a fault.",
        "The subject touches the left edge.",
        "The subject touches the left and top edges.",
        "The subject touches the left, top and right edges.",
    ]


def test_a_caption_is_checked_once_and_again_only_when_it_or_its_picture_changed(session: Session) -> None:
    pile = cast.catalog(session)
    photo = cast.image(session, pile, caption="Green kettle.")
    apply_rules(session, [photo.id])
    kept = session.get_one(CaptionCheck, photo.id)
    assert kept.contradiction == "The caption says green, the picture looks red."
    assert session.get_one(PhotoIndex, photo.id, populate_existing=True).is_contradicted
    kept.contradiction = "Told once."
    session.flush()
    apply_rules(session, [photo.id])
    assert reason_of(session, photo) == "Told once."
    session.get_one(Signals, photo.id).measured_at = kept.measured_at.replace(year=2030)
    session.flush()
    apply_rules(session, [photo.id])
    assert reason_of(session, photo) == "The caption says green, the picture looks red."
    session.delete(session.scalars(select(Caption).where(Caption.image_id == photo.id)).one())
    session.flush()
    assert not session.get_one(PhotoIndex, photo.id, populate_existing=True).is_contradicted


def reason_of(session: Session, photo: Image) -> str | None:
    standing = current(session, photo.id)
    return standing.reason if standing is not None else None
