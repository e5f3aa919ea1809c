"""A selection in words, with the exact count of what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.selection.query import NO_NOTE, Range, Selection, figure

_ADJECTIVES: Final = {"kept": "kept", "rejected": "rejected", "unseen": "unseen"}
_ARE: Final = {"kept": "are kept", "rejected": "are rejected", "needs_work": "need work", "unseen": "are unseen"}
_IS: Final = {"kept": "is kept", "rejected": "is rejected", "needs_work": "needs work", "unseen": "is unseen"}
_TO: Final = {"kept": "keep", "rejected": "reject", "needs_work": "look at"}
_BY: Final = {
    "person": "decided by a person",
    "rule": "with only a rule’s suggestion",
    "none": "without a decision or a suggestion",
}
_CAPTIONS: Final = {
    "none": "without a caption",
    "captioner": "with a machine’s caption",
    "given": "with a caption given in a file",
    "person": "with a person’s caption",
}


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
    if _has_adjective(selection):
        noun = f"{_ADJECTIVES[selection.decision[0]]} {noun}"
    clauses = [clause for clause in _clauses_in_words(selection, count == 1) if clause]
    return Description(f"{count:,} {noun}", ", ".join(clauses))


def sentence(selection: Selection, count: int) -> str:
    """`describe` in one sentence."""
    return str(describe(selection, count))


def _clauses_in_words(chosen: Selection, is_one: bool) -> list[str]:
    """What limits the selection, clause by clause; empty where a field does not."""
    known = [background for background in chosen.background if background != "cannot tell"]
    unknown = ["a background that cannot be told"] if "cannot tell" in chosen.background else []
    backgrounds = ([f"a {_or(known)} background"] if known else []) + unknown
    return [
        *_decisions_in_words(chosen, _IS if is_one else _ARE),
        f"on {_or(backgrounds)}" if backgrounds else "",
        _range_in_words(chosen.sharpness, "sharper than {}", "softer than {}", "of sharpness {} to {}"),
        _range_in_words(
            chosen.fill, "longest side filling more than {} %", "longest side filling less than {} %",
            "longest side filling {} to {} %",
        ),
        f"in {_or(_named(chosen.category, 'no category'))}" if chosen.category else "",
        f"with a {_or(_named(chosen.colour, 'unknown'))} subject" if chosen.colour else "",
        _or([_CAPTIONS[caption] for caption in chosen.caption]),
        f"found {_or(chosen.rule)} by a rule" if chosen.rule else "",
        _or(["without a note" if note == NO_NOTE else f"noted as “{note.replace('-', ' ')}”" for note in chosen.note]),
        f"of product {_or(_named(chosen.product, 'unknown'))}" if chosen.product else "",
        f"with {_or(['“' + (part or '') + '”' for part in chosen.file])} in the file name" if chosen.file else "",
        "chosen one by one" if chosen.id else "",
        f"mentioning {' and '.join('“' + word + '”' for word in chosen.words)}" if chosen.words else "",
    ]  # fmt: skip


def _has_adjective(chosen: Selection) -> bool:
    """Whether what was decided is said before the noun: "kept photos"."""
    return len(chosen.decision) == 1 and chosen.decision[0] in _ADJECTIVES and "rule" not in chosen.by


def _decisions_in_words(chosen: Selection, verbs: dict[str, str]) -> list[str]:
    """What people decided and what rules suggest: "that are kept, or that a rule suggests to keep"."""
    if "rule" not in chosen.by or not chosen.decision:
        decided = (
            "" if _has_adjective(chosen) or not chosen.decision else _or([verbs[name] for name in chosen.decision])
        )
        return [f"that {decided}" if decided else "", _or([_BY[author] for author in chosen.by])]
    verdicts = [verdict for verdict in chosen.decision if verdict != "unseen"]
    asks_unseen = "unseen" in chosen.decision
    alternatives = []
    if verdicts and "person" in chosen.by:
        alternatives.append(f"that {_or([verbs[verdict] for verdict in verdicts])}")
    if asks_unseen:
        alternatives += [_BY[author] for author in ("rule", "none") if author in chosen.by]
    else:
        alternatives.append(f"that a rule suggests to {_or([_TO[verdict] for verdict in verdicts])}")
    return [", or ".join(alternatives)]


def _range_in_words(bounds: Range | None, above: str, below: str, between: str) -> str:
    if bounds is None:
        return ""
    if bounds.low is not None and bounds.high is not None:
        return between.format(figure(bounds.low), figure(bounds.high))
    return above.format(figure(bounds.low)) if bounds.low is not None else below.format(figure(bounds.high or 0.0))


def _named(values: Sequence[str | None], missing: str) -> list[str]:
    return [missing if value is None else value for value in values]


def _or(words: Sequence[str]) -> str:
    """Alternatives in words: "a", "a or b", "a, b or c"."""
    return words[-1] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else ""
