"""Prompts as people write them: what a prompt may be, and what is wrong with one, in a sentence. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.errors import Refused
from app.evaluation.tiers import TIERS, Tier

TEXT_AT_MOST: Final = 4_000
NAME_AT_MOST: Final = 120
CATEGORY_AT_MOST: Final = 200
ATOMS_AT_MOST: Final = 20
PROMPTS_AT_MOST: Final = 1_000
SEEDS_AT_MOST: Final = 16
SEED_BELOW: Final = 2**32
"""Generators take more, but tools that people carry a seed to stop here."""
WEIGHT_AT_MOST: Final = 100.0
SAMPLING_RANGES: Final[dict[str, tuple[float, float]]] = {
    "steps": (1, 1_000), "guidance": (0, 100), "width_px": (16, 4_096), "height_px": (16, 4_096),
}  # fmt: skip
ORDER: Final = ("object", "colour", "material", "count", "view", "background", "text")
WHOLE: Final = frozenset({"steps", "width_px", "height_px"})


@dataclass(frozen=True)
class PromptText:
    """A prompt to be: its text, the category it is filed under, and the claims it makes (`atoms`).

    `tier`, `weight` and `is_seen` as in `Prompt`.
    """

    text: str
    category: str
    atoms: dict[str, Any] = field(default_factory=dict)
    tier: Tier = "full"
    weight: float = 1.0
    is_seen: bool | None = None


def checked(prompt: PromptText) -> PromptText:
    """The prompt as it is. Raises Refused for what no suite can hold."""
    text, category = prompt.text, prompt.category
    if not text.strip():
        raise Refused("The text of the prompt is empty.")
    if len(text) > TEXT_AT_MOST:
        raise Refused(f"The text has {len(text):,} characters; at most {TEXT_AT_MOST:,} are possible.")
    if not category.strip() or len(category) > CATEGORY_AT_MOST:
        raise Refused(f"A category has 1 to {CATEGORY_AT_MOST} characters.")
    if prompt.tier not in TIERS:
        raise Refused(f"“{prompt.tier}” is no tier; there are {', '.join(TIERS)}.")
    if not (math.isfinite(prompt.weight) and 0 < prompt.weight <= WEIGHT_AT_MOST):
        raise Refused(f"A weight is more than 0 and at most {WEIGHT_AT_MOST:g}.")
    if len(prompt.atoms) > ATOMS_AT_MOST:
        raise Refused(f"A prompt has at most {ATOMS_AT_MOST} atoms, this one {len(prompt.atoms)}.")
    for name, value in prompt.atoms.items():
        _check_atom(name, value)
    for part in (text, category, *prompt.atoms, *_texts(prompt.atoms)):
        if not is_storable(part):
            raise Refused("It holds a character that no text can have.")
    return prompt


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises Refused for none or too many seeds, for one that stands twice or is out of range."""
    if not 1 <= len(seeds) <= SEEDS_AT_MOST:
        raise Refused(f"A suite has 1 to {SEEDS_AT_MOST} seeds.")
    if len(set(seeds)) < len(seeds):
        raise Refused("A seed stands in a suite once.")
    if any(not 0 <= seed < SEED_BELOW for seed in seeds):
        raise Refused(f"A seed is 0 to {SEED_BELOW - 1:,}.")


def check_sampling(sampling: dict[str, Any]) -> None:
    """Raises Refused for settings that lack one of `SAMPLING_RANGES` or have it out of its range."""
    for name, (low, high) in SAMPLING_RANGES.items():
        value, word = sampling.get(name), name.removesuffix("_px")
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Refused(f"The {word} of a suite is a number from {low:g} to {high:g}.")
        if name in WHOLE and value != int(value):
            raise Refused(f"The {word} of a suite is a whole number.")
        if name.endswith("_px") and value % 8:
            raise Refused(f"The {word} of a suite can be divided by 8: models draw in blocks of 8 pixels.")


def is_storable(text: str) -> bool:
    """Whether a database can hold the text: no NUL, no half of a character."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _check_atom(name: str, value: Any) -> None:
    if not name.strip() or len(name) > CATEGORY_AT_MOST:
        raise Refused(f"The name of an atom has 1 to {CATEGORY_AT_MOST} characters.")
    values = value if isinstance(value, list) else [value]
    if len(values) > ATOMS_AT_MOST or not all(isinstance(each, str | int | float | bool) for each in values):
        raise Refused(f"The atom “{name}” is a text, a number, yes or no, or a short list of these.")
    if any(isinstance(each, float) and not math.isfinite(each) for each in values):
        raise Refused(f"The atom “{name}” is no finite number.")
    if any(isinstance(each, str) and len(each) > TEXT_AT_MOST for each in values):
        raise Refused(f"The atom “{name}” has more than {TEXT_AT_MOST:,} characters.")


def _texts(atoms: dict[str, Any]) -> list[str]:
    values = [each for value in atoms.values() for each in (value if isinstance(value, list) else [value])]
    return [value for value in values if isinstance(value, str)]


def atoms_in_words(atoms: dict[str, Any]) -> str:
    """Atoms as a person edits them: "object: kettle; count: 2"; as JSON where that would not be read back the same."""
    # A database keeps no order of them; people read the thing first.
    names = sorted(atoms, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    words = "; ".join(f"{name}: {_word(atoms[name])}" for name in names)
    return words if _pairs(words) == atoms else json.dumps(atoms, ensure_ascii=False)


def atoms_of(words: str) -> dict[str, Any]:
    """Atoms as `atoms_in_words` writes them, or a person does. Raises Refused where they cannot be read."""
    if not words.strip().startswith("{"):
        atoms = _pairs(words)
        if atoms is None:
            raise Refused("Write atoms as name: value, with a semicolon between two of them.")
        return atoms
    try:
        read = json.loads(words)
    except ValueError:
        raise Refused("The atoms begin like JSON and are none.") from None
    if not isinstance(read, dict):
        raise Refused("The atoms are no JSON object.")
    return read


def _word(value: Any) -> str:
    if isinstance(value, list):
        return " | ".join(map(_word, value))
    return value if isinstance(value, str) else repr(value)


def _pairs(words: str) -> dict[str, Any] | None:
    atoms: dict[str, Any] = {}
    for part in words.split(";"):
        name, colon, value = part.partition(":")
        if part.strip() and not (colon and name.strip() and value.strip()):
            return None
        if part.strip():
            atoms[name.strip()] = _value(value.strip())
    return atoms


def _value(word: str) -> Any:
    if re.fullmatch(r"-?\d{1,12}", word):
        return int(word)
    if re.fullmatch(r"-?\d{1,12}\.\d{1,12}", word):
        return float(word)
    return [_value(each.strip()) for each in word.split("|")] if "|" in word else word
