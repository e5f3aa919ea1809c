"""Selection: the one filter language over the photos of a catalog.

    decision:kept,unseen background:white sharpness:>0.42 fill:75..96 category:"T-shirts" caption:none summer dress

Query string <-> frozen `Selection` <-> SQL <-> a sentence with the exact count. Terms are joined by "and", values of
one term by "or"; a value with a space, comma, colon or quote stands in double quotes; `none` is a missing value; words
without a key are beginnings of words in the title, category, description, product, file name or current caption.
`decision` asks what people decided, and with `by:rule` what a rule suggests of photos that no person has seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import InstrumentedAttribute

from app.captions.tables import Caption
from app.catalog import notes
from app.catalog.tables import Image, Signals
from app.errors import Refused
from app.review import rules
from app.review.tables import Decision
from app.selection.tables import WORD_GAP, PhotoIndex, PhotoText

NO_NOTE: Final = "none"
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "decision": (*rules.VERDICTS, "unseen"),
    "by": ("person", "rule", "none"),
    "background": ("white", "plain", "scene", "cannot tell"),
    "caption": ("none", "captioner", "given", "person"),
    "rule": rules.NAMES,
    "note": (NO_NOTE, *notes.NAMES),
}
RANGES: Final[tuple[str, ...]] = ("sharpness", "fill")
TEXTS: Final = ("category", "colour", "product", "file")
# What a query may hold, for the database asks about every word and value. Photos picked one by one in the grid come as
# `id:`, which costs little and is not counted among the characters.
MAX_CHARACTERS: Final = 4_000
MAX_VALUES: Final = 200
MAX_WORDS: Final = 50
MAX_PICKED: Final = 10_000
KEYS: Final = (
    "decision", "by", "background", "sharpness", "fill", "category", "colour", "caption", "rule", "note", "product",
    "file",
    "id",
)  # fmt: skip

# What each listed facet is about.
COLUMNS: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "decision": PhotoIndex.verdict,
    "by": PhotoIndex.decided_by,
    "background": PhotoIndex.background,
    "category": PhotoIndex.category,
    "colour": PhotoIndex.colour,
    "caption": PhotoIndex.captioned_by,
    "rule": PhotoIndex.rule,
}


class NotUnderstood(Refused):
    """A query that does not parse: where (characters from the start, 0-based) and which words would be."""

    title = "This filter is not understood"

    def __init__(self, sentence: str, position: int, allowed: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.position = position
        self.allowed = tuple(allowed)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a measured value: both given, they are included (`75..96`); one alone is not (`>0.42`)."""

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{figure(self.low)}..{figure(self.high)}"
        return f">{figure(self.low)}" if self.low is not None else f"<{figure(self.high or 0.0)}"


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter over one catalog. Empty means no limit; in `category`, `colour` and `product` None means "missing".

    `sharpness` runs 0..1, `fill` is the share of the frame's side that the subject's longest side fills, in per cent.
    """

    catalog_id: int
    decision: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    background: tuple[str, ...] = ()
    sharpness: Range | None = None
    fill: Range | None = None
    category: tuple[str | None, ...] = ()
    colour: tuple[str | None, ...] = ()
    caption: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    note: tuple[str, ...] = ()
    product: tuple[str | None, ...] = ()
    file: tuple[str | None, ...] = ()
    id: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """The selection in the filter language; `parse` gives back an equal selection."""
        terms = [f"{key}:{_written(value)}" for key in KEYS if (value := getattr(self, key))]
        return " ".join(terms + [_quoted(word) for word in self.words])

    @property
    def is_everything(self) -> bool:
        """Whether nothing is filtered."""
        return self == Selection(self.catalog_id)

    def toggled(self, key: str, value: str | None) -> Selection:
        """The same with one value of a listed facet taken in, or taken out where it was in."""
        values = getattr(self, key)
        values = tuple(other for other in values if other != value) if value in values else (*values, value)
        return self.narrowed(**{key: _in_order(key, values)})

    def narrowed(self, **changes: Any) -> Selection:
        """The same with these fields set."""
        return replace(self, **changes)

    def clauses(self) -> dict[str, ColumnElement[bool]]:
        """The SQL condition of each field that limits something, by field, so that a facet can leave its own out."""
        conditions = {key: is_one_of(COLUMNS[key], values) for key in COLUMNS if (values := getattr(self, key))}
        if self.decision and "rule" in self.by:
            conditions["decision"] = or_(conditions["decision"], PhotoIndex.suggested.in_(self.decision))
        if self.sharpness:
            conditions["sharpness"] = _is_within(PhotoIndex.sharpness, self.sharpness, 1)
        if self.fill:
            conditions["fill"] = _is_within(PhotoIndex.fill, self.fill, 100)
        if self.note:
            conditions["note"] = _is_noted(self.note)
        if self.product:
            conditions["product"] = is_one_of(Image.product, self.product)
        if self.file:
            conditions["file"] = or_(*(Image.file_name.icontains(part or "", autoescape=True) for part in self.file))
        if self.id:
            conditions["id"] = Image.id.in_(self.id)
        if self.words:
            conditions["words"] = _has_words(self.words)
        return conditions

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        """`select(*columns)` over the matching photos; columns may be of Image, PhotoIndex, Signals, the current
        Caption and the current Decision, of which the last three may be missing (None)."""
        return joined(select(*columns)).where(PhotoIndex.catalog_id == self.catalog_id, *self.clauses().values())


def joined(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """`statement` over photos with their index row and, where there are any, signals, current caption and decision.

    PostgreSQL leaves out a joined table that the statement does not use.
    """
    return (
        statement.select_from(PhotoIndex)
        .join(Image, Image.id == PhotoIndex.image_id)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Caption, and_(Caption.image_id == Image.id, Caption.superseded_at.is_(None)))
        .outerjoin(Decision, and_(Decision.image_id == Image.id, Decision.superseded_at.is_(None)))
    )


def parse(text: str, catalog_id: int) -> Selection:
    """Read a query. Raises NotUnderstood with the position and the words allowed there, also when it is too long."""
    filters: dict[str, list[Any]] = {}
    position = _past_space(text, 0)
    while position < len(text):
        start = position
        if key := _KEY.match(text, position):
            name = key[1].lower()
            if name not in KEYS:
                raise NotUnderstood(f"“{key[1]}” is not a filter.", start, KEYS)
            if name in RANGES and name in filters:
                raise NotUnderstood(f"“{name}” is given twice.", start)
            values, position = _read_values(text, name, key.end())
            filters.setdefault(name, []).extend(values)
            _refuse_too_many(name, filters[name], start)
        else:
            word, _, position = _read_value(text, position, _BARE_WORD)
            filters.setdefault("words", []).append(word)
            _refuse_too_many("words", filters["words"], start)
        position = _past_space(text, position)
    ranges = {name: filters.pop(name)[0] for name in RANGES if name in filters}
    read = Selection(catalog_id).narrowed(
        **ranges, **{name: _in_order(name, values) for name, values in filters.items()}
    )
    # Measured as it is written down, so that what was understood once is understood again.
    if len(read.narrowed(id=()).query) > MAX_CHARACTERS:
        raise NotUnderstood(f"A filter has at most {MAX_CHARACTERS:,} characters.", min(MAX_CHARACTERS, len(text)))
    return read


_KEY = re.compile(r"([A-Za-z_]+):")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE_VALUE = re.compile(r'[^\s",]+')
_BARE_WORD = re.compile(r'[^\s"]+')
_SPACE = re.compile(r"\s*")
_NUMBER = r"\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}"
_RANGE = re.compile(rf"(?:(?P<sign>[<>])(?P<bound>{_NUMBER})|(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER}))")
_PLAIN = re.compile(r"[^\s\",:\\]+")


def _past_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _read_value(text: str, position: int, bare: re.Pattern[str]) -> tuple[str, bool, int]:
    """One value at `position`: its text, whether it was quoted, and where it ends."""
    if text.startswith('"', position):
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            raise NotUnderstood("This quote is never closed.", position, ('"',))
        value = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
    else:
        quoted = bare.match(text, position)
        if quoted is None:
            raise NotUnderstood("A value is missing here.", position)
        value = quoted[0]
    if not value or "\0" in value:
        raise NotUnderstood("This value is empty or holds a null character.", position)
    return value, text.startswith('"', position), quoted.end()


def _read_values(text: str, name: str, position: int) -> tuple[list[Any], int]:
    """The comma-separated values of the key `name` from `position` on, and where they end."""
    values: list[Any] = []
    while True:
        if position >= len(text) or text[position].isspace():
            raise NotUnderstood(f"“{name}:” needs a value.", position, CHOICES.get(name, ()))
        value, is_quoted, end = _read_value(text, position, _BARE_VALUE)
        values.append(_understood(name, value, is_quoted, position))
        if not text.startswith(",", end):
            return values, end
        if name in RANGES:
            raise NotUnderstood(f"“{name}” takes one range.", end)
        position = end + 1


def _refuse_too_many(name: str, values: Sequence[Any], position: int) -> None:
    if name == "words" and len(values) > MAX_WORDS:
        raise NotUnderstood(f"A filter takes at most {MAX_WORDS} words.", position)
    most = MAX_PICKED if name == "id" else MAX_VALUES
    if len(values) > most:
        raise NotUnderstood(f"“{name}” takes at most {most:,} values.", position)


def _understood(name: str, value: str, is_quoted: bool, position: int) -> Any:
    """`value` as the field `name` keeps it."""
    if name in CHOICES:
        if value.lower() not in CHOICES[name]:
            raise NotUnderstood(f"“{value}” is not a value of “{name}”.", position, CHOICES[name])
        return value.lower()
    if name in RANGES:
        return _read_range(name, value, position)
    if name == "id":
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise NotUnderstood(f"“{value}” is not the number of a photo.", position)
        return int(value)
    return None if value == "none" and not is_quoted and name != "file" else value


def _read_range(name: str, value: str, position: int) -> Range:
    match = _RANGE.fullmatch(value)
    if match is None:
        example = "75..96, >75 or <96" if name == "fill" else "0.4..0.9, >0.4 or <0.9"
        raise NotUnderstood(f"“{value}” is not a range; write {example}.", position)
    if match["sign"]:
        bound = round(float(match["bound"]), 6)
        return Range(low=bound) if match["sign"] == ">" else Range(high=bound)
    low, high = round(float(match["low"]), 6), round(float(match["high"]), 6)
    if low > high:
        raise NotUnderstood(f"In “{value}” the lower bound is above the upper one.", position)
    return Range(low, high)


def _in_order(key: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Values once each, in an order that does not depend on how they were written; words stay as they stand."""
    once = dict.fromkeys(values)
    if key == "words":
        return tuple(once)
    if key in CHOICES:
        return tuple(choice for choice in CHOICES[key] if choice in once)
    return tuple(sorted(once, key=lambda value: (value is None, value if value is not None else "")))


def figure(number: float) -> str:
    """A bound of a range as it is written: at most six places, none too many."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _written(value: Any) -> str:
    if isinstance(value, Range):
        return str(value)
    return ",".join("none" if choice is None else _quoted(str(choice), "none") for choice in value)


def _quoted(text: str, *reserved: str) -> str:
    """`text` as one value: in quotes where it would not be read back as it stands."""
    if _PLAIN.fullmatch(text) and text not in reserved:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_one_of(column: ColumnElement[Any] | InstrumentedAttribute[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether `column` holds one of `values`, where None stands for a missing value."""
    condition = column.in_([value for value in values if value is not None])
    return or_(condition, column.is_(None)) if None in values else condition


def _is_noted(names: Sequence[str]) -> ColumnElement[bool]:
    """Whether intake noted one of these of the photo, or nothing where `NO_NOTE` is among them."""
    noted = Image.notes.overlap([name for name in names if name != NO_NOTE])
    return or_(noted, Image.notes == []) if NO_NOTE in names else noted


def _has_words(words: Sequence[str]) -> ColumnElement[bool]:
    """Whether the photo's texts and current caption hold, for each of `words`, a word that begins so.

    In a phrase only the last word may be longer.
    """
    condition = and_(*(PhotoText.words.op("@@")(_tsquery(word)) for word in words))
    return PhotoIndex.image_id.in_(select(PhotoText.image_id).where(condition))


def _tsquery(word: str) -> ColumnElement[Any]:
    phrase = func.phraseto_tsquery(literal_column("'simple'"), func.regexp_replace(word, WORD_GAP, " ", "g"))
    return cast(func.nullif(cast(phrase, Text), "") + ":*", TSQUERY)


def _is_within(column: InstrumentedAttribute[Any], bounds: Range, unit: float) -> ColumnElement[bool]:
    if bounds.low is not None and bounds.high is not None:
        return column.between(bounds.low / unit, bounds.high / unit)
    return column > bounds.low / unit if bounds.low is not None else column < (bounds.high or 0.0) / unit
