"""How soon a job is begun: at once where somebody waits for it, in turn, or later where nothing does. Pure.

What is less urgent is begun last, and gives way between two batches to what is more urgent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# The lower, the sooner; these are priorities that kombu's Redis transport keeps apart.
AT_ONCE: Final = 0
IN_TURN: Final = 3
LATER: Final = 9
# Steps of photos on their way to people, and what takes long. What is named in neither is done at once.
_IN_TURN: Final = frozenset({
    "intake.take_in", "intake.try_again", "signals.measure", "captions.propose", "captions.look", "captions.ask",
    "operation.look", "operation.ask", "review.apply_rules", "catalog.remove", "files.delete", "versions.export",
    "sheet.measure",
})  # fmt: skip
UNHURRIED: Final = frozenset({
    "photos.group", "photos.embed", "photos.encode", "photos.map", "photos.read_text", "captions.count",
    "captions.lint",
})  # fmt: skip
# So many photos, named one by one, are somebody's work at the screen and not a catalog's.
FEW: Final = 32


def of(kind: str, arguments: Mapping[str, Any], is_asked_at_a_screen: bool) -> int:
    """How urgent a job of this kind is; one that somebody asked for at a screen comes at least in turn. What is done
    `again`, after an update, nobody waits for."""
    if kind in UNHURRIED or arguments.get("again"):
        return IN_TURN if is_asked_at_a_screen else LATER
    if kind not in _IN_TURN or 0 < len(arguments.get("image_ids") or ()) <= FEW:
        return AT_ONCE
    return IN_TURN
