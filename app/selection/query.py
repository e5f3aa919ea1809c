"""Selection: the one filter language over the photos of a catalog.

    decision:kept,unseen background:white sharpness:>0.42 -category:"T-shirts" caption:none summer -dress "pure white"

Query string <-> frozen `Selection` <-> SQL <-> a sentence with the exact count. Terms are joined by "and", values of
one term by "or"; a term behind a minus is left out; a value with a space, comma, colon or quote stands in double
quotes; `none` is a missing value; words without a key are beginnings of words in the title, category, description,
product, file name or current caption. Keys are declared in `keys`. `decision` asks what people decided, and with
`by:rule` what a rule suggests of photos that no person has seen.

Nothing that was typed means something else in silence: what looks like another language (`or`, `category=lamps`,
`NOT red`, `*ettle`, `–red`, `'red dress'`) is refused with its place and what to type here. In quotes everything is
plain text. What it looks like is told in `foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, select

from app.captions.tables import Caption
from app.catalog.tables import Image, Signals
from app.review.tables import Decision
from app.selection import foreign
from app.selection.keys import ASKED, KEYS, WORDS
from app.selection.kinds import Around, Key, Measure, NotUnderstood, OneOf
from app.selection.tables import PhotoIndex

# What a query may hold, for the database asks about every word and value. Photos picked one by one in the grid come as
# `id:`, which costs little and is not counted among the characters.
MAX_CHARACTERS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Term:
    """One key (or the words) with its values, in the order of the key's kind; `is_not`: these are left out."""

    key: str
    values: tuple[Any, ...]
    is_not: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter over one catalog: terms in the order of the keys, at most one of each key and sign; none is no limit."""

    catalog_id: int
    terms: tuple[Term, ...] = ()

    @property
    def query(self) -> str:
        """The selection in the filter language; `parse` gives back an equal selection."""
        return " ".join(_written(term) for term in self.terms)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is filtered."""
        return not self.terms

    def values(self, key: str, is_not: bool = False) -> tuple[Any, ...]:
        """The values chosen of a key, or those left out; empty where it limits nothing."""
        return next((term.values for term in self.terms if (term.key, term.is_not) == (key, is_not)), ())

    def is_wide(self, key: str) -> bool:
        """Whether another key's choice widens what this key asks about."""
        widening = ASKED[key].widening
        return widening is not None and widening.value in self.values(widening.key)

    def beside(self, key: str) -> Around:
        """What the condition of a key needs besides its own values."""
        partner = ASKED[key].partner
        return Around(self.catalog_id, self.values(partner) if partner else ())

    def toggled(self, key: str, value: str | None) -> Selection:
        """The same with one value of a listed facet taken in, or taken out where it was in.

        Taken in, it is no longer left out."""
        chosen, left_out = self.values(key), self.values(key, is_not=True)
        identity = ASKED[key].identity
        others = tuple(other for other in chosen if identity(other) != identity(value))
        if len(others) < len(chosen):
            return self.with_term(key, others)
        left_out = tuple(other for other in left_out if identity(other) != identity(value))
        return self.with_term(key, (*chosen, value)).with_term(key, left_out, is_not=True)

    def narrowed(self, **chosen: Sequence[Any]) -> Selection:
        """The same with these values chosen of these keys, in place of those that were."""
        narrowed = self
        for key, values in chosen.items():
            narrowed = narrowed.with_term(key, values)
        return narrowed

    def with_term(self, key: str, values: Sequence[Any], is_not: bool = False) -> Selection:
        """The same with these values of a key chosen, or left out; with none, the key limits nothing that way."""
        terms = {(term.key, term.is_not): term for term in self.terms}
        terms[key, is_not] = Term(key, ASKED[key].in_order(values), is_not)
        ordered = (terms.get((name, sign)) for name in ASKED for sign in (False, True))
        return replace(self, terms=tuple(term for term in ordered if term is not None and term.values))

    def clauses(self) -> dict[str, ColumnElement[bool]]:
        """The SQL condition of each key that limits something, on `PhotoIndex` alone, so that a facet can leave its own
        out and no statement has to join anything for it."""
        conditions: dict[str, list[ColumnElement[bool]]] = {}
        for term in self.terms:
            clause = ASKED[term.key].clause(term.values, term.is_not, self.is_wide(term.key), self.beside(term.key))
            conditions.setdefault(term.key, []).append(clause)
        return {key: and_(*both) for key, both in conditions.items()}

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
    terms: dict[tuple[str, bool], list[Any]] = {}
    position = _past_space(text, 0)
    while position < len(text):
        start = position
        is_not = _LEFT_OUT.match(text, position) is not None
        position += is_not
        if typed := _KEY.match(text, position):
            key = _key_named(typed[1], position)
            if isinstance(key, Measure) and (key.name, is_not) in terms:
                raise NotUnderstood(f"“{key.name}” is given twice.", start)
            values, position = _read_values(text, key, typed.end())
        else:
            key = WORDS
            bare = _BARE_WORD.match(text, position)
            if why := foreign.word(bare[0], text[position : position + 200]) if bare else "":
                raise NotUnderstood(why, start)
            word, _, position = _read_value(text, position, _BARE_WORD)
            values = [key.read(word, False, start)]
        given = terms.setdefault((key.name, is_not), [])
        given += values
        _refuse_too_many(key, given, start)
        position = _past_space(text, position)
    read = Selection(catalog_id)
    for (name, is_not), values in terms.items():
        read = read.with_term(name, values, is_not)
    # Measured as it is written down, so that what was understood once is understood again.
    if len(read.with_term("id", ()).with_term("id", (), is_not=True).query) > MAX_CHARACTERS:
        raise NotUnderstood(f"A filter has at most {MAX_CHARACTERS:,} characters.", min(MAX_CHARACTERS, len(text)))
    return read


# A minus before a key, a word, a quote or an emoji; one that stands alone or before signs is a sign like any other.
_LEFT_OUT = re.compile(r'-(?=[\w"“„«»「＂]|[^\x00-\x7f\s”])')
# Keyboards of other scripts write the colon, the comma and the quotes in their own way.
_KEY = re.compile(r"([^\W\d]\w*)[:：]")
_COMMAS: Final = (",", "，", "、", "،")
_QUOTED = re.compile(
    r'"((?:[^"\\]|\\.)*)"|[“„]([^“”„]*)[“”]|«([^«»]*)»|»([^«»]*)«|「([^「」]*)」|＂([^＂]*)＂', re.DOTALL
)
_QUOTES: Final = ('"', "“", "„", "«", "»", "「", "＂")
_CLOSING: Final = ("”", "」")
_BARE_VALUE = re.compile(r'[^\s",，、،“”„«»「」＂]+')
_BARE_WORD = re.compile(r'[^\s"“”„«»「」＂]+')
_SPACE = re.compile(r"\s*")
# What is read back as it stands. Signs that mean something elsewhere are written in quotes.
_PLAIN = re.compile(r"[^\s\",，、،:：\\“”„«»「」＂;|*?]+")


def _key_named(typed: str, position: int) -> Key:
    if typed.lower() not in KEYS:
        raise NotUnderstood(f"“{typed}” is not a filter.", position, tuple(KEYS))
    return KEYS[typed.lower()]


def _past_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _read_value(text: str, position: int, bare: re.Pattern[str]) -> tuple[str, bool, int]:
    """One value at `position`: its text, whether it was quoted, and where it ends."""
    is_quoted = text.startswith(_QUOTES, position)
    if is_quoted:
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            raise NotUnderstood("This quote is never closed.", position, ('"',))
        inside = quoted[quoted.lastindex or 1]
        value = re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL) if quoted.lastindex == 1 else inside
    else:
        quoted = bare.match(text, position)
        if quoted is None:
            what = "This quote was never opened." if text[position] in _CLOSING else "A value is missing here."
            raise NotUnderstood(what, position)
        value = quoted[0]
    if not value or "\0" in value:
        raise NotUnderstood("This value is empty or holds a null character.", position)
    return value, is_quoted, quoted.end()


def _read_values(text: str, key: Key, position: int) -> tuple[list[Any], int]:
    """The comma-separated values of a key from `position` on, and where they end."""
    values: list[Any] = []
    while True:
        if position >= len(text) or text[position].isspace():
            raise NotUnderstood(f"“{key.name}:” needs a value.", position, key.allowed)
        value, is_quoted, end = _read_value(text, position, _BARE_VALUE)
        if not is_quoted and (why := foreign.value(value, key)):
            raise NotUnderstood(why, position, key.allowed)
        values.append(key.read(value, is_quoted, position))
        if not text.startswith(_COMMAS, end):
            if is_quoted and not (end == len(text) or text[end].isspace()):
                raise NotUnderstood("Behind a value in quotes stands a space, or a comma and another value.", end)
            return values, end
        if isinstance(key, Measure):
            raise NotUnderstood(f"“{key.name}” takes one range.", end)
        position = end + 1


def _refuse_too_many(key: Key, values: Sequence[Any], position: int) -> None:
    if len(values) > key.most:
        many = f"A filter takes at most {key.most} words." if key is WORDS else None
        raise NotUnderstood(many or f"“{key.name}” takes at most {key.most:,} values.", position)


def _written(term: Term) -> str:
    key, sign = ASKED[term.key], "-" if term.is_not else ""
    if key is WORDS:
        return " ".join(sign + _quoted(word, key) for word in term.values)
    texts = [key.write(value) for value in term.values]
    return f"{sign}{key.name}:{','.join('none' if text is None else _quoted(text, key) for text in texts)}"


def _quoted(text: str, key: Key) -> str:
    """`text` as one value of a key: in quotes where it would not be read back as it stands."""
    is_plain = _PLAIN.fullmatch(text) is not None
    if key is WORDS:
        is_plain = is_plain and text[0].isalnum() and not foreign.word(text, text)
    elif not isinstance(key, OneOf):
        is_plain = is_plain and text.lower() != "none" and not foreign.value(text, key)
    return text if is_plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
