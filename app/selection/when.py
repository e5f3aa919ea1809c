"""Kinds of keys that ask when something happened to a photo, and who did it."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select

from app.database import utc_now
from app.people import Person
from app.selection.kinds import NOTHING, Column, Key, NotUnderstood, seen_text

LATELY: Final = {"today": 1, "week": 7, "month": 30}
"""Names of the last days, today among them, and how many these are."""

_DATE = r"(?:19|2\d)\d\d(?:-\d\d?(?:-\d\d?)?)?"
_PERIOD = re.compile(rf"(?:(?P<sign>[<>])(?P<bound>{_DATE})|(?P<first>{_DATE})(?:\.\.(?P<last>{_DATE}))?)")


@dataclass(frozen=True, slots=True)
class Period:
    """Days in UTC, both included; None is open. `name` is one of `LATELY`, whose days move on."""

    first: date | None = None
    last: date | None = None
    name: str = ""

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.first and self.last:
            return f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"
        return f">{self.first - timedelta(1)}" if self.first else f"<{(self.last or date.max) + timedelta(1)}"

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """The moment it begins, and the one at which it is over; None is open."""
        first, last = self.first, self.last
        if self.name:
            first = utc_now().astimezone(UTC).date() - timedelta(LATELY[self.name] - 1)
        return _midnight(first), _midnight(last + timedelta(1) if last else None)


@dataclass(frozen=True, kw_only=True)
class When(Key):
    """The day of something, in UTC: a day, month or year, from one to another, before or after one, or lately."""

    instead: str = ""  # what asks who did it
    most: int = 1
    is_any: ClassVar[bool] = False
    example: ClassVar[str] = "2026-11-30, 2026-11, 2026-11-01..2026-11-15, >2026-11, <2026-11-15, today, week or month"

    def adds_up(self, is_not: bool) -> bool:
        return False

    def read(self, text: str, is_quoted: bool, position: int) -> Period | None:
        if text.lower() == NOTHING:
            return None
        if text.lower() in LATELY:
            return Period(name=text.lower())
        match = _PERIOD.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            if match["sign"]:
                first, last = _days(match["bound"])
                is_after = match["sign"] == ">"
                return Period(first=last + timedelta(1)) if is_after else Period(last=first - timedelta(1))
            first, last = _days(match["first"])[0], _days(match["last"] or match["first"])[1]
        except ValueError:
            who = f" Who did it asks {self.instead}:ana." if self.instead else ""
            raise NotUnderstood(f"“{text}” is not a date; write {self.example}.{who}", position) from None
        if first > last:
            raise NotUnderstood(f"In “{text}” the first day is behind the last one.", position)
        return Period(first, last)

    def in_order(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(values))

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        return or_(*(column.is_(None) if period is None else _within(column, period) for period in values))


@dataclass(frozen=True, kw_only=True)
class Who(Key):
    """A person, by the beginning of a part of their name or by their e-mail; `none` is nobody."""

    most: int = 20

    def read(self, text: str, is_quoted: bool, position: int) -> str | None:
        return None if text.lower() == NOTHING and not is_quoted else seen_text(text, position)

    def people(self, values: Sequence[Any]) -> Select[int]:
        """The numbers of those people, as a statement."""
        named = [
            or_(
                func.strpos(func.concat(" ", func.search_text(Person.name)), func.concat(" ", func.search_text(who)))
                > 0,
                Person.email == who.lower(),
            )
            for who in values
            if who is not None
        ]
        return select(Person.id).where(or_(false(), *named))

    def any_of(self, column: ColumnElement[Any] | Column, values: Sequence[Any]) -> ColumnElement[bool]:
        condition = column.in_(self.people(values))
        return or_(condition, column.is_(None)) if None in values else condition


def said(values: Sequence[Any], what: str) -> str:
    """A period in words: "decided after 2026-11-30"."""
    period: Period | None = values[0]
    if period is None:
        return f"never {what}"
    if period.name:
        return f"{what} {'today' if period.name == 'today' else f'within the last {LATELY[period.name]} days'}"
    if period.first and period.last:
        days = f"on {period.first}" if period.first == period.last else f"from {period.first} to {period.last}"
        return f"{what} {days}"
    return f"{what} {'after' if period.first else 'before'} {str(period)[1:]}"


def _days(text: str) -> tuple[date, date]:
    """The first and the last day of a year, month or day. Raises ValueError."""
    parts = [int(part) for part in text.split("-")]
    if len(parts) == 1:
        return date(parts[0], 1, 1), date(parts[0], 12, 31)
    if len(parts) == 2:
        first = date(parts[0], parts[1], 1)
        return first, first.replace(day=calendar.monthrange(*parts)[1])
    return date(*parts), date(*parts)


def _midnight(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None


def _within(column: ColumnElement[Any] | Column, period: Period) -> ColumnElement[bool]:
    begin, end = period.bounds
    limits = [column >= begin] if begin else []
    return and_(column.is_not(None), *limits, *([column < end] if end else []))
