"""Selections for Hypothesis to draw: any key of the language, with any values, chosen or left out."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import strategies as st

from app.catalog.spelling import is_unseen
from app.selection.keys import ASKED
from app.selection.kinds import Key, Label, Measure, Number, OneOf, Range
from app.selection.labelled import Labelled
from app.selection.near import Inside
from app.selection.query import Selection
from app.selection.tree import Node, Term, either, left_out, plainest, together
from app.selection.when import LATELY, Period, When, Who

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: not is_unseen(text)
)


def ranges(top: float) -> st.SearchStrategy[Range]:
    """Any range within 0 to `top`, to six places."""
    figure = st.integers(0, round(top * 1_000_000)).map(lambda number: number / 1_000_000)
    return st.one_of(
        st.builds(Range, low=figure),
        st.builds(Range, high=figure),
        st.tuples(figure, figure).map(lambda pair: Range(min(pair), max(pair))),
    )


def periods() -> st.SearchStrategy[Period]:
    """Any days that can be typed."""
    day = st.dates(date(1900, 1, 2), date(2999, 12, 30))
    return st.one_of(
        st.builds(Period, first=day),
        st.builds(Period, last=day),
        st.tuples(day, day).map(lambda pair: Period(min(pair), max(pair))),
        st.sampled_from(list(LATELY)).map(lambda name: Period(name=name)),
    )


def values_of(key: Key, texts: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Any]:
    """Any value of this key."""
    if isinstance(key, OneOf):
        return st.sampled_from(key.allowed)
    if isinstance(key, Measure):
        return st.none() | ranges(key.top)
    if isinstance(key, Inside):
        return st.builds("{}-{}".format, st.sampled_from(["lasso", "cluster", "far"]), st.integers(1, 10**9 - 1))
    if isinstance(key, Labelled):
        # Spaces are tidied as they are read.
        name = texts.map(lambda text: " ".join(text.replace("=", " ").split())).filter(lambda text: not is_unseen(text))
        return st.just("none") | name | st.builds("{}={}".format, name, name)
    if isinstance(key, Number):
        return st.integers(0, 10**17)
    if isinstance(key, When):
        return st.none() | periods()
    return st.none() | st.just("none") | texts if isinstance(key, Label | Who) else st.just("none") | texts


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """Any key with up to three values, chosen or left out."""
    name = draw(st.sampled_from(list(ASKED)))
    key = ASKED[name]
    values = draw(st.lists(values_of(key), min_size=1, max_size=min(3, key.most)))
    return Term(name, key.in_order(values), draw(st.booleans()))


def trees(leaves: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Leaves joined by "and", "or", "not" and brackets, in the one form that a filter has."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: plainest(together((), parts))),
            st.lists(inner, min_size=2, max_size=3).map(either),
            inner.map(left_out),
        ),
        max_leaves=6,
    )


@st.composite
def selections(draw: st.DrawFn, catalog_id: int = 7) -> Selection:
    """Up to four terms, each with up to three values, and up to two groups."""
    plain = draw(st.lists(terms(), max_size=4))
    groups = draw(st.lists(trees(terms()), max_size=2))
    return Selection(catalog_id).asking(together(plain, groups))
