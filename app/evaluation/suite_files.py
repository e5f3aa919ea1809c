"""Suites as JSON lines: the first line is the suite's, every other a prompt. What was written is read back the same.
Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from app.errors import Refused
from app.evaluation.prompt_texts import (
    NAME_AT_MOST,
    PROMPTS_AT_MOST,
    PromptText,
    check_sampling,
    check_seeds,
    checked,
    is_storable,
)  # fmt: skip

BYTES_AT_MOST: Final = 8 << 20
SENTENCES_AT_MOST: Final = 5
_HEAD: Final = frozenset({"suite", "version", "content_hash", "seeds", "sampling", "held_back"})
_PROMPT: Final = frozenset({"text", "category", "tier", "weight", "is_seen", "atoms"})


@dataclass(frozen=True, slots=True)
class SuiteDraft:
    """A suite to be: its prompts, seeds and sampling settings."""

    prompts: tuple[PromptText, ...]
    seeds: tuple[int, ...]
    sampling: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """What a file of JSON lines holds. `held_back`: so many held-out prompts of the suite are not in it."""

    name: str
    draft: SuiteDraft
    held_back: int


def lines(
    name: str, version: int, content_hash: str, draft: SuiteDraft, held_back: int = 0
) -> Iterator[dict[str, Any]]:
    """The lines of a suite, each an object."""
    yield {
        "suite": name, "version": version, "content_hash": content_hash, "seeds": list(draft.seeds),
        "sampling": draft.sampling, "held_back": held_back,
    }  # fmt: skip
    for prompt in draft.prompts:
        yield {
            "text": prompt.text, "category": prompt.category, "tier": prompt.tier, "weight": prompt.weight,
            "is_seen": prompt.is_seen, "atoms": prompt.atoms,
        }  # fmt: skip


def read(content: bytes) -> SuiteFile:
    """The suite of a file. Raises Refused, with a sentence for each of its first bad lines; then nothing is taken."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("The file is not UTF-8 text; JSON lines are.") from None
    rows = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not rows:
        raise Refused("The file is empty.")
    if len(rows) - 1 > PROMPTS_AT_MOST:
        raise Refused(f"The file has {len(rows) - 1:,} prompts; a suite has at most {PROMPTS_AT_MOST:,}.")
    prompts, faults = [], []
    for number, line in rows:
        try:
            row = _object(line)
            if number == rows[0][0]:
                head = _head(row)
            else:
                prompts.append(_prompt(row))
        except Refused as refusal:
            faults.append(f"Line {number}: {refusal.sentence}")
    if faults:
        more = len(faults) - SENTENCES_AT_MOST
        rest = [f"And {more:,} more such lines."] if more > 0 else []
        raise Refused(" ".join([*faults[:SENTENCES_AT_MOST], *rest, "Nothing was taken."]))
    if not prompts:
        raise Refused("The file has no prompt: every line after the first is one.")
    seeds, sampling = tuple(head["seeds"]), head["sampling"]
    return SuiteFile(head["suite"], SuiteDraft(tuple(prompts), seeds, sampling), head["held_back"])


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused("It is not JSON.") from None
    if not isinstance(row, dict):
        raise Refused("It is no JSON object.")
    return row


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    _check_names(row, _HEAD, "a suite")
    name, seeds, sampling = row.get("suite"), row.get("seeds"), row.get("sampling")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= NAME_AT_MOST or not is_storable(name):
        raise Refused(f"The first line names the suite as “suite”, in 1 to {NAME_AT_MOST} characters.")
    if not isinstance(seeds, list) or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
        raise Refused("“seeds” is a list of whole numbers.")
    check_seeds(seeds)
    if not isinstance(sampling, dict):
        raise Refused("“sampling” is an object with steps, guidance, width_px and height_px.")
    check_sampling(sampling)
    held_back = row.get("held_back", 0)
    if isinstance(held_back, bool) or not isinstance(held_back, int) or held_back < 0:
        raise Refused("“held_back” is a whole number.")
    return {"suite": name.strip(), "seeds": seeds, "sampling": sampling, "held_back": held_back}


def _prompt(row: Mapping[str, Any]) -> PromptText:
    _check_names(row, _PROMPT, "a prompt")
    text, category, tier = row.get("text"), row.get("category", "No category"), row.get("tier", "full")
    weight, is_seen, atoms = row.get("weight", 1.0), row.get("is_seen"), row.get("atoms", {})
    if not isinstance(text, str):
        raise Refused("It has no “text”.")
    if not isinstance(category, str) or not isinstance(tier, str):
        raise Refused("“category” and “tier” are texts.")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise Refused("“weight” is a number.")
    if is_seen is not None and not isinstance(is_seen, bool):
        raise Refused("“is_seen” is true, false or null.")
    if not isinstance(atoms, dict):
        raise Refused("“atoms” is an object.")
    return checked(PromptText(text, category, atoms, tier, float(min(weight, 1e9)), is_seen))  # type: ignore[arg-type]


def _check_names(row: Mapping[str, Any], names: frozenset[str], of: str) -> None:
    if unknown := sorted(set(row) - names):
        raise Refused(f"{of.capitalize()} has no “{unknown[0][:40]}”; it has {', '.join(sorted(names))}.")


def draft_of(prompts: Sequence[PromptText], seeds: Sequence[int], sampling: Mapping[str, Any]) -> SuiteDraft:
    """A draft of these. Raises Refused, naming the prompt by its place, for what no suite can hold."""
    if not prompts or len(prompts) > PROMPTS_AT_MOST:
        raise Refused(f"A suite has 1 to {PROMPTS_AT_MOST:,} prompts.")
    sound = []
    for number, prompt in enumerate(prompts, start=1):
        try:
            sound.append(checked(prompt))
        except Refused as refusal:
            raise Refused(f"Prompt {number}: {refusal.sentence}") from None
    check_seeds(seeds)
    check_sampling(dict(sampling))
    return SuiteDraft(tuple(sound), tuple(seeds), dict(sampling))
