"""Where a caption contradicts what was measured. Pure: text and facts in, findings out.

Conservative on purpose: a rule speaks only where the caption makes one clear claim and the measurement is clearly
another. Two colour words, an unmeasured background or an unknown phrase mean "cannot tell", which is no finding and is
told apart from agreement (`compared`). Framings, counts and what is said to be written are understood in English, the
captioners' language; colours, and the backgrounds they are given to, in those of `colour_words`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from app.captions.colour_words import COLOUR_WORDS, UNCOMPARED, listed, meaning, words_of
from app.captions.counted import count_said
from app.captions.facts import NEIGHBOURS, MeasuredFacts, name_place, name_size
from app.captions.printed import (
    FEW_LINES,
    is_clear,
    is_partly_read,
    is_read,
    names_read,
    says_nothing_is_written,
    text_said,
)

Kind = Literal["colour", "background", "framing", "count", "text"]
KINDS: Final[tuple[Kind, ...]] = ("colour", "background", "framing", "count", "text")

# Raised when other captions contradict than before, so that every caption is checked again.
RULES_VERSION: Final = 4

_BACKGROUND: Final = re.compile(
    r"\b(?:on|against|over|in front of|with)\s+(?:an?\s+|the\s+)?((?:[\w-]+\s+){1,5})(?:background|backdrop)\b"
)
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|[,;.]")
# The same in German, Dutch and the Scandinavian languages, and in the Romance ones, where the colour comes last.
_HINTERGRUND: Final = re.compile(
    r"\b(?:auf|vor|mit|op|voor|met|på|med|mot)\s+(?:ein\w*\s+|een\s+|en\s+|et\s+|ett\s+)?((?:\w+\s+){1,3})"
    r"(?:hintergrund|untergrund|achtergrond|bakgrund|bakgrunn|baggrund)\b"
)
_FONDO: Final = re.compile(
    r"\b(?:sur|devant|avec|sobre|con|en|em|com|su|di)\s+(?:un\w?\s+|um\s+|o\s+|el\s+|le\s+)?"
    r"(?:fond|arrière-plan|fondo|fundo|sfondo)\s+((?:\w+\s*){1,2})"
)
_BUSY_WORDS: Final = frozenset({"busy", "cluttered", "messy", "crowded"})
_PLAIN_WORDS: Final = frozenset({"plain", "pure", "clean", "seamless", "solid", "blank"})
# How far from white, in CIE 1976, the middle of a ground is that people call so: that of creased cloth, boards and
# tiles too, which are no one colour to a camera. The ends are those of the names' prototypes in `catalog.colours`, let
# out by 10 to 20 as lamps and shade move them; white cloth and tiles lay at 17 to 30 on the 76 photos for tuning.
_FROM_WHITE: Final = {
    "white": (0.0, 40.0), "beige": (5.0, 55.0), "grey": (12.0, 80.0), "pink": (12.0, 105.0), "yellow": (20.0, 105.0),
    "teal": (25.0, 90.0), "green": (15.0, 125.0), "purple": (20.0, 110.0), "blue": (12.0, 155.0),
    "orange": (40.0, 105.0), "brown": (40.0, 100.0), "red": (50.0, 120.0), "maroon": (60.0, 110.0),
    "navy": (55.0, 125.0), "black": (60.0, 105.0),
}  # fmt: skip
# "Pure white" is said of paper, not of white sheets.
_PURE_FROM_WHITE: Final = 15.0
_STEPS_APART: Final = frozenset({("white", "grey"), ("white", "dark grey"), ("black", "grey"), ("black", "light grey")})
# Under lamps a grey wall is as warm as a beige one.
_NEAR_GROUNDS: Final = frozenset({*NEIGHBOURS, frozenset({"grey", "beige"})})
# After these words a colour belongs to a part, not to the product.
_PART: Final = re.compile(r"\b(?:with|featuring|and its|has|having|mit|avec|con|com|met|med|z|ze|se|cu)\b|[,;.]")
# A shop's "Mug, colour: red" speaks of the mug.
_LABEL: Final = re.compile(
    r"[,;.] (?:colou?r|farbe|couleur|colore|kleur|färg|farve|farge|cor|kolor|barva|farba|szín|väri|culoare|renk|цвет)\b"
)
# "red wine", "green tea": with these nouns the word names a kind, not the colour that a camera sees.
_KIND_NOUNS: Final = listed("""
    beans beer bread cabbage chocolate curry delicious grape grapefruit grapes juice label lady lentils onion pepper
    rice salt sugar tea tuna wine bier bohnen brot kohl linsen pfeffer reis schokolade tee trauben wein zwiebel zwiebeln
    bonen kool peper rijst thee ui wijn te vin öl ris
""")
# "vin rouge", "té verde", "salsa verde": where the adjective follows.
_KIND_NOUNS_BEFORE: Final = listed("""
    bière chocolat chou haricots lentilles oignon pain poivre raisin riz sel thé vin arroz cerveza chocolate pan
    pimienta sal té uva uvas vino birra cioccolato pane pepe riso sale tè arrozes chá cerveja pimenta pão vinho salsa
    sauce mole pinot sauvignon chenin olives aceitunas film santa mont casa costa
""")
# Words of English alone. In a text with one of them a foreign colour word is part of a name: "a jar of pesto rosso".
_ENGLISH: Final = listed("the with and of for this that its by from featuring")
_FRAMINGS: Final = (
    "left of centre", "right of centre", "high in the frame", "low in the frame", "small in the frame", "close up",
    "cropped at the edge", "centred",
)  # fmt: skip
_WHOLE: Final = re.compile(
    r"\b(?:uncropped|fully visible|fully in (?:the )?frame|entirely in (?:the )?frame|not cropped)\b"
)
# "Cropped trousers" are whole.
_CROPPED: Final = re.compile(r"\b(?:cropped|cut off) (?:at|by)\b|\btightly cropped\b")
_SPELLINGS: Final = {"center": "centre", "centered": "centred", "close-up": "close up", "gray": "grey"}
_OFF_CENTRE: Final = frozenset({"left of centre", "right of centre", "high", "low"})
_OPPOSITES: Final = frozenset(
    map(
        frozenset,
        [
            ("left of centre", "right of centre"),
            ("high", "low"),
            ("close up", "small in the frame"),
            *[("centred", place) for place in _OFF_CENTRE],
        ],
    )
)


@dataclass(frozen=True, slots=True)
class CaptionClaim:
    """What a caption says of one thing beside what was measured of it; `is_contradicted`: that is clearly another."""

    kind: Kind
    says: str
    measured: str
    is_contradicted: bool = True

    @property
    def sentence(self) -> str:
        """For the person at the screen: "The caption says red, the picture looks blue."."""
        if self.kind == "background":
            return f"The caption says the background is {self.says}, it looks {self.measured}."
        if self.kind == "count":
            return f"The caption says {self.says}, the picture shows {self.measured}."
        if self.kind == "text":
            return f"The caption says {self.says} is written there, {self.measured} was read."
        return f"The caption says {self.says}, the picture looks {self.measured}."


def contradictions(caption: str, measured: MeasuredFacts) -> list[CaptionClaim]:
    """What `caption` says otherwise than `measured`: at most one finding for each kind."""
    return [claim for claim in claims(caption, measured) if claim.is_contradicted]


def compared(caption: str, measured: MeasuredFacts) -> tuple[Kind, ...]:
    """What of `caption` could be held against `measured`. Of the other kinds nobody can tell whether they agree."""
    return tuple(claim.kind for claim in claims(caption, measured))


def claimed(caption: str, brand: str | None) -> set[Kind]:
    """Whether the caption says how many there are, and whether something is written there, told or not."""
    kinds: set[Kind] = {"count"} if count_said(caption) is not None else set()
    return kinds | ({"text"} if says_nothing_is_written(caption) or text_said(caption, brand) else set())


def claims(caption: str, measured: MeasuredFacts) -> list[CaptionClaim]:
    """Everything in `caption` that could be held against `measured`, at most one claim of each kind."""
    said = _read(caption)
    held = (
        _colour(said.colour, measured.colour),
        _background(said.background, measured.background, measured.from_white),
        _framing(said, measured) if said.framings or said.whole or said.cut_off else None,
        _count(said.count, measured.parts) if said.count is not None else None,
        _written(caption, measured),
    )
    return [claim for claim in held if claim is not None]


@dataclass(frozen=True, slots=True)
class _Said:
    """What a caption says, whatever was measured: the colour of the product, as it says it and in English, the phrase
    of its background, its framings, words that the product is whole or cut off, and how many there are."""

    colour: tuple[str, str] | None
    background: str | None
    framings: tuple[str, ...]
    whole: str | None
    cut_off: str | None
    count: tuple[str, int] | None


@lru_cache(maxsize=8_192)
def _read(caption: str) -> _Said:
    """Read by itself, for a caption is held against its photo some times while many are changed, and is written for
    more than one: reading it is most of what that costs."""
    words = _TOKEN.findall(unicodedata.normalize("NFC", caption).lower())
    text, backgrounds = " ".join(_SPELLINGS.get(word, word) for word in words), list[str]()
    text = _LABEL.sub("", text)
    for pattern in (_BACKGROUND, _HINTERGRUND, _FONDO):
        backgrounds += [match.group(1).strip() for match in pattern.finditer(text)]
        text = pattern.sub(" ", text)
    framings = tuple(phrase for phrase in _FRAMINGS if phrase in text)
    whole, cut_off = _WHOLE.search(text), _CROPPED.search(text)
    return _Said(
        _colour_said(text), backgrounds[0] if len(backgrounds) == 1 else None, framings,
        whole and whole.group(0), cut_off and cut_off.group(0), count_said(caption),
    )  # fmt: skip


def _colour_said(text: str) -> tuple[str, str] | None:
    """The one colour that a text gives the product: its word, and what it means in English."""
    if len({english for _, english in _colours(text)}) != 1:
        return None
    before_parts = _PART.split(text, maxsplit=1)[0]
    said = _colours(before_parts)
    return said[0] if said and UNCOMPARED.isdisjoint(words_of(before_parts)) else None


def _colour(said: tuple[str, str] | None, measured: str | None) -> CaptionClaim | None:
    """The one colour that the caption gives the product, against the measured one."""
    if said is None or measured is None or measured in UNCOMPARED:
        return None
    word, english = said
    return CaptionClaim("colour", _in_english(word, english), measured, not _is_near(english, measured.split()[-1]))


def _colours(text: str) -> list[tuple[str, str]]:
    """The colour words of a text, each with the English colour it means."""
    words = words_of(text)
    is_english = not _ENGLISH.isdisjoint(words)
    around = zip(["", *words], words, [*words[1:], ""], strict=False)
    return [
        (word, english)
        for before, word, follower in around
        if (english := meaning(word))
        and not (is_english and word not in COLOUR_WORDS)
        and follower not in _KIND_NOUNS
        and before not in _KIND_NOUNS_BEFORE
    ]


def _in_english(words: str, english: str) -> str:
    return words if english in words.split() else f"{words} ({english})"


def _background(phrase: str | None, measured: str | None, from_white: float | None) -> CaptionClaim | None:
    """The one background that the caption names, against the measured one and how far from white that is."""
    if measured is None or phrase is None:
        return None
    words = phrase.split()
    colours = {colour for word in words if (colour := meaning(word))}
    is_said_busy = not _BUSY_WORDS.isdisjoint(words)
    is_said_plain = bool(colours) or not _PLAIN_WORDS.isdisjoint(words)
    if is_said_busy == is_said_plain or len(colours) > 1:
        return None
    if is_said_busy:
        return CaptionClaim("background", phrase, measured, is_contradicted=measured != "busy")
    colour = next(iter(colours), None)
    if measured == "busy":
        return _on_busy(phrase, colour, from_white)
    if colour is None:
        return CaptionClaim("background", phrase, measured, is_contradicted=False)
    # White, grey and black are neighbours on a product; as a background, only light grey passes for white, and only
    # dark grey for black.
    is_step_apart = (colour, measured) in _STEPS_APART
    is_near = _is_near(colour, measured.split()[-1], _NEAR_GROUNDS) and not is_step_apart
    return CaptionClaim("background", _in_english(phrase, colour), measured, not is_near)


def _on_busy(phrase: str, colour: str | None, from_white: float | None) -> CaptionClaim | None:
    """A plain background, where many colours were measured: of creased red cloth people say red, and plain.

    So it is contradicted where the colour cannot be the one in the middle of these, by how far that is from white; and
    where no product could be told from its ground, which one before plain white would have been.
    """
    if from_white is None:
        is_off = colour in (None, "white")
    elif colour is None:
        return None
    else:
        least, most = _FROM_WHITE[colour]
        most = _PURE_FROM_WHITE if colour == "white" and "pure" in phrase.split() else most
        is_off = not least <= from_white <= most
    if not is_off:
        return None
    said = _in_english(phrase, colour) if colour else phrase
    return CaptionClaim("background", said, f"busy, not {colour or 'plain'}")


def _framing(names: _Said, measured: MeasuredFacts) -> CaptionClaim | None:
    """The framing that the caption names, against an opposite one. Of several, the one that is contradicted.

    Where the subject's box is known, each word is held against its own measure: the place against where the middle
    lies, the size against how much of the frame it takes, and both apart from whether it is cropped.
    """
    said = [_framed(phrase, measured) for phrase in names.framings]
    cropped = measured.framing == "cropped at the edge" if measured.is_cropped is None else measured.is_cropped
    is_known = measured.is_cropped is not None or measured.framing is not None
    seen = "cropped at the edge" if cropped else "whole"
    if is_known and names.whole:
        said.append(CaptionClaim("framing", names.whole, seen, cropped))
    elif is_known and "cropped at the edge" not in names.framings and names.cut_off:
        said.append(CaptionClaim("framing", names.cut_off, seen, not cropped))
    held = [claim for claim in said if claim is not None]
    return next((claim for claim in held if claim.is_contradicted), held[0] if held else None)


def _framed(phrase: str, measured: MeasuredFacts) -> CaptionClaim | None:
    """One phrase of `_FRAMINGS` against its measure; None where that cannot be told."""
    name = phrase.removesuffix(" in the frame") if phrase.startswith(("high", "low")) else phrase
    seen = measured.framing
    if measured.box is not None and name != "cropped at the edge":
        is_size = name in ("close up", "small in the frame")
        if not is_size and measured.is_cropped:
            return None  # where the middle of what is cut off lies, nobody knows
        seen = name_size(*measured.box) if is_size else name_place(*measured.box)
    if seen is None:
        return None
    is_opposite = frozenset({name, seen}) in _OPPOSITES or (name == "cropped at the edge" and seen != name)
    return CaptionClaim("framing", phrase, seen, is_opposite)


def _count(said: tuple[str, int], parts: int | None) -> CaptionClaim | None:
    """How many things the caption says there are, against the separate parts of the subject.

    More parts than things contradict it. Of fewer nobody can tell: what is sold by twos and threes lies so that it
    touches, as all three such packshots did on which the rule was set.
    """
    word, number = said
    if not parts or parts < number:
        return None
    measured = "one piece" if parts == 1 else f"{parts} separate pieces"
    return CaptionClaim("count", word, measured, parts != number)


def _written(caption: str, measured: MeasuredFacts) -> CaptionClaim | None:
    """What the caption says is written there, against what was read. That nothing was read says nothing: small and
    drawn letters are missed; of one word among many lines nobody can tell, nor of one of two letters, nor of words of
    which some were read: the others are there in another type."""
    lines = measured.printed
    if lines is None:
        return None
    quoted = "nothing" if not lines else "“" + "”, “".join(lines[:FEW_LINES]) + "”"
    if says_nothing_is_written(caption):
        if lines and not measured.is_printed_on:
            return None
        return CaptionClaim("text", "that nothing", quoted, bool(lines))
    said = text_said(caption, measured.brand)
    if not said or not lines:
        return None
    missing = [text for text in said if not is_read(text, lines)]
    if not missing:
        return CaptionClaim("text", f"“{said[0]}”", f"“{said[0]}”", is_contradicted=False)
    clear = [text for text in missing if is_clear(text) and not is_partly_read(text, lines)]
    # Beside more words, one that was not read is no surprise: a logo is drawn more often than set.
    return CaptionClaim("text", f"“{clear[0]}”", quoted) if clear and len(names_read(caption, lines)) == 1 else None


def _is_near(first: str, second: str, near: Set[frozenset[str]] = NEIGHBOURS) -> bool:
    return first == second or frozenset({first, second}) in near
