"""The bodies of `catalog.remove` and `files.delete`: what an owner removed, deleted for good.

Both may be done again from the start: they find less each time.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import Any, Final

from app import jobs
from app.catalog import reading
from app.removal import backups, caches, catalogs, files, photos
from workers.celery_app import NotYet, Work

# Each look goes over all photos, so few looks are better than many.
FILES_AT_ONCE: Final = 20_000


def remove_catalog(work: Work) -> dict[str, Any]:
    """Delete a removed catalog photo by photo, then what is left of it.

    Raises Cancelled and GivesWay between batches.
    """
    catalog_id = int(work.arguments["catalog_id"])
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        if not reading.is_removed(session, catalog_id):
            return {"photos": 0, "kept": 0}
        catalogs.drop_unused_versions(session, work.storage, catalog_id, jobs.asker(session, work.claim.job_id))
    # What an earlier worker deleted is not met again; what versions hold is.
    gone, kept, last = work.claim.done, 0, 0
    while True:
        with work.transaction() as session:
            jobs.beat(session, work.claim, done=gone)
            ids = catalogs.next_photos(session, catalog_id, last)
            removed = photos.take_away(session, work.storage, catalog_id, ids)
            # Asked for in the transaction that removes the rows: killed in between, no file is forgotten.
            asker = jobs.asker(session, work.claim.job_id)
            files.request_deletion(session, removed.files, asker, removed.folders)
        if not ids:
            break
        gone, kept, last = gone + removed.gone, kept + removed.kept, ids[-1]
        work.tell(done=gone)
        work.go_on()
    with work.transaction() as session:
        jobs.beat(session, work.claim)
        catalogs.drop_rest(session, work.storage, catalog_id)
    return {"photos": gone, "kept": kept}


def delete_files(work: Work) -> dict[str, Any]:
    """Delete files and folders that nobody needs any more.

    Raises Cancelled between batches, and NotYet where some are too young to be sure that nobody is about to need them.
    """
    for folder in work.arguments["folders"]:
        shutil.rmtree(work.storage.root / folder, ignore_errors=True)
    caches.drop_unnamed(work.storage)
    # A batch that was killed may have left the bytes of a removed photo under no name.
    for file in work.storage.left_behind(time.time()):
        (work.storage.root / file).unlink(missing_ok=True)
    with work.transaction() as session:
        backups.tell_removed(session)
    _delete_settled(work, work.arguments["files"])
    return {}


def _delete_settled(work: Work, asked: Sequence[str]) -> None:
    """Delete those of these files that no photo has. Raises NotYet for young ones, once the others are gone."""
    young: list[str] = []
    for start in range(0, len(asked), FILES_AT_ONCE):
        with work.transaction() as session:
            going = files.unneeded(session, asked[start : start + FILES_AT_ONCE])
        young += files.delete(work.storage, going)
        work.tell()
    if young:
        raise NotYet
