"""The English dictionary that captions are held against: a list of words with how frequent each is, which comes in a
wheel (pyspellchecker, MIT) and is read when the first caption asks. 40 MB, a fifth of a second."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spellchecker import SpellChecker

# A rarer word is nobody's slip: of the trade's words, "hoodie" is one letter from "goodie" (428 in the list) and
# "gilet" from "filet" (1,534); of real slips, "straped" is from "strapped" (7,481).
FREQUENT: Final = 2_000
# The list is American. A British word is right where one of these makes an American one of it.
_BRITISH: Final = (
    ("our", "or"), ("tre", "ter"), ("tred", "tered"), ("is", "iz"), ("ys", "yz"), ("ll", "l"), ("ogue", "og"),
    ("ence", "ense"), ("ae", "e"), ("oe", "e"), ("grey", "gray"), ("tyre", "tire"), ("inium", "inum"),
    ("mould", "mold"), ("jewellery", "jewelry"), ("plough", "plow"), ("sceptic", "skeptic"), ("l", "ll"), ("mme", "m"),
)  # fmt: skip


@lru_cache(maxsize=50_000)
def meant(word: str) -> str | None:
    """The English word that a word in lower case is one letter from; None where it is right, or nobody can tell."""
    words = _words()
    if word in words or any(word.replace(british, american) in words for british, american in _BRITISH):
        return None
    correction = words.correction(word)
    return correction if correction and correction != word and words[correction] >= FREQUENT else None


@cache
def _words() -> SpellChecker:
    from spellchecker import SpellChecker  # slow to import, and only who writes needs it

    return SpellChecker(language="en", distance=1)
