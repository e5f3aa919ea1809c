"""What differs between two versions of a suite. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from app.evaluation.prompt_texts import PromptText, atoms_in_words
from app.evaluation.suite_files import SuiteDraft
from app.evaluation.tiers import name_of

ChangeKind = Literal["added", "removed", "changed", "moved"]
_NEAR: Final = 0.6
"""From this likeness on, a text that came where another went is that text, edited."""


@dataclass(frozen=True, slots=True)
class PromptChange:
    """One prompt that differs; `details` says what besides the text."""

    kind: ChangeKind
    before: str
    after: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SuiteChanges:
    """All that differs: prompts, and sentences about seeds and sampling."""

    prompts: tuple[PromptChange, ...]
    settings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same."""
        return not self.prompts and not self.settings


def compare(before: SuiteDraft, after: SuiteDraft) -> SuiteChanges:
    """What of `before` is otherwise in `after`, in the order of `after`."""
    settings = []
    if before.seeds != after.seeds:
        settings.append(f"Seeds {_listed(before.seeds)} became {_listed(after.seeds)}.")
    for name in sorted({*before.sampling, *after.sampling}):
        was, now = before.sampling.get(name, "not set"), after.sampling.get(name, "not set")
        if was != now:
            settings.append(f"{name.removesuffix('_px').capitalize()} {was} became {now}.")
    return SuiteChanges(tuple(_prompts(before.prompts, after.prompts)), tuple(settings))


def _prompts(before: Sequence[PromptText], after: Sequence[PromptText]) -> list[PromptChange]:
    old = {prompt.text: prompt for prompt in before}
    new_texts = {prompt.text for prompt in after}
    gone = [prompt for prompt in before if prompt.text not in new_texts]
    kept = [prompt.text for prompt in before if prompt.text in new_texts]
    still = [prompt.text for prompt in after if prompt.text in old]
    blocks = SequenceMatcher(None, kept, still, autojunk=False).get_matching_blocks()
    in_place = {text for block in blocks for text in still[block.b : block.b + block.size]}
    changes = []
    for prompt in after:
        same = old.get(prompt.text)
        if same is not None:
            if details := _details(same, prompt):
                changes.append(PromptChange("changed", same.text, prompt.text, details))
            elif prompt.text not in in_place:
                changes.append(PromptChange("moved", same.text, prompt.text))
        elif (near := _nearest(prompt, gone)) is not None:
            gone.remove(near)
            changes.append(PromptChange("changed", near.text, prompt.text, _details(near, prompt)))
        else:
            changes.append(PromptChange("added", "", prompt.text))
    return [*changes, *(PromptChange("removed", prompt.text, "") for prompt in gone)]


def _nearest(prompt: PromptText, gone: Sequence[PromptText]) -> PromptText | None:
    same = [each for each in gone if each.category == prompt.category]
    likeness = [(SequenceMatcher(None, each.text, prompt.text).ratio(), each) for each in same]
    ratio, near = max(likeness, key=lambda pair: pair[0], default=(0.0, None))
    return near if ratio >= _NEAR else None


def _details(before: PromptText, after: PromptText) -> tuple[str, ...]:
    pairs = (
        ("category", before.category, after.category),
        ("tier", name_of(before.tier), name_of(after.tier)),
        ("weight", f"{before.weight:g}", f"{after.weight:g}"),
        ("seen", _seen(before.is_seen), _seen(after.is_seen)),
        ("atoms", atoms_in_words(before.atoms) or "none", atoms_in_words(after.atoms) or "none"),
    )
    return tuple(f"{name}: {was} became {now}" for name, was, now in pairs if was != now)


def _seen(is_seen: bool | None) -> str:
    return {True: "seen", False: "unseen", None: "not known"}[is_seen]


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
