"""A person's keys as pages show and obey them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from app import own_keys
from app.own_keys import ACTS, PAGES
from app.people import Person


@dataclass(frozen=True)
class KeyRow:
    """An act of the desk or the grid: where its key works, the key, and the usual one where that is another."""

    name: str
    words: str
    where: str
    key: str
    usual: str


def rows(person: Person | None) -> list[KeyRow]:
    """Every act with the person's key for it."""
    own = person.own_keys if person is not None else {}
    return [
        KeyRow(
            name=act.name,
            words=act.words,
            where="" if act.pages == PAGES else f"on the {act.pages[0]}" if act.pages == ("desk",) else "in the grid",
            key=own_keys.shown(own_keys.key_of(own, act)),
            usual=own_keys.shown(act.key) if own_keys.key_of(own, act) != act.key else "",
        )
        for act in ACTS
    ]


def meanings(person: Person | None) -> str:
    """What the person's keys mean on each page, for the script; empty where all are as usual."""
    if person is None or not person.own_keys:
        return ""
    return json.dumps(own_keys.meanings(person.own_keys), ensure_ascii=False)
