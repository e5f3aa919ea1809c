"""README.md of an export: the card of its version with the lines by which tools find the files, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.datasets.card import plain, with_head
from app.datasets.manifest import rights_of
from app.exports.members import Outgoing

_LISTED_AT_MOST: Final = 100
COLUMNS: Final = {
    "key": "the photo’s number, the same in every version and export",
    "caption_by": "who wrote the caption: person, given (it came with the photo), or the captioner’s name",
    "caption_short": "the short caption, like the next two as it was when the version was frozen",
    "caption_tags": "tags: words between commas",
    "caption_facts": "what the catalogue knew of the product, in a sentence",
    "split": "train or validation",
    "group": "photos of one product and their copies, never parted by the split",
    "product": "as the catalog had it when the version was frozen, like the next two",
    "category": "its category",
    "labels": "what people labelled it with: “set=label”, several parted by “; ”",
    "repeats": "how often a trainer shows it in one time round",
    "mended": "whether the picture was cropped, turned or otherwise mended; it is as mended",
    "original_name": "the name of its file as taken in",
    "sha256": "of the picture file",
    "width_px": "of the picture",
    "height_px": "of the picture",
    "source": "where the photo came from",
    "licence": "as it came with the photo",
    "credit": "whom to name",
    "opt_out": "how its owner opted out of training",
}


def card(outgoing: Outgoing, head: str, left_out: Sequence[str]) -> str:
    """The card of an export as Markdown. Nothing in it depends on when or where it is written."""
    columns = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items())
    parts = [
        with_head(outgoing.card, head).rstrip(),
        "## Data fields",
        "Beside each picture and its caption; what is not known is empty.",
        f"| Field | What it is |\n|---|---|\n{columns}",
    ]
    if credits := rights_of([member.row for member in outgoing.members])["credits"]:
        parts += ["## Credits", "; ".join(plain(credit) for credit in credits)]
    if outgoing.removed or left_out:
        parts.append("## Left out of this export")
    if outgoing.removed:
        parts.append(f"{outgoing.removed:,} that an owner removed from the catalog after the version was frozen.")
    if left_out:
        parts.append("\n".join(f"- {plain(photo)}" for photo in left_out[:_LISTED_AT_MOST]))
        if (rest := len(left_out) - _LISTED_AT_MOST) > 0:
            parts.append(f"and {rest:,} more")
    return "\n\n".join(parts) + "\n"
