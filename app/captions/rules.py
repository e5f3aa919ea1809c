"""Where a caption contradicts what was measured. Pure: text and facts in, findings out.

Conservative on purpose: a rule speaks only where the caption makes one clear claim and the measurement is clearly
another. Two colour words, an unmeasured background or an unknown phrase mean "cannot tell", which is no finding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from app.captions.facts import COLOUR_WORDS, NEIGHBOURS, MeasuredFacts

Kind = Literal["colour", "background", "framing"]

# Raised when other captions contradict than before, so that every caption is checked again.
RULES_VERSION: Final = 1

_BACKGROUND: Final = re.compile(
    r"\b(?:on|against|over|in front of|with)\s+(?:an?\s+|the\s+)?((?:[a-z-]+\s+){1,5})(?:background|backdrop)\b"
)
_BUSY_WORDS: Final = frozenset({"busy", "cluttered", "messy", "crowded"})
_PLAIN_WORDS: Final = frozenset({"plain", "pure", "clean", "seamless", "solid", "blank"})
# After these words a colour belongs to a part, not to the product.
_PART: Final = re.compile(r"\b(?:with|featuring|and its|has|having)\b|[,;.]")
# "red wine", "green tea": with these nouns the word names a kind, not the colour that a camera sees.
_KIND_NOUNS: Final = frozenset({
    "beans", "beer", "bread", "cabbage", "chocolate", "curry", "delicious", "grape", "grapefruit", "grapes", "juice",
    "label", "lady", "lentils", "onion", "pepper", "rice", "salt", "sugar", "tea", "tuna", "wine",
})  # fmt: skip
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


def contradictions(caption: str, measured: MeasuredFacts) -> list[Contradiction]:
    """What `caption` says otherwise than `measured`: at most one finding each for colour, background and framing."""
    text = " ".join(_SPELLINGS.get(word, word) for word in re.findall(r"[a-z]+(?:-[a-z]+)*|[,;.]", caption.lower()))
    backgrounds = [match.group(1).strip() for match in _BACKGROUND.finditer(text)]
    rest = _BACKGROUND.sub(" ", text)
    findings = [
        _colour(rest, measured.colour),
        _background(backgrounds, measured.background),
        _framing(rest, measured.framing),
    ]
    return [finding for finding in findings if finding is not None]


def _colour(text: str, measured: str | None) -> Contradiction | None:
    """The one colour that the caption gives the product, against the measured one."""
    if measured is None or len(set(_colours(text))) != 1:
        return None
    said = _colours(_PART.split(text, maxsplit=1)[0])
    if not said or _is_near(said[0], measured.split()[-1]):
        return None
    return Contradiction("colour", said[0], measured)


def _colours(text: str) -> list[str]:
    words = re.findall(r"[a-z-]+", text)
    pairs = zip(words, [*words[1:], ""], strict=False)
    return [word for word, follower in pairs if word in COLOUR_WORDS and follower not in _KIND_NOUNS]


def _background(phrases: list[str], measured: str | None) -> Contradiction | None:
    """The one background that the caption names, against the measured one."""
    if measured is None or len(phrases) != 1:
        return None
    phrase = phrases[0]
    words = phrase.split()
    colours = [word for word in words if word in COLOUR_WORDS]
    is_said_busy = not _BUSY_WORDS.isdisjoint(words)
    is_said_plain = bool(colours) or not _PLAIN_WORDS.isdisjoint(words)
    if is_said_busy == is_said_plain or len(set(colours)) > 1:
        return None
    if is_said_busy or measured == "busy":
        return None if is_said_busy and measured == "busy" else Contradiction("background", phrase, measured)
    if not colours:
        return None
    # White and grey are neighbours on a product; as a background, only light grey may pass for white.
    is_grey_for_white = colours[0] == "white" and measured in ("grey", "dark grey")
    is_near = _is_near(colours[0], measured.split()[-1]) and not is_grey_for_white
    return None if is_near else Contradiction("background", phrase, measured)


def _framing(text: str, measured: str | None) -> Contradiction | None:
    """The one framing that the caption names, against an opposite one."""
    said = [phrase for phrase in _FRAMINGS if phrase in text]
    if measured is None or len(said) != 1:
        return None
    name = said[0].removesuffix(" in the frame") if said[0].startswith(("high", "low")) else said[0]
    is_opposite = frozenset({name, measured}) in _OPPOSITES or (name == "cropped at the edge" and measured != name)
    return Contradiction("framing", said[0], measured) if is_opposite else None


def _is_near(first: str, second: str) -> bool:
    return first == second or frozenset({first, second}) in NEIGHBOURS
