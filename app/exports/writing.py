"""An export written from its beginning to its end, for the job and for the command alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from app.exports import formats, shards
from app.exports.card import card
from app.exports.members import Outgoing
from app.exports.shards import Listener, Wish, Written


def write(
    folder: Path, outgoing: Outgoing, name: str, wish: Wish, listener: Listener | None = None, reserve_bytes: int = 0
) -> Written:
    """Write a version in the format of this name into `folder`, or go on with that. Raises Refused and DiskFull."""
    form = formats.named(name)
    return shards.write(folder, outgoing, form, partial(card, outgoing), wish, listener or Listener(), reserve_bytes)
