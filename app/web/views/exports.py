"""The exports of a version, as its page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.exports import asking, formats
from app.exports.asking import ExportRow
from app.storage import Storage


@dataclass(frozen=True)
class ExportsPanel:
    """What was exported, newest first, and which formats there are: name, word, who reads it."""

    rows: list[ExportRow]
    formats: list[tuple[str, str, str]]
    max_repeats: int = asking.MAX_REPEATS


def panel(session: Session, storage: Storage, version_id: int) -> ExportsPanel:
    """The exports of a version."""
    choices = [(name, word, formats.READ_BY[name]) for name, word in formats.NAMES.items()]
    return ExportsPanel(asking.of_version(session, storage, version_id), choices)
