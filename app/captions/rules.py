"""Where a caption contradicts what was measured. Pure: text and facts in, findings out.

Conservative on purpose: a rule speaks only where the caption makes one clear claim and the measurement is clearly
another. Two colour words, an unmeasured background or an unknown phrase mean "cannot tell", which is no finding and is
told apart from agreement (`compared`). Framings are understood in English, the captioners' language; colours, and the
backgrounds they are given to, in those of `colour_words`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from app.captions.colour_words import COLOUR_WORDS, UNCOMPARED, listed, meaning, words_of
from app.captions.facts import NEIGHBOURS, MeasuredFacts

Kind = Literal["colour", "background", "framing"]
KINDS: Final[tuple[Kind, ...]] = ("colour", "background", "framing")

# Raised when other captions contradict than before, so that every caption is checked again.
RULES_VERSION: Final = 2

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
class Contradiction:
    """One claim of a caption against one measurement, both in words."""

    kind: Kind
    says: str
    measured: str

    @property
    def sentence(self) -> str:
        """For the person at the screen: "The caption says red, the picture looks blue."."""
        if self.kind == "background":
            return f"The caption says the background is {self.says}, it looks {self.measured}."
        return f"The caption says {self.says}, the picture looks {self.measured}."


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the caption says of one thing, and whether the measurement is clearly another."""

    kind: Kind
    says: str
    measured: str
    is_contradicted: bool


def contradictions(caption: str, measured: MeasuredFacts) -> list[Contradiction]:
    """What `caption` says otherwise than `measured`: at most one finding each for colour, background and framing."""
    return [
        Contradiction(claim.kind, claim.says, claim.measured)
        for claim in _claims(caption, measured)
        if claim.is_contradicted
    ]


def compared(caption: str, measured: MeasuredFacts) -> tuple[Kind, ...]:
    """What of `caption` could be held against `measured`. Of the other kinds nobody can tell whether they agree."""
    return tuple(claim.kind for claim in _claims(caption, measured))


def _claims(caption: str, measured: MeasuredFacts) -> list[_Claim]:
    words = _TOKEN.findall(unicodedata.normalize("NFC", caption).lower())
    text, backgrounds = " ".join(_SPELLINGS.get(word, word) for word in words), list[str]()
    text = _LABEL.sub("", text)
    for pattern in (_BACKGROUND, _HINTERGRUND, _FONDO):
        backgrounds += [match.group(1).strip() for match in pattern.finditer(text)]
        text = pattern.sub(" ", text)
    claims = (
        _colour(text, measured.colour),
        _background(backgrounds, measured.background),
        _framing(text, measured.framing),
    )
    return [claim for claim in claims if claim is not None]


def _colour(text: str, measured: str | None) -> _Claim | None:
    """The one colour that the caption gives the product, against the measured one."""
    if measured is None or measured in UNCOMPARED or len({english for _, english in _colours(text)}) != 1:
        return None
    before_parts = _PART.split(text, maxsplit=1)[0]
    said = _colours(before_parts)
    if not said or not UNCOMPARED.isdisjoint(words_of(before_parts)):
        return None
    word, english = said[0]
    return _Claim("colour", _in_english(word, english), measured, not _is_near(english, measured.split()[-1]))


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


def _background(phrases: list[str], measured: str | None) -> _Claim | None:
    """The one background that the caption names, against the measured one."""
    if measured is None or len(phrases) != 1:
        return None
    phrase = phrases[0]
    words = phrase.split()
    colours = {colour for word in words if (colour := meaning(word))}
    is_said_busy = not _BUSY_WORDS.isdisjoint(words)
    is_said_plain = bool(colours) or not _PLAIN_WORDS.isdisjoint(words)
    if is_said_busy == is_said_plain or len(colours) > 1:
        return None
    if is_said_busy or measured == "busy":
        return _Claim("background", phrase, measured, is_contradicted=is_said_busy != (measured == "busy"))
    if not colours:
        return _Claim("background", phrase, measured, is_contradicted=False)
    (colour,) = colours
    # White and grey are neighbours on a product; as a background, only light grey may pass for white.
    is_grey_for_white = colour == "white" and measured in ("grey", "dark grey")
    is_near = _is_near(colour, measured.split()[-1]) and not is_grey_for_white
    return _Claim("background", _in_english(phrase, colour), measured, not is_near)


def _framing(text: str, measured: str | None) -> _Claim | None:
    """The one framing that the caption names, against an opposite one."""
    said = [phrase for phrase in _FRAMINGS if phrase in text]
    if measured is None or len(said) != 1:
        return None
    name = said[0].removesuffix(" in the frame") if said[0].startswith(("high", "low")) else said[0]
    is_opposite = frozenset({name, measured}) in _OPPOSITES or (name == "cropped at the edge" and measured != name)
    return _Claim("framing", said[0], measured, is_opposite)


def _is_near(first: str, second: str) -> bool:
    return first == second or frozenset({first, second}) in NEIGHBOURS
