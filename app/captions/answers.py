"""What a captioner answers: a sentence, or a JSON object of several kinds of captions, checked. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

MAX_CHARACTERS: Final = 4000
TAGS_AT_MOST: Final = 40
TAG_AT_MOST: Final = 60
_THOUGHTS: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
_FENCE: Final = re.compile(r"^```\w*\s*(.*?)\s*```$", re.DOTALL)
# Control characters but white space, and halves of surrogate pairs: no database keeps them.
_UNKEPT: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_LAST_END: Final = re.compile(r"^(.*[.!?。！？])", re.DOTALL)


class BrokenAnswer(Exception):
    """An answer that cannot be kept; the message says why, in a sentence without its text."""


def schema_of(kinds: Sequence[str], mark: str) -> dict[str, Any]:
    """The JSON schema of an answer of these kinds; `mark` is the photo's, which the answer repeats."""
    forms: dict[str, Any] = {
        "long": {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS, "description": "the description"},
        "short": {"type": "string", "minLength": 1, "maxLength": 300, "description": "at most 12 words"},
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": TAG_AT_MOST},
            "minItems": 1,
            "maxItems": TAGS_AT_MOST,
            "description": "attributes: kind of product, colour, material, pattern, view, background",
        },
    }
    properties = {"photo": {"const": mark}, **{kind: forms[kind] for kind in kinds}}
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def read_sentence(answer: str, is_cut: bool = False) -> str:
    """The caption in a plain answer: without what a model thought aloud, in one line; of one that was cut off, whole
    sentences where there are any. Raises BrokenAnswer where nothing is left."""
    text = _without_thoughts(answer)
    text = _line(fenced[1] if (fenced := _FENCE.match(text)) else text)
    if is_cut and not text:
        raise BrokenAnswer("The answer ended while the model was still thinking.")
    if is_cut and (whole := _LAST_END.match(text)):
        text = whole[1]
    if not text:
        raise BrokenAnswer("The answer was empty.")
    if len(text) > MAX_CHARACTERS:
        raise BrokenAnswer(f"The answer has {len(text):,} characters; {MAX_CHARACTERS:,} is the most.")
    return text


def read_object(answer: str, kinds: Sequence[str], mark: str, is_cut: bool = False) -> dict[str, str]:
    """The captions in a JSON answer, by kind; tags are words between commas. Raises BrokenAnswer."""
    text = _without_thoughts(answer)
    try:
        given = _json_in(text)
    except (ValueError, RecursionError):
        why = "it was cut off" if is_cut else "it cannot be read"
        raise BrokenAnswer(f"The answer is no JSON object: {why}.") from None
    if not isinstance(given, dict):
        raise BrokenAnswer("The answer is JSON, but no object.")
    if unknown := sorted(given.keys() - {"photo", *kinds}):
        raise BrokenAnswer(f"The answer has {unknown[0][:40]!r}, which its schema does not know.")
    if missing := [kind for kind in ("photo", *kinds) if kind not in given]:
        raise BrokenAnswer(f"The answer has no “{missing[0]}”.")
    if given["photo"] != mark:
        raise BrokenAnswer("The answer is about another photo.")
    return {kind: _tags(given[kind]) if kind == "tags" else _text(kind, given[kind]) for kind in kinds}


def _without_thoughts(answer: str) -> str:
    """An answer without what a model thought aloud before or after it, also where its template began the thought.
    Raises BrokenAnswer where a thought did not end."""
    text = _THOUGHTS.sub("", answer).rpartition("</think>")[2].strip()
    if "<think>" in text:
        raise BrokenAnswer("The answer ended while the model was still thinking.")
    return text


def _json_in(text: str) -> Any:
    """The JSON in a text, with a fence or words around it, and line breaks in its strings. Raises ValueError."""
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return json.loads(text[text.find("{") : text.rfind("}") + 1], strict=False)


def _line(text: str) -> str:
    """In one line, without what cannot be kept."""
    return " ".join(_UNKEPT.sub("", text).split())


def _text(kind: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BrokenAnswer(f"“{kind}” in the answer is no text.")
    most = 300 if kind == "short" else MAX_CHARACTERS
    text = _line(value)
    if not text or len(text) > most:
        raise BrokenAnswer(f"“{kind}” in the answer has {len(text):,} characters, not 1 to {most:,}.")
    return text


def _tags(value: Any) -> str:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BrokenAnswer("“tags” in the answer is no list of texts.")
    # A comma parts tags; one inside a tag would make two of it.
    tidy = list(dict.fromkeys(_line(each.replace(",", " ")) for each in value))
    if not 1 <= len(tidy) <= TAGS_AT_MOST or not all(1 <= len(each) <= TAG_AT_MOST for each in tidy):
        raise BrokenAnswer(f"“tags” in the answer are not 1 to {TAGS_AT_MOST} texts of 1 to {TAG_AT_MOST} characters.")
    return ", ".join(tidy)
