"""Selection: the one filter language over the photos of a catalog.

    decision:kept,unseen background:white sharpness:>0.42 -category:"T-shirts" caption:none summer -dress "pure white"
    (category:lamps or colour:red) -dress -(by:rule or note:none)

Query string <-> frozen `Selection` <-> SQL <-> a sentence with the exact count. What stands side by side is joined by
"and", which binds tighter than "or"; values of one key by "or"; what is behind a minus or "not" is left out; brackets
hold together; a value with a space, comma, colon, bracket or quote stands in double quotes; `none` is a missing value;
words without a key are beginnings of words in the title, category, description, product, file name or current caption.
Keys are declared in `keys`. `decision` asks what people decided, and with `by:rule` beside it what a rule suggests of
photos that no person has seen.

Nothing that was typed means something else in silence: what looks like another language (`category=lamps`, `*ettle`,
`–red`, `'red dress'`) is refused with its place and what to type here. In quotes everything is plain text. What it
looks like is told in `foreign`; the grammar is in `reading`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, or_, select, true

from app.captions.tables import Caption
from app.catalog.tables import Image, Lettering, Signals
from app.review.tables import Decision
from app.selection.keys import ASKED
from app.selection.kinds import NotUnderstood
from app.selection.reading import read, refuse_too_many
from app.selection.tables import PhotoIndex
from app.selection.tree import AllOf, AnyOf, Node, Term, Without, alone, terms_in, together
from app.selection.writing import write

# What a query may hold, for the database asks about every word and value. Photos picked one by one in the grid come as
# `id:`, which costs little and is not counted among the characters.
MAX_CHARACTERS: Final = 4_000
_MOST_RANGES: Final = 50  # of one measure, in brackets
GROUPS: Final = "()"  # no key


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter over one catalog: plain terms in the order of the keys, at most one of each key and sign, and groups,
    which are all that cannot be said without brackets (see `tree`). Both hold together; none is no limit."""

    catalog_id: int
    terms: tuple[Term, ...] = ()
    groups: tuple[Node, ...] = ()

    @property
    def asked(self) -> AllOf:
        """All that is asked for, as one conjunction."""
        return AllOf(self.terms, self.groups)

    @property
    def query(self) -> str:
        """The selection in the filter language; `parse` gives back an equal selection."""
        return write(self.asked)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is filtered."""
        return not self.terms and not self.groups

    @property
    def every_term(self) -> Iterator[Term]:
        """Every term, those in brackets too."""
        return terms_in(self.asked)

    def values(self, key: str, is_not: bool = False) -> tuple[Any, ...]:
        """The values chosen of a key outside of brackets, or those left out; empty where it limits nothing."""
        return self.asked.values(key, is_not)

    def is_wide(self, key: str) -> bool:
        """Whether another key's choice widens what this key asks about."""
        return self.asked.is_wide(key)

    def asking(self, asked: AllOf) -> Selection:
        """The same catalog asked for something else."""
        return replace(self, terms=asked.terms, groups=asked.groups)

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
        others = [term for term in self.terms if (term.key, term.is_not) != (key, is_not)]
        return self.asking(together([*others, Term(key, ASKED[key].in_order(values), is_not)], self.groups))

    def clauses(self) -> dict[str, ColumnElement[bool]]:
        """The SQL condition of each key that limits something, and of all groups together by `GROUPS`, on `PhotoIndex`
        alone, so that a facet can leave its own out and no statement has to join anything for it."""
        conditions: dict[str, list[ColumnElement[bool]]] = {}
        for term in self.terms:
            conditions.setdefault(term.key, []).append(term_condition(term, self.asked, self.catalog_id))
        if self.groups:
            conditions[GROUPS] = [condition(group, self.catalog_id) for group in self.groups]
        return {key: and_(*both) for key, both in conditions.items()}

    def select(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        """`select(*columns)` over the matching photos; columns may be of Image, PhotoIndex, Signals, the current
        Caption and the current Decision, of which the last three may be missing (None)."""
        return joined(select(*columns)).where(PhotoIndex.catalog_id == self.catalog_id, *self.clauses().values())


def joined(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """`statement` over photos with their index row and, where there are any, signals, lettering, caption, decision.

    PostgreSQL leaves out a joined table that the statement does not use.
    """
    return (
        statement.select_from(PhotoIndex)
        .join(Image, Image.id == PhotoIndex.image_id)
        .outerjoin(Signals, Signals.image_id == Image.id)
        .outerjoin(Lettering, Lettering.image_id == Image.id)
        .outerjoin(Caption, and_(Caption.image_id == Image.id, Caption.superseded_at.is_(None)))
        .outerjoin(Decision, and_(Decision.image_id == Image.id, Decision.superseded_at.is_(None)))
    )


def parse(text: str, catalog_id: int) -> Selection:
    """Read a query. Raises NotUnderstood with the position and the words allowed there, also when it is too long."""
    selection = Selection(catalog_id).asking(read(text))
    given: Counter[tuple[str, bool]] = Counter()
    for term in selection.every_term:
        given[term.key, term.is_not] += len(term.values)
    for (name, _), values in given.items():
        refuse_too_many(ASKED[name], values, max(ASKED[name].most, _MOST_RANGES), len(text))
    # Measured as it is written down, so that what was understood once is understood again.
    if len(selection.with_term("id", ()).with_term("id", (), is_not=True).query) > MAX_CHARACTERS:
        raise NotUnderstood(f"A filter has at most {MAX_CHARACTERS:,} characters.", min(MAX_CHARACTERS, len(text)))
    return selection


def condition(asked: Node, catalog_id: int) -> ColumnElement[bool]:
    """The SQL condition of one part of a filter, on `PhotoIndex` alone."""
    if isinstance(asked, Term):
        return term_condition(asked, alone(asked), catalog_id)
    if isinstance(asked, Without):
        return condition(asked.part, catalog_id).is_not(true())
    if isinstance(asked, AnyOf):
        return or_(*(condition(part, catalog_id) for part in asked.parts))
    terms = [term_condition(term, asked, catalog_id) for term in asked.terms]
    return and_(*terms, *(condition(group, catalog_id) for group in asked.groups))


def term_condition(term: Term, around: AllOf, catalog_id: int) -> ColumnElement[bool]:
    """The SQL condition of one term, read beside the others of its conjunction."""
    key = ASKED[term.key]
    return key.clause(term.values, term.is_not, around.is_wide(term.key), around.beside(term.key, catalog_id))
