"""The keys of texts: what Python and PostgreSQL make of them is the same, for every letter there is."""

from __future__ import annotations

import unicodedata

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.catalog.spelling import is_unseen, label_key


def test_a_label_has_the_same_key_in_python_and_in_the_database(session: Session) -> None:
    letters = [chr(code) for code in range(1, 0x20000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    rows = session.execute(
        text("select l, label_key('Aa ' || l || ' b') from unnest(cast(:letters as text[])) as l"), {"letters": letters}
    )
    differing = [letter for letter, key in rows if key != label_key(f"Aa {letter} b")]
    assert differing == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Möbel", "MO\u0308BEL"),
        (" T-\u00a0shirts", "t- Shirts "),
        ("Straße", "STRASSE"),
        ("ＡＢ", "ab"),
        ("La\u00admps\u200b", "\ufefflamps\u200e"),
    ],
)
def test_spellings_of_a_label_have_one_key(one: str, other: str) -> None:
    assert label_key(one) == label_key(other)


def test_other_labels_have_other_keys() -> None:
    assert len({label_key(label) for label in ("Mobel", "Möbel", "T-shirts", "Tshirts")}) == 4


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("p2", "p10"), ("p2", "P10"), ("2024-9-1", "2024-10-01"), ("a9" * 40, "a10" * 40), ("9" * 19, "1" + "0" * 19)],
)
def test_numbers_in_a_name_sort_by_their_value(session: Session, lower: str, higher: str) -> None:
    keys = session.execute(select(func.name_key(lower), func.name_key(higher))).one()
    assert keys[0] < keys[1]


@pytest.mark.parametrize("said", ["", " ", "\u0301", "\u200b\ufe0f", "\u0001"])
def test_what_leaves_nothing_to_look_for_is_told(said: str) -> None:
    assert is_unseen(said)


@pytest.mark.parametrize("said", ["a", "%", "é", "水", "🫨", "_"])
def test_letters_digits_and_signs_are_something_to_look_for(session: Session, said: str) -> None:
    assert not is_unseen(said)
    assert session.scalar(select(func.search_query(said)))
