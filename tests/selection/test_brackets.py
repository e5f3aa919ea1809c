"""And, or, not and brackets: what they mean, how they are kept, what they say, and where they are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.catalog.tables import Catalog, Image
from app.selection.kinds import NotUnderstood
from app.selection.query import Selection, parse
from app.selection.wording import sentence
from tests import cast


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("red or blue", "red || blue"),
        ("red or blue", "(red) OR (blue)"),
        ("red or blue", "red | blue"),
        ("red blue or green", "(red and blue) or green"),
        ("red and blue or green", "(red blue) or green"),
        ("red or blue green", "red or (blue green)"),
        ("not red blue", "-red blue"),
        ("not (red or blue)", "-red -blue"),
        ("not not red", "red"),
        ("not -red", "red"),
        ("-(category:lamps or colour:red)", "-category:lamps -colour:red"),
        ("category:lamps or category:mugs", "category:lamps,mugs"),
        ("not category:lamps", "-category:lamps"),
        ("NOT(red)", "-red"),
        ("((red))", "red"),
        ("(red blue) (fill:>1)", "fill:>1 red blue"),
        ("red and category:lamps && blue", "category:lamps red blue"),
        ("Kettle (red, small)", "Kettle red, small"),
        ("red or (blue or green)", "red or blue or green"),
        ("(file:(1) or red)", "red or file:(1)"),
        ("category:a and category:a", "category:a"),
    ],
)
def test_ways_of_typing_the_same(typed: str, same: str) -> None:
    one, other = parse(typed, 1), parse(same, 1)
    if {*one.asked.groups} == {*other.asked.groups}:
        assert one == other
    else:
        assert sorted(one.query.split(" or ")) == sorted(other.query.split(" or "))
    assert parse(one.query, 1) == one


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("(category:lamps or colour:red) -dress", "-dress (category:lamps or colour:red)"),
        ("category:lamps colour:red or dress", "(category:lamps colour:red) or dress"),
        ("not (category:lamps colour:red)", "-(category:lamps colour:red)"),
        ("fill:>10 and fill:<90", "fill:>10 (fill:<90)"),
        ("category:a and category:b", "category:a (category:b)"),
        ("red dress or mug", "(red dress) or mug"),
        ("not (red dress)", "-(red dress)"),
        ("a or b and (c or -(d e))", "a or (b (c or -(d e)))"),
        ('"or" or "(1)"', '"or" or "(1)"'),
    ],
)
def test_it_is_written_with_the_brackets_it_needs(typed: str, written: str) -> None:
    chosen = parse(typed, 1)
    assert chosen.query == written
    assert parse(written, 1) == chosen


def test_facets_and_acts_change_terms_and_keep_groups() -> None:
    chosen = parse("category:lamps (colour:red or dress) (fill:>10) -(note:none red)", 1)
    assert chosen.values("fill")
    assert chosen.toggled("category", "mugs").query.startswith("fill:>10 category:lamps,mugs (colour:red or dress)")
    assert chosen.narrowed(category=()).query == "fill:>10 (colour:red or dress) -(note:none red)"
    both = parse("category:a and category:b", 1)
    assert both.toggled("category", "a").query == "category:b"  # it needs no brackets any more


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("or red", 0, "joins two filters"),
        ("red or", 6, "A filter is missing"),
        ("red or or blue", 7, "joins two filters"),
        ("red and", 7, "A filter is missing"),
        ("red not", 4, "leaves out what stands behind it"),
        ("-or", 1, "joins two filters"),
        ("(red", 0, "never closed"),
        ("kettle (red or (blue)", 7, "never closed"),
        ("red)", 3, "never opened"),
        ("1) red", 1, "never opened"),
        ("()", 0, "nothing in these brackets"),
        ("(red or )", 8, "A filter is missing"),
        ("(category:)", 10, "needs a value"),
        ("red - (blue)", 4, "a minus right before them"),
        ("!(red)", 0, "a minus right before them"),
        ("red –(blue)", 4, "a minus right before them"),
        ("red(category:lamps)", 0, "at the beginning of a word"),
        ("red|blue", 0, "put it in quotes"),
        ("(" * 21 + "red" + ")" * 21, 20, "at most 20 deep"),
        ("fill:>1 fill:<9", 8, "is given twice"),
        (" or ".join(f"w{number}" for number in range(51)), 343, "at most 50 words"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(text: str, position: int, why: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        parse(text, 1)
    assert why in refusal.value.sentence
    assert refusal.value.position == position


@given(st.lists(st.sampled_from(["(", ")", "or", "and", "not", "-", "red", "category:a", "fill:>1", '"', " "])))
@settings(max_examples=300, deadline=None)
def test_any_row_of_signs_is_read_or_refused_with_a_place(signs: list[str]) -> None:
    text = " ".join(signs)
    try:
        chosen = parse(text, 1)
    except NotUnderstood as refusal:
        assert 0 <= refusal.position <= len(text)
    else:
        assert parse(chosen.query, 1) == chosen
        assert sentence(chosen, 2).endswith(".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category:Lamps or colour:red", "2 photos either in Lamps or with a red subject."),
        (
            "-dress (category:Lamps or colour:red)",
            "2 photos not mentioning “dress”, and either in Lamps or with a red subject.",
        ),
        (
            "category:Lamps colour:red or dress",
            "2 photos either (in Lamps and with a red subject) or mentioning “dress”.",
        ),
        (
            "(a or b) (red dress or mug)",
            "2 photos either mentioning “a” or mentioning “b”, and either (mentioning “red” and “dress”) or mentioning"
            " “mug”.",
        ),
        ("not (category:Lamps colour:red)", "2 photos not (in Lamps and with a red subject)."),
        ("decision:kept (mug or dress)", "2 kept photos either mentioning “mug” or mentioning “dress”."),
        (
            "(decision:kept by:rule) or mug",
            "2 photos either (that a rule suggests to keep) or mentioning “mug”.",
        ),
        (
            "fill:>10 and fill:<90",
            "2 photos longest side filling more than 10 %, and longest side filling less than 90 %.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_them(text: str, expected: str) -> None:
    assert sentence(parse(text, 1), 2) == expected


@pytest.fixture
def pile(session: Session) -> Catalog:
    """A red kettle, a brown shoe and a grey hat without a category."""
    pile = cast.catalog(session)
    cast.red_kettle(session, pile)
    cast.blurred_shoe(session, pile)
    cast.image(session, pile, title="Grey hat", category=None)
    session.flush()
    return pile


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("kettle or hat", {"Red kettle", "Grey hat"}),
        ("category:shoes or hat", {"Brown shoe", "Grey hat"}),
        ("(kettle or hat) -grey", {"Red kettle"}),
        ("not (kettle or hat)", {"Brown shoe"}),
        ("not (red kettle)", {"Brown shoe", "Grey hat"}),
        ("-(category:kettles red)", {"Brown shoe", "Grey hat"}),
        ("category:kettles and category:shoes", set()),
        ("kettle red or hat grey or shoe green", {"Red kettle", "Grey hat"}),
        ("not category:none", {"Red kettle", "Brown shoe"}),
    ],
)
def test_what_they_find(session: Session, pile: Catalog, text: str, titles: set[str]) -> None:
    assert set(session.scalars(parse(text, pile.id).select(Image.title))) == titles


def test_nothing_asked_is_everything() -> None:
    assert parse("", 1) == Selection(1)
    assert parse("  ", 1).is_everything
