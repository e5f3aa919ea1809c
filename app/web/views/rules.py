"""The page of a catalog's rules: what is set, what another setting would change, and the signals that limits cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.datastructures import ImmutableMultiDict

from app.catalog.tables import Catalog
from app.errors import Refused
from app.jobs import Job
from app.review import rule_sets
from app.review.rules import LIMITS, NAMES, OPTIONAL, SUGGESTS, SWITCHES, RuleName, RuleSettings, Verdict
from app.review.tables import RuleSet
from app.selection import browse, rulings
from app.selection.columns.memory import one_look
from app.selection.keys import KEYS
from app.selection.kinds import Measure
from app.selection.query import Selection
from app.selection.rulings import BINS

Fields = ImmutableMultiDict[str, Any]
# The keys of the filter language by the signals that they ask for.
KEY_OF: Final = {key.column.key: name for name, key in KEYS.items() if isinstance(key, Measure)}

WORDS: Final[dict[RuleName, tuple[str, str]]] = {
    "empty": ("Empty", "One colour or one gradient all over: there is nothing to see."),
    "small": ("Too small", "Most of its pixels would be invented to learn from it."),
    "blurred": ("Blurred", "The subject is softer than the limit. No caption can save such a photo."),
    "contradicted": (
        "Caption contradicts",
        "The caption says another colour, background or framing than was measured.",
    ),
    "uncaptioned": ("No caption", "There is nothing to learn from a photo without words."),
    "cropped": ("Cropped", "The subject touches an edge of the frame."),
    "busy": ("A scene", "The background is a scene, where packshots are wanted."),
    "bare": ("A packshot", "The background is white or plain, where scenes are wanted."),
    "dark": ("Dark", "The subject is darker than the limit. Black products are, too."),
    "clipped": ("Clipped to white", "Parts of the subject have lost their form to white."),
    "crushed": ("Clipped to black", "Parts of the subject have lost their form to black. Black products do, too."),
    "tinted": ("Off white", "The plain background is further from pure white than the limit."),
    "tiny": ("Small in the frame", "The subject’s longer side fills less of the frame than the limit."),
    "shadowed": ("Contact shadow", "The plain ground is darker just below the subject."),
    "blocky": ("JPEG blocks", "Squares of 8 px show: the photo was saved too small."),
    "enlarged": ("Little detail", "Enlarged, or out of focus: there are more pixels than detail."),
    "grey": ("No colour", "A grey photo, whatever its file is."),
    "framed": ("Border", "Flat bars or a frame around the picture."),
    "collage": ("Collage", "Two pictures seem to meet along a straight line."),
    "several": ("Several parts", "The subject has more separate parts than the limit: several products, or a pair."),
    "lettered": ("Text beside it", "A price tag, a watermark or another text stands beside the product."),
    "worded": ("Much text", "Text covers more of the picture than the limit, wherever it stands."),
    "clean": ("Nothing found", "No other rule speaks of the photo, and it was measured."),
}
KINDS: Final = {
    "packshots": ("Packshots", "White or plain backgrounds; a scene is looked at."),
    "scenes": ("Scenes", "Products in use; a white or plain background is looked at."),
    "both": ("Both", "The kind of background is not held against a photo."),
}
# What a limit is called, what lies at its two ends, and what it does.
AXES: Final[dict[str, tuple[str, tuple[str, str], str]]] = {
    "empty_below": (
        "Empty below a contrast of", ("one colour", "20 or more"),
        "Rejecting is suggested below. A contrast of 2.3 can just be seen.",
    ),
    "small_below": (
        "Too small below a longest side of, px", ("0 px", "2,048 px or more"),
        "Rejecting is suggested below, and where the shorter side has less than a quarter of it.",
    ),
    "blurred_below": ("Blurred below a sharpness of", ("soft", "sharp"), "Rejecting is suggested below."),
    "unsure_below": (
        "Outline unsure below a confidence of", ("a guess", "sure"),
        "Below, nothing that was measured on the subject is held against a photo: it may not be the product.",
    ),
    "dark_below": ("Dark below a brightness of, L*", ("black", "white"), "The middle lightness of the subject."),
    "clipped_above": (
        "Clipped to white above a share of", ("none", "all of it"), "Of the subject: all channels at 254 or more.",
    ),
    "crushed_above": (
        "Clipped to black above a share of", ("none", "all of it"), "Of the subject: all channels at 2 or less.",
    ),
    "tinted_above": (
        "Off white above a difference of, ΔE", ("pure white", "50 or more"), "2.3 can just be seen; white ends at 3.5.",
    ),
    "tiny_below": ("Small in the frame below a fill of", ("a speck", "edge to edge"), "Of the frame’s longer side."),
    "shadow_above": ("Contact shadow above a fall of, L*", ("none", "50 or more"), "Some 3 can be seen."),
    "blocky_above": ("JPEG blocks above", ("none", "nothing else"), "Photos saved at quality 20 have 0.6 on average."),
    "enlarged_below": ("Little detail below", ("none", "all that fits"), "Photos enlarged twice have 0.66 on average."),
    "grey_below": ("No colour below a chroma of, C*", ("grey", "50 or more"), "Of the most colourful hundredth."),
    "framed_above": ("Border above a share of", ("none", "0.4 of the side"), "Of the frame’s side."),
    "collage_above": (
        "Collage above a seam of", ("none", "from edge to edge"), "The share of a line along which the picture steps.",
    ),
    "several_above": ("Several parts above", ("1", "20 or more"), "A pair of shoes has two."),
    "worded_above": ("Much text above a share of", ("none", "all of it"), "Of the frame, by text that was read."),
}  # fmt: skip


@dataclass(frozen=True)
class RuleLine:
    """One rule: whether it may speak and can be switched, and of how many undecided photos it speaks now and then."""

    name: RuleName
    title: str
    what: str
    suggests: Verdict
    is_switch: bool
    is_on: bool
    now: int
    then: int


@dataclass(frozen=True)
class LimitLine:
    """A limit over the histogram of its signal. `bars` are counts; `typed` is what its field holds, `untold` how many
    photos have no value."""

    name: str
    title: str
    what: str
    ends: tuple[str, str]
    value: float
    highest_value: float
    step: str
    typed: str
    usual: str
    bars: tuple[tuple[int, bool], ...]
    untold: int

    @property
    def untold_query(self) -> str:
        """The filter that shows the photos of which the signal cannot be told."""
        return f"{KEY_OF[LIMITS[self.name].signal]}:none"

    @property
    def highest(self) -> int:
        """The count of the highest bar, at least 1."""
        return max(1, *(count for count, _ in self.bars))

    @property
    def measured(self) -> int:
        """How many photos have a value."""
        return sum(count for count, _ in self.bars)


@dataclass(frozen=True)
class RulesView:
    """The rules page. `asked` is shown in the form; it is what is kept unless somebody tries something else.

    `refusal` says why what was typed cannot be, `other` who has set other rules since the form was opened. `history`
    are settings, who set them and where the limits lay.
    """

    catalog: Catalog
    expected_id: int
    asked: RuleSettings
    is_tried: bool
    refusal: str
    other: str
    rules: tuple[RuleLine, ...]
    kinds: dict[str, tuple[str, str]]
    limits: tuple[LimitLine, ...]
    undecided: int
    changed: int
    history: tuple[tuple[RuleSet, str, str], ...]
    job: Job | None


def read(session: Session, catalog: Catalog, fields: Fields, seen_id: int | None = None) -> RulesView:
    """The page with what `fields` of its form ask for; without any, with what is kept.

    `seen_id` are the settings that whoever saves has seen (0: none); None where nobody saves.
    """
    kept = rule_sets.current(session, catalog.id)
    saved = RuleSettings.from_json(kept.settings) if kept is not None else RuleSettings()
    asked, refusal = settings_in(fields, saved)
    is_other = seen_id is not None and kept is not None and kept.id != seen_id and asked != saved
    history = rule_sets.history(session, catalog.id)
    with one_look(session, catalog.id):
        counted = rulings.changes(session, catalog.id, asked)
        bars, photos = rulings.histograms(session, catalog.id), browse.count(session, Selection(catalog.id))
    return RulesView(
        catalog=catalog,
        expected_id=kept.id if kept is not None else 0,
        asked=asked,
        is_tried=asked != saved,
        refusal=refusal,
        other=history[0][1] if is_other else "",
        rules=tuple(
            RuleLine(
                name, *WORDS[name], SUGGESTS[name], name in SWITCHES + OPTIONAL, asked.is_on(name), counted.now[name],
                counted.then[name],
            )
            for name in NAMES
            if name in SWITCHES + OPTIONAL or asked.is_on(name) or counted.now[name]
        ),
        kinds=KINDS,
        limits=tuple(_limit(name, asked, fields, bars[name], photos) for name in LIMITS),
        undecided=counted.undecided,
        changed=counted.changed,
        history=tuple((row, name, _limits_of(row)) for row, name in history),
        job=rule_sets.under_way(session, catalog.id),
    )  # fmt: skip


def _limits_of(kept: RuleSet) -> str:
    """Where the limits lay in settings of any age: "empty below 3.0, small below 256, ..."."""
    there = ((name.replace("_", " "), limit, kept.settings.get(name)) for name, limit in LIMITS.items())
    return ", ".join(f"{name} {value:.{limit.places}f}" for name, limit, value in there if value is not None)


def settings_in(fields: Fields, saved: RuleSettings) -> tuple[RuleSettings, str]:
    """What the form's fields ask for, `saved` without a form; and why a value cannot be, if one cannot.

    Such a value stays as it is saved, all others are as the form has them: nothing else that was chosen is lost.
    """
    if "wants" not in fields:
        return saved, ""
    asked, refusal = saved, ""
    on = set(map(str, fields.getlist("on")))
    changes: list[Callable[[], dict[str, Any]]] = [
        lambda: {"off": frozenset(rule for rule in SWITCHES if rule not in on)},
        lambda: {"on": frozenset(rule for rule in OPTIONAL if rule in on)},
        lambda: {"wants": str(fields["wants"])},
        *(partial(_limit_in, fields, saved, name) for name in LIMITS),
    ]
    for change in changes:
        try:
            asked = replace(asked, **change())
        except Refused as refused:
            refusal = refusal or refused.sentence
    return asked, refusal


def written(name: str, value: float) -> str:
    """A limit as its field shows it."""
    return f"{value:.{LIMITS[name].places}f}"


def _limit_in(fields: Fields, saved: RuleSettings, name: str) -> dict[str, float]:
    """A limit as typed. One that is shown as the saved one is that, to all its places. Raises Refused."""
    limit = LIMITS[name]
    typed, before = str(fields.get(name, written(name, getattr(saved, name)))), getattr(saved, name)
    try:
        value = float(typed.strip().replace(",", "."))
    except ValueError:
        bounds = f"The limit of {limit.name} lies between 0 and {limit.highest:g}."
        raise Refused(f"“{typed}” is not a number. {bounds}") from None
    return {name: before if round(value, limit.places) == round(before, limit.places) else value}


def _limit(name: str, asked: RuleSettings, fields: Fields, counts: tuple[int, ...], photos: int) -> LimitLine:
    value = getattr(asked, name)
    title, ends, what = AXES[name]
    limit = LIMITS[name]
    middles = ((place + 0.5) / BINS * limit.highest for place in range(BINS))
    bars = tuple((count, (at > value) == limit.is_above) for count, at in zip(counts, middles, strict=True))
    typed, usual = str(fields.get(name, written(name, value))), written(name, limit.usual)
    step = f"{10**-limit.places:.{limit.places}f}"
    return LimitLine(name, title, what, ends, value, limit.highest, step, typed, usual, bars, photos - sum(counts))
