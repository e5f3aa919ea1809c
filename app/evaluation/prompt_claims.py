"""What a prompt asks for that can be seen in a picture: by its atoms, and where it has none, by its words. Pure.

Words are understood as those of captions are (`app.captions.rules`): one clear claim, or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.captions.counted import count_said
from app.captions.facts import MeasuredFacts
from app.captions.printed import says_nothing_is_written, text_said
from app.captions.rules import claims

SCENE: Final = "scene"
# Atoms that name something beside the product: it is asked for, and no prop.
_BESIDE: Final = ("beside", "part", "person")
_SET: Final = re.compile(r"\b(?:pairs?|sets?) of (?!(?:two|three|four|five|six|\d+)\b)")


@dataclass(frozen=True, slots=True)
class PromptClaims:
    """What a prompt asks for; None: it says nothing of that.

    `colour` and `background` are words as people write them, the latter `SCENE` where it is no single colour. `texts`
    are to be read in the picture. `is_packshot`: the product alone on plain white, as marketplaces ask for.
    `is_several`: it is more than one thing, or what one thing may consist of: a pair, a set.
    """

    colour: str | None = None
    count: int | None = None
    background: str | None = None
    texts: tuple[str, ...] = ()
    is_without_text: bool = False
    is_without_shadow: bool = False
    is_packshot: bool = False
    is_several: bool = False


def claims_of(text: str, atoms: Mapping[str, Any]) -> PromptClaims:
    """What the prompt with this text and these atoms asks for."""
    absent = _words(atoms.get("absent"))
    background = _word(atoms.get("background"))
    # Where atoms say anything, what they leave out is not asked for.
    is_white = background == "white" if atoms else _asks_for_white(text)
    count = atoms.get("count") if atoms else (count_said(text) or ("", None))[1]
    has_more = any(name in atoms for name in _BESIDE)
    if _SET.search(text.lower()):
        count = None  # how many pieces a pair or a set has depends on the thing
    texts = _words(atoms.get("text")) if atoms else tuple(text_said(text, None))
    return PromptClaims(
        colour=_word(atoms.get("colour")) if atoms else _colour_in(text),
        count=count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None,
        background=background if atoms else ("white" if is_white else None),
        texts=texts,
        is_without_text="text" in absent or (not texts and says_nothing_is_written(text)),
        is_without_shadow="shadow" in absent,
        is_packshot=is_white and not has_more,
        is_several=_SET.search(text.lower()) is not None or (isinstance(count, int) and count > 1),
    )


def _asks_for_white(text: str) -> bool:
    """Whether a plain white background would not contradict the words, and a busy one would."""
    of_white, of_busy = (
        [
            claim.is_contradicted
            for claim in claims(text, MeasuredFacts(background=ground))
            if claim.kind == "background"
        ]
        for ground in ("pure white", "black")
    )
    return of_white == [False] and of_busy == [True]


def _colour_in(text: str) -> str | None:
    """The one colour that the words give the product."""
    held = claims(text, MeasuredFacts(colour="red"))
    return next((claim.says for claim in held if claim.kind == "colour"), None)


def _word(value: Any) -> str | None:
    return value.strip().lower() if isinstance(value, str) and value.strip() else None


def _words(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(each.strip() for each in values if isinstance(each, str) and each.strip())
