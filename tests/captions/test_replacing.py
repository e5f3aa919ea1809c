"""Find and replace in one text: whole words in every script, groups, what is protected, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.captions.replacing import Finder, FindReplace, replaced
from app.errors import Refused


def made(text: str, find: str, replacement: str = "", locked: tuple[str, ...] = (), **how: Any) -> str:
    finder = Finder(FindReplace(find, replacement, **how), locked, keeps_quoted=True)
    places = finder.places(text)
    assert finder.holds(text) == bool(places)
    return replaced(text, places)


@pytest.mark.parametrize(
    ("text", "find", "replacement", "expected"),
    [
        ("Cap, pink pink, pinkish.", "pink", "rose", "Cap, rose rose, pinkish."),
        ("Pink cap.", "pink", "rose", "Rose cap."),
        ("Café noir, cafés.", "café", "tea", "Tea noir, cafés."),
        ("A ref (a) here.", "(a)", "b", "A ref b here."),
        ("The image shows a red kettle.", "the image shows", "", "A red kettle."),
        ("Kettle, shiny, red.", "shiny", "", "Kettle,, red."),
        ("Kettle very , red.", "very", "", "Kettle, red."),
        ("Costs $1.", "$1", "$2", "Costs $2."),
    ],
)
def test_plain_words(text: str, find: str, replacement: str, expected: str) -> None:
    assert made(text, find, replacement) == expected


@pytest.mark.parametrize(
    ("text", "find", "replacement", "expected"),
    [
        ("Hot pink cap, pale pink.", "(light |pale |hot )?pink", "${1}rose", "Hot rose cap, pale rose."),
        ("A pink cap.", "(light )?pink", "$1rose", "A rose cap."),
        ("10 cm x 20 cm", r"(\d+) cm x (\d+) cm", "$2 x $1 cm, $$0, $0", "20 x 10 cm, $0, 10 cm x 20 cm"),
        ("Red, green.", "(?P<a>red), (?P<b>green)", "${b} and ${a}", "Green and Red."),
        ("Красный чайник", "чайник", "kettle", "Красный kettle"),
        ("aaa", "x*", "y", "aaa"),
    ],
)
def test_expressions(text: str, find: str, replacement: str, expected: str) -> None:
    assert made(text, find, replacement, is_expression=True) == expected


def test_protected_words_and_quotes_stay() -> None:
    text = 'Pink Lady apple, pink, “PINK” and "pink" on it.'
    assert made(text, "pink", "rose", ("pink lady",)) == 'Pink Lady apple, rose, “PINK” and "pink" on it.'
    holds = [place.hold for place in Finder(FindReplace("pink"), ("Pink Lady",), True).places(text)]
    assert holds == ["locked", None, "quoted", "quoted"]
    assert made("Pinks and pink.", "pink", "red", whole_words=False, match_case=True) == "Pinks and red."


@pytest.mark.parametrize(
    ("find", "replacement", "sentence"),
    [
        ("", "", "Type what is to be found."),
        ("(a", "", "missing )"),
        ("(?=a)", "", "invalid perl operator"),
        (r"(a)\1", "", "invalid escape sequence"),
        (r"\C", "", "half a letter"),
        ("\ud800", "", "half a letter"),
        ("(a)", "$2", "“$2” stands for a group"),
        ("a" * 501, "", "500 is the most"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_reason(find: str, replacement: str, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        Finder(FindReplace(find, replacement, is_expression=True))
    assert sentence in str(refusal.value)


def test_an_expression_that_hangs_other_engines_is_answered_in_time() -> None:
    text = "a" * 4_000
    assert not Finder(FindReplace("(a*)*b", is_expression=True)).holds(text)
    assert made(text, "(a|aa)+", "b", is_expression=True) == "b"
