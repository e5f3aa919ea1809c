"""What a line of text in a photo is: a price, a watermark, or other text. Pure, by its words and where they stand.

A price is a number with a currency or with cents. A watermark names a web address or a right, is a word that only
previews carry, or stands in the picture again and again.

**Tiled** text is read row by row: the tiles of a row come as one line, of the same letters again and again, or, where
the product behind them confuses the reader, as garbled lines that are garbled alike. So a line is of tiles that repeats
itself, and so is one that two others are much like, as high as it and `WIDE` at the least. Tuned on 12 real packshots
with tiles laid over them, 9 of which it told; none of 90 others (packshots, shelves, clothing; 30 November 2026) has
any. Untrusted readings count here: that they are alike says enough. Of 20 others, 15 tiled ones were told and no plain
one; two alike instead of three told no more. What `workers/lettering/tiled.py` read needs no such guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, Literal

from app.catalog.text_lines import TextLine

Kind = Literal["price", "watermark", "text"]
KINDS: Final[tuple[Kind, ...]] = ("price", "watermark", "text")

_CURRENCY: Final = r"(?:[€$£¥₹₽₺₩฿]|\b(?:eur|usd|gbp|chf|sek|nok|dkk|pln|czk|kr|zł|kč|rs|tl)\b\.?)"
_AMOUNT: Final = r"\d{1,3}(?:[ .,’']?\d{3})*(?:[.,:]\s?(?:\d{2}|-|–))?"
_PRICE: Final = re.compile(
    rf"{_CURRENCY}\s*{_AMOUNT}|{_AMOUNT}\s*{_CURRENCY}"
    r"|(?<![\d.,])\d{1,4}[.,]\s?(?:\d{2}|[-–])(?![\d.,]*(?:\s*(?:[%‰×°]|(?:x|mm|cm|m|ml|cl|l|g|kg|oz|lb|kcal|kj|v|w|ghz|vol)\b)|\d))",
    re.IGNORECASE,
)
_MARK: Final = re.compile(
    r"©|\(c\)|\bcopyright\b|\ball rights reserved\b|\b(?:https?:|www\.)"
    r"|\b[a-z0-9-]{3,}\.(?:com|net|org|shop|store|photo|photos|example|de|co\.uk|fr|it|es|nl|pl|se|dk|no|fi|eu|ch|at|cn|jp)\b"
    r"|\b(?:watermark|sample|preview|proof|specimen|do not copy|stock ?photo|shutterstock|istock|alamy|dreamstime"
    r"|depositphotos|gettyimages|getty images|adobe stock|123rf)\b",
    re.IGNORECASE,
)
# A word on a product stands there once or twice; a tiled mark stands everywhere, and as high everywhere.
REPEATED: Final = 4
# A line repeats itself from so many times on, by so many of its letters, in steps of four letters or more.
TIMES_IN_LINE: Final = 2.4
SAME_IN_LINE: Final = 0.75
ROWS: Final = 3
ALIKE: Final = 0.65
WIDE: Final = 0.3
_LONG: Final = 8  # letters of a row; of shorter ones many are alike by chance
_AS_HIGH: Final = 1.6


def kinds_of(lines: Sequence[TextLine]) -> list[Kind | None]:
    """The kind of each line of a picture, in their order; None for a reading that is not trusted and of no tile."""
    often = [sum(_is_same(line, other) for other in lines if other.is_trusted) for line in lines]
    by_words: list[Kind | None] = [
        _kind(line.text, times) if line.is_trusted else None for line, times in zip(lines, often, strict=True)
    ]
    return ["watermark" if is_tile else kind for kind, is_tile in zip(by_words, are_tiles(lines), strict=True)]


def are_tiles(lines: Sequence[TextLine]) -> list[bool]:
    """Whether each line of a picture is of a text that stands all over it."""
    rows = [
        line for line in lines if len(_bare(line.text)) >= _LONG and line.box[2] - line.box[0] >= WIDE and _high(line)
    ]
    alike = [[other for other in rows if _is_alike(line, other)] for line in rows]
    tiled = {id(line) for of_one in alike if len(of_one) >= ROWS for line in of_one}
    return [line.is_tiled or id(line) in tiled or repeats_itself(line.text) for line in lines]


def repeats_itself(text: str) -> bool:
    """Whether a text is of the same letters again and again, but for some that were misread."""
    bare = _bare(text)
    return any(
        sum(here == there for here, there in zip(bare, bare[step:], strict=False)) >= SAME_IN_LINE * (len(bare) - step)
        for step in range(4, int(len(bare) / TIMES_IN_LINE) + 1)
    )


def _is_alike(line: TextLine, other: TextLine) -> bool:
    if not _is_as_high(line, other):
        return False
    return SequenceMatcher(None, _bare(line.text), _bare(other.text), autojunk=False).ratio() >= ALIKE


def _is_same(line: TextLine, other: TextLine) -> bool:
    # On a shelf the same word stands on many products, near ones and far ones.
    return _bare(line.text) == _bare(other.text) and _is_as_high(line, other)


def _is_as_high(line: TextLine, other: TextLine) -> bool:
    return _high(line) / _AS_HIGH <= _high(other) <= _high(line) * _AS_HIGH


def _high(line: TextLine) -> float:
    return line.box[3] - line.box[1]


def _kind(text: str, times: int) -> Kind:
    if _MARK.search(text) or (times >= REPEATED and len(_bare(text)) >= 4):
        return "watermark"
    return "price" if _PRICE.search(text) else "text"


def _bare(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())
