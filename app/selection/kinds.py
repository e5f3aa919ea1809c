"""Kinds of keys in the filter language: how a value is read, what it asks of the database, and how it is written.

A key is a declaration (`app/selection/keys.py`) of one of these kinds over one column. Whatever the column's table, the
condition made of it is one on the photo's own row in the photo index: a condition that a statement does not join, which
would multiply its photos, cannot be declared.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.catalog.spelling import is_unseen, label_key
from app.catalog.tables import Image
from app.errors import Refused
from app.selection.tables import PhotoIndex, PhotoText

Column = InstrumentedAttribute[Any]
# Values in words, for one photo or for many: "on a white or plain background".
Say = Callable[[Sequence[Any], bool], str]

NOTHING: Final = "none"  # the word for an empty list, and for what is missing
CANNOT_TELL: Final = "cannot tell"
# Tables a key may ask about beside the photo index, and their column that names the photo.
_OTHERS: Final[dict[Any, str]] = {Image: "id", PhotoText: "image_id"}
_NUMBER = r"-?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_RANGE = re.compile(rf"(?:(?P<sign>[<>])(?P<bound>{_NUMBER})|(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER}))")


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
class Widening:
    """What a key asks about besides where the key `key` has chosen `value`: its values in `column` too."""

    key: str
    value: str
    column: Column


@dataclass(frozen=True, slots=True)
class Around:
    """What a condition needs besides its own values: the catalog, and the values chosen of the key's `partner`."""

    catalog_id: int = 0
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Key(ABC):
    """A key of the language: what it asks about, and its values in words. `most` values may be given.

    `sample` are values to explain it with.

    `title` is its name above the facet pane's choices; keys without one are no facet. Raises TypeError for a column
    of a table that no photo is known by.
    """

    name: str
    column: Column
    say: Say
    sample: tuple[Any, ...]
    say_left_out: Say | None = None
    title: str = ""
    is_closed: bool = False  # few people need this facet all the time, so it starts closed
    most: int = 200
    widening: Widening | None = None
    partner: str | None = None  # the key whose chosen values this one's are weighed against
    allowed: tuple[str, ...] = field(default=(), init=False)
    is_any: ClassVar[bool] = True
    """Whether its values are alternatives, so that one of them or another asks for both."""

    def __post_init__(self) -> None:
        if self.column.class_ not in (PhotoIndex, *_OTHERS):
            raise TypeError(f"{self.name}: {self.column} belongs to no table that a filter reads")
        columns = [self.column, *([self.widening.column] if self.widening else [])]
        if self.is_in_index and any(column.class_ is not PhotoIndex for column in columns):
            raise TypeError(f"{self.name}: facets are counted in the photo index, which has no {self.column}")

    def say_not(self, values: Sequence[Any], is_one: bool) -> str:
        """The values in words where they are left out: "not in Lamps or Mugs", unless the key says it otherwise."""
        return self.say_left_out(values, is_one) if self.say_left_out else f"not {self.say(values, is_one)}"

    @abstractmethod
    def read(self, text: str, is_quoted: bool, position: int) -> Any:
        """One value as it was typed. Raises NotUnderstood."""

    @abstractmethod
    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        """Whether `column` holds one of the values."""

    def holds(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        """What is asked of `column` where these values are chosen: one of them, unless a kind says otherwise."""
        return self.any_of(column, values)

    def adds_up(self, is_not: bool) -> bool:
        """Whether values asked for (or left out) one by one, joined by "and", are these values together."""
        return is_not

    def in_order(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Values once each, in an order that does not depend on how they were written."""
        return tuple(
            sorted(dict.fromkeys(values), key=lambda value: (value is None, value if value is not None else ""))
        )

    def identity(self, value: Any) -> Any:
        """What two values have in common that ask for the same."""
        return value

    def write(self, value: Any) -> str | None:
        """A value as text that `read` understands; None for a missing value."""
        return None if value is None else str(value)

    @property
    def is_in_index(self) -> bool:
        """Whether its column has to be one of the photo index, where facets are counted."""
        return bool(self.title or self.widening)

    def clause(
        self, values: Sequence[Any], is_not: bool = False, is_wide: bool = False, beside: Around = Around()
    ) -> ColumnElement[bool]:
        """The condition on a photo's row of `PhotoIndex`: the values chosen, or left out. Left out means every photo
        that choosing them would not give, so also one that was never measured. `is_wide`: its widening holds."""
        asked = self.any_of if is_not else self.holds
        if self.column.class_ is PhotoIndex:
            condition = asked(self.column, values)
            if is_wide and self.widening:
                condition = or_(condition, asked(self.widening.column, values))
            return condition.is_not(true()) if is_not else condition
        # An alias of its own: the statement may have the table already, for something else.
        other: Any = aliased(self.column.class_)
        rows = select(1).where(
            getattr(other, _OTHERS[self.column.class_]) == PhotoIndex.image_id,
            *([other.catalog_id == PhotoIndex.catalog_id] if self.column.class_ is Image else []),
            asked(getattr(other, self.column.key), values),
        )
        return ~rows.exists() if is_not else rows.exists()


@dataclass(frozen=True, kw_only=True)
class OneOf(Key):
    """One of few words of ours, each with its label in the facet pane."""

    choices: Mapping[str, str]

    def __post_init__(self) -> None:
        Key.__post_init__(self)
        object.__setattr__(self, "allowed", tuple(self.choices))

    def read(self, text: str, is_quoted: bool, position: int) -> str:
        if text.lower() not in self.choices:
            raise NotUnderstood(f"“{text}” is not a value of “{self.name}”.", position, self.allowed)
        return text.lower()

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return column.in_(values)

    def in_order(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(choice for choice in self.choices if choice in values)


@dataclass(frozen=True, kw_only=True)
class YesNo(OneOf):
    """Whether something holds, in a column that says so: `yes` or `no`."""

    choices: Mapping[str, str] = field(default_factory=lambda: {"yes": "Yes", "no": "No"})

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return column.in_([value == "yes" for value in values])


@dataclass(frozen=True, kw_only=True)
class SomeOf(OneOf):
    """Some of few words of ours, in a column that holds a list of them; `none` is an empty list.

    A photo may have several, so its facet is counted by itself and may lie outside of the photo index.
    """

    @property
    def is_in_index(self) -> bool:
        return False

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        there = column.overlap([value for value in values if value != NOTHING])
        return or_(there, column == []) if NOTHING in values else there


@dataclass(frozen=True, kw_only=True)
class Label(Key):
    """A name that people gave, or None where there is none (`none`; in quotes it is a name).

    `column` holds its `label_key`, so that spellings of one name are one; `spelling` the name as it was given.
    """

    spelling: Column
    missing: str = "None"

    def __post_init__(self) -> None:
        Key.__post_init__(self)
        if self.spelling.class_ is not self.column.class_:
            raise TypeError(f"{self.name}: {self.spelling} and {self.column} are of two tables")

    def read(self, text: str, is_quoted: bool, position: int) -> str | None:
        return None if text.lower() == "none" and not is_quoted else seen_text(text, position)

    def identity(self, value: Any) -> Any:
        return None if value is None else label_key(value)

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        condition = column.in_([label_key(value) for value in values if value is not None])
        return or_(condition, column.is_(None)) if None in values else condition


@dataclass(frozen=True, kw_only=True)
class Measure(Key):
    """A measured value in a range, or one that cannot be told (`none`). People see it from `bottom` to `top`, where the
    column holds `full`. A histogram ends at `end`, and its last bar has what lies beyond; None: at the top."""

    top: float = 1.0
    full: float = 1.0
    bottom: float = 0.0
    end: float | None = None
    ends: tuple[str, str]
    example: str = "0.4..0.9, >0.4 or <0.9"
    most: int = 1
    is_any: ClassVar[bool] = False

    def adds_up(self, is_not: bool) -> bool:
        return False

    @property
    def last(self) -> float:
        """Where its histogram ends, as people see it."""
        return self.top if self.end is None else self.end

    @property
    def bars_from(self) -> float:
        """The column's value at which its histogram begins."""
        return self.bottom * self.full / self.top

    @property
    def bars_over(self) -> float:
        """How far its histogram reaches, in the column's values."""
        return (self.last - self.bottom) * self.full / self.top

    def read(self, text: str, is_quoted: bool, position: int) -> Range | None:
        if text.lower() in (NOTHING, CANNOT_TELL):
            return None
        match = _RANGE.fullmatch(text)
        if match is None or ("-" in text and self.bottom == 0):
            raise NotUnderstood(f"“{text}” is not a range; write {self.example}.", position)
        bounds = [float(match[name]) for name in ("bound", "low", "high") if match[name]]
        if max(bounds) > self.top or min(bounds) < self.bottom:
            runs = f"{figure(self.bottom)} to {figure(self.top)}"
            raise NotUnderstood(f"“{self.name}” runs from {runs}; write {self.example}.", position)
        if match["sign"]:
            bound = round(float(match["bound"]), 6) + 0.0  # no zero is negative
            return Range(low=bound) if match["sign"] == ">" else Range(high=bound)
        low, high = round(float(match["low"]), 6) + 0.0, round(float(match["high"]), 6) + 0.0
        if low > high:
            raise NotUnderstood(f"In “{text}” the lower bound is above the upper one.", position)
        return Range(low, high)

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return or_(*(column.is_(None) if bounds is None else self._within(column, bounds) for bounds in values))

    def in_order(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values)

    def _within(self, column: ColumnElement[Any] | Column, bounds: Range) -> ColumnElement[bool]:
        unit = self.top / self.full
        if bounds.low is not None and bounds.high is not None:
            return column.between(bounds.low / unit, bounds.high / unit)
        return column > bounds.low / unit if bounds.low is not None else column < (bounds.high or 0.0) / unit


@dataclass(frozen=True, kw_only=True)
class Part(Key):
    """A part of a text of which `column` holds the `search_text`: in any letter case, with or without accents."""

    def read(self, text: str, is_quoted: bool, position: int) -> str:
        return seen_text(text, position)

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return or_(*(func.strpos(column, func.search_text(part)) > 0 for part in values))


@dataclass(frozen=True, kw_only=True)
class Number(Key):
    """Photos picked one by one, by their numbers. They cost little, so many may be given."""

    most: int = 10_000

    def read(self, text: str, is_quoted: bool, position: int) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise NotUnderstood(f"“{text}” is not the number of a photo.", position)
        return int(text)

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return column.in_(values)


@dataclass(frozen=True, kw_only=True)
class Words(Key):
    """Words without a key: each is the beginning of a word in the photo's texts; in a phrase the last one alone is.

    Signs part words; of a word that has nothing else, each sign has to be in the texts.
    """

    most: int = 50
    is_any: ClassVar[bool] = False

    def adds_up(self, is_not: bool) -> bool:
        return True

    def read(self, text: str, is_quoted: bool, position: int) -> str:
        return seen_text(text, position)

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return or_(*(column.op("@@")(func.search_query(word)) for word in values))

    def holds(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return and_(*(column.op("@@")(func.search_query(word)) for word in values))

    def in_order(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(values))


@dataclass(frozen=True, kw_only=True)
class Phrase(Key):
    """A word's beginning, or a phrase, in the words of one text."""

    most: int = 50

    def read(self, text: str, is_quoted: bool, position: int) -> str:
        return seen_text(text, position)

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return or_(*(column.op("@@")(func.search_query(phrase)) for phrase in values))


def figure(number: float) -> str:
    """A bound of a range as it is written: at most six places, none too many."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def seen_text(text: str, position: int) -> str:
    """`text`, unless nothing in it can be looked for. Raises NotUnderstood."""
    if is_unseen(text):
        raise NotUnderstood("There is no letter, digit or sign in this to look for.", position)
    return text
