"""What a shop's title says of the thing itself: without markup, article numbers, prices, advertising and emoji. Pure.

A caption names what a picture shows. "&amp;", "EAN 4006381333931", "SALE" or a flame are on no photo, and a model that
is trained on them draws them. The title in the catalog stays as the shop wrote it.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import Final

from app.captions.colour_words import listed

# Elements whose text nobody sees, and those that part words where they stand.
_UNSEEN_ELEMENTS: Final = frozenset({"script", "style", "template"})
_INLINE_ELEMENTS: Final = frozenset({"a", "b", "big", "em", "font", "i", "mark", "small", "span", "strong", "u"})
# Escaped once by the shop and once more by its export is common; more is a mistake of somebody else.
_DECODED_AT_MOST: Final = 3
_MARKUP: Final = re.compile(
    r"</?[a-zA-Z][^<>]*>|<!--|<!|&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);|&(?:nbsp|amp|quot|reg|copy)\b"
)
_CDATA: Final = re.compile(r"<!\[CDATA\[|\]\]>")
# A place that a shop's template left open.
_OPEN_PLACE: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\$\{.*?\}|%[A-Z_]+%")
# What programs and people write where there is no title.
_NO_TITLES: Final = listed("nan none null undefined untitled n/a tbd todo titel title")

_ADDRESS: Final = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+\.\w+")
_FILE_NAME: Final = re.compile(r"\S+\.(?:jpe?g|png|webp|tiff?|gif|bmp|heic|avif|psd)", re.IGNORECASE)
_MONEY: Final = r"(?:€|£|\$|¥|\b(?:EUR|USD|GBP|CHF|SEK|DKK|NOK|PLN|CZK|kr|zł)\b)"
_AMOUNT: Final = r"\d+(?:[.,]\d+)*(?:[.,]-+)?"
_PRICE: Final = re.compile(
    rf"\b(?:UVP|RRP|MSRP|AVP)\s*:?\s*{_MONEY}?\s*{_AMOUNT}\s*{_MONEY}?|"
    rf"(?:\b(?:only|nur|now|ab|from|statt|was)\s+)?(?:{_MONEY}\s*{_AMOUNT}|{_AMOUNT}\s*{_MONEY})",
    re.IGNORECASE,
)
_DISCOUNT: Final = re.compile(
    r"""
    (?: \b (?: up\ to | bis\ zu | jusqu['’]à | hasta | fino\ al? | tot ) \s+ )? [-–−]? \s* \d+ \s* % \s*
    (?: off | rabatt | reduziert | de\ (?:réduction|remise) | dto | descuento | (?:di\ )?sconto | korting | rea ) \b
    | (?<! [\w%] ) [-–−] \s* \d+ \s* %
    """,
    re.IGNORECASE | re.VERBOSE,
)
# A label of an article number takes the number behind it along.
_LABELLED: Final = re.compile(
    r"""
    \b (?:
        EAN | GTIN | UPC | JAN | ISBN | ASIN | SKU | MPN | PZN | Réf\.? | Ref\.? | Cod\.? | Best\.?-?Nr\.?
        | Art(?:ikel|icle)?\.? [\s-]* (?:Nr|No|Nummer|Number|Num) \.? | Modell? [\s-]* Nr\.?
        | Best(?:ell)?[\s.-]*(?:Nr|Nummer)\.? | (?:Item|Model|Part|Style) (?:\s+ (?:No|Number|Code) \.? | (?=\s?:))
        | N° \s? (?:d['’]article|de\ référence) | Nr\ kat\.? | Código | Codice (?:\s articolo)?
    )
    (?: [-\s]* (?:8|13|14) (?!\w) )? \s* [:\#.]? \s*
    (?= [\w/.-]* \d ) \w [\w/.-]*
    """,
    re.IGNORECASE | re.VERBOSE,
)
# An EAN or UPC as it stands beneath its bars: "4 006381 333931", "0 36000 29145 2".
_BARS: Final = re.compile(r"(?<!\S)\d\s\d{6}\s\d{6}(?!\S)|(?<!\S)\d\s\d{5}\s\d{5}\s\d(?!\S)")
_RATING: Final = re.compile(
    r"[⭐★☆]+\s*\d[.,]\d(?:/5)?|\(?\b\d+(?:[.,]\d+)?\s(?:reviews|ratings|Bewertungen|avis|reseñas|recensioni|opinii)\b\)?"
    r"|\b\d(?:[.,]\d)?\s(?:out\sof\s5|von\s5)(?:\s(?:stars|Sternen?))?\b",
    re.IGNORECASE,
)
_BRACKETS: Final = re.compile(r"\(\s*[-–|,;:/.]*\s*\)|\[\s*[-–|,;:/.]*\s*\]|\{\s*\}|【\s*】")
_UNITS: Final = [
    "mm",
    "cm",
    "dm",
    "m",
    "km",
    "ml",
    "cl",
    "dl",
    "l",
    "g",
    "kg",
    "mg",
    "oz",
    "lb",
    "lbs",
    "in",
    "inch",
    "ft",
    "v",
    "w",
    "kw",
    "kwh",
    "wh",
    "mah",
    "ah",
    "a",
    "hz",
    "khz",
    "ghz",
    "mhz",
    "gb",
    "tb",
    "mb",
    "mp",
    "px",
    "k",
    "d",
    "st",
    "pcs",
    "pc",
    "er",
    "ers",
    "pk",
    "pack",
    "teilig",
    "tlg",
    "th",
    "nd",
    "rd",
    "p",
    "s",
    "x",
    "h",
    "min",
    "°c",
    "°",
    "den",
    "gsm",
    "ply",
    "bar",
    "rpm",
    "lm",
    "db",
    "ct",
    "year",
    "years",
]
_MEASURE: Final = re.compile(
    rf"[\d.,/x×*-]+(?:{'|'.join(map(re.escape, _UNITS))})?(?:[x×*][\d.,]+(?:mm|cm|m|in)?)*",
    re.IGNORECASE,
)
# Advertising, whatever it stands beside.
_SLOGANS: Final = re.compile(
    r"""\b(?:
    today\ only | nur\ heute | last\ chance | letzte\ chance | nur\ für\ kurze\ zeit
    | buy\ (?:one|\d),?\ get\ (?:one|\d)\ free | \d\ for\ (?:the\ price\ of\ )?\d
    | (?:räumungs|sommer|winter)(?:schluss)?verkauf | tages[-\ ]?angebot
    | wochen[-\ ]?angebot | liquidación | vente\ flash | prix\ choc | svendita | okazja | wyprzedaz | výprodej | akciós
    | black\ friday | cyber\ monday | free\ (?:shipping|delivery|gift) | on\ sale | for\ sale | sale\ price | buy\ now
    | special\ (?:offer|price) | limited\ (?:time\ )?offer | best\ ?price | best\ ?sellers? | (?:hot|great)\ deal
    | while\ stocks\ last | new\ arrivals? | just\ in | clearance | (?:in|out\ of)\ stock | sold\ out | must[-\ ]have
    | gratis\ versand | versandkostenfrei | kostenloser\ versand | jetzt\ kaufen | nur\ noch\ wenige | bestpreis
    | (?:top|sonder)?[-\ ]?angebot | ausverkauf(?:t)? | schlussverkauf | livraison\ gratuite | soldes | envío\ gratis
    | rebajas | oferta | promoción | spedizione\ gratuita | offerta | promozione | gratis\ verzending | uitverkoop
    | aanbieding | wyprzedaż | promocja | tilbud
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# Advertising where it is shouted or set apart; elsewhere these are words: "New Balance", and Italian "sale" is salt.
_SHOUTS: Final = listed("""
    aktion bnwt deal deals discount free gratis hit hot korting mega neu neuheit new nieuw nouveau nouveauté nowość
    nuevo nuova nuovo ny oem offer outlet ovp promo promotion rabatt rea reduziert remise saldi sale solde super tip
    tipp top trend wow
""")
# Of these, the ones that a title may also list as what it is: "Shorts, Top".
_ALSO_THINGS: Final = frozenset({"top", "hit", "tip", "tipp", "ny", "hot", "free", "super", "mega", "trend"})
_KEYCAP: Final = re.compile("[0-9#*]\ufe0f?\u20e3")
_GAP: Final = re.compile(r"(\s+[-–—|/·•~]+\s+|[,;:|]\s+|\s*\|\s*)")
_EDGES: Final = " \t-–—|,;:/·•~_*+=<>^`¡¿&"
_SET_APART: Final = re.compile(r"^[\[({【*!<]+\s*([^\W\d_]+)\s*[\])}】*!>]*$|^([^\W\d_]+)!+$")


class _Reader(HTMLParser):
    """Collects the text that a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN_ELEMENTS
        self.parts.append("" if tag in _INLINE_ELEMENTS else " ")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in _UNSEEN_ELEMENTS))
        self.parts.append("" if tag in _INLINE_ELEMENTS else " ")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)


def seen_text(text: str) -> str:
    """A text as a browser shows it: without tags, entities read, white space as single spaces."""
    text = _CDATA.sub(" ", text)
    for _ in range(_DECODED_AT_MOST):
        if not _MARKUP.search(text):
            break
        reader = _Reader()
        reader.feed(text)
        reader.close()
        text = _CDATA.sub(" ", "".join(reader.parts))
    return " ".join(text.split())


def plain_title(title: str | None) -> str | None:
    """What a title says of the thing, or None where it says nothing: "KT-2041/B Kettle, SALE!" -> "Kettle"."""
    text = seen_text(title or "")
    for pattern in (_OPEN_PLACE, _ADDRESS, _FILE_NAME, _RATING):
        text = pattern.sub(" ", text)
    text = _without_pictographs(text)
    for pattern in (_LABELLED, _BARS, _DISCOUNT, _PRICE, _SLOGANS):
        text = pattern.sub(" ", text)
    # A sign of per cent means something behind a number only.
    words = re.sub(r"(?<![\d\s])%+|(?<!\d)\s%+|^%+", " ", _without_asides(text)).split()
    is_shouted = _is_upper(text)
    kept = [word for word in words if not _is_shout(word, is_shouted) and not _is_code(word)]
    text = _BRACKETS.sub(" ", re.sub(r"!+|\?{2,}|\*+|#(?=\w)|\.{2,}|…", " ", " ".join(kept)))
    text = re.sub(r"\s+([,;:.])", r"\1", re.sub(r"(?:\s[-–—|/·•~]+)+(?=\s)", " –", f" {text} "))
    text = " ".join(text.replace(" – ", " - ").split()).strip(_EDGES)
    text = _out_of_brackets(text)
    says_nothing = text.casefold() in _NO_TITLES or text.casefold() in _SHOUTS - _ALSO_THINGS
    return text if any(letter.isalpha() for letter in text) and not says_nothing else None


def _out_of_brackets(text: str) -> str:
    """Without the quotes or brackets around the whole."""
    around = re.fullmatch(r"[\[({\"“„«'](.+)[\])}\"”“»']", text)
    return around[1].strip() if around and not re.search(r"[\[\](){}\"“”„«»']", around[1]) else text


def _without_pictographs(text: str) -> str:
    """Without emoji, dingbats, trade marks and what joins them. A degree sign says something."""
    return "".join(
        letter
        for letter in unicodedata.normalize("NFC", _KEYCAP.sub(" ", text))
        if letter == "°" or not (unicodedata.category(letter) in ("So", "Cf", "Cn", "Co") or _joins_pictographs(letter))
    )


def _joins_pictographs(letter: str) -> bool:
    return "\ufe00" <= letter <= "\ufe0f" or letter == "\u20e3" or "\U0001f3fb" <= letter <= "\U0001f3ff"


def _without_asides(text: str) -> str:
    """Without the pieces between separators that are advertising and nothing else: "Red mug - Sale"."""
    pieces = _GAP.split(text)
    asides = [
        bool(words := re.findall(r"[^\W\d_]+", piece.casefold())) and set(words) <= _SHOUTS - _ALSO_THINGS
        for piece in pieces
    ]
    if len(pieces) == 1:
        return text
    return "".join("" if is_aside else piece for piece, is_aside in zip(pieces, asides, strict=True))


def _is_upper(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and all(letter.isupper() for letter in letters)


def _is_shout(word: str, is_all_shouted: bool) -> bool:
    """Whether a word is advertising: set apart ("[Sale]", "Neu!"), or in capitals where the others are not."""
    if apart := _SET_APART.match(word):
        return (apart[1] or apart[2]).casefold() in _SHOUTS
    bare = word.strip(_EDGES + ".!?()[]")
    folded = bare.casefold()
    if folded not in _SHOUTS:
        return False
    is_unmistakable = folded in ("sale", "promo", "saldi", "soldes")
    return bare.isupper() and (is_unmistakable or not is_all_shouted)


def _is_code(word: str) -> bool:
    """Whether a word is an article number: five digits or more alone, or capitals and digits mixed, and no measure."""
    bare = word.strip(_EDGES + ".,!?()[]#\"'")
    digits = sum(letter.isdigit() for letter in bare)
    if bare.replace("-", "").isdigit():
        return digits >= 5
    letters = [letter for letter in bare if letter.isalpha()]
    if digits < 2 or len(bare) < 5 or not letters or not all(letter.isupper() for letter in letters):
        return False
    return _MEASURE.fullmatch(bare) is None
