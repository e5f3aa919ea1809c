"""Own keys: which key of the keyboard does what on the desk and in the grid, for everybody, and as a person set it.

A page goes on knowing each act by its usual key; what a person presses is put in its place (`static/js/own_keys.js`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound, Refused
from app.people import Person

KeysPage = Literal["desk", "grid"]
PAGES: Final[tuple[KeysPage, ...]] = ("desk", "grid")
LABEL_LETTERS: Final = "cdhioqrtuv"
"""Letters that no act of the desk or the grid has: they lead to label sets, whoever defines one and whenever."""


@dataclass(frozen=True, slots=True)
class KeyAct:
    """Something that a key does: its usual key as `static/js/keys.js` names keys, and the pages that know it."""

    name: str
    words: str
    key: str
    pages: tuple[KeysPage, ...] = PAGES


_DESK: Final[tuple[KeysPage, ...]] = ("desk",)
_GRID: Final[tuple[KeysPage, ...]] = ("grid",)
ACTS: Final[tuple[KeyAct, ...]] = (
    KeyAct("keep", "keep", "a"),
    KeyAct("reject", "reject", "x"),
    KeyAct("needs_work", "needs work", "f"),
    KeyAct("accept", "accept a suggestion", "y"),
    KeyAct("skip", "skip", "s", _DESK),
    KeyAct("undo", "undo", "z"),
    KeyAct("next", "next photo", "j"),
    KeyAct("previous", "photo before", "k"),
    KeyAct("edit", "edit the caption", "e"),
    KeyAct("ask", "ask a lead", "n", _DESK),
    KeyAct("mend", "mend the picture", "m"),
    KeyAct("why", "why it was measured so", "w"),
    KeyAct("box", "the product’s box", "b", _DESK),
    KeyAct("pixels", "pixels 1:1", "p", _DESK),
    KeyAct("surround", "next surround", "0", _DESK),
    KeyAct("label", "label", "l", _GRID),
    KeyAct("jump", "go to a photo by its number", "n", _GRID),
    KeyAct("search", "search", "/", _GRID),
    KeyAct("larger", "larger photos", "+", _GRID),
    KeyAct("smaller", "smaller photos", "-", _GRID),
)
_BY_NAME: Final = {act.name: act for act in ACTS}

# What browsers and systems keep for themselves, or do beside what a page does.
_RESERVED: Final[dict[str, str]] = {
    "Ctrl+t": "opens a tab", "Ctrl+w": "closes the tab", "Ctrl+n": "opens a window",
    "Ctrl+Shift+t": "opens a closed tab", "Ctrl+Shift+n": "opens a private window",
    "Ctrl+Shift+w": "closes the window", "Ctrl+r": "loads the page again", "Ctrl+Shift+r": "loads the page again",
    "Ctrl+l": "goes to the address", "Ctrl+p": "prints", "Ctrl+f": "searches the page",
    "Ctrl+d": "bookmarks the page", "Ctrl+h": "shows the history", "Ctrl+c": "copies", "Ctrl+v": "pastes",
    "Ctrl+x": "cuts", "Ctrl+q": "leaves the browser", "Ctrl+Tab": "goes to another tab", "F1": "opens help",
    "F5": "loads the page again", "F11": "fills the screen", "F12": "opens the developer’s tools",
    "Alt+Tab": "goes to another window", "Alt+F4": "closes the window", "Alt+Left": "goes a page back",
    "Alt+Right": "goes a page on",
}  # fmt: skip
_FIXED: Final[dict[str, str]] = {
    "Ctrl+s": "saves the caption", "Ctrl+Enter": "saves and goes on", "Ctrl+a": "selects all", "Ctrl+z": "undoes",
    "?": "shows the keys", "g": "begins the way to another page", "Esc": "closes and leaves", "Enter": "opens",
    "Space": "selects", "Tab": "goes to the next control", "Left": "goes to the photo before",
    "Right": "goes to the next photo", "Up": "moves up", "Down": "moves down", "Home": "goes to the first photo",
    "End": "goes to the last photo", "PageUp": "goes a page back", "PageDown": "goes a page on",
}  # fmt: skip
_NAMED: Final = ("Delete", "Backspace", "Insert")
_COMPOSING: Final = ("Process", "Dead", "Unidentified", "Compose", "AltGraph")
_MODIFIERS: Final = ("Ctrl", "Alt", "Shift")


def set_key(session: Session, person: Person, act_name: str, key: str, is_swapped: bool = False) -> Person:
    """Let `key` do an act for a person; returns the person as kept.

    `is_swapped`: the act that has the key gets this one's in return. Raises NotFound for an unknown act, Refused for a
    key that cannot be had, with the reason, and Conflict where another act of the same page has it.
    """
    act = _BY_NAME.get(act_name)
    if act is None:
        raise NotFound(f"No key is for “{act_name[:40]}”.")
    typed = _possible(key, act)
    kept = _locked(session, person)
    before = key_of(kept.own_keys, act)
    holders = [other for other in _beside(act) if key_of(kept.own_keys, other) == typed]
    own = {**kept.own_keys, act.name: typed}
    if holders and not is_swapped:
        raise Conflict(f"{shown(typed)} is the key of “{holders[0].words}”. Swap the two, or press another one.", typed)
    own |= {other.name: _possible(before, other) for other in holders}
    _refuse_doubles(own)
    # What is as usual is not kept: another usual key would come to these people too.
    kept.own_keys = {name: each for name, each in own.items() if each != _BY_NAME[name].key}
    return kept


def set_back(session: Session, person: Person) -> Person:
    """All keys of a person as usual again; returns the person as kept."""
    kept = _locked(session, person)
    kept.own_keys = {}
    return kept


def key_of(own: Mapping[str, str], act: KeyAct) -> str:
    """The key of an act, for a person with these own keys."""
    return own.get(act.name, act.key)


def meanings(own: Mapping[str, str]) -> dict[KeysPage, dict[str, str]]:
    """For each page what a pressed key means: the usual key of its act, or nothing where it has lost its act.

    Keys that are as usual are left out.
    """
    pages: dict[KeysPage, dict[str, str]] = {}
    for page in PAGES:
        acts = [act for act in ACTS if page in act.pages]
        pressed = {key_of(own, act): act.key for act in acts}
        lost = {act.key: "" for act in acts if act.key not in pressed}
        pages[page] = {key: usual for key, usual in pressed.items() if key != usual} | lost
    return pages


def shown(key: str) -> str:
    """A key as it is written on buttons: "Shift+k" is "Shift K"."""
    parts = _parts(key)
    return " ".join([*parts[:-1], parts[-1].upper() if len(parts[-1]) == 1 else parts[-1]])


def _possible(key: str, act: KeyAct) -> str:
    """The key as it is kept. Raises Refused for one that cannot be had, with the reason; the usual one always can."""
    key = key.strip()
    if key.lower() == act.key:
        return act.key
    *modifiers, last = _parts(key)
    if len(last) == 1:
        last = last.lower()
    key = "+".join([*modifiers, last])
    if key in _RESERVED:
        raise Refused(f"{shown(key)} is the browser’s: it {_RESERVED[key]}. Press another key.")
    if key in _FIXED or (modifiers == ["Shift"] and last in _FIXED):
        does = _FIXED.get(key) or "extends the selection or belongs to the page"
        raise Refused(f"{shown(key)} stays as it is: it {does}. Press another key.")
    if "Ctrl" in modifiers or "Alt" in modifiers:
        raise Refused(f"{shown(key)} may be the browser’s or the system’s. Press a key without Ctrl and Alt.")
    if last in _COMPOSING:
        raise Refused("That key composes letters. Switch the input method off, and press a key again.")
    if last[:1] == "F" and last[1:].isdigit():
        raise Refused(f"{shown(key)} is the browser’s or the system’s. Press another key.")
    if last.isdigit():
        raise Refused("Digits choose reasons and labels. Press another key.")
    if last and last in LABEL_LETTERS and not modifiers:
        letters = " ".join(LABEL_LETTERS.upper())
        raise Refused(
            f"{shown(key)} may lead to a label set: the letters {letters} are kept for those. Press another key."
        )
    is_sign = len(last) == 1 and last.isprintable() and not last.isspace()
    if not is_sign and last not in _NAMED:
        raise Refused("That is no key that can be given to something. Press a letter or a sign.")
    if modifiers and last.isalnum() is False and is_sign:
        raise Refused("Press the sign alone: Shift is part of it.")
    return key


def _parts(key: str) -> list[str]:
    """Modifiers in front of the key itself, which may be a "+"."""
    modifiers: list[str] = []
    while True:
        before, plus, rest = key.partition("+")
        if not plus or not rest or before not in _MODIFIERS:
            return [*modifiers, key]
        modifiers.append(before)
        key = rest


def _beside(act: KeyAct) -> list[KeyAct]:
    return [other for other in ACTS if other is not act and set(other.pages) & set(act.pages)]


def _refuse_doubles(own: Mapping[str, str]) -> None:
    """Raises Conflict where a swap would give one key of a page to two acts."""
    for page in PAGES:
        holders: dict[str, KeyAct] = {}
        for act in ACTS:
            if page not in act.pages:
                continue
            key = key_of(own, act)
            if key in holders:
                both = f"“{holders[key].words}” and of “{act.words}”"
                raise Conflict(
                    f"Swapped, {shown(key)} would be the key of {both} on the {page}. Press another one.", key
                )
            holders[key] = act


def _locked(session: Session, person: Person) -> Person:
    """The person's row, held until the commit, so that two windows follow each other."""
    return session.get_one(Person, person.id, with_for_update=True, populate_existing=True)
