"""The pictures behind one number of a verdict, each a way into the sheet's viewer at exactly that place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app import people
from app.errors import NotAllowed, NotFound
from app.evaluation import deciding, evidence
from app.evaluation.comparison import Column
from app.evaluation.deciding import SheetVerdict
from app.evaluation.evidence import KINDS, Counting, EvidenceOf
from app.evaluation.failures import WORDS, known
from app.evaluation.tables import Prompt, Sheet
from app.people import Person

_TITLES: Final[dict[EvidenceOf, str]] = {
    "usable": "Usable at first try",
    "best_of": "A usable one of all seeds",
    "category": "Weakest category",
    "hold_out": "Held-out prompts",
    "hard_fails": "Marketplace hard fails",
    "copies": "Copies of training photos",
    "copies_unseen": "Copies not looked at",
    "not_worse": "Votes against the baseline",
    "follows": "Follows the prompt",
    "passes": "Passes the rules",
    "product": "Like the product",
    "variety": "Variety across the seeds",
    "loss": "All pictures",
}
_GROUPS: Final[dict[EvidenceOf, tuple[str, str, str]]] = {  # against, for, unknown
    "usable": ("not usable", "usable", "nobody has said"),
    "category": ("not usable", "usable", "nobody has said"),
    "hold_out": ("not usable", "usable", "nobody has said"),
    "best_of": ("prompts without a usable one", "prompts with a usable one", "not all answered"),
    "hard_fails": ("against a hard rule", "keeping all hard rules", "cannot tell, or not measured yet"),
    "passes": ("against a hard rule", "keeping all hard rules", "cannot tell, or not measured yet"),
    "copies": ("copies", "no copies", "looking like a copy, and nobody has said"),
    "copies_unseen": ("", "", "looking like a copy, and nobody has said"),
    "follows": ("not as asked", "as asked", "cannot tell, or not measured yet"),
}
_OUTCOMES: Final = {"lost": "lost", "both_bad": "both bad", "tie": "tied", "won": "won"}


@dataclass(frozen=True)
class ShownEvidence:
    """One picture, or two that were voted on. `beside` is the sample or photo that stands next to it; `words` what was
    said or measured of it; `href` its place in the viewer."""

    sample_id: int
    prompt: str
    category: str
    seed: int
    words: list[str]
    href: str
    beside_sample: int | None = None
    beside_photo: int | None = None
    beside_words: str = ""


@dataclass(frozen=True)
class EvidenceGroup:
    """Pictures that count alike."""

    name: str
    pictures: list[ShownEvidence]


@dataclass(frozen=True)
class EvidenceView:
    """The page of the pictures behind one number."""

    sheet: Sheet
    title: str
    column: Column
    name: str
    groups: list[EvidenceGroup]
    count: int
    verdict_href: str


def view(session: Session, sheet: Sheet, title: str, me: Person, key: str, of: str, category: str = "") -> EvidenceView:
    """The page. Raises NotFound for an unknown column or number, NotAllowed for held-out prompts that are hidden."""
    kind = next((each for each in KINDS if each == of), None)
    if kind is None:
        raise NotFound("There is no such number in a verdict.")
    verdict = deciding.decide(session, sheet, key)
    column = next((each for each in verdict.columns if each.key == key), None)
    if column is None or column.checkpoint_id is None:
        raise NotFound("There is no such column in this comparison.")
    if kind == "hold_out" and not (verdict.facts.is_opened and people.at_least(me, "lead")):
        raise NotAllowed("The held-out prompts are for leads, once they were opened for this comparison.")
    groups = (
        _votes(verdict, sheet, column) if kind == "not_worse" else _pictures(verdict, sheet, column, kind, category)
    )
    name = f"{_TITLES[kind]}: {category}" if kind == "category" and category else _TITLES[kind]
    return EvidenceView(
        sheet=sheet, title=title, column=column, name=name, groups=groups,
        count=sum(len(group.pictures) for group in groups),
        verdict_href=f"/compare/{sheet.id}/verdict?{urlencode({'candidate': key})}",
    )  # fmt: skip


def address(sheet: Sheet, column: Column, of: EvidenceOf, category: str = "") -> str:
    """Where the pictures behind a number are."""
    asked = {"column": column.key, "of": of} | ({"category": category} if category else {})
    return f"/compare/{sheet.id}/verdict/pictures?{urlencode(asked)}"


def viewer_address(sheet: Sheet, column: Column, baseline: Column | None, prompt: Prompt, seed: int) -> str:
    """A cell of the sheet, open in its viewer beside the baseline."""
    place = {"row": f"{prompt.position}.{seed}", "a": (baseline or column).step, "b": column.step}
    return f"/compare/{sheet.id}#{urlencode(place)}"


def _pictures(
    verdict: SheetVerdict, sheet: Sheet, column: Column, kind: EvidenceOf, category: str
) -> list[EvidenceGroup]:
    facts = verdict.facts
    seeds = {number: cell.seed for cell, number in facts.samples.items()}
    rows = evidence.pictures(facts, column.checkpoint_id or 0, kind, category)
    names: dict[Counting, str] = dict(zip(("against", "for", "unknown"), _GROUPS.get(kind, ("", "", "")), strict=True))
    groups = []
    for counts, some in groupby(rows, key=lambda row: row.counts):
        shown = []
        for row in some:
            prompt = facts.prompts[row.prompt_id]
            nearest = facts.checks.nearest.get(row.sample_id) if kind in ("copies", "copies_unseen") else None
            shown.append(
                ShownEvidence(
                    sample_id=row.sample_id, prompt=prompt.text, category=prompt.category, seed=seeds[row.sample_id],
                    words=[WORDS[known(tag)] for tag in sorted(facts.tags.get(row.sample_id, ()))],
                    href=viewer_address(sheet, column, verdict.baseline, prompt, seeds[row.sample_id]),
                    beside_photo=nearest.image_id if nearest else None,
                    beside_words=f"nearest training photo, {nearest.similarity:.3f}" if nearest else "",
                )
            )  # fmt: skip
        groups.append(EvidenceGroup(names[counts], shown))
    return groups


def _votes(verdict: SheetVerdict, sheet: Sheet, column: Column) -> list[EvidenceGroup]:
    facts, baseline = verdict.facts, verdict.baseline
    if baseline is None or baseline.checkpoint_id is None:
        return []
    seeds = {number: cell.seed for cell, number in facts.samples.items()}
    rows = evidence.pairs(facts, column.checkpoint_id or 0, baseline.checkpoint_id)
    groups = []
    for came_of_it, some in groupby(rows, key=lambda row: row.outcome):
        shown = []
        for row in some:
            prompt = facts.prompts[row.prompt_id]
            shown.append(
                ShownEvidence(
                    sample_id=row.sample_id, prompt=prompt.text, category=prompt.category, seed=seeds[row.sample_id],
                    words=[], href=viewer_address(sheet, column, baseline, prompt, seeds[row.sample_id]),
                    beside_sample=row.baseline_sample_id, beside_words=baseline.label,
                )
            )  # fmt: skip
        groups.append(EvidenceGroup(_OUTCOMES[came_of_it], shown))
    return groups
