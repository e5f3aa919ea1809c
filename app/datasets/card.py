"""The dataset card: what a version is, in Markdown with the fields of Hugging Face's cards, for exports and the page.

The metadata at its head is YAML between lines of three dashes, as the hub reads it. What came from people or files is
escaped, so that no title, licence or category becomes markup or another field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml
from sqlalchemy.orm import Session

from app.captions.tables import KIND_WORDS
from app.catalog.copies import COPIES_SEEN
from app.datasets import reading
from app.datasets.balance import of_summary, summarise
from app.datasets.kinds import COLUMNS
from app.datasets.reading import VersionRow
from app.datasets.tables import DatasetVersion
from app.errors import Refused

# Identifiers of the hub for licences as tables of photos write them. https://huggingface.co/docs/hub/repositories-licenses
_LICENCES: Final = {
    "cc0": "cc0-1.0", "cc0-1.0": "cc0-1.0", "cc0 1.0": "cc0-1.0", "public domain": "pddl", "cc by 4.0": "cc-by-4.0",
    "cc-by-4.0": "cc-by-4.0", "cc by 3.0": "cc-by-3.0", "cc by 2.0": "cc-by-2.0", "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0", "cc by-nc 4.0": "cc-by-nc-4.0", "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc by-nd 4.0": "cc-by-nd-4.0", "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0", "cc by-nc-nd 4.0": "cc-by-nc-nd-4.0",
    "mit": "mit", "apache-2.0": "apache-2.0", "apache 2.0": "apache-2.0",
}  # fmt: skip
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST: Final = "1M<n<10M"
_AUTHORS: Final = {"person": "people", "given": "came with the photos", "facts": "the facts captioner"}


def card(session: Session, version_id: int) -> str:
    """The card of a frozen version. Raises NotFound, and Refused for one that is not frozen."""
    shown = reading.get(session, version_id)
    if shown.version.content_hash is None:
        raise Refused("This version is not frozen yet, so it has no card.")
    summary = shown.version.summary or summarise(session, version_id)
    parts = [_metadata(shown, summary), _description(shown), _structure(shown), *_creation(shown, summary)]
    return "\n\n".join([*parts, _limits(shown.version, summary)]) + "\n"


def with_head(text: str, lines: str) -> str:
    """A card with further lines of YAML at the end of its metadata."""
    metadata, body = text.split("\n---\n", 1)
    return f"{metadata}\n{lines}---\n{body}"


def _metadata(shown: VersionRow, summary: Mapping[str, Any]) -> str:
    total = _total(shown.version)
    licences = [value for value, _, _ in summary["licence"]["values"]]
    known = {_LICENCES.get((licence or "").strip().lower(), "other") for licence in licences}
    licence = known.pop() if len(known) == 1 else "other"
    fields = {
        "pretty_name": f"{shown.catalog_name}, version {shown.version.number}",
        "license": licence,
        **({"license_name": _one_licence(licences)} if licence == "other" else {}),
        "task_categories": ["text-to-image"],
        "tags": ["product-photos", "packshot"],
        "size_categories": [next((size for limit, size in _SIZES if total < limit), _LARGEST)],
    }
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=1_000)}---"


def _one_licence(licences: Sequence[str | None]) -> str:
    """The hub asks for a name of what has no identifier there."""
    if licences == [None]:
        return "unknown"
    return "various" if len(licences) > 1 else (licences[0] or "unknown")


def _description(shown: VersionRow) -> str:
    version = shown.version
    frozen = f"{version.frozen_at:%-d %B %Y}" if version.frozen_at else "an unknown day"
    chosen = f"`{_code(version.selection)}`" if version.selection else "every photo"
    return "\n".join([
        f"# Dataset card for {plain(shown.catalog_name)}, version {version.number}",
        "",
        "## Dataset description",
        "",
        "Product photos with captions, for fine-tuning text-to-image models. The version never changes.",
        "",
        f"- **Curated by:** {plain(shown.by or 'Packshot')}",
        f"- **Frozen:** {frozen}",
        f"- **Chosen by:** {plain(version.sentence)} In the filter language: {chosen}",
        f"- **Content hash (SHA-256):** `{version.content_hash}`",
        f"- **Facts hash (SHA-256):** {f'`{version.facts_hash}`' if version.facts_hash else 'not recorded'}",
    ])  # fmt: skip


def _structure(shown: VersionRow) -> str:
    version = shown.version
    lines = [
        "## Dataset structure",
        "",
        "| Split | Photos |",
        "|---|---:|",
        f"| train | {version.train_count:,} |",
        f"| validation | {version.validation_count:,} |",
        f"| all | {_total(version):,} |",
        "",
        "Photos of one product, and duplicates, are never in both splits. "
        f"The split is drawn by their names and the seed {version.seed}: the same photos split alike.",
    ]
    if version.repeats:
        rules = "; ".join(f"{rule['times']} times what matches `{_code(rule['query'])}`" for rule in version.repeats)
        lines += ["", f"A trainer shows more than once: {rules}."]
    return "\n".join(lines)


def _creation(shown: VersionRow, summary: Mapping[str, Any]) -> list[str]:
    left_out = shown.version.opted_out_count
    opted_in = {value: count for value, count, _ in summary["opted_out"]["values"]}.get("yes", 0)
    said = "not known" if left_out is None else f"{left_out:,} selected photos opted out of training were left out"
    if opted_in:
        said += f"; {opted_in:,} photos opted out of training were taken, with the permission that a person stated"
    return [
        "## Dataset creation",
        _table("Sources", "Source", summary["source"]),
        _table("Licences", "Licence", summary["licence"]),
        f"### Opt-outs\n\n{said[0].upper()}{said[1:]}.",
        f"{_table('Captions by author', 'Author', summary['author'], _AUTHORS)}\n\n{_by_kind(summary['author'])}",
        *_other_kinds(shown.version, summary),
        *(_table(balance.title, balance.title, summary[balance.key]) for balance in of_summary(summary)),
    ]


def _by_kind(authors: Mapping[str, Any]) -> str:
    """How many captions are whose, by kind; of models and people the table has the names, of people only how many."""
    counts = {"person": 0, "given": 0, "captioner": authors["others"]}
    for value, count, _ in authors["values"]:
        counts[value if value in ("person", "given") else "captioner"] += count
    return (
        f"{counts['person']:,} were written by people, {counts['captioner']:,} by captioners, "
        f"{counts['given']:,} came with the photos."
    )


def _other_kinds(version: DatasetVersion, summary: Mapping[str, Any]) -> list[str]:
    """How many photos have a caption of each other kind; nothing of a version that was frozen without them."""
    if not version.keeps_kinds or "kinds" not in summary:
        return []
    rows = "\n".join(f"| {KIND_WORDS[kind]} | {summary['kinds'][kind]:,} |" for kind in COLUMNS)
    return [
        f"### Further captions\n\n| Kind | Photos |\n|---|---:|\n{rows}\n\nA training run learns from none of these."
    ]


def _limits(version: DatasetVersion, summary: Mapping[str, Any]) -> str:
    unknown = next((count for value, count, _ in summary["licence"]["values"] if value is None), 0)
    facts = [
        *(balance.suggestion for balance in of_summary(summary)),
        f"The licence of {unknown:,} photos is not known." if unknown else "",
        f"No person had seen {version.unseen_count:,} of the photos." if version.unseen_count else "",
        f"Copies of {version.uncompared_count:,} photos could not be looked for." if version.uncompared_count else "",
        "Copies were not looked for." if version.uncompared_count is None else f"Of copies, {COPIES_SEEN}.",
        "" if version.validation_count else "Nothing is held out for validation.",
    ]
    return "\n".join(["## Bias, risks and limitations", "", *(f"- {plain(fact)}" for fact in facts if fact)])


def _table(title: str, head: str, counted: Mapping[str, Any], words: Mapping[str, str] | None = None) -> str:
    rows = [(_cell((words or {}).get(value, value)), count) for value, count, _ in counted["values"]]
    rows += [("others", counted["others"])] if counted["others"] else []
    return "\n".join([f"### {title}", "", f"| {head} | Photos |", "|---|---:|", *(f"| {a} | {b:,} |" for a, b in rows)])


def _cell(value: str | None) -> str:
    return plain(value) if value else "not known"


def plain(text: str) -> str:
    """Text as Markdown that shows just that: one line, nothing in it marks up."""
    return re.sub(r"([\\`*_\[\]<>|#~!])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _total(version: DatasetVersion) -> int:
    return version.train_count + version.validation_count
