"""What a model card says beside how to draw with the model and its licences: data, results, cost, limits. Pure.

The card is README.md of an export, with the fields that model hubs read
(https://huggingface.co/docs/hub/model-cards). Texts of people are made harmless for Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from app.units import duration

LIMITS: Final = (
    "Judged on the prompts and seeds of the suite above alone; other prompts may do worse.",
    "Labels, counts and small print are drawn, not copied: look at each picture before it is published.",
    "Pictures of products that were not among its photos show what such products look like, not the product.",
)
_PASSES: Final = {True: "met", False: "not met", None: "cannot tell"}


@dataclass(frozen=True, slots=True)
class Usability:
    """Of a suite's pictures: how many people answered for, and how many of these most of them would publish."""

    suite: str
    answered: int
    usable: int


@dataclass(frozen=True, slots=True)
class ShippedFacts:
    """All that a card tells of a checkpoint. `verdict` is the gate's decision as it stood when it was signed."""

    run_id: int
    step: int
    version: str
    sentence: str
    photos: int
    content_hash: str
    recipe_name: str
    recipe_hash: str
    seconds: float | None
    amount: Decimal | None
    currency: str
    signed_by: str | None = None
    signed_on: date | None = None
    note: str = ""
    verdict: Mapping[str, Any] = field(default_factory=dict)
    usability: Sequence[Usability] = ()


def sections(facts: ShippedFacts) -> str:
    """The card's further sections, Markdown, beginning with an empty line."""
    return "\n".join(("", *_data(facts), "", *_results(facts), "", *_cost(facts), "", *_limits(), "", *_pictures(), ""))


def _data(facts: ShippedFacts) -> list[str]:
    return [
        "## Data set version and recipe",
        "",
        f"{cell(facts.version)}: {facts.photos:,} photos, SHA-256 `{facts.content_hash}`. {cell(facts.sentence)}",
        "",
        f"Recipe {cell(facts.recipe_name)}, SHA-256 `{facts.recipe_hash}`; run {facts.run_id}, step {facts.step:,}.",
    ]


def _results(facts: ShippedFacts) -> list[str]:
    lines = ["## Results", ""]
    for each in facts.usability:
        lines.append(
            f"Usable: {each.usable:,} of {each.answered:,} pictures of {cell(each.suite)} that people answered for."
        )
    if not facts.usability:
        lines.append("Nobody has answered whether its pictures are usable.")
    rows = facts.verdict.get("lines", ())
    if rows:
        lines += ["", "| gate | value | bound | limit | |", "|---|---|---|---|---|"]
        lines += [
            f"| {cell(str(row['key']))} | {_number(row.get('value'))} | {_number(row.get('bound'))} | "
            f"{_number(row.get('threshold'))} | {_PASSES[row.get('passes')]} |"
            for row in rows
        ]
    else:
        lines += ["", "No gate has judged it."]
    if facts.signed_by:
        when = f" on {facts.signed_on:%d %B %Y}" if facts.signed_on else ""
        lines += [
            "",
            f"Signed off by {cell(facts.signed_by)}{when}." + (f" “{cell(facts.note)}”" if facts.note else ""),
        ]
    return lines


def _cost(facts: ShippedFacts) -> list[str]:
    took = "not measured" if facts.seconds is None else f"{duration(facts.seconds)} on the device"
    paid = "its price is not configured" if facts.amount is None else f"{facts.amount:.2f} {facts.currency}"
    return ["## Cost", "", f"Training took {took}: {paid}."]


def _limits() -> list[str]:
    return ["## Limits", "", *(f"- {limit}" for limit in LIMITS)]


def _pictures() -> list[str]:
    return [
        "## Pictures",
        "",
        "Pictures that Packshot gives out carry the IPTC DigitalSourceType `trainedAlgorithmicMedia` as XMP. Shops ask",
        "for it: write it into yours too, diffusers does not.",
    ]


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "not known"


def cell(text: str) -> str:
    """Text of people in Markdown: it begins no cell, no line, no link and no tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("`", "'")
