"""Which words set some photos apart from the others: names for clusters, and what a lasso holds. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.catalog.spelling import label_key

# Words that captions are made of, where and on what a thing lies, and that name nothing.
_EMPTY: Final = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "background",
        "busy",
        "by",
        "centre",
        "centred",
        "close",
        "cropped",
        "edge",
        "filling",
        "fills",
        "for",
        "frame",
        "from",
        "front",
        "has",
        "high",
        "image",
        "in",
        "is",
        "it",
        "its",
        "left",
        "low",
        "no",
        "of",
        "off",
        "on",
        "or",
        "photo",
        "picture",
        "plain",
        "product",
        "pure",
        "right",
        "scene",
        "seen",
        "shown",
        "side",
        "slightly",
        "small",
        "subject",
        "that",
        "the",
        "there",
        "this",
        "to",
        "up",
        "view",
        "white",
        "with",
        "without",
    ]
)
# A shade says nothing without its colour: "light grey" is one word.
_WORD: Final = re.compile(r"(?:(?:bright|dark|deep|light|pale) )?[^\W\d_][\w’'-]+", re.IGNORECASE)
COMMON: Final = 0.2


@dataclass(frozen=True, slots=True)
class WordShare:
    """A word and the share of some photos whose texts hold it, 0 to 1."""

    word: str
    share: float


def words_of(texts: Iterable[str | None]) -> set[str]:
    """The telling words of one photo's texts, in small letters."""
    words = {label_key(word) for text in texts if text for word in _WORD.findall(text)}
    return {word for word in words if word.rpartition(" ")[2] not in _EMPTY}


def counted(photos: Iterable[Collection[str]]) -> Counter[str]:
    """How many photos have each word."""
    return Counter(word for words in photos for word in words)


def telling(inside: Mapping[str, int], photos: int, everywhere: Mapping[str, int], total: int) -> Sequence[WordShare]:
    """Words by how much they tell of these photos: common in them, and commoner than in all (the word's share times the
    logarithm of how much greater it is than everywhere). Where all photos are these, by how common they are."""
    scores = {}
    for word, count in inside.items():
        share, usual = count / photos, max(everywhere.get(word, 0), count) / total
        scores[word] = (share * math.log(share / usual) if photos < total else share, share)
    kept = sorted((word for word in scores if scores[word][0] > 0), key=lambda word: (-scores[word][0], word))
    return [WordShare(word, scores[word][1]) for word in kept]


def named(words: Sequence[WordShare], taken: Collection[str] = ()) -> str:
    """A name out of the two most telling words that at least `COMMON` of the photos have, or nothing. Where another has
    that name it is told apart by a further word, as far as there is any."""
    kept: list[WordShare] = []
    for word in words:
        if not any(_are_one(word.word, other.word) for other in kept):
            kept.append(word)
    first = [word.word for word in kept if word.share >= COMMON][:2]
    if not first:
        return ""
    name = ", ".join(first)
    longer = (f"{name}, {word.word}" for word in kept if word.word not in first)
    return next((told_apart for told_apart in (name, *longer) if told_apart not in taken), name)


def _are_one(word: str, other: str) -> bool:
    """Whether one word is the other's plural, as English makes them."""
    short, long = sorted((word, other), key=len)
    return long in (short, f"{short}s", f"{short}es")
