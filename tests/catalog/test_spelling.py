"""The keys of texts: what Python and PostgreSQL make of them is the same, for every letter there is."""

from __future__ import annotations

import random
import unicodedata

import pytest
from sqlalchemy import Text, cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
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


def test_plain_texts_are_parted_as_all_others_are(session: Session) -> None:
    """A letter that nobody sees sends a text the long way, which parts any script."""
    draw = random.Random(7)
    pieces = [
        "a", "Red", "1", "22", "1.5", "-5", "1e5", "0x1f", "2e", "http", "www.a.com", "http://a.b/c", "x" * 250,
        "%", "&", " ", "  ", "\x1f", "\t", ",", ".", "-", "_", "/", "\\", "'", '"', "(", "]", "{", ":", "*", "`", "1st",
        "50x70cm", "1E-5", "U.S.A.", "\x1c", "é", "",
    ]  # fmt: skip
    texts = [
        "".join(draw.choice(pieces) + draw.choice(["", " "]) for _ in range(draw.randrange(14))) for _ in range(3000)
    ]
    texts += ["a " * 300, "a b " * 9000, "A red vest.", ""]
    own = select(func.unnest(cast(texts, ARRAY(Text))).column_valued("t")).subquery()
    long_way = func.search_words(func.concat(own.c.t, "\u200b"))
    differ = session.scalars(select(own.c.t).where(func.search_words(own.c.t).is_distinct_from(long_way))).all()
    assert [each[:80] for each in differ] == []
