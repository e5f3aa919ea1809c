"""Writing a filter down, so that reading it gives the same filter. Pure."""

from __future__ import annotations

import re

from app.selection import foreign
from app.selection.keys import ASKED, WORDS
from app.selection.kinds import Key, OneOf
from app.selection.reading import OPERATORS
from app.selection.tree import AllOf, AnyOf, Node, Term, Without

# What is read back as it stands. Signs that mean something elsewhere are written in quotes.
_PLAIN = re.compile(r"[^\s\",，、،:：\\“”„«»「」＂;|*?()]+")


def write(asked: AllOf) -> str:
    """The query of all these terms and groups."""
    if not asked.terms and len(asked.groups) == 1 and isinstance(asked.groups[0], AnyOf):
        return _alternatives(asked.groups[0])
    return " ".join([*map(_term, asked.terms), *map(_group, asked.groups)])


def _alternatives(asked: AnyOf) -> str:
    return " or ".join(
        _term(part) if isinstance(part, Term) and (part.key != WORDS.name or len(part.values) == 1) else _group(part)
        for part in asked.parts
    )


def _group(part: Node) -> str:
    if isinstance(part, Without):
        return f"-{_group(part.part)}"
    inside = write(part) if isinstance(part, AllOf) else _term(part) if isinstance(part, Term) else _alternatives(part)
    return f"({inside})"


def _term(term: Term) -> str:
    key, sign = ASKED[term.key], "-" if term.is_not else ""
    if key is WORDS:
        return " ".join(sign + write_value(word, key) for word in term.values)
    texts = [key.write(value) for value in term.values]
    return f"{sign}{key.name}:{','.join('none' if text is None else write_value(text, key) for text in texts)}"


def write_value(text: str, key: Key) -> str:
    """`text` as one value of a key: in quotes where it would not be read back as it stands."""
    is_plain = _PLAIN.fullmatch(text) is not None
    if key is WORDS:
        is_plain = is_plain and text[0].isalnum() and text.lower() not in OPERATORS and not foreign.word(text, text)
    elif not isinstance(key, OneOf):
        is_plain = is_plain and text.lower() != "none" and not foreign.value(text, key)
    return text if is_plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
