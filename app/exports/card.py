"""README.md of an export: the head that tools read, and what people have to know of the photos."""

from __future__ import annotations

from collections.abc import Sequence

from app.datasets.manifest import rights_of
from app.exports.members import Outgoing

_LISTED_AT_MOST = 100


def card(outgoing: Outgoing, head: str, left_out: Sequence[str]) -> str:
    """The card of an export as Markdown. Nothing in it depends on when or where it is written."""
    counts = {split: len(outgoing.of(split)) for split in ("train", "validation")}
    rights = rights_of([member.row for member in outgoing.members])
    lines = [
        f"---\n{head}---",
        f"# {_plain(outgoing.name)}, version {outgoing.number}",
        f"{_plain(outgoing.sentence)} Frozen by Packshot; content hash `{outgoing.content_hash}`.",
        f"{counts['train']:,} photos to train on, {counts['validation']:,} held out for validation. "
        "Photos of one product, and copies of a picture, are in one split.",
        "## Whose the photos are",
        *_table("Licence", rights["licences"]),
        *_table("Source", rights["sources"]),
        f"{rights['opted_out']:,} of {rights['photos']:,} photos were opted out of training by their owners. "
        "Each photo's own source, licence, credit and opt-out stand beside it.",
    ]
    if rights["credits"]:
        lines.append("Credits: " + "; ".join(_plain(credit) for credit in rights["credits"]))
    lines += ["## Captions", *_table("Written by", _authors(outgoing))]
    if outgoing.removed or left_out:
        lines.append("## Left out")
    if outgoing.removed:
        lines.append(f"{outgoing.removed:,} that an owner removed from the catalog after the version was frozen.")
    if left_out:
        rest = len(left_out) - _LISTED_AT_MOST
        lines.append("\n".join(f"- {_plain(photo)}" for photo in left_out[:_LISTED_AT_MOST]))
        if rest > 0:
            lines.append(f"and {rest:,} more")
    return "\n\n".join(lines) + "\n"


def _authors(outgoing: Outgoing) -> dict[str, int]:
    counts: dict[str, int] = {}
    for member in outgoing.members:
        counts[member.caption_by] = counts.get(member.caption_by, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _table(head: str, counts: dict[str, int]) -> list[str]:
    rows = "\n".join(f"| {_plain(name)} | {count:,} |" for name, count in counts.items())
    return [f"| {head} | photos |\n|---|---|\n{rows}"]


def _plain(text: str) -> str:
    """Words of strangers in one line of Markdown, as they are."""
    line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in line)
