"""Find and replace in one text: what matches, what stays because it is protected, and the text as it would be.

Expressions are RE2's, which runs in time linear in the text whatever is asked (Cox 2010, "Regular Expression Matching
in the Wild"): it knows neither lookaround nor references back. `$1`, `${1}`, `${name}` and `$0` stand for what a group
matched, `$$` for a dollar.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import re2

from app.errors import Refused

MOST: Final = 500
"""Characters of what is found and of what takes its place."""
# What stands between these is printed on the product. A lone inch mark opens nothing.
_QUOTED: Final = re.compile(r"“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|\"[^\"]*\"")
_FIELD: Final = re.compile(r"\$(?:\$|(\d{1,2})|\{(\w+)\})")
_ONE_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\C")
_EDGE: Final = r"[^\pL\pM\pN_]"
_BEFORE_STOP: Final = re.compile(r" +([,;:.!?])")

Hold = Literal["locked", "quoted"]


@dataclass(frozen=True, slots=True)
class FindReplace:
    """What is found and what takes its place. `whole_words`: no letter, digit or underscore stands beside a match.

    Without `match_case` a capital that a match begins with stays one.
    """

    find: str
    replacement: str = ""
    is_expression: bool = False
    whole_words: bool = True
    match_case: bool = False


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A match in a text, `start` to `end` in characters, what takes its place, and what protects it."""

    start: int
    end: int
    before: str
    after: str
    hold: Hold | None = None


class Finder:
    """Finds and replaces in many texts. Raises Refused for what cannot be found or put in place of it."""

    def __init__(self, asked: FindReplace, locked: Sequence[str] = (), keeps_quoted: bool = False) -> None:
        self._asked = asked
        for words, what in ((asked.find, "What is found"), (asked.replacement, "What takes its place")):
            if len(words) > MOST:
                raise Refused(f"{what} has {len(words):,} characters; {MOST} is the most.")
        if not asked.find:
            raise Refused("Type what is to be found.")
        pattern = unicodedata.normalize("NFC", asked.find)
        if asked.is_expression and _ONE_BYTE.search(pattern):
            raise Refused("“\\C” is half a letter in most scripts and is not understood here.")
        pattern = pattern if asked.is_expression else re2.escape(pattern)
        _compiled(pattern, asked.match_case)  # by itself first: what is said of it names what was typed
        whole = rf"(?:\A|{_EDGE})({pattern})(?:\z|{_EDGE})" if asked.whole_words else f"({pattern})"
        self._pattern = _compiled(whole, asked.match_case)
        self._groups = self._pattern.groups - 1
        self._names = dict(self._pattern.groupindex)
        self._is_plain = "$" not in asked.replacement or not asked.is_expression
        self._check_fields()
        phrases = "|".join(re2.escape(phrase) for phrase in sorted(locked, key=len, reverse=True))
        self._locked = _compiled(rf"(?:\A|{_EDGE})({phrases})(?:\z|{_EDGE})", False) if phrases else None
        self._keeps_quoted = keeps_quoted

    def holds(self, text: str) -> bool:
        """Whether something in a text matches, protected or not."""
        return self._pattern.search(text.encode()) is not None

    def places(self, text: str) -> list[Occurrence]:
        """Every match in a text, first to last; none of them is empty."""
        places = []
        held: list[tuple[int, int, Hold]] | None = None
        for match in _each(self._pattern, text):
            start, end = match.span(1)
            if held is None:
                held = self._held(text)
            hold = next((kind for first, last, kind in held if first < end and start < last), None)
            before = text[start:end]
            after = before if hold else self._after(text, match, before)
            places.append(Occurrence(start, end, before, after, hold))
        return places

    def _held(self, text: str) -> list[tuple[int, int, Hold]]:
        held: list[tuple[int, int, Hold]] = []
        if self._locked is not None:
            held += [(*match.span(1), "locked") for match in _each(self._locked, text)]
        if self._keeps_quoted:
            held += [(*match.span(), "quoted") for match in _QUOTED.finditer(text)]
        return held

    def _after(self, text: str, match: Any, before: str) -> str:
        after = self._asked.replacement
        if not self._is_plain:
            after = _FIELD.sub(lambda at: self._field(text, match, at), after)
        if not self._asked.match_case and before[0].isupper() and after[:1].islower():
            after = after[0].upper() + after[1:]
        return after

    def _field(self, text: str, match: Any, at: re.Match[str]) -> str:
        if at[0] == "$$":
            return "$"
        name = at[1] or at[2]
        start, end = match.span(int(name) + 1 if name.isdigit() else self._names[name])
        return text[start:end] if start >= 0 else ""

    def _check_fields(self) -> None:
        if self._is_plain:
            return
        for at in _FIELD.finditer(self._asked.replacement):
            name = at[1] or at[2]
            if name and not (int(name) <= self._groups if name.isdigit() else name in self._names):
                have = "no group" if not self._groups else f"{self._groups} group{'' if self._groups == 1 else 's'}"
                raise Refused(f"“{at[0]}” stands for a group in brackets, and the expression has {have} of that name.")


def replaced(text: str, places: Sequence[Occurrence]) -> str:
    """A text with what takes the places of its matches, with single spaces. Where something fell away no space stands
    before a comma or a stop, and a text that began with a capital does."""
    pieces, last = [], 0
    for place in places:
        pieces += [text[last : place.start], place.after]
        last = place.end
    whole = " ".join("".join([*pieces, text[last:]]).split())
    if any(not place.after for place in places):
        whole = _BEFORE_STOP.sub(r"\1", whole).lstrip(",;: ")
    if not whole.isascii():
        whole = unicodedata.normalize("NFC", whole)
    if text[:1].isupper() and whole[:1].islower():
        whole = whole[0].upper() + whole[1:]
    return whole


def _compiled(pattern: str, match_case: bool) -> Any:
    options = re2.Options()
    options.case_sensitive, options.log_errors = match_case, False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise Refused(f"This expression is not understood: {said}.") from error
    except UnicodeEncodeError as error:
        raise Refused("This text has half a letter in it, which nothing can be found by.") from error


def _each(pattern: Any, text: str) -> Iterator[Any]:
    """Matches whose first group is not empty. What one ends at may begin the next: "pink pink" has two whole words."""
    at = 0
    # Of a text in ASCII, bytes are characters, and nothing has to be counted over.
    given = text.encode() if text.isascii() else text
    while at <= len(text) and (match := pattern.search(given, at)) is not None:
        start, end = match.span(1)
        if end > start:
            yield match
        at = max(end, at + 1, start + (end == start))
