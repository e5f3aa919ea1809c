"""Backups and removed photos: which backups still hold one, and that none brings it back.

`packshot backup` writes down where it wrote. Beside each backup lies a list of the photos that were removed, which is
written anew after every removal; `packshot restore` reads it and removes them once more. The audit log tells both, for
its lines outlive catalogs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.audit import AuditEntry
from app.errors import DiskFull, Refused
from app.storage import atomic_file

log = logging.getLogger(__name__)

LIST: Final = "removed-photos.jsonl"


@dataclass(frozen=True, slots=True)
class KnownBackup:
    """A backup file that was written. `is_there`: it is, or it lies where this machine does not reach at present."""

    file: str
    at: datetime
    is_there: bool


@dataclass(frozen=True, slots=True)
class TakenDown:
    """A photo that an owner removed: its number, the SHA-256 of its bytes, its catalog (None: not told), and when."""

    photo: int
    sha256: str
    file: str
    catalog: int | None
    at: str


def note(session: Session, file: Path) -> None:
    """Write down that a backup was written, and put the list of removed photos beside it. Raises DiskFull."""
    audit.record(session, "backup_written", file=str(file))
    _write(session, file.parent)


def known(session: Session, since: datetime | None = None) -> list[KnownBackup]:
    """The backups that were written, since a moment where one is given, the newest first; none that was deleted."""
    query = select(AuditEntry).where(AuditEntry.act == "backup_written").order_by(AuditEntry.id.desc())
    if since is not None:
        query = query.where(AuditEntry.at >= since)
    rows = {str(line.facts["file"]): line.at for line in reversed(session.scalars(query).all())}
    backups = [KnownBackup(file, at, _may_be_there(Path(file))) for file, at in reversed(rows.items())]
    return [backup for backup in backups if backup.is_there]


def _may_be_there(file: Path) -> bool:
    try:
        return file.exists() or not file.parent.is_dir()
    except OSError:
        return True


def tell_removed(session: Session) -> None:
    """Write the list of removed photos anew beside each known backup that this machine reaches."""
    for folder in {Path(backup.file).parent for backup in known(session)}:
        try:
            if folder.is_dir():
                _write(session, folder)
        except (OSError, DiskFull) as error:
            # The removal itself is done; the next one, and the next backup, write the list again.
            log.warning("the list of removed photos could not be written to %s: %s", folder, error)


def _write(session: Session, folder: Path) -> None:
    text = "".join(f"{json.dumps(asdict(row), ensure_ascii=False)}\n" for row in taken_down(session))
    with atomic_file(folder / LIST) as file:
        file.write(text.encode())


def taken_down(session: Session) -> list[TakenDown]:
    """The photos that were removed and not allowed again since, oldest first."""
    acts = ("photo_removed", "photo_allowed_again")
    rows: list[TakenDown] = []
    for line in session.scalars(select(AuditEntry).where(AuditEntry.act.in_(acts)).order_by(AuditEntry.id)):
        facts = line.facts
        sha256, catalog = str(facts["sha256"]), facts.get("catalog")
        if line.act == "photo_removed":
            rows.append(TakenDown(int(facts["photo"]), sha256, str(facts["file"]), catalog, line.at.isoformat()))
        else:
            rows = [row for row in rows if row.sha256 != sha256 or _is_elsewhere(row.catalog, catalog)]
    return rows


def _is_elsewhere(removed_from: int | None, allowed_in: int | None) -> bool:
    return removed_from is not None and allowed_in is not None and removed_from != allowed_in


def read(file: Path) -> Iterator[TakenDown]:
    """The rows of a list. Raises Refused for one that cannot be read: what was removed would come back."""
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            yield TakenDown(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise Refused(f"The list of removed photos, {file}, cannot be read. Nothing was restored.") from error
