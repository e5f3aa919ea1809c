"""What a caption says is written on its photo, held against what was read there. Pure: texts in, claims out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

_QUOTED: Final = re.compile(r"[“\"«„]([^“”\"«»„]{2,60})[”\"»“]|(?<!\w)[‘']([^‘’']{2,60})[’'](?!\w)")
# "labelled ACME", "reads Fresh Mint", "with an Acme logo": a name begins with a capital letter.
_NAME: Final = r"((?:[A-Z0-9][\w&’'.-]*)(?:\s+(?:&\s+)?[A-Z0-9][\w&’'.-]*){0,3})"
_SAYS: Final = re.compile(
    r"\b(?:reads|reading|says|saying|label+ed|lettered|marked|inscribed|branded|"
    r"(?:the )?(?:words?|text|lettering|inscription)"
    rf"(?: that (?:says|reads))?)\s+{_NAME}"
)
_LOGO: Final = re.compile(rf"{_NAME}(?:’s|'s)?\s+(?:logo|branding|wordmark|lettering|brand name)\b")
_NOTHING: Final = re.compile(
    r"\b(?:no|without(?: any)?|free of)\s+(?:visible\s+)?(?:text|lettering|writing|words|logo|branding)\b"
    r"|\bunbranded\b",
    re.IGNORECASE,
)
# A reading differs in a letter or two from what is written: 0.75 of the letters in the same order pass for the same.
_ALIKE: Final = 0.75
# So many lines are shown of what was read.
FEW_LINES: Final = 3
# So many letters and fewer are found in a reading, or lost from it, by chance.
SHORTEST: Final = 2


def text_said(caption: str, brand: str | None) -> list[str]:
    """What the caption says is written on the photo: quoted, named as a label or a logo, or the catalogue's brand."""
    quoted = [first or second for first, second in _QUOTED.findall(caption)]
    plain = _QUOTED.sub(" ", caption)
    named = [name for pattern in (_SAYS, _LOGO) for name in pattern.findall(plain)]
    said = [text.strip(" .,;!") for text in [*quoted, *named]]
    if brand and _letters(brand) and f" {_words(brand)} " in f" {_words(caption)} ":
        said.append(brand.strip())
    return list(dict.fromkeys(text for text in said if len(_letters(text)) > 1))


def says_nothing_is_written(caption: str) -> bool:
    """Whether the caption says that no text stands on the photo."""
    return _NOTHING.search(caption) is not None


def is_read(text: str, lines: Sequence[str]) -> bool:
    """Whether a text is among the lines that were read, but for a misread letter: in one line or over several."""
    wanted = _letters(text)
    runs = [_letters(line) for line in lines]
    if wanted in "".join(runs):
        return True
    words = [word for line in lines for word in _words(line).split()]
    wide = max(1, len(text.split()))
    runs += ["".join(words[start : start + wide]) for start in range(len(words))]
    return any(SequenceMatcher(None, wanted, run).ratio() >= _ALIKE for run in runs if run)


def is_clear(text: str) -> bool:
    """Whether a text is long enough to be missed: a reading has two letters of anything, or drops them."""
    return len(_letters(text)) > SHORTEST


def names_read(caption: str, lines: Sequence[str]) -> set[str]:
    """What was read that may be a name: not what the caption says too ("apple", "vanilj"), nor dates and prices."""
    there = _words(caption).split()
    read = {_words(line) for line in lines if not any(map(str.isdigit, line)) and is_clear(line)}
    return {words for words in read if not all(is_read(word, there) for word in words.split())}


def is_partly_read(text: str, lines: Sequence[str]) -> bool:
    """Whether a word of the text was read, but for a misread letter; of one or two letters none counts."""
    return any(is_read(word, lines) for word in _words(text).split() if is_clear(word))


def _words(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.findall(r"[^\W_]+", "".join(each for each in folded if not unicodedata.combining(each))))


def _letters(text: str) -> str:
    return _words(text).replace(" ", "")
