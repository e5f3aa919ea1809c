"""Selections for Hypothesis to draw: any key of the language, with any values, chosen or left out."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from app.catalog.spelling import is_unseen
from app.selection.keys import ASKED
from app.selection.kinds import Key, Label, Measure, Number, OneOf, Range
from app.selection.near import Inside
from app.selection.query import Selection

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


def values_of(key: Key, texts: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Any]:
    """Any value of this key."""
    if isinstance(key, OneOf):
        return st.sampled_from(key.allowed)
    if isinstance(key, Measure):
        return st.none() | ranges(key.top)
    if isinstance(key, Inside):
        return st.builds("{}-{}".format, st.sampled_from(["lasso", "cluster", "far"]), st.integers(1, 10**9 - 1))
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
