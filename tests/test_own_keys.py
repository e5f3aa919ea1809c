"""Keys that people set for themselves: what can be had, what is told of what cannot, what a pressed key then means."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from app import own_keys
from app.errors import Conflict, NotFound, Refused
from app.labels import sets
from app.own_keys import ACTS, PAGES, key_of, meanings
from app.people import Person
from tests import cast


def test_no_key_of_a_page_is_usual_for_two_acts() -> None:
    for page in PAGES:
        keys = [act.key for act in ACTS if page in act.pages]
        assert len(set(keys)) == len(keys)
        assert not set(keys) & set(sets.KEYS)


def test_a_key_is_the_persons_own_and_its_usual_one_is_free(session: Session, me: Person) -> None:
    kept = own_keys.set_key(session, me, "keep", ";")
    assert kept.own_keys == {"keep": ";"} and cast.person(session, "Mei").own_keys == {}
    assert meanings(kept.own_keys) == {page: {";": "a", "a": ""} for page in PAGES}
    own_keys.set_key(session, me, "reject", "A")  # as it is free now; a capital letter is the same key
    assert meanings(kept.own_keys)["desk"] == {";": "a", "a": "x", "x": ""}
    assert own_keys.set_key(session, me, "keep", "Shift+k").own_keys["keep"] == "Shift+k"
    assert own_keys.set_back(session, me).own_keys == {}


def test_a_key_as_usual_is_not_kept(session: Session, me: Person) -> None:
    own_keys.set_key(session, me, "surround", ";")
    assert own_keys.set_key(session, me, "surround", "0").own_keys == {}


def test_a_key_that_another_act_has_is_told_and_can_be_swapped(session: Session, me: Person) -> None:
    with pytest.raises(Conflict, match="X is the key of “reject”"):
        own_keys.set_key(session, me, "keep", "x")
    swapped = own_keys.set_key(session, me, "keep", "x", is_swapped=True)
    assert swapped.own_keys == {"keep": "x", "reject": "a"}
    # N is another thing on the desk and in the grid: what both have can take neither; each alone has its own.
    with pytest.raises(Conflict, match="ask a lead"):
        own_keys.set_key(session, me, "edit", "n")
    assert own_keys.set_key(session, me, "jump", "b").own_keys["jump"] == "b", "B is of the desk alone"
    # B is taken from the box on the desk and from the jump in the grid, which both get E; back for one is too few.
    own_keys.set_key(session, me, "edit", "b", is_swapped=True)
    with pytest.raises(Conflict, match="Swapped, E would be the key of"):
        own_keys.set_key(session, me, "box", "b", is_swapped=True)


def test_a_digit_comes_to_nobody_by_swapping(session: Session, me: Person) -> None:
    with pytest.raises(Refused, match="Digits"):
        own_keys.set_key(session, me, "surround", "a", is_swapped=True)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("Ctrl+t", "Ctrl T is the browser’s: it opens a tab"),
        ("Ctrl+W", "closes the tab"),
        ("Ctrl+n", "opens a window"),
        ("F5", "loads the page again"),
        ("F2", "F2 is the browser’s or the system’s"),
        ("Alt+Tab", "goes to another window"),
        ("Alt+k", "may be the browser’s"),
        ("Ctrl+Shift+k", "may be the browser’s"),
        ("Ctrl+s", "saves the caption"),
        ("Tab", "goes to the next control"),
        ("Shift+Tab", "belongs to the page"),
        ("Right", "next photo"),
        ("Shift+Right", "extends"),
        ("?", "shows the keys"),
        ("g", "another page"),
        ("7", "Digits"),
        ("0", "Digits"),
        ("d", "label set"),
        ("Process", "input method"),
        ("Dead", "input method"),
        ("", "no key"),
        ("ab", "no key"),
        ("\x07", "no key"),
    ],
)
def test_what_cannot_be_had_says_why(session: Session, me: Person, key: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        own_keys.set_key(session, me, "keep", key)
    assert me.own_keys == {}


def test_an_unknown_act(session: Session, me: Person) -> None:
    with pytest.raises(NotFound):
        own_keys.set_key(session, me, "dance", ";")


def test_whatever_is_set_no_two_acts_of_a_page_share_a_key(session: Session, me: Person) -> None:
    """Every act gets every other's key by swapping: a page never has one key twice."""
    for act in ACTS:
        for other in ACTS:
            try:
                kept = own_keys.set_key(session, me, act.name, key_of(me.own_keys, other), is_swapped=True)
            except (Refused, Conflict):
                continue
            for page in PAGES:
                keys = [key_of(kept.own_keys, each) for each in ACTS if page in each.pages]
                assert len(set(keys)) == len(keys)
