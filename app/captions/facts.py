"""A first caption from plain facts: what the catalogue says and what the pixels show, in one sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.captions import nouns
from app.captions.colour_words import COLOUR_WORDS, UNCOMPARED, may_name_a_colour, meaning, words_of
from app.captions.nouns import MATERIAL_WORDS
from app.captions.titles import plain_title, seen_text

VIEW_WORDS = ("three-quarter view", "front view", "side view", "back view", "top view", "detail view")

FRAMING_PHRASES = {
    "centred": "centred",
    "left of centre": "left of centre",
    "right of centre": "right of centre",
    "high": "high in the frame",
    "low": "low in the frame",
    "small in the frame": "small in the frame",
    "close up": "close up",
    "cropped at the edge": "cropped at the edge",
}


@dataclass(frozen=True, slots=True)
class CatalogueFacts:
    """What the catalogue says. `noun` is the bare thing ("kettle"); `title` replaces it in the sentence."""

    noun: str | None = None
    title: str | None = None
    material: str | None = None
    view: str | None = None


@dataclass(frozen=True, slots=True)
class MeasuredFacts:
    """What was measured: names from `catalog.colours`, and a framing from `name_framing`; None: cannot tell.

    `from_white` is how far the middle colour of the background lies from white, in CIE 1976, where a subject was told
    from it. `box` is the subject's, as there; `is_cropped`: whether the frame cuts it off. `parts` counts its separate
    parts (`Signals.parts`). `printed` are the lines of text that were read with certainty, `is_printed_on` whether all
    stand on the product; `brand` is what the catalogue calls the maker.
    """

    colour: str | None = None
    background: str | None = None
    framing: str | None = None
    box: tuple[float, float, float, float] | None = None
    is_cropped: bool | None = None
    parts: int | None = None
    printed: tuple[str, ...] | None = None
    is_printed_on: bool = False
    brand: str | None = None
    from_white: float | None = None


def read_catalogue(
    title: str | None, category: str | None = None, description: str | None = None, name: str | None = None
) -> CatalogueFacts:
    """Facts in a catalogue row's texts, with markup, article numbers and advertising left out (`titles`).

    The noun is the category's, or else the `name` that a rule took from the photo's path (`naming_rules`). A view
    counts wherever its words stand. A material counts in the title, and in the description where that says it of the
    whole thing ("in a steel finish", "made of brass", "cotton dress"), not of a part ("a matte shell").
    """
    plain, said = plain_title(title), seen_text(description or "").lower()
    texts = f"{(plain or '').lower()} {said}"
    noun = nouns.of_category(category) or name
    words = {*_words(plain or ""), *_materials_said(said, noun)}
    return CatalogueFacts(
        noun=noun,
        title=plain,
        material=next((word for word in MATERIAL_WORDS if word in words), None),
        view=next((view for view in VIEW_WORDS if view in texts), None),
    )


def name_framing(left: float, top: float, right: float, bottom: float, margin: float = 0.004) -> str:
    """A framing word from the subject's box, its edges as fractions 0..1 of the frame.

    A box within `margin` of any edge is cropped. Sizes compare the box's longer side with its frame side.
    """
    if min(left, top, 1 - right, 1 - bottom) <= margin:
        return "cropped at the edge"
    return name_size(left, top, right, bottom) or name_place(left, top, right, bottom)


def name_size(left: float, top: float, right: float, bottom: float) -> str | None:
    """A word for how much of the frame a box takes, its longer side against that of the frame; None: neither."""
    longer = max(right - left, bottom - top)
    return "close up" if longer >= 0.885 else "small in the frame" if longer <= 0.46 else None


def name_place(left: float, top: float, right: float, bottom: float) -> str:
    """A word for where the middle of a box lies."""
    across, down = (left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5
    if max(abs(across), abs(down)) < 0.08:
        return "centred"
    if abs(across) >= abs(down):
        return "left of centre" if across < 0 else "right of centre"
    return "high" if down < 0 else "low"


def sentence(catalogue: CatalogueFacts, measured: MeasuredFacts) -> str:
    """One caption, for example "Red kettle, side view, centred on a pure white background.".

    A missing fact is left out; a colour or material that the title already says is not said again. With no fact at
    all the caption is "Product.".
    """
    clauses = [_subject(catalogue, measured.colour)]
    if catalogue.view:
        view = catalogue.view.lower()
        clauses.append(view if view.endswith("view") else f"{view} view")
    framing = FRAMING_PHRASES.get(measured.framing, measured.framing) if measured.framing else None
    place = f"on {_article(measured.background)} {measured.background} background" if measured.background else None
    if framing:
        clauses.append(f"{framing} {place}" if place else framing)
    elif place:
        clauses = [*clauses, place] if catalogue.view else [f"{clauses[0]} {place}"]
    text = ", ".join(clauses)
    return f"{text[0].upper()}{text[1:]}."


def colour_conflict(catalogue: CatalogueFacts, measured: MeasuredFacts) -> str | None:
    """A sentence when the title names another colour than the picture shows, else None."""
    said = [colour for word in words_of(catalogue.title or "") if (colour := meaning(word))]
    if not said or not measured.colour or measured.colour in UNCOMPARED:
        return None
    seen = measured.colour.split()[-1]
    if seen in said or frozenset({said[0], seen}) in NEIGHBOURS:
        return None
    return f"The title says {said[0]}, the picture looks {measured.colour}."


# Pairs that people name either way.
NEIGHBOURS = frozenset(
    map(
        frozenset,
        (
            ("grey", "gray"),
            ("blue", "navy"),
            ("blue", "teal"),
            ("green", "teal"),
            ("red", "maroon"),
            ("brown", "maroon"),
            ("white", "beige"),
            ("brown", "beige"),
            ("grey", "white"),
            ("grey", "black"),
            ("red", "orange"),
            ("yellow", "orange"),
            ("pink", "purple"),
            ("brown", "orange"),
            ("yellow", "beige"),
            ("black", "navy"),
        ),
    )
)


def _subject(catalogue: CatalogueFacts, colour: str | None) -> str:
    noun = _plain_case(catalogue.title, catalogue.noun) if catalogue.title else catalogue.noun or "product"
    said = set(_words(noun))
    first, _, rest = noun.partition(" ")
    # Two colours in one caption contradict each other, and in some languages nobody can tell whether a title names one.
    lead = [colour] if colour and not may_name_a_colour(noun) else []
    if not lead and first.lower() in COLOUR_WORDS and rest:
        lead, noun = [first], rest
    if catalogue.material and catalogue.material.lower() not in said:
        lead.append(catalogue.material.lower())
    return " ".join([*lead, noun])


def _plain_case(title: str, noun: str | None) -> str:
    """The title so that it can follow a colour: all in lower case where every word of it is plain.

    Plain are colours, materials, the words of the noun, and a title's only word. Else a plain first word is in lower
    case and the rest, a name, keeps its capitals.
    """
    words = title.strip().rstrip(".").split()
    plain = COLOUR_WORDS | set(MATERIAL_WORDS) | set((noun or "").split())
    if len(words) == 1 or all(word.lower() in plain for word in words):
        return " ".join(words).lower()
    first = words[0].lower() if words[0].lower() in plain else words[0]
    return " ".join([first, *words[1:]])


def _materials_said(description: str, noun: str | None) -> list[str]:
    """The materials that a description, in lower case, gives the whole thing."""
    thing = rf"|(?: {re.escape(noun)}\b)" if noun else ""
    return [
        word
        for word in MATERIAL_WORDS
        if re.search(rf"\b{word}(?: finish\b{thing})|\bmade (?:of|from) (?:[a-z]+ )?{word}\b", description)
    ]


def _article(name: str) -> str:
    return "an" if name[0].lower() in "aeio" else "a"


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
