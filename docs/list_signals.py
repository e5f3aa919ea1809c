"""Writes docs/signals.md: every signal with its value, range, key and overlay, as declared. `make docs` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from app.catalog.measures import SCALE_OF
from app.catalog.tables import Image, Lettering, PhotoMap, Signals
from app.selection.keys import KEYS
from app.selection.kinds import Key, Measure, OneOf
from app.web.views.evidence import OVERLAYS
from app.web.views.measures import title_of

PAGE: Final = Path(__file__).resolve().parent / "signals.md"
_HEAD: Final = """# Every signal

Made from the declarations by `make docs`; `tests/web/test_signals.py` holds it true, and holds that whatever is stored
of a photo has a value with its unit, range and version, a key, a histogram or choices, a way to ask for what cannot be
told, and an overlay. How each is measured: `workers/signals/measure.py` and the files that it names,
`workers/lettering/reader.py` for text, `workers/embedding/layout.py` for the last one. Facts of the file are always
known.

*Key* is the word in the filter language, *cannot tell* the filter for photos of which nobody can tell it. Histograms
stand beside the grid, for whoever chooses them there; those with a limit also on the page of the rules, where moving
the limit counts what would change. *Over the photo* is what W shows once the signal is chosen.
"""
# What the photo index calls otherwise than the table that it follows.
_STORED_AS: Final = {
    "colour": "subject_colour", "cropped": "is_cropped", "lettering": "place", "writing": "kinds",
    "text_share": "share", "longest_px": "width_px", "shortest_px": "height_px",
}  # fmt: skip
_VERSIONS: Final[dict[Any, str]] = {
    Signals: "`signals.version`", Lettering: "`lettering.version`", PhotoMap: "the map’s space", Image: "the file",
}  # fmt: skip


def stored(key: Key) -> tuple[Any, str]:
    """The table that a signal is stored in, and its column there."""
    name = _STORED_AS.get(key.column.key, key.column.key)
    for table in (Signals, Lettering, PhotoMap, Image):
        if hasattr(table, name):
            return table, name
    raise LookupError(f"{key.name}: {name} is in no table of signals")


def untold(key: Key) -> str:
    """The filter that gives the photos of which nobody can tell a signal; empty where it is always known."""
    if stored(key)[0] is Image:
        return ""
    if stored(key)[0] is Lettering and not isinstance(key, Measure):
        return 'lettering:"not read"'
    return f'{key.name}:"cannot tell"' if isinstance(key, OneOf) else f"{key.name}:none"


def page() -> str:
    """The page's text."""
    rows = [_row(KEYS[name]) for name in OVERLAYS]
    head = "| Signal | Stored | Unit | Range | Version | Key | Cannot tell | Bars or choices | Over the photo |"
    return "\n".join([_HEAD, head, "|---" * 9 + "|", *rows, ""])


def _row(key: Key) -> str:
    table, column = stored(key)
    filter_for = untold(key)
    cells = [
        title_of(key) if isinstance(key, Measure) else key.title,
        f"`{table.__tablename__}.{column}`",
        *_unit_and_range(key),
        _VERSIONS[table],
        f"`{key.name}:`",
        f"`{filter_for}`" if filter_for else "always known",
        "histogram" if isinstance(key, Measure) else "choices",
        OVERLAYS[key.name].shows,
    ]
    return f"| {' | '.join(cells)} |"


def _unit_and_range(key: Key) -> tuple[str, str]:
    if isinstance(key, Measure):
        scale = SCALE_OF[key.column.key]
        return scale.unit or "none", scale.range
    return "a word", ", ".join(key.allowed) if key.allowed else "names of colours"


if __name__ == "__main__":
    PAGE.write_text(page())
