"""The shape of a filter: terms joined by "and", "or" and "not", brought into one form however they were typed. Pure.

A conjunction (`AllOf`) keeps plain terms, at most one of each key and sign, beside groups: alternatives, what is left
out as a whole, and a term that its key has already and cannot be put together with it. So what can be said without
brackets is kept without them, and facets and acts that change one term find it.

Some keys speak of what stands beside them: `by:rule` widens `decision`, `like` turns away from `unlike`. They mean the
terms of the same conjunction, never those outside of its brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from app.selection.keys import ASKED, WORDS
from app.selection.kinds import Around

_PLACES: Final = {name: place for place, name in enumerate(ASKED)}


@dataclass(frozen=True, slots=True)
class Term:
    """One key (or the words) with its values, in the order of the key's kind; `is_not`: these are left out."""

    key: str
    values: tuple[Any, ...]
    is_not: bool = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Alternatives, at least two, none of which is another `AnyOf`."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """What `part` holds is left out; a single term is left out by its own sign where that says the same."""

    part: Node


@dataclass(frozen=True, slots=True)
class AllOf:
    """Terms in the order of the keys, and groups in the order they were typed. `together` makes one."""

    terms: tuple[Term, ...] = ()
    groups: tuple[Node, ...] = ()

    def values(self, key: str, is_not: bool = False) -> tuple[Any, ...]:
        """The values chosen of a key, or those left out; empty where it limits nothing."""
        return next((term.values for term in self.terms if (term.key, term.is_not) == (key, is_not)), ())

    def is_wide(self, key: str) -> bool:
        """Whether another key's choice widens what this key asks about."""
        widening = ASKED[key].widening
        return widening is not None and widening.value in self.values(widening.key)

    def beside(self, key: str, catalog_id: int) -> Around:
        """What the condition of a key needs besides its own values."""
        partner = ASKED[key].partner
        return Around(catalog_id, self.values(partner) if partner else ())


Node = Term | AnyOf | Without | AllOf


def alone(term: Term) -> AllOf:
    """A term with nothing beside it."""
    return AllOf((term,))


def together(terms: Iterable[Term], groups: Iterable[Node]) -> AllOf:
    """Terms and groups joined by "and": what is in no need of brackets leaves them."""
    kept = {(term.key, term.is_not): term for term in terms if term.values}
    others: dict[Node, None] = {}
    waiting = list(groups)
    while waiting:
        part = plainest(first) if isinstance(first := waiting.pop(0), AllOf) else first
        if isinstance(part, AllOf) and all(_fits(term, kept) for term in part.terms):
            waiting[:0] = [*part.terms, *part.groups]
        elif not isinstance(part, Term):
            others[part] = None
        elif (there := kept.get((part.key, part.is_not))) is None:
            kept[part.key, part.is_not] = part
        elif part == there:
            continue
        elif _fits(part, kept):
            kept[part.key, part.is_not] = _with_values(there, part.values)
        else:
            others[part] = None
    ordered = sorted(kept, key=lambda place: (_PLACES[place[0]], place[1]))
    return AllOf(tuple(kept[place] for place in ordered), tuple(others))


def either(parts: Sequence[Node]) -> Node:
    """Alternatives; values of one key are told by one term where its values are alternatives themselves."""
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, AnyOf) else [part]
    kept: dict[Node, None] = {}
    for part in flat:
        same = next((other for other in kept if _are_alternatives(other, part)), None)
        if isinstance(part, Term) and isinstance(same, Term):
            merged = _with_values(same, part.values)
            kept = {merged if other is same else other: None for other in kept}
        else:
            kept[part] = None
    return next(iter(kept)) if len(kept) == 1 else AnyOf(tuple(kept))


def left_out(part: Node) -> Node:
    """What `part` does not hold."""
    if isinstance(part, Without):
        return part.part
    if _has_a_sign(part):
        return Term(part.key, part.values, not part.is_not)
    if isinstance(part, AnyOf) and all(_has_a_sign(inner) and not inner.is_not for inner in part.parts):
        return plainest(together((), [left_out(inner) for inner in part.parts]))
    return Without(part)


def plainest(part: AllOf) -> Node:
    """A conjunction of one part is that part."""
    everything = (*part.terms, *part.groups)
    return everything[0] if len(everything) == 1 else part


def terms_in(part: Node) -> Iterator[Term]:
    """Every term, wherever it stands."""
    if isinstance(part, Term):
        yield part
    elif isinstance(part, Without):
        yield from terms_in(part.part)
    else:
        for inner in part.parts if isinstance(part, AnyOf) else (*part.terms, *part.groups):
            yield from terms_in(inner)


def asked_for(part: Node) -> Iterator[tuple[Term, AllOf]]:
    """Every term that is not left out, with the conjunction it is read in."""
    if isinstance(part, Term):
        if not part.is_not:
            yield part, alone(part)
    elif isinstance(part, AnyOf):
        for inner in part.parts:
            yield from asked_for(inner)
    elif isinstance(part, AllOf):
        yield from ((term, part) for term in part.terms if not term.is_not)
        for inner in part.groups:
            yield from asked_for(inner)


def _fits(term: Term, kept: Mapping[tuple[str, bool], Term]) -> bool:
    there = kept.get((term.key, term.is_not))
    return there is None or there == term or ASKED[term.key].adds_up(term.is_not)


def _with_values(term: Term, values: Sequence[Any]) -> Term:
    return Term(term.key, ASKED[term.key].in_order((*term.values, *values)), term.is_not)


def _are_alternatives(part: Node, other: Node) -> bool:
    return (
        isinstance(part, Term) and isinstance(other, Term) and part.key == other.key
        and not part.is_not and not other.is_not and ASKED[part.key].is_any
    )  # fmt: skip


def _has_a_sign(part: Node) -> TypeGuard[Term]:
    """Whether turning the sign says the opposite; of words that are chosen all are asked for, left out each one is."""
    return isinstance(part, Term) and (part.key != WORDS.name or len(part.values) == 1)
