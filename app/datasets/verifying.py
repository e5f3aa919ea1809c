"""Verifying a version: its manifest, members and picture files still are what its hashes were made of.

Whoever reads the manifest of a version, to train or to export, reads it by `as_frozen`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import jobs
from app.captions.tables import Caption
from app.datasets import reading
from app.datasets.freezing import MANIFEST
from app.datasets.manifest import ManifestError, ManifestRow, content_hash, facts_hash, read_manifest
from app.datasets.tables import DatasetVersion, Member
from app.errors import NotFound, Refused
from app.people import Person
from app.storage import Storage, sha256_of

NAMED_AT_MOST: Final = 3
FILES_AT_ONCE: Final = 500
_HASHED: Final = ("sha256", "caption", "split", "group", "repeats")


def request(session: Session, version_id: int, person: Person) -> DatasetVersion:
    """Ask for a look at a version; one that is under way is not asked for twice. Raises NotFound, and Refused."""
    version = reading.get(session, version_id).version
    session.refresh(version, with_for_update=True)
    if version.content_hash is None:
        raise Refused("This version is not frozen yet, so there is nothing to verify.")
    if version.verify_job_id is None or jobs.get(session, version.verify_job_id).is_over:
        version.verify_job_id = jobs.request(session, "dataset.verify", {"version_id": version.id}, person).id
        session.flush()
    return version


def as_frozen(storage: Storage, version: DatasetVersion) -> list[ManifestRow]:
    """The rows of the manifest, where they give the hashes that the version was frozen with.

    A version that was frozen before facts had a hash is held against the other alone. Raises Refused, which says what
    differs and what to do.
    """
    name, manifest = f"version {version.number}", storage.dataset_folder(version.id) / MANIFEST
    if not manifest.is_file():
        raise Refused(f"The manifest of {name} is not in the data folder any more. {_ADVICE}")
    try:
        rows = read_manifest(manifest)
    except ManifestError as error:
        raise Refused(f"The manifest of {name} is not whole: {error} {_ADVICE}") from error
    if content_hash(rows) != version.content_hash:
        raise Refused(f"The manifest of {name} was changed: it does not give the content hash any more. {_ADVICE}")
    if version.facts_hash is not None and facts_hash(rows) != version.facts_hash:
        raise Refused(
            f"The manifest of {name} was changed: what it tells of its photos, such as licence, opt-out, labels, "
            f"product, category or short caption, does not give the facts hash any more. {_ADVICE}"
        )
    return rows


def manifest_file(storage: Storage, version: DatasetVersion) -> Path:
    """The manifest as a file, where it gives the hashes that the version was frozen with. Raises NotFound where it is
    gone, and Refused, as `as_frozen` does: the file is read line by line only where its bytes are not those that were
    written, for a line may have moved.
    """
    file = storage.dataset_folder(version.id) / MANIFEST
    if not file.is_file():
        raise NotFound(f"The manifest of version {version.number} is not in the data folder any more. {_ADVICE}")
    if version.file_sha256 is None or not _is_whole(file, version.file_sha256):
        as_frozen(storage, version)
    return file


_ADVICE: Final = "Restore it from a backup, or freeze the selection again."


def manifest_of(session: Session, storage: Storage, version: DatasetVersion) -> list[ManifestRow]:
    """The rows of the manifest, where these give the hashes of the version, and the members in the database its content
    hash. Raises Refused, which says what differs.
    """
    name, rows = f"version {version.number}", as_frozen(storage, version)
    members = session.execute(
        select(Member.sha256, Caption.text, Member.split, Member.group, Member.repeats)
        .join(Caption, Caption.id == Member.caption_id)
        .where(Member.version_id == version.id)
    ).all()
    if any(member.sha256 is None for member in members):
        return rows  # frozen before members told their files
    kept = [_hashed(rows[0], member) for member in members]
    if content_hash(kept) != version.content_hash:
        raise Refused(f"The members of {name} were changed: they do not give the content hash any more.")
    return rows


def _hashed(row: ManifestRow, member: Sequence[Any]) -> ManifestRow:
    """A row with what the content hash depends on as a member has it."""
    values: dict[str, Any] = dict(zip(_HASHED, member, strict=True))
    return replace(row, **values)


def faults(storage: Storage, version_id: int, rows: Sequence[ManifestRow]) -> Iterator[tuple[int, list[str]]]:
    """Of how many members picture file and mask were read, after every FILES_AT_ONCE, and the names of those files that
    are missing or changed."""
    folder = storage.dataset_folder(version_id)
    for start in range(0, len(rows), FILES_AT_ONCE):
        some = rows[start : start + FILES_AT_ONCE]
        bad = [row.file for row in some if not _is_whole(folder / row.file, row.sha256)]
        bad += [row.mask for row in some if row.mask and not _is_whole(folder / row.mask, Path(row.mask).stem)]
        yield start + len(some), bad


def _is_whole(file: Path, sha256: str) -> bool:
    try:
        return sha256_of(file) == sha256
    except OSError:
        return False


def refusal(bad: Sequence[str], of: int) -> Refused:
    """What is said where picture files are not what they were."""
    named = ", ".join(Path(name).name[:12] for name in bad[:NAMED_AT_MOST])
    more = f" and {len(bad) - NAMED_AT_MOST:,} more" if len(bad) > NAMED_AT_MOST else ""
    are = "is" if len(bad) == 1 else "are"
    return Refused(
        f"{len(bad):,} of {of:,} picture files {are} missing or changed: {named}{more}. "
        "Restore the data folder from a backup."
    )
