"""`packshot export`: a frozen version written out from the terminal, while everything runs or not."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from sqlalchemy import NullPool, create_engine

from app.database import transaction
from app.errors import Refused
from app.exports import formats, shards, writing
from app.exports.members import gather
from app.exports.shards import Listener, Wish
from app.host.state import host_state
from app.settings import Settings
from app.storage import Storage
from app.units import bytes_

_TOLD_EVERY_S: Final = 0.5


def export(settings: Settings, version_id: int, name: str, out: Path, wish: Wish) -> str:
    """Write a version into the new folder `out`, or go on where this command was interrupted; a sentence about it.

    Raises Refused, NotFound, DiskFull.
    """
    formats.named(name)
    data_dir, out = settings.data_dir.resolve(), out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(f"{out} is there already. Name a new folder; nothing is ever written over.")
    if not out.parent.is_dir():
        raise Refused(f"There is no folder {out.parent}.")
    state = host_state(data_dir)
    url = state.database_url if state else settings.database_url
    if not url:
        raise Refused(f"Nothing runs on {settings.data_dir}. Start it first: `packshot up`")
    storage = Storage(data_dir, settings.disk_reserve_bytes)
    with transaction(create_engine(url, poolclass=NullPool)) as session:
        outgoing = gather(session, storage, version_id)
    listener = Listener(_Line(len(outgoing.members)).told)
    try:
        written = writing.write(out, outgoing, name, wish, listener, storage.reserve_bytes)
    finally:
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
    shards.settle(out)
    for photo in written.left_out:
        print(f"left out: {photo}", file=sys.stderr)
    size = f"{written.files:,} files, {bytes_(written.size_bytes)}"
    return f"{out}: {written.photos:,} photos as {formats.NAMES[name]}, {size}."


class _Line:
    """How far it is, in one line of a terminal; nothing where nobody looks."""

    def __init__(self, total: int) -> None:
        self.total, self.last = total, 0.0

    def told(self, done: int) -> None:
        """So many photos are written."""
        now = time.monotonic()
        if sys.stderr.isatty() and (now - self.last > _TOLD_EVERY_S or done == self.total):
            self.last = now
            sys.stderr.write(f"\r{done:,} of {self.total:,} photos")
            sys.stderr.flush()
