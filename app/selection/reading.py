"""Reading a query: text -> the terms and groups it asks for, or where it is not understood. Pure.

    alternatives  = conjunction { "or" conjunction }
    conjunction   = row { "and" row }
    row           = one { one }
    one           = ( "not" | "-" ) one | "(" alternatives ")" | key ":" value { "," value } | word

In one row, values of a key given twice are alternatives, as if a comma stood between; joined by "and" they are not.
"""

from __future__ import annotations

import re
from typing import Any, Final

from app.selection import foreign
from app.selection.keys import KEYS, WORDS
from app.selection.kinds import Key, NotUnderstood
from app.selection.tree import AllOf, Node, Term, either, left_out, plainest, together

MAX_DEPTH: Final = 20
OPERATORS: Final = {"or": "or", "||": "or", "|": "or", "and": "and", "&&": "and", "not": "not"}

# A minus before a key, a word, a quote, a bracket or an emoji; one that stands alone or before signs is a sign like any
# other.
_LEFT_OUT = re.compile(r'-(?=[\w"“„«»「＂(]|[^\x00-\x7f\s”])')
# Keyboards of other scripts write the colon, the comma and the quotes in their own way.
_KEY = re.compile(r"([^\W\d]\w*)[:：]")
_COMMAS: Final = (",", "，", "、", "،")
_QUOTED = re.compile(
    r'"((?:[^"\\]|\\.)*)"|[“„]([^“”„]*)[“”]|«([^«»]*)»|»([^«»]*)«|「([^「」]*)」|＂([^＂]*)＂', re.DOTALL
)
_QUOTES: Final = ('"', "“", "„", "«", "»", "「", "＂")
_CLOSING: Final = ("”", "」")
_BARE_VALUE = re.compile(r'[^\s",，、،“”„«»「」＂]+')
_BARE_WORD = re.compile(r'[^\s"“”„«»「」＂]+')
_MINUS_APART = re.compile(r"(?:[!~‐‑‒–—―−﹣－]\s*|-\s+)\(")
_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"(or|and|not)(?=[\s(]|$|\))|(\|\||&&|\|)(?=[\s(\w\"-]|$|\))", re.IGNORECASE)


def read(text: str) -> AllOf:
    """Everything that a query asks for. Raises NotUnderstood."""
    return QueryReader(text).whole()


class QueryReader:
    """One text and how far it is read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self._depth = 0
        self._skip_space()

    def whole(self) -> AllOf:
        """All of it."""
        if self._is_at_end:
            return AllOf()
        part = self._alternatives()
        if not self._is_at_end:
            raise NotUnderstood(
                "This bracket was never opened. To look for it, put it in quotes with its word.", self.position
            )
        return together((), [part])

    def _alternatives(self) -> Node:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        return either(parts)

    def _conjunction(self) -> Node:
        rows = [self._row()]
        while self._take("and"):
            rows.append(self._row())
        return plainest(together((), rows))

    def _row(self) -> AllOf:
        """Terms and groups beside each other."""
        given: dict[tuple[str, bool], list[Any]] = {}
        groups: list[Node] = []
        start = self.position
        while not self._is_at_end and self._operator() not in ("or", "and") and not self._is_closing:
            self._one(given, groups)
        if not given and not groups:
            raise NotUnderstood(self._what_is_missing(), start)
        terms = [Term(name, _key(name).in_order(values), is_not) for (name, is_not), values in given.items()]
        return together(terms, groups)

    def _one(self, given: dict[tuple[str, bool], list[Any]], groups: list[Node]) -> None:
        """One term, to those of its key, or one group."""
        start = self.position
        is_not = self._signs()
        if self._operator():
            raise NotUnderstood(self._what_is_missing(), self.position)
        if self._is_at_end or self._is_closing:
            raise NotUnderstood("“not” leaves out what stands behind it, and nothing does.", start)
        if _MINUS_APART.match(self.text, self.position):
            raise NotUnderstood("What leaves out brackets is a minus right before them: -(red or blue).", start)
        if self.text[self.position] == "(":
            inside = self._bracket()
            groups.append(left_out(inside) if is_not else inside)
        else:
            self._term(given, is_not, start)
        self._skip_space()

    def _signs(self) -> bool:
        """Whether what follows is left out: by a minus, by "not", by neither or by both."""
        is_not = False
        while self._operator() == "not":
            self._take("not")
            is_not = not is_not
        if _LEFT_OUT.match(self.text, self.position):
            self.position += 1
            is_not = not is_not
        return is_not

    def _bracket(self) -> Node:
        start = self.position
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood(f"Brackets stand at most {MAX_DEPTH} deep in each other.", start)
        self.position += 1
        self._skip_space()
        if self._is_closing:
            raise NotUnderstood("There is nothing in these brackets.", start)
        inside = self._alternatives() if not self._is_at_end else None
        if inside is None or not self._is_closing:
            raise NotUnderstood("This bracket is never closed.", start, (")",))
        self.position += 1
        self._depth -= 1
        return inside

    def _term(self, given: dict[tuple[str, bool], list[Any]], is_not: bool, start: int) -> None:
        if typed := _KEY.match(self.text, self.position):
            key = _key_named(typed[1], self.position)
            if key.most == 1 and (key.name, is_not) in given:
                raise NotUnderstood(
                    f"“{key.name}” is given twice. Put “and” or “or” between, or write one range.", start
                )
            self.position = typed.end()
            values = self._values(key)
        else:
            key = WORDS
            bare = self._bare(_BARE_WORD)
            if why := foreign.word(bare, self.text[self.position : self.position + 200]) if bare else "":
                raise NotUnderstood(why, start)
            word, _ = self._value(_BARE_WORD)
            values = [key.read(word, False, start)]
        of_key = given.setdefault((key.name, is_not), [])
        of_key += values
        refuse_too_many(key, len(of_key), key.most, start)

    def _values(self, key: Key) -> list[Any]:
        """The comma-separated values of a key."""
        values: list[Any] = []
        while True:
            place = self.position
            if self._is_at_end or self.text[place].isspace() or self._is_closing:
                raise NotUnderstood(f"“{key.name}:” needs a value.", place, key.allowed)
            bare = self._bare(_BARE_VALUE)
            value, is_quoted = self._value(_BARE_VALUE)
            if not is_quoted and (why := foreign.value(bare, key)):
                raise NotUnderstood(why, place, key.allowed)
            values.append(key.read(value, is_quoted, place))
            if not self.text.startswith(_COMMAS, self.position):
                if is_quoted and not (self._is_at_end or self._is_closing or self.text[self.position].isspace()):
                    raise NotUnderstood(
                        "Behind a value in quotes stands a space, or a comma and another value.", self.position
                    )
                return values
            if key.most == 1:
                raise NotUnderstood(f"“{key.name}” takes one range.", self.position)
            self.position += 1

    def _value(self, bare: re.Pattern[str]) -> tuple[str, bool]:
        """One value here: its text, and whether it was quoted."""
        place = self.position
        is_quoted = self.text.startswith(_QUOTES, place)
        if is_quoted:
            quoted = _QUOTED.match(self.text, place)
            if quoted is None:
                raise NotUnderstood("This quote is never closed.", place, ('"',))
            inside = quoted[quoted.lastindex or 1]
            value = re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL) if quoted.lastindex == 1 else inside
            self.position = quoted.end()
        else:
            value = self._bare(bare)
            if not value:
                is_opened = self.text[place] not in _CLOSING
                raise NotUnderstood("A value is missing here." if is_opened else "This quote was never opened.", place)
            self.position += len(value)
        if not value or "\0" in value:
            raise NotUnderstood("This value is empty or holds a null character.", place)
        return value, is_quoted

    def _bare(self, pattern: re.Pattern[str]) -> str:
        """The text up to where `pattern` ends, or to a bracket that closes one from before it; empty without any."""
        match = pattern.match(self.text, self.position)
        opened = 0
        for place, letter in enumerate(match[0] if match else ""):
            opened += (letter == "(") - (letter == ")")
            if opened < 0:
                return self.text[self.position : self.position + place]
        return match[0] if match else ""

    def _operator(self) -> str:
        match = _OPERATOR.match(self.text, self.position)
        return OPERATORS[match[0].lower()] if match else ""

    def _take(self, operator: str) -> bool:
        match = _OPERATOR.match(self.text, self.position)
        if match is None or OPERATORS[match[0].lower()] != operator:
            return False
        self.position = match.end()
        self._skip_space()
        return True

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position

    @property
    def _is_at_end(self) -> bool:
        return self.position >= len(self.text)

    @property
    def _is_closing(self) -> bool:
        return self.text.startswith(")", self.position)

    def _what_is_missing(self) -> str:
        if operator := self._operator():
            return f'“{operator}” joins two filters. To look for the word, write "{operator}" in quotes.'
        if self._is_closing and not self._depth:
            return "This bracket was never opened. To look for it, put it in quotes with its word."
        return "A filter is missing here."


def refuse_too_many(key: Key, values: int, most: int, position: int) -> None:
    """Raises NotUnderstood where a key is asked for more values than it takes."""
    if values > most:
        many = f"A filter takes at most {most} words." if key is WORDS else None
        raise NotUnderstood(many or f"“{key.name}” takes at most {most:,} values.", position)


def _key(name: str) -> Key:
    return WORDS if name == WORDS.name else KEYS[name]


def _key_named(typed: str, position: int) -> Key:
    if typed.lower() not in KEYS:
        raise NotUnderstood(f"“{typed}” is not a filter.", position, tuple(KEYS))
    return KEYS[typed.lower()]
