"""A caption template: text with fields in braces, filled with what is known of a photo. Pure.

"{colour} {category}[ by {brand}], lettered “{text}”": a part in square brackets is left out where a field in it is
empty; outside of them, a part between commas is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from app.errors import Refused

FIELDS: Final[dict[str, str]] = {
    "title": "the catalogue’s title", "category": "the category", "colour": "the measured colour of the subject",
    "background": "the measured background", "framing": "how the product stands in the frame",
    "brand": "the catalogue’s brand", "material": "the material that the catalogue names",
    "text": "what is printed on it",
}  # fmt: skip
MOST: Final = 1_000
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_OPTIONAL: Final = re.compile(r"\[([^\[\]]*)\]")


def checked(template: str) -> str:
    """The template as it is kept. Raises Refused for one without a field, with an unknown one, or with odd brackets."""
    tidied = " ".join(template.replace("\0", "").split())
    if len(tidied) > MOST:
        raise Refused(f"A template has at most {MOST:,} characters.")
    names = _FIELD.findall(tidied)
    if unknown := next((name for name in names if name not in FIELDS), None):
        raise Refused(f"“{{{unknown}}}” is no field. Fields are: {', '.join(f'{{{name}}}' for name in FIELDS)}.")
    if not names:
        raise Refused(f"A template has a field at least: {', '.join(f'{{{name}}}' for name in FIELDS)}.")
    bare = _OPTIONAL.sub(r"\1", _FIELD.sub("", tidied))
    if odd := next((sign for sign in "{}[]" if sign in bare), None):
        raise Refused(
            f"“{odd}” stands alone. Fields are in {{ }}, what may be left out in [ ], one not within another."
        )
    return tidied


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its fields filled in, as one sentence; empty where nothing of it is left."""
    whole = _OPTIONAL.sub(lambda part: part[1] if _is_full(part[1], values) else "", template)
    stop = "." if whole.rstrip().endswith(".") else ""
    parts = [part for part in whole.rstrip(" .").split(",") if part.strip() and _is_full(part, values)]
    text = ",".join(_FIELD.sub(lambda field: values.get(field[1], "").strip(), part) for part in parts)
    text = " ".join(text.split())
    return f"{text[0].upper()}{text[1:].rstrip('.')}{stop}" if text else ""


def _is_full(part: str, values: Mapping[str, str]) -> bool:
    return all(values.get(name, "").strip() for name in _FIELD.findall(part))
