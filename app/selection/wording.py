"""A selection in words, with the exact count of what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from app.selection.keys import ASKED, alternatives
from app.selection.query import Selection, parse
from app.selection.tree import AllOf, AnyOf, Node, Term, Without
from app.selection.value_words import BY

_ADJECTIVES: Final = ("kept", "rejected", "unseen")
_TO: Final = {"kept": "keep", "rejected": "reject", "needs_work": "look at"}


@dataclass(frozen=True, slots=True)
class Description:
    """A selection in words: what it gives ("1,372 kept photos") and what limits it ("on a white background")."""

    subject: str
    limits: str = ""

    def __str__(self) -> str:
        return f"{self.subject} {self.limits}".rstrip() + "."


def describe(selection: Selection, count: int) -> Description:
    """The selection in words: "1,372 kept photos on a white or plain background, sharper than 0.42."."""
    if selection.is_everything:
        return Description("No photos yet" if count == 0 else f"All {count:,} photos" if count > 1 else "The one photo")
    noun = "photo" if count == 1 else "photos"
    is_one = count == 1
    verdicts = selection.values("decision")
    asks_rules = selection.is_wide("decision")
    is_adjective = len(verdicts) == 1 and verdicts[0] in _ADJECTIVES and not asks_rules
    said = {term: say_term(term, is_one) for term in selection.terms}
    groups = [_part(group, is_one) for group in selection.groups]
    if is_adjective:
        del said[Term("decision", verdicts)]
    elif verdicts and asks_rules:
        said = _with_rules(said, selection.asked, is_one)
    subject = f"{count:,} {verdicts[0]} {noun}" if is_adjective else f"{count:,} {noun}"
    if groups and len(groups) + len(said) > 1:
        groups[-1] = f"and {groups[-1]}"
    return Description(subject, ", ".join([*said.values(), *groups]))


def sentence(selection: Selection, count: int) -> str:
    """`describe` in one sentence."""
    return str(describe(selection, count))


@cache
def examples() -> list[tuple[str, str]]:
    """The whole language by example: what to type for each key and each way of putting things, and what it gives."""
    typed = [Selection(0).with_term(name, key.sample).query for name, key in ASKED.items()]
    typed += ['"red dress"', "-dress", "-category:lamps", "category:none"]
    typed += ["category:lamps or colour:red", "(category:lamps or dress) -red", "not (category:lamps colour:red)"]
    typed += ["file:a and file:b"]
    return [(query, f"photos {describe(parse(query, 0), 2).limits}") for query in typed]


def say_term(term: Term, is_one: bool = False) -> str:
    """One term in words, behind "photos" or "photo"."""
    key = ASKED[term.key]
    return key.say_not(term.values, is_one) if term.is_not else key.say(term.values, is_one)


def _part(part: Node, is_one: bool, is_within: bool = False) -> str:
    """A group in words; `is_within` another one, what it joins stands in brackets."""
    if isinstance(part, Term):
        words = say_term(part, is_one)
        return f"({words})" if is_within and len(part.values) > 1 else words
    if isinstance(part, Without):
        return f"not {_part(part.part, is_one, is_within=True)}"
    if isinstance(part, AnyOf):
        *first, last = [_part(inner, is_one, is_within=True) for inner in part.parts]
        words = f"either {', '.join(first)} or {last}"
    else:
        said = {term: say_term(term, is_one) for term in part.terms}
        if part.values("decision") and part.is_wide("decision"):
            said = _with_rules(said, part, is_one)
        words = " and ".join([*said.values(), *(_part(inner, is_one, is_within=True) for inner in part.groups)])
    return f"({words})" if is_within else words


def _with_rules(said: dict[Term, str], asked: AllOf, is_one: bool) -> dict[Term, str]:
    """What is said, with decisions and who made them in one."""
    verdicts, authors = asked.values("decision"), asked.values("by")
    together = {Term("decision", verdicts): _decided_or_suggested(verdicts, authors, is_one)}
    return {term: words for term, words in (said | together).items() if term != Term("by", authors)}


def _decided_or_suggested(verdicts: Sequence[str], authors: Sequence[str], is_one: bool) -> str:
    """What people decided and what rules suggest: "that are kept, or that a rule suggests to keep"."""
    decided = [verdict for verdict in verdicts if verdict != "unseen"]
    ways = []
    if decided and "person" in authors:
        ways.append(ASKED["decision"].say(decided, is_one))
    if "unseen" in verdicts:
        ways += [BY[author] for author in ("rule", "none") if author in authors]
    else:
        ways.append(f"that a rule suggests to {alternatives([_TO[verdict] for verdict in decided])}")
    return ", or ".join(ways)
