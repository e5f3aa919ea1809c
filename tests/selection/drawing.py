"""Selections for Hypothesis to draw: any key of the language, with any values, chosen or left out."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from app.catalog.spelling import is_unseen
from app.selection.keys import ASKED
from app.selection.kinds import Key, Label, Measure, Number, OneOf, Range
from app.selection.query import Selection

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: not is_unseen(text)
)
FIGURE = st.integers(0, 99_000_000).map(lambda number: number / 1_000_000)
RANGE = st.one_of(
    st.builds(Range, low=FIGURE),
    st.builds(Range, high=FIGURE),
    st.tuples(FIGURE, FIGURE).map(lambda pair: Range(min(pair), max(pair))),
)


def values_of(key: Key, texts: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Any]:
    """Any value of this key."""
    if isinstance(key, OneOf):
        return st.sampled_from(key.allowed)
    if isinstance(key, Measure):
        return RANGE
    if isinstance(key, Number):
        return st.integers(0, 10**17)
    return st.none() | st.just("none") | texts if isinstance(key, Label) else st.just("none") | texts


@st.composite
def selections(draw: st.DrawFn, catalog_id: int = 7) -> Selection:
    """Up to four terms, each with up to three values."""
    chosen = Selection(catalog_id)
    for name in draw(st.lists(st.sampled_from(list(ASKED)), max_size=4)):
        key = ASKED[name]
        values = draw(st.lists(values_of(key), min_size=1, max_size=min(3, key.most)))
        chosen = chosen.with_term(name, values, is_not=draw(st.booleans()))
    return chosen
