"""What reads like another filter language, and what to type here instead. Pure.

Search engines, shops and query builders have their own signs; whoever types them expects them to work. Each is refused
with the way to ask for the same here, because as plain text it would find something else, or nothing, without a word.
"""

from __future__ import annotations

import re
from typing import Final

from app.selection.keys import KEYS
from app.selection.kinds import Key, Label, Measure, Part

_DASHES: Final = "‐‑‒–—―−﹣－"
_OPENING: Final = ('"', "“", "„", "«", "»", "「", "＂")
_LEADING_SIGN: Final = re.compile(rf"[-!~*?:=<>|+^/,;≠≥≤{_DASHES}]\W*\w")
_COMPARED: Final = re.compile(r"(\w+)(:=|==|!=|<>|>=|<=|≠|≥|≤|=|~|<|>)")
_JOINED: Final = re.compile(r"\w[^\s\w|*?]*([|*?])[^\s\w]*\w")
_NEAR: Final = re.compile(r"\w([~^])[\d.]*$")
_OTHER_KEY: Final = re.compile(r"(?:^|[\W_])([^\W\d_]+)[:：]")
# More than one word in single quotes; an apostrophe stands inside of a word or at one side of it.
_SINGLE_QUOTED: Final = re.compile(r"['‘‚](?=\w)[^'‘’‚]*\s[^'‘’‚]*(?<=\w)['’‘](?!\w)")


def word(typed: str, onwards: str) -> str:
    """Why `typed`, a word up to the next space with what stands behind it, is not looked for as it stands; empty where
    it is."""
    if (compared := _COMPARED.match(typed)) and compared[1].lower() in KEYS:
        return f"A filter is written with a colon: {_with_colon(compared, typed[compared.end() :] or '…')}."
    if (inside := _OTHER_KEY.search(typed)) and inside[1].lower() in KEYS:
        return f"“{inside[1]}:” is a filter only at the beginning of a word: put a space before it."
    if _LEADING_SIGN.match(typed):
        return _leading(typed)
    if onwards[len(typed) : len(typed) + 1] in _OPENING and not any(letter.isalnum() for letter in typed):
        return f'A phrase cannot begin with “{typed}”. A minus leaves it out: -"red dress".'
    if between := _JOINED.search(typed):
        why = (
            "joins words only with spaces around it"
            if between[1] == "|"
            else "stands for no letters; words are found by their beginnings"
        )
        return f"“{between[1]}” {why}. To look for “{typed}” as it stands, put it in quotes."
    if near := _NEAR.search(typed):
        return f"“{near[1]}” behind a word says nothing here. To look for “{typed}” as it stands, put it in quotes."
    if single := _SINGLE_QUOTED.match(onwards):
        return f'Words that belong together stand in double quotes: "{single[0][1:-1]}".'
    return ""


def value(typed: str, key: Key) -> str:
    """Why `typed`, without quotes, is no value of this key; empty where it may be one."""
    bare = typed.lstrip("-!=" + _DASHES)
    if (inside := _OTHER_KEY.search(typed)) and inside[1].lower() in KEYS:
        instead = f"“{inside[1]}:” begins another filter, with a space before it"
    elif typed[0] == "=" and bare:
        instead = f"write {key.name}:{bare}"
    elif isinstance(key, Measure) and key.bottom < 0 and typed[0] == "-":
        return ""
    elif typed[0] in "-!" + _DASHES and bare:
        instead = f"to leave it out, write -{key.name}:{bare}"
    elif not isinstance(key, Label | Part):
        return ""
    elif wild := re.search(r"[*?]", typed):
        instead = f"“{wild[0]}” stands for no letters here"
    elif parting := re.search(r"[;|]", typed):
        instead = f"values are parted by commas, not by “{parting[0]}”"
    elif typed[0] in "'‘‚":
        instead = "values with spaces stand in double quotes"
    elif typed[0] in (":：~<>+/^([{" if isinstance(key, Label) else ":：~<>"):
        instead = f"leave out the “{typed[0]}”"
    else:
        return ""
    return f"“{typed}” is not a value of “{key.name}”; {instead}. A value with such a sign stands in quotes."


def _with_colon(compared: re.Match[str], value: str) -> str:
    """The filter that a comparison like `category!=lamps` would be."""
    name, sign = compared[1].lower(), compared[2]
    key = KEYS[name]
    if isinstance(key, Measure) and sign not in "<>":
        return f"{name}:{key.example}"
    return f"-{name}:{value}" if sign in ("!=", "<>", "≠") else f"{name}:{sign if sign in '<>' else ''}{value}"


def _leading(typed: str) -> str:
    bare = typed.lstrip("".join(letter for letter in typed if not letter.isalnum()))
    if typed[0] == ",":
        return f"Values stand without spaces, as in category:lamps,mugs. Or leave out the “,” before {bare}."
    return (
        f"A word cannot begin with “{typed[0]}”. Write {bare} to find it, -{bare} to leave it out, or put the sign in"
        " quotes with it."
    )
