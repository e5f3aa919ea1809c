"""The captions of a photo by kind, each with its versions, as the desk and the card of the grid show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.orm import Session

from app.captions import writing
from app.captions.tables import KIND_WORDS, CaptionText, CaptionTokens, Kind
from app.web.views import meters
from app.web.views.meters import Meter

TITLES: Final[dict[Kind, str]] = {"long": "Long", "short": "Short", "tags": "Tags", "facts": "Facts"}
ASKS: Final[dict[Kind, str]] = {
    "long": "What this photo shows, in a sentence.",
    "short": "What this photo shows, in a few words.",
    "tags": "Words for this photo, between commas.",
    "facts": "What the catalogue knows of the product.",
}


@dataclass(frozen=True)
class CaptionVersion:
    """One caption of a photo’s history of a kind, counted from 1. `parent` is the one it was made from."""

    number: int
    caption: CaptionText
    author: str
    parent: CaptionText | None = None
    parent_number: int = 0

    @property
    def source(self) -> str:
        """The prompt of a model, or the line of a file; empty where neither is known."""
        settings = self.caption.settings
        if self.caption.written_by == "given":
            return f"line {settings['line']}" if settings.get("line") else ""
        return str(settings.get("prompt") or "")


@dataclass(frozen=True)
class KindPanel:
    """The captions of one kind: every version, from newest to oldest, and the one that is current.

    Where it `is_unseen`, in a blind pass, it has the words that stand now and not who or what wrote any.
    """

    kind: Kind
    versions: tuple[CaptionVersion, ...]
    meters: tuple[Meter, ...] = field(default=())
    is_unseen: bool = False

    @property
    def title(self) -> str:
        """What its tab is called."""
        return TITLES[self.kind]

    @property
    def word(self) -> str:
        """What a caption of this kind is called in a sentence."""
        return KIND_WORDS[self.kind]

    @property
    def asks(self) -> str:
        """What the empty field asks for."""
        return ASKS[self.kind]

    @property
    def current(self) -> CaptionVersion | None:
        """The version that stands now."""
        return next((version for version in self.versions if version.caption.superseded_at is None), None)

    @property
    def machine_text(self) -> str:
        """The newest by a captioner, or nothing."""
        if self.is_unseen:
            return ""
        return next((each.caption.text for each in self.versions if each.caption.written_by == "captioner"), "")

    def unseen(self) -> KindPanel:
        """It, as for somebody who shall not see who wrote it, nor what stood there before."""
        now = self.current
        versions = () if now is None else (CaptionVersion(1, now.caption, ""),)
        return replace(self, versions=versions, is_unseen=True)


def read(session: Session, image_id: int) -> tuple[KindPanel, ...]:
    """A photo’s captions of every kind, the long one first, with the tokens that a worker counted."""
    return tuple(
        KindPanel(kind, _versions(session, rows), _counted(session, rows))
        for kind, rows in writing.histories(session, image_id).items()
    )


def _versions(session: Session, rows: Sequence[CaptionText]) -> tuple[CaptionVersion, ...]:
    numbers = {row.id: len(rows) - place for place, row in enumerate(rows)}
    by_id = {row.id: row for row in rows}
    return tuple(
        CaptionVersion(
            numbers[row.id], row, writing.author(session, row),
            by_id.get(row.parent_id or 0), numbers.get(row.parent_id or 0, 0),
        )
        for row in rows
    )  # fmt: skip


def _counted(session: Session, rows: Sequence[CaptionText]) -> tuple[Meter, ...]:
    current = next((row for row in rows if row.superseded_at is None), None)
    tokens = session.get(CaptionTokens, current.id) if current is not None else None
    return meters.counted(tokens.counts) if tokens is not None else ()
