"""What a line of text in a photo is: a price, a watermark, or other text. Pure, by its words alone.

A price is a number with a currency or with cents. A watermark names a web address or a right, is a word that only
previews carry, or stands in the picture again and again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

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
# A word on a product stands there once or twice; a tiled mark stands everywhere.
REPEATED: Final = 4


def kinds(texts: Sequence[str]) -> list[Kind]:
    """The kind of each line of a picture, in their order."""
    often = Counter(_bare(text) for text in texts)
    return [_kind(text, often[_bare(text)]) for text in texts]


def _kind(text: str, times: int) -> Kind:
    if _MARK.search(text) or (times >= REPEATED and len(_bare(text)) >= 4):
        return "watermark"
    return "price" if _PRICE.search(text) else "text"


def _bare(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())
